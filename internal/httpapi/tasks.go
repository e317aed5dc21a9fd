package httpapi

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Limits of OMS v2, sections 1.1 and 4.
const (
	maxTaskID   = 999_999_999_999_999
	maxPage     = 100
	defaultPage = 10
	maxBatch    = 20
	maxGroupID  = 36
	maxName     = 255
)

// taskID returns the id of the path; OMS.0054 when it is none.
func taskID(c *call) (int64, error) {
	s := c.r.PathValue("task_id")
	if s != "" && strings.Trim(s, "0123456789") == "" {
		if id, err := strconv.ParseInt(s, 10, 64); err == nil && id <= maxTaskID {
			return id, nil
		}
	}
	return 0, oms.Errorf(oms.Invalid, "OMS.0054", "The task id must be a number from 0 to %d.", int64(maxTaskID))
}

func (s *service) listTasks(ctx context.Context, c *call) (any, error) {
	q := readQuery(c.r)
	filter := oms.TaskFilter{
		ProjectID: c.project,
		GroupID:   q.text("group_id", 1, maxPage),
		Status:    oms.Status(q.number("status", int64(oms.StatusWaiting), int64(oms.StatusPausing), 0)),
		Name:      q.text("task_name", 0, maxName),
	}
	filter.Limit, filter.Offset = q.page(math.MaxInt32)
	if q.err != nil {
		return nil, q.err
	}
	now := s.clock() // before reading, see showTask
	tasks, count, err := s.tasks.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	return omsv2.ListTasksResponse{Tasks: shown(tasks, func(t oms.Task) omsv2.Task { return taskView(t, now) }), Count: count}, nil
}

func (s *service) createTask(ctx context.Context, c *call) (any, error) {
	spec, keys, err := s.decodeCreate(c.body)
	if err != nil {
		return nil, err
	}
	if err := s.topicKnown(ctx, c.project, spec.SMN); err != nil {
		return nil, err
	}
	t, err := s.tasks.Create(ctx, oms.Task{ProjectID: c.project, GroupType: oms.GroupNormal, Spec: spec}, keys)
	if err != nil {
		return nil, err
	}
	c.object = strconv.FormatInt(t.ID, 10)
	return omsv2.CreateTaskResponse{ID: t.ID, TaskName: t.Name}, nil
}

func (s *service) showTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	now := s.clock() // before reading: a run that still goes on then has not run for longer when it ends
	t, err := s.tasks.Task(ctx, c.project, id)
	if err != nil {
		return nil, err
	}
	return taskView(t, now), nil
}

func (s *service) deleteTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	return nil, s.tasks.Delete(ctx, c.project, id)
}

func (s *service) startTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	req, err := decodeStart(c.body)
	if err != nil {
		return nil, err
	}
	if req.Credentials.Src.IsZero() {
		if err := s.needsSourceKeys(ctx, c.project, id); err != nil {
			return nil, err
		}
	}
	return nil, s.tasks.Start(ctx, c.project, id, req)
}

// decodeStart reads the body of StartTask (OMS v2, 4.7).
func decodeStart(body []byte) (oms.StartRequest, error) {
	f, err := decodeBody(body)
	if err != nil {
		return oms.StartRequest{}, err
	}
	req := oms.StartRequest{
		Credentials: oms.TaskCredentials{Src: startKeys(f), Dst: credentials(f, "dst_")},
		FailedOnly:  f.truth("migrate_failed_object"),
	}
	req.Credentials.Src.CDNKey = cdnKey(f, "source_cdn_")
	return req, *f.err
}

func (s *service) stopTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	return nil, s.tasks.Stop(ctx, c.project, id)
}

func (s *service) updateBandwidth(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	f.require("bandwidth_policy")
	windows := bandwidth(f)
	if f.failed() {
		return nil, *f.err
	}
	return nil, s.tasks.SetBandwidth(ctx, c.project, id, windows)
}

// bandwidth reads the optional member bandwidth_policy (OMS v2, 3.1).
func bandwidth(f fields) []oms.BandwidthWindow {
	const name = "bandwidth_policy"
	windows := make([]oms.BandwidthWindow, 0, oms.MaxBandwidthWindows)
	if len(f.array(name)) > oms.MaxBandwidthWindows {
		f.refuse("OMS.0083", "At most %d traffic limits are allowed.", oms.MaxBandwidthWindows)
	}
	for i, w := range f.objects(name) {
		f.element(name, i).require(at(name, i))
		limit, _ := w.integer("max_bandwidth", math.MinInt64, math.MaxInt64)
		windows = append(windows, oms.BandwidthWindow{Start: clock(w, "start"), End: clock(w, "end"), Limit: limit})
		w.require("max_bandwidth")
	}
	if f.failed() {
		return nil
	}
	if err := oms.ValidateBandwidth(windows); err != nil {
		*f.err = err
	}
	return windows
}

// clock reads a mandatory hh:mm as a minute of the day.
func clock(f fields, name string) int {
	f.require(name)
	v := f.text(name, math.MaxInt)
	if f.failed() {
		return 0
	}
	minute, err := oms.ParseClock(v)
	if err != nil {
		f.refuse("OMS.0087", "The field %s must be a time of day, hh:mm.", f.path+name)
	}
	return minute
}

func (s *service) batchUpdate(ctx context.Context, c *call) (any, error) {
	u, err := decodeBatch(c.body)
	if err != nil {
		return nil, err
	}
	c.object = batchObject(u)
	return nil, s.tasks.BatchUpdate(ctx, c.project, u)
}

// decodeBatch reads the body of BatchUpdateTasks (OMS v2, 4.10).
func decodeBatch(body []byte) (oms.BatchUpdate, error) {
	f, err := decodeBody(body)
	if err != nil {
		return oms.BatchUpdate{}, err
	}
	u := oms.BatchUpdate{IDs: taskIDs(f)}
	if f.has("group_id") {
		u.GroupID = f.word("group_id", maxGroupID)
		f.line("group_id", maxGroupID)
	}
	if (u.GroupID == "") == (len(u.IDs) == 0) {
		f.refuse("OMS.1003", "Exactly one of the fields group_id and ids must be given.")
	}
	f.require("bandwidth_policy")
	u.Bandwidth = bandwidth(f)
	u.Priority = choice(f, "task_priority", "", oms.PriorityHigh, oms.PriorityMedium, oms.PriorityLow)
	return u, *f.err
}

// taskIDs reads the optional member ids; an id that is given twice counts once.
func taskIDs(f fields) []int64 {
	values := f.array("ids")
	if len(values) > maxBatch {
		f.refuse("OMS.1003", "The field ids must have at most %d elements.", maxBatch)
		return nil
	}
	var ids []int64
	for i, v := range values {
		id, _ := f.whole(at("ids", i), v, 0, math.MaxInt64)
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// batchObject names what a batch is about in the audit log.
func batchObject(u oms.BatchUpdate) string {
	if u.GroupID != "" {
		return "group " + u.GroupID
	}
	names := make([]string, len(u.IDs))
	for i, id := range u.IDs {
		names[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(names, ",")
}
