package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/openoms/openoms/internal/oms"
)

// This file is what is special about PostgreSQL.

// leastPostgres is the oldest server version: pg_xact_status of 64 bits needs 13.
const leastPostgres = 130000

// Times of a connection.
const (
	connectPatience = 5 * time.Second
	connectionLife  = 30 * time.Minute // so that connections move to new servers of a name
	resolvePatience = 10 * time.Second // for finding out whether a commit took place
	resolvePause    = 100 * time.Millisecond
)

// schemaLock is the advisory lock of migrations: any number that nobody else takes.
const schemaLock = "7305808869231650"

// postgres returns the settings of PostgreSQL. A process that is stopped or cut off in a transaction must not keep its
// locks: the server ends such a transaction before other workers would have taken the ranges over.
func postgres() dialect {
	blobs := regexp.MustCompile(`\bBLOB\b`)
	return dialect{
		settings: []pragma{
			{"fsync", "", "on"}, // of the server: only looked at
			{"full_page_writes", "", "on"},
			{"synchronous_commit", "on", "on"},
			{"default_transaction_isolation", "read committed", "read committed"},
			{"idle_in_transaction_session_timeout", "5s", "5s"},
			{"standard_conforming_strings", "on", "on"},
		},
		writers:    4,
		forUpdate:  " FOR UPDATE",
		ofRange:    " FOR UPDATE OF r",
		forShare:   " FOR SHARE",
		skipLocked: " FOR UPDATE SKIP LOCKED",
		clock:      "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
		snapshot:   sql.LevelRepeatableRead,
		lockSchema: "SELECT pg_advisory_xact_lock(" + schemaLock + ")",
		hasSchema:  "SELECT to_regclass('schema_migrations') IS NOT NULL",
		ticket:     "SELECT CAST(pg_current_xact_id_if_assigned() AS TEXT)",
		notify:     "SELECT pg_notify('" + wakeChannel + "', $1)",
		listen:     postgresListen,
		types:      func(text string) string { return blobs.ReplaceAllString(text, "BYTEA") },
		connect:    postgresConnector,
		integrity:  postgresCheck,
		empty:      func(*sql.DB) error { return nil },
		// What is deleted stays in dead rows and the log of the server until it overwrites them: see docs/operations.md.
		wipe: func(context.Context, *sql.DB) (bool, error) { return true, nil },
	}
}

// ParseURL returns nil for a URL of a database that Open takes: postgres:// or postgresql://. No error contains any
// part of the URL but its scheme, as it may hold a password (rule S4).
func ParseURL(text string) error {
	_, err := postgresConfig(text, writing)
	return err
}

// postgresConfig reads a URL. Where it does not say otherwise, the server must take writes (so that several hosts may be
// named, of which one is the primary) and, off this machine, prove its name by a certificate.
func postgresConfig(text string, a access) (*pgx.ConnConfig, error) {
	scheme, _, found := strings.Cut(text, "://")
	if !found || scheme != "postgres" && scheme != "postgresql" {
		return nil, oms.Errorf(oms.Invalid, "", "the database is a URL that begins with postgres://")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, "", "the database URL cannot be read")
	}
	query := u.Query()
	if !query.Has("target_session_attrs") {
		query.Set("target_session_attrs", map[access]string{writing: "read-write", reading: "primary"}[a])
	}
	if !query.Has("sslmode") && !query.Has("sslrootcert") && !local(u, query) {
		query.Set("sslmode", "verify-full")
	}
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", strconv.Itoa(int(connectPatience.Seconds())))
	}
	if !query.Has("application_name") {
		query.Set("application_name", "openoms")
	}
	u.RawQuery = query.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, oms.Errorf(oms.Invalid, "", "the database URL cannot be read: check its host, port and parameters, and the files that they name")
	}
	return config, nil
}

// wakeChannel is where processes tell one another what has changed.
const wakeChannel = "openoms"

// postgresListen waits for what others tell on a connection of its own, until ctx ends or the connection is lost.
func postgresListen(ctx context.Context, place string, changed func(oms.Wake)) (err error) {
	config, err := postgresConfig(place, writing) // a standby passes nothing on
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(last))
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+wakeChannel); err != nil {
		return err
	}
	for _, topic := range []oms.WakeTopic{oms.WakeTasks, oms.WakeGroups, oms.WakeSyncs} { // what was missed until now
		changed(oms.Wake{Topic: topic})
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		topic, id, _ := strings.Cut(n.Payload, ":")
		changed(oms.Wake{Topic: oms.WakeTopic(topic), ID: id})
	}
}

// local reports whether all hosts of the URL are this machine.
func local(u *url.URL, query url.Values) bool {
	hosts := strings.Split(u.Host, ",")
	if u.Host == "" {
		hosts = strings.Split(query.Get("host"), ",")
	}
	return !slices.ContainsFunc(hosts, func(host string) bool {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = host
		}
		if name == "" || name == "localhost" || strings.HasPrefix(name, "/") { // a directory of sockets
			return false
		}
		addr, err := netip.ParseAddr(strings.Trim(name, "[]"))
		return err != nil || !addr.Unmap().IsLoopback()
	})
}

// postgresConnector makes connections that have the settings, or fail.
func postgresConnector(d dialect, place string, a access) (driver.Connector, error) {
	config, err := postgresConfig(place, a)
	if err != nil {
		return nil, err
	}
	// What a dead peer keeps open; sockets of this machine have no such thing.
	for name, value := range map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"} {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	settings := d.settings
	if a == reading {
		settings = append(slices.Clip(settings), pragma{"default_transaction_read_only", "on", "on"})
	}
	for _, p := range settings {
		if p.set != "" {
			config.RuntimeParams[p.name] = p.set
		}
	}
	return stdlib.GetConnector(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		preferKinds(conn.TypeMap())
		return d.settle(ctx, conn, settings)
	})), nil
}

