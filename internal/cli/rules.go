package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/internal/server"
	"github.com/openoms/openoms/omsv2"
)

// extendedRules are the rules of a new task that OMS v2 does not have, as flags.
type extendedRules struct {
	include, exclude           []string
	includeRegex, excludeRegex []string
	minSize, maxSize           string
	newerThan, olderThan       string
	rename                     []string
	dryRun, verifyOnly         bool
}

// register adds the flags.
func (r *extendedRules) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&r.include, "include", nil, "only objects whose key matches the `GLOB`, or that of another --include; * stops at /, ** does not, '*.jpg' is any key that ends so")
	f.StringArrayVar(&r.exclude, "exclude", nil, "no objects whose key matches the `GLOB`")
	f.StringArrayVar(&r.includeRegex, "include-regex", nil, "only objects whose key matches the `REGEX` (RE2, anywhere in the key), or another include")
	f.StringArrayVar(&r.excludeRegex, "exclude-regex", nil, "no objects whose key matches the `REGEX`")
	f.StringVar(&r.minSize, "min-size", "", "only objects of at least `SIZE`, for instance 1 or 10MiB")
	f.StringVar(&r.maxSize, "max-size", "", "only objects of at most `SIZE`")
	f.StringVar(&r.newerThan, "newer-than", "", "only objects modified after `WHEN`: 2026-01-31, 2026-01-31T08:00:00Z, or an age such as 36h or 7d")
	f.StringVar(&r.olderThan, "older-than", "", "only objects modified before `WHEN`")
	f.StringArrayVar(&r.rename, "rename", nil, "change keys by the `RULE`, several in order: strip:PREFIX, add:PREFIX, s/REGEX/REPLACEMENT/, lower, upper")
	f.BoolVar(&r.dryRun, "dry-run", false, "decide what would be copied, and write nothing")
	f.BoolVar(&r.verifyOnly, "verify-only", false, "compare both sides, by checksums where both tell one, and write nothing; status 1 when something is missing or differs")
}

// extendedFlags are the names of the flags.
func extendedFlags() []string {
	return []string{
		"include", "exclude", "include-regex", "exclude-regex", "min-size", "max-size", "newer-than", "older-than", "rename",
		"dry-run", "verify-only",
	}
}

// flagWords returns the words that give a flag again.
func flagWords(f *pflag.Flag) []string {
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = "--" + f.Name + "=" + shellWord(v)
	}
	return words
}

// apply writes the rules into the spec of a task, at the instant now.
func (r *extendedRules) apply(spec *oms.TaskSpec, now time.Time) error {
	switch {
	case r.dryRun && r.verifyOnly:
		return usageErrorf("--dry-run and --verify-only exclude one another")
	case r.dryRun:
		spec.Mode = oms.ModeDryRun
	case r.verifyOnly:
		spec.Mode = oms.ModeVerify
	}
	filters, err := r.filters(now)
	if err != nil {
		return err
	}
	compiled, err := rules.NewFilter(filters)
	if err != nil {
		return usageError(err)
	}
	if compiled != nil {
		spec.Filters = filters
	}
	for _, text := range r.rename {
		rule, err := parseRename(text)
		if err != nil {
			return err
		}
		spec.Rename = append(spec.Rename, rule)
	}
	if _, err := rules.NewNames(spec.Dst.SavePrefix, spec.Rename); err != nil {
		return usageError(err)
	}
	return nil
}

// filters returns the filters of the flags.
func (r *extendedRules) filters(now time.Time) (*oms.Filters, error) {
	f := &oms.Filters{IncludeGlobs: r.include, ExcludeGlobs: r.exclude, IncludeRegex: r.includeRegex, ExcludeRegex: r.excludeRegex}
	var err error
	if r.minSize != "" {
		if f.MinSize, err = server.ParseSize(r.minSize); err != nil {
			return nil, usageErrorf("--min-size %q: %s", oms.Clean(r.minSize), err)
		}
	}
	if r.maxSize != "" {
		most, err := server.ParseSize(r.maxSize)
		if err != nil {
			return nil, usageErrorf("--max-size %q: %s", oms.Clean(r.maxSize), err)
		}
		f.MaxSize = &most
	}
	if f.ModifiedAfter, err = parseWhen("--newer-than", r.newerThan, now); err != nil {
		return nil, err
	}
	f.ModifiedBefore, err = parseWhen("--older-than", r.olderThan, now)
	return f, err
}

