package omsv2

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// defaultMaxAnswer is Client.MaxAnswer when that is 0: a full page of the largest tasks fits.
const defaultMaxAnswer = 64 << 20

// defaultTimeout is that of a whole call when Client.HTTPClient is nil.
const defaultTimeout = 90 * time.Second

// headerNonce is signed, so that equal calls in one second have signatures of their own: a service that protects
// itself against repeated requests takes a signature once.
const headerNonce = "X-Openoms-Nonce"

// Client calls one service for one project. It is safe for concurrent use as long as no field is changed. It
// neither retries nor follows redirects.
type Client struct {
	Endpoint  string // scheme://host[:port], without a path
	ProjectID string

	// Requests are signed with the access key; SecurityToken comes with temporary keys.
	AccessKey     string
	SecretKey     Secret
	SecurityToken Secret
	// Token is sent as X-Auth-Token instead when there is no AccessKey. Without both, requests are anonymous.
	Token Secret

	HTTPClient *http.Client     // nil means one with a timeout of 90 s
	UserAgent  string           // empty means "openoms"
	MaxAnswer  int64            // most bytes that are read of one answer; 0 means 64 MiB
	Now        func() time.Time // nil means time.Now; the service allows 15 minutes of difference
}

// ListTasksOptions filter and page ListTasks. The zero value is the first ten tasks of all.
type ListTasksOptions struct {
	GroupID string // only tasks of this group
	Status  int    // only tasks in this state; 0 means all
	Name    string // only tasks whose name contains it
	Limit   int    // page size, 1 to 100; 0 means 10
	Offset  int    // index of the first task
}

// ListFailuresOptions page ListFailures. The zero value is the first page.
type ListFailuresOptions struct {
	After  string   // ListFailuresResponse.Next of the page before
	Limit  int      // page size, 1 to 1000; 0 means 100
	Codes  []string // only failures with one of these codes; none means all
	Prefix string   // only objects whose names start with it
}

// ListAPIVersions returns the versions of the API that the service speaks.
func (c *Client) ListAPIVersions(ctx context.Context) (*ListAPIVersionsResponse, error) {
	return call[ListAPIVersionsResponse](ctx, c, request{op: "list API versions", method: http.MethodGet, path: "/"})
}

// ShowAPIInfo returns one version of the API, e.g. "v2".
func (c *Client) ShowAPIInfo(ctx context.Context, version string) (*APIVersion, error) {
	return call[APIVersion](ctx, c, request{op: "show API info", method: http.MethodGet, path: "/" + url.PathEscape(version)})
}

// CreateTask creates a task and starts it.
func (c *Client) CreateTask(ctx context.Context, req *CreateTaskRequest) (*CreateTaskResponse, error) {
	return call[CreateTaskResponse](ctx, c, request{op: "create task", method: http.MethodPost, path: c.tasks(), body: req})
}

// ListTasks returns a page of tasks, newest first.
func (c *Client) ListTasks(ctx context.Context, opts ListTasksOptions) (*ListTasksResponse, error) {
	q := url.Values{}
	setString(q, "group_id", opts.GroupID)
	setString(q, "task_name", opts.Name)
	setInt(q, "status", opts.Status)
	setPage(q, opts.Limit, opts.Offset)
	return call[ListTasksResponse](ctx, c, request{op: "list tasks", method: http.MethodGet, path: c.tasks(), query: q})
}

// ShowTask returns a task. An unknown task is an *Error with StatusCode 400 and Code OMS.1009.
func (c *Client) ShowTask(ctx context.Context, id int64) (*Task, error) {
	return call[Task](ctx, c, request{op: "show task", method: http.MethodGet, path: c.task(id)})
}

// DeleteTask deletes a task that is not running; a running one is refused with OMS.0063.
func (c *Client) DeleteTask(ctx context.Context, id int64) error {
	return exec(ctx, c, request{op: "delete task", method: http.MethodDelete, path: c.task(id)})
}

// StartTask resumes a paused task or restarts a failed one.
func (c *Client) StartTask(ctx context.Context, id int64, req *StartTaskRequest) error {
	return exec(ctx, c, request{op: "start task", method: http.MethodPost, path: c.task(id) + "/start", body: req})
}

// StopTask pauses a running task.
func (c *Client) StopTask(ctx context.Context, id int64) error {
	return exec(ctx, c, request{op: "stop task", method: http.MethodPost, path: c.task(id) + "/stop"})
}

// UpdateBandwidthPolicy replaces the traffic limits of a task; none removes them.
func (c *Client) UpdateBandwidthPolicy(ctx context.Context, id int64, policy []BandwidthPolicy) error {
	body := &UpdateBandwidthPolicyRequest{BandwidthPolicy: append([]BandwidthPolicy{}, policy...)}
	return exec(ctx, c, request{op: "update bandwidth policy", method: http.MethodPut, path: c.task(id) + "/bandwidth-policy", body: body})
}

// BatchUpdateTasks changes limits and priority of several tasks, of all or of none.
func (c *Client) BatchUpdateTasks(ctx context.Context, req *BatchUpdateTasksRequest) error {
	body := *req
	body.BandwidthPolicy = append([]BandwidthPolicy{}, req.BandwidthPolicy...)
	return exec(ctx, c, request{op: "batch update tasks", method: http.MethodPost, path: c.tasks() + "/batch-update", body: &body})
}

