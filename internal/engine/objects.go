package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Bounds of one answer about objects.
const (
	objectChunk    = 256 << 10        // bytes of a list read at once; a line has less
	objectScan     = 16 << 20         // bytes of a list looked through at most
	objectPatience = 20 * time.Second // for the destination
	objectRereads  = 3                // times that a list is looked at anew because it was just being written
)

// Lists returns what is known of the task's object lists.
func (e *Engine) Lists(ctx context.Context, project string, id int64) (oms.TaskLists, error) {
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return oms.TaskLists{}, err
	}
	out := oms.TaskLists{Bucket: t.Spec.Dst.Bucket, Folders: make(map[oms.ListKind]string)}
	if out.Lists, err = e.store.ObjectLists(ctx, id); err != nil {
		return oms.TaskLists{}, err
	}
	for _, kind := range append(oms.RecordedLists(), oms.ListFailed) {
		out.Folders[kind] = listFolder(t, string(kind)+"_object_lists")
	}
	out.Uncarried, err = e.store.Uncarried(ctx, id)
	return out, err
}

// Objects returns a page of the task's objects by what became of them. Failed ones are rows; the others are read from
// the lists, which are at the destination for the most part: that needs keys, which a task has only while it is waiting
// or running. OMS.1004 when there are none, OMS.1003 when After is of another list.
func (e *Engine) Objects(ctx context.Context, project string, id int64, q oms.ObjectQuery) (oms.ObjectPage, error) {
	if q.Kind == oms.ListFailed {
		return e.failedObjects(ctx, project, id, q)
	}
	t, err := e.store.Task(ctx, project, id)
	if err != nil {
		return oms.ObjectPage{}, err
	}
	r := &objectReader{e: e, task: t, query: q}
	for try := 1; ; try++ {
		page, err := r.page(ctx)
		if !errors.Is(err, errListMoved) || try == objectRereads {
			return page, err
		}
	}
}

func (e *Engine) failedObjects(ctx context.Context, project string, id int64, q oms.ObjectQuery) (oms.ObjectPage, error) {
	after, err := url.PathUnescape(q.After)
	if err != nil {
		return oms.ObjectPage{}, badCursor()
	}
	fs, err := e.FindFailures(ctx, project, id, oms.FailureFilter{After: after, Prefix: q.Prefix, Limit: q.Limit})
	if err != nil {
		return oms.ObjectPage{}, err
	}
	page := oms.ObjectPage{Objects: make([]oms.ObjectOutcome, 0, len(fs))}
	for i := range fs {
		page.Objects = append(page.Objects, oms.ObjectOutcome{Key: fs[i].Key, Size: fs[i].Size, Failure: &fs[i]})
	}
	if len(fs) >= q.Limit && len(fs) > 0 {
		page.Next = url.PathEscape(fs[len(fs)-1].Key)
	}
	return page, nil
}

func badCursor() error {
	return oms.Errorf(oms.Invalid, "OMS.1003", "after is not the value of next of the page before, or the task has begun anew since")
}

// errListMoved says that lines were on their way from the store to the destination while they were looked for.
var errListMoved = oms.Errorf(oms.Conflict, "OMS.0064", "the list is being written, try again")

// objectReader reads a list as the one text that files, segments and pieces are in this order: bytes keep their offset
// in it on their way from one to the next.
type objectReader struct {
	e     *Engine
	task  oms.Task
	query oms.ObjectQuery
	list  oms.ObjectList
	dst   storage.Reader // nil before it is needed
}

// page returns the page that the query asks for.
func (r *objectReader) page(ctx context.Context) (oms.ObjectPage, error) {
	lists, err := r.e.store.ObjectLists(ctx, r.task.ID)
	if err != nil {
		return oms.ObjectPage{}, err
	}
	page := oms.ObjectPage{Objects: []oms.ObjectOutcome{}}
	for _, r.list = range lists {
		if r.list.Kind == r.query.Kind {
			break
		}
	}
	if r.list.Kind != r.query.Kind {
		if r.query.After != "" {
			return page, badCursor()
		}
		return page, nil
	}
	offset, err := r.offset()
	if err != nil {
		return page, err
	}
	start := offset
	for offset < r.list.Size && len(page.Objects) < r.query.Limit && offset-start < objectScan {
		chunk, err := r.read(ctx, offset)
		if err != nil {
			return page, err
		}
		n := r.take(&page, chunk)
		if n == 0 {
			return page, errListMoved
		}
		offset += int64(n)
	}
	if offset < r.list.Size {
		page.Next = strconv.FormatInt(r.list.BeganAt, 10) + "." + strconv.FormatInt(offset, 10)
	}
	return page, nil
}

// offset returns where the page begins.
func (r *objectReader) offset() (int64, error) {
	if r.query.After == "" {
		return 0, nil
	}
	began, at, _ := strings.Cut(r.query.After, ".")
	offset, err := strconv.ParseInt(at, 10, 64)
	if err != nil || began != strconv.FormatInt(r.list.BeganAt, 10) || offset < 0 || offset > r.list.Size {
		return 0, badCursor()
	}
	return offset, nil
}

