package omsv2

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Outcomes of a Firing.
const (
	FiringCreated = "created"
	FiringSkipped = "skipped"
	FiringMissed  = "missed"
	FiringFailed  = "failed"
)

// KeepScheduleRequest is the body of KeepSchedule. It is an extension of this service.
type KeepScheduleRequest struct {
	// When tasks are created: five fields (minute, hour, day of the month, month, day of the week), or @hourly, @daily,
	// @weekly, @monthly, @yearly.
	Cron string `json:"cron"`
	// IANA name of the zone that the expression is read in; missing: that of the service.
	TimeZone string `json:"time_zone,omitempty"`
	// Free text.
	Description string `json:"description,omitempty"`
	// false: no tasks are created; missing: true.
	Enabled *bool `json:"enabled,omitempty"`
	// Body of CreateExtendedTask, whose nodes name connections instead of keys.
	Task *CreateExtendedTaskRequest `json:"task"`
}

// Schedule creates tasks at the times of a cron expression. It is an extension of this service.
type Schedule struct {
	// Unique in the project.
	Name string `json:"name"`
	// When tasks are created.
	Cron string `json:"cron"`
	// Zone of the expression; "" is that of the service.
	TimeZone string `json:"time_zone"`
	// Free text.
	Description string `json:"description"`
	// Whether tasks are created.
	Enabled bool `json:"enabled"`
	// When it is due next, in Unix milliseconds; 0: never.
	NextTime int64 `json:"next_time"`
	// The task that was created last; 0: none yet.
	LastTaskID int64 `json:"last_task_id"`
	// Body of CreateExtendedTask as it was given.
	Task json.RawMessage `json:"task"`
	// What became of the latest due times, newest first, at most 20. Only in ShowSchedule.
	Firings []Firing `json:"firings,omitempty"`
	// Unix milliseconds.
	CreatedTime int64 `json:"created_time"`
	// Unix milliseconds.
	UpdatedTime int64 `json:"updated_time"`
}

// Firing is what became of one due time of a schedule.
type Firing struct {
	// Unix milliseconds.
	DueTime int64 `json:"due_time"`
	// When it was dealt with, in Unix milliseconds.
	FiredTime int64 `json:"fired_time"`
	// created: a task; skipped: the task of the time before still waited or ran; missed: the service was away for too long;
	// failed: the task was refused.
	Outcome string `json:"outcome"`
	// The task; 0: none.
	TaskID int64 `json:"task_id"`
	// Code of the refusal; may be "".
	ErrorCode string `json:"error_code"`
	// Why there is no task; "" when there is one.
	Reason string `json:"reason"`
}

// ListSchedulesResponse are the schedules of a project in order of name, without their history.
type ListSchedulesResponse struct {
	// At most 100.
	Schedules []Schedule `json:"schedules"`
}

// ListSchedules returns the schedules of the project. It is an extension of this service.
func (c *Client) ListSchedules(ctx context.Context) (*ListSchedulesResponse, error) {
	return call[ListSchedulesResponse](ctx, c, request{op: "list schedules", method: http.MethodGet, path: c.extension("schedules")})
}

// ShowSchedule returns a schedule with its history. It is an extension of this service.
func (c *Client) ShowSchedule(ctx context.Context, name string) (*Schedule, error) {
	return call[Schedule](ctx, c, request{op: "show schedule", method: http.MethodGet, path: c.extension("schedules", name)})
}

// KeepSchedule stores a schedule, in the place of one of that name. It is an extension of this service.
func (c *Client) KeepSchedule(ctx context.Context, name string, req *KeepScheduleRequest) error {
	return exec(ctx, c, request{op: "keep schedule", method: http.MethodPut, path: c.extension("schedules", name), body: req})
}

// DeleteSchedule removes a schedule; its tasks stay. It is an extension of this service.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	return exec(ctx, c, request{op: "delete schedule", method: http.MethodDelete, path: c.extension("schedules", name)})
}

// ListConnections returns the connections of the project, without their keys. It is an extension of this service.
func (c *Client) ListConnections(ctx context.Context) (*ListConnectionsResponse, error) {
	return call[ListConnectionsResponse](ctx, c, request{op: "list connections", method: http.MethodGet, path: c.extension("connections")})
}

// KeepConnection stores a connection, in the place of one of that name. It is an extension of this service.
func (c *Client) KeepConnection(ctx context.Context, name string, req *KeepConnectionRequest) error {
	return exec(ctx, c, request{op: "keep connection", method: http.MethodPut, path: c.extension("connections", name), body: req})
}

// CheckConnection tries the keys of a connection. It is an extension of this service.
func (c *Client) CheckConnection(ctx context.Context, name string, req *CheckConnectionRequest) (*CheckConnectionResponse, error) {
	return call[CheckConnectionResponse](ctx, c, request{op: "check connection", method: http.MethodPost, path: c.extension("connections", name) + "/check", body: req})
}

// DeleteConnection removes a connection and destroys its keys. It is an extension of this service.
func (c *Client) DeleteConnection(ctx context.Context, name string) error {
	return exec(ctx, c, request{op: "delete connection", method: http.MethodDelete, path: c.extension("connections", name)})
}

// extension returns a path of the extension.
func (c *Client) extension(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = url.PathEscape(part)
	}
	return "/ext/v1/" + url.PathEscape(c.ProjectID) + "/" + strings.Join(escaped, "/")
}
