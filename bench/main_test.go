package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/bench/internal/lab"
	"github.com/openoms/openoms/bench/internal/result"
	"github.com/openoms/openoms/bench/internal/suite"
)

func TestParse(t *testing.T) {
	for _, args := range []string{"--reps 0", "--scale -1", "--timeout 0s", "--doc x", "more", "--custom x", "--custom x= ", "--none"} {
		if _, err := parse(io.Discard, strings.Split(args, " "), ""); err == nil {
			t.Errorf("%s: got no error", args)
		}
	}
	o, err := parse(io.Discard, []string{"--custom", "new=/bin/copy {src} a=b"}, "/peers")
	if err != nil || o.reps != 5 || o.peers != "/peers" || len(o.custom) != 1 || o.custom[0].Program != "/bin/copy" {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestReport writes tables again from the raw figures, and puts them into a page.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	base, page := filepath.Join(dir, "day"), filepath.Join(dir, "page.md")
	for name, x := range map[string]float64{"bench": 0, "growth": 10} {
		f := result.File{
			Tools: []result.Tool{{Name: "oms", Class: result.Ours}},
			Runs:  []result.Run{{Tool: "oms", Scenario: "keys", Title: "a title", X: x, Objects: 10, Wall: 1, User: 1, Complete: true}},
		}
		if err := f.Save(base + ".json"); err != nil {
			t.Fatal(err)
		}
		marks := "<!-- " + name + ": begin -->\nold\n<!-- " + name + ": end -->\n"
		if err := os.WriteFile(page, []byte(marks), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), io.Discard, []string{"--report", base + ".json", "--doc", page}, "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{page: "](day.svg)", base + ".md": "a title", base + ".svg": "<svg "} {
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), want) || strings.Contains(string(text), "old") {
				t.Errorf("%s, %s: got %s, %v; want %q in it", name, path, text, err, want)
			}
		}
	}
}

// TestFind names what is missing: of the checkout it is an error, of the other tools a note.
func TestFind(t *testing.T) {
	var out strings.Builder
	bin := t.TempDir()
	s := &session{opts: options{bin: bin, peers: bin}, out: &out, file: &result.File{}, paths: map[string]string{}, lab: &lab.Lab{Server: "/bin/sh"}}
	missing := suite.Custom("other", "no-such-program-anywhere")
	found, err := s.find(t.Context(), []suite.Tool{missing, suite.Custom("shell", "/bin/sh")})
	if err != nil || len(found) != 1 || found[0].Name != "shell" || s.paths["/bin/sh"] != "/bin/sh" {
		t.Errorf("got %v, %v, %v; want the shell only", found, s.paths, err)
	}
	if !strings.Contains(out.String(), "left out: other") || len(s.file.Absent) != 1 {
		t.Errorf("got %q, want a note of what is left out", out.String())
	}
	if _, err := s.find(t.Context(), suite.Tools()[:1]); err == nil || !strings.Contains(err.Error(), "make bench builds it") {
		t.Errorf("got %v, want an error that says how to build oms", err)
	}
}
