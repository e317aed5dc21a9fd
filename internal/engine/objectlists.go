package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// ListStore keeps the lines of object lists between the checkpoints that they came with and the list files.
type ListStore interface {
	// ObjectLists returns the object lists of the task that have lines.
	ObjectLists(ctx context.Context, id int64) ([]oms.ObjectList, error)
	// PendingSegments returns the segments of a list that are only pieces, in order, without ETag and checksum.
	PendingSegments(ctx context.Context, id int64, kind oms.ListKind) ([]oms.ListSegment, error)
	// ListPieces returns at most limit pieces of a segment behind the piece seq, in order.
	ListPieces(ctx context.Context, id int64, kind oms.ListKind, segment, after int64, limit int) ([]oms.ListPiece, error)
	// ListSegments returns at most limit segments behind the segment after that are objects at the destination.
	ListSegments(ctx context.Context, id int64, kind oms.ListKind, after int64, limit int) ([]oms.ListSegment, error)
	// KeepSegment replaces the pieces of a segment by the segment. Doing it again changes nothing.
	KeepSegment(ctx context.Context, id, generation int64, kind oms.ListKind, s oms.ListSegment) error
	// StampList fixes what the files of a list are named after, and returns it.
	StampList(ctx context.Context, id, generation int64, kind oms.ListKind, stamp int64) (int64, error)
	// FileList says that all lines up to the segment are in the files.
	FileList(ctx context.Context, id, generation int64, kind oms.ListKind, segment int64, files []oms.ObjectListFile) error
	// DropSegments forgets the segments up to the number.
	DropSegments(ctx context.Context, id int64, kind oms.ListKind, upTo int64) error
	// FailList records why a list was not written. Its lines stay.
	FailList(ctx context.Context, id int64, kind oms.ListKind, code string) error
	// StopList drops the lines that are no segment, and those of the generation that follow.
	StopList(ctx context.Context, id, generation int64, kind oms.ListKind, code string) error
	// Uncarried returns how many objects of the task lost what of their metadata.
	Uncarried(ctx context.Context, id int64) (oms.UncarriedCounts, error)
}

// Bounds of object lists under way.
const (
	listLook     = 2 * time.Second // how often it is looked for lines that are enough for a segment
	listPieces   = 16              // read at a time
	mostPending  = 8               // segments that could not be stored; the list is given up beyond
	listSegments = oms.ListFileSegments
)

// listKeeper turns the lines of a task's object lists into segments while it runs, and into list files at its end.
type listKeeper struct {
	e         *Engine
	task      oms.Task
	dst       destination
	abilities transfer.Abilities

	stop context.CancelFunc
	done sync.WaitGroup
}

// keepLists begins to look after the object lists of a run. The caller calls close, whatever becomes of the run.
func (e *Engine) keepLists(ctx context.Context, t oms.Task, dst destination, abilities transfer.Abilities) *listKeeper {
	k := &listKeeper{e: e, task: t, dst: dst, abilities: abilities}
	ctx, k.stop = context.WithCancel(ctx)
	if !t.Spec.ReadOnly() {
		k.done.Go(func() { k.run(ctx) })
	}
	return k
}

// close ends the work of run.
func (k *listKeeper) close() {
	k.stop()
	k.done.Wait()
}

