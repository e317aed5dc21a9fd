package sdk

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"

	"github.com/openoms/openoms/internal/testcloud"
)

// States of a task group (OMS v2, 5.3).
const (
	groupWaiting, groupCreating, groupMonitoring, groupPaused, groupCreationFailed       = 0, 1, 2, 3, 4
	groupFailed, groupSucceeded, groupPausing, groupDeletePending, groupDeleting   int32 = 5, 6, 7, 8, 9
)

// groupRequest is a group over the prefixes as a user of the SDK writes it.
func groupRequest(prefixes ...string) *model.CreateTaskGroupReq {
	kind := model.GetCreateTaskGroupReqTaskTypeEnum().PREFIX
	return &model.CreateTaskGroupReq{
		TaskType: &kind,
		SrcNode: &model.TaskGroupSrcNode{
			CloudType: new("AWS"), Region: new("lab-a"), Ak: new(srcAK), Sk: new(srcSK), Bucket: new("source"), ObjectKey: &prefixes,
		},
		DstNode:                 &model.TaskGroupDstNode{Region: "lab-b", Ak: dstAK, Sk: dstSK, Bucket: "destination", CloudType: new("HEC")},
		Description:             new("made by the SDK"),
		EnableMetadataMigration: new(true),
	}
}

func (w *world) createGroup(req *model.CreateTaskGroupReq) string {
	w.t.Helper()
	resp, err := w.client.CreateTaskGroup(&model.CreateTaskGroupRequest{Body: req})
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.GroupId == nil || len(*resp.GroupId) != 36 {
		w.t.Fatalf("answer to create: %s", resp)
	}
	return *resp.GroupId
}

// waitGroup polls until the group is in one of the states; any state outside allowed on the way is an error.
func (w *world) waitGroup(id string, target []int32, allowed ...int32) *model.ShowTaskGroupResponse {
	w.t.Helper()
	var last *model.ShowTaskGroupResponse
	within(w.t, 2*time.Minute, fmt.Sprintf("group %s in state %v", id, target), func() bool {
		var err error
		if last, err = w.client.ShowTaskGroup(&model.ShowTaskGroupRequest{GroupId: id}); err != nil {
			w.t.Fatal(err)
		}
		if !slices.Contains(target, *last.Status) && !slices.Contains(allowed, *last.Status) {
			w.t.Fatalf("group %s is in state %d; allowed on the way to %v are %v", id, *last.Status, target, allowed)
		}
		return slices.Contains(target, *last.Status)
	})
	return last
}

func (w *world) startGroup(id string) error {
	_, err := w.client.StartTaskGroup(&model.StartTaskGroupRequest{GroupId: id, Body: &model.StartTaskGroupReq{
		SrcAk: new(srcAK), SrcSk: new(srcSK), DstAk: dstAK, DstSk: dstSK,
	}})
	return err
}

func (w *world) stopGroup(id string) error {
	_, err := w.client.StopTaskGroup(&model.StopTaskGroupRequest{GroupId: id})
	return err
}

func (w *world) retryGroup(id string, failedOnly bool) error {
	_, err := w.client.RetryTaskGroup(&model.RetryTaskGroupRequest{GroupId: id, Body: &model.RetryTaskGroupReq{
		SrcAk: new(srcAK), SrcSk: new(srcSK), DstAk: new(dstAK), DstSk: new(dstSK), MigrateFailedObject: new(failedOnly),
	}})
	return err
}

func (w *world) limitGroup(id string, bytesPerSecond int64) error {
	policy := []model.BandwidthPolicyDto{}
	if bytesPerSecond > 0 {
		policy = append(policy, model.BandwidthPolicyDto{Start: "00:00", End: "23:59", MaxBandwidth: bytesPerSecond})
	}
	_, err := w.client.UpdateTaskGroup(&model.UpdateTaskGroupRequest{GroupId: id, Body: &model.UpdateBandwidthPolicyReq{BandwidthPolicy: policy}})
	return err
}

func (w *world) deleteGroup(id string) error {
	_, err := w.client.DeleteTaskGroup(&model.DeleteTaskGroupRequest{GroupId: id})
	return err
}

