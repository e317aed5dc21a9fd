package transfer

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Sizes of what is read of a list file at once, in bytes.
const (
	listPiece = 256 << 10 // by a walker, which pauses between pieces for as long as the queue is full
	linePiece = 4 << 10   // to find one line again; mostly all of it
)

// lines is what a job over list files knows beyond its ranges.
type lines struct {
	mu    sync.Mutex
	files map[int]oms.ListSource // by their index
	open  map[string]*openName   // objects that are handed out and not done
}

// openName is an object in progress. A name may be listed more than once: the second waits for the first, since two
// uploads of one key would disturb each other.
type openName struct {
	url  string // where it is read from; "" in a bucket
	done chan struct{}
}

// learn remembers the file that a range is a piece of. What cannot be read shows when it is used.
func (l *lines) learn(r oms.Range) {
	if r.Kind != oms.RangeLines {
		return
	}
	if f, err := oms.ParseListSource(r.Prefix); err == nil {
		if l.files == nil {
			l.files = make(map[int]oms.ListSource)
		}
		l.files[f.Index] = f
	}
}

// enter makes the name one in progress, or returns the channel that is closed when the one in progress is done.
func (l *lines) enter(name, url string) (wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, ok := l.open[name]; ok {
		return before.done
	}
	if l.open == nil {
		l.open = make(map[string]*openName)
	}
	l.open[name] = &openName{url: url, done: make(chan struct{})}
	return nil
}

// leave ends the time of a name in progress.
func (l *lines) leave(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.open[name]; ok {
		delete(l.open, name)
		close(n.done)
	}
}

// urlOf returns where an object in progress is read from.
func (l *lines) urlOf(name string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.open[name]
	if !ok {
		return "", false
	}
	return n.url, true
}

// named is the source of a job over URLs: its keys are the names at the destination, so that nothing but the reads
// themselves ever sees a URL.
type named struct {
	urls storage.Reader
	of   *lines
}

// List implements storage.Reader.
func (n named) List(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
	return n.urls.List(ctx, opts)
}

// Stat implements storage.Reader.
func (n named) Stat(ctx context.Context, key string) (storage.Object, error) {
	url, ok := n.of.urlOf(key)
	if !ok {
		return storage.Object{}, unknownName(key)
	}
	o, err := n.urls.Stat(ctx, url)
	o.Key = key
	return o, err
}

// Open implements storage.Reader.
func (n named) Open(ctx context.Context, key string, opts storage.OpenOptions) (storage.Content, error) {
	url, ok := n.of.urlOf(key)
	if !ok {
		return storage.Content{}, unknownName(key)
	}
	c, err := n.urls.Open(ctx, url, opts)
	c.Key = key
	return c, err
}

func unknownName(key string) error {
	return &oms.Error{Op: "read", Key: key, Kind: oms.Other, Msg: "no line in progress has this name"}
}

// form is what the lines of the task's list files are.
func (j *Job) form() listfile.Form {
	if j.plan.Spec.Type == oms.TypeURLList {
		return listfile.URLs
	}
	return listfile.Names
}

// walkLines hands out the objects that the lines of the span name. A line belongs to the range that it begins in.
func (j *Job) walkLines(ctx context.Context, s *span) error {
	file, err := oms.ParseListSource(s.r.Prefix)
	if err != nil {
		return err
	}
	opts := listfile.Options{Form: j.form()}
	opts.Start, err = oms.LineOffset(s.r.Cur)
	if err != nil {
		return err
	}
	opts.Stop, err = oms.LineOffset(s.r.End)
	if err != nil {
		return err
	}
	scanner := listfile.NewScanner(storage.NewPieces(opts.ReadFrom(), file.Size, listPiece, j.readList(ctx, file)), opts)
	hand := handing{job: j, span: s, batch: &batch{span: s}}
	for {
		e, err := scanner.Next()
		if errors.Is(err, io.EOF) {
			return hand.flush(ctx)
		}
		if err != nil {
			return j.listTrouble(ctx, file, err)
		}
		end := e.End
		if opts.Stop > 0 {
			end = min(end, opts.Stop)
		}
		if !j.filter.Key(e.Name) {
			if err := hand.leaveOut(ctx, oms.LinePosition(end)); err != nil {
				return err
			}
			continue
		}
		it := item{obj: storage.ListedObject{Key: e.Name}, stat: true, line: &oms.Line{Index: file.Index, Offset: e.Offset}}
		j.found.Add(1)
		if err := hand.add(ctx, it, e.URL, oms.LinePosition(end)); err != nil {
			return err
		}
	}
}

