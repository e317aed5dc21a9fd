package cli

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newTaskCommand is the client of the API.
func newTaskCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "task",
		Short: "Create and control the tasks of a service",
		Long: `Create and control the tasks of a service through its API.

The service is OMS_ENDPOINT (default ` + defaultEndpoint + `). The access key is OMS_AK, OMS_SK and OMS_PROJECT, or
what a file with the first credentials of a service says (--env-file, default ./oms-data/bootstrap.env).`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(
		newTaskCreateCommand(env, connect), newTaskListCommand(env, connect), newTaskShowCommand(env, connect),
		newTaskStartCommand(env, connect), newTaskStopCommand(env, connect), newTaskDeleteCommand(env, connect),
		newTaskWatchCommand(env, connect), newTaskFailedCommand(env, connect), newTaskObjectsCommand(env, connect), newTaskRetryCommand(env, connect),
	)
	return cmd
}

// connector makes a client when a command runs.
type connector func() (*omsv2.Client, error)

// taskID reads a task id from the command line.
func taskID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		return 0, usageErrorf("%q is not a task id", oms.Clean(text))
	}
	return id, nil
}

// withTask makes a client and reads the task id, which every command on one task does first.
func withTask(connect connector, arg string) (*omsv2.Client, int64, error) {
	id, err := taskID(arg)
	if err != nil {
		return nil, 0, err
	}
	c, err := connect()
	return c, id, err
}

// statusNames are the states of a task in words, by number.
func statusNames() []string {
	return []string{"", "waiting", "running", "paused", "failed", "succeeded", "retrying", "pausing"}
}

func statusName(status int32) string {
	names := statusNames()
	if status < 1 || int(status) >= len(names) {
		return "unknown"
	}
	return names[status]
}

type taskListOptions struct {
	status, name  string
	limit, offset int
	json          bool
}

func newTaskListCommand(env *Env, connect connector) *cobra.Command {
	var opts taskListOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tasks, newest first",
		Example: "  oms task list --status failed",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runTaskList(cmd.Context(), env, connect, opts)
		},
	}
	cmd.Flags().StringVar(&opts.status, "status", "", "only tasks in this `STATE`: waiting, running, paused, failed, succeeded, retrying or pausing")
	cmd.Flags().StringVar(&opts.name, "name", "", "only tasks whose name contains `TEXT`")
	cmd.Flags().IntVar(&opts.limit, "limit", 20, "show at most `N` tasks, up to 100")
	cmd.Flags().IntVar(&opts.offset, "offset", 0, "leave out the first `N` tasks")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object per line")
	return cmd
}

func runTaskList(ctx context.Context, env *Env, connect connector, opts taskListOptions) error {
	filter := omsv2.ListTasksOptions{Name: opts.name, Limit: opts.limit, Offset: opts.offset}
	if opts.status != "" {
		for i, name := range statusNames() {
			if name == opts.status {
				filter.Status = i
			}
		}
		if filter.Status == 0 {
			return usageErrorf("unknown state %q", oms.Clean(opts.status))
		}
	}
	c, err := connect()
	if err != nil {
		return err
	}
	page, err := c.ListTasks(ctx, filter)
	if err != nil {
		return err
	}
	if opts.json {
		return writeTasksJSON(env, page.Tasks)
	}
	rows := [][]string{{"ID", "STATE", "DONE", "OBJECTS", "FAILED", "SIZE", "SOURCE", "DESTINATION"}}
	for i := range page.Tasks {
		t := &page.Tasks[i]
		rows = append(rows, []string{
			strconv.FormatInt(t.ID, 10), statusName(t.Status), strconv.Itoa(int(t.Progress*100)) + " %",
			formatCount(t.TotalNum), formatCount(t.FailedNum), formatBytes(t.TotalSize),
			t.SrcNode.CloudType + " " + t.SrcNode.Bucket, t.DstNode.Region + " " + t.DstNode.Bucket,
		})
	}
	if err := writeTable(env.Stdout, rows); err != nil {
		return err
	}
	if shown := int64(len(page.Tasks) + opts.offset); shown < page.Count {
		_, err = fmt.Fprintf(env.Stdout, "%d more; see --offset\n", page.Count-shown)
	}
	return err
}