// ListFailures returns a page of a task's failed objects, with exact names in Failure.Key. It is an extension
// of this service.
func (c *Client) ListFailures(ctx context.Context, id int64, opts ListFailuresOptions) (*ListFailuresResponse, error) {
	page, err := call[ListFailuresResponse](ctx, c, request{op: "list failures", method: http.MethodGet, path: c.extTask(id) + "/failures", query: opts.query()})
	if err != nil {
		return nil, err
	}
	return page, exactKeys(page.Failures)
}

// query returns the parameters that both forms of ListFailures have.
func (o ListFailuresOptions) query() url.Values {
	q := url.Values{}
	setString(q, "after", o.After)
	setString(q, "code", strings.Join(o.Codes, ","))
	setString(q, "prefix", o.Prefix)
	setInt(q, "limit", o.Limit)
	return q
}

// exactKeys puts the exact names into failures.
func exactKeys(failures []Failure) error {
	for i, f := range failures {
		if f.KeyEncoded == "" {
			continue
		}
		key, err := url.PathUnescape(f.KeyEncoded)
		if err != nil {
			return fmt.Errorf("list failures: key of an answer: %w", err)
		}
		failures[i].Key = key
	}
	return nil
}

// ListFailureCauses sums up a task's failed objects by their codes, the most frequent first. Of the options, Codes and
// Prefix count. It is an extension of this service.
func (c *Client) ListFailureCauses(ctx context.Context, id int64, opts ListFailuresOptions) ([]FailureCause, error) {
	q := opts.query()
	q.Set("group_by", "code")
	page, err := call[ListFailuresResponse](ctx, c, request{op: "list causes of failures", method: http.MethodGet, path: c.extTask(id) + "/failures", query: q})
	if err != nil {
		return nil, err
	}
	for _, cause := range page.Causes {
		if err := exactKeys(cause.Samples); err != nil {
			return nil, err
		}
	}
	return page.Causes, nil
}

// RetryTask starts a failed task over its failures with the causes that are named. It is an extension of this service.
func (c *Client) RetryTask(ctx context.Context, id int64, req *RetryTaskRequest) error {
	return exec(ctx, c, request{op: "retry task", method: http.MethodPost, path: c.extTask(id) + "/retry", body: req})
}

// extTask is the path of a task's extensions.
func (c *Client) extTask(id int64) string {
	return "/ext/v1/" + url.PathEscape(c.ProjectID) + "/tasks/" + strconv.FormatInt(id, 10)
}

func (c *Client) tasks() string { return "/v2/" + url.PathEscape(c.ProjectID) + "/tasks" }

func (c *Client) task(id int64) string { return c.tasks() + "/" + strconv.FormatInt(id, 10) }

func setString(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func setInt(q url.Values, name string, value int) {
	if value != 0 {
		q.Set(name, strconv.Itoa(value))
	}
}

// setPage adds the page of a list that is asked for.
func setPage(q url.Values, limit, offset int) {
	setInt(q, "limit", limit)
	setInt(q, "offset", offset)
}

// request is one call before it is sent.
type request struct {
	op     string // for errors
	method string
	path   string // escaped
	query  url.Values
	body   any // nil: none
}

// call sends req and decodes the answer.
func call[T any](ctx context.Context, c *Client, req request) (*T, error) {
	body, err := c.send(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.op, err)
	}
	var out T
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("%s: decode answer: %w", req.op, err)
	}
	return &out, nil
}

// exec sends req and expects no content.
func exec(ctx context.Context, c *Client, req request) error {
	if _, err := c.send(ctx, req); err != nil {
		return fmt.Errorf("%s: %w", req.op, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, req request) ([]byte, error) {
	r, err := c.newRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, err := c.httpClient().Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	limit := cmp.Or(c.MaxAnswer, defaultMaxAnswer)
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", err)
	case int64(len(body)) > limit:
		return nil, errors.New("read answer: longer than " + strconv.FormatInt(limit, 10) + " bytes")
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, newError(resp, body)
	}
	return body, nil
}

func (c *Client) newRequest(ctx context.Context, req request) (*http.Request, error) {
	var body []byte
	if req.body != nil {
		var err error
		if body, err = json.Marshal(req.body); err != nil {
			return nil, fmt.Errorf("encode body: %w", err)
		}
	}
	target := strings.TrimSuffix(c.Endpoint, "/") + req.path
	if len(req.query) > 0 {
		target += "?" + req.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, req.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", cmp.Or(c.UserAgent, "openoms"))
	c.authenticate(r, body)
	return r, nil
}

// authenticate signs r or gives it the token.
func (c *Client) authenticate(r *http.Request, body []byte) {
	if c.ProjectID != "" {
		r.Header.Set("X-Project-Id", c.ProjectID)
	}
	if c.AccessKey == "" {
		if c.Token != "" {
			r.Header.Set("X-Auth-Token", string(c.Token))
		}
		return
	}
	r.Header.Set(headerNonce, rand.Text())
	signed := []string{"host", strings.ToLower(headerNonce)}
	if c.ProjectID != "" {
		signed = append(signed, "x-project-id")
	}
	if c.SecurityToken != "" {
		r.Header.Set("X-Security-Token", string(c.SecurityToken))
		signed = append(signed, "x-security-token")
	}
	sign(r, body, c.AccessKey, c.SecretKey, c.now(), signed...)
}

// httpClient returns a copy that follows no redirects: a signature is for one address only.
func (c *Client) httpClient() *http.Client {
	client := http.Client{Timeout: defaultTimeout}
	if c.HTTPClient != nil {
		client = *c.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
