package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newScheduleCommand is the client of the API for schedules.
func newScheduleCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Let a service create a task at the times of a cron expression",
		Long: `Let a service create a task at the times of a cron expression, with the keys of connections (see oms connection).

The service and its access key are found as for oms task.`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(
		newScheduleCreateCommand(env, connect), newScheduleListCommand(env, connect), newScheduleShowCommand(env, connect),
		newNamedCommand(env, connect, "Delete a schedule; its tasks stay", "schedule", (*omsv2.Client).DeleteSchedule),
	)
	return cmd
}

type scheduleCreateOptions struct {
	rules       taskRules
	from, to    string // connections
	zone        string
	description string
	priority    string
	disabled    bool
}

func newScheduleCreateCommand(env *Env, connect connector) *cobra.Command {
	var opts scheduleCreateOptions
	cmd := &cobra.Command{
		Use:   "create NAME CRON SRC DST",
		Short: "Store a schedule, in the place of one of that name",
		Long: `Store a schedule, in the place of one of that name.

CRON is minute, hour, day of the month, month and day of the week, or @hourly, @daily, @weekly, @monthly. SRC and DST are
locations as for oms task create. The keys are those of the connections. Ages of --newer-than and --older-than count from
each run. A task is not created while the one before waits or runs.`,
		Example: `  oms schedule create nightly '30 2 * * mon-fri' 's3://photos?region=eu-west-1' 's3://backup?region=eu-west-1' \
    --src-connection lab --dst-connection lab --time-zone Europe/Berlin`,
		Args: cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.rules.listsSet = cmd.Flags().Changed("lists")
			return runScheduleCreate(cmd.Context(), env, connect, args, opts)
		},
	}
	opts.rules.register(cmd, false)
	cmd.Flags().StringVar(&opts.from, "src-connection", "", "`NAME` of the connection with the keys of SRC (required)")
	cmd.Flags().StringVar(&opts.to, "dst-connection", "", "`NAME` of the connection with the keys of DST (required)")
	cmd.Flags().StringVar(&opts.zone, "time-zone", "", "`ZONE` of CRON, such as Europe/Berlin (default that of the service)")
	cmd.Flags().StringVar(&opts.description, "description", "", "`TEXT` to keep with the schedule")
	cmd.Flags().StringVar(&opts.priority, "priority", "", "`PRIORITY` of the tasks: HIGH, MEDIUM or LOW")
	cmd.Flags().BoolVar(&opts.disabled, "disabled", false, "store it without creating tasks")
	return cmd
}

