package transfer

import (
	"bufio"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/internal/storage"
)

// maxSuspects bounds the hashes of names that are looked into: more than enough for the conflicts that are reported.
const maxSuspects = 4 * oms.MaxNameConflicts

// FindConflicts lists all that the task selects and returns source keys that cannot be migrated under the names that the
// task's rules give them, at most oms.MaxNameConflicts, ordered by name; none where the rules alone exclude them, without
// a listing. Names are compared by hashes of 8 bytes, which are sorted on disk when there are many; only if some are
// equal the source is listed once more for their keys.
func FindConflicts(ctx context.Context, plan Plan, res *Resources, opts Options) ([]oms.NameConflict, error) {
	names, err := rules.NewNames(plan.Spec.Dst.SavePrefix, plan.Spec.Rename)
	if err != nil {
		return nil, err
	}
	prefixes, exact := plan.Spec.Selection()
	if !names.Changes() || names.Unique(prefixes, exact) {
		return nil, nil
	}
	filter, err := rules.NewFilter(plan.Spec.Filters)
	if err != nil {
		return nil, err
	}
	c := &conflictSearch{plan: plan, res: res, opts: opts, names: names, filter: filter, exact: exact, seed: maphash.MakeSeed()}
	return c.run(ctx)
}

// conflictSearch is a search under way.
type conflictSearch struct {
	plan   Plan
	res    *Resources
	opts   Options
	names  *rules.Names
	filter *rules.Filter
	exact  []string // names of the task
	seed   maphash.Seed

	mu     sync.Mutex
	faulty []oms.NameConflict // names that cannot be used at all
}

func (c *conflictSearch) run(ctx context.Context) ([]oms.NameConflict, error) {
	var hashes *hashSorter
	defer func() { hashes.close() }()
	err := c.each(ctx, func() {
		hashes.close()
		hashes = newHashSorter(c.opts.Spool)
		c.faulty = nil
	}, func(key, name string) error {
		if reason := rules.Fault(name); reason != "" {
			c.fault(oms.NameConflict{Reason: reason, Key: key, Name: name[:min(len(name), maxKey+1)]})
			return nil
		}
		return hashes.add(maphash.String(c.seed, name))
	})
	if err != nil {
		return nil, err
	}
	suspects, err := hashes.repeated(ctx, maxSuspects)
	if err != nil {
		return nil, err
	}
	found := c.faulty
	if len(suspects) > 0 {
		taken, err := c.taken(ctx, suspects)
		if err != nil {
			return nil, err
		}
		found = append(found, taken...)
	}
	slices.SortFunc(found, func(a, b oms.NameConflict) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Key, b.Key))
	})
	return found[:min(len(found), oms.MaxNameConflicts)], nil
}

// fault keeps a conflict.
func (c *conflictSearch) fault(n oms.NameConflict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faulty) < oms.MaxNameConflicts {
		c.faulty = append(c.faulty, n)
	}
}

