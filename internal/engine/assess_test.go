package engine_test

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// An assessment counts what the bucket holds and is still known to the next process; the keys of another account and
// foreign projects get nothing.
func TestAssessment(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(1500, 10, "o/")
	l.from.Put("a//b\n/", nil, testcloud.Attrs{})
	l.from.Put("big", make([]byte, 9<<20), testcloud.Attrs{})
	l.from.Put("x/\xff", []byte("12345"), testcloud.Attrs{})
	p := l.start(l.options("one"))
	spec := l.task(nil).Spec
	a, err := p.Assess(t.Context(), project, spec.Src, keys().Src)
	if err != nil || a.Status != oms.AssessmentRunning || a.ID == "" {
		t.Fatalf("got %+v, %v", a, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for a.Status == oms.AssessmentRunning {
		<-tick.C
		if a, err = p.Assessment(t.Context(), project, a.ID); err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	p = l.start(l.options("two"))
	if a, err = p.Assessment(t.Context(), project, a.ID); err != nil || a.Status != oms.AssessmentSucceeded || a.Error != nil || a.EndedAt.IsZero() {
		t.Fatalf("got %+v, %v", a, err)
	}
	r := a.Report
	if r.Objects != 1503 || r.Bytes != 15_000+9<<20+5 || r.Largest != 9<<20 || r.Sample.Asked != 200 || r.Sample.Failed != 0 {
		t.Errorf("got %+v", r)
	}
	if len(r.Sizes) != 3 || r.Sizes[0] != (oms.SizeClass{Objects: 1}) || r.Sizes[1] != (oms.SizeClass{UpTo: 4 << 10, Objects: 1501, Bytes: 15_005}) {
		t.Errorf("sizes %+v", r.Sizes)
	}
	traits := map[string]int64{}
	for _, k := range r.Keys {
		traits[k.Trait] = k.Objects
	}
	for _, want := range []string{"double_slash", "control_characters", "slash_at_the_end", "not_utf8"} {
		if traits[want] != 1 {
			t.Errorf("traits %+v: want %s", traits, want)
		}
	}
	if r.Requests.Read != 1502+3 || r.Requests.Write != 1502+4 || r.Requests.List != 3 {
		t.Errorf("requests %+v", r.Requests)
	}
	if _, err := p.Assessment(t.Context(), "other", a.ID); oms.CodeOf(err) != "OMS.1009" {
		t.Errorf("of another project: %v", err)
	}
	wrong := keys().Src
	wrong.SecretKey = oms.NewSecret("wrong")
	if _, err := p.Assess(t.Context(), project, spec.Src, wrong); oms.CodeOf(err) != "OMS.1014" {
		t.Errorf("with wrong keys: %v", err)
	}
	late := oms.Assessment{Status: oms.AssessmentRunning, UpdatedAt: time.Unix(100, 0)}
	if late.Settled(time.Unix(160, 0)).Status != oms.AssessmentRunning || late.Settled(time.Unix(161, 0)).Status != oms.AssessmentFailed {
		t.Error("an assessment without news is interrupted after a minute")
	}
}
