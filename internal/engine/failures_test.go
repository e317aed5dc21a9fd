package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// A retry by cause runs over the failures with that cause only: the others are neither read nor counted again, and the
// task stays failed as long as there are any, with balanced books (rules P3 and P4).
func TestRetryByCause(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(50, 100, "o/")
	l.seed(7, 100, "read/")
	l.seed(5, 100, "write/")
	below := func(prefix string) func(string) bool {
		return func(k string) bool { return strings.HasPrefix(k, prefix) }
	}
	healRead := l.src.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.GetObject}, Key: below("read/"), Fault: testcloud.Fail(403, "AccessDenied"),
	})
	healWrite := l.dst.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.PutObject}, Key: below("write/"), Fault: testcloud.Fail(400, "InvalidArgument"),
	})
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) { s.RecordFailures = false }) // failures are kept whether a list is written or not
	p.fail(id, "TRF.0004")

	causes, err := p.Causes(t.Context(), project, id, oms.FailureFilter{})
	if err != nil || len(causes) != 2 || causes[0].Code != oms.FailGet || causes[0].Count != 7 || causes[0].Bytes != 700 ||
		causes[1].Code != oms.FailUpload || causes[1].Count != 5 || len(causes[1].Samples) != oms.CauseSamples || causes[1].Samples[0].Key != "write/00000" {
		t.Fatalf("causes %+v, %v", causes, err)
	}
	for name, req := range map[string]struct {
		codes []string
		want  string
	}{"a cause that none has": {[]string{oms.FailGet, oms.FailName}, "OMS.1003"}} {
		if err := p.Retry(t.Context(), project, id, oms.StartRequest{Credentials: keys(), Codes: req.codes}); oms.CodeOf(err) != req.want {
			t.Errorf("%s: got %v, want %s", name, err, req.want)
		}
	}

	healRead()
	healWrite()
	l.src.ClearRecords()
	retry := func(codes ...string) {
		t.Helper()
		if err := p.Retry(t.Context(), project, id, oms.StartRequest{Credentials: keys(), Codes: codes}); err != nil {
			t.Fatal(err)
		}
	}
	retry(oms.FailUpload)
	task := p.fail(id, "TRF.0004")
	if got := task.Counters; got.Listed != 62 || got.Migrated != 55 || got.Failed != 7 || !got.Balanced() || !task.FailedOnly {
		t.Errorf("after the first retry: %+v, want 55 migrated and 7 failed of 62", got)
	}
	for _, r := range l.src.Requests() {
		if r.Op == testcloud.GetObject && !strings.HasPrefix(r.Key, "write/") {
			t.Errorf("%q was read by a retry of another cause", r.Key)
		}
	}
	left, err := p.FindFailures(t.Context(), project, id, oms.FailureFilter{Limit: 100})
	if err != nil || len(left) != 7 || slices.ContainsFunc(left, func(f oms.Failure) bool { return f.Code != oms.FailGet }) {
		t.Errorf("%d failures are left, %v: %+v", len(left), err, left)
	}
	retry()
	task = p.succeed(id)
	if got := task.Counters; got.Migrated != 62 || got.Failed != 0 {
		t.Errorf("after the second retry: %+v, want 62 migrated", got)
	}
	if err := p.Retry(t.Context(), project, id, oms.StartRequest{Credentials: keys()}); oms.CodeOf(err) != "OMS.0167" {
		t.Errorf("retry of a task without failures: got %v, want OMS.0167", err)
	}
}

// A retry by cause that is paused goes on as what it was; a full start afterwards is limited to nothing.
func TestRetryByCausePaused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(30, 128<<10, "a/")
	l.seed(4, 100, "b/")
	heal := l.src.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Fault: testcloud.Fail(403, "AccessDenied")})
	p := l.start(l.options("one"))
	id := p.create(slow)
	p.fail(id, "TRF.0004")
	heal()
	healWrite := l.dst.Faults.Add(testcloud.Rule{
		Ops: []testcloud.Op{testcloud.PutObject}, Key: func(k string) bool { return strings.HasPrefix(k, "b/") }, Fault: testcloud.Fail(400, "InvalidArgument"),
	})
	retry := func(codes ...string) {
		t.Helper()
		if err := p.Retry(t.Context(), project, id, oms.StartRequest{Credentials: keys(), Codes: codes}); err != nil {
			t.Fatal(err)
		}
	}
	retry(oms.FailGet)
	p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 3 })
	if paused := p.pause(id); !slices.Equal(paused.Spec.RetryCodes, []string{oms.FailGet}) {
		t.Errorf("paused with codes %q", paused.Spec.RetryCodes)
	}
	p.resume(id, oms.StartRequest{Credentials: keys()})
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	task := p.fail(id, "TRF.0004")
	if got := task.Counters; got.Migrated != 30 || got.Failed != 4 || !got.Balanced() {
		t.Errorf("counted %+v, want 30 migrated and 4 failed", got)
	}
	healWrite()
	p.resume(id, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	if task = p.succeed(id); len(task.Spec.RetryCodes) != 0 {
		t.Errorf("a run over all failures has codes %q", task.Spec.RetryCodes)
	}
}
