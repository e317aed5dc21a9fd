package sdk

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"

	"github.com/openoms/openoms/internal/testcloud"
)

// States of a task (OMS v2, 5.1).
const (
	waiting, running, paused, failed, succeeded, pausing = 1, 2, 3, 4, 5, 7
)

// request is a task over the keys as a user of the SDK writes it.
func request(typ model.CreateTaskReqTaskType, keys ...string) *model.CreateTaskReq {
	return &model.CreateTaskReq{
		TaskType: &typ,
		SrcNode: &model.SrcNodeReq{
			CloudType: new("AWS"), Region: new("lab-a"), Ak: new(srcAK), Sk: new(srcSK), Bucket: new("source"), ObjectKey: &keys,
		},
		DstNode:                 &model.DstNodeReq{Region: "lab-b", Ak: dstAK, Sk: dstSK, Bucket: "destination"},
		Description:             new("made by the SDK"),
		EnableMetadataMigration: new(true),
	}
}

var (
	prefix = model.GetCreateTaskReqTaskTypeEnum().PREFIX
	object = model.GetCreateTaskReqTaskTypeEnum().OBJECT
)

func (w *world) create(req *model.CreateTaskReq) int64 {
	w.t.Helper()
	resp, err := w.client.CreateTask(&model.CreateTaskRequest{Body: req})
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.Id == nil || *resp.Id <= 0 || resp.TaskName == nil || !strings.HasPrefix(*resp.TaskName, "source-destination-") {
		w.t.Fatalf("answer to create: %s", resp)
	}
	return *resp.Id
}

