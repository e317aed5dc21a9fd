package oms_test

import (
	"errors"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// groupCell is what an event does in a state: the state after it, or the code of the refusal.
type groupCell struct {
	to   oms.GroupStatus
	code string
}

func moves(to oms.GroupStatus) groupCell { return groupCell{to: to} }
func refused(code string) groupCell      { return groupCell{code: code} }

// The whole table of OMS v2, 5.3: each event in each of the states 0 to 9, for groups whose tasks all exist and for
// others.
func TestGroupApply(t *testing.T) {
	t.Parallel()
	const internal = "OMS.1036"
	row := func(byDefault string, cells map[oms.GroupStatus]groupCell) (out [10]groupCell) {
		for _, s := range oms.GroupStatuses() {
			c, ok := cells[s]
			if !ok {
				c = refused(byDefault)
			}
			out[s] = c
		}
		return out
	}
	gone := func(cells map[oms.GroupStatus]groupCell) map[oms.GroupStatus]groupCell {
		cells[oms.GroupDeletePending], cells[oms.GroupDeleting] = refused("OMS.1036"), refused("OMS.1036")
		return cells
	}
	type cells = map[oms.GroupStatus]groupCell
	creating, monitoring := moves(oms.GroupCreating), moves(oms.GroupMonitoring)
	tests := []struct {
		event oms.GroupEventType
		split bool
		want  [10]groupCell
	}{
		{oms.GroupEventStart, false, row("OMS.1039", gone(cells{oms.GroupPaused: creating}))},
		{oms.GroupEventStart, true, row("OMS.1039", gone(cells{oms.GroupPaused: monitoring}))},
		{oms.GroupEventStop, false, row("OMS.1038", gone(cells{oms.GroupCreating: moves(oms.GroupPausing), oms.GroupMonitoring: moves(oms.GroupPausing)}))},
		{oms.GroupEventRetry, false, row("OMS.1040", gone(cells{oms.GroupCreationFailed: creating, oms.GroupFailed: creating}))},
		{oms.GroupEventRetry, true, row("OMS.1040", gone(cells{oms.GroupCreationFailed: monitoring, oms.GroupFailed: monitoring}))},
		{oms.GroupEventDelete, true, row("", cells{
			oms.GroupWaiting: moves(oms.GroupDeletePending), oms.GroupCreating: refused("OMS.0063"), oms.GroupMonitoring: refused("OMS.0063"),
			oms.GroupPaused: moves(oms.GroupDeletePending), oms.GroupCreationFailed: moves(oms.GroupDeletePending),
			oms.GroupFailed: moves(oms.GroupDeletePending), oms.GroupSucceeded: moves(oms.GroupDeletePending), oms.GroupPausing: refused("OMS.0063"),
			oms.GroupDeletePending: moves(oms.GroupDeletePending), oms.GroupDeleting: moves(oms.GroupDeleting),
		})},
		{oms.GroupEventSchedule, false, row(internal, cells{oms.GroupWaiting: creating})},
		{oms.GroupEventPaused, false, row(internal, cells{oms.GroupPausing: moves(oms.GroupPaused)})},
		{oms.GroupEventSplit, false, row(internal, cells{oms.GroupCreating: monitoring, oms.GroupPausing: moves(oms.GroupPausing)})},
		{oms.GroupEventSplitFailed, false, row(internal, cells{oms.GroupCreating: moves(oms.GroupCreationFailed)})},
		{oms.GroupEventSucceeded, true, row(internal, cells{oms.GroupMonitoring: moves(oms.GroupSucceeded)})},
		{oms.GroupEventFailed, true, row(internal, cells{oms.GroupMonitoring: moves(oms.GroupFailed)})},
		{oms.GroupEventDeleting, true, row(internal, cells{oms.GroupDeletePending: moves(oms.GroupDeleting)})},
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range tests {
		for _, s := range oms.GroupStatuses() {
			g := oms.Group{ID: "g", Status: s, SplitOver: tt.split, Generation: 3, UpdatedAt: now.Add(-time.Hour)}
			got, err := g.Apply(oms.GroupEvent{Type: tt.event, Reason: &oms.ErrorReason{Code: "TRF.0001"}, Restart: oms.RestartAll}, now)
			want := tt.want[s]
			switch {
			case want.code != "":
				if !errors.Is(err, oms.Conflict) || oms.CodeOf(err) != want.code || got.Status != s || got.UpdatedAt != g.UpdatedAt {
					t.Errorf("%s in %s: %v, want %s", tt.event, s, err, want.code)
				}
			case err != nil || got.Status != want.to || got.UpdatedAt != now:
				t.Errorf("%s in %s: %s, %v, want %s", tt.event, s, got.Status, err, want.to)
			}
		}
	}
}

// What a group remembers over its runs.
func TestGroupRuns(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := oms.Group{ID: "g", Generation: 1, LastTask: 40}
	do := func(ev oms.GroupEvent) {
		t.Helper()
		var err error
		if g, err = g.Apply(ev, at); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Minute)
	}
	do(oms.GroupEvent{Type: oms.GroupEventSchedule})
	do(oms.GroupEvent{Type: oms.GroupEventSplit})
	do(oms.GroupEvent{Type: oms.GroupEventStop})
	do(oms.GroupEvent{Type: oms.GroupEventPaused})
	if g.RunFor != 3*time.Minute || g.Elapsed(at.Add(time.Hour)) != 3*time.Minute || g.Restarting() {
		t.Errorf("paused: ran for %s, %+v", g.RunFor, g)
	}
	at = at.Add(time.Hour)
	do(oms.GroupEvent{Type: oms.GroupEventStart})
	if g.Generation != 2 || g.Restart != oms.RestartPaused || g.RestartFrom != 0 || g.RestartTo != 40 || !g.Restarting() {
		t.Errorf("started: %+v", g)
	}
	g.RestartFrom = 40
	do(oms.GroupEvent{Type: oms.GroupEventFailed, Reason: &oms.ErrorReason{Code: "TRF.0004"}})
	if g.Error == nil || g.RunFor != 4*time.Minute {
		t.Errorf("failed: %+v, ran for %s", g.Error, g.RunFor)
	}
	do(oms.GroupEvent{Type: oms.GroupEventRetry, Restart: oms.RestartAll})
	if g.Error != nil || g.Restart != oms.RestartAll || g.Generation != 3 {
		t.Errorf("retried: %+v", g)
	}
	g.RestartFrom = 10
	do(oms.GroupEvent{Type: oms.GroupEventStop})
	do(oms.GroupEvent{Type: oms.GroupEventPaused})
	do(oms.GroupEvent{Type: oms.GroupEventStart})
	if g.Restart != oms.RestartAll || g.RestartFrom != 0 {
		t.Errorf("a retry that was paused before it reached all tasks goes on as %q from %d", g.Restart, g.RestartFrom)
	}
}

// What ends a monitored group.
func TestGroupOutcome(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		group oms.Group
		want  oms.GroupEventType
		over  bool
	}{
		{"all succeeded", oms.Group{Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Succeeded: 3}}}, oms.GroupEventSucceeded, true},
		{"no task", oms.Group{}, oms.GroupEventSucceeded, true},
		{"one failed", oms.Group{Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Succeeded: 3, Failed: 1}}}, oms.GroupEventFailed, true},
		{"one failed, one paused", oms.Group{Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Paused: 3, Failed: 1}}}, oms.GroupEventFailed, true},
		{"one failed, one waits", oms.Group{Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Waiting: 1, Failed: 1}}}, 0, false},
		{"one runs", oms.Group{Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Running: 1}}}, 0, false},
		{"one is paused", oms.Group{Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Paused: 1, Succeeded: 9}}}, 0, false},
		{"still starting tasks", oms.Group{RestartTo: 5, Totals: oms.GroupTotals{Tasks: oms.TaskCounts{Failed: 9}}}, 0, false},
	}
	for _, tt := range tests {
		tt.group.Status = oms.GroupMonitoring
		if got, over := tt.group.Outcome(); got != tt.want || over != tt.over {
			t.Errorf("%s: %s %t, want %s %t", tt.name, got, over, tt.want, tt.over)
		}
		tt.group.Status = oms.GroupCreating
		if _, over := tt.group.Outcome(); over {
			t.Errorf("%s: a group that creates tasks has an outcome", tt.name)
		}
	}
}
