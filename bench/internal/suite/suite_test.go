package suite

import (
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/bench/internal/result"
)

func names(all []Scenario) (n []string) {
	for _, s := range all {
		if !slices.Contains(n, s.Name) {
			n = append(n, s.Name)
		}
	}
	return n
}

func TestScenarios(t *testing.T) {
	if got := names(Scenarios(1)); !slices.Equal(got, []string{"a", "b", "c", "d", "e", "f", "g"}) {
		t.Errorf("got %v", got)
	}
	if got := names(Growth(1)); !slices.Equal(got, []string{"keys", "size", "parts", "slots", "slots-latency"}) {
		t.Errorf("got %v", got)
	}
	for _, scale := range []float64{1, 1e-9} {
		for _, s := range append(Scenarios(scale), Growth(scale)...) {
			if s.Objects < 1 || s.Size < 1 || s.Compare != slices.Contains(s.Server, "-dst-full") || (s.Bytes() == 0) != s.Compare {
				t.Errorf("%+v", s)
			}
		}
	}
	for _, s := range Growth(1) {
		if s.X <= 0 {
			t.Errorf("%s has no point", s.Title)
		}
	}
}

func TestPick(t *testing.T) {
	for list, want := range map[string]string{"": "a b c d e f g", "d": "d", "f,a": "a f"} {
		got, err := Pick(Scenarios(1), list)
		if err != nil || strings.Join(names(got), " ") != want {
			t.Errorf("%q: got %v, %v; want %s", list, names(got), err, want)
		}
	}
	if _, err := Pick(Scenarios(1), "a,z"); err == nil {
		t.Error("got no error of a scenario that is none")
	}
	tools, err := PickTools(Tools(), "mc,oms")
	if err != nil || len(tools) != 2 || tools[0].Name != "mc" || tools[1].Class != result.Ours {
		t.Errorf("got %v, %v; want mc and oms", tools, err)
	}
	if _, err := PickTools(Tools(), "z"); err == nil {
		t.Error("got no error of a tool that is none")
	}
}

// TestCommands checks that every tool in every scenario starts its program, and knows both servers.
func TestCommands(t *testing.T) {
	a := Addresses{Source: "127.0.0.1:1001", Destination: "127.0.0.1:1002"}
	tools := append(Tools(), Custom("mine", "copy {src} {dst} {n} {dir}"))
	for _, s := range append(Scenarios(1), Growth(1)...) {
		for _, tool := range tools {
			if tool.Does != nil && !tool.Does(s) {
				continue
			}
			c := tool.Command(Call{Scenario: s, Addresses: a, Path: "/bin/tool", Dir: "/tmp/dir", RAM: "/tmp/ram"})
			all := strings.Join(append(slices.Clone(c.Env), c.Args...), " ")
			for _, want := range []string{"/bin/tool", a.Source, a.Destination} {
				if !strings.Contains(all, want) {
					t.Errorf("%s in %s: no %s in %s", tool.Name, s.Name, want, all)
				}
			}
		}
	}
	for _, tool := range tools {
		if tool.Name == "" || tool.Program == "" || tool.Class == result.Peer && tool.Get == "" {
			t.Errorf("%+v is not complete", tool)
		}
	}
}

// TestTunedLarge checks that the flags with which rclone fails on large objects are left out there.
func TestTunedLarge(t *testing.T) {
	for _, s := range Scenarios(1) {
		got := slices.Contains(rcloneTuned(Call{Scenario: s}).Args, "--s3-no-head")
		if want := s.Name != "c"; got != want {
			t.Errorf("%s: got --s3-no-head %t, want %t", s.Name, got, want)
		}
	}
}