func (w *world) show(id int64) *model.ShowTaskResponse {
	w.t.Helper()
	resp, err := w.client.ShowTask(&model.ShowTaskRequest{TaskId: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// wait polls until the task is in one of the states; any state outside allowed on the way is an error.
func (w *world) wait(id int64, target []int32, allowed ...int32) *model.ShowTaskResponse {
	w.t.Helper()
	var last *model.ShowTaskResponse
	within(w.t, time.Minute, fmt.Sprintf("task %d in state %v", id, target), func() bool {
		last = w.show(id)
		if !slices.Contains(target, *last.Status) && len(allowed) > 0 && !slices.Contains(allowed, *last.Status) {
			w.t.Fatalf("task %d is in state %d; allowed on the way to %v are %v", id, *last.Status, target, allowed)
		}
		return slices.Contains(target, *last.Status)
	})
	return last
}

func (w *world) start(id int64, failedOnly bool) error {
	_, err := w.client.StartTask(&model.StartTaskRequest{TaskId: id, Body: &model.StartTaskReq{
		SrcAk: new(srcAK), SrcSk: new(srcSK), DstAk: dstAK, DstSk: dstSK, MigrateFailedObject: new(failedOnly),
	}})
	return err
}

func (w *world) stop(id int64) error {
	_, err := w.client.StopTask(&model.StopTaskRequest{TaskId: id})
	return err
}

func (w *world) delete(id int64) error {
	_, err := w.client.DeleteTask(&model.DeleteTaskRequest{TaskId: id})
	return err
}

func (w *world) limit(id int64, bytesPerSecond int64) error {
	policy := []model.BandwidthPolicyDto{}
	if bytesPerSecond > 0 {
		policy = append(policy, model.BandwidthPolicyDto{Start: "00:00", End: "23:59", MaxBandwidth: bytesPerSecond})
	}
	_, err := w.client.UpdateBandwidthPolicy(&model.UpdateBandwidthPolicyRequest{
		TaskId: id, Body: &model.UpdateBandwidthPolicyReq{BandwidthPolicy: policy},
	})
	return err
}

// refused checks that err is the service's refusal with status and code.
func refused(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var e *sdkerr.ServiceResponseError
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %v, want a refusal with %s", what, err, code)
	}
	if e.StatusCode != status || e.ErrorCode != code || e.ErrorMessage == "" || e.RequestId == "" {
		t.Fatalf("%s: got %d %q %q request %q, want %d %s with a message and a request id", what, e.StatusCode, e.ErrorCode, e.ErrorMessage, e.RequestId, status, code)
	}
}

// mustBeEqual compares both buckets byte for byte.
func (w *world) mustBeEqual() {
	w.t.Helper()
	if diff := testcloud.Compare(w.src, w.dst, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
		w.t.Fatalf("the destination differs: %v", diff)
	}
}

func fill(b *testcloud.Bucket, n, size int) {
	for i := range n {
		data := make([]byte, size)
		for k := range data {
			data[k] = byte(i + k*7)
		}
		b.PutAt(fmt.Sprintf("photos/%03d/%05d.jpg", i%10, i), data, testcloud.Attrs{}, time.Now().Add(-time.Hour))
	}
}

func TestCreateAndWait(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 300, 2000)
	id := w.create(request(prefix, ""))
	task := w.wait(id, []int32{succeeded}, waiting, running)
	w.mustBeEqual()
	got := fmt.Sprint(*task.TotalNum, *task.SuccessfulNum, *task.FailedNum, *task.SkippedNum, *task.TotalSize, *task.CompleteSize, *task.RealSize, *task.Progress, *task.IsQueryOver)
	if want := "300 300 0 0 600000 600000 600000 1 true"; got != want {
		t.Errorf("counters: got %s, want %s", got, want)
	}
	if *task.Description != "made by the SDK" || task.TaskType.Value() != "prefix" || task.GroupType.Value() != "NORMAL_TASK" ||
		*task.SrcNode.Bucket != "source" || *task.DstNode.Bucket != "destination" || *task.StartTime == 0 || *task.LeftTime != 0 ||
		task.ErrorReason != nil || !*task.EnableFailedObjectRecording || !*task.EnableMetadataMigration {
		t.Errorf("answer to show: %s", task)
	}
	again := w.wait(w.create(request(prefix, "")), []int32{succeeded}, waiting, running)
	if *again.SkippedNum != 300 || *again.RealSize != 0 || *again.Progress != 1 {
		t.Errorf("second task: %s", again)
	}
}

func TestStopAndStart(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 400, 20_000)
	req := request(prefix, "")
	req.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "00:00", End: "23:59", MaxBandwidth: 1 << 20}}
	id := w.create(req)
	w.wait(id, []int32{running}, waiting)
	within(t, time.Minute, "some objects arrived", func() bool { return w.dst.Len() > 20 })

	refused(t, "start a running task", w.start(id, false), 400, "OMS.0065")
	refused(t, "delete a running task", w.delete(id), 400, "OMS.0063")
	began := time.Now()
	if err := w.stop(id); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("stop took %s", d)
	}
	w.wait(id, []int32{paused}, pausing)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("paused after %s", d)
	}
	refused(t, "stop a paused task", w.stop(id), 400, "OMS.0066")
	before := w.dst.ReceivedAll()
	if err := w.limit(id, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.start(id, false); err != nil {
		t.Fatal(err)
	}
	task := w.wait(id, []int32{succeeded}, waiting, running)
	w.mustBeEqual()
	if *task.SuccessfulNum != 400 || *task.SkippedNum != 0 || *task.FailedNum != 0 {
		t.Errorf("counters after resume: %s", task)
	}
	for key, n := range w.dst.ReceivedAll() {
		if obj, ok := w.src.Get(key); ok && before[key] == obj.Size && n != before[key] {
			t.Errorf("%s was finished before the pause and sent again", key)
		}
	}
	refused(t, "start a finished task", w.start(id, false), 400, "OMS.0070")
	refused(t, "stop a finished task", w.stop(id), 400, "OMS.0070")
	refused(t, "limit a finished task", w.limit(id, 0), 400, "OMS.0086")
	if err := w.delete(id); err != nil {
		t.Fatal(err)
	}
	_, err := w.client.ShowTask(&model.ShowTaskRequest{TaskId: id})
	refused(t, "show a deleted task", err, 400, "OMS.1009")
	refused(t, "start a deleted task", w.start(id, false), 400, "OMS.1009")
	refused(t, "stop a deleted task", w.stop(id), 400, "OMS.1009")
	refused(t, "delete a deleted task", w.delete(id), 400, "OMS.1009")
}

