package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// newGroupCommand is the client of the API for task groups.
func newGroupCommand(env *Env) *cobra.Command {
	var opts clientOptions
	cmd := &cobra.Command{
		Use:   "group",
		Short: "Create and control task groups of a service: large sources, split into tasks",
		Long: `Create and control task groups of a service through its API.

A group splits its source into tasks by itself and is paused, resumed, retried and deleted as a whole. Its tasks are
shown by 'oms task' as well. See 'oms task --help' for how the service and the access key are found.`,
	}
	asGroup(cmd)
	cmd.PersistentFlags().StringVar(&opts.envFile, "env-file", "", "read the access key from `FILE`")
	connect := func() (*omsv2.Client, error) { return newClient(env, opts) }
	cmd.AddCommand(
		newGroupCreateCommand(env, connect), newGroupListCommand(env, connect), newGroupShowCommand(env, connect),
		newGroupStartCommand(env, connect), newGroupStopCommand(env, connect), newGroupRetryCommand(env, connect),
		newGroupDeleteCommand(env, connect), newGroupWatchCommand(env, connect),
	)
	return cmd
}

// groupStatusName is the state of a group in words.
func groupStatusName(status int32) string {
	if status < int32(oms.GroupWaiting) || status > int32(oms.GroupDeleting) {
		return "unknown"
	}
	return oms.GroupStatus(status).String()
}

// onGroup is a command on one group.
func onGroup(use, short string, connect connector, run func(ctx context.Context, c *omsv2.Client, id string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect()
			if err != nil {
				return err
			}
			return run(cmd.Context(), c, args[0])
		},
	}
}

