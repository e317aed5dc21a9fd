package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Schedules is the service behind the operations on schedules; package engine implements it. Unknown schedules and those of
// another project are oms.NotFound with OMS.1009.
type Schedules interface {
	// KeepSchedule stores a schedule, in the place of one of that name (OMS.1003 for its expression and zone).
	KeepSchedule(ctx context.Context, s oms.Schedule) error
	// Schedules returns those of the project in order of name, without their history.
	Schedules(ctx context.Context, project string) ([]oms.Schedule, error)
	// Schedule returns one with its history.
	Schedule(ctx context.Context, project, name string) (oms.Schedule, error)
	// DeleteSchedule removes one with its history.
	DeleteSchedule(ctx context.Context, project, name string) error
}

// Bounds of schedules, in characters, and of the task in bytes.
const (
	maxCron     = 255
	maxZone     = 64
	maxTemplate = 256 << 10
)

// scheduleRoutes returns the operations on schedules. Who may store one may create tasks.
func scheduleRoutes() []route {
	const (
		schedules = "/ext/v1/{project_id}/schedules"
		schedule  = schedules + "/{schedule}"
	)
	return []route{
		{http.MethodGet, schedules, "ListSchedules", may(auth.ExtensionGet), noBody, (*service).listSchedules},
		{http.MethodPut, schedule, "KeepSchedule", may(auth.TaskCreate), normalBody, (*service).keepSchedule},
		{http.MethodGet, schedule, "ShowSchedule", may(auth.ExtensionGet), noBody, (*service).showSchedule},
		{http.MethodDelete, schedule, "DeleteSchedule", may(auth.ExtensionUpdate), noBody, (*service).deleteSchedule},
	}
}

// scheduleName returns the name of the path.
func scheduleName(c *call) (string, error) {
	name := c.r.PathValue("schedule")
	c.object = "schedule " + oms.Clean(name)
	if !plausibleConnection(name) {
		return "", oms.Errorf(oms.Invalid, "OMS.1003", "The name of a schedule has 1 to %d letters, digits, \"-\", \"_\" and \".\".", maxConnectionName)
	}
	return name, nil
}

func (s *service) listSchedules(ctx context.Context, c *call) (any, error) {
	list, err := s.tasks.Schedules(ctx, c.project)
	if err != nil {
		return nil, err
	}
	answer := omsv2.ListSchedulesResponse{Schedules: make([]omsv2.Schedule, 0, len(list))}
	for _, schedule := range list {
		answer.Schedules = append(answer.Schedules, scheduleView(schedule))
	}
	return answer, nil
}

func (s *service) showSchedule(ctx context.Context, c *call) (any, error) {
	name, err := scheduleName(c)
	if err != nil {
		return nil, err
	}
	schedule, err := s.tasks.Schedule(ctx, c.project, name)
	if err != nil {
		return nil, err
	}
	return scheduleView(schedule), nil
}

func scheduleView(s oms.Schedule) omsv2.Schedule {
	v := omsv2.Schedule{
		Name: s.Name, Cron: s.Cron, TimeZone: s.Zone, Description: s.Description, Enabled: s.Enabled, NextTime: millis(s.NextDue),
		LastTaskID: s.LastTask, Task: s.Template, CreatedTime: s.CreatedAt.UnixMilli(), UpdatedTime: s.UpdatedAt.UnixMilli(),
	}
	for _, f := range s.Firings {
		v.Firings = append(v.Firings, omsv2.Firing{
			DueTime: f.Due.UnixMilli(), FiredTime: f.At.UnixMilli(), Outcome: string(f.Outcome), TaskID: f.TaskID,
			ErrorCode: f.Code, Reason: oms.Clean(f.Reason),
		})
	}
	return v
}

func (s *service) deleteSchedule(ctx context.Context, c *call) (any, error) {
	name, err := scheduleName(c)
	if err != nil {
		return nil, err
	}
	return nil, s.tasks.DeleteSchedule(ctx, c.project, name)
}

// keepSchedule stores a schedule whose task could be created now, as far as that is known without its buckets.
func (s *service) keepSchedule(ctx context.Context, c *call) (any, error) {
	name, err := scheduleName(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	schedule := oms.Schedule{
		ProjectID: c.project, Name: name, Description: description(f), Cron: f.word("cron", maxCron), Zone: f.line("time_zone", maxZone),
		Enabled: !f.has("enabled") || f.truth("enabled"),
	}
	f.line("cron", maxCron)
	f.require("task")
	task := f.object("task")
	keyless(task)
	if f.failed() {
		return nil, *f.err
	}
	if schedule.Template, err = json.Marshal(task.members); err != nil {
		return nil, oms.Errorf(oms.Invalid, "OMS.0067", "The field task is not JSON.")
	}
	if len(schedule.Template) > maxTemplate {
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The field task must have at most %d bytes.", maxTemplate)
	}
	if _, _, err := s.compileTask(ctx, c.project, task); err != nil {
		return nil, err
	}
	return nil, s.tasks.KeepSchedule(ctx, schedule)
}

// keyless refuses a task that brings keys or that has none to take: a schedule keeps no keys, and those of its tasks are
// destroyed when they end.
func keyless(task fields) {
	refuseKeys(task, task.members)
	nodes := []string{"src_node", "dst_node"}
	if t, ok := task.value("task_type").(string); ok && oms.TaskType(t) == oms.TypeURLList {
		nodes = nodes[1:] // its source needs no keys
	}
	for _, node := range nodes {
		if !task.object(node).has("connection") {
			task.refuse("OMS.1004", "The field %s is mandatory: a schedule keeps no keys, its tasks take those of connections.",
				task.path+node+".connection")
		}
	}
}

// refuseKeys refuses members that hold secrets, wherever and however they are written: what nobody reads is stored as well.
func refuseKeys(f fields, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			switch strings.ToLower(name) {
			case "ak", "sk", "security_token", "connection_string", "json_auth_file", "authentication_key":
				f.refuse("OMS.1003", "A schedule keeps no keys: leave %s out and name a connection.", f.path+strings.ToLower(name))
			}
			refuseKeys(f, member)
		}
	case []any:
		for _, element := range v {
			refuseKeys(f, element)
		}
	}
}

// compileTask reads the body of CreateExtendedTask and looks its connections up.
func (s *service) compileTask(ctx context.Context, project string, f fields) (oms.Task, oms.TaskCredentials, error) {
	if err := s.connect(ctx, project, f); err != nil {
		return oms.Task{}, oms.TaskCredentials{}, err
	}
	spec, keys, err := s.decodeSpec(f)
	if err != nil {
		return oms.Task{}, oms.TaskCredentials{}, err
	}
	extendedRules(f, &spec, s.clock())
	if f.failed() {
		return oms.Task{}, oms.TaskCredentials{}, *f.err
	}
	return oms.Task{ProjectID: project, GroupType: oms.GroupNormal, Spec: spec}, keys, s.topicKnown(ctx, project, spec.SMN)
}

// Compiler returns what reads the templates of schedules: bodies of CreateExtendedTask, which become tasks that can be
// created, with the keys of their connections. It reads the options that New does.
func Compiler(opts Options) func(ctx context.Context, project string, template []byte) (oms.Task, oms.TaskCredentials, error) {
	s := newService(opts)
	return func(ctx context.Context, project string, template []byte) (oms.Task, oms.TaskCredentials, error) {
		f, err := decodeBody(template)
		if err != nil {
			return oms.Task{}, oms.TaskCredentials{}, err
		}
		return s.compileTask(ctx, project, f)
	}
}
