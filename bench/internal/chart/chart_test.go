package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
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

func TestWiden(t *testing.T) {
	for _, test := range []struct {
		low, high float64
		want      []float64
	}{
		{3, 40, []float64{2, 5, 10, 20, 50}},
		{1, 1, []float64{1, 2}},
		{0.7, 9000, []float64{0.1, 1, 10, 100, 1000, 10000}},
		{100, 200, []float64{100, 200}},
	} {
		i := interval{test.low, test.high}
		got := i.widen()
		same := slices.EqualFunc(got, test.want, func(a, b float64) bool { return a > b*0.999 && a < b*1.001 })
		if !same || i.share(got[0]) != 0 || i.share(got[len(got)-1]) != 1 {
			t.Errorf("%v to %v: got %v, want %v", test.low, test.high, got, test.want)
		}
	}
}

func TestApart(t *testing.T) {
	got := apart([]float64{10, 12, 50, 95, 99}, 10, 100)
	if want := []float64{10, 20, 50, 90, 100}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
