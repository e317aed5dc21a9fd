// Package lab starts the servers and a tool, measures the tool and sees to it that nothing of a run is left behind:
// every process is in a group of its own, which is killed by its number when the run is over, when its time is up and
// when the context ends.
package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/openoms/openoms/bench/internal/result"
	"github.com/openoms/openoms/bench/internal/suite"
)

// Bounds that no run exceeds.
const (
	startPatience = time.Minute     // for the servers to listen
	askPatience   = 2 * time.Minute // for an answer of theirs; /_verify looks at every object
	stopPatience  = 5 * time.Second
	sampleEvery   = 100 * time.Millisecond
	outputKept    = 2000 // bytes of the end of a tool's output
)

// Lab runs tools. Its fields are set once; one run at a time.
type Lab struct {
	Server  string        // path of nulls3
	Timeout time.Duration // of one run of a tool
	Client  *http.Client  // asks the servers
	Host    Host
	suite.Addresses
}

// CheckPorts returns an error when something listens on the servers' addresses already.
func CheckPorts(ctx context.Context, a suite.Addresses) error {
	for _, address := range []string{a.Source, a.Destination} {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("the servers need %s for themselves: %w", address, err)
		}
		if err := ln.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a tool once against fresh servers. What the tool does wrong is part of the result; an error means that
// nothing could be measured.
func (l *Lab) Run(ctx context.Context, tool suite.Tool, path string, s suite.Scenario) (r result.Run, err error) {
	if err := CheckPorts(ctx, l.Addresses); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "oms-bench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	call := suite.Call{Scenario: s, Addresses: l.Addresses, Path: path, Dir: filepath.Join(dir, "tool"), RAM: filepath.Join(dir, "ram")}
	if memory, mkErr := os.MkdirTemp("/dev/shm", "oms-bench-"); mkErr == nil {
		defer func() { err = errors.Join(err, os.RemoveAll(memory)) }()
		call.RAM = filepath.Join(memory, "ram")
	}
	for _, d := range []string{call.Dir, call.RAM} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return r, err
		}
	}
	stop, err := l.serve(ctx, s.Server)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	var before, src, dst serverStats
	if err := l.ask(ctx, l.Destination, "/_stats", &before); err != nil {
		return r, err
	}
	r = result.Run{
		Tool: tool.Name, Scenario: s.Name, Title: s.Title, X: s.X, Compare: s.Compare, Objects: s.Objects, Bytes: s.Bytes(),
		Ops: map[string]int64{},
	}
	output, err := l.measure(ctx, tool.Command(call), dir, &r)
	if err != nil {
		return r, err
	}
	if err := l.ask(ctx, l.Source, "/_stats", &src); err != nil {
		return r, err
	}
	if err := l.ask(ctx, l.Destination, "/_stats", &dst); err != nil {
		return r, err
	}
	r.ServerCPU = dst.ServerCPU - before.ServerCPU
	src.addTo(&r, "src.")
	dst.addTo(&r, "dst.")
	var v struct {
		Correct  int64 `json:"correct"`
		Complete bool  `json:"complete"`
	}
	if err := l.ask(ctx, l.Destination, "/_verify", &v); err != nil {
		return r, err
	}
	r.Correct, r.Complete = v.Correct, v.Complete
	if !r.Good() {
		r.Output = output
	}
	r.Load, err = l.Host.Load()
	return r, err
}

// serverStats is what is read of the answer to /_stats.
type serverStats struct {
	Ops         map[string]int64 `json:"ops"`
	Requests    int64            `json:"requests"`
	Connections int64            `json:"connections"`
	OpenUploads int              `json:"open_uploads"`
	Faults      map[string]int64 `json:"faults"`
	ServerCPU   float64          `json:"server_cpu_seconds"`
}

// addTo adds one endpoint to a result.
func (s serverStats) addTo(r *result.Run, side string) {
	for name, n := range s.Ops {
		if name != "other" { // our own questions, and the like
			r.Ops[side+name] = n
		}
	}
	for _, n := range s.Faults {
		r.Faults += n
	}
	r.Requests += s.Requests
	r.Connections += s.Connections
	r.OpenUploads += s.OpenUploads
}

// ask asks one of the servers.
func (l *Lab) ask(ctx context.Context, address, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	resp, err := l.Client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the server: %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// group prepares a command whose processes die together.
func group(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = processGroup()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = stopPatience
	return cmd
}

// killGroup kills the process group of a process that was started as its leader. One that has ended is none.
func killGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// serve starts the servers and waits until they listen.
func (l *Lab) serve(ctx context.Context, flags []string) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := group(ctx, l.Server, append([]string{"-src", l.Source, "-dst", l.Destination}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := l.Host.start(cmd, serverCore); err != nil {
		cancel()
		return nil, fmt.Errorf("start the servers: %w", err)
	}
	timer := time.AfterFunc(startPatience, cancel)
	line, err := bufio.NewReader(out).ReadString('\n')
	if !timer.Stop() || err != nil {
		cancel()
		waitErr := cmd.Wait()
		return nil, fmt.Errorf("the servers did not start: %w: %s", errors.Join(err, waitErr), strings.TrimSpace(line+problems.String()))
	}
	return func() error {
		cancel()
		if err := cmd.Wait(); cmd.ProcessState == nil {
			return fmt.Errorf("stop the servers: %w", err)
		}
		return nil
	}, nil
}

// measure runs a command to its end and notes what it cost. It returns the end of its output.
func (l *Lab) measure(ctx context.Context, c suite.Command, dir string, r *result.Run) (output string, err error) {
	log, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	limited, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	cmd := group(limited, c.Args[0], c.Args[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	start := time.Now()
	if err := l.Host.start(cmd, toolCore); err != nil {
		return "", fmt.Errorf("start %s: %w", r.Tool, err)
	}
	ended := make(chan struct{})
	largest := make(chan int64)
	go func() { largest <- watchMemory(cmd.Process.Pid, ended) }()
	waitErr := cmd.Wait()
	r.Wall = time.Since(start).Seconds()
	close(ended)
	r.Memory = <-largest
	if cmd.ProcessState == nil {
		return "", fmt.Errorf("wait for %s: %w", r.Tool, waitErr)
	}
	if err := killGroup(cmd.Process.Pid); err != nil { // of what it may have left behind
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	r.Exit, r.TimedOut = cmd.ProcessState.ExitCode(), limited.Err() != nil
	r.User, r.System = cmd.ProcessState.UserTime().Seconds(), cmd.ProcessState.SystemTime().Seconds()
	r.Memory = max(r.Memory, largestProcess(cmd.ProcessState))
	return tail(log)
}

// tail returns the end of what was written to a file.
func tail(f *os.File) (string, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	b := make([]byte, min(size, outputKept))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.ToValidUTF8(string(b), "?"), nil
}

// watchMemory returns the largest resident set, in bytes, of a process and its descendants together.
func watchMemory(pid int, ended <-chan struct{}) (largest int64) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return largest
		case <-tick.C:
			largest = max(largest, residentTree(pid))
		}
	}
}

// Version runs a program to ask for its version and returns the first line that it prints.
func Version(ctx context.Context, path string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := group(ctx, path, args...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", path, err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}