func runScheduleCreate(ctx context.Context, env *Env, connect connector, args []string, opts scheduleCreateOptions) error {
	if opts.from == "" || opts.to == "" {
		return usageErrorf("--src-connection and --dst-connection are needed: a schedule keeps no keys; see oms connection create")
	}
	task, err := scheduledTask(env, args[2], args[3], opts)
	if err != nil {
		return err
	}
	c, err := connect()
	if err != nil {
		return err
	}
	enabled := !opts.disabled
	err = c.KeepSchedule(ctx, args[0], &omsv2.KeepScheduleRequest{
		Cron: args[1], TimeZone: opts.zone, Description: opts.description, Enabled: &enabled, Task: task,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "schedule %s: stored\n", oms.Clean(args[0]))
	return err
}

// scheduledTask builds the task from the command line.
func scheduledTask(env *Env, srcText, dstText string, opts scheduleCreateOptions) (*omsv2.CreateExtendedTaskRequest, error) {
	src, err := serviceLocation(env, srcText)
	if err != nil {
		return nil, err
	}
	dst, err := serviceLocation(env, dstText)
	if err != nil {
		return nil, err
	}
	mode, err := opts.rules.overwriteMode()
	if err != nil {
		return nil, err
	}
	windows, err := opts.rules.windows()
	if err != nil {
		return nil, err
	}
	extended, err := scheduledRules(opts.rules.extended, dst.prefix, env.Now())
	if err != nil {
		return nil, err
	}
	return &omsv2.CreateExtendedTaskRequest{ExtendedRules: extended, CreateTaskRequest: omsv2.CreateTaskRequest{
		TaskType: string(oms.TypePrefix),
		SrcNode: &omsv2.SourceNodeRequest{
			Connection: opts.from, CloudType: string(src.vendor.cloud), Region: src.region, Bucket: src.bucket,
			AppID: appIDOf(src.bucket), ObjectKey: []string{src.prefix},
		},
		DstNode: &omsv2.DestinationNodeRequest{
			Connection: opts.to, CloudType: string(dst.vendor.cloud), Region: dst.region, Bucket: dst.bucket, SavePrefix: dst.prefix,
		},
		TaskPriority: opts.priority, BandwidthPolicy: policyOf(windows), ObjectOverwriteMode: string(mode),
		EnableMetadataMigration: opts.rules.metadata, EnableObjectLists: opts.rules.objectLists(),
	}}, nil
}

// scheduledRules are the rules with ages where ages were given: they are to count from each run.
func scheduledRules(r extendedRules, savePrefix string, now time.Time) (omsv2.ExtendedRules, error) {
	spec := oms.TaskSpec{Dst: oms.DestinationNode{SavePrefix: savePrefix}}
	if err := r.apply(&spec, now); err != nil {
		return omsv2.ExtendedRules{}, err
	}
	w, _ := wireRules(spec)
	if w.Filters == nil {
		return w, nil
	}
	// What means another instant a year later is an age.
	age := func(flag, text string, instant, seconds *int64) {
		then, err := parseWhen(flag, text, now.AddDate(1, 0, 0))
		if err == nil && !then.IsZero() && then.UnixMilli() != *instant {
			*instant, *seconds = 0, max(1, (now.UnixMilli()-*instant)/1000)
		}
	}
	age("--newer-than", r.newerThan, &w.Filters.ModifiedAfter, &w.Filters.MaxAge)
	age("--older-than", r.olderThan, &w.Filters.ModifiedBefore, &w.Filters.MinAge)
	return w, nil
}

func newScheduleListCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List schedules",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			list, err := c.ListSchedules(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeLines(env, list.Schedules)
			}
			rows := [][]string{{"NAME", "CRON", "ZONE", "NEXT", "LAST TASK", "DESCRIPTION"}}
			for _, s := range list.Schedules {
				rows = append(rows, []string{s.Name, s.Cron, s.TimeZone, nextTime(s), taskOrNone(s.LastTaskID), oms.Clean(s.Description)})
			}
			return writeTable(env.Stdout, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per line")
	return cmd
}

// nextTime shows when a schedule is due.
func nextTime(s omsv2.Schedule) string {
	switch {
	case !s.Enabled:
		return "disabled"
	case s.NextTime == 0:
		return "never"
	}
	return formatTime(s.NextTime)
}

func taskOrNone(id int64) string {
	if id == 0 {
		return "-"
	}
	return strconv.FormatInt(id, 10)
}

func newScheduleShowCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a schedule and what became of its latest due times",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			s, err := c.ShowSchedule(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.Stdout, s)
			}
			return writeSchedule(env, *s)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

func writeSchedule(env *Env, s omsv2.Schedule) error {
	rows := [][]string{
		{"name", s.Name},
		{"cron", s.Cron},
		{"zone", s.TimeZone},
		{"next", nextTime(s)},
		{"description", oms.Clean(s.Description)},
		{"task", string(s.Task)},
	}
	if err := writeTable(env.Stdout, rows); err != nil || len(s.Firings) == 0 {
		return err
	}
	rows = [][]string{{"DUE", "OUTCOME", "TASK", "REASON"}}
	for _, f := range s.Firings {
		reason := oms.Clean(f.Reason)
		if f.ErrorCode != "" {
			reason = f.ErrorCode + " " + reason
		}
		rows = append(rows, []string{formatTime(f.DueTime), f.Outcome, taskOrNone(f.TaskID), reason})
	}
	return writeTable(env.Stdout, rows)
}
