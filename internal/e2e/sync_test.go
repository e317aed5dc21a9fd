package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// The load of TestSyncRate.
const (
	syncRate      = 2000   // names a second
	namesPerCall  = 10     // of the contract
	syncNames     = 10_000 // unless OMS_TEST_SYNC_NAMES says otherwise
	syncSenders   = 32
	syncCPUBudget = time.Millisecond // per name: two cores, 2,000 names a second
)

// TestSyncRate sends 2,000 object names a second, ten a call, every call signed, while the objects are copied: all are
// accepted, all arrive, and the whole service needs less than the CPU time of two cores. OMS_TEST_SYNC_NAMES is the
// number of names.
func TestSyncRate(t *testing.T) {
	names := envNumber(t, "OMS_TEST_SYNC_NAMES", syncNames)
	stores := startGenerated(t, int64(2*names), "-half")
	s := newService(t, stores.src, stores.dst)
	s.level = "info"
	s.start()
	id := s.createSync(stores.src, stores.dst)
	s.client.HTTPClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: syncSenders}, Timeout: time.Minute}
	t.Cleanup(s.client.HTTPClient.CloseIdleConnections)
	missing := missingKeys(2 * names)
	idle := processTime(t, s.cmd.Process.Pid)
	took, latencies := s.sendAtRate(id, missing)
	within(t, time.Minute+time.Duration(names)*5*time.Millisecond, "all names are applied", func() bool {
		return s.showSync(id).MonthlySuccessObject >= int64(names)
	})
	cpu := processTime(t, s.cmd.Process.Pid) - idle
	slices.Sort(latencies)
	t.Logf("%d names sent in %.1f s (%.0f a second), calls took %s in the middle and %s at the 99th percentile; %d µs of CPU a name with copying; peak memory %d MiB",
		names, took.Seconds(), float64(names)/took.Seconds(), latencies[len(latencies)/2].Round(time.Millisecond),
		latencies[len(latencies)*99/100].Round(time.Millisecond), cpu.Microseconds()/int64(names), peakMemory(t, s.cmd.Process.Pid)>>20)
	if per := cpu / time.Duration(names); per > syncCPUBudget {
		t.Errorf("a name costs %s of CPU, want at most %s", per, syncCPUBudget)
	}
	if shown := s.showSync(id); shown.MonthlyAcceptanceRequest != int64(names) || shown.MonthlyFailureObject != 0 || shown.MonthlySkipObject != 0 {
		t.Errorf("%+v", shown)
	}
	if r := stores.report(); len(r.Differences) > 0 {
		t.Errorf("the destination differs: %v", r.Differences)
	}
	s.mustShowMetrics(`oms_sync_tasks 1`, fmt.Sprintf(`oms_sync_names_total{result="accepted"} %d`, names),
		fmt.Sprintf(`oms_sync_objects_total{result="migrated"} %d`, names), `oms_sync_names_in_flight 0`, `oms_sync_names_waiting 0`)
}

// missingKeys are the keys of a generated bucket of n objects that its half-full destination lacks.
func missingKeys(n int) []string {
	space := testcloud.Directories(testcloud.Shape{}, int64(n+999)/1000, 1000)
	keys := make([]string, 0, n/2)
	for i := int64(1); i < int64(n); i += 2 {
		keys = append(keys, string(space.AppendKey(nil, i)))
	}
	return keys
}

// sendAtRate sends the names at the rate, as long as the service keeps up, and returns how long that and each call took.
func (s *service) sendAtRate(id string, keys []string) (took time.Duration, latencies []time.Duration) {
	s.t.Helper()
	calls := slices.Collect(slices.Chunk(keys, namesPerCall))
	latencies = make([]time.Duration, len(calls))
	began := time.Now()
	var next atomic.Int64
	var senders sync.WaitGroup
	for range syncSenders {
		senders.Go(func() {
			for {
				i := next.Add(1) - 1
				if int(i) >= len(calls) {
					return
				}
				due := began.Add(time.Duration(i) * namesPerCall * time.Second / syncRate)
				time.Sleep(time.Until(due)) // the load, not a synchronisation
				sent := time.Now()
				if err := s.client.CreateSyncEvents(s.t.Context(), id, calls[i]...); err != nil {
					s.t.Error(err)
					return
				}
				latencies[i] = time.Since(sent)
			}
		})
	}
	senders.Wait()
	return time.Since(began), latencies
}

