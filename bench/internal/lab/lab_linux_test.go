package lab

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openoms/openoms/bench/internal/suite"
)

// newLab builds the servers and the copier and returns a lab on free ports.
func newLab(t *testing.T) (l *Lab, copier string) {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../../nulls3", "../../limit")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return &Lab{
		Server: filepath.Join(dir, "nulls3"), Timeout: time.Minute, Addresses: suite.Addresses{Source: freePort(t), Destination: freePort(t)},
		Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}, filepath.Join(dir, "limit")
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	return ln.Addr().String()
}

// shell is a tool that runs a script.
func shell(script string) suite.Tool {
	return suite.Tool{Name: "shell", Command: func(c suite.Call) suite.Command {
		return suite.Command{Args: []string{"/bin/sh", "-c", script}, Env: []string{"DIR=" + c.Dir}}
	}}
}

func TestRun(t *testing.T) {
	l, copier := newLab(t)
	scenarios := suite.Scenarios(0.001)

	t.Run("copier", func(t *testing.T) {
		for _, tool := range suite.Tools() {
			if tool.Program != "limit" {
				continue
			}
			for _, s := range scenarios {
				if s.Name == "c" || !tool.Does(s) {
					continue
				}
				r, err := l.Run(t.Context(), tool, copier, s)
				if err != nil {
					t.Fatalf("%s in %s: %v", tool.Name, s.Name, err)
				}
				if !r.Good() || r.Requests < 2 || r.Wall <= 0 || r.Correct != s.Objects {
					t.Errorf("%s in %s: got %+v, want a complete copy", tool.Name, s.Name, r)
				}
				if !s.Compare && r.Ops["dst.put"] != s.Objects {
					t.Errorf("%s in %s: got %v, want %d times dst.put", tool.Name, s.Name, r.Ops, s.Objects)
				}
			}
		}
	})
	t.Run("parts", func(t *testing.T) {
		s := scenarios[1]
		s.Server = append(s.Server, "-n", "2", "-size", "20M")
		s.Objects, s.Size = 2, 20<<20
		for _, mode := range []string{"nethttp", "raw", "splice"} {
			tool := suite.Tool{Name: mode, Command: func(c suite.Call) suite.Command {
				return suite.Command{Args: []string{c.Path, "-src", c.Source, "-dst", c.Destination, "-mode", mode, "-part", "8388608"}}
			}}
			r, err := l.Run(t.Context(), tool, copier, s)
			if err != nil || !r.Good() || r.Ops["dst.upload_part"] != 6 || r.OpenUploads != 0 {
				t.Errorf("%s: got %+v, %v; want two objects of three parts", mode, r, err)
			}
		}
	})
	t.Run("a tool that fails", func(t *testing.T) {
		r, err := l.Run(t.Context(), shell("echo no luck; exit 3"), "", scenarios[0])
		if err != nil || r.Exit != 3 || r.Complete || r.Good() || !strings.Contains(r.Output, "no luck") {
			t.Errorf("got %+v, %v; want exit 3, incomplete, with its output", r, err)
		}
	})
	t.Run("a tool that hangs", func(t *testing.T) {
		short := *l
		short.Timeout = 50 * time.Millisecond
		r, err := short.Run(t.Context(), shell("sleep 3600 & sleep 3600"), "", scenarios[0])
		if err != nil || !r.TimedOut || r.Good() {
			t.Errorf("got %+v, %v; want the time limit", r, err)
		}
	})
	t.Run("a tool that leaves a process behind", func(t *testing.T) {
		note := filepath.Join(t.TempDir(), "pid")
		_, err := l.Run(t.Context(), shell("sleep 3600 >/dev/null 2>&1 & echo $! > "+note), "", scenarios[0])
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		for syscall.Kill(pid, 0) == nil && !isZombie(pid) {
			select { // it was killed; the kernel may need a moment
			case <-t.Context().Done():
				t.Fatal("still there")
			case <-time.After(time.Millisecond):
			}
		}
	})
	t.Run("ports in use", func(t *testing.T) {
		ln, err := net.Listen("tcp", l.Source)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		if _, err := l.Run(t.Context(), shell("true"), "", scenarios[0]); err == nil || !strings.Contains(err.Error(), l.Source) {
			t.Errorf("got %v, want an error that names the address", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tool := shell("sleep 3600")
		command := tool.Command
		tool.Command = func(c suite.Call) suite.Command { cancel(); return command(c) }
		if _, err := l.Run(ctx, tool, "", scenarios[0]); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if err := CheckPorts(t.Context(), l.Addresses); err != nil {
			t.Errorf("the servers are still there: %v", err)
		}
	})
}

// isZombie reports whether a process has ended and waits to be noticed.
func isZombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(text), ") Z ")
}

func TestVersion(t *testing.T) {
	got, err := Version(t.Context(), "/bin/sh", []string{"-c", "echo tool 1.2; echo more"})
	if err != nil || got != "tool 1.2" {
		t.Errorf("got %q, %v; want the first line", got, err)
	}
	if _, err := Version(t.Context(), "/bin/sh", []string{"-c", "exit 1"}); err == nil {
		t.Error("got no error of a program that fails")
	}
}

func TestHost(t *testing.T) {
	h, err := NewHost()
	if err != nil {
		t.Fatal(err)
	}
	m, err := h.Describe()
	if err != nil || m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" {
		t.Errorf("got %+v, %v", m, err)
	}
	if residentTree(os.Getpid()) < 1<<20 {
		t.Error("got less than 1 MiB resident for this process")
	}
}
