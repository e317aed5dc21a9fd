package testcloud

import (
	"bytes"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// A Bucket holds real objects, implicit objects of a [Space], or both: writes lie over the space.
type Bucket struct {
	cloud   *Cloud
	name    string
	created time.Time

	mu         sync.RWMutex
	idx        index
	gen        *implicit // nil: no implicit objects
	uploads    map[string]*upload
	received   map[string]int64
	lastUpload int
	payer      atomic.Bool            // see RequirePayer
	twin       atomic.Pointer[Bucket] // see ShareContent
}

func newBucket(c *Cloud, name string) *Bucket {
	return &Bucket{
		cloud:    c,
		name:     name,
		created:  c.clock().UTC(),
		uploads:  map[string]*upload{},
		received: map[string]int64{},
	}
}

// Generated makes a bucket whose objects are those of space, replacing a bucket of that name. Its implicit
// objects are always listed in byte order, whatever the profile says.
func (c *Cloud) Generated(name string, space Space, opts GeneratedOptions) *Bucket {
	if opts.MD5Limit == 0 {
		opts.MD5Limit = 1 << 10
	}
	b := newBucket(c, name)
	b.gen = &implicit{space: space, seed: opts.Seed, md5Limit: opts.MD5Limit, kind: c.profile.ETag}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buckets[name] = b
	return b
}

// RequirePayer refuses all requests from now on that do not say that the requester pays.
func (b *Bucket) RequirePayer() { b.payer.Store(true) }

// Name returns the bucket's name.
func (b *Bucket) Name() string { return b.name }

// Put stores an object without going through the protocol; no limit of keys or metadata is checked. It
// keeps data, so the caller must not change it afterwards.
func (b *Bucket) Put(key string, data []byte, attrs Attrs) *Object {
	o := b.cloud.newObject(key, memory(data), attrs)
	if b.cloud.profile.Checksums {
		o.sum = sumContent(defaultSum, o.body)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store(o)
	return o
}

// PutAt is [Bucket.Put] with a modification time of its own.
func (b *Bucket) PutAt(key string, data []byte, attrs Attrs, modTime time.Time) *Object {
	o := *b.Put(key, data, attrs)
	o.ModTime = modTime.UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store(&o)
	return &o
}

// newObject makes an object that was written at once; it is not stored yet and has no checksum.
func (c *Cloud) newObject(key string, body content, attrs Attrs) *Object {
	o := &Object{
		Key:     key,
		Size:    body.size(),
		ModTime: c.now(),
		ETag:    attrs.etagKind(c.profile.ETag).etag(body, c.ids.Add(1)),
		Attrs:   attrs.withDefaults(),
		body:    body,
	}
	if c.profile.CRC64Header != "" {
		o.crc64xz = crc64XZ(body)
	}
	return o
}

// Get returns the object of a key.
func (b *Bucket) Get(key string) (*Object, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.find(key)
}

// Delete removes the object of a key, if there is one.
func (b *Bucket) Delete(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(key)
}

// Len returns the number of objects. It costs O(log n) per real object of a generated bucket.
func (b *Bucket) Len() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.gen == nil {
		return int64(b.idx.n)
	}
	n := b.gen.space.Len()
	for _, ch := range b.idx.chunks {
		for _, it := range ch {
			_, hidden := b.gen.find(it.ord)
			if it.obj != nil && !hidden {
				n++
			}
			if it.obj == nil && hidden {
				n--
			}
		}
	}
	return n
}

// All yields every object in byte order of keys, in any profile. The bucket may change meanwhile: what is
// written behind the current key is seen, nothing is yielded twice.
func (b *Bucket) All() iter.Seq[*Object] {
	if b.order() != ByteOrder {
		return slices.Values(b.sortedObjects())
	}
	return func(yield func(*Object) bool) {
		const batch = 256
		after, objs, more := "", make([]*Object, 0, batch), true
		for more {
			objs, more = b.batch(objs[:0], after)
			for _, o := range objs {
				if !yield(o) {
					return
				}
				after = o.Key
			}
		}
	}
}

// batch appends the objects behind after ("" means from the start) up to the capacity of objs. more is
// false at the end.
func (b *Bucket) batch(objs []*Object, after string) (_ []*Object, more bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	cur := b.cursorBehind([]byte(after))
	for len(objs) < cap(objs) {
		e, ok := cur.next()
		if !ok {
			return objs, false
		}
		objs = append(objs, b.object(e))
	}
	return objs, true
}

// sortedObjects returns the real objects by key.
func (b *Bucket) sortedObjects() []*Object {
	b.mu.RLock()
	defer b.mu.RUnlock()
	objs := make([]*Object, 0, b.idx.n)
	for _, ch := range b.idx.chunks {
		for _, it := range ch {
			objs = append(objs, it.obj)
		}
	}
	slices.SortFunc(objs, func(a, c *Object) int { return bytes.Compare([]byte(a.Key), []byte(c.Key)) })
	return objs
}

// Keys returns all keys in byte order.
func (b *Bucket) Keys() []string {
	var keys []string
	for o := range b.All() {
		keys = append(keys, o.Key)
	}
	return keys
}

// Snapshot returns all objects by key.
func (b *Bucket) Snapshot() map[string]*Object {
	objs := map[string]*Object{}
	for o := range b.All() {
		objs[o.Key] = o
	}
	return objs
}

// Received returns how many body bytes the bucket was sent for a key by PutObject and UploadPart together,
// refused writes included: with it a test proves that nothing was sent twice.
func (b *Bucket) Received(key string) int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.received[key]
}

