//go:build unix

package db

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/db/pgtest"
)

// server is the one PostgreSQL of the package's tests, with a template that has the schema. It is started by the first test
// that wants it and stopped by TestMain.
var server struct {
	once     sync.Once
	running  *pgtest.Server
	template string
	err      error

	mu   sync.Mutex
	idle []string // databases that a test has left
}

// testPostgres is the dialect over a server that does not sync to disk, with leases by the clock of the test.
func testPostgres() dialect {
	d := postgres()
	d.settings = slices.DeleteFunc(d.settings, func(p pragma) bool { return p.set == "" })
	d.clock = ""
	return d
}

// startServer returns the server, or ends the test.
func startServer(tb testing.TB) *pgtest.Server {
	tb.Helper()
	if err := pgtest.Missing(); err != nil {
		pgtest.SkipOrFail(tb, err)
	}
	server.once.Do(func() {
		ctx := context.Background()
		if server.running, server.err = pgtest.Start(ctx); server.err != nil {
			return
		}
		if server.template, server.err = server.running.Database(ctx, ""); server.err != nil {
			return
		}
		var made *DB
		made, server.err = open(ctx, Options{URL: server.running.URL(server.template)}, testPostgres(), migrationFiles())
		if server.err == nil {
			server.err = made.Close()
		}
	})
	if server.err != nil {
		tb.Fatal(server.err)
	}
	return server.running
}

// stopServer ends the server if there is one.
func stopServer() error {
	if server.running == nil {
		return nil
	}
	return server.running.Close()
}

// newDatabase returns the URL of a database with the schema and without rows. It is used again when the test is over.
func newDatabase(tb testing.TB) string {
	tb.Helper()
	s := startServer(tb)
	server.mu.Lock()
	defer server.mu.Unlock()
	var name string
	if n := len(server.idle); n > 0 {
		name, server.idle = server.idle[n-1], server.idle[:n-1]
	} else {
		var err error
		if name, err = s.Database(tb.Context(), server.template); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		if err := s.Empty(context.Background(), name); err != nil {
			tb.Errorf("empty database: %v", err)
			return
		}
		server.mu.Lock()
		defer server.mu.Unlock()
		server.idle = append(server.idle, name)
	})
	return s.URL(name)
}

// openPostgres is the opener of a database of its own on the server.
func openPostgres(t *testing.T, now func() time.Time) *DB {
	t.Helper()
	return openURL(t, newDatabase(t), now, testPostgres())
}

func openURL(tb testing.TB, url string, now func() time.Time, d dialect) *DB {
	tb.Helper()
	db, err := open(tb.Context(), Options{URL: url, Clock: now}, d, migrationFiles())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

func TestPostgres(t *testing.T)           { testSuite(t, openPostgres) }
func TestPostgresSync(t *testing.T)       { testSyncSuite(t, openPostgres) }
func TestPostgresTaskGroups(t *testing.T) { testGroupSuite(t, openPostgres) }
func TestPostgresCluster(t *testing.T)    { testClusterSuite(t, openPostgres) }
