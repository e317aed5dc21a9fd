package engine

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/internal/transfer"
)

// prepareRules checks the filters and rename rules of a new task and derives what spares listing.
func prepareRules(spec *oms.TaskSpec) error {
	switch spec.Mode {
	case oms.ModeMigrate, oms.ModeDryRun, oms.ModeVerify:
	default:
		return oms.Errorf(oms.Invalid, "OMS.1003", "there is no mode %q", oms.Clean(string(spec.Mode)))
	}
	if spec.ReadOnly() {
		spec.RecordFailures = false // a list would be written to the destination
	}
	filter, err := rules.NewFilter(spec.Filters)
	if err != nil {
		return err
	}
	if filter == nil {
		spec.Filters = nil
	} else {
		derived := *spec.Filters
		derived.Within = filter.Within()
		spec.Filters = &derived
	}
	if len(spec.Rename) > 0 && spec.Type.Lists() {
		return oms.Errorf(oms.Invalid, "OMS.1003", "rename rules are for tasks of type object and prefix: a list file names objects by itself")
	}
	_, err = rules.NewNames(spec.Dst.SavePrefix, spec.Rename)
	return err
}

// apart reports whether a task within one bucket writes to none of the keys that it selects.
func apart(spec oms.TaskSpec) bool {
	if len(spec.Rename) == 0 {
		return spec.Dst.SavePrefix != ""
	}
	names, err := rules.NewNames(spec.Dst.SavePrefix, spec.Rename)
	if err != nil {
		return false
	}
	prefixes, exact := spec.Selection()
	for _, p := range prefixes {
		to, ok := names.Below(p)
		meets := func(q string) bool { return strings.HasPrefix(to, q) || strings.HasPrefix(q, to) }
		if !ok || slices.ContainsFunc(prefixes, meets) || slices.ContainsFunc(exact, meets) {
			return false
		}
	}
	for _, n := range exact {
		to := names.Of(n)
		if slices.Contains(exact, to) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(to, p) }) {
			return false
		}
	}
	return true
}

// checkNames makes sure, before the first run of a task writes anything, that its rename rules give every object a name
// of its own (rule D3). A task that goes on was checked when it began.
func (e *Engine) checkNames(ctx context.Context, t oms.Task, b buckets) error {
	if len(t.Spec.Rename) == 0 || t.Planned {
		return nil
	}
	existing, err := e.ranges(ctx, t.ID)
	if err != nil || len(existing) > 0 {
		return err
	}
	plan := transfer.Plan{TaskID: t.ID, Owner: e.opts.Owner, Spec: t.Spec, Src: b.src, Known: e.keyBounds(ctx, t)}
	conflicts, err := transfer.FindConflicts(ctx, plan, e.opts.Resources, e.opts.Transfer)
	if err != nil {
		return err
	}
	if len(conflicts) > 0 {
		return &unnameable{conflicts}
	}
	return nil
}

// unnameable ends a run whose rules give objects names that cannot be used. Nothing was written.
type unnameable struct{ conflicts []oms.NameConflict }

func (u *unnameable) Error() string { return u.reason().Message }

// reason names the first conflict and how many there are.
func (u *unnameable) reason() oms.ErrorReason {
	c := u.conflicts[0]
	first := "the name of " + quoted(c.Key)
	switch c.Reason {
	case oms.NameTaken:
		first = quoted(c.Other) + " and " + quoted(c.Key) + " would both become " + quoted(c.Name)
	case oms.NameTooLong:
		first += " would be longer than 1,024 bytes"
	case oms.NameEmpty:
		first += " would be empty"
	}
	msg := "Nothing was written: " + first + "."
	switch n := len(u.conflicts); {
	case n >= oms.MaxNameConflicts:
		msg += " There are " + strconv.Itoa(n-1) + " more such conflicts, or more than that."
	case n > 1:
		msg += " There are " + strconv.Itoa(n-1) + " more such conflicts."
	}
	return oms.ErrorReason{Code: oms.CodeNames, Message: msg}
}

func quoted(key string) string { return strconv.Quote(oms.Clean(key)) }

// conflictsOf returns the conflicts that ended a run; nil when something else did.
func conflictsOf(err error) []oms.NameConflict {
	if u, ok := errors.AsType[*unnameable](err); ok {
		return u.conflicts
	}
	return nil
}

// NameConflicts returns the source keys that the task could not name, in order of name.
func (e *Engine) NameConflicts(ctx context.Context, project string, id int64) ([]oms.NameConflict, error) {
	if _, err := e.store.Task(ctx, project, id); err != nil {
		return nil, err
	}
	return e.store.NameConflicts(ctx, id)
}