// ReceivedAll returns [Bucket.Received] of every key that was ever sent.
func (b *Bucket) ReceivedAll() map[string]int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return maps.Clone(b.received)
}

func (b *Bucket) countReceived(key string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.received[key] += n
}

// ShareContent makes the bucket keep no bytes of its own for a write that equals the object of the same key
// in src: it refers to that object's content instead. A copy of a generated bucket then costs memory only
// where it is wrong. Parts of open uploads are kept until the upload is completed.
func (b *Bucket) ShareContent(src *Bucket) { b.twin.Store(src) }

// shared returns the content to keep for a new object: its own, or an equal one that exists already.
func (b *Bucket) shared(o *Object) content {
	src := b.twin.Load()
	if src == nil {
		return o.body
	}
	if same, ok := src.Get(o.Key); ok && equalContent(same.body, o.body) {
		return same.body
	}
	return o.body
}

// order is the order in which the objects are kept and listed.
func (b *Bucket) order() KeyOrder {
	if b.gen != nil {
		return ByteOrder
	}
	return b.cloud.profile.Order
}

// ord returns the sort key of a key.
func (b *Bucket) ord(key string) string {
	switch b.order() {
	case HashOrder:
		return string(appendHex16(nil, contentSeed([]byte(key), 0))) + key
	case UTF16Order:
		return utf16Order(key)
	case ByteOrder:
	}
	return key
}

// utf16Order returns the UTF-16 of a key, big-endian, and behind it a key that is no UTF-8, to tell it from others.
func utf16Order(key string) string {
	ord := make([]byte, 0, 2*len(key))
	for _, unit := range utf16.Encode([]rune(key)) {
		ord = binary.BigEndian.AppendUint16(ord, unit)
	}
	if !utf8.ValidString(key) {
		ord = append(ord, key...)
	}
	return string(ord)
}

// find looks a key up; the caller locks.
func (b *Bucket) find(key string) (*Object, bool) {
	if it, ok := b.idx.find(b.ord(key)); ok {
		return it.obj, it.obj != nil
	}
	if b.gen != nil {
		return b.gen.find(key)
	}
	return nil, false
}

