package engine

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// When the lines of object lists are written to the destination: whatever comes first.
const (
	syncListLook  = 10 * time.Second // how often it is looked at
	syncListEvery = 5 * time.Minute
	syncListLines = oms.MaxRecordedFails // as many as a list of failed objects may have
	syncListBytes = 32 << 20
	syncListKeep  = 128 << 20 // lines that cannot be written are dropped beyond
	syncListPage  = 16        // pieces read at a time
)

// syncLists writes the object lists of a run (OMS v2, 6.10): the lines that have come together since the last time
// are a sub-task.
type syncLists struct {
	e         *Engine
	task      oms.SyncTask
	dst       storage.Writer
	abilities transfer.Abilities
}

// run writes lists when they are due, until ctx ends.
func (l *syncLists) run(ctx context.Context) {
	ticker := time.NewTicker(syncListLook)
	defer ticker.Stop()
	written := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		entries, size, err := l.e.store.SyncListSize(ctx, l.task.Number)
		if err != nil {
			if ctx.Err() == nil {
				l.e.trouble.report(ctx, "measure object lists", err)
			}
			continue
		}
		if entries > 0 && (time.Since(written) >= syncListEvery || entries >= syncListLines || size >= syncListBytes) {
			written = time.Now()
			l.write(ctx)
		}
	}
}

// write writes all lists. What cannot be written stays for the next time, and goes when it becomes too much: lists
// must not hold the objects up.
func (l *syncLists) write(ctx context.Context) {
	name, err := l.subTask(ctx)
	if err != nil || name == "" {
		l.complain(ctx, err)
		return
	}
	for _, kind := range []oms.SyncListKind{oms.ListSuccess, oms.ListSkip, oms.ListFailed} {
		if err := l.writeKind(ctx, name, kind); err != nil {
			l.complain(ctx, err)
			l.dropExcess(ctx, kind)
		}
	}
}

func (l *syncLists) complain(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		l.e.log.WarnContext(ctx, "object lists were not written", "sync_task_id", l.task.ID, "err", err)
	}
}

// subTask names what has come together after its first line, "" when there is none. The same lines get the same name
// again, so that a list that is written twice, as after a crash, is one.
func (l *syncLists) subTask(ctx context.Context) (string, error) {
	var first time.Time
	for _, kind := range []oms.SyncListKind{oms.ListSuccess, oms.ListSkip, oms.ListFailed} {
		pieces, err := l.e.store.SyncLists(ctx, l.task.Number, kind, 0, 1)
		if err != nil {
			return "", err
		}
		if len(pieces) > 0 && (first.IsZero() || pieces[0].At.Before(first)) {
			first = pieces[0].At
		}
	}
	if first.IsZero() {
		return "", nil
	}
	return l.task.Spec.Src.Bucket + "-" + l.task.Spec.Dst.Bucket + "-" + strconv.FormatInt(first.UnixMilli(), 10), nil
}

// writeKind writes the lines of a kind, in several lists when there are too many for one.
func (l *syncLists) writeKind(ctx context.Context, subTask string, kind oms.SyncListKind) error {
	for {
		r := &listReader{ctx: ctx, lists: l, kind: kind}
		at, err := r.first()
		if err != nil || at.IsZero() {
			return err
		}
		key := "oms/sync_task/" + l.task.ID + "/" + string(kind) + "_object_lists/" + subTask + "/" +
			strconv.FormatInt(at.UnixMilli(), 10) + "." + string(kind) + "_list.txt"
		err = transfer.StoreStream(ctx, l.dst, l.abilities, key, r, storage.Attrs{ContentType: "text/plain"})
		if err != nil {
			return err
		}
		if err := l.e.store.DropSyncLists(ctx, l.task.Number, kind, r.seq); err != nil {
			return err
		}
	}
}

// dropExcess forgets the lines of a kind that cannot be written, when there are too many of them.
func (l *syncLists) dropExcess(ctx context.Context, kind oms.SyncListKind) {
	_, size, err := l.e.store.SyncListSize(ctx, l.task.Number)
	if err != nil || size < syncListKeep {
		return
	}
	pieces, err := l.e.store.SyncLists(ctx, l.task.Number, kind, 0, syncListPage)
	if err != nil || len(pieces) == 0 {
		return
	}
	if err := l.e.store.DropSyncLists(ctx, l.task.Number, kind, pieces[len(pieces)-1].Seq); err == nil {
		l.e.log.WarnContext(ctx, "lines of an object list were dropped", "sync_task_id", l.task.ID, "list", string(kind))
	}
}

// listReader reads the pieces of one list as one text, until the list has as many lines as it may.
type listReader struct {
	ctx   context.Context //nolint:containedctx // of the call that reads the list through
	lists *syncLists
	kind  oms.SyncListKind

	seq     int64 // of the last piece read
	entries int64
	pieces  []oms.SyncList
	text    bytes.Reader
}

// first reads the first pieces and returns when the first of them was stored, zero when there is none.
func (r *listReader) first() (time.Time, error) {
	if err := r.fetch(); err != nil || len(r.pieces) == 0 {
		return time.Time{}, err
	}
	return r.pieces[0].At, nil
}

func (r *listReader) fetch() (err error) {
	r.pieces, err = r.lists.e.store.SyncLists(r.ctx, r.lists.task.Number, r.kind, r.seq, syncListPage)
	return err
}

// Read implements io.Reader.
func (r *listReader) Read(p []byte) (int, error) {
	for r.text.Len() == 0 {
		if len(r.pieces) == 0 {
			if err := r.fetch(); err != nil {
				return 0, err
			}
		}
		if len(r.pieces) == 0 || r.entries > 0 && r.entries+r.pieces[0].Entries > syncListLines {
			return 0, io.EOF
		}
		r.text.Reset(r.pieces[0].Lines)
		r.seq, r.entries, r.pieces = r.pieces[0].Seq, r.entries+r.pieces[0].Entries, r.pieces[1:]
	}
	return r.text.Read(p)
}
