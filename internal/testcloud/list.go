package testcloud

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"time"
)

// listQuery asks for one page of keys.
type listQuery struct {
	prefix, delimiter, after []byte // after: keys behind it; empty means from the start
	max                      int
	from                     bool // keys at after as well
}

// pageEntry is one line of a page; key lies in the page's arena.
type pageEntry struct {
	from, to int
	prefix   bool // a common prefix, not an object
	size     int64
	mod      time.Time
	obj      *Object // nil: implicit
}

// page is one page of a listing.
type page struct {
	arena     []byte
	entries   []pageEntry
	more      bool   // there is a page behind
	truncated bool   // the page says so
	last      []byte // the last key or common prefix; the next page starts behind it
	doc       []byte // the document, kept for its buffer
}

// newPage returns an empty page with buffers of an earlier one, if there are any.
func (c *Cloud) newPage() *page {
	pg, ok := c.pages.Get().(*page)
	if !ok {
		return new(page)
	}
	pg.arena, pg.entries, pg.last, pg.doc = pg.arena[:0], pg.entries[:0], pg.last[:0], pg.doc[:0]
	pg.more, pg.truncated = false, false
	return pg
}

// release gives the buffers back; nothing of the page may be used afterwards.
func (c *Cloud) release(pg *page) {
	clear(pg.entries[:cap(pg.entries)]) // holds no objects alive
	c.pages.Put(pg)
}

func (pg *page) key(e pageEntry) []byte { return pg.arena[e.from:e.to] }

// add appends one line.
func (pg *page) add(key []byte, e pageEntry) {
	e.from = len(pg.arena)
	pg.arena = append(pg.arena, key...)
	e.to = len(pg.arena)
	pg.entries = append(pg.entries, e)
	pg.last = append(pg.last[:0], key...)
}

// fill reads the page that q asks for. A common prefix is listed when any of its keys lies behind q.after,
// unless q.after is that prefix itself, which is how a page goes on behind one.
func (b *Bucket) fill(pg *page, q listQuery) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if q.max == 0 {
		return
	}
	ordered := b.order() == ByteOrder
	cur := b.start(q)
	for {
		e, ok := cur.next()
		if !ok {
			return
		}
		if !bytes.HasPrefix(e.key, q.prefix) {
			if ordered {
				return
			}
			continue
		}
		group := q.group(e.key)
		if group != nil && !ordered && (bytes.Equal(group, pg.last) || bytes.Equal(group, q.after)) {
			continue // listed already
		}
		if len(pg.entries) == q.max {
			pg.more, pg.truncated = true, true
			return
		}
		if group != nil {
			pg.add(group, pageEntry{prefix: true})
			if ordered {
				cur.seekBehind(pg.last)
			}
			continue
		}
		if e.obj != nil {
			pg.add(e.key, pageEntry{size: e.obj.Size, mod: e.obj.ModTime, obj: e.obj})
		} else {
			s := b.gen.space
			pg.add(e.key, pageEntry{size: s.Size(e.i), mod: s.ModTime(e.i)})
		}
	}
}

// start places a cursor where the page begins.
func (b *Bucket) start(q listQuery) *cursor {
	switch {
	case b.order() == ByteOrder && bytes.Compare(q.after, q.prefix) < 0:
		return b.cursor(q.prefix)
	case len(q.after) == 0:
		return b.cursor(nil)
	}
	cur := b.cursorBehind(q.after)
	if q.from {
		cur = b.cursor(q.after)
	}
	if b.order() == ByteOrder && bytes.HasPrefix(q.after, q.prefix) && bytes.Equal(q.group(q.after), q.after) {
		cur.seekBehind(q.after)
	}
	return cur
}

// group returns the common prefix that key belongs to, or nil.
func (q *listQuery) group(key []byte) []byte {
	if len(q.delimiter) == 0 {
		return nil
	}
	i := bytes.Index(key[len(q.prefix):], q.delimiter)
	if i < 0 {
		return nil
	}
	return key[:len(q.prefix)+i+len(q.delimiter)]
}

