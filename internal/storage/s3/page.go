package s3

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/storage"
)

var (
	errPageField  = errors.New("a field of the page cannot be read")
	errPageTwice  = errors.New("an element occurs twice")
	errPageRoot   = errors.New("not a list of objects")
	errPageEnd    = errors.New("the page does not say whether more follows")
	errPageEscape = errors.New("a key is not percent-encoded as announced")
)

// rawPage is a page as the store wrote it, before any check of order.
type rawPage struct {
	objects    []storage.ListedObject
	truncated  bool
	nextToken  string // V2
	nextMarker string // V1, decoded
}

// parsePage reads the answer to ListObjects, V1 or V2: by a scanner over the bytes, or by encoding/xml when the
// document is not in the plain form that stores write. b is working memory; the page does not refer to it.
func parsePage(b *pageBuilder, body []byte) (rawPage, error) {
	body = trimBOM(body)
	b.reset()
	if scanPage(body, b) {
		return b.finish()
	}
	b.reset()
	if err := treePage(body, b); err != nil {
		return rawPage{}, err
	}
	return b.finish()
}

// treePage fills b by way of encoding/xml.
func treePage(body []byte, b *pageBuilder) error {
	if hasSurrogateRef(body) { // encoding/xml would turn such a key into another one (rule D3)
		return errPageField
	}
	root, err := parseTree(body)
	if err != nil {
		return err
	}
	if !isPageRoot(root.name) {
		return errPageRoot
	}
	for _, c := range root.children {
		if c.name != "Contents" {
			if err := b.top(c.name, c.text); err != nil {
				return err
			}
			continue
		}
		b.begin()
		for _, f := range c.children {
			if len(f.children) > 0 && fieldName([]byte(f.name)) != "" {
				return errPageField
			}
			if err := b.field(f.name, f.text); err != nil {
				return err
			}
		}
		if err := b.end(); err != nil {
			return err
		}
	}
	return nil
}

// isPageRoot knows the names that stores give the document; V2 has no name of its own.
func isPageRoot(name string) bool { return name == "ListBucketResult" || name == "ListBucketV2Result" }

// span is a piece of the builder's arena.
type span struct{ from, to int }

// entry is one object of a page under construction.
type entry struct {
	key, etag, class span
	size             int64
	mod              time.Time
	seen             uint8 // bits of field numbers
}

// The fields of an entry, as bits of entry.seen.
const (
	seenKey = 1 << iota
	seenSize
	seenTime
	seenETag
	seenClass
)

// pageBuilder collects a page; texts are copied into one arena, which becomes one string.
type pageBuilder struct {
	arena   []byte
	entries []entry
	page    rawPage
	encoded bool // keys are percent-encoded
	ended   bool // IsTruncated was seen
	marker  string
}

// reset empties b and keeps its memory.
func (b *pageBuilder) reset() { *b = pageBuilder{arena: b.arena[:0], entries: b.entries[:0]} }

// top takes a child of the root; unknown names are ignored.
func (b *pageBuilder) top(name string, text []byte) error {
	switch name {
	case "IsTruncated":
		if b.ended {
			return errPageTwice
		}
		b.ended = true
		switch string(text) {
		case "true":
			b.page.truncated = true
		case "false":
		default:
			return errPageField
		}
	case "NextContinuationToken":
		b.page.nextToken = string(text)
	case "NextMarker":
		b.marker = string(text)
	case "EncodingType":
		b.encoded = strings.EqualFold(string(text), "url")
	}
	return nil
}

func (b *pageBuilder) begin() { b.entries = append(b.entries, entry{}) }

// field takes a child of the current Contents; unknown names are ignored.
func (b *pageBuilder) field(name string, text []byte) error {
	e := &b.entries[len(b.entries)-1]
	bit, ok := uint8(0), true
	switch name {
	case "Key":
		bit, e.key = seenKey, b.keep(text)
	case "Size":
		bit = seenSize
		e.size, ok = parseSize(text)
	case "LastModified":
		bit = seenTime
		e.mod, ok = parseTime(text)
	case "ETag":
		bit, e.etag = seenETag, b.keep(unquote(text))
	case "StorageClass":
		bit, e.class = seenClass, b.keepClass(text)
	}
	if e.seen&bit != 0 {
		return errPageTwice
	}
	e.seen |= bit
	if !ok {
		return errPageField
	}
	return nil
}

// end closes the current Contents, which must have a key and a size.
func (b *pageBuilder) end() error {
	const must = seenKey | seenSize
	e := b.entries[len(b.entries)-1]
	if e.seen&must != must || e.key.from == e.key.to {
		return errPageField
	}
	return nil
}

func (b *pageBuilder) keep(text []byte) span {
	from := len(b.arena)
	b.arena = append(b.arena, text...)
	return span{from, len(b.arena)}
}

// keepClass keeps a storage class, which mostly is that of the object before.
func (b *pageBuilder) keepClass(text []byte) span {
	if n := len(b.entries); n > 1 {
		last := b.entries[n-2].class
		if bytes.Equal(b.arena[last.from:last.to], text) {
			return last
		}
	}
	return b.keep(text)
}

// finish decodes the keys and cuts all texts out of one string.
func (b *pageBuilder) finish() (rawPage, error) {
	if !b.ended {
		return rawPage{}, errPageEnd
	}
	b.page.nextMarker = b.marker
	if b.encoded {
		if err := b.decodeKeys(); err != nil {
			return rawPage{}, err
		}
	}
	text := string(b.arena)
	b.page.objects = make([]storage.ListedObject, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		o := &b.page.objects[i]
		o.Key, o.Size, o.ModTime = text[e.key.from:e.key.to], e.size, e.mod
		o.ETag, o.StorageClass = text[e.etag.from:e.etag.to], text[e.class.from:e.class.to]
	}
	return b.page, nil
}

// decodeKeys undoes encoding-type=url in place: decoded keys are never longer.
func (b *pageBuilder) decodeKeys() error {
	marker, ok := decodeURL([]byte(b.marker))
	if !ok {
		return errPageEscape
	}
	b.page.nextMarker = string(marker)
	for i := range b.entries {
		k := &b.entries[i].key
		dec, ok := decodeURL(b.arena[k.from:k.to:k.to])
		if !ok {
			return errPageEscape
		}
		k.to = k.from + len(dec)
	}
	return nil
}

// decodeURL undoes percent-encoding in place; "+" is a space, as in the forms that stores borrowed it from (a
// plus sign comes as %2B).
func decodeURL(b []byte) ([]byte, bool) {
	i := slices.IndexFunc(b, func(c byte) bool { return c == '%' || c == '+' })
	if i < 0 {
		return b, true
	}
	out := b[:i]
	for ; i < len(b); i++ {
		switch c := b[i]; c {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(b) {
				return nil, false
			}
			hi, lo := unhex(b[i+1]), unhex(b[i+2])
			if hi > 15 || lo > 15 {
				return nil, false
			}
			out = append(out, hi<<4|lo)
			i += 2
		default:
			out = append(out, c)
		}
	}
	return out, true
}

// unhex returns the value of a hexadecimal digit, more than 15 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// unquote removes the quotes around an entity tag.
func unquote(b []byte) []byte {
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		return b[1 : n-1]
	}
	return b
}

// parseSize reads a number of bytes: digits only, within int64.
func parseSize(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= 1<<63-1
}
