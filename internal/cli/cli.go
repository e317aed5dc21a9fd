package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Exit statuses of every command.
const (
	statusOK          = 0
	statusIncomplete  = 1   // some objects failed; the list was named
	statusUsage       = 2   // wrong usage or configuration
	statusUnreachable = 3   // the service or a store could not be reached, or refused
	statusInterrupted = 130 // stopped before the end; can be resumed
)

// Env is the world of a command. All fields are required.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(name string) string
	Home   func() (string, error) // home directory of the user
	Now    func() time.Time
	// Terminal returns the width of the terminal behind w in columns; ok is false when there is none.
	Terminal func(w io.Writer) (columns int, ok bool)
}

// Run runs one command line, without the program's name, and returns the exit status. Errors are written to
// Env.Stderr once. When ctx ends the command stops in order.
func Run(ctx context.Context, env *Env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusOK
	}
	if !started {
		fmt.Fprintf(env.Stderr, "oms: %v\nRun '%s --help' for usage.\n", err, cmd.CommandPath())
		return statusUsage
	}
	status := statusOf(err)
	if status == statusInterrupted && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	if quiet, ok := errors.AsType[*statusError](err); !ok || quiet.err != nil {
		fmt.Fprintf(env.Stderr, "oms: %v\n", err)
	}
	return status
}

// statusError is an error with an exit status of its own. Without err everything was said already.
type statusError struct {
	status int
	err    error
}

// Error implements error.
func (e *statusError) Error() string {
	if e.err == nil {
		return "exit status"
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *statusError) Unwrap() error { return e.err }

// usageErrorf is a mistake in the command line or the configuration.
func usageErrorf(format string, args ...any) error {
	return &statusError{status: statusUsage, err: fmt.Errorf(format, args...)}
}

// usageError marks err as a mistake in the command line or the configuration.
func usageError(err error) error { return &statusError{status: statusUsage, err: err} }

// silent ends a command with a status after everything was said.
func silent(status int) error { return &statusError{status: status} }

// statusOf maps the error of a command that had started to an exit status.
func statusOf(err error) int {
	if own, ok := errors.AsType[*statusError](err); ok {
		return own.status
	}
	if errors.Is(err, context.Canceled) {
		return statusInterrupted
	}
	if _, ok := errors.AsType[*omsv2.Error](err); ok {
		return statusUnreachable
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, oms.Denied) || errors.Is(err, oms.NoBucket) {
		return statusUnreachable
	}
	switch oms.KindOf(err) {
	case oms.Invalid, oms.NotFound, oms.Conflict, oms.Unsupported:
		return statusUsage
	default:
		return statusUnreachable
	}
}

// newRootCommand returns the whole program.
func newRootCommand(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "oms",
		Short: "Move objects between object stores, verified and resumable",
		Long: `OpenOMS moves objects between object stores, verifies what arrived, and can be resumed at any moment.
Its HTTP API is OMS v2. One process is a whole service.

Exit status of every command: 0 all done; 1 some objects failed (the list is named); 2 wrong usage or
configuration; 3 a service could not be reached or refused; 130 interrupted, can be resumed.`,
		Example: `  oms demo                                   # a whole service with two stores and one migration
  oms serve                                  # API and workers on http://127.0.0.1:8480
  oms migrate 's3://photos?region=eu-west-1' 'obs://backup/2026/?region=cn-north-4'`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	asGroup(root)
	root.AddCommand(
		newDemoCommand(env), newServeCommand(env), newWorkerCommand(env), newMigrateCommand(env), newTaskCommand(env), newGroupCommand(env), newSyncCommand(env), newBucketCommand(env),
		newConnectionCommand(env), newScheduleCommand(env),
		newCloudCommand(env), newKeyCommand(env),
		newVersionCommand(env),
	)
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			asGroup(cmd)
		}
	}
	return root
}

// asGroup makes a command that only holds others: alone it shows its help, with anything else it is a mistake.
func asGroup(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("unknown command %q for %q", oms.Clean(args[0]), cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}