// parseWhen reads an instant: a date, a time, or an age. Dates are those of UTC.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	age := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100*366 {
			age = strconv.Itoa(n*24) + "h"
		}
	}
	if d, err := time.ParseDuration(age); err == nil && d > 0 {
		return now.UTC().Add(-d).Truncate(time.Millisecond), nil
	}
	return time.Time{}, usageErrorf("%s %q: want a date such as 2026-01-31, a time such as 2026-01-31T08:00:00Z, or an age such as 36h or 7d", flag, oms.Clean(text))
}

// parseRename reads a value of --rename.
func parseRename(text string) (oms.RenameRule, error) {
	if prefix, ok := strings.CutPrefix(text, "strip:"); ok && prefix != "" {
		return oms.RenameRule{StripPrefix: prefix}, nil
	}
	if prefix, ok := strings.CutPrefix(text, "add:"); ok && prefix != "" {
		return oms.RenameRule{AddPrefix: prefix}, nil
	}
	if text == string(oms.CaseLower) || text == string(oms.CaseUpper) {
		return oms.RenameRule{Case: oms.KeyCase(text)}, nil
	}
	if len(text) > 2 && text[0] == 's' && strings.IndexByte("/|#,!@", text[1]) >= 0 {
		if parts := strings.Split(text[2:], text[1:2]); len(parts) == 3 && parts[0] != "" && parts[2] == "" {
			return oms.RenameRule{Match: parts[0], Replace: parts[1]}, nil
		}
	}
	return oms.RenameRule{}, usageErrorf("--rename %q: want strip:PREFIX, add:PREFIX, s/REGEX/REPLACEMENT/ (or with | # , ! @ for /), lower or upper", oms.Clean(text))
}

// wireRules returns the rules of a spec as a service takes them; ok is false when there are none.
func wireRules(spec oms.TaskSpec) (w omsv2.ExtendedRules, ok bool) {
	w.Mode = string(spec.Mode)
	if f := spec.Filters; f != nil {
		w.Filters = &omsv2.Filters{
			IncludeGlobs: f.IncludeGlobs, ExcludeGlobs: f.ExcludeGlobs, IncludeRegex: f.IncludeRegex, ExcludeRegex: f.ExcludeRegex,
			MinSize: f.MinSize, MaxSize: f.MaxSize, ModifiedAfter: milliseconds(f.ModifiedAfter), ModifiedBefore: milliseconds(f.ModifiedBefore),
		}
	}
	for _, r := range spec.Rename {
		w.Rename = append(w.Rename, omsv2.RenameRule{
			StripPrefix: r.StripPrefix, AddPrefix: r.AddPrefix, Match: r.Match, Replace: r.Replace, Case: string(r.Case),
		})
	}
	return w, w.Mode != "" || w.Filters != nil || w.Rename != nil
}

func milliseconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// createTask asks a service for a task; one with rules that OMS v2 does not have by the extension.
func createTask(ctx context.Context, c *omsv2.Client, req *omsv2.CreateTaskRequest, extended extendedRules, now time.Time) (*omsv2.CreateTaskResponse, error) {
	spec := oms.TaskSpec{Dst: oms.DestinationNode{SavePrefix: req.DstNode.SavePrefix}}
	if err := extended.apply(&spec, now); err != nil {
		return nil, err
	}
	if w, ok := wireRules(spec); ok {
		return c.CreateExtendedTask(ctx, &omsv2.CreateExtendedTaskRequest{CreateTaskRequest: *req, ExtendedRules: w})
	}
	return c.CreateTask(ctx, req)
}

// sameRules reports whether two tasks select and name objects alike. Instants are left out: an age means another instant
// every time.
func sameRules(a, b oms.TaskSpec) bool {
	text := func(s oms.TaskSpec) []byte {
		var f oms.Filters
		if s.Filters != nil {
			f = *s.Filters
		}
		f.Within, f.ModifiedAfter, f.ModifiedBefore = nil, time.Time{}, time.Time{}
		out, err := json.Marshal([]any{f, s.Rename})
		if err != nil {
			return nil
		}
		return out
	}
	return bytes.Equal(text(a), text(b))
}

// findings are what a task found out beside its books.
type findings struct {
	mode    oms.TaskMode
	skipped int64 // objects, of all
	oms.Findings
}