// TestSyncBacklog sends names to a task whose destination is slow, until too many wait: the answer is 503 with
// OMS.2004 and tells when to come back, nothing of a refused call is taken, and nothing that was accepted is lost, over
// a kill neither.
func TestSyncBacklog(t *testing.T) {
	const objects, most, perCall = 1200, 300, 50
	_, src, srcStore := cloud(t, "lab-a", "source")
	dstCloud, dst, dstStore := cloud(t, "lab-b", "destination")
	for i := range objects {
		src.PutAt(fmt.Sprintf("k+%04d", i), content(100+i, uint64(i)), testcloud.Attrs{}, time.Now().Add(-time.Hour))
	}
	heal := dstCloud.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.PutObject}, Fault: testcloud.Delay(500 * time.Millisecond)})
	s := newService(t, srcStore, dstStore)
	s.configure(fmt.Sprintf("limits: {waiting_names_per_sync_task: %d}\n", most))
	s.start()
	id := s.createSync(srcStore, dstStore)
	refused, killed := 0, false
	deadline := time.Now().Add(3 * time.Minute)
	for call := range slices.Chunk(src.Keys(), perCall) {
		for {
			err := s.client.CreateSyncEvents(t.Context(), id, call...)
			if err == nil {
				break
			}
			e, ok := errors.AsType[*omsv2.Error](err)
			if !ok || e.StatusCode != http.StatusServiceUnavailable || e.Code != "OMS.2004" {
				t.Fatalf("refused with %v", err)
			}
			if time.Now().After(deadline) {
				t.Fatal("the backlog does not shrink")
			}
			refused++
			if refused == 2 {
				s.kill()
				s.start()
				killed = true
			}
			if refused == 4 {
				heal()
			}
			time.Sleep(100 * time.Millisecond) // what a polite sender does, shortened
		}
	}
	if refused < 4 || !killed {
		t.Errorf("only %d calls were refused: the test does not test what it should", refused)
	}
	within(t, 2*time.Minute, "all names are applied", func() bool {
		shown := s.showSync(id)
		return shown.MonthlySuccessObject+shown.MonthlySkipObject+shown.MonthlyFailureObject >= objects
	})
	shown := s.showSync(id)
	if shown.MonthlyAcceptanceRequest != objects || shown.MonthlySuccessObject != objects || shown.MonthlyFailureObject != 0 {
		t.Errorf("%+v", shown)
	}
	if diff := testcloud.Compare(src, dst, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
		t.Errorf("the destination differs: %v", diff)
	}
	s.mustShowMetrics(fmt.Sprintf(`oms_sync_names_total{result="refused"} %d`, (refused-2)*perCall))
}

func (s *service) createSync(src, dst store) string {
	s.t.Helper()
	created, err := s.client.CreateSyncTask(s.t.Context(), &omsv2.CreateSyncTaskRequest{
		SrcCloudType: "AWS", SrcRegion: src.region, SrcBucket: src.bucket, SrcAK: omsv2.Secret(src.ak), SrcSK: omsv2.Secret(src.sk),
		DstRegion: dst.region, DstBucket: dst.bucket, DstAK: omsv2.Secret(dst.ak), DstSK: omsv2.Secret(dst.sk),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return created.SyncTaskID
}

func (s *service) showSync(id string) *omsv2.ShowSyncTaskResponse {
	s.t.Helper()
	shown, err := s.client.ShowSyncTask(s.t.Context(), id, time.Now().UnixMilli())
	if err != nil {
		s.t.Fatal(err)
	}
	return shown
}

// mustShowMetrics waits until /metrics has the lines; some figures are a second old.
func (s *service) mustShowMetrics(lines ...string) {
	s.t.Helper()
	at, err := url.JoinPath(s.url, "metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range lines {
		within(s.t, 10*time.Second, "metrics show "+line, func() bool { return strings.Contains(get(s.t, at), line+"\n") })
	}
}

func get(t *testing.T, at string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", at, resp.StatusCode, err)
	}
	return string(body)
}
