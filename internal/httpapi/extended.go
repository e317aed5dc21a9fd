package httpapi

import (
	"context"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/omsv2"
)

// Bounds of filters beside those of package rules.
const (
	maxFilterSize = 1 << 60
	maxFilterTime = maxSince * 1000 // Unix milliseconds
	maxAge        = 100 * 366 * 24 * 3600
)

// createExtendedTask creates a task with rules that OMS v2 does not have: the members of CreateTask, and more.
func (s *service) createExtendedTask(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	t, keys, err := s.compileTask(ctx, c.project, f)
	if err != nil {
		return nil, err
	}
	if t, err = s.tasks.Create(ctx, t, keys); err != nil {
		return nil, err
	}
	c.object = strconv.FormatInt(t.ID, 10)
	return omsv2.CreateTaskResponse{ID: t.ID, TaskName: t.Name}, nil
}

// extendedRules reads the rules that OMS v2 does not have, at the instant now. Patterns are compiled when the task is
// created.
func extendedRules(f fields, spec *oms.TaskSpec, now time.Time) {
	switch choice(f, "mode", "", omsv2.ModeMigrate, omsv2.ModeDryRun, omsv2.ModeVerify) {
	case omsv2.ModeDryRun:
		spec.Mode = oms.ModeDryRun
	case omsv2.ModeVerify:
		spec.Mode = oms.ModeVerify
	case omsv2.ModeMigrate:
		if f.truth("dry_run") {
			f.refuse("OMS.1003", "The field dry_run contradicts the mode.")
		}
	default:
		if f.truth("dry_run") {
			spec.Mode = oms.ModeDryRun
		}
	}
	if spec.Mode == oms.ModeVerify && f.truth("dry_run") {
		f.refuse("OMS.1003", "The field dry_run contradicts the mode.")
	}
	if f.has("filters") {
		spec.Filters = filters(f.object("filters"), now)
	}
	if len(f.array("rename")) > rules.MaxRules {
		f.refuse("OMS.1003", "The field rename must have at most %d elements.", rules.MaxRules)
	}
	for _, r := range f.objects("rename") {
		spec.Rename = append(spec.Rename, oms.RenameRule{
			StripPrefix: r.text("strip_prefix", rules.MaxPattern), AddPrefix: r.text("add_prefix", rules.MaxPattern),
			Match: r.text("match", rules.MaxPattern), Replace: r.text("replace", rules.MaxPattern),
			Case: choice(r, "case", "", oms.CaseLower, oms.CaseUpper),
		})
	}
	for _, name := range []string{"tags", "acl"} {
		choice(f, name, "none", "none")
	}
}

// filters reads filters; ages become instants, so that the task means the same later.
func filters(f fields, now time.Time) *oms.Filters {
	list := func(name string) []string { return f.texts(name, rules.MaxPatterns, rules.MaxPattern) }
	out := &oms.Filters{
		IncludeGlobs: list("include_globs"), ExcludeGlobs: list("exclude_globs"),
		IncludeRegex: list("include_regex"), ExcludeRegex: list("exclude_regex"),
	}
	out.MinSize, _ = f.integer("min_size", 0, maxFilterSize)
	if most, ok := f.integer("max_size", 0, maxFilterSize); ok {
		out.MaxSize = &most
	}
	out.ModifiedAfter = bound(f, now, "modified_after", "max_age")
	out.ModifiedBefore = bound(f, now, "modified_before", "min_age")
	return out
}

// bound reads an instant that is given as such or as an age; zero when it is not given.
func bound(f fields, now time.Time, instant, age string) time.Time {
	ms, isInstant := f.integer(instant, 1, maxFilterTime)
	seconds, isAge := f.integer(age, 1, maxAge)
	switch {
	case isInstant && isAge:
		f.refuse("OMS.1003", "Only one of the fields %s and %s may be given.", f.path+instant, f.path+age)
	case isInstant:
		return time.UnixMilli(ms).UTC()
	case isAge:
		return now.UTC().Add(-time.Duration(seconds) * time.Second)
	}
	return time.Time{}
}

// showExtendedTask shows a task with what OMS v2 does not show.
func (s *service) showExtendedTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	now := s.clock() // before reading, see showTask
	t, err := s.tasks.Task(ctx, c.project, id)
	if err != nil {
		return nil, err
	}
	conflicts, err := s.tasks.NameConflicts(ctx, c.project, id)
	if err != nil {
		return nil, err
	}
	return extendedView(t, conflicts, now), nil
}

func extendedView(t oms.Task, conflicts []oms.NameConflict, now time.Time) omsv2.ExtendedTask {
	c := t.Counters
	v := omsv2.ExtendedTask{
		Task: taskView(t, now), Mode: omsv2.ModeMigrate, Filters: filtersView(t.Spec.Filters),
		Rename: []omsv2.RenameRule{}, FilteredNum: c.Filtered, FilteredSize: c.FilteredBytes,
		NameConflicts: []omsv2.NameConflict{},
	}
	for _, r := range t.Spec.Rename {
		v.Rename = append(v.Rename, omsv2.RenameRule{
			StripPrefix: r.StripPrefix, AddPrefix: r.AddPrefix, Match: r.Match, Replace: r.Replace, Case: string(r.Case),
		})
	}
	switch t.Spec.Mode {
	case oms.ModeDryRun:
		v.Mode = omsv2.ModeDryRun
		v.DryRun = &omsv2.DryRunResult{
			WouldCopyNum: c.Absent + c.Differing, WouldCopySize: c.AbsentBytes + c.DifferingBytes,
			WouldOverwriteNum: c.Differing, WouldOverwriteSize: c.DifferingBytes,
			WouldSkipNum: c.Skipped - c.Absent - c.Differing, WouldSkipSize: c.SkippedBytes - c.AbsentBytes - c.DifferingBytes,
		}
	case oms.ModeVerify:
		v.Mode = omsv2.ModeVerify
		v.Verification = &omsv2.VerificationResult{
			EqualNum: c.Skipped, EqualSize: c.SkippedBytes, UnprovedNum: c.Unproved, UnprovedSize: c.UnprovedBytes,
			MissingNum: c.Absent, MissingSize: c.AbsentBytes, DifferentNum: c.Differing, DifferentSize: c.DifferingBytes,
		}
	case oms.ModeMigrate:
	}
	for _, n := range conflicts {
		v.NameConflicts = append(v.NameConflicts, omsv2.NameConflict{
			Reason: string(n.Reason), Key: shownKey(n.Key), OtherKey: shownKey(n.Other), Name: shownKey(n.Name),
		})
	}
	return v
}

// shownKey is a key as JSON can carry it: one that is no UTF-8 is quoted with escapes.
func shownKey(key string) string {
	if utf8.ValidString(key) {
		return key
	}
	return strconv.Quote(key)
}

func filtersView(f *oms.Filters) *omsv2.Filters {
	if f == nil {
		return nil
	}
	return &omsv2.Filters{
		IncludeGlobs: f.IncludeGlobs, ExcludeGlobs: f.ExcludeGlobs, IncludeRegex: f.IncludeRegex, ExcludeRegex: f.ExcludeRegex,
		MinSize: f.MinSize, MaxSize: f.MaxSize, ModifiedAfter: millis(f.ModifiedAfter), ModifiedBefore: millis(f.ModifiedBefore),
	}
}
