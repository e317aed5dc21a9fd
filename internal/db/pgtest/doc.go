// Package pgtest starts a PostgreSQL server for tests: in a temporary directory, as an ordinary user, on the loopback
// interface.
package pgtest