func writeTasksJSON(env *Env, tasks []omsv2.Task) error {
	for i := range tasks {
		if err := writeJSON(env.Stdout, &tasks[i]); err != nil {
			return err
		}
	}
	return nil
}

func newTaskShowCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a task",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			t, err := c.ShowTask(cmd.Context(), id)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.Stdout, t)
			}
			return writeTable(env.Stdout, taskRows(t))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// taskRows is a task for people, one fact per row.
func taskRows(t *omsv2.Task) [][]string {
	p := progressOf(t)
	rows := [][]string{
		{"task", strconv.FormatInt(t.ID, 10)},
		{"name", t.Name},
		{"state", statusName(t.Status)},
		{"source", t.SrcNode.CloudType + " " + t.SrcNode.Region + " " + t.SrcNode.Bucket + " " + keysText(t.SrcNode.ObjectKey)},
		{"destination", t.DstNode.Region + " " + t.DstNode.Bucket + " " + t.DstNode.SavePrefix},
		{"objects", objectsLine(p)},
		{"outcome", fmt.Sprintf("%s migrated, %s skipped, %s failed", formatCount(p.Migrated), formatCount(p.Skipped), formatCount(p.Failed))},
		{"bytes", formatBytes(p.DoneBytes) + " of " + formatBytes(p.FoundBytes) + ", " + formatBytes(p.MovedBytes) + " sent"},
		{"speed", formatBytes(t.MigrateSpeed) + "/s"},
		{"started", formatTime(t.StartTime)},
		{"took", formatDuration(p.Elapsed)},
		{"overwrite", t.ObjectOverwriteMode},
	}
	if t.Description != "" {
		rows = append(rows, []string{"description", t.Description})
	}
	if t.ErrorReason != nil {
		rows = append(rows, []string{"reason", t.ErrorReason.ErrorMsg + " (" + t.ErrorReason.ErrorCode + ")"})
	}
	if list := t.FailedObjectRecord.ListFileKey; list != nil && *list != "" {
		rows = append(rows, []string{"failed list", *list})
	}
	return rows
}

// keysText is the selection of a task in one line.
func keysText(keys []string) string {
	switch {
	case len(keys) == 0 || len(keys) == 1 && keys[0] == "":
		return "(whole bucket)"
	case len(keys) == 1:
		return formatKey(keys[0])
	default:
		return formatKey(keys[0]) + " and " + strconv.Itoa(len(keys)-1) + " more"
	}
}

func newTaskStopCommand(env *Env, connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "stop ID",
		Short: "Pause a running task; start goes on where it stopped",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			if err := c.StopTask(cmd.Context(), id); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "task %d: stopping\n", id)
			return err
		},
	}
}

func newTaskDeleteCommand(env *Env, connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Delete the record of a task that is not running; its objects stay",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteTask(cmd.Context(), id); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "task %d: deleted\n", id)
			return err
		},
	}
}

type taskStartOptions struct {
	failedOnly bool
	watch      watchOptions
	wait       bool
}

func newTaskStartCommand(env *Env, connect connector) *cobra.Command {
	var opts taskStartOptions
	cmd := &cobra.Command{
		Use:   "start ID",
		Short: "Resume a paused task or restart a failed one",
		Long: `Resume a paused task or restart a failed one.

The service keeps no keys between runs: they are sent again, from OMS_SRC_AK and OMS_SRC_SK, OMS_DST_AK and
OMS_DST_SK, or the environment variables and profiles of each side's own tools.`,
		Example: "  oms task start 176722560000001 --failed-only --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			return runTaskStart(cmd.Context(), env, c, id, opts)
		},
	}
	cmd.Flags().BoolVar(&opts.failedOnly, "failed-only", false, "retry only the objects that failed")
	cmd.Flags().BoolVar(&opts.wait, "wait", false, "return only when the task has ended")
	opts.watch.register(cmd)
	return cmd
}