// store keeps an object; the caller locks.
func (b *Bucket) store(o *Object) { b.idx.put(item{ord: b.ord(o.Key), obj: o}) }

// remove takes a key away; the caller locks.
func (b *Bucket) remove(key string) {
	if b.gen != nil {
		if _, ok := b.gen.find(key); ok {
			b.idx.put(item{ord: key})
			return
		}
	}
	b.idx.remove(b.ord(key))
}

// empty says whether there is no object; the caller locks.
func (b *Bucket) empty() bool {
	cur := b.cursor(nil)
	_, ok := cur.next()
	return !ok
}

// newUploadID returns an id that sorts by age; the caller locks.
func (b *Bucket) newUploadID() string {
	b.lastUpload++
	n := strconv.Itoa(b.lastUpload)
	return "upload-" + "00000000"[min(len(n), 8):] + n
}

// entry is one object as a cursor sees it. key is valid until the next step.
type entry struct {
	key []byte
	obj *Object // nil: implicit
	i   int64   // of an implicit object
}

// object returns the object of an entry.
func (b *Bucket) object(e entry) *Object {
	if e.obj != nil {
		return e.obj
	}
	return b.gen.object(e.key, e.i)
}

// cursor walks real and implicit objects in one order. The caller keeps the bucket locked meanwhile.
type cursor struct {
	b    *Bucket
	at   pos
	i, n int64  // next implicit object and their number
	ikey []byte // key of implicit object i
	out  []byte // key handed out last, when implicit
}

// cursor returns a cursor that starts at key, or at the first object when key is empty.
func (b *Bucket) cursor(key []byte) *cursor {
	c := &cursor{b: b}
	if b.gen != nil {
		c.n = b.gen.space.Len()
	}
	c.seek(key)
	return c
}

// cursorBehind returns a cursor that starts behind key, or at the first object when key is empty.
func (b *Bucket) cursorBehind(key []byte) *cursor {
	c := b.cursor(key)
	if len(key) > 0 {
		c.skip(key)
	}
	return c
}

// seek moves to the first object at or after key.
func (c *cursor) seek(key []byte) {
	switch {
	case len(key) == 0:
		c.at = pos{}
		c.i = 0
	default:
		c.at = c.b.idx.seek(c.b.ord(string(key)))
		if c.b.gen != nil {
			c.i = searchSpace(c.b.gen.space, key)
		}
	}
	c.load()
}

// skip moves past key when the cursor stands on it.
func (c *cursor) skip(key []byte) {
	if it, ok := c.b.idx.get(c.at); ok && it.ord == c.b.ord(string(key)) {
		c.at = c.b.idx.next(c.at)
	}
	if c.i < c.n && bytes.Equal(c.ikey, key) {
		c.i++
		c.load()
	}
}

// load computes the key of the current implicit object.
func (c *cursor) load() {
	if c.i < c.n {
		c.ikey = c.b.gen.space.AppendKey(c.ikey[:0], c.i)
	}
}

// next returns the current object and moves on.
func (c *cursor) next() (entry, bool) {
	for {
		it, real := c.b.idx.get(c.at)
		if c.i >= c.n {
			if !real {
				return entry{}, false
			}
			c.at = c.b.idx.next(c.at)
			if it.obj == nil {
				continue
			}
			return entry{key: []byte(it.obj.Key), obj: it.obj}, true
		}
		order := -1 // implicit first
		if real {
			order = bytes.Compare(c.ikey, []byte(it.ord))
		}
		if order < 0 {
			e := entry{i: c.i}
			c.out, c.ikey = c.ikey, c.out
			e.key = c.out
			c.i++
			c.load()
			return e, true
		}
		c.at = c.b.idx.next(c.at)
		if order == 0 {
			c.i++
			c.load()
		}
		if it.obj != nil {
			return entry{key: []byte(it.obj.Key), obj: it.obj}, true
		}
	}
}
