// Command oms moves objects between object stores; see the help of its commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openoms/openoms/internal/cli"
)

func main() { os.Exit(run()) }

// run runs the command line and returns the exit status. The first signal stops in order, the second at once.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return cli.Run(ctx, &cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Home: os.UserHomeDir, Now: time.Now, Terminal: cli.Terminal,
	}, os.Args[1:])
}