func TestFailedObjectsAreRetriedAlone(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 50, 1000)
	// One key fails at the source, one named key does not exist yet.
	bad := "photos/003/00003.jpg"
	heal := w.srcCloud.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.GetObject}, Key: func(key string) bool { return key == bad }, Fault: testcloud.Fail(http.StatusForbidden, "AccessDenied"),
	})
	id := w.create(request(object, "photos/", "late.txt"))
	task := w.wait(id, []int32{failed}, waiting, running)
	if *task.SuccessfulNum != 49 || *task.FailedNum != 2 || *task.TotalNum != 51 {
		t.Fatalf("counters: %s", task)
	}
	if task.ErrorReason == nil || *task.ErrorReason.ErrorCode != "TRF.0004" {
		t.Fatalf("reason: %s", task)
	}
	rec := task.FailedObjectRecord
	if rec == nil || rec.Result == nil || !*rec.Result || rec.ListFileKey == nil {
		t.Fatalf("failed_object_record: %s", task)
	}
	if want := "oms/task/" + *task.Name + "/failed_object_lists/"; !strings.HasPrefix(*rec.ListFileKey, want) || !strings.HasSuffix(*rec.ListFileKey, ".failed_list.txt") {
		t.Errorf("list at %q, want it below %q", *rec.ListFileKey, want)
	}
	list, ok := w.dst.Get(*rec.ListFileKey)
	if !ok {
		t.Fatal("the list is not at the destination")
	}
	lines := strings.Split(strings.TrimSuffix(string(list.Bytes()), "\n"), "\n")
	if len(lines) != 2 || len(strings.Split(lines[0], "\t")) != 5 || !strings.Contains(string(list.Bytes()), bad) || !strings.Contains(string(list.Bytes()), "late.txt") {
		t.Errorf("list:\n%s", list.Bytes())
	}

	w.src.PutAt("late.txt", []byte("here at last"), testcloud.Attrs{}, time.Now())
	heal()
	before := w.dst.ReceivedAll()
	if err := w.start(id, true); err != nil {
		t.Fatal(err)
	}
	task = w.wait(id, []int32{succeeded}, waiting, running)
	if *task.SuccessfulNum != 51 || *task.FailedNum != 0 || *task.TotalNum != 51 {
		t.Errorf("counters after the retry: %s", task)
	}
	w.mustBeEqual()
	for key, n := range w.dst.ReceivedAll() {
		if !strings.HasPrefix(key, "oms/") && key != bad && key != "late.txt" && n != before[key] {
			t.Errorf("%s was moved again", key)
		}
	}
}

func TestFullRunAfterFailure(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 20, 1000)
	req := request(object, "photos/", "late.txt")
	req.EnableFailedObjectRecording = new(false)
	id := w.create(req)
	task := w.wait(id, []int32{failed}, waiting, running)
	if rec := task.FailedObjectRecord; rec != nil && rec.ListFileKey != nil {
		t.Errorf("recording was off, but there is a list: %s", task)
	}
	refused(t, "retry without a list", w.start(id, true), 400, "OMS.0167")
	w.src.PutAt("late.txt", []byte("x"), testcloud.Attrs{}, time.Now())
	if err := w.start(id, false); err != nil {
		t.Fatal(err)
	}
	task = w.wait(id, []int32{succeeded}, waiting, running)
	if *task.SuccessfulNum != 1 || *task.SkippedNum != 20 || *task.FailedNum != 0 {
		t.Errorf("counters of the full run: %s", task)
	}
	w.mustBeEqual()
}