// findingsJSON is findings in the last line of --json; members that say nothing are left out.
type findingsJSON struct {
	Mode             string `json:"mode,omitempty"`
	Filtered         int64  `json:"filtered,omitempty"`
	FilteredBytes    int64  `json:"filtered_bytes,omitempty"`
	WouldCopy        *int64 `json:"would_copy,omitempty"`
	WouldCopyBytes   *int64 `json:"would_copy_bytes,omitempty"`
	WouldOverwrite   *int64 `json:"would_overwrite,omitempty"`
	WouldSkip        *int64 `json:"would_skip,omitempty"`
	Equal            *int64 `json:"equal,omitempty"`
	EqualBySizeAlone *int64 `json:"equal_by_size_alone,omitempty"`
	Missing          *int64 `json:"missing,omitempty"`
	Different        *int64 `json:"different,omitempty"`
}

func (f findings) json() findingsJSON {
	out := findingsJSON{Mode: string(f.mode), Filtered: f.Filtered, FilteredBytes: f.FilteredBytes}
	switch f.mode {
	case oms.ModeDryRun:
		n, b := f.Absent+f.Differing, f.AbsentBytes+f.DifferingBytes
		skip := f.skipped - n
		out.WouldCopy, out.WouldCopyBytes, out.WouldOverwrite, out.WouldSkip = &n, &b, &f.Differing, &skip
	case oms.ModeVerify:
		out.Equal, out.EqualBySizeAlone, out.Missing, out.Different = &f.skipped, &f.Unproved, &f.Absent, &f.Differing
	case oms.ModeMigrate:
	}
	return out
}

// outcomes says in words what became of the objects of a task that writes nothing; "" for others.
func (f findings) outcomes() string {
	switch f.mode {
	case oms.ModeDryRun:
		n := f.Absent + f.Differing
		return fmt.Sprintf("dry run, nothing was written: %s would be copied (%s), %s of them over existing objects, %s skipped",
			formatCount(n), formatBytes(f.AbsentBytes+f.DifferingBytes), formatCount(f.Differing), formatCount(f.skipped-n))
	case oms.ModeVerify:
		return fmt.Sprintf("verification, nothing was written: %s equal (%s of them by size alone), %s missing, %s different",
			formatCount(f.skipped), formatCount(f.Unproved), formatCount(f.Absent), formatCount(f.Differing))
	case oms.ModeMigrate:
	}
	return ""
}

// findingsOf are those of a task of this process.
func findingsOf(t oms.Task) findings {
	return findings{mode: t.Spec.Mode, skipped: t.Counters.Skipped, Findings: t.Counters.Findings}
}

// wireFindings are those of a task of a service; none from a service that does not know extended tasks.
func wireFindings(ctx context.Context, c *omsv2.Client, id int64) findings {
	t, err := c.ShowExtendedTask(ctx, id)
	if err != nil {
		return findings{}
	}
	f := findings{skipped: t.Task.SkippedNum}
	f.Filtered, f.FilteredBytes = t.FilteredNum, t.FilteredSize
	if d := t.DryRun; d != nil {
		f.mode, f.Differing, f.DifferingBytes = oms.ModeDryRun, d.WouldOverwriteNum, d.WouldOverwriteSize
		f.Absent, f.AbsentBytes = d.WouldCopyNum-d.WouldOverwriteNum, d.WouldCopySize-d.WouldOverwriteSize
	}
	if v := t.Verification; v != nil {
		f.mode, f.Absent, f.Differing, f.Unproved = oms.ModeVerify, v.MissingNum, v.DifferentNum, v.UnprovedNum
	}
	return f
}

// conflictJSON is an object without a usable name in the lines of --json.
type conflictJSON struct {
	Type     string `json:"type"` // "name_conflict"
	Reason   string `json:"reason"`
	Key      string `json:"key"`
	OtherKey string `json:"other_key,omitempty"`
	Name     string `json:"name"`
}

// showConflicts prints the objects that the rename rules give no usable name.
func showConflicts(env *Env, asJSON bool, list []oms.NameConflict) error { //nolint:revive // --json as the user gave it
	for _, n := range list {
		if asJSON {
			if err := writeJSON(env.Stdout, conflictJSON{"name_conflict", string(n.Reason), n.Key, n.Other, n.Name}); err != nil {
				return err
			}
			continue
		}
		line := "no usable name: " + formatKey(n.Key) + ": " + string(n.Reason)
		if n.Other != "" {
			line += ", with " + formatKey(n.Other)
		}
		if _, err := fmt.Fprintln(env.Stdout, line+": "+formatKey(n.Name)); err != nil {
			return err
		}
	}
	return nil
}
