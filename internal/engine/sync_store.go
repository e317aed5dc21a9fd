package engine

import (
	"context"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// SyncStore is what the engine keeps of synchronization tasks; package db implements it. The rules of [Store] hold.
type SyncStore interface {
	// CreateSync stores a new task with its sealed credentials. More than quota tasks of a project are OMS.0077.
	CreateSync(ctx context.Context, t oms.SyncTask, quota int, seal func(oms.SyncTask) (map[string][]byte, error)) (oms.SyncTask, error)
	// Sync returns one task of the project. Project "" is any.
	Sync(ctx context.Context, project, id string) (oms.SyncTask, error)
	// Syncs returns a page, newest first, and the total number that match.
	Syncs(ctx context.Context, f oms.SyncFilter) ([]oms.SyncTask, int64, error)
	// RunningSyncs returns the tasks of all projects that synchronize.
	RunningSyncs(ctx context.Context) ([]oms.SyncTask, error)
	// ChangeSync reads the task, lets change decide, and stores the outcome in one transaction.
	ChangeSync(ctx context.Context, project, id string, change func(oms.SyncTask) (oms.SyncChange, error)) (oms.SyncTask, error)
	// DeleteSync removes the task and all that belongs to it if check agrees.
	DeleteSync(ctx context.Context, project, id string, check func(oms.SyncTask) error) error
	// SyncCredentials returns the sealed credentials by field; oms.NotFound when there are none.
	SyncCredentials(ctx context.Context, number int64) (map[string][]byte, error)

	// ClaimSync leases the events of a running task; held is false when another living worker has them.
	ClaimSync(ctx context.Context, owner string, number, generation int64) (lease oms.SyncLease, held bool, err error)
	// ReleaseSync gives the lease back.
	ReleaseSync(ctx context.Context, l oms.SyncLease) error
	// AddSyncEvents stores object names, all or none; more than limit that wait are OMS.2004.
	AddSyncEvents(ctx context.Context, project, id string, keys []string, limit int64) error
	// SyncEvents returns events that are due, behind the place in the queue.
	SyncEvents(ctx context.Context, number, after int64, limit int) ([]oms.SyncEvent, error)
	// PromoteSyncEvents puts events back into the queue whose next attempt is due.
	PromoteSyncEvents(ctx context.Context, number int64) (int, error)
	// CommitSync stores what came of events; held is false when the lease is lost. Giving a commit again is harmless.
	CommitSync(ctx context.Context, c oms.SyncCommit) (held bool, err error)
	// RequeueSyncEvents makes names due once more.
	RequeueSyncEvents(ctx context.Context, number int64, keys []string) error
	// SyncUploads returns the open uploads, of names that wait and of others.
	SyncUploads(ctx context.Context, number int64) (waiting, orphans []oms.Upload, err error)

	// SyncStatistics returns the periods of a length that begin from from on and before to.
	SyncStatistics(ctx context.Context, number int64, span oms.SyncSpan, from, to time.Time) ([]oms.SyncStatistic, error)
	// PurgeSyncStatistics forgets short periods that began before the instants.
	PurgeSyncStatistics(ctx context.Context, fiveMinutes, hours time.Time) error

	// SyncLists returns pieces of an object list behind the piece, oldest first.
	SyncLists(ctx context.Context, number int64, kind oms.SyncListKind, after int64, limit int) ([]oms.SyncList, error)
	// SyncListSize returns entries and bytes of all stored pieces.
	SyncListSize(ctx context.Context, number int64) (entries, bytes int64, err error)
	// DropSyncLists removes the pieces of a list up to the piece.
	DropSyncLists(ctx context.Context, number int64, kind oms.SyncListKind, seq int64) error
}