// run stores full segments until ctx ends.
func (k *listKeeper) run(ctx context.Context) {
	ticker := time.NewTicker(listLook)
	defer ticker.Stop()
	for {
		lists, err := k.mine(ctx)
		for _, l := range lists {
			if err == nil {
				err = k.storeOrStop(ctx, l)
			}
		}
		if err != nil && ctx.Err() == nil {
			k.e.log.WarnContext(ctx, "segments of object lists were not stored", "task_id", k.task.ID, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// mine returns the lists that this process looks after: none while another one leads the task.
func (k *listKeeper) mine(ctx context.Context) ([]oms.ObjectList, error) {
	if leads, err := k.e.takeLead(ctx, k.task); err != nil || !leads {
		return nil, err
	}
	return k.e.store.ObjectLists(ctx, k.task.ID)
}

// storeOrStop stores the full segments of a list. When that fails and they become too many, the list is given up: lists
// must not hold the objects up.
func (k *listKeeper) storeOrStop(ctx context.Context, l oms.ObjectList) error {
	left, err := k.storeFull(ctx, l)
	if err == nil || ctx.Err() != nil || left <= mostPending {
		return err
	}
	k.e.log.WarnContext(ctx, "an object list is given up", "task_id", k.task.ID, "list", string(l.Kind), "err", err)
	return k.e.store.StopList(ctx, k.task.ID, k.task.Generation, l.Kind, oms.CodeListIncomplete)
}

// storeFull stores the segments that no line is added to any more, and returns how many it could not.
func (k *listKeeper) storeFull(ctx context.Context, l oms.ObjectList) (left int, err error) {
	if l.Segment <= l.Filed+1 {
		return 0, nil
	}
	pending, err := k.e.store.PendingSegments(ctx, k.task.ID, l.Kind)
	if err != nil {
		return 0, err
	}
	for i, s := range pending {
		if s.Number >= l.Segment {
			break
		}
		if err := k.storeSegment(ctx, l.Kind, s); err != nil {
			return len(pending) - i, err
		}
	}
	return 0, nil
}

// storeSegment makes an object of the pieces of a segment. What it holds is fixed, so doing it again, as after a crash,
// stores the same.
func (k *listKeeper) storeSegment(ctx context.Context, kind oms.ListKind, s oms.ListSegment) error {
	return k.e.opts.Resources.WithBuffer(ctx, s.Size, func(buf []byte) error {
		if err := k.e.readSegment(ctx, k.task.ID, kind, s.Number, buf); err != nil {
			return err
		}
		p, err := transfer.StoreObject(ctx, k.dst, k.abilities, segmentKey(k.task, kind, s.Number), buf, listAttrs())
		if err != nil {
			return err
		}
		s.ETag, s.CRC32C = p.ETag, p.CRC32C
		return k.e.store.KeepSegment(ctx, k.task.ID, k.task.Generation, kind, s)
	})
}

// readSegment fills buf, which is as long as all pieces of the segment, with their lines.
func (e *Engine) readSegment(ctx context.Context, task int64, kind oms.ListKind, number int64, buf []byte) error {
	n := 0
	for seq := int64(0); n < len(buf); {
		pieces, err := e.store.ListPieces(ctx, task, kind, number, seq, listPieces)
		if err != nil {
			return err
		}
		if len(pieces) == 0 {
			return oms.Errorf(oms.Corrupt, "", "segment %d of an object list is not whole", number)
		}
		for _, p := range pieces {
			if len(p.Text) > len(buf)-n {
				return oms.Errorf(oms.Conflict, "", "segment %d of an object list has grown", number)
			}
			n += copy(buf[n:], p.Text)
			seq = p.Seq
		}
	}
	return nil
}

// finish writes the list files of a run whose ranges are all done (OMS v2, 6.10). A list that cannot be written does not
// change the outcome of the run; why is recorded. The error is why ctx ended, or the store's.
func (k *listKeeper) finish(ctx context.Context) error {
	k.close()
	if k.task.Spec.ReadOnly() {
		return nil
	}
	var lists []oms.ObjectList
	err := k.e.persist(ctx, "read object lists", func(ctx context.Context) (err error) {
		lists, err = k.e.store.ObjectLists(ctx, k.task.ID)
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range lists {
		err := k.writeAway(ctx, l)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		k.e.log.WarnContext(ctx, "an object list was not written", "task_id", k.task.ID, "list", string(l.Kind), "err", err)
		err = k.e.persist(ctx, "mark object list", func(ctx context.Context) error {
			return k.e.store.FailList(ctx, k.task.ID, l.Kind, oms.CodeListNotSaved)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeAway writes a list, and waits for a destination that is away as a job would.
func (k *listKeeper) writeAway(ctx context.Context, l oms.ObjectList) error {
	began := time.Now()
	for {
		err := k.write(ctx, l)
		if err == nil || !oms.KindOf(err).Retryable() || time.Since(began) > k.e.opts.Transfer.Patience {
			return err
		}
		k.e.log.WarnContext(ctx, "an object list cannot be written yet, waiting", "task_id", k.task.ID, "list", string(l.Kind), "err", err)
		if err := rest(ctx, longestPause); err != nil {
			return err
		}
	}
}

// write writes what of a list is in no file yet. When it breaks off it can be done again: the names of the files and
// what they hold are fixed.
func (k *listKeeper) write(ctx context.Context, l oms.ObjectList) error {
	// Full segments first: one may be an object already without the store knowing, and all that are objects are deleted
	// in the end.
	if _, err := k.storeFull(ctx, l); err != nil {
		return err
	}
	pending, err := k.e.store.PendingSegments(ctx, k.task.ID, l.Kind)
	if err != nil {
		return err
	}
	stored := &segmentReader{e: k.e, task: k.task.ID, kind: l.Kind, after: l.Filed}
	if err := stored.fill(ctx); err != nil {
		return err
	}
	filed := l.Filed
	if len(pending) > 0 || len(stored.page) > 0 {
		files, err := k.writeFiles(ctx, l, pending, stored)
		if err != nil {
			return err
		}
		if err := k.e.store.FileList(ctx, k.task.ID, k.task.Generation, l.Kind, l.Segment, files); err != nil {
			return err
		}
		filed = l.Segment
	}
	return k.clear(ctx, l.Kind, filed)
}

// writeFiles writes the list files one after the other.
func (k *listKeeper) writeFiles(ctx context.Context, l oms.ObjectList, pending []oms.ListSegment, stored *segmentReader) ([]oms.ObjectListFile, error) {
	stamp, err := k.e.store.StampList(ctx, k.task.ID, k.task.Generation, l.Kind, k.e.clock().UnixMilli())
	if err != nil {
		return nil, err
	}
	var files []oms.ObjectListFile
	for {
		file := oms.ObjectListFile{Key: listKey(k.task, l.Kind, stamp+int64(len(files)))}
		var pieces []transfer.ComposePart
		for len(pieces) < listSegments {
			s, isObject, err := nextSegment(ctx, &pending, stored)
			if err != nil {
				return nil, err
			}
			if s == nil {
				break
			}
			p := transfer.ComposePart{Size: s.Size, ETag: s.ETag, CRC32C: s.CRC32C}
			if isObject {
				p.Key = segmentKey(k.task, l.Kind, s.Number)
			} else {
				p.Read = func(ctx context.Context, buf []byte) error {
					return k.e.readSegment(ctx, k.task.ID, l.Kind, s.Number, buf)
				}
			}
			pieces = append(pieces, p)
			file.Entries, file.Size = file.Entries+s.Entries, file.Size+s.Size
		}
		if len(pieces) == 0 {
			return files, nil
		}
		err := k.e.opts.Resources.WithBuffer(ctx, oms.ListSegmentBytes, func(buf []byte) error {
			return transfer.Compose(ctx, k.dst, k.abilities, k.task.Spec.Dst.Bucket, file.Key, pieces, buf, listAttrs())
		})
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
}

// nextSegment returns the next segment in order, of those that are pieces and those that are objects; nil at the end.
func nextSegment(ctx context.Context, pending *[]oms.ListSegment, stored *segmentReader) (s *oms.ListSegment, isObject bool, err error) {
	if err := stored.fill(ctx); err != nil {
		return nil, false, err
	}
	p := *pending
	switch {
	case len(p) == 0 && len(stored.page) == 0:
		return nil, false, nil
	case len(stored.page) > 0 && (len(p) == 0 || stored.page[0].Number < p[0].Number):
		s, stored.page = &stored.page[0], stored.page[1:]
		return s, true, nil
	}
	*pending = p[1:]
	return &p[0], false, nil
}

// segmentReader reads the segments of a list that are objects, page by page.
type segmentReader struct {
	e     *Engine
	task  int64
	kind  oms.ListKind
	after int64
	page  []oms.ListSegment
	ended bool
}

// fill sees to it that page holds the next segment, if there is one.
func (r *segmentReader) fill(ctx context.Context) (err error) {
	if len(r.page) > 0 || r.ended {
		return nil
	}
	if r.page, err = r.e.store.ListSegments(ctx, r.task, r.kind, r.after, listSegments); err != nil {
		return err
	}
	if r.ended = len(r.page) == 0; !r.ended {
		r.after = r.page[len(r.page)-1].Number
	}
	return nil
}

// clear deletes the segments that are in list files. Keys that may not delete leave them, which harms nobody.
func (k *listKeeper) clear(ctx context.Context, kind oms.ListKind, filed int64) error {
	for {
		page, err := k.e.store.ListSegments(ctx, k.task.ID, kind, 0, listSegments)
		if err != nil {
			return err
		}
		upTo := int64(0)
		for _, s := range page {
			if s.Number > filed {
				break
			}
			upTo = s.Number
			if err := k.dst.Delete(ctx, segmentKey(k.task, kind, s.Number)); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				k.e.log.InfoContext(ctx, "a segment of an object list was not deleted", "task_id", k.task.ID, "err", err)
			}
		}
		if upTo == 0 {
			return nil
		}
		if err := k.e.store.DropSegments(ctx, k.task.ID, kind, upTo); err != nil {
			return err
		}
	}
}

func listAttrs() storage.Attrs { return storage.Attrs{ContentType: "text/plain"} }

// listFolder returns the folder below which the service writes what belongs to the task (OMS v2, 6.10). what is the
// folder of the thing, and name is where the task's name goes.
func listFolder(t oms.Task, what string) string {
	switch t.GroupType {
	case oms.GroupGroup:
		return "oms/task_group/" + t.GroupID + "/" + what + "/" + t.Name + "/"
	case oms.GroupSync:
		return "oms/sync_task/" + t.GroupID + "/" + what + "/" + t.Name + "/"
	case oms.GroupNormal:
	}
	return "oms/task/" + t.Name + "/" + what + "/"
}

// listKey returns the name of a list file.
func listKey(t oms.Task, kind oms.ListKind, stamp int64) string {
	return listFolder(t, string(kind)+"_object_lists") + strconv.FormatInt(stamp, 10) + "." + string(kind) + "_list.txt"
}

// segmentKey returns the name of a segment, which is a part of a list and readable as such.
func segmentKey(t oms.Task, kind oms.ListKind, number int64) string {
	return listFolder(t, "object_list_segments") + string(kind) + "-" + fmt.Sprintf("%06d", number) + ".txt"
}

// ownFoldersIn returns what the service keeps in destination buckets when the task's source is its destination bucket:
// it leaves them out, lists that it is writing among them.
func ownFoldersIn(spec oms.TaskSpec) []string {
	if !strings.EqualFold(spec.Src.Endpoint.URL, spec.Dst.Endpoint.URL) || sourceBucket(spec.Src) != spec.Dst.Bucket {
		return nil
	}
	return []string{"oms/task/", "oms/task_group/", "oms/sync_task/", "oms/probe/"}
}
