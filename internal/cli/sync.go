package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newSyncCommand is the client of the API for synchronization tasks.
func newSyncCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Create and control synchronization tasks of a service, and send them object names",
		Long: `Create and control the synchronization tasks of a service: long-lived tasks that migrate the objects that events name,
as the events arrive.

The service and its access key are found as for oms task.`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(
		newSyncCreateCommand(env, connect), newSyncListCommand(env, connect), newSyncShowCommand(env, connect),
		newSyncSendCommand(env, connect), newSyncStatisticsCommand(env, connect),
		newSyncStartCommand(env, connect),
		newSyncSimpleCommand(env, connect, "stop", "Stop a task; what it has accepted is applied after the next start", "stopped", (*omsv2.Client).StopSyncTask),
		newSyncSimpleCommand(env, connect, "delete", "Delete the record of a stopped task; its objects stay", "deleted", (*omsv2.Client).DeleteSyncTask),
	)
	return cmd
}

type syncCreateOptions struct {
	description string
	metadata    bool
	json        bool
}

func newSyncCreateCommand(env *Env, connect connector) *cobra.Command {
	var opts syncCreateOptions
	cmd := &cobra.Command{
		Use:   "create SRC DST",
		Short: "Create a synchronization task and start it",
		Long: `Create a synchronization task and start it.

SRC and DST are buckets such as s3://bucket?region=eu-west-1; the service looks the region up in its own table.
Objects keep their names.

` + keysHelp,
		Example: `  oms sync create 's3://photos?region=eu-west-1' 'obs://backup?region=cn-north-4'`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSyncCreate(cmd.Context(), env, connect, args[0], args[1], opts)
		},
	}
	cmd.Flags().StringVar(&opts.description, "description", "", "`TEXT` to keep with the task")
	cmd.Flags().BoolVar(&opts.metadata, "metadata", false, "copy user metadata and all content headers, not only the content type")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object")
	return cmd
}

func runSyncCreate(ctx context.Context, env *Env, connect connector, srcText, dstText string, opts syncCreateOptions) error {
	src, srcKeys, err := syncBucket(env, source, srcText)
	if err != nil {
		return err
	}
	dst, dstKeys, err := syncBucket(env, destination, dstText)
	if err != nil {
		return err
	}
	if dst.vendor.cloud != oms.CloudHuawei {
		return usageErrorf("%s: a synchronization task writes to obs: only; the service's table may give its region any endpoint", dst)
	}
	c, err := connect()
	if err != nil {
		return err
	}
	created, err := c.CreateSyncTask(ctx, &omsv2.CreateSyncTaskRequest{
		SrcCloudType: string(src.vendor.cloud), SrcRegion: src.region, SrcBucket: src.bucket,
		SrcAK: omsv2.Secret(srcKeys.AccessKey), SrcSK: wire(srcKeys.SecretKey),
		DstRegion: dst.region, DstBucket: dst.bucket, DstAK: omsv2.Secret(dstKeys.AccessKey), DstSK: wire(dstKeys.SecretKey),
		Description: opts.description, EnableMetadataMigration: opts.metadata,
	})
	if err != nil {
		return err
	}
	if opts.json {
		return writeJSON(env.Stdout, created)
	}
	_, err = fmt.Fprintf(env.Stdout, "synchronization task %s: started\n", created.SyncTaskID)
	return err
}

// syncBucket reads one end of a synchronization task, which is a whole bucket, with its keys.
func syncBucket(env *Env, s side, text string) (location, oms.Credentials, error) {
	l, err := serviceLocation(env, text)
	if err != nil {
		return location{}, oms.Credentials{}, err
	}
	if l.prefix != "" {
		return location{}, oms.Credentials{}, usageErrorf("%s: a synchronization task is about a whole bucket; leave the prefix out", l)
	}
	keys, err := l.credentials(env, s)
	if err == nil && !keys.SecurityToken.IsZero() {
		err = usageErrorf("%s: a synchronization task needs permanent keys, not temporary ones", l)
	}
	if err == nil {
		err = pairOnly(l, keys, s)
	}
	return l, keys, err
}

type syncListOptions struct {
	status        string
	limit, offset int
	json          bool
}

