package transfer

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Spool says where the listing of a bucket without order is sorted. The zero value of each field is a default that
// works.
type Spool struct {
	Dir    string // of files that have no name while they are used; "" means the system's directory for temporary files
	Memory int64  // bytes of a listing that are sorted in memory at a time; 0 means 32 MiB
	Disk   int64  // most bytes of files; 0 means 64 GiB
}

// Bounds of sorting.
const (
	listedOverhead = 120      // bytes in memory of a listed object, besides its texts
	runBuffer      = 64 << 10 // read ahead, and of each run while they are merged if there are not too many
	leastBuffer    = 4 << 10
	maxIndexBytes  = 8 << 20   // of keys in the index of a sorted file; beyond, every second is left out
	maxTextLen     = 64 << 10  // of one text in a file
	mergeCheck     = 64 * 1000 // objects between two looks at the context
)

// sorter takes the objects of a listing in any order, repeated ones included, and returns them in byte order of key,
// each once: as it came last. Memory does not grow with their number; what does not fit is sorted in files. Safe for
// concurrent use.
type sorter struct {
	spool Spool

	mu    sync.Mutex
	fresh []storage.ListedObject
	held  int64 // bytes of fresh
	file  *os.File
	runs  []section
	used  int64 // bytes in files
}

// section is a piece of a file.
type section struct{ from, to int64 }

func newSorter(spool Spool) *sorter {
	if spool.Memory <= 0 {
		spool.Memory = 32 << 20
	}
	if spool.Disk <= 0 {
		spool.Disk = 64 << 30
	}
	return &sorter{spool: spool}
}

// add takes the objects of a page.
func (s *sorter) add(page []storage.ListedObject) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = append(s.fresh, page...)
	for i := range page {
		s.held += int64(len(page[i].Key)+len(page[i].ETag)+len(page[i].StorageClass)) + listedOverhead
	}
	if s.held < s.spool.Memory {
		return nil
	}
	return s.flush()
}

// flush writes what is held in memory to the file, as one sorted run.
func (s *sorter) flush() (err error) {
	s.fresh = inByteOrder(s.fresh)
	if s.file == nil {
		if s.file, err = s.tempFile(); err != nil {
			return spoolError(err)
		}
	}
	run := section{from: s.used}
	w := &listedWriter{w: bufio.NewWriterSize(io.NewOffsetWriter(s.file, s.used), runBuffer)}
	for i := range s.fresh {
		if err := w.write(&s.fresh[i]); err != nil {
			return spoolError(err)
		}
	}
	if err := w.w.Flush(); err != nil {
		return spoolError(err)
	}
	s.used += w.n
	run.to = s.used
	s.runs = append(s.runs, run)
	clear(s.fresh)
	s.fresh, s.held = s.fresh[:0], 0
	return s.checkDisk(0)
}

// checkDisk returns an error when the files and n bytes more are too much.
func (s *sorter) checkDisk(n int64) error {
	if s.used+n <= s.spool.Disk {
		return nil
	}
	return &oms.Error{
		Op: "sort listing", Kind: oms.Listing, Code: codeListing,
		Msg: "the bucket is not listed in order, and sorting it takes more than " + strconv.FormatInt(s.spool.Disk>>20, 10) + " MiB of disk",
	}
}

// tempFile returns a file without a name where the system allows that; release removes it where it does not.
func (s *sorter) tempFile() (*os.File, error) {
	f, err := os.CreateTemp(s.spool.Dir, "listing-*.tmp")
	if err == nil {
		_ = os.Remove(f.Name()) // fails where open files cannot be removed
	}
	return f, err
}

// release closes a file of tempFile; nil is none.
func release(f *os.File) {
	if f != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
}

// close gives up what was taken. It does nothing after finish.
func (s *sorter) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	release(s.file)
	s.file, s.fresh = nil, nil
}

// finish returns all objects in order. The caller closes the listing; the sorter is used up.
func (s *sorter) finish(ctx context.Context) (*sortedListing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.runs) == 0 {
		return &sortedListing{all: inByteOrder(s.fresh)}, nil
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	s.fresh = nil
	out, err := s.tempFile()
	if err != nil {
		return nil, spoolError(err)
	}
	l := &sortedListing{file: out}
	if err := s.merge(ctx, l); err != nil {
		l.close()
		return nil, err
	}
	release(s.file)
	s.file = nil
	return l, nil
}