// take adds the objects of the whole lines in text that are asked for, and returns how many bytes it has gone through.
func (r *objectReader) take(page *oms.ObjectPage, text []byte) (n int) {
	for len(page.Objects) < r.query.Limit {
		end := bytes.IndexByte(text[n:], '\n')
		if end < 0 {
			break
		}
		o, ok := parseOutcome(string(text[n : n+end]))
		n += end + 1
		if ok && strings.HasPrefix(o.Key, r.query.Prefix) {
			page.Objects = append(page.Objects, o)
		}
	}
	return n
}

// parseOutcome reads a line of a list: name, size, time, and what there is beyond.
func parseOutcome(line string) (o oms.ObjectOutcome, ok bool) {
	name, rest, _ := strings.Cut(line, "\t")
	size, rest, _ := strings.Cut(rest, "\t")
	at, detail, _ := strings.Cut(rest, "\t")
	key, err := url.PathUnescape(name)
	if err != nil {
		return o, false
	}
	o = oms.ObjectOutcome{Key: key, Detail: detail}
	if o.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return o, false
	}
	if modified, err := time.Parse(listfile.TimeFormat, at); err == nil {
		o.Modified = modified.UnixMilli()
	}
	return o, true
}

// read returns bytes of the list from the offset, whole lines at least in part.
func (r *objectReader) read(ctx context.Context, offset int64) ([]byte, error) {
	for _, f := range r.list.Files {
		if offset < f.Size {
			return r.fetch(ctx, f.Key, f.Size, offset)
		}
		offset -= f.Size
	}
	stored := &segmentReader{e: r.e, task: r.task.ID, kind: r.list.Kind, after: r.list.Filed}
	for {
		if err := stored.fill(ctx); err != nil {
			return nil, err
		}
		if len(stored.page) == 0 {
			break
		}
		s := stored.page[0]
		stored.page = stored.page[1:]
		if offset < s.Size {
			return r.fetch(ctx, segmentKey(r.task, r.list.Kind, s.Number), s.Size, offset)
		}
		offset -= s.Size
	}
	pending, err := r.e.store.PendingSegments(ctx, r.task.ID, r.list.Kind)
	if err != nil {
		return nil, err
	}
	for _, s := range pending {
		if offset < s.Size {
			return r.piece(ctx, s.Number, offset)
		}
		offset -= s.Size
	}
	return nil, errListMoved
}

// piece returns what follows the offset in the piece of a segment that it lies in.
func (r *objectReader) piece(ctx context.Context, segment, offset int64) ([]byte, error) {
	for seq := int64(0); ; {
		pieces, err := r.e.store.ListPieces(ctx, r.task.ID, r.list.Kind, segment, seq, listPieces)
		if err != nil {
			return nil, err
		}
		if len(pieces) == 0 {
			return nil, errListMoved
		}
		for _, p := range pieces {
			if offset < int64(len(p.Text)) {
				return p.Text[offset:], nil
			}
			offset -= int64(len(p.Text))
			seq = p.Seq
		}
	}
}

// fetch reads a piece of an object of the destination.
func (r *objectReader) fetch(ctx context.Context, key string, size, offset int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, objectPatience)
	defer cancel()
	if r.dst == nil {
		dst, err := r.open(ctx)
		if err != nil {
			return nil, err
		}
		r.dst = dst
	}
	part := storage.ByteRange{Offset: offset, Size: min(objectChunk, size-offset)}
	c, err := r.dst.Open(ctx, key, storage.OpenOptions{Range: &part, Size: size})
	if err == nil {
		defer c.Body.Close()
		buf := make([]byte, part.Size)
		if _, err = io.ReadFull(c.Body, buf); err == nil {
			return buf, nil
		}
	}
	return nil, unreadable(err, key)
}

// open opens the destination with the keys of the query or of the task.
func (r *objectReader) open(ctx context.Context) (storage.Reader, error) {
	keys := r.query.Keys
	if keys.IsZero() {
		sealed, err := r.e.store.Credentials(ctx, r.task.ID)
		if errors.Is(err, oms.NotFound) {
			return nil, oms.Errorf(oms.Invalid, "OMS.1004",
				"the list is at the destination, and the task has no keys any more: ask with the keys of the destination, or read the list there")
		}
		if err != nil {
			return nil, err
		}
		all, err := unseal(r.e.opts.Sealer, r.task.ProjectID, r.task.ID, sealed)
		if err != nil {
			return nil, err
		}
		keys = all.Dst
	}
	return r.e.openDestination(ctx, r.task.Spec, keys)
}

// unreadable is the answer when a list cannot be read. The cause is the store's and for the log.
func unreadable(err error, key string) error {
	msg := "the object list cannot be read at the destination"
	switch oms.KindOf(err) {
	case oms.NotFound, oms.Changed:
		msg = "the object list is not at the destination any more, or was changed"
	case oms.Denied:
		msg = "the destination keys may not read the object list"
	default:
	}
	return &oms.Error{Op: "read object list", Key: key, Kind: oms.Invalid, Code: "OMS.1020", Msg: msg, Err: err}
}
