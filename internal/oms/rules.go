package oms

import (
	"slices"
	"strings"
	"time"
)

// TaskMode says what a task does with the objects that it selects. Stored.
type TaskMode string

// The modes. The zero value migrates.
const (
	ModeMigrate TaskMode = ""
	ModeDryRun  TaskMode = "dry_run" // decides as a migration would and writes nothing
	ModeVerify  TaskMode = "verify"  // compares both sides and writes nothing; differences are recorded as failures
)

// ReadOnly reports whether the task must not write anything to the destination: no object, no probe and no list.
func (s TaskSpec) ReadOnly() bool { return s.Mode != ModeMigrate }

// Filters say which of the selected objects a task takes; the others are counted as filtered and touched no further.
// The zero value takes all. An object is taken when some include matches its key, or there is none, no exclude
// matches, and size and time are within the bounds. Package rules compiles patterns.
type Filters struct {
	IncludeGlobs []string `json:"include_globs,omitempty"`
	ExcludeGlobs []string `json:"exclude_globs,omitempty"`
	IncludeRegex []string `json:"include_regex,omitempty"`
	ExcludeRegex []string `json:"exclude_regex,omitempty"`
	MinSize      int64    `json:"min_size,omitempty"` // bytes, inclusive
	MaxSize      *int64   `json:"max_size,omitempty"` // bytes, inclusive; nil: no bound
	// The instants between which an object must have been modified, both exclusive; zero: no bound.
	ModifiedAfter  time.Time `json:"modified_after,omitzero"`
	ModifiedBefore time.Time `json:"modified_before,omitzero"`
	// Within are prefixes that each key starts with which the patterns can match; none: any key. They are derived from
	// the patterns and only spare listing.
	Within []string `json:"within,omitempty"`
}

// RenameRule changes the key that an object gets at the destination; exactly one of its parts is set. Package rules
// compiles rules.
type RenameRule struct {
	StripPrefix string  `json:"strip_prefix,omitempty"` // taken away from keys that start with it
	AddPrefix   string  `json:"add_prefix,omitempty"`
	Match       string  `json:"match,omitempty"`   // a regular expression in the syntax of RE2; all its matches are replaced
	Replace     string  `json:"replace,omitempty"` // what by: $1 and ${name} are groups, $$ is a dollar sign
	Case        KeyCase `json:"case,omitempty"`
}

// KeyCase is what becomes of the letters A to Z of a key; others stay as they are.
type KeyCase string

// The cases.
const (
	CaseLower KeyCase = "lower"
	CaseUpper KeyCase = "upper"
)

// NameConflict is a source key that cannot be migrated under the name that the rename rules give it.
type NameConflict struct {
	Reason NameReason
	Key    string // source key
	Other  string // for NameTaken: another source key with the same name
	Name   string // key at the destination, at most 1,025 bytes of it
}

// NameReason is why a name cannot be used. Stored.
type NameReason string

// The reasons.
const (
	NameTaken   NameReason = "same_name"
	NameTooLong NameReason = "too_long"
	NameEmpty   NameReason = "empty"
)

// CodeNames is the code of a task whose rename rules give objects names that cannot be used. OMS v2 has none for it.
const CodeNames = "TRF.9001"

// MaxNameConflicts is how many conflicts are kept of a task.
const MaxNameConflicts = 100

// narrow returns the prefixes of keys that have one of the prefixes and lie within what filters can match.
func (f *Filters) narrow(prefixes []string) []string {
	if f == nil || len(f.Within) == 0 {
		return prefixes
	}
	var kept []string
	for _, p := range prefixes {
		for _, w := range f.Within {
			switch {
			case strings.HasPrefix(w, p):
				kept = append(kept, w)
			case strings.HasPrefix(p, w):
				kept = append(kept, p)
			}
		}
	}
	return kept
}

// uncovered sorts the prefixes and leaves out those that another one covers.
func uncovered(prefixes []string) []string {
	slices.Sort(prefixes)
	kept := prefixes[:0]
	for _, p := range prefixes {
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}