func TestWaitingTasks(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 300, 100_000)
	var ids []int64
	for range 5 { // three run at a time
		req := request(prefix, "")
		req.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "00:00", End: "23:59", MaxBandwidth: 1 << 20}}
		ids = append(ids, w.create(req))
	}
	within(t, time.Minute, "three tasks run", func() bool { return w.count(running) == 3 })
	last := ids[4]
	if s := *w.show(last).Status; s != waiting {
		t.Fatalf("the fifth task is in state %d, want waiting", s)
	}
	refused(t, "start a waiting task", w.start(last, false), 400, "OMS.0065")
	refused(t, "stop a waiting task", w.stop(last), 400, "OMS.0066")

	high := model.GetBatchUpdateTasksReqTaskPriorityEnum().HIGH
	batch := func(ids []int64, prio *model.BatchUpdateTasksReqTaskPriority) error {
		_, err := w.client.BatchUpdateTasks(&model.BatchUpdateTasksRequest{Body: &model.BatchUpdateTasksReq{
			Ids: &ids, BandwidthPolicy: []model.BandwidthPolicyDto{{Start: "00:00", End: "23:59", MaxBandwidth: 2 << 20}}, TaskPriority: prio,
		}})
		return err
	}
	refused(t, "priority of a running task", batch([]int64{last, ids[0]}, &high), 400, "OMS.1003")
	if got := (*w.show(last).BandwidthPolicy)[0].MaxBandwidth; got != 1<<20 {
		t.Errorf("a refused batch changed a task: limit %d", got)
	}
	if err := batch([]int64{last}, &high); err != nil {
		t.Fatal(err)
	}
	if task := w.show(last); task.TaskPriority.Value() != "HIGH" || (*task.BandwidthPolicy)[0].MaxBandwidth != 2<<20 {
		t.Errorf("after the batch: %s", task)
	}
	if err := w.delete(ids[3]); err != nil {
		t.Fatalf("delete a waiting task: %v", err)
	}
	if err := w.stop(ids[0]); err != nil {
		t.Fatal(err)
	}
	w.wait(ids[0], []int32{paused}, pausing)
	w.wait(last, []int32{running}, waiting)
	if err := w.delete(ids[0]); err != nil {
		t.Fatalf("delete a paused task: %v", err)
	}
	for _, id := range []int64{ids[1], ids[2], last} { // end them so that the service stops clean
		if err := w.stop(id); err != nil {
			t.Fatal(err)
		}
		w.wait(id, []int32{paused}, pausing)
	}
}

func (w *world) count(status int32) int64 {
	w.t.Helper()
	resp, err := w.client.ListTasks(&model.ListTasksRequest{Status: &status})
	if err != nil {
		w.t.Fatal(err)
	}
	return *resp.Count
}

