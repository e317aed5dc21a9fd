package main

import (
	"context"
	"sync"
)

// group runs goroutines until the first of them fails. Create it with newGroup; wait for it.
type group struct {
	ctx    context.Context //nolint:containedctx // lives as long as the group, which lives in one function
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

func (g *group) run(f func(context.Context) error) {
	g.wg.Go(func() {
		if err := f(g.ctx); err != nil {
			g.cancel(err)
		}
	})
}

// wait returns the first error, or that of the parent context.
func (g *group) wait() error {
	g.wg.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}