// merge writes the runs, merged, to the listing's file.
func (s *sorter) merge(ctx context.Context, l *sortedListing) error {
	w := &listedWriter{w: bufio.NewWriterSize(io.NewOffsetWriter(l.file, 0), 4*runBuffer)}
	var runs runHeap
	buffer := int(min(max(s.spool.Memory/int64(len(s.runs)), leastBuffer), runBuffer))
	for i, run := range s.runs {
		r := &runReader{order: i, listedReader: newListedReader(io.NewSectionReader(s.file, run.from, run.to-run.from), buffer)}
		more, err := r.next()
		if err != nil {
			return spoolError(err)
		}
		if more {
			runs = append(runs, r)
		}
	}
	heap.Init(&runs)
	var last storage.ListedObject
	for n := 0; len(runs) > 0; n++ {
		if n%mergeCheck == 0 {
			if err := errors.Join(context.Cause(ctx), s.checkDisk(w.n)); err != nil {
				return err
			}
		}
		least := runs[0]
		if n > 0 && least.obj.Key != last.Key { // of equal keys, the last run's comes last
			if err := l.append(w, &last); err != nil {
				return spoolError(err)
			}
		}
		last = least.obj
		more, err := least.next()
		if err != nil {
			return spoolError(err)
		}
		if more {
			heap.Fix(&runs, 0)
		} else {
			heap.Pop(&runs)
		}
	}
	if err := errors.Join(l.append(w, &last), w.w.Flush()); err != nil {
		return spoolError(err)
	}
	l.size = w.n
	return nil
}

func spoolError(err error) error {
	return &oms.Error{Op: "sort listing", Kind: oms.Listing, Code: codeListing, Msg: "a listing without order cannot be kept on disk", Err: err}
}

// codeListing is the code of listings that cannot be trusted.
const codeListing = "LISTING_ERROR"

// inByteOrder sorts the objects by key and keeps of equal keys the one that came last.
func inByteOrder(objs []storage.ListedObject) []storage.ListedObject {
	slices.SortStableFunc(objs, func(a, b storage.ListedObject) int { return strings.Compare(a.Key, b.Key) })
	kept := objs[:0]
	for i := range objs {
		if n := len(kept); n > 0 && kept[n-1].Key == objs[i].Key {
			kept[n-1] = objs[i]
			continue
		}
		kept = append(kept, objs[i])
	}
	clear(objs[len(kept):])
	return kept
}

// sortedListing is a listing in byte order, in memory or in a file. Safe for concurrent use.
type sortedListing struct {
	all []storage.ListedObject // when it is small

	file    *os.File
	size    int64
	index   []indexed // of every stride-th object
	indexed int       // bytes of keys in index
	stride  int
	count   int
}

// indexed is where in the file the object of a key lies.
type indexed struct {
	key string
	at  int64
}

// sortedPage is how many objects a page of a sorted listing holds.
const sortedPage = 1000

// append writes the next object.
func (l *sortedListing) append(w *listedWriter, obj *storage.ListedObject) error {
	l.stride = max(l.stride, sortedPage)
	if l.count%l.stride == 0 {
		l.index = append(l.index, indexed{strings.Clone(obj.Key), w.n})
		if l.indexed += len(obj.Key) + listedOverhead; l.indexed > maxIndexBytes {
			l.thin()
		}
	}
	l.count++
	return w.write(obj)
}

// thin drops every second entry of the index.
func (l *sortedListing) thin() {
	kept := l.index[:0]
	l.indexed = 0
	for i := 0; i < len(l.index); i += 2 {
		kept = append(kept, l.index[i])
		l.indexed += len(l.index[i].key) + listedOverhead
	}
	clear(l.index[len(kept):])
	l.index = kept
	l.stride *= 2
}

// close gives up the file. A nil listing has none.
func (l *sortedListing) close() {
	if l != nil {
		release(l.file)
	}
}