func runTaskStart(ctx context.Context, env *Env, c *omsv2.Client, id int64, opts taskStartOptions) error {
	src, dst, err := startKeys(ctx, env, c, id)
	if err != nil {
		return err
	}
	err = c.StartTask(ctx, id, &omsv2.StartTaskRequest{
		SrcAK: omsv2.Secret(src.AccessKey), SrcSK: wire(src.SecretKey), SrcSecurityToken: wire(src.SecurityToken),
		ConnectionString: wire(src.ConnectionString), JSONAuthFile: wire(src.AuthFile),
		DstAK: omsv2.Secret(dst.AccessKey), DstSK: wire(dst.SecretKey), DstSecurityToken: wire(dst.SecurityToken),
		MigrateFailedObject: opts.failedOnly,
	})
	if err != nil {
		return err
	}
	return started(ctx, env, c, id, opts.wait, opts.watch)
}

// startKeys returns the keys of both sides of a task.
func startKeys(ctx context.Context, env *Env, c *omsv2.Client, id int64) (src, dst oms.Credentials, err error) {
	t, err := c.ShowTask(ctx, id)
	if err != nil {
		return src, dst, err
	}
	if src, err = keysOf(env, source, oms.CloudType(t.SrcNode.CloudType)); err != nil {
		return src, dst, err
	}
	dst, err = keysOf(env, destination, oms.CloudType(t.DstNode.CloudType))
	return src, dst, err
}

// started says that a task was started and waits for its end where that was asked for.
func started(ctx context.Context, env *Env, c *omsv2.Client, id int64, wait bool, opts watchOptions) error { //nolint:revive // --wait as the user gave it
	if !opts.json {
		if _, err := fmt.Fprintf(env.Stdout, "task %d: started\n", id); err != nil {
			return err
		}
	} else if err := writeJSON(env.Stdout, map[string]any{"type": "task", "id": id}); err != nil {
		return err
	}
	if !wait {
		return nil
	}
	return watchTask(ctx, env, c, id, opts)
}

// keysOf returns the keys of a side whose location is known to the service only.
func keysOf(env *Env, s side, cloud oms.CloudType) (oms.Credentials, error) {
	v, ok := vendorOf(cloud)
	if !ok {
		return oms.Credentials{}, usageErrorf("tasks of cloud type %q cannot be started from here", oms.Clean(string(cloud)))
	}
	return location{vendor: v}.credentials(env, s)
}

// wire puts a secret on the wire.
func wire(s oms.Secret) omsv2.Secret { return omsv2.Secret(s.Reveal()) }

type taskFailedOptions struct {
	json, causes bool
	limit        int
	codes        []string
	prefix       string
}

func newTaskFailedCommand(env *Env, connect connector) *cobra.Command {
	var opts taskFailedOptions
	cmd := &cobra.Command{
		Use:   "failed ID",
		Short: "List the objects of a task that failed, with their causes",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			if opts.limit < 1 {
				return usageErrorf("--limit is a number from 1")
			}
			filter := omsv2.ListFailuresOptions{Codes: opts.codes, Prefix: opts.prefix}
			if opts.causes {
				return listCauses(cmd.Context(), env, c, id, filter, opts)
			}
			return listFailures(cmd.Context(), opts.limit, apiFailures(c, id, filter), failureWriter(env, opts.json, math.MaxInt))
		},
	}
	cmd.Flags().IntVar(&opts.limit, "limit", 1000, "show at most `N` objects")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object per line")
	cmd.Flags().BoolVar(&opts.causes, "causes", false, "sum up by cause, with what to do about each")
	cmd.Flags().StringSliceVar(&opts.codes, "code", nil, "only objects that failed with `CODE`; may be repeated")
	cmd.Flags().StringVar(&opts.prefix, "prefix", "", "only objects whose names start with `TEXT`")
	return cmd
}

// listCauses writes the causes of a task's failures.
func listCauses(ctx context.Context, env *Env, c *omsv2.Client, id int64, filter omsv2.ListFailuresOptions, opts taskFailedOptions) error {
	causes, err := c.ListFailureCauses(ctx, id, filter)
	if err != nil {
		return err
	}
	for _, cause := range causes {
		if opts.json {
			if err := writeJSON(env.Stdout, cause); err != nil {
				return err
			}
			continue
		}
		objects := "objects"
		if cause.Count == 1 {
			objects = "object"
		}
		_, err := fmt.Fprintf(env.Stdout, "%s: %s %s, %s\n    %s\n", oms.Clean(cause.Code), formatCount(cause.Count), objects, formatBytes(cause.Bytes), oms.Clean(cause.Hint))
		if err != nil {
			return err
		}
		for _, f := range cause.Samples {
			if _, err := fmt.Fprintf(env.Stdout, "    such as %s: %s\n", formatKey(f.Key), oms.Clean(f.Message)); err != nil {
				return err
			}
		}
	}
	return nil
}

