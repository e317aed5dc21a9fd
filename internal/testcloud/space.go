package testcloud

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"time"
)

// A Space is a set of objects that exist without being stored. Its methods are called concurrently and must
// be pure functions of their arguments.
type Space interface {
	// Len is the number of keys.
	Len() int64
	// AppendKey appends key i to dst. Keys are strictly ascending in byte order.
	AppendKey(dst []byte, i int64) []byte
	// Size is the size of object i in bytes.
	Size(i int64) int64
	// ModTime is when object i was written.
	ModTime(i int64) time.Time
}

// Shape is what the ready-made spaces have in common.
type Shape struct {
	Prefix  string              // before every key
	Suffix  string              // after every key
	Size    func(i int64) int64 // bytes of object i; nil means 4 KiB
	ModTime time.Time           // of every object; the zero value means 2024-01-01 00:00:00 UTC
}

// FixedSize gives every object n bytes.
func FixedSize(n int64) func(int64) int64 { return func(int64) int64 { return n } }

// Numbers is a flat space of n zero-padded numbers: "000000", "000001" and so on, as wide as n needs.
func Numbers(n int64, shape Shape) Space {
	return grid{shape: shape.filled(), levels: []level{{count: n, width: width(n)}}}
}

// Directories is a tree: fanout[0] directories, each with fanout[1] directories and so on; the last level
// holds the objects. Directories(Shape{}, 10, 20, 3) has 600 keys such as "d4/d07/f2".
func Directories(shape Shape, fanout ...int64) Space {
	g := grid{shape: shape.filled()}
	for i, n := range fanout {
		lead, tail := "d", "/"
		if i == len(fanout)-1 {
			lead, tail = "f", ""
		}
		g.levels = append(g.levels, level{count: n, width: width(n), lead: lead, tail: tail})
	}
	return g
}

// Dated has perDay objects for each day from first on: "2024/02/29/000017". The objects of a day were
// written on that day.
func Dated(first time.Time, days, perDay int64, shape Shape) Space {
	return dated{
		first:  first.UTC().Truncate(24 * time.Hour),
		days:   days,
		perDay: level{count: perDay, width: width(perDay)},
		shape:  shape.filled(),
	}
}

// Present has the keys and sizes of s, written later: a destination that already holds everything.
func Present(s Space, later time.Duration) Space { return present{s, later} }

// Every has every step-th key of s, from key first on.
func Every(s Space, first, step int64) Space { return every{s, first, step} }