func newGroupListCommand(env *Env, connect connector) *cobra.Command {
	var status string
	var limit, offset int
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List task groups, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter := omsv2.ListTaskGroupsOptions{Limit: limit, Offset: offset}
			if status != "" {
				n, err := groupStatusOf(status)
				if err != nil {
					return err
				}
				filter.Status = &n
			}
			c, err := connect()
			if err != nil {
				return err
			}
			page, err := c.ListTaskGroups(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return writeGroups(env, page, offset, asJSON)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only groups in this `STATE`, for instance monitoring, failed or succeeded")
	cmd.Flags().IntVar(&limit, "limit", 20, "show at most `N` groups, up to 100")
	cmd.Flags().IntVar(&offset, "offset", 0, "leave out the first `N` groups")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object per line")
	return cmd
}

// groupStatusOf returns the number of a state in words.
func groupStatusOf(name string) (int, error) {
	for _, s := range oms.GroupStatuses() {
		if s.String() == name {
			return int(s), nil
		}
	}
	return 0, usageErrorf("unknown state %q", oms.Clean(name))
}

func writeGroups(env *Env, page *omsv2.ListTaskGroupsResponse, offset int, asJSON bool) error { //nolint:revive // --json as the user gave it
	rows := [][]string{{"ID", "STATE", "TASKS", "FAILED", "OBJECTS", "SIZE", "SOURCE", "DESTINATION"}}
	for i := range page.TaskGroups {
		g := &page.TaskGroups[i]
		if asJSON {
			if err := writeJSON(env.Stdout, g); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{
			g.GroupID, groupStatusName(g.Status), formatCount(g.CompleteTaskNum) + "/" + formatCount(g.TotalTaskNum), formatCount(g.FailNum),
			formatCount(g.TotalNum), formatBytes(g.TotalSize), g.SrcNode.CloudType + " " + g.SrcNode.Bucket, g.DstNode.Region + " " + g.DstNode.Bucket,
		})
	}
	if asJSON {
		return nil
	}
	if err := writeTable(env.Stdout, rows); err != nil {
		return err
	}
	if shown := int64(len(page.TaskGroups) + offset); shown < page.Count {
		_, err := fmt.Fprintf(env.Stdout, "%d more; see --offset\n", page.Count-shown)
		return err
	}
	return nil
}

func newGroupShowCommand(env *Env, connect connector) *cobra.Command {
	var asJSON bool
	cmd := onGroup("show ID", "Show a task group", connect, func(ctx context.Context, c *omsv2.Client, id string) error {
		g, err := c.ShowTaskGroup(ctx, id)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(env.Stdout, g)
		}
		return writeTable(env.Stdout, groupRows(g))
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// groupRows is a group for people, one fact per row.
func groupRows(g *omsv2.TaskGroup) [][]string {
	rows := [][]string{
		{"group", g.GroupID},
		{"state", groupStatusName(g.Status)},
		{"source", g.SrcNode.CloudType + " " + g.SrcNode.Region + " " + g.SrcNode.Bucket + " " + keysText(g.SrcNode.ObjectKey)},
		{"destination", g.DstNode.Region + " " + g.DstNode.Bucket + " " + g.DstNode.SavePrefix},
		{"tasks", fmt.Sprintf("%s created: %s waiting, %s running, %s paused, %s failed, %s succeeded", formatCount(g.CreateTaskNum),
			formatCount(g.WaitingTaskNum), formatCount(g.ExecutingTaskNum), formatCount(g.PausedTaskNum), formatCount(g.FailedTaskNum), formatCount(g.CompleteTaskNum))},
		{"objects", formatCount(g.TotalNum) + " found, " + formatCount(g.CreateCompleteNum) + " in tasks"},
		{"outcome", fmt.Sprintf("%s migrated, %s skipped, %s failed", formatCount(g.SuccessNum), formatCount(g.SkipNum), formatCount(g.FailNum))},
		{"bytes", formatBytes(g.CompleteSize) + " of " + formatBytes(g.TotalSize)},
		{"speed", formatBytes(g.MigrateSpeed) + "/s"},
		{"started", formatTime(g.StartTime)},
		{"took", formatDuration(time.Duration(g.TotalTime) * time.Millisecond)},
		{"overwrite", g.ObjectOverwriteMode},
	}
	if g.Description != "" {
		rows = append(rows, []string{"description", g.Description})
	}
	if g.ErrorReason != nil {
		rows = append(rows, []string{"reason", g.ErrorReason.ErrorMsg + " (" + g.ErrorReason.ErrorCode + ")"})
	}
	if list := g.FailedObjectRecord.ListFileKey; list != nil && *list != "" {
		rows = append(rows, []string{"failed lists", *list})
	}
	return rows
}

func newGroupStopCommand(env *Env, connect connector) *cobra.Command {
	return onGroup("stop ID", "Pause a task group with all its tasks; start goes on where it stopped", connect,
		func(ctx context.Context, c *omsv2.Client, id string) error {
			if err := c.StopTaskGroup(ctx, id); err != nil {
				return err
			}
			_, err := fmt.Fprintf(env.Stdout, "group %s: stopping\n", id)
			return err
		})
}

func newGroupDeleteCommand(env *Env, connect connector) *cobra.Command {
	return onGroup("delete ID", "Delete a task group that is not active, with the records of its tasks; the objects stay", connect,
		func(ctx context.Context, c *omsv2.Client, id string) error {
			if err := c.DeleteTaskGroup(ctx, id); err != nil {
				return err
			}
			_, err := fmt.Fprintf(env.Stdout, "group %s: deleting\n", id)
			return err
		})
}

// groupKeys returns the keys of both sides of a group whose locations are known to the service only.
func groupKeys(ctx context.Context, env *Env, c *omsv2.Client, id string) (src, dst oms.Credentials, err error) {
	g, err := c.ShowTaskGroup(ctx, id)
	if err != nil {
		return src, dst, err
	}
	if src, err = keysOf(env, source, cloudOfGroup(g.SrcNode.CloudType)); err != nil {
		return src, dst, err
	}
	dst, err = keysOf(env, destination, cloudOfGroup(g.DstNode.CloudType))
	return src, dst, err
}

// cloudOfGroup returns the vendor that answers about groups write in upper case.
func cloudOfGroup(name string) oms.CloudType {
	for _, cloud := range []oms.CloudType{
		oms.CloudAWS, oms.CloudAzure, oms.CloudAliyun, oms.CloudTencent, oms.CloudHuawei, oms.CloudQing, oms.CloudKingsoft,
		oms.CloudBaidu, oms.CloudQiniu, oms.CloudUCloud, oms.CloudGoogle,
	} {
		if strings.ToUpper(string(cloud)) == name {
			return cloud
		}
	}
	return oms.CloudType(name)
}

func newGroupStartCommand(env *Env, connect connector) *cobra.Command {
	var wait bool
	cmd := onGroup("start ID", "Let a paused task group go on", connect, func(ctx context.Context, c *omsv2.Client, id string) error {
		src, dst, err := groupKeys(ctx, env, c, id)
		if err != nil {
			return err
		}
		err = c.StartTaskGroup(ctx, id, &omsv2.StartTaskGroupRequest{
			SrcAK: omsv2.Secret(src.AccessKey), SrcSK: wire(src.SecretKey), DstAK: omsv2.Secret(dst.AccessKey), DstSK: wire(dst.SecretKey),
			ConnectionString: wire(src.ConnectionString), JSONAuthFile: wire(src.AuthFile),
		})
		if err != nil {
			return err
		}
		return groupStarted(ctx, env, c, id, wait)
	})
	cmd.Flags().BoolVar(&wait, "wait", false, "return only when the group has ended")
	return cmd
}

func newGroupRetryCommand(env *Env, connect connector) *cobra.Command {
	var wait, failedOnly bool
	cmd := onGroup("retry ID", "Run a failed task group again", connect, func(ctx context.Context, c *omsv2.Client, id string) error {
		src, dst, err := groupKeys(ctx, env, c, id)
		if err != nil {
			return err
		}
		err = c.RetryTaskGroup(ctx, id, &omsv2.RetryTaskGroupRequest{
			SrcAK: omsv2.Secret(src.AccessKey), SrcSK: wire(src.SecretKey), DstAK: omsv2.Secret(dst.AccessKey), DstSK: wire(dst.SecretKey),
			ConnectionString: wire(src.ConnectionString), JSONAuthFile: wire(src.AuthFile),
			MigrateFailedObject: failedOnly,
		})
		if err != nil {
			return err
		}
		return groupStarted(ctx, env, c, id, wait)
	})
	cmd.Flags().BoolVar(&failedOnly, "failed-only", false, "only what failed; else all tasks run over everything again")
	cmd.Flags().BoolVar(&wait, "wait", false, "return only when the group has ended")
	return cmd
}

// groupStarted says that a group was started and waits for its end where that was asked for.
func groupStarted(ctx context.Context, env *Env, c *omsv2.Client, id string, wait bool) error { //nolint:revive // --wait as the user gave it
	if _, err := fmt.Fprintf(env.Stdout, "group %s: started\n", id); err != nil {
		return err
	}
	if !wait {
		return nil
	}
	return watchGroup(ctx, env, c, id)
}

func newGroupWatchCommand(env *Env, connect connector) *cobra.Command {
	cmd := onGroup("watch ID", "Show the progress of a task group until it ends", connect,
		func(ctx context.Context, c *omsv2.Client, id string) error { return watchGroup(ctx, env, c, id) })
	cmd.Long = `Show the progress of a task group until it ends. Ctrl-C ends the watching, not the group.

Exit status: 0 all tasks succeeded; 1 some objects failed; 3 it could not go on; 130 it was paused.`
	return cmd
}

// watchGroup follows a group and returns the status that fits its end.
func watchGroup(ctx context.Context, env *Env, c *omsv2.Client, id string) error {
	var last *omsv2.TaskGroup
	_, err := follow(ctx, env, newReporter(env, env.Stderr, "group "+id), func(ctx context.Context) (progress, bool, error) {
		g, err := c.ShowTaskGroup(ctx, id)
		if e, ok := errors.AsType[*omsv2.Error](err); ok && e.StatusCode == http.StatusNotFound && last != nil {
			return groupProgress(last), true, nil // deleted meanwhile
		}
		if err != nil {
			return progress{}, false, err
		}
		last = g
		return groupProgress(g), groupRests(g.Status), nil
	})
	if err != nil {
		return err
	}
	if err := writeTable(env.Stdout, groupRows(last)); err != nil {
		return err
	}
	switch {
	case last.Status == omsv2.GroupSucceeded:
		return nil
	case last.Status == omsv2.GroupPaused:
		return silent(statusInterrupted)
	case last.FailNum > 0:
		return silent(statusIncomplete)
	}
	return silent(statusUnreachable)
}

// groupRests reports whether a group in this state changes only when somebody asks for it.
func groupRests(status int32) bool {
	switch status {
	case omsv2.GroupPaused, omsv2.GroupCreationFailed, omsv2.GroupFailed, omsv2.GroupSucceeded:
		return true
	}
	return false
}

// groupProgress is the progress of a group.
func groupProgress(g *omsv2.TaskGroup) progress {
	done := g.SuccessNum + g.SkipNum + g.FailNum
	return progress{
		Status: groupStatusName(g.Status), Listing: g.Status <= omsv2.GroupCreating,
		Found: max(g.TotalNum, done), FoundBytes: max(g.TotalSize, g.CompleteSize), Done: done, DoneBytes: g.CompleteSize,
		Migrated: g.SuccessNum, Skipped: g.SkipNum, Failed: g.FailNum, Elapsed: time.Duration(g.TotalTime) * time.Millisecond,
	}
}

// groupCreated names a new group and waits for its end where that was asked for.
func groupCreated(ctx context.Context, env *Env, c *omsv2.Client, id string, wait bool) error { //nolint:revive // --wait as the user gave it
	if _, err := fmt.Fprintf(env.Stdout, "group %s: created\n", id); err != nil {
		return err
	}
	if !wait {
		return nil
	}
	return watchGroup(ctx, env, c, id)
}