// The sequence of OMS v2, 9: create, wait, its tasks, stop, start, delete until 404.
func TestTaskGroup(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 400, 20_000)
	req := groupRequest("photos/00", "nothing/")
	req.BandwidthPolicy = &[]model.BandwidthPolicyDto{{Start: "00:00", End: "23:59", MaxBandwidth: 1 << 20}}
	id := w.createGroup(req)
	w.waitGroup(id, []int32{groupMonitoring}, groupWaiting, groupCreating)
	within(t, time.Minute, "some objects arrived", func() bool { return w.dst.Len() > 20 })
	refused(t, "delete an active group", w.deleteGroup(id), 400, "OMS.0063")
	refused(t, "start an active group", w.startGroup(id), 400, "OMS.1039")
	refused(t, "retry an active group", w.retryGroup(id, false), 400, "OMS.1040")

	tasks, err := w.client.ListTasks(&model.ListTasksRequest{GroupId: &id})
	if err != nil || *tasks.Count < 1 {
		t.Fatalf("tasks of the group: %s, %v", tasks, err)
	}
	for _, task := range *tasks.Tasks {
		if *task.GroupId != id || task.GroupType.Value() != "GROUP_TASK" || task.TaskType.Value() != "prefix" {
			t.Errorf("task of the group: %s", task)
		}
	}

	if err := w.stopGroup(id); err != nil {
		t.Fatal(err)
	}
	group := w.waitGroup(id, []int32{groupPaused}, groupPausing)
	if *group.PausedTaskNum == 0 || *group.ExecutingTaskNum != 0 || *group.WaitingTaskNum != 0 {
		t.Errorf("paused group: %s", group)
	}
	refused(t, "stop a paused group", w.stopGroup(id), 400, "OMS.1038")
	if err := w.limitGroup(id, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.startGroup(id); err != nil {
		t.Fatal(err)
	}
	group = w.waitGroup(id, []int32{groupSucceeded}, groupCreating, groupMonitoring)
	w.mustBeEqual()
	got := fmt.Sprint(*group.TotalNum, *group.CreateCompleteNum, *group.SuccessNum, *group.FailNum, *group.SkipNum, *group.TotalSize,
		*group.CreateCompleteSize, *group.CompleteSize, *group.TotalTaskNum == *group.CreateTaskNum, *group.CompleteTaskNum == *group.CreateTaskNum)
	if want := "400 400 400 0 0 8000000 8000000 8000000 true true"; got != want {
		t.Errorf("counters: got %s, want %s", got, want)
	}
	if group.SrcNode.CloudType.Value() != "AWS" || group.TaskType.Value() != "PREFIX" || *group.Description != "made by the SDK" ||
		*group.DstNode.Bucket != "destination" || *group.StartTime == 0 || group.ErrorReason != nil || !*group.EnableMetadataMigration {
		t.Errorf("answer to show: %s", group)
	}
	refused(t, "limit a finished group", w.limitGroup(id, 1<<20), 400, "OMS.1036")

	list, err := w.client.ListTaskGroup(&model.ListTaskGroupRequest{Limit: new(int32(5)), Status: new(int32(groupSucceeded))})
	if err != nil || *list.Count != 1 || len(*list.Taskgroups) != 1 || *(*list.Taskgroups)[0].GroupId != id {
		t.Errorf("list: %s, %v", list, err)
	}
	if err := w.deleteGroup(id); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "the group is gone", func() bool {
		resp, err := w.client.ShowTaskGroup(&model.ShowTaskGroupRequest{GroupId: id})
		if err != nil {
			refused(t, "show a deleted group", err, 404, "OMS.1009")
			return true
		}
		if *resp.Status != groupDeletePending && *resp.Status != groupDeleting {
			t.Fatalf("a group being deleted is in state %d", *resp.Status)
		}
		return false
	})
	if tasks, err := w.client.ListTasks(&model.ListTasksRequest{GroupId: &id}); err != nil || *tasks.Count != 0 {
		t.Errorf("tasks of a deleted group: %s, %v", tasks, err)
	}
}

// A group fails with its tasks, and a retry of what failed heals it; one that selects nothing cannot be created.
func TestTaskGroupRetry(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 50, 2000)
	heal := w.srcCloud.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("photos/007/00007.jpg"), Fault: testcloud.Fail(403, "AccessDenied"),
	})
	id := w.createGroup(groupRequest(""))
	group := w.waitGroup(id, []int32{groupFailed}, groupWaiting, groupCreating, groupMonitoring)
	if *group.FailNum != 1 || *group.SuccessNum != 49 || *group.ErrorReason.ErrorCode != "TRF.0004" || !*group.FailedObjectRecord.Result ||
		*group.FailedObjectRecord.ListFileKey != "oms/task_group/"+id+"/failed_object_lists/" {
		t.Errorf("failed group: %s", group)
	}
	heal()
	_, err := w.client.RetryTaskGroup(&model.RetryTaskGroupRequest{GroupId: id, Body: &model.RetryTaskGroupReq{}})
	refused(t, "retry without keys", err, 400, "OMS.1004")
	if err := w.retryGroup(id, true); err != nil {
		t.Fatal(err)
	}
	group = w.waitGroup(id, []int32{groupSucceeded}, groupMonitoring)
	if *group.SuccessNum != 50 || *group.FailNum != 0 {
		t.Errorf("group after its retry: %s", group)
	}
	w.mustBeEqual()

	none := w.createGroup(groupRequest("nothing/"))
	group = w.waitGroup(none, []int32{groupCreationFailed}, groupWaiting, groupCreating)
	if *group.ErrorReason.ErrorCode != "TRF.0012" {
		t.Errorf("a group that selects nothing: %s", group)
	}
	_, err = w.client.ShowTaskGroup(&model.ShowTaskGroupRequest{GroupId: "157ece42-3270-4824-a3d2-f0187a03ca01"})
	refused(t, "show an unknown group", err, 404, "OMS.1009")
}