// preferKinds lets a value be stored as what its kind is, as SQLite does, instead of as what its String method returns.
func preferKinds(types *pgtype.Map) {
	types.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{
		pgtype.TryWrapDerefPointerEncodePlan, pgtype.TryWrapFindUnderlyingTypeEncodePlan,
	}, types.TryWrapEncodePlanFuncs...)
}

// settle asserts the settings of a connection and the server's version.
func (d dialect) settle(ctx context.Context, conn *pgx.Conn, settings []pragma) error {
	columns := []string{"current_setting('server_version_num')"}
	for _, p := range settings {
		columns = append(columns, "current_setting('"+p.name+"')")
	}
	results, err := conn.PgConn().Exec(ctx, "SELECT "+strings.Join(columns, ", ")).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != len(columns) {
		return oms.Errorf(oms.Other, "", "the database does not tell its settings")
	}
	row := results[0].Rows[0]
	if n, err := strconv.Atoi(string(row[0])); err != nil || n < leastPostgres {
		return oms.Errorf(oms.Unsupported, "", "PostgreSQL 13 or later is needed")
	}
	for i, p := range settings {
		if got := string(row[i+1]); got != p.want {
			return oms.Errorf(oms.Unsupported, "", "the database's setting %s is %s instead of %s", p.name, oms.Clean(got), p.want)
		}
	}
	return nil
}

// postgresCheck reads a row: the server checks structure and references itself.
func postgresCheck(ctx context.Context, q querier) error {
	var one int
	return q.QueryRowContext(ctx, "SELECT 1").Scan(&one)
}

// SQLSTATE codes (PostgreSQL manual, appendix A).
const (
	stateUnique          = "23505"
	stateForeignKey      = "23503"
	stateCancelled       = "57014"
	stateSerialization   = "40001"
	stateDeadlock        = "40P01"
	statePlanChanged     = "0A000" // a prepared statement whose tables have changed; others of this kind we do not make
	stateReadOnly        = "25006" // the server has become a standby
	stateIdleTransaction = "25P03" // it took us too long between two statements
	stateTooLarge        = "54000"
	stateDiskFull        = "53100"
	stateBadText         = "22021" // bytes that are not UTF-8, or a NUL
)

// postgresState returns the SQLSTATE of an error, "" when it has none.
func postgresState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// postgresKind classifies an error by its SQLSTATE, and one without as what it is for a connection.
func postgresKind(err error) oms.Kind {
	state := postgresState(err)
	switch state {
	case "":
		if _, ok := errors.AsType[*uncertain](err); ok || disconnected(err) {
			return oms.Transient
		}
		return oms.Other
	case stateUnique:
		return oms.Conflict
	case stateForeignKey:
		return oms.NotFound
	case stateDiskFull:
		return oms.Full
	case stateTooLarge, stateBadText:
		return oms.Invalid
	case stateReadOnly, stateIdleTransaction, statePlanChanged, stateCancelled:
		return oms.Transient
	}
	switch state[:2] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, operator, system
		return oms.Transient
	case "XX":
		return oms.Corrupt
	}
	return oms.Other
}

// disconnected reports whether the connection is gone or was never made.
func disconnected(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "unexpected EOF") || strings.Contains(err.Error(), "conn closed")
}

// uncertain is the error of a commit of which nobody could tell whether it took place.
type uncertain struct{ err error }

func (u *uncertain) Error() string { return "the outcome of a commit is unknown: " + u.err.Error() }
func (u *uncertain) Unwrap() error { return u.err }

// uncommitted is the error of a commit that is known to have failed.
type uncommitted struct{ err error }

func (u *uncommitted) Error() string { return "a commit failed: " + u.err.Error() }
func (u *uncommitted) Unwrap() error { return u.err }

// again reports whether a transaction that ended with err is worth another attempt at once, the attempt being its number.
func again(err error, attempt int) bool {
	if _, ok := errors.AsType[*uncertain](err); ok {
		return false
	}
	if _, ok := errors.AsType[*uncommitted](err); ok {
		return attempt <= 2
	}
	switch state := postgresState(err); state {
	case stateSerialization, stateDeadlock:
		return true
	case statePlanChanged, stateReadOnly, stateIdleTransaction:
		return attempt <= 2
	case "":
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return false // the server is away: whoever asked decides how long to wait
		}
		return attempt <= 2 && disconnected(err) // of a pool whose connections died
	default:
		return attempt <= 2 && strings.HasPrefix(state, "57P") // the server stops
	}
}

// refuse keeps a connection from being used again whose server takes no writes any more.
func refuse(conn *sql.Conn, err error) error {
	if postgresState(err) == stateReadOnly {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

// resolve finds out whether the transaction of the ticket was committed although its commit returned err: nil says yes.
func (db *DB) resolve(ctx context.Context, ticket string, err error) error {
	if state := postgresState(err); state != "" && postgresKind(err) != oms.Transient {
		return err // the server has decided
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resolvePatience)
	defer cancel()
	for {
		var status sql.NullString
		askErr := db.writer.QueryRowContext(ctx, "SELECT pg_xact_status(CAST($1 AS XID8))", ticket).Scan(&status)
		switch {
		case askErr == nil && status.String == "committed":
			return nil
		case askErr == nil && status.String == "aborted":
			return &uncommitted{err}
		case askErr != nil && !disconnected(askErr) && postgresKind(askErr) != oms.Transient:
			return &uncertain{errors.Join(err, askErr)}
		}
		if rest(ctx, resolvePause) != nil {
			return &uncertain{err}
		}
	}
}