func TestListFiltersAndPaging(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 3, 10)
	var ids []int64
	for range 12 {
		id := w.create(request(prefix, "photos/"))
		w.wait(id, []int32{succeeded}, waiting, running)
		ids = append(ids, id)
	}
	list := func(r *model.ListTasksRequest) ([]int64, int64) {
		t.Helper()
		resp, err := w.client.ListTasks(r)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, task := range *resp.Tasks {
			got = append(got, *task.Id)
		}
		return got, *resp.Count
	}
	slices.Reverse(ids) // newest first
	for _, c := range []struct {
		name string
		req  model.ListTasksRequest
		want []int64
		n    int64
	}{
		{"defaults", model.ListTasksRequest{}, ids[:10], 12},
		{"second page", model.ListTasksRequest{Offset: new(int32(10))}, ids[10:], 12},
		{"small page", model.ListTasksRequest{Limit: new(int32(3)), Offset: new(int32(4))}, ids[4:7], 12},
		{"beyond the end", model.ListTasksRequest{Offset: new(int32(99))}, nil, 12},
		{"status", model.ListTasksRequest{Status: new(int32(succeeded)), Limit: new(int32(2))}, ids[:2], 12},
		{"other status", model.ListTasksRequest{Status: new(int32(failed))}, nil, 0},
		{"name", model.ListTasksRequest{TaskName: new("destination-"), Limit: new(int32(1))}, ids[:1], 12},
		{"other name", model.ListTasksRequest{TaskName: new("nosuch")}, nil, 0},
		{"group", model.ListTasksRequest{GroupId: new("157ece42-3270-4824-a3d2-f0187a03ca01")}, nil, 0},
	} {
		if got, n := list(&c.req); !slices.Equal(got, c.want) || n != c.n {
			t.Errorf("%s: got %v of %d, want %v of %d", c.name, got, n, c.want, c.n)
		}
	}
	for name, r := range map[string]*model.ListTasksRequest{
		"limit 0": {Limit: new(int32(0))}, "limit 101": {Limit: new(int32(101))}, "offset -1": {Offset: new(int32(-1))}, "status 9": {Status: new(int32(9))},
	} {
		_, err := w.client.ListTasks(r)
		refused(t, name, err, 400, "OMS.1003")
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	all, err := w.client.ListApiVersions(&model.ListApiVersionsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(*all.Versions) != 1 || *(*all.Versions)[0].Id != "v2" || (*all.Versions)[0].Status.Value() != "CURRENT" {
		t.Errorf("versions: %s", all)
	}
	one, err := w.client.ShowApiInfo(&model.ShowApiInfoRequest{Version: "v2"})
	if err != nil {
		t.Fatal(err)
	}
	if *one.Id != "v2" || len(*one.Links) == 0 {
		t.Errorf("version: %s", one)
	}
	_, err = w.client.ShowApiInfo(&model.ShowApiInfoRequest{Version: "v9"})
	refused(t, "unknown version", err, 404, "OMS.1009")
}

func TestProjectLookUpAndWrongKeys(t *testing.T) {
	w := newWorld(t)
	looked := newClient(t, w.url, apiAK, apiSK, "")
	resp, err := looked.ListTasks(&model.ListTasksRequest{})
	if err != nil {
		t.Fatalf("without a project id: %v", err)
	}
	if *resp.Count != 0 {
		t.Errorf("count %d", *resp.Count)
	}
	_, err = newClient(t, w.url, apiAK, "wrong", project).ListTasks(&model.ListTasksRequest{})
	refused(t, "wrong secret", err, 401, "APIGW.0301")
	_, err = newClient(t, w.url, "AKUNKNOWN", apiSK, project).ListTasks(&model.ListTasksRequest{})
	refused(t, "unknown key", err, 401, "APIGW.0301")
}

func TestCreateRefusals(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, code string
		spoil      func(*model.CreateTaskReq)
	}{
		{"no source", "OMS.1004", func(r *model.CreateTaskReq) { r.SrcNode = nil }},
		{"no destination", "OMS.1004", func(r *model.CreateTaskReq) { r.DstNode = nil }},
		{"no keys selected", "OMS.1004", func(r *model.CreateTaskReq) { r.SrcNode.ObjectKey = &[]string{} }},
		{"unknown source region", "OMS.0079", func(r *model.CreateTaskReq) { r.SrcNode.Region = new("mars/1") }},
		{"unknown destination region", "OMS.0080", func(r *model.CreateTaskReq) { r.DstNode.Region = "mars/1" }},
		{"bad description", "OMS.0078", func(r *model.CreateTaskReq) { r.Description = new("a<b") }},
		{"six windows", "OMS.0083", func(r *model.CreateTaskReq) {
			r.BandwidthPolicy = new(slices.Repeat([]model.BandwidthPolicyDto{{Start: "01:00", End: "02:00", MaxBandwidth: 1 << 20}}, 6))
		}},
		{"small limit", "OMS.0084", func(r *model.CreateTaskReq) {
			r.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "01:00", End: "02:00", MaxBandwidth: 1}}
		}},
		{"overlap", "OMS.0085", func(r *model.CreateTaskReq) {
			r.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "01:00", End: "02:00", MaxBandwidth: 1 << 20}, {Start: "02:00", End: "03:00", MaxBandwidth: 1 << 20}}
		}},
		{"bad time", "OMS.0087", func(r *model.CreateTaskReq) {
			r.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "25:00", End: "26:00", MaxBandwidth: 1 << 20}}
		}},
		{"wrong source keys", "OMS.1014", func(r *model.CreateTaskReq) { r.SrcNode.Sk = new("wrong") }},
		{"wrong destination keys", "OMS.1020", func(r *model.CreateTaskReq) { r.DstNode.Sk = "wrong" }},
		{"no source bucket", "OMS.1014", func(r *model.CreateTaskReq) { r.SrcNode.Bucket = new("nosuchbucket") }},
		{"no destination bucket", "OMS.1020", func(r *model.CreateTaskReq) { r.DstNode.Bucket = "nosuchbucket" }},
	} {
		req := request(prefix, "")
		c.spoil(req)
		_, err := w.client.CreateTask(&model.CreateTaskRequest{Body: req})
		refused(t, c.name, err, 400, c.code)
	}
	if n := w.count(succeeded); n != 0 {
		t.Errorf("%d tasks exist after refusals", n)
	}
	resp, err := w.client.ListTasks(&model.ListTasksRequest{})
	if err != nil || *resp.Count != 0 {
		t.Errorf("refused requests stored %v tasks, %v", resp, err)
	}
}
