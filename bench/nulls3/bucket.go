package main

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
)

// object is what is remembered of a stored object: no data, unless the server keeps it.
type object struct {
	size   int64
	mtime  int64 // seconds
	crc    uint32
	parts  uint32 // 0: a single PUT
	etag   [16]byte
	pseudo bool   // the ETag is not an MD5: shown with "-1"
	meta   string // header lines
	data   []byte // only with -keep
}

func (o *object) appendETag(b []byte) []byte {
	b = appendHex(b, o.etag[:])
	switch {
	case o.parts > 0:
		b = append(b, '-')
		b = strconv.AppendInt(b, int64(o.parts), 10)
	case o.pseudo:
		b = append(b, "-1"...)
	}
	return b
}

// bucket is a synthetic base layer, which may be missing, under what was stored. Safe for concurrent use.
type bucket struct {
	base *synth

	mu      sync.RWMutex
	objects map[string]*object
	deleted map[string]bool // keys of the base layer
	sorted  []string        // keys of objects in order; may hold deleted ones
	pending []string        // keys of objects that are not in sorted
	stale   bool            // sorted holds deleted keys
	sum     uint64          // of recordHash over objects
	bytes   int64
}

func newBucket(base *synth) *bucket {
	return &bucket{base: base, objects: map[string]*object{}, deleted: map[string]bool{}}
}

func (b *bucket) put(key string, o *object) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.objects[key]; old != nil {
		b.forget(key, old)
	} else {
		b.pending = append(b.pending, key)
	}
	b.objects[key] = o
	b.sum += recordHash(key, o.size, o.crc)
	b.bytes += o.size
}

// forget takes an object out of the sums.
func (b *bucket) forget(key string, o *object) {
	b.sum -= recordHash(key, o.size, o.crc)
	b.bytes -= o.size
}

func (b *bucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.objects[key]; old != nil {
		b.forget(key, old)
		delete(b.objects, key)
		b.stale = true
	}
	if b.base != nil && b.base.find(key) >= 0 {
		b.deleted[key] = true
	}
}

// get returns the stored object, or the index in the base layer, or nil and -1.
func (b *bucket) get(key string) (*object, int64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if o := b.objects[key]; o != nil {
		return o, -1
	}
	if b.base != nil && (len(b.deleted) == 0 || !b.deleted[key]) {
		return nil, b.base.find(key)
	}
	return nil, -1
}

// describe returns a stored or synthetic object, and the index of the latter or -1; nil when there is none.
func (b *bucket) describe(key string) (*object, int64) {
	o, i := b.get(key)
	if o == nil && i >= 0 {
		o = b.base.object(i)
	}
	return o, i
}

// settle brings the sorted keys up to date. The caller holds mu for writing.
func (b *bucket) settle() {
	if len(b.pending) == 0 && !b.stale {
		return
	}
	slices.Sort(b.pending)
	out := make([]string, 0, len(b.sorted)+len(b.pending))
	i, j := 0, 0
	for i < len(b.sorted) || j < len(b.pending) {
		var k string
		if j >= len(b.pending) || (i < len(b.sorted) && b.sorted[i] <= b.pending[j]) {
			k = b.sorted[i]
			i++
		} else {
			k = b.pending[j]
			j++
		}
		if len(out) > 0 && out[len(out)-1] == k || b.stale && b.objects[k] == nil {
			continue
		}
		out = append(out, k)
	}
	b.sorted, b.pending, b.stale = out, b.pending[:0], false
}

// entry is one line of a listing.
type entry struct {
	key    []byte // valid until the next one
	obj    *object
	index  int64 // in the base layer, when obj is nil
	prefix bool  // key is a common prefix
}

// listing says what to list.
type listing struct {
	prefix, delimiter string
	from              position
	skip              string // a common prefix that was listed last
	limit             int
}

// list calls fn for each key or common prefix in order. It reports whether there is more than the limit.
func (b *bucket) list(l listing, fn func(entry)) (more bool) {
	b.mu.Lock()
	b.settle()
	b.mu.Unlock()
	b.mu.RLock()
	defer b.mu.RUnlock()

	from := l.from
	if from.key < l.prefix {
		from = position{key: l.prefix}
	}
	if l.skip != "" {
		if s := successor(l.skip); s > from.key {
			from = position{key: s}
		}
	}
	w := walk{bucket: b}
	w.seek(from)
	for n := 0; ; n++ {
		e, ok := w.next()
		if !ok || !bytes.HasPrefix(e.key, []byte(l.prefix)) {
			return false
		}
		if n >= l.limit {
			return true
		}
		if l.delimiter != "" {
			if d := bytes.Index(e.key[len(l.prefix):], []byte(l.delimiter)); d >= 0 {
				common := string(e.key[:len(l.prefix)+d+len(l.delimiter)])
				e.key, e.prefix = []byte(common), true
				w.seek(position{key: successor(common)})
			}
		}
		fn(e)
	}
}

// walk goes through both layers of a bucket that is locked.
type walk struct {
	*bucket
	stored   int   // in sorted
	index    int64 // in the base layer
	buf, out [512]byte
}

func (w *walk) seek(p position) {
	i, found := slices.BinarySearch(w.sorted, p.key)
	if found && p.after {
		i++
	}
	w.stored = i
	if w.base != nil {
		w.index = w.base.lower(p)
	}
}

// next returns the next key. A stored object hides one of the base layer.
func (w *walk) next() (entry, bool) {
	for {
		var synthetic []byte
		if w.base != nil && w.index < w.base.n {
			synthetic = w.base.key(w.buf[:0], w.index)
		}
		switch {
		case w.stored < len(w.sorted) && (synthetic == nil || w.sorted[w.stored] <= string(synthetic)):
			key := w.sorted[w.stored]
			if key == string(synthetic) {
				w.index++
			}
			w.stored++
			if o := w.objects[key]; o != nil {
				return entry{key: append(w.out[:0], key...), obj: o, index: -1}, true
			}
		case synthetic != nil:
			w.index++
			if len(w.deleted) == 0 || !w.deleted[string(synthetic)] {
				return entry{key: synthetic, index: w.index - 1}, true
			}
		default:
			return entry{}, false
		}
	}
}

// successor returns the smallest string above every string with this prefix.
func successor(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return prefix + "\xff\xff\xff\xff"
}