func newSyncListCommand(env *Env, connect connector) *cobra.Command {
	var opts syncListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List synchronization tasks, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			page, err := c.ListSyncTasks(cmd.Context(), omsv2.ListSyncTasksOptions{Status: opts.status, Limit: opts.limit, Offset: opts.offset})
			if err != nil {
				return err
			}
			return writeSyncs(env, page, opts)
		},
	}
	cmd.Flags().StringVar(&opts.status, "status", "", "only tasks in this `STATE`: SYNCHRONIZING or STOPPED")
	cmd.Flags().IntVar(&opts.limit, "limit", 20, "show at most `N` tasks, up to 100")
	cmd.Flags().IntVar(&opts.offset, "offset", 0, "leave out the first `N` tasks")
	cmd.Flags().BoolVar(&opts.json, "json", false, "write one JSON object per line")
	return cmd
}

func writeSyncs(env *Env, page *omsv2.ListSyncTasksResponse, opts syncListOptions) error {
	rows := [][]string{{"ID", "STATE", "STARTED", "SOURCE", "DESTINATION"}}
	for i := range page.Tasks {
		t := &page.Tasks[i]
		if opts.json {
			if err := writeJSON(env.Stdout, t); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{
			t.SyncTaskID, t.Status, formatTime(t.LastStartTime), t.SrcCloudType + " " + t.SrcBucket, t.DstRegion + " " + t.DstBucket,
		})
	}
	if opts.json {
		return nil
	}
	if err := writeTable(env.Stdout, rows); err != nil {
		return err
	}
	if shown := int64(len(page.Tasks) + opts.offset); shown < page.Count {
		_, err := fmt.Fprintf(env.Stdout, "%d more; see --offset\n", page.Count-shown)
		return err
	}
	return nil
}

func newSyncShowCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	var month string
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a synchronization task with the counts of a month",
		Example: "  oms sync show 31e9b7e6-6ffb-452f-9842-6ce354d99d75 --month 2026-11",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := env.Now().UTC()
			if month != "" {
				var err error
				if at, err = time.Parse("2006-01", month); err != nil {
					return usageErrorf("--month %q: want a month such as 2026-11", oms.Clean(month))
				}
			}
			c, err := connect()
			if err != nil {
				return err
			}
			t, err := c.ShowSyncTask(cmd.Context(), args[0], at.UnixMilli())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.Stdout, t)
			}
			return writeTable(env.Stdout, syncRows(t, at.Format("2006-01")))
		},
	}
	cmd.Flags().StringVar(&month, "month", "", "count the `MONTH`, as 2026-11, in UTC (default the present one)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// syncRows are the lines about a task.
func syncRows(t *omsv2.ShowSyncTaskResponse, month string) [][]string {
	rows := [][]string{
		{"id", t.SyncTaskID},
		{"state", t.Status},
		{"source", t.SrcCloudType + " " + t.SrcRegion + " " + t.SrcBucket},
		{"destination", t.DstRegion + " " + t.DstBucket},
		{"created", formatTime(t.CreateTime)},
		{"started", formatTime(t.LastStartTime)},
		{"names in " + month, formatCount(t.MonthlyAcceptanceRequest)},
		{"objects", fmt.Sprintf("%s migrated, %s skipped, %s failed",
			formatCount(t.MonthlySuccessObject), formatCount(t.MonthlySkipObject), formatCount(t.MonthlyFailureObject))},
		{"bytes", formatBytes(t.MonthlySize)},
	}
	if t.Description != "" {
		rows = append(rows, []string{"description", t.Description})
	}
	return rows
}

// newSyncSimpleCommand is a command that does one thing to one task.
func newSyncSimpleCommand(env *Env, connect connector, verb, short, done string, do func(*omsv2.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			if err := do(c, cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "synchronization task %s: %s\n", oms.Clean(args[0]), done)
			return err
		},
	}
}

func newSyncStartCommand(env *Env, connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "start ID",
		Short: "Let a stopped task go on",
		Long: `Let a stopped task go on.

The service keeps no keys while a task is stopped: they are sent again.

` + keysHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			if err := runSyncStart(cmd.Context(), env, c, args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "synchronization task %s: started\n", oms.Clean(args[0]))
			return err
		},
	}
}

func runSyncStart(ctx context.Context, env *Env, c *omsv2.Client, id string) error {
	t, err := c.ShowSyncTask(ctx, id, env.Now().UnixMilli())
	if err != nil {
		return err
	}
	src, err := keysOf(env, source, oms.CloudType(t.SrcCloudType))
	if err != nil {
		return err
	}
	dst, err := keysOf(env, destination, oms.CloudHuawei)
	if err != nil {
		return err
	}
	return c.StartSyncTask(ctx, id, &omsv2.StartSyncTaskRequest{
		SrcAK: omsv2.Secret(src.AccessKey), SrcSK: wire(src.SecretKey), DstAK: omsv2.Secret(dst.AccessKey), DstSK: wire(dst.SecretKey),
	})
}

