package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// watchOptions say how progress is shown.
type watchOptions struct {
	json       bool
	noProgress bool
}

// register adds the flags.
func (o *watchOptions) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "write one JSON object per line: progress, failures, and a summary at the end")
	cmd.Flags().BoolVar(&o.noProgress, "no-progress", false, "show the summary only")
}

// reporter returns the display: JSON on stdout; else a live block on a terminal and plain lines elsewhere, both on
// stderr, so that stdout holds the result only.
func (o *watchOptions) reporter(env *Env, title string) reporter {
	if o.noProgress {
		return quietReporter{}
	}
	if o.json {
		return &jsonReporter{w: env.Stdout}
	}
	return newReporter(env, env.Stderr, title)
}

// newReporter returns the display for people on w.
func newReporter(env *Env, w io.Writer, title string) reporter {
	if _, ok := env.Terminal(w); ok {
		return &liveReporter{w: w, title: title, terminal: env.Terminal}
	}
	return &lineReporter{w: w}
}

// poller returns the state of a task now, and whether it has come to rest.
type poller func(ctx context.Context) (p progress, rests bool, err error)

// follow shows the progress until the task rests, and returns its last state.
func follow(ctx context.Context, env *Env, rep reporter, poll poller) (progress, error) {
	return followHinted(ctx, env, rep, poll, func() <-chan struct{} { return nil })
}

// followHinted is follow that asks at once when the channel of ended closes; ended is called before each wait and
// returns nil while there is nothing to wait for.
func followHinted(ctx context.Context, env *Env, rep reporter, poll poller, ended func() <-chan struct{}) (progress, error) {
	tick := time.NewTicker(liveInterval)
	defer tick.Stop()
	for {
		end := ended() // before the look: an end after it is not missed
		p, rests, err := poll(ctx)
		if err != nil {
			return p, err
		}
		if err := rep.update(p, env.Now()); err != nil {
			return p, err
		}
		if rests {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, context.Cause(ctx)
		case <-tick.C:
		case <-end:
		}
	}
}

func newTaskWatchCommand(env *Env, connect connector) *cobra.Command {
	var opts watchOptions
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Show the progress of a task until it ends",
		Long: `Show the progress of a task until it ends. Ctrl-C ends the watching, not the task.

Exit status: 0 the task succeeded; 1 some objects failed; 3 it could not go on; 130 it was paused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, id, err := withTask(connect, args[0])
			if err != nil {
				return err
			}
			return watchTask(cmd.Context(), env, c, id, opts)
		},
	}
	opts.register(cmd)
	return cmd
}

// watchTask follows a task of a service, prints what became of it and returns the fitting status.
func watchTask(ctx context.Context, env *Env, c *omsv2.Client, id int64, opts watchOptions) error {
	var last *omsv2.Task
	p, err := follow(ctx, env, opts.reporter(env, fmt.Sprintf("task %d", id)), func(ctx context.Context) (progress, bool, error) {
		t, err := c.ShowTask(ctx, id)
		if err != nil {
			return progress{}, false, err
		}
		last = t
		return progressOf(t), restsAt(oms.Status(t.Status)), nil
	})
	if err != nil {
		return err
	}
	result := summary{
		Type: "summary", TaskID: id, Status: p.Status, progress: p,
		Next: fmt.Sprintf("oms task start %d --failed-only", id), findings: wireFindings(ctx, c, id),
		uncarried: wireUncarried(ctx, c, id),
	}
	if last.ErrorReason != nil {
		result.ErrorCode, result.ErrorMessage = last.ErrorReason.ErrorCode, last.ErrorReason.ErrorMsg
	}
	if key := last.FailedObjectRecord.ListFileKey; key != nil {
		result.FailedList = *key
	}
	return conclude(ctx, env, opts, result, apiFailures(c, id, omsv2.ListFailuresOptions{}))
}

// restsAt reports whether a task in this state changes only when somebody asks for it.
func restsAt(s oms.Status) bool {
	return s == oms.StatusPaused || s == oms.StatusFailed || s == oms.StatusSucceeded
}

// progressOf is the progress of a task of a service.
func progressOf(t *omsv2.Task) progress {
	done := t.SuccessfulNum + t.SkippedNum + t.FailedNum
	return progress{
		Status: statusName(t.Status), Listing: !t.IsQueryOver,
		Found: max(t.TotalNum, done), FoundBytes: max(t.TotalSize, t.CompleteSize), Done: done, DoneBytes: t.CompleteSize,
		Migrated: t.SuccessfulNum, Skipped: t.SkippedNum, Failed: t.FailedNum,
		MovedBytes: t.RealSize, Elapsed: time.Duration(t.TotalTime) * time.Millisecond,
	}
}
