package httpapi

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/openoms/openoms/internal/oms"
)

// fakeGroups keeps groups in memory and follows the same rules as the engine, through oms.Group.
type fakeGroups struct {
	mu      sync.Mutex
	groups  map[string]oms.Group
	keys    oms.TaskCredentials // of the latest create, start or retry
	event   oms.GroupEvent      // latest start or retry
	filter  oms.GroupFilter     // of the latest list
	changes int                 // successful changes
	err     error               // returned by every method when set
}

func newFakeGroups(groups ...oms.Group) *fakeGroups {
	f := &fakeGroups{groups: map[string]oms.Group{}}
	for _, g := range groups {
		f.groups[g.ID] = g
	}
	return f
}

// newGroupID is the id of the first group that fakeGroups makes.
const newGroupID = "157ece42-3270-4824-a3d2-f0187a03ca01"

func (f *fakeGroups) CreateGroup(_ context.Context, g oms.Group, keys oms.TaskCredentials) (oms.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return oms.Group{}, f.err
	}
	g.ID = newGroupID
	f.groups[g.ID], f.keys = g, keys
	f.changes++
	return g, nil
}

func (f *fakeGroups) Group(_ context.Context, project, id string) (oms.Group, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.find(project, id)
}

func (f *fakeGroups) find(project, id string) (oms.Group, error) {
	if f.err != nil {
		return oms.Group{}, f.err
	}
	g, ok := f.groups[id]
	if !ok || g.ProjectID != project {
		return oms.Group{}, oms.Errorf(oms.NotFound, "OMS.1009", "")
	}
	return g, nil
}

func (f *fakeGroups) Groups(_ context.Context, filter oms.GroupFilter) ([]oms.Group, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	var match []oms.Group
	for _, g := range f.groups {
		if g.ProjectID == filter.ProjectID && (len(filter.Statuses) == 0 || slices.Contains(filter.Statuses, g.Status)) {
			match = append(match, g)
		}
	}
	slices.SortFunc(match, func(a, b oms.Group) int { return strings.Compare(b.ID, a.ID) })
	from := min(filter.Offset, len(match))
	return match[from:min(from+filter.Limit, len(match))], int64(len(match)), f.err
}

func (f *fakeGroups) change(project, id string, change func(oms.Group) (oms.Group, error)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	g, err := f.find(project, id)
	if err != nil {
		return err
	}
	if g, err = change(g); err != nil {
		return err
	}
	f.groups[id] = g
	f.changes++
	return nil
}

func (f *fakeGroups) apply(project, id string, ev oms.GroupEvent) error {
	return f.change(project, id, func(g oms.Group) (oms.Group, error) { return g.Apply(ev, testNow) })
}

func (f *fakeGroups) StartGroup(_ context.Context, project, id string, keys oms.TaskCredentials) error {
	f.keys, f.event = keys, oms.GroupEvent{Type: oms.GroupEventStart}
	return f.apply(project, id, f.event)
}

func (f *fakeGroups) RetryGroup(_ context.Context, project, id string, req oms.StartRequest) error {
	f.keys, f.event = req.Credentials, oms.GroupEvent{Type: oms.GroupEventRetry, Restart: oms.RestartAll}
	if req.FailedOnly {
		f.event.Restart = oms.RestartFailed
	}
	return f.apply(project, id, f.event)
}

func (f *fakeGroups) StopGroup(_ context.Context, project, id string) error {
	return f.apply(project, id, oms.GroupEvent{Type: oms.GroupEventStop})
}

func (f *fakeGroups) DeleteGroup(_ context.Context, project, id string) error {
	return f.apply(project, id, oms.GroupEvent{Type: oms.GroupEventDelete})
}

func (f *fakeGroups) SetGroupBandwidth(_ context.Context, project, id string, ws []oms.BandwidthWindow) error {
	return f.change(project, id, func(g oms.Group) (oms.Group, error) {
		g.Spec.Bandwidth = ws
		return g, g.CheckBandwidth()
	})
}

// group returns a group of project in the state.
func group(id string, status oms.GroupStatus) oms.Group {
	spec := task(1, oms.StatusRunning).Spec
	spec.Type, spec.Src.CloudType, spec.Src.Keys = oms.TypePrefix, oms.CloudHuawei, []string{"hw/"}
	return oms.Group{ID: id, ProjectID: project, Spec: spec, Status: status, CreatedAt: testNow, StartedAt: testNow.Add(-10 * 1e9)}
}