// seekBehind moves behind every key that starts with prefix.
func (c *cursor) seekBehind(prefix []byte) {
	end := slices.Clone(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 { // nothing sorts behind
		c.i = c.n
		c.at = pos{chunk: len(c.b.idx.chunks)}
		return
	}
	end[len(end)-1]++
	c.seek(end)
}

// listing is one listing request of either version.
type listing struct {
	q     listQuery
	enc   keyEncoder
	token string // as sent
}

// parseListing reads what both versions have in common.
func (c *call) parseListing(b *Bucket) (listing, error) {
	p := &c.cloud.profile
	l := listing{q: listQuery{
		prefix:    []byte(c.query.Get("prefix")),
		delimiter: []byte(c.query.Get("delimiter")),
	}}
	var err error
	if l.q.max, err = c.limit("max-keys", p.MaxKeys); err != nil {
		return l, err
	}
	if l.enc, err = c.encoding(); err != nil {
		return l, err
	}
	if b.order() == HashOrder && len(l.q.delimiter) > 0 {
		return l, errInvalidArgument.because("an unordered listing takes no delimiter")
	}
	return l, nil
}

// limit reads a page size.
func (c *call) limit(name string, most int) (int, error) {
	text := c.query.Get(name)
	if text == "" {
		return most, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, errInvalidArgument.because("Argument " + name + " must be an integer between 0 and 2147483647")
	}
	return min(int(n), most), nil
}

// encoding reads encoding-type.
func (c *call) encoding() (keyEncoder, error) {
	switch c.query.Get("encoding-type") {
	case "":
		return keyEncoder{}, nil
	case "url":
		return keyEncoder{url: !c.cloud.profile.PlainListing}, nil
	default:
		return keyEncoder{}, errInvalidArgument.because("Invalid Encoding Method specified in Request")
	}
}

// tokenPrefix keeps clients from mistaking a token for a key.
const tokenPrefix = "1"

func makeToken(last []byte) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte(tokenPrefix+"/"), last...))
}

// freshToken returns a token for the same place as makeToken that no other is like.
func (c *Cloud) freshToken(last []byte) string {
	lead := tokenPrefix + strconv.FormatUint(c.ids.Add(1), 10) + "/"
	return base64.RawURLEncoding.EncodeToString(append([]byte(lead), last...))
}

func parseToken(token string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	lead, key, ok := bytes.Cut(raw, []byte("/"))
	if err != nil || !ok || !bytes.HasPrefix(lead, []byte(tokenPrefix)) {
		return nil, errInvalidArgument.because("The continuation token provided is incorrect")
	}
	return key, nil
}

// listObjectsV2 answers list-type=2.
func (c *call) listObjectsV2(b *Bucket) (answer, error) {
	if c.cloud.profile.ListV2 == ListV2Refused {
		return answer{}, errNotImplemented.because("list-type=2 is not implemented")
	}
	l, err := c.parseListing(b)
	if err != nil {
		return answer{}, err
	}
	startAfter := c.query.Get("start-after")
	if err := c.startAfter(b, &l.q, startAfter); err != nil {
		return answer{}, err
	}
	if l.token = c.query.Get("continuation-token"); c.query.Has("continuation-token") {
		l.q.from = false
		if l.q.after, err = parseToken(l.token); err != nil {
			return answer{}, err
		}
	}
	pg := c.cloud.newPage()
	c.cleanup = func() { c.cloud.release(pg) }
	next := ""
	c.fillPage(b, pg, &l)
	if pg.truncated {
		next = c.nextPosition(pg, makeToken(pg.last), l.token, makeToken(nil))
	}
	doc := l.head(pg.doc, c)
	doc = appendElem(doc, "KeyCount", strconv.Itoa(len(pg.entries)))
	if l.token != "" {
		doc = appendElem(doc, "ContinuationToken", l.token)
	}
	if next != "" {
		doc = appendElem(doc, "NextContinuationToken", next)
	}
	if startAfter != "" {
		doc = l.enc.append(doc, "StartAfter", []byte(startAfter))
	}
	return c.finishListing(b, pg, &l, doc)
}

// startAfter makes the page begin where the store thinks that start-after leads.
func (c *call) startAfter(b *Bucket, q *listQuery, key string) error {
	if key == "" {
		return nil
	}
	q.after = []byte(key)
	switch c.cloud.profile.StartAfter {
	case StartAfterInclusive:
		q.from = true
	case StartAfterIgnored:
		q.after = nil
	case StartAfterRefused:
		return errInvalidArgument.because("StartAfter is not supported by directory buckets")
	case StartAfterSkips:
		b.mu.RLock()
		defer b.mu.RUnlock()
		if e, ok := b.cursor(q.after).next(); ok {
			q.after = slices.Clone(e.key)
		}
	case StartAfterExclusive:
	}
	return nil
}

// listObjects answers a listing of version 1.
func (c *call) listObjects(b *Bucket) (answer, error) {
	l, err := c.parseListing(b)
	if err != nil {
		return answer{}, err
	}
	l.token = c.query.Get("marker")
	if c.cloud.profile.FileSystem && c.query.Get("encoding-type") != "" {
		l.token = "" // the first page, again and again
	}
	l.q.after = []byte(l.token)
	switch c.cloud.profile.StartAfter {
	case StartAfterInclusive, StartAfterSkips:
		if err := c.startAfter(b, &l.q, l.token); err != nil {
			return answer{}, err
		}
	case StartAfterExclusive, StartAfterIgnored, StartAfterRefused:
	}
	pg := c.cloud.newPage()
	c.cleanup = func() { c.cloud.release(pg) }
	c.fillPage(b, pg, &l)
	doc := l.enc.append(l.head(pg.doc, c), "Marker", []byte(l.token))
	if pg.truncated && (len(l.q.delimiter) > 0 || c.cloud.profile.NextMarker || b.order() != ByteOrder) {
		if next := c.nextPosition(pg, string(pg.last), l.token, " "); next != "" {
			doc = l.enc.append(doc, "NextMarker", []byte(next))
		}
	}
	return c.finishListing(b, pg, &l, doc)
}

