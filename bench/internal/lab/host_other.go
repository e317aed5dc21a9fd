//go:build !linux

package lab

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/openoms/openoms/bench/internal/result"
)

const (
	serverCore = 0
	toolCore   = 1
)

// Host is the machine. Only Linux can be measured on.
type Host struct{}

var errPlatform = errors.New("measuring needs Linux: cores and memory are read from /proc")

// NewHost returns an error.
func NewHost() (Host, error) { return Host{}, errPlatform }

func (h Host) start(*exec.Cmd, int) error { return errPlatform }

// Load returns an error.
func (h Host) Load() (float64, error) { return 0, errPlatform }

// Describe returns an error.
func (h Host) Describe() (result.Machine, error) { return result.Machine{}, errPlatform }

func processGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func largestProcess(*os.ProcessState) int64 { return 0 }

func residentTree(int) int64 { return 0 }
