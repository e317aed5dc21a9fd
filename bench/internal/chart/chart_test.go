package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openoms/openoms/bench/internal/result"
)

func sample() *result.File {
	f := &result.File{Tools: []result.Tool{{Name: "oms", Class: result.Ours}, {Name: "a<b", Class: result.Peer}}}
	for _, scenario := range []string{"a", "b"} {
		for _, tool := range f.Tools {
			f.Runs = append(f.Runs, result.Run{
				Tool: tool.Name, Scenario: scenario, Title: "title & more", Objects: 10, Bytes: 40960, User: 1, Wall: 2,
				Complete: tool.Class == result.Ours,
			})
		}
	}
	return f
}

// check fails unless the picture is well-formed, without numbers that are none, and has the words.
func check(t *testing.T, picture string, words ...string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
	}
	for _, bad := range []string{"NaN", "Inf"} {
		if strings.Contains(picture, bad) {
			t.Errorf("%s in\n%s", bad, picture)
		}
	}
	for _, want := range words {
		if !strings.Contains(picture, want) {
			t.Errorf("no %q in\n%s", want, picture)
		}
	}
}

func TestBars(t *testing.T) {
	check(t, Bars(sample()), "(a) title &amp; more", "(b) title", "a&lt;b", "1.0 s CPU, 2.0 s<", "1.0 s CPU, 2.0 s, failed<")
	check(t, Bars(&result.File{}))
}

func TestCurves(t *testing.T) {
	f := sample()
	for i := range f.Runs {
		f.Runs[i].X = float64(10 * (i + 1))
	}
	f.Runs = append(f.Runs, f.Runs[0])
	f.Runs[len(f.Runs)-1].X = 1e6
	check(t, Curves(f), ">1M<", "CPU µs/object", "objects/s", "polyline")
	check(t, Curves(&result.File{Tools: f.Tools, Runs: f.Runs[:1]}))
}

func TestNiceStep(t *testing.T) {
	for top, want := range map[float64]float64{0: 1, 1: 0.2, 4: 1, 9: 2, 100: 20, 260: 100} {
		if got := niceStep(top); got < want*0.99 || got > want*1.01 {
			t.Errorf("%v: got %v, want %v", top, got, want)
		}
	}
}
