package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openoms/openoms/bench/internal/result"
)

// Cores of the two sides.
const (
	serverCore = 0
	toolCore   = 1
)

// Host is the machine. The zero value does not pin.
type Host struct {
	pinned bool
}

// NewHost returns a host that keeps the servers and this process on one core and the tools on another, if the machine
// has two that this process may use.
func NewHost() (Host, error) {
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return Host{}, fmt.Errorf("cores: %w", err)
	}
	if !may.IsSet(serverCore) || !may.IsSet(toolCore) {
		return Host{}, nil
	}
	return Host{pinned: true}, nil
}

// start starts a command on one core. A process inherits the core of the thread that starts it, so that it is there from
// its first instruction.
func (h Host) start(cmd *exec.Cmd, core int) error {
	if !h.pinned {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	startErr := cmd.Start()
	if err := unix.SchedSetaffinity(0, &before); err != nil {
		return err
	}
	return startErr
}

// processGroup puts a process into a group of its own, which dies with this process.
func processGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// largestProcess returns the largest resident set of any process of the tree, in bytes; 0 when it is not known. The
// kernel counts this process's memory before exec as well, so a smaller figure says nothing.
func largestProcess(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	var own syscall.Rusage
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || usage.Maxrss <= own.Maxrss {
		return 0
	}
	return usage.Maxrss << 10
}

// residentTree returns the resident set of a process and its descendants, in bytes. Processes that end meanwhile count
// as nothing.
func residentTree(pid int) int64 {
	total := resident(pid)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return total
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				total += residentTree(child)
			}
		}
	}
	return total
}

func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Load returns the load average of one minute.
func (h Host) Load() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(first, 64)
}

// Describe says what the machine is.
func (h Host) Describe() (result.Machine, error) {
	m := result.Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Pinned: h.pinned}
	var err error
	if m.Load, err = h.Load(); err != nil {
		return m, err
	}
	if m.CPU, err = value("/proc/cpuinfo", "model name"); err != nil {
		return m, err
	}
	memory, err := value("/proc/meminfo", "MemTotal")
	if err != nil {
		return m, err
	}
	kibibytes, err := strconv.ParseInt(strings.TrimSuffix(memory, " kB"), 10, 64)
	if err != nil {
		return m, err
	}
	m.Memory = kibibytes << 10
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(kernel))
	return m, err
}

// value returns the first value of a name in a file of "name: value" lines; "" when there is none.
func value(path, name string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // was only read
	s := bufio.NewScanner(f)
	for s.Scan() {
		key, v, _ := strings.Cut(s.Text(), ":")
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(v), nil
		}
	}
	return "", s.Err()
}
