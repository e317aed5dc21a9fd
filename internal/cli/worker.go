package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/server"
)

// newWorkerCommand is a process that only moves objects.
func newWorkerCommand(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Move objects for the services that share a PostgreSQL database",
		Long: `Move objects for the services that share a PostgreSQL database.

A worker joins when it starts and leaves when it stops, at any time; tasks are divided among all workers. It needs the
database and the master key of the service, and nothing else: endpoints travel with the tasks, limits and network rules
are those of the server that started last. SIGTERM and Ctrl-C give back what it has within ten seconds; what a worker had
that was killed goes on elsewhere within twenty.`,
		Example: `  oms worker --database postgres://oms@db.example.org/oms --master-key-file /etc/openoms/master.key`,
		Args:    cobra.NoArgs,
	}
	values := registerSettings(cmd.Flags())
	for name := range values {
		switch name {
		case "database", "master-key-file", "data-dir", "concurrency", "memory", "log-format", "log-level", server.ConfigFlag:
		default:
			cmd.Flags().Lookup(name).Hidden = true
		}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := server.Load(values.given(cmd.Flags()), env.Getenv)
		if err != nil {
			return usageError(err)
		}
		return runWorker(cmd.Context(), env, cfg)
	}
	return cmd
}

// runWorker moves until ctx ends.
func runWorker(ctx context.Context, env *Env, cfg server.Config) (err error) {
	log, err := newLogger(env, cfg.LogFormat, cfg.LogLevel)
	if err != nil {
		return usageError(err)
	}
	w, err := server.NewWorker(ctx, server.WorkerOptions{Config: cfg, Version: buildVersion(), Logger: log, Clock: env.Now})
	if err != nil {
		return startError(err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := fmt.Fprintln(env.Stdout, "working"); err != nil {
		return err
	}
	return w.Run(ctx)
}