// list is storage.Reader's List over the sorted objects.
func (l *sortedListing) list(ctx context.Context, o storage.ListOptions) (storage.Page, error) {
	if ctx.Err() != nil {
		return storage.Page{}, context.Cause(ctx)
	}
	limit := sortedPage
	if o.Limit > 0 {
		limit = min(limit, o.Limit)
	}
	if l.file == nil {
		from := sort.Search(len(l.all), func(i int) bool { return l.all[i].Key > o.After && l.all[i].Key >= o.Prefix })
		to := from
		for to < len(l.all) && strings.HasPrefix(l.all[to].Key, o.Prefix) {
			if to-from == limit {
				return storage.Page{Objects: slices.Clone(l.all[from:to]), Truncated: true}, nil
			}
			to++
		}
		return storage.Page{Objects: slices.Clone(l.all[from:to])}, nil
	}
	return l.read(o, limit)
}

// read reads a page from the file.
func (l *sortedListing) read(o storage.ListOptions, limit int) (page storage.Page, err error) {
	start := max(o.After, o.Prefix)
	i := sort.Search(len(l.index), func(i int) bool { return l.index[i].key > start })
	at := l.index[max(i-1, 0)].at
	r := newListedReader(io.NewSectionReader(l.file, at, l.size-at), runBuffer)
	for {
		more, err := r.next()
		switch {
		case err != nil:
			return storage.Page{}, spoolError(err)
		case !more:
			return page, nil
		case r.obj.Key <= o.After || r.obj.Key < o.Prefix:
			continue
		case !strings.HasPrefix(r.obj.Key, o.Prefix):
			return page, nil
		case len(page.Objects) == limit:
			page.Truncated = true
			return page, nil
		}
		page.Objects = append(page.Objects, r.obj)
	}
}

// listedWriter writes listed objects one behind the other.
type listedWriter struct {
	w   *bufio.Writer
	n   int64
	buf []byte
}

func (w *listedWriter) write(obj *storage.ListedObject) error {
	b := w.buf[:0]
	for _, text := range [...]string{obj.Key, obj.ETag, obj.StorageClass} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	b = binary.AppendVarint(b, obj.Size)
	b = binary.AppendVarint(b, obj.ModTime.Unix())
	b = binary.AppendVarint(b, int64(obj.ModTime.Nanosecond()))
	w.buf = b
	w.n += int64(len(b))
	_, err := w.w.Write(b)
	return err
}

// listedReader reads what a listedWriter wrote.
type listedReader struct {
	r   *bufio.Reader
	obj storage.ListedObject
	buf []byte
}

func newListedReader(r io.Reader, buffer int) listedReader {
	return listedReader{r: bufio.NewReaderSize(r, buffer)}
}

// next reads the next object into obj; false at the end.
func (r *listedReader) next() (bool, error) {
	if _, err := r.r.Peek(1); errors.Is(err, io.EOF) {
		return false, nil
	}
	var texts [3]string
	for i := range texts {
		n, err := binary.ReadUvarint(r.r)
		if err != nil || n > maxTextLen {
			return false, cmp.Or(err, errDamaged)
		}
		r.buf = slices.Grow(r.buf[:0], int(n))[:n]
		if _, err := io.ReadFull(r.r, r.buf); err != nil {
			return false, err
		}
		texts[i] = string(r.buf)
	}
	var numbers [3]int64
	for i := range numbers {
		n, err := binary.ReadVarint(r.r)
		if err != nil {
			return false, err
		}
		numbers[i] = n
	}
	if numbers[2] < 0 || numbers[2] > math.MaxInt32 {
		return false, errDamaged
	}
	r.obj = storage.ListedObject{
		Key: texts[0], ETag: texts[1], StorageClass: texts[2], Size: numbers[0], ModTime: time.Unix(numbers[1], numbers[2]).UTC(),
	}
	return true, nil
}

var errDamaged = errors.New("the file is damaged")

// runReader is a run being merged.
type runReader struct {
	listedReader
	order int
}

// runHeap has the run with the least key on top; of equal keys the run that was written first.
type runHeap []*runReader

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(i, j int) bool {
	return cmp.Or(strings.Compare(h[i].obj.Key, h[j].obj.Key), cmp.Compare(h[i].order, h[j].order)) < 0
}
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(*runReader)) } //nolint:errcheck // only runs are pushed
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