// filled puts in the defaults.
func (s Shape) filled() Shape {
	if s.Size == nil {
		s.Size = FixedSize(4 << 10)
	}
	if s.ModTime.IsZero() {
		s.ModTime = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return s
}

// width is the number of digits of the last of n numbers from 0 on.
func width(n int64) int { return len(strconv.FormatInt(max(n-1, 0), 10)) }

// level is one component of the keys of a grid.
type level struct {
	count      int64
	width      int
	lead, tail string
}

// appendNumber appends i with leading zeros.
func (l level) appendNumber(dst []byte, i int64) []byte {
	n := len(dst)
	for range l.width {
		dst = append(dst, '0')
	}
	for at := len(dst) - 1; i > 0 && at >= n; at-- {
		dst[at] = byte('0' + i%10)
		i /= 10
	}
	return dst
}

// grid is a space whose keys are digits in a mixed radix.
type grid struct {
	shape  Shape
	levels []level
}

func (g grid) Len() int64 {
	n := int64(1)
	for _, l := range g.levels {
		n *= l.count
	}
	return n
}

func (g grid) AppendKey(dst []byte, i int64) []byte {
	dst = append(dst, g.shape.Prefix...)
	below := g.Len()
	for _, l := range g.levels {
		below /= l.count
		dst = append(dst, l.lead...)
		dst = l.appendNumber(dst, i/below)
		dst = append(dst, l.tail...)
		i %= below
	}
	return append(dst, g.shape.Suffix...)
}

func (g grid) Size(i int64) int64      { return g.shape.Size(i) }
func (g grid) ModTime(int64) time.Time { return g.shape.ModTime }

type dated struct {
	first  time.Time
	days   int64
	perDay level
	shape  Shape
}

func (d dated) Len() int64 { return d.days * d.perDay.count }

func (d dated) AppendKey(dst []byte, i int64) []byte {
	dst = append(dst, d.shape.Prefix...)
	dst = d.day(i).AppendFormat(dst, "2006/01/02/")
	dst = d.perDay.appendNumber(dst, i%d.perDay.count)
	return append(dst, d.shape.Suffix...)
}

func (d dated) Size(i int64) int64        { return d.shape.Size(i) }
func (d dated) ModTime(i int64) time.Time { return d.day(i) }
func (d dated) day(i int64) time.Time     { return d.first.AddDate(0, 0, int(i/d.perDay.count)) }

type present struct {
	Space
	later time.Duration
}

func (p present) ModTime(i int64) time.Time { return p.Space.ModTime(i).Add(p.later) }

type every struct {
	of          Space
	first, step int64
}

func (e every) Len() int64 { return max(0, (e.of.Len()-e.first+e.step-1)/e.step) }

func (e every) AppendKey(dst []byte, i int64) []byte { return e.of.AppendKey(dst, e.first+i*e.step) }
func (e every) Size(i int64) int64                   { return e.of.Size(e.first + i*e.step) }
func (e every) ModTime(i int64) time.Time            { return e.of.ModTime(e.first + i*e.step) }

// searchSpace returns the first index whose key is at or after key.
func searchSpace(s Space, key []byte) int64 {
	var buf [128]byte
	lo, hi := int64(0), s.Len()
	for lo < hi {
		mid := lo + (hi-lo)/2
		if bytes.Compare(s.AppendKey(buf[:0], mid), key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// generated is the content of one implicit object: a stream of pseudo-random words that depends on the key
// and the bucket's seed only.
type generated struct {
	seed uint64
	n    int64
}

// contentSeed hashes a key (FNV-1a, then mixed with the bucket's seed).
func contentSeed(key []byte, seed uint64) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return mix(h ^ mix(seed))
}

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (g generated) size() int64 { return g.n }

func (g generated) ReadAt(p []byte, off int64) (int, error) {
	if off >= g.n {
		return 0, io.EOF
	}
	short := int64(len(p)) > g.n-off
	if short {
		p = p[:g.n-off]
	}
	g.fill(p, uint64(off))
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// word returns bytes 8w to 8w+7 of the stream.
func (g generated) word(w uint64) uint64 {
	hi, lo := bits.Mul64(g.seed^w*0x9e3779b97f4a7c15, 0xd6e8feb86659fd93^w)
	return hi ^ lo ^ g.seed
}

func (g generated) fill(p []byte, off uint64) {
	var tmp [8]byte
	w := off / 8
	if lead := off % 8; lead > 0 {
		binary.LittleEndian.PutUint64(tmp[:], g.word(w))
		p = p[copy(p, tmp[lead:]):]
		w++
	}
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, g.word(w))
		w++
	}
	if len(p) > 0 {
		binary.LittleEndian.PutUint64(tmp[:], g.word(w))
		copy(p, tmp[:])
	}
}

// GeneratedOptions say how the objects of a generated bucket look.
type GeneratedOptions struct {
	Seed uint64 // of the content; buckets with the same seed and key have the same content
	// MD5Limit is the largest size in bytes whose ETag is an MD5, computed whenever it is shown; larger
	// objects have an ETag that looks like a multipart upload's. 0 means 1 KiB, negative never.
	MD5Limit int64
}

// implicit is the generated half of a bucket.
type implicit struct {
	space    Space
	seed     uint64
	md5Limit int64
	kind     ETagKind
}

// etag appends the ETag of an implicit object.
func (g *implicit) appendETag(dst, key []byte, size int64) []byte {
	seed := contentSeed(key, g.seed)
	if size > g.md5Limit || g.kind == ETagOpaque {
		dst = appendHex16(dst, mix(seed^uint64(size)))
		dst = appendHex16(dst, mix(^seed))
		return append(dst, "-1"...)
	}
	sum := md5Of(generated{seed, size})
	n := len(dst)
	dst = hex.AppendEncode(dst, sum[:])
	if g.kind == ETagMD5Upper {
		copy(dst[n:], bytes.ToUpper(dst[n:]))
	}
	return dst
}

// find returns the implicit object of a key.
func (g *implicit) find(key string) (*Object, bool) {
	i := searchSpace(g.space, []byte(key))
	if i >= g.space.Len() || string(g.space.AppendKey(nil, i)) != key {
		return nil, false
	}
	return g.object([]byte(key), i), true
}

// object makes the Object of index i with its key.
func (g *implicit) object(key []byte, i int64) *Object {
	size := g.space.Size(i)
	return &Object{
		Key:     string(key),
		Size:    size,
		ModTime: g.space.ModTime(i),
		ETag:    string(g.appendETag(nil, key, size)),
		Attrs:   Attrs{}.withDefaults(),
		body:    generated{contentSeed(key, g.seed), size},
	}
}

// appendHex16 appends v as 16 hex digits.
func appendHex16(dst []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	dst = slices.Grow(dst, 16)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}