// fillPage reads a page and lets the faults of listings loose on it.
func (c *call) fillPage(b *Bucket, pg *page, l *listing) {
	if _, ok := c.fault(kindListEndless); ok {
		l.q.after = nil
	}
	if f, ok := c.fault(kindListShort); ok {
		l.q.max = min(l.q.max, int(f.n))
	}
	b.fill(pg, l.q)
	for _, f := range c.fired {
		switch f.kind {
		case kindListDuplicate:
			doubled := make([]pageEntry, 0, 2*len(pg.entries))
			for _, e := range pg.entries {
				doubled = append(doubled, e, e)
			}
			pg.entries = doubled
		case kindListMissing:
			kept := pg.entries[:0]
			for i, e := range pg.entries {
				if (int64(i)+1)%max(f.n, 1) != 0 {
					kept = append(kept, e)
				}
			}
			pg.entries = kept
		case kindListUnsorted:
			slices.Reverse(pg.entries)
		case kindListPause:
			pg.entries = pg.entries[:0]
			pg.last = append(pg.last[:0], l.q.after...)
			pg.more, pg.truncated = true, true
		case kindListEmpty:
			pg.entries = pg.entries[:0]
			pg.last = append(pg.last[:0], l.q.after...)
			pg.truncated = true
		case kindListForeign:
			last := slices.Clone(pg.last)
			pg.add([]byte(f.text), pageEntry{obj: c.cloud.newObject(f.text, memory("foreign"), Attrs{})})
			pg.last = last
		case kindListEndless, kindListCycle, kindListNoToken, kindListRepeat:
			pg.truncated = true
		default:
		}
	}
}

// nextPosition is the token or marker of the next page, as far as faults let it be right: sent is the
// position that the client sent, start the one of the first page.
func (c *call) nextPosition(pg *page, right, sent, start string) string {
	if _, ok := c.fault(kindListNoToken); ok {
		return ""
	}
	if _, ok := c.fault(kindListPause); ok {
		return c.cloud.freshToken(pg.last)
	}
	if _, ok := c.fault(kindListRepeat); ok && sent != "" {
		return sent
	}
	if _, ok := c.fault(kindListCycle); ok && !pg.more {
		return start
	}
	return right
}

// head starts the document.
func (l *listing) head(doc []byte, c *call) []byte {
	doc = append(append(doc, xmlHead...), "<ListBucketResult"+xmlNS+">"...)
	doc = appendElem(doc, "Name", c.bucket)
	doc = l.enc.append(doc, "Prefix", l.q.prefix)
	if len(l.q.delimiter) > 0 {
		doc = l.enc.append(doc, "Delimiter", l.q.delimiter)
	}
	doc = appendElem(doc, "MaxKeys", strconv.Itoa(l.q.max))
	if l.enc.url {
		doc = append(doc, "<EncodingType>url</EncodingType>"...)
	}
	return doc
}

// finishListing writes the entries.
func (c *call) finishListing(b *Bucket, pg *page, l *listing, doc []byte) (answer, error) {
	doc = appendElem(doc, "IsTruncated", strconv.FormatBool(pg.truncated))
	shown := ""
	if f, ok := c.fault(kindLastModified); ok {
		shown = f.text
	}
	for _, e := range pg.entries {
		if !e.prefix {
			doc = b.appendContents(doc, pg.key(e), e, l.enc, shown)
		}
	}
	for _, e := range pg.entries {
		if e.prefix {
			doc = append(doc, "<CommonPrefixes>"...)
			doc = l.enc.append(doc, "Prefix", pg.key(e))
			doc = append(doc, "</CommonPrefixes>"...)
		}
	}
	pg.doc = append(doc, "</ListBucketResult>"...)
	return c.document(pg.doc)
}

// appendContents appends one object of a listing.
func (b *Bucket) appendContents(doc, key []byte, e pageEntry, enc keyEncoder, shown string) []byte {
	doc = append(doc, "<Contents>"...)
	doc = enc.append(doc, "Key", key)
	doc = append(doc, "<LastModified>"...)
	if shown != "" {
		doc = append(doc, shown...)
	} else {
		doc = b.cloud.profile.appendTime(doc, e.mod)
	}
	doc = append(doc, "</LastModified><ETag>&quot;"...)
	class := standardClass
	if e.obj != nil {
		doc = append(doc, e.obj.ETag...)
		class = e.obj.StorageClass
	} else {
		doc = b.gen.appendETag(doc, key, e.size)
	}
	doc = append(doc, "&quot;</ETag><Size>"...)
	doc = strconv.AppendInt(doc, e.size, 10)
	doc = append(doc, "</Size><StorageClass>"...)
	doc = append(doc, class...)
	return append(doc, "</StorageClass></Contents>"...)
}
