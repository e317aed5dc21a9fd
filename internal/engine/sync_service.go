package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// shortStatistics is the longest time whose statistics are in periods of five minutes (OMS v2, 8, row 31).
const shortStatistics = 24 * time.Hour

// CreateSync stores a synchronization task and starts it: ProjectID and Spec are given, endpoints resolved. It checks
// within ten seconds that both buckets can be reached (OMS.1014, OMS.1020, OMS.0081), then the quota (OMS.0077).
func (e *Engine) CreateSync(ctx context.Context, t oms.SyncTask, keys oms.TaskCredentials) (oms.SyncTask, error) {
	// A task onto its own source would answer each event with a copy of an object onto itself (OMS v2, 8, row 28).
	sameStore := strings.EqualFold(t.Spec.Src.Endpoint.URL, t.Spec.Dst.Endpoint.URL)
	if sameStore && sourceBucket(t.Spec.Src) == t.Spec.Dst.Bucket {
		return oms.SyncTask{}, oms.Errorf(oms.Invalid, "OMS.0058", "source and destination are the same bucket")
	}
	spec, err := e.learnBuckets(ctx, t.Spec, keys)
	if t.Spec = spec; err == nil {
		err = e.checkBuckets(ctx, t.Spec, keys)
	}
	if err != nil {
		e.log.InfoContext(ctx, "synchronization task refused", "project_id", t.ProjectID, "err", err)
		return oms.SyncTask{}, err
	}
	t.ID, t.Status, t.Generation = newUUID(), oms.SyncRunning, 1
	t, err = e.store.CreateSync(ctx, t, e.opts.Quota.SyncTasks, func(t oms.SyncTask) (map[string][]byte, error) {
		return sealAll(e.opts.Sealer, t.ProjectID, t.Number, keys)
	})
	if err != nil {
		return oms.SyncTask{}, err
	}
	e.log.InfoContext(ctx, "synchronization task created", "sync_task_id", t.ID)
	e.syncs.wake()
	return t, nil
}

// newUUID returns a random UUID in lower case (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ListSyncs returns a page of synchronization tasks, newest first, and the number that match.
func (e *Engine) ListSyncs(ctx context.Context, f oms.SyncFilter) ([]oms.SyncTask, int64, error) {
	return e.store.Syncs(ctx, f)
}

// ShowSync returns one synchronization task with what was counted in the calendar month of the instant, in UTC.
// oms.NotFound with OMS.1009 when there is none.
func (e *Engine) ShowSync(ctx context.Context, project, id string, at time.Time) (oms.SyncTask, oms.SyncCounts, error) {
	t, err := e.store.Sync(ctx, project, id)
	if err != nil {
		return oms.SyncTask{}, oms.SyncCounts{}, err
	}
	month := oms.SpanMonth.Begin(at)
	months, err := e.store.SyncStatistics(ctx, t.Number, oms.SpanMonth, month, month.AddDate(0, 1, 0))
	if err != nil {
		return oms.SyncTask{}, oms.SyncCounts{}, err
	}
	var sum oms.SyncCounts
	for _, m := range months {
		sum = sum.Add(m.SyncCounts)
	}
	return t, sum, nil
}

// StartSync lets a stopped synchronization task go on with new keys; what was accepted before it stopped is applied.
func (e *Engine) StartSync(ctx context.Context, project, id string, keys oms.TaskCredentials) error {
	t, err := e.store.Sync(ctx, project, id)
	if err != nil {
		return err
	}
	if err := checkCDNKey(t.Spec, keys); err != nil {
		return err
	}
	sealed, err := sealAll(e.opts.Sealer, t.ProjectID, t.Number, keys)
	if err != nil {
		return err
	}
	_, err = e.store.ChangeSync(ctx, project, id, func(cur oms.SyncTask) (oms.SyncChange, error) {
		next, err := cur.ApplySync(oms.Event{Type: oms.EventStart}, e.clock())
		return oms.SyncChange{Task: next, Credentials: sealed}, err
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "synchronization task started", "sync_task_id", id)
	e.syncs.wake()
	return nil
}

// StopSync stops a synchronization task and destroys its keys. Events that are accepted and not applied are kept.
func (e *Engine) StopSync(ctx context.Context, project, id string) error {
	t, err := e.store.ChangeSync(ctx, project, id, func(cur oms.SyncTask) (oms.SyncChange, error) {
		next, err := cur.ApplySync(oms.Event{Type: oms.EventStop}, e.clock())
		return oms.SyncChange{Task: next, Wipe: true}, err
	})
	if err != nil {
		return err
	}
	e.log.InfoContext(ctx, "synchronization task stopped", "sync_task_id", id, "pending", t.Pending)
	if r := e.syncs.running(t.Number); r != nil {
		r.cancel(errPaused)
	}
	return nil
}

// DeleteSync removes a stopped synchronization task with all that is stored of it, events that were never applied
// included. Objects and lists at the destination stay, and so do uploads of large objects that the stop interrupted: the
// keys to abort them are gone.
func (e *Engine) DeleteSync(ctx context.Context, project, id string) error {
	if err := e.store.DeleteSync(ctx, project, id, oms.SyncTask.CheckDelete); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "synchronization task deleted", "sync_task_id", id)
	return nil
}

// AddSyncEvents accepts object names of a running synchronization task, all or none; they are durable when it returns
// nil. When too many wait the error is oms.Throttled with OMS.2004.
func (e *Engine) AddSyncEvents(ctx context.Context, project, id string, keys []string) error {
	if err := e.store.AddSyncEvents(ctx, project, id, keys, int64(e.opts.Quota.SyncEvents)); err != nil {
		if oms.CodeOf(err) == "OMS.2004" {
			e.syncs.counters.refused.Add(int64(len(keys)))
		}
		return err
	}
	e.syncs.counters.accepted.Add(int64(len(keys)))
	e.syncs.arrived(id)
	return nil
}

// SyncStatistics returns what was counted from one instant to the other: in periods of five minutes up to a day,
// else of an hour.
func (e *Engine) SyncStatistics(ctx context.Context, project, id string, from, to time.Time) (oms.SyncSeries, error) {
	t, err := e.store.Sync(ctx, project, id)
	if err != nil {
		return oms.SyncSeries{}, err
	}
	s := oms.SyncSeries{Span: oms.SpanFiveMinutes}
	if to.Sub(from) > shortStatistics {
		s.Span = oms.SpanHour
	}
	s.Points, err = e.store.SyncStatistics(ctx, t.Number, s.Span, s.Span.Begin(from), to.Add(time.Microsecond))
	return s, err
}
