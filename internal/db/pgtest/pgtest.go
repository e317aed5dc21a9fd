//go:build unix

package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// envStrict makes a missing server a failure instead of a skip.
const envStrict = "OMS_TEST_STRICT"

// Password is that of the one role of a server. Tests look for it where it must not be.
const Password = "PG-canary-0003"

// Times of a server.
const (
	startPatience = 60 * time.Second
	stopPatience  = 30 * time.Second
	lookEvery     = 20 * time.Millisecond
)

// Server is a running PostgreSQL. Its methods are not safe for concurrent use, except Database and URL.
type Server struct {
	dir      string
	bin      string
	port     int
	settings []string
	as       *syscall.Credential // nil: this process is no superuser
	cmd      *exec.Cmd
	number   atomic.Int64
}

// Missing says why no server can be started, nil when one can.
func Missing() error {
	_, err := binDir()
	return err
}

// SkipOrFail ends a test for which no server can be started: it fails when OMS_TEST_STRICT is 1, else it is skipped.
func SkipOrFail(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv(envStrict) == "1" { //nolint:forbidigo // only tests come here
		tb.Fatalf("no PostgreSQL: %v", err)
	}
	tb.Skipf("no PostgreSQL: %v", err)
}

// binDir returns where initdb and postgres are: in the search path or where Debian has them.
func binDir() (string, error) {
	candidates, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(candidates, func(a, b string) int { return len(b) - len(a) + strings.Compare(b, a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		candidates = append([]string{filepath.Dir(path)}, candidates...)
	}
	for _, dir := range candidates {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("initdb and postgres are not installed")
}

// Start makes and starts a server, which the caller closes. Without settings such as "fsync=on" that say otherwise the data
// are not synced to disk.
func Start(ctx context.Context, settings ...string) (s *Server, err error) {
	s = &Server{settings: settings}
	if s.bin, err = binDir(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "oms-pg"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.becomeOrdinary(); err != nil {
		return nil, err
	}
	pwfile := filepath.Join(s.dir, "password")
	if err := s.write(pwfile, Password); err != nil {
		return nil, err
	}
	initdb := s.command(ctx, "initdb", "-D", s.data(), "-U", "oms", "--pwfile", pwfile, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	return s, s.Run(ctx)
}

// becomeOrdinary chooses the user that owns the server: PostgreSQL refuses to run as root.
func (s *Server) becomeOrdinary() error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return err
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}
		return os.Chown(s.dir, int(uid), int(gid))
	}
	return errors.New("no ordinary user to run PostgreSQL as")
}

// write makes a file that the server's user owns.
func (s *Server) write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil || s.as == nil {
		return err
	}
	return os.Chown(path, int(s.as.Uid), int(s.as.Gid))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true} // no Ctrl-C of the terminal
	return cmd
}

func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return 0, errors.Join(err, ln.Close())
	}
	n, err := strconv.Atoi(port)
	return n, errors.Join(err, ln.Close())
}

// Run starts the server again after Stop, and returns when it answers.
func (s *Server) Run(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port)}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "unix_socket_directories=" + s.dir, "max_connections=200", "shared_buffers=64MB",
		"fsync=off", "full_page_writes=off", "autovacuum=off", "log_lock_waits=on", "deadlock_timeout=200ms",
	}, s.settings...) {
		args = append(args, "-c", setting)
	}
	s.cmd = s.command(context.WithoutCancel(ctx), "postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := s.admin(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		if rest(ctx) != nil {
			return fmt.Errorf("start PostgreSQL: %w: %s", err, s.Log())
		}
	}
}

func rest(ctx context.Context) error {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Log returns what the server has logged.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// admin runs a statement in the database that every server has.
func (s *Server) admin(ctx context.Context, statement string) error {
	return s.run(ctx, "postgres", statement)
}

// Empty deletes all rows of a database but those of its migrations, and sets its sequences back.
func (s *Server) Empty(ctx context.Context, database string) error {
	return s.run(ctx, database, `DO $$ DECLARE t text; BEGIN
SET LOCAL session_replication_role = replica;
FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('schema_migrations', 'sequences') LOOP
    EXECUTE 'DELETE FROM ' || t;
END LOOP;
UPDATE sequences SET value = 0;
END $$`)
}

// run runs a statement in a database.
func (s *Server) run(ctx context.Context, database, statement string) (err error) {
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// Exec runs a statement as the superuser.
func (s *Server) Exec(ctx context.Context, statement string) error { return s.admin(ctx, statement) }

// Address returns host:port of the server.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL returns the address of a database, with the password.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("oms", Password), Host: s.Address(), Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Database makes a database as a copy of another one, "" for an empty one, and returns its name.
func (s *Server) Database(ctx context.Context, template string) (string, error) {
	name := "t" + strconv.FormatInt(s.number.Add(1), 10)
	statement := "CREATE DATABASE " + name
	if template != "" {
		statement += " TEMPLATE " + template
	}
	return name, s.admin(ctx, statement)
}

// Stop ends the server: with SIGINT in order, cutting connections off; with SIGQUIT as a crash.
func (s *Server) Stop(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(sig); err != nil {
		return err
	}
	killer := time.AfterFunc(stopPatience, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	err := cmd.Wait()
	if _, exited := errors.AsType[*exec.ExitError](err); exited && sig != syscall.SIGINT {
		return nil
	}
	return err
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	err := s.Stop(syscall.SIGINT)
	return errors.Join(err, os.RemoveAll(s.dir))
}
