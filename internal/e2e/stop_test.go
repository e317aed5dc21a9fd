package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// TestStopIsPrompt stops tasks that crawl or hang: the answer comes within a second, the task is paused within five,
// and start goes on without sending finished objects again.
func TestStopIsPrompt(t *testing.T) {
	for name, hinder := range map[string]func(src, dst *testcloud.Cloud) (heal func()){
		"limit": func(_, _ *testcloud.Cloud) func() { return func() {} },
		"stalled writes": func(_, dst *testcloud.Cloud) func() {
			return dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.PutObject, testcloud.UploadPart}, Skip: 40, Fault: testcloud.Stall()})
		},
		"stalled reads": func(src, _ *testcloud.Cloud) func() {
			return src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Skip: 40, Fault: testcloud.StallAfter(100)})
		},
		"stalled listing": func(src, _ *testcloud.Cloud) func() {
			return src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.ListObjectsV2}, Skip: 6, Fault: testcloud.Stall()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			const objects = 3000 // a few pages behind those that show how the store lists
			srcCloud, src, srcStore := cloud(t, "lab-a", "source")
			dstCloud, dst, dstStore := cloud(t, "lab-b", "destination")
			for i := range objects {
				src.PutAt(fmt.Sprintf("k/%05d", i), content(10_000, uint64(i)), testcloud.Attrs{}, time.Now().Add(-time.Hour))
			}
			src.PutAt("large", content(40<<20, 7), testcloud.Attrs{}, time.Now().Add(-time.Hour))
			s := newService(t, srcStore, dstStore)
			s.start()
			heal := hinder(srcCloud, dstCloud)
			id := s.create(srcStore, dstStore, func(r *omsv2.CreateTaskRequest) {
				r.BandwidthPolicy = []omsv2.BandwidthPolicy{{Start: "00:00", End: "23:59", MaxBandwidth: 1 << 20}}
			})
			s.wait(id, 2, 30*time.Second)
			within(t, 30*time.Second, "something arrived", func() bool { return dst.Len() > 20 })
			began := time.Now()
			if err := s.client.StopTask(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			answered := time.Since(began)
			s.wait(id, 3, 30*time.Second)
			if paused := time.Since(began); answered > time.Second || paused > 5*time.Second {
				t.Errorf("answered after %s, paused after %s", answered, paused)
			}
			before := dst.ReceivedAll()
			heal()
			if err := s.client.UpdateBandwidthPolicy(t.Context(), id, nil); err != nil {
				t.Fatal(err)
			}
			err := s.client.StartTask(t.Context(), id, &omsv2.StartTaskRequest{
				SrcAK: storeAK, SrcSK: storeSK, DstAK: storeAK, DstSK: storeSK,
			})
			if err != nil {
				t.Fatal(err)
			}
			task := s.wait(id, 5, time.Minute)
			if task.SuccessfulNum != objects+1 || task.SkippedNum != 0 {
				t.Errorf("%d migrated, %d skipped; want %d migrated", task.SuccessfulNum, task.SkippedNum, objects+1)
			}
			if diff := testcloud.Compare(src, dst, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
				t.Fatalf("the destination differs: %v", diff)
			}
			for key, n := range dst.ReceivedAll() {
				if obj, ok := src.Get(key); ok && key != "large" && before[key] == obj.Size && n > before[key] && name != "stalled writes" {
					t.Errorf("%s was finished before the pause and sent again", key)
				}
			}
		})
	}
}
