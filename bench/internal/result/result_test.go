package result

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is a small measurement: two repetitions of two scenarios with four tools.
func sample() *File {
	f := &File{
		Started: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Commit: "abc", Absent: []string{"gone"},
		Machine: Machine{CPU: "Test CPU", Cores: 2, Memory: 8 << 30, Kernel: "6.1", Go: "go1.26", Pinned: true, Load: 0.5},
		Tools:   []Tool{{"oms", Ours, "1"}, {"limit", Copier, "-"}, {"quick", Peer, "2"}, {"sound", Peer, "3"}},
	}
	for rep := range 2 {
		extra := float64(rep) // the second run needs more
		for _, r := range []Run{
			{Tool: "sound", User: 4, Complete: true},
			{Tool: "oms", User: 2 + extra, Complete: true},
			{Tool: "quick", User: 3, Exit: 1, Correct: 99},
			{Tool: "limit", User: 1, Complete: true},
		} {
			r.Scenario, r.Title, r.Objects, r.Bytes, r.Wall, r.System, r.Memory = "a", "small", 100, 100*4096, 10, 0.5, 64<<20
			if r.Complete {
				r.Correct = r.Objects
			}
			f.Runs = append(f.Runs, r)
		}
	}
	for _, x := range []float64{1000, 10} {
		f.Runs = append(f.Runs, Run{Tool: "oms", Scenario: "keys", Title: "by keys", X: x, Objects: int64(x), Compare: true, User: 1, Wall: 1, Complete: true})
	}
	return f
}

func TestGroups(t *testing.T) {
	groups := sample().Groups()
	if len(groups) != 3 || groups[0].Scenario != "a" || groups[1].X != 10 || groups[2].X != 1000 {
		t.Fatalf("got %+v, want a and the points in order", groups)
	}
	g := groups[0]
	var order []string
	for _, s := range g.Summaries {
		order = append(order, s.Tool.Name)
	}
	if want := []string{"limit", "oms", "quick", "sound"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v: by CPU", order, want)
	}
	if g.Base != 1.5 || g.Best.Tool.Name != "sound" {
		t.Errorf("got base %v and best %q, want 1.5 and the peer that copied everything", g.Base, g.Best.Tool.Name)
	}
	if got, want := g.Summaries[1].CPU, (Spread{2.5, 3, 3.5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := g.CPUPerUnit(3); got != 30_000 || g.Unit() != "CPU µs/object" {
		t.Errorf("got %v %s, want 30000 microseconds", got, g.Unit())
	}
	g.Bytes = 100 << 30
	if got := g.CPUPerUnit(3); got != 0.03 || g.RateUnit() != "MiB/s" || g.Rate(100) != 1024 {
		t.Errorf("got %v s/GiB and %v %s, want 0.03 and 1024 MiB/s", got, g.Rate(100), g.RateUnit())
	}
}

func TestTables(t *testing.T) {
	got := sample().Markdown("x.svg")
	for _, want := range []string{
		"# Measured on 4 May 2026\n", "![CPU and wall time](x.svg)", "### (a) small\n", "not measured: gone",
		"| **oms** | 2 | 3.00 (2.50–3.50) | 2.50 + 0.50 | 30000 | 2.00 | 0.67 | 10.0 | 64.0 | 10.0 | 0.000 | yes | 0 |\n",
		"| quick | 2 | 3.50 | 3.00 + 0.50 | 35000 | 2.33 | 0.78 | 10.0 | 64.0 | 10.0 | 0.000 | **no** (99 of 100) | 1 |\n",
		"### by keys\n", "| keys | tool |", "| 10 | **oms** | 1 | 1.00 | 1.00 + 0.00 | 100000 | – | – |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "### by keys"); n != 1 {
		t.Errorf("got %d tables of one scenario that grows, want 1", n)
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		numbers []float64
		want    Spread
	}{
		{nil, Spread{}},
		{[]float64{2}, Spread{2, 2, 2}},
		{[]float64{3, 1}, Spread{1, 2, 3}},
		{[]float64{9, 1, 2}, Spread{1, 2, 9}},
	} {
		if got := Of(test.numbers); got != test.want {
			t.Errorf("%v: got %+v, want %+v", test.numbers, got, test.want)
		}
	}
}

func TestFiles(t *testing.T) {
	base := filepath.Join(t.TempDir(), "day")
	for _, want := range []string{base, base + "-2", base + "-3"} {
		got, err := FreeName(base)
		if err != nil || got != want {
			t.Fatalf("got %s, %v; want %s", got, err, want)
		}
		if err := sample().Save(got + ".json"); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Load(base + ".json")
	if err != nil || f.Markdown("x") != sample().Markdown("x") {
		t.Errorf("got %+v, %v; want what was saved", f, err)
	}
	if err := os.WriteFile(base, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(base); err == nil {
		t.Error("got no error of a broken file")
	}
}

func TestSplice(t *testing.T) {
	const page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n"
	got, err := Splice(page, "x", "new\n")
	if want := strings.Replace(page, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := Splice(page, "z", ""); err == nil {
		t.Error("got no error of a page without the comments")
	}
}
