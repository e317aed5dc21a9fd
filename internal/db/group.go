package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Bounds of a shared transaction.
const (
	groupLimit   = 256 // changes in one
	groupTimeout = 30 * time.Second
)

// errGroupFailed is what the members of a group get whose transaction ended without a result.
var errGroupFailed = &oms.Error{Op: "group commit", Kind: oms.Other, Msg: "the transaction was abandoned"}

// group lets small changes that are asked for at the same time share one transaction, and so one sync of the disk:
// while one transaction is committed the next changes queue, and whoever is first in the queue then carries them all
// out. A change alone does not wait for others. The zero value is ready.
type group struct {
	mu      sync.Mutex
	waiting []*member
	busy    bool // somebody leads
}

// member is one change on its way.
type member struct {
	ctx  context.Context //nolint:containedctx // of a call that waits for this member, which does not outlive it
	op   string
	fn   func(ctx context.Context, tx *sql.Tx) error
	err  error
	done bool
	turn chan struct{} // signalled once: the member is done, or has to lead
}

// grouped is write in a transaction that may be shared: fn fails alone, and all that did not fail are committed
// together or not at all. fn may be run by another goroutine and must use nothing but the transaction and the context
// that it is given: a statement that is interrupted would end the transaction of all.
func (db *DB) grouped(ctx context.Context, op string, fn func(ctx context.Context, tx *sql.Tx) error) error {
	m := &member{ctx: ctx, op: op, fn: fn, turn: make(chan struct{}, 1)}
	if !db.group.join(m) {
		<-m.turn // bounded by the transactions before: no member leaves a group under way
		if m.done {
			return m.err
		}
	}
	defer db.group.pass()
	members := db.group.take()
	db.carryOut(ctx, members)
	return m.err
}

// join queues m and reports whether it has to lead at once.
func (g *group) join(m *member) (lead bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, m)
	lead = !g.busy
	g.busy = true
	return lead
}

// take returns the members that the leader carries out, itself among them, as it is the first.
func (g *group) take() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), groupLimit)
	members := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return members
}

// pass lets the next in the queue lead.
func (g *group) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy, g.waiting = false, nil
		return
	}
	g.waiting[0].turn <- struct{}{}
}

// carryOut runs the members in one transaction and settles them. Members whose caller has given up are left out.
func (db *DB) carryOut(ctx context.Context, members []*member) {
	// One caller's end must not fail the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupTimeout)
	defer cancel()
	for _, m := range members {
		m.err = errGroupFailed
	}
	defer func() { // a panic of a member must not leave the others waiting
		for _, m := range members[1:] {
			m.done = true
			m.turn <- struct{}{}
		}
	}()
	err := db.write(ctx, members[0].op, func(tx *sql.Tx) error {
		for _, m := range members {
			if err := m.run(ctx, tx, len(members) == 1); err != nil {
				return err
			}
		}
		return nil
	})
	for _, m := range members {
		if m.err == nil || errors.Is(m.err, errGroupFailed) {
			m.err = err
		}
	}
}

// run carries one member out and keeps its error; the error returned is one of the whole transaction. alone says that
// the transaction is its own.
func (m *member) run(ctx context.Context, tx *sql.Tx, alone bool) error { //nolint:revive // a save point would only cost time
	if err := m.ctx.Err(); err != nil {
		m.err = fmt.Errorf("%s: %w", m.op, err)
		return nil
	}
	if alone {
		m.err = wrap(ctx, m.op, m.fn(ctx, tx))
		return m.err
	}
	if _, err := tx.ExecContext(ctx, "SAVEPOINT member"); err != nil {
		return err
	}
	m.err = wrap(ctx, m.op, m.fn(ctx, tx))
	if m.err != nil && again(m.err, 1) {
		return m.err // of the whole transaction, which is tried once more
	}
	undo := "RELEASE SAVEPOINT member"
	if m.err != nil {
		undo = "ROLLBACK TO SAVEPOINT member"
	}
	// Where the database has ended the transaction by itself there is no save point any more, and everybody fails.
	_, err := tx.ExecContext(ctx, undo)
	return err
}