// sendBatch is how many names one call takes, and sendPause how long sending rests when too many wait.
const (
	sendBatch = 100
	sendPause = 5 * time.Second
)

func newSyncSendCommand(env *Env, connect connector) *cobra.Command {
	return &cobra.Command{
		Use:   "send ID [NAME ...]",
		Short: "Ask a task to synchronize objects",
		Long: `Ask a task to synchronize objects by their exact names. Without names they are read from standard input, one a line.

When the task has too many names waiting, sending rests until it takes more. What was sent is stored by the service
and will be applied, whatever happens.`,
		Example: `  oms sync send 31e9b7e6-6ffb-452f-9842-6ce354d99d75 2026/a.jpg 2026/b.jpg
  oms sync send 31e9b7e6-6ffb-452f-9842-6ce354d99d75 < names.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			s := sender{c: c, id: args[0]}
			for _, name := range args[1:] {
				if err := s.add(cmd.Context(), name); err != nil {
					return err
				}
			}
			if len(args) == 1 {
				if err := s.read(cmd.Context(), env.Stdin); err != nil {
					return err
				}
			}
			if err := s.flush(cmd.Context()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "synchronization task %s: %s names sent\n", oms.Clean(s.id), formatCount(s.sent))
			return err
		},
	}
}

// sender sends names to a task, many in one call.
type sender struct {
	c     *omsv2.Client
	id    string
	names []string
	sent  int64
}

// maxNameLine is the longest line with a name, in bytes.
const maxNameLine = 64 << 10

// read adds the names of a text, one a line; empty lines are none.
func (s *sender) read(ctx context.Context, r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxNameLine)
	for in.Scan() {
		if in.Text() == "" {
			continue
		}
		if err := s.add(ctx, in.Text()); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	return nil
}

func (s *sender) add(ctx context.Context, name string) error {
	if name == "" {
		return usageErrorf("an object name must not be empty")
	}
	if s.names = append(s.names, name); len(s.names) < sendBatch {
		return nil
	}
	return s.flush(ctx)
}

// flush sends what was added.
func (s *sender) flush(ctx context.Context) error {
	for len(s.names) > 0 {
		err := s.c.CreateSyncEvents(ctx, s.id, s.names...)
		if e, ok := errors.AsType[*omsv2.Error](err); ok && e.StatusCode == http.StatusServiceUnavailable {
			if err := pause(ctx, sendPause); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		s.sent += int64(len(s.names))
		s.names = s.names[:0]
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newSyncStatisticsCommand(env *Env, connect connector) *cobra.Command {
	var last time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "statistics ID",
		Short: "Show what a task counted lately: names, objects and bytes in periods of five minutes or an hour",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if last <= 0 {
				return usageErrorf("--last is a time such as 6h")
			}
			c, err := connect()
			if err != nil {
				return err
			}
			now := env.Now()
			s, err := c.ListSyncTaskStatistic(cmd.Context(), args[0], now.Add(-last).UnixMilli(), now.UnixMilli(),
				omsv2.StatisticRequest, omsv2.StatisticSuccess, omsv2.StatisticSkip, omsv2.StatisticFailure, omsv2.StatisticSize)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(env.Stdout, s)
			}
			return writeTable(env.Stdout, statisticRows(s))
		},
	}
	cmd.Flags().DurationVar(&last, "last", 24*time.Hour, "look back so long, as 6h; beyond 24h in periods of an hour")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// statisticRows are the periods of a statistic, a column for each type.
func statisticRows(s *omsv2.SyncTaskStatistic) [][]string {
	rows := [][]string{{"FROM"}}
	for i, series := range s.StatisticDatas {
		rows[0] = append(rows[0], series.DataType)
		for j, p := range series.Data {
			if i == 0 {
				rows = append(rows, []string{formatTime(p.TimeStamp)})
			}
			n := strconv.FormatInt(p.StatisticNum, 10)
			if series.DataType == omsv2.StatisticSize {
				n = formatBytes(p.StatisticNum)
			}
			if j+1 < len(rows) {
				rows[j+1] = append(rows[j+1], n)
			}
		}
	}
	return rows
}
