package sdk

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"

	"github.com/openoms/openoms/internal/testcloud"
)

// listFile stores a list of objects or URLs beside the destination and returns it as the SDK names it.
func (w *world) listFile(key, text string) *model.ListFile {
	w.dstCloud.CreateBucket("lists").Put(key, []byte(text), testcloud.Attrs{ContentType: "text/plain"})
	return &model.ListFile{ListFileKey: key, ObsBucket: "lists"}
}

// A task over a list file copies what it names, fails for what does not exist, and retries only that.
func TestListTask(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 20, 100)
	var names []string
	for o := range w.src.All() {
		names = append(names, o.Key)
	}
	req := request(model.GetCreateTaskReqTaskTypeEnum().LIST)
	req.SrcNode.ObjectKey = nil
	req.SrcNode.ListFile = w.listFile("in/names.txt", strings.Join(names, "\r\n")+"\r\nlate%20one\r\n")
	id := w.create(req)
	task := w.wait(id, []int32{failed}, waiting, running)
	if *task.TotalNum != 21 || *task.SuccessfulNum != 20 || *task.FailedNum != 1 || *task.ErrorReason.ErrorCode != "TRF.0004" {
		t.Fatalf("task over a list: %s", task)
	}
	if f := task.SrcNode.ListFile; f == nil || f.ListFileKey != "in/names.txt" || f.ObsBucket != "lists" {
		t.Errorf("the task shows the list %s", f)
	}
	w.src.Put("late one", []byte("now"), testcloud.Attrs{})
	if err := w.start(id, true); err != nil {
		t.Fatal(err)
	}
	if task = w.wait(id, []int32{succeeded}, waiting, running); *task.SuccessfulNum != 21 || *task.FailedNum != 0 {
		t.Errorf("after the retry: %s", task)
	}
	w.mustBeEqual()
}

// A mistake in a list shows in the task, with its code.
func TestListTaskRefused(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 1, 10)
	req := request(model.GetCreateTaskReqTaskTypeEnum().LIST)
	req.SrcNode.ObjectKey = nil
	req.SrcNode.ListFile = w.listFile("bad.txt", "a\n100%\n")
	task := w.wait(w.create(req), []int32{failed}, waiting, running)
	if *task.ErrorReason.ErrorCode != "TRF.0016" || !strings.Contains(*task.ErrorReason.ErrorMsg, "line 2") || w.dst.Len() != 0 {
		t.Errorf("%s, %d objects", task.ErrorReason, w.dst.Len())
	}
	req.SrcNode.ListFile = &model.ListFile{ListFileKey: "a.txt", ObsBucket: "nosuchbucket"}
	_, err := w.client.CreateTask(&model.CreateTaskRequest{Body: req})
	refused(t, "list in a bucket that is not there", err, 400, "OMS.0057")
	req.SrcNode.ListFile = nil
	_, err = w.client.CreateTask(&model.CreateTaskRequest{Body: req})
	refused(t, "no list", err, 400, "OMS.1004")
}

// A task over URLs has no source bucket and no source keys, at no time.
func TestURLListTask(t *testing.T) {
	w := newWorld(t, "network: {allow: [127.0.0.0/8]}\n")
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		http.ServeContent(rw, r, r.URL.Path, time.Unix(1_700_000_000, 0), strings.NewReader("content of "+r.URL.Path))
	}))
	t.Cleanup(web.Close)
	typ := model.GetCreateTaskReqTaskTypeEnum().URL_LIST
	req := &model.CreateTaskReq{
		TaskType: &typ,
		SrcNode:  &model.SrcNodeReq{CloudType: new("URLSource"), ListFile: w.listFile("urls.txt", web.URL+"/a.jpg\timages/a.jpg\n"+web.URL+"/b\tb%20b\n")},
		DstNode:  &model.DstNodeReq{Region: "lab-b", Ak: dstAK, Sk: dstSK, Bucket: "destination"},
	}
	resp, err := w.client.CreateTask(&model.CreateTaskRequest{Body: req})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*resp.TaskName, "lists-destination-") {
		t.Errorf("task name %q", *resp.TaskName)
	}
	task := w.wait(*resp.Id, []int32{succeeded}, waiting, running)
	if *task.SuccessfulNum != 2 || task.SrcNode.CloudType.Value() != "URLSource" || *task.Progress != 1 {
		t.Errorf("task over URLs: %s", task)
	}
	for key, want := range map[string]string{"images/a.jpg": "content of /a.jpg", "b b": "content of /b"} {
		if o, ok := w.dst.Get(key); !ok || string(o.Bytes()) != want {
			t.Errorf("%q is missing or wrong", key)
		}
	}
}
