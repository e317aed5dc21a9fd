// Package result keeps what was measured and says it in tables. It reads no clock and measures nothing.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// File is everything about one measurement: enough to make its tables and pictures again.
type File struct {
	Started time.Time `json:"started"`
	Commit  string    `json:"commit"` // of the checkout; with "+" when it had changes
	Machine Machine   `json:"machine"`
	Tools   []Tool    `json:"tools"` // in the order of the command line
	Absent  []string  `json:"absent,omitempty"`
	Runs    []Run     `json:"runs"` // in the order in which they were made
}

// Machine is what the figures depend on.
type Machine struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory int64   `json:"memory"` // bytes
	Kernel string  `json:"kernel"`
	Go     string  `json:"go"`     // that built oms, servers and copier
	Pinned bool    `json:"pinned"` // servers on one core, the tool on another
	Load   float64 `json:"load"`   // of one minute, before the first run
}

// A Class says what a tool is compared as.
type Class string

// Classes of tools.
const (
	Ours   Class = "oms"
	Copier Class = "copier" // the bare copier that marks the floor
	Peer   Class = "peer"
)

// Tool is one that took part.
type Tool struct {
	Name    string `json:"name"`
	Class   Class  `json:"class"`
	Version string `json:"version"` // as the program says itself
}

// Run is one run of one tool in one scenario.
type Run struct {
	Tool     string  `json:"tool"`
	Scenario string  `json:"scenario"`
	Title    string  `json:"title"`
	X        float64 `json:"x,omitempty"` // the point, in a scenario that grows
	Compare  bool    `json:"compare,omitempty"`
	Objects  int64   `json:"objects"` // of the source
	Bytes    int64   `json:"bytes"`   // to copy; 0 when there was nothing to do

	Wall      float64 `json:"wall"`   // seconds
	User      float64 `json:"user"`   // seconds of CPU
	System    float64 `json:"system"` // seconds of CPU
	Memory    int64   `json:"memory"` // bytes: the largest resident set of the tool's processes together
	ServerCPU float64 `json:"server_cpu"`
	Load      float64 `json:"load"` // of one minute, at the end

	Requests    int64            `json:"requests"` // both endpoints
	Ops         map[string]int64 `json:"ops"`      // by endpoint and operation
	Connections int64            `json:"connections"`
	Faults      int64            `json:"faults,omitempty"` // that were injected
	OpenUploads int              `json:"open_uploads,omitempty"`

	Correct  int64  `json:"correct"`  // objects that are as they should be at the destination
	Complete bool   `json:"complete"` // all of them, and nothing else
	Exit     int    `json:"exit"`     // status; -1 when a signal ended it
	TimedOut bool   `json:"timed_out,omitempty"`
	Output   string `json:"output,omitempty"` // the end of it, when something was not as it should be
}

// CPU returns the seconds of CPU that the tool used.
func (r Run) CPU() float64 { return r.User + r.System }

// Good reports whether the run did what it should and said so.
func (r Run) Good() bool { return r.Complete && r.Exit == 0 && !r.TimedOut }

// Load reads a file that Save wrote.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f File
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &f, nil
}

// Save replaces the file at path.
func (f *File) Save(path string) error {
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	return Replace(path, append(text, '\n'))
}

// Replace writes a file so that it is there as a whole or not at all.
func Replace(path string, text []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// FreeName returns base, or base with the first number behind it for which there are no results yet.
func FreeName(base string) (string, error) {
	name := base
	for i := 2; ; i++ {
		_, err := os.Stat(name + ".json")
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", base, i)
	}
}

// Splice returns page with the text between the comments "NAME: begin" and "NAME: end" replaced.
func Splice(page, name, text string) (string, error) {
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
	head, rest, ok := strings.Cut(page, begin)
	_, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", fmt.Errorf("no comments %q and %q", strings.TrimSpace(begin), end)
	}
	return head + begin + text + end + tail, nil
}

// Spread is the middle of some numbers and their ends.
type Spread struct{ Min, Median, Max float64 }

// Of returns the spread of the numbers; zero when there are none.
func Of(numbers []float64) Spread {
	if len(numbers) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(numbers))
	n := len(s)
	return Spread{Min: s[0], Median: (s[(n-1)/2] + s[n/2]) / 2, Max: s[n-1]}
}
