package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// allowLoopback lets tasks read URLs of this machine.
const allowLoopback = "network: {allow: [127.0.0.0/8]}\n"

// listObjects is how many objects the killed list tasks have.
const listObjects = 1500

// TestKillLists kills the service while it works through a list of names and a list of URLs (rules P1, P2, P8 and H5):
// both go on by themselves at the byte where they were, nothing is lost, counted twice or sent again.
func TestKillLists(t *testing.T) {
	rnd := rand.New(rand.NewPCG(seed(t), 2))
	_, src, srcStore := cloud(t, "lab-a", "source")
	dstCloud, dst, dstStore := cloud(t, "lab-b", "destination")
	old := time.Now().Add(-time.Hour)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, ok := src.Get(strings.TrimPrefix(r.URL.Path, "/"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(o.Size, 10))
		w.Header().Set("Last-Modified", old.UTC().Format(http.TimeFormat))
		if r.Method == http.MethodGet {
			_, _ = w.Write(o.Bytes())
		}
	}))
	t.Cleanup(web.Close)
	var names, urls strings.Builder
	for i := range listObjects {
		key := fmt.Sprintf("small/%02d/%05d", i%37, i)
		src.PutAt(key, content(1+rnd.IntN(3000), uint64(i)), testcloud.Attrs{}, old)
		fmt.Fprintf(&names, "%s\n", key)
		fmt.Fprintf(&urls, "%s/%s?token=canary-0003\tweb/%s\n", web.URL, key, key)
	}
	lists := dstCloud.CreateBucket("lists")
	plain := testcloud.Attrs{ContentType: "text/plain"}
	lists.Put("names.txt", []byte(names.String()), plain)
	lists.Put("urls.txt", []byte(urls.String()), plain)
	dstCloud.Faults.On(testcloud.PutObject, testcloud.Delay(60*time.Millisecond))

	s := newService(t, srcStore, dstStore)
	s.configure(allowLoopback)
	t.Cleanup(func() { s.mustHideSecrets("canary-0003") })
	s.start()
	ids := []int64{
		s.create(srcStore, dstStore, func(r *omsv2.CreateTaskRequest) {
			r.TaskType, r.SrcNode.ObjectKey = "list", nil
			r.SrcNode.ListFile = &omsv2.ListFile{OBSBucket: "lists", ListFileKey: "names.txt"}
		}),
		s.create(srcStore, dstStore, func(r *omsv2.CreateTaskRequest) {
			r.TaskType = "url_list"
			r.SrcNode = &omsv2.SourceNodeRequest{CloudType: "URLSource", ListFile: &omsv2.ListFile{OBSBucket: "lists", ListFileKey: "urls.txt"}}
		}),
	}
	last := []*omsv2.Task{s.show(ids[0]), s.show(ids[1])}
	killed := 0
	for ; killed < 12 && last[0].Status+last[1].Status != 10; killed++ {
		time.Sleep(time.Duration(100+rnd.IntN(400)) * time.Millisecond)
		s.kill()
		s.start()
		for i, id := range ids {
			task := s.show(id)
			mustNotGoBack(t, last[i], task)
			last[i] = task
		}
	}
	if killed < 5 {
		t.Errorf("only %d kills before the tasks were done: the test does not test what it should", killed)
	}
	for _, id := range ids {
		task := s.wait(id, 5, 2*time.Minute)
		if task.TotalNum != listObjects || task.SuccessfulNum != listObjects || task.SkippedNum != 0 || task.FailedNum != 0 {
			t.Errorf("%s after %d kills: %d listed, %d migrated, %d skipped, %d failed, want all %d migrated", task.TaskType,
				killed, task.TotalNum, task.SuccessfulNum, task.SkippedNum, task.FailedNum, listObjects)
		}
	}
	for o := range src.All() {
		for _, key := range []string{o.Key, "web/" + o.Key} {
			if got, ok := dst.Get(key); !ok || string(got.Bytes()) != string(o.Bytes()) {
				t.Fatalf("%s is not what the source has", key)
			}
		}
	}
	taken := map[string]int{}
	for _, r := range dstCloud.Requests() {
		if r.Op == testcloud.PutObject && r.Status == 200 && !strings.HasPrefix(r.Key, "oms/") {
			if taken[r.Key]++; taken[r.Key] == 2 {
				t.Errorf("%s was taken twice", r.Key)
			}
		}
	}
}