// walkFailedLines hands out the failures of earlier runs over list files.
func (j *Job) walkFailedLines(ctx context.Context, s *span) error {
	hand := handing{job: j, span: s, batch: &batch{span: s}}
	for after := s.r.Cur; ; {
		list, err := j.journal.Failures(ctx, after, batchItems)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return hand.flush(ctx)
		}
		for i := range list {
			f := &list[i]
			name, line, err := oms.SplitFailureKey(f.Key)
			if err != nil {
				return err
			}
			url := ""
			if j.form() == listfile.URLs {
				if url, err = j.urlAt(ctx, name, line); err != nil {
					return err
				}
			}
			it := item{obj: storage.ListedObject{Key: name, Size: f.Size}, stat: true, prior: f, line: &line}
			if err := hand.add(ctx, it, url, f.Key); err != nil {
				return err
			}
		}
		after = list[len(list)-1].Key
	}
}

// urlAt reads a line of a list file again and returns its URL.
func (j *Job) urlAt(ctx context.Context, name string, line oms.Line) (string, error) {
	file, ok := j.lines.files[line.Index]
	if !ok {
		return "", oms.Errorf(oms.Corrupt, "", "a failure names a list file that the task has not")
	}
	opts := listfile.Options{Form: listfile.URLs, Start: line.Offset}
	scanner := listfile.NewScanner(storage.NewPieces(opts.ReadFrom(), file.Size, linePiece, j.readList(ctx, file)), opts)
	e, err := scanner.Next()
	switch {
	case errors.Is(err, io.EOF), err == nil && e.Name != name:
		return "", oms.Errorf(oms.Corrupt, "", "a failure names a line that is not there")
	case err != nil:
		return "", j.listTrouble(ctx, file, err)
	}
	return e.URL, nil
}

// readList returns a function that reads a piece of a list file, as it was when the task was planned, with retries.
func (j *Job) readList(ctx context.Context, file oms.ListSource) func(storage.ByteRange, []byte) error {
	return func(r storage.ByteRange, buf []byte) error {
		return j.retry(ctx, dstRead, func(ctx context.Context, w *watch) error {
			c, err := j.plan.Lists.Open(ctx, file.Key, storage.OpenOptions{Range: &r, IfMatch: file.ETag, Size: file.Size})
			if err != nil {
				return err
			}
			defer c.Body.Close()
			if _, err := io.ReadFull(watchedReader{c.Body, w}, buf); err != nil {
				return readError(err)
			}
			return nil
		})
	}
}

// listTrouble ends the job for a list file that cannot be read: what is left cannot be known without it.
func (j *Job) listTrouble(ctx context.Context, file oms.ListSource, err error) error {
	if _, stopped := errors.AsType[*Stopped](err); stopped || ctx.Err() != nil {
		return err
	}
	return j.stop(oms.Destination, listfile.Trouble(file.Key, err))
}

// handing puts the objects that lines name into batches.
type handing struct {
	job   *Job
	span  *span
	batch *batch
}

// add hands out an object; the span's checkpoint moves to last when it is done.
func (h *handing) add(ctx context.Context, it item, url, last string) error {
	for {
		wait := h.job.lines.enter(it.obj.Key, url)
		if wait == nil {
			break
		}
		if err := h.flush(ctx); err != nil { // what is waited for may be in this batch, or wait for one in it
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	b := h.batch
	if b.items == nil {
		b.items = make([]item, 0, batchItems)
	}
	it.job, it.batch = h.job, b
	b.items = append(b.items, it)
	b.objects++
	b.last = last
	if len(b.items) == batchItems {
		return h.flush(ctx)
	}
	return nil
}

// leaveOut counts an object that the filters leave out by its name.
func (h *handing) leaveOut(ctx context.Context, last string) error {
	b := h.batch
	b.delta.Filtered++
	b.objects++
	b.last = last
	if b.objects >= mostLeftOut {
		return h.flush(ctx)
	}
	return nil
}

// mostLeftOut is how many names of a list are left out before the checkpoint moves.
const mostLeftOut = 10_000

// flush hands out what the batch holds and begins a new one.
func (h *handing) flush(ctx context.Context) error {
	b := h.batch
	h.batch = &batch{span: h.span}
	return h.job.dispatchNamed(ctx, b)
}