// each hands every key that the task takes, and its name, to use, from several goroutines, after begin. Of objects that
// the task names only the name is looked at.
func (c *conflictSearch) each(ctx context.Context, begin func(), use func(key, name string) error) error {
	err := Survey(ctx, c.plan, c.res, c.opts, begin, func(page []storage.ListedObject) error {
		for i := range page {
			o := &page[i]
			if !c.filter.Takes(o.Key, o.Size, o.ModTime) {
				continue
			}
			if err := use(o.Key, c.names.Of(o.Key)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, key := range c.exact {
		if err == nil && c.filter.Key(key) {
			err = use(key, c.names.Of(key))
		}
	}
	return err
}

// taken returns keys whose names have one of the hashes and are really equal.
func (c *conflictSearch) taken(ctx context.Context, suspects []uint64) ([]oms.NameConflict, error) {
	keys := make(map[string][]string) // by name
	err := c.each(ctx, func() { clear(keys) }, func(key, name string) error {
		if _, ok := slices.BinarySearch(suspects, maphash.String(c.seed, name)); !ok {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(keys[name]) <= oms.MaxNameConflicts {
			keys[name] = append(keys[name], key)
		}
		return nil
	})
	var found []oms.NameConflict
	for name, list := range keys {
		slices.Sort(list)
		for _, key := range list[1:] {
			found = append(found, oms.NameConflict{Reason: oms.NameTaken, Key: key, Other: list[0], Name: name})
		}
	}
	return found, err
}

// hashSorter takes hashes in any order and tells which of them came more than once. Memory does not grow with their
// number; what does not fit is sorted in a file. Safe for concurrent use; nil has nothing to close.
type hashSorter struct {
	spool Spool

	mu    sync.Mutex
	fresh []uint64
	file  *os.File
	runs  []section
	used  int64 // bytes of the file
}

func newHashSorter(spool Spool) *hashSorter {
	s := newSorter(spool) // fills in the defaults
	return &hashSorter{spool: s.spool}
}

const hashSize = 8

// add takes a hash.
func (h *hashSorter) add(hash uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fresh = append(h.fresh, hash)
	if int64(len(h.fresh))*hashSize < h.spool.Memory {
		return nil
	}
	return h.flush()
}

// flush writes what is held in memory to the file, as one sorted run.
func (h *hashSorter) flush() (err error) {
	slices.Sort(h.fresh)
	if h.file == nil {
		if h.file, err = newSorter(h.spool).tempFile(); err != nil {
			return spoolError(err)
		}
	}
	if h.used+int64(len(h.fresh))*hashSize > h.spool.Disk {
		return &oms.Error{Op: "compare names", Kind: oms.Unsupported, Msg: "there are more names than can be compared on disk"}
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(h.file, h.used), runBuffer)
	var b [hashSize]byte
	for _, hash := range h.fresh {
		binary.BigEndian.PutUint64(b[:], hash)
		if _, err := w.Write(b[:]); err != nil {
			return spoolError(err)
		}
	}
	if err := w.Flush(); err != nil {
		return spoolError(err)
	}
	run := section{from: h.used, to: h.used + int64(len(h.fresh))*hashSize}
	h.used = run.to
	h.runs = append(h.runs, run)
	h.fresh = h.fresh[:0]
	return nil
}

// repeated returns the hashes that came more than once, ascending, at most limit.
func (h *hashSorter) repeated(ctx context.Context, limit int) ([]uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.fresh)
	merged := hashHeap{}
	if len(h.fresh) > 0 {
		merged = append(merged, &hashRun{rest: h.fresh[1:], hash: h.fresh[0]})
	}
	buffer := int(min(max(h.spool.Memory/int64(len(h.runs)+1), leastBuffer), runBuffer))
	for _, run := range h.runs {
		r := &hashRun{file: bufio.NewReaderSize(io.NewSectionReader(h.file, run.from, run.to-run.from), buffer)}
		if more, err := r.next(); err != nil {
			return nil, spoolError(err)
		} else if more {
			merged = append(merged, r)
		}
	}
	heap.Init(&merged)
	var found []uint64
	var last uint64
	for n := 0; len(merged) > 0 && len(found) < limit; n++ {
		if n%mergeCheck == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		least := merged[0]
		if n > 0 && least.hash == last && (len(found) == 0 || found[len(found)-1] != last) {
			found = append(found, last)
		}
		last = least.hash
		more, err := least.next()
		if err != nil {
			return nil, spoolError(err)
		}
		if more {
			heap.Fix(&merged, 0)
		} else {
			heap.Pop(&merged)
		}
	}
	return found, nil
}

// close gives up the file.
func (h *hashSorter) close() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	release(h.file)
	h.file, h.fresh = nil, nil
}

// hashRun is a run being merged: in memory, or in a file.
type hashRun struct {
	hash uint64 // the present one
	rest []uint64
	file *bufio.Reader
}

// next goes on to the next hash; false at the end.
func (r *hashRun) next() (bool, error) {
	if r.file == nil {
		if len(r.rest) == 0 {
			return false, nil
		}
		r.hash, r.rest = r.rest[0], r.rest[1:]
		return true, nil
	}
	var b [hashSize]byte
	if _, err := io.ReadFull(r.file, b[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	r.hash = binary.BigEndian.Uint64(b[:])
	return true, nil
}

// hashHeap has the run with the least hash on top.
type hashHeap []*hashRun

func (h hashHeap) Len() int           { return len(h) }
func (h hashHeap) Less(i, j int) bool { return h[i].hash < h[j].hash }
func (h hashHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hashHeap) Push(x any)        { *h = append(*h, x.(*hashRun)) } //nolint:errcheck // only runs are pushed
func (h *hashHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
