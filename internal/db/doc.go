// Package db keeps the state of the service: tasks and their sealed credentials, ranges, failures, open uploads,
// workers, users and keys, and the audit log. It is the only package with SQL and implements the store of
// package engine and the store of package auth.
//
// The database is embedded SQLite: one file in the data directory, write-ahead log, every commit synced (rule
// P6). One connection writes, in transactions that take the write lock when they begin; a small pool reads and is
// never blocked by it. Another process may write the same file meanwhile (oms key), but only one may serve it:
// see [Lock].
//
// The statements are those that SQLite and PostgreSQL both run; what differs is in dialect.go. Object keys are
// bound as bytes, never as text, so that their order is that of their bytes. State is O(ranges + failures + open
// uploads), never a row for each object (rule P3).
//
// Errors are *oms.Error: NotFound, Conflict when a unique value is taken, Full when the disk is full, Transient
// when the disk failed or another process held the database for too long, Invalid for a checkpoint that breaks
// the books, else Other. Errors of an ended context pass through. No error contains a stored value.
package db
