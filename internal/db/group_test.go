package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// putSequence is a change of one row, to be grouped.
func putSequence(db *DB, ctx context.Context, name string, fail error) error { //nolint:revive // like a method
	return db.grouped(ctx, "put", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO sequences (name, value) VALUES ($1, 1)", name); err != nil {
			return err
		}
		if fail != nil {
			return callerError{fail}
		}
		return nil
	})
}

// Changes at the same time share transactions; each gets its own result, and what failed leaves nothing behind.
func TestGrouped(t *testing.T) {
	db := openSQLite(t, nil)
	before := count(t.Context(), t, db, "sequences")
	refusal := errors.New("no")
	const n = 200
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			switch i % 4 {
			case 0:
				errs[i] = putSequence(db, t.Context(), fmt.Sprint("fails", i), refusal)
			case 1:
				errs[i] = putSequence(db, t.Context(), "task", nil) // taken
			default:
				errs[i] = putSequence(db, t.Context(), fmt.Sprint("fine", i), nil)
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		switch {
		case i%4 == 0 && err != refusal: //nolint:errorlint // it must be the very error
			t.Errorf("change %d: got %v, want the caller's error", i, err)
		case i%4 == 1 && oms.KindOf(err) != oms.Conflict:
			t.Errorf("change %d: got %v, want a conflict", i, err)
		case i%4 > 1 && err != nil:
			t.Errorf("change %d: %v", i, err)
		}
	}
	if got := count(t.Context(), t, db, "sequences") - before; got != n/2 {
		t.Errorf("%d rows were added, want %d", got, n/2)
	}
}

// One transaction carries many changes: while it is held up the others queue, and then two suffice.
func TestGroupedShares(t *testing.T) {
	db := openSQLite(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := db.grouped(t.Context(), "hold", func(context.Context, *sql.Tx) error {
			close(entered)
			<-release
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-entered
	cancelled, cancel := context.WithCancel(t.Context())
	transactions := make(map[*sql.Tx]int)
	const n = 20
	for i := range n {
		all.Go(func() {
			if err := db.grouped(t.Context(), "count", func(_ context.Context, tx *sql.Tx) error {
				transactions[tx]++ // members of one transaction run one after the other
				return nil
			}); err != nil {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	all.Go(func() {
		if err := putSequence(db, cancelled, "given up", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a change whose caller has given up: got %v", err)
		}
	})
	for queued := 0; queued < n+1; {
		db.group.mu.Lock()
		queued = len(db.group.waiting)
		db.group.mu.Unlock()
	}
	cancel()
	close(release)
	all.Wait()
	if len(transactions) != 1 {
		t.Errorf("%d changes took %d transactions, want 1", n, len(transactions))
	}
}

// When the transaction as a whole fails, everybody in it is told.
func TestGroupedFails(t *testing.T) {
	db := openSQLite(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	errs := make([]error, 3)
	var all sync.WaitGroup
	all.Go(func() {
		errs[0] = db.grouped(t.Context(), "hold", func(context.Context, *sql.Tx) error {
			close(entered)
			<-release
			return nil
		})
	})
	<-entered
	all.Go(func() { errs[1] = putSequence(db, t.Context(), "a", nil) })
	all.Go(func() {
		errs[2] = db.grouped(t.Context(), "end", func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "ROLLBACK") // what a full disk does
			return err
		})
	})
	for queued := 0; queued < 2; {
		db.group.mu.Lock()
		queued = len(db.group.waiting)
		db.group.mu.Unlock()
	}
	close(release)
	all.Wait()
	if errs[0] != nil || errs[1] == nil || errs[2] == nil {
		t.Errorf("got %v, want the last two to fail", errs)
	}
	if err := putSequence(db, t.Context(), "b", nil); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if got := count(t.Context(), t, db, "sequences WHERE name IN ('a', 'b')"); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}