type taskRetryOptions struct {
	codes []string
	watch watchOptions
	wait  bool
}

func newTaskRetryCommand(env *Env, connect connector) *cobra.Command {
	var opts taskRetryOptions
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Retry the failed objects of a failed task, all or those with some causes",
		Long: `Retry the failed objects of a failed task, all or those with some causes.

Objects that failed for other causes stay as they are, and the task fails again while there are any. Keys are sent again, as
with start.`,
		Example: "  oms task retry 176722560000001 --code UPLOAD_DST_OBJ_FAILURE --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			return runTaskRetry(cmd.Context(), env, c, id, opts)
		},
	}
	cmd.Flags().StringSliceVar(&opts.codes, "code", nil, "only objects that failed with `CODE`; may be repeated")
	cmd.Flags().BoolVar(&opts.wait, "wait", false, "return only when the task has ended")
	opts.watch.register(cmd)
	return cmd
}

func runTaskRetry(ctx context.Context, env *Env, c *omsv2.Client, id int64, opts taskRetryOptions) error {
	src, dst, err := startKeys(ctx, env, c, id)
	if err != nil {
		return err
	}
	err = c.RetryTask(ctx, id, &omsv2.RetryTaskRequest{
		Codes: opts.codes,
		SrcAK: omsv2.Secret(src.AccessKey), SrcSK: wire(src.SecretKey), SrcSecurityToken: wire(src.SecurityToken),
		DstAK: omsv2.Secret(dst.AccessKey), DstSK: wire(dst.SecretKey), DstSecurityToken: wire(dst.SecurityToken),
	})
	if err != nil {
		return err
	}
	return started(ctx, env, c, id, opts.wait, opts.watch)
}

// failure is one object that could not be migrated.
type failure struct {
	Type    string `json:"type"` // "failure"
	Key     string `json:"key"`
	Encoded string `json:"key_encoded,omitempty"` // percent-encoded, where JSON cannot hold the key
	Size    int64  `json:"size"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// failurePage returns failures after a key, and where the next page begins; "" at the end.
type failurePage func(ctx context.Context, after string, limit int) ([]failure, string, error)

// failureMax is the largest page of failures.
const failureMax = 1000

// listFailures hands at most limit failures to write.
func listFailures(ctx context.Context, limit int, page failurePage, write func(failure) error) error {
	after := ""
	for limit > 0 {
		list, next, err := page(ctx, after, min(limit, failureMax))
		if err != nil {
			return err
		}
		for _, f := range list {
			if err := write(f); err != nil {
				return err
			}
		}
		limit -= len(list)
		if next == "" || len(list) == 0 {
			return nil
		}
		after = next
	}
	return nil
}

// apiFailures asks the service for the failures that the filter selects.
func apiFailures(c *omsv2.Client, id int64, filter omsv2.ListFailuresOptions) failurePage {
	return func(ctx context.Context, after string, limit int) ([]failure, string, error) {
		filter.After, filter.Limit = after, limit
		page, err := c.ListFailures(ctx, id, filter)
		if err != nil {
			return nil, "", err
		}
		list := make([]failure, len(page.Failures))
		for i, f := range page.Failures {
			list[i] = failure{Type: "failure", Key: f.Key, Encoded: f.KeyEncoded, Size: f.Size, Code: f.Code, Message: f.Message}
		}
		return list, page.Next, nil
	}
}

// failureWriter writes failures for programs, or for people with keys of at most width characters.
func failureWriter(env *Env, asJSON bool, width int) func(failure) error { //nolint:revive // --json as the user gave it
	if asJSON {
		return func(f failure) error { return writeJSON(env.Stdout, f) }
	}
	return func(f failure) error {
		_, err := fmt.Fprintf(env.Stdout, "%s  %s  %s\n", shorten(formatKey(f.Key), width), f.Code, oms.Clean(f.Message))
		return err
	}
}
