package main

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// synth is a bucket's worth of objects that nobody stores: keys, sizes, contents and dates are functions of the
// index. Immutable.
type synth struct {
	*contents
	n       int64
	layout  string
	perHour int64
	odd     int64
	base    time.Time
	sizes   []sizeClass
	total   int64  // bytes of all objects
	listDay string // "2026-01-01T"
	httpDay string // "Thu, 01 Jan 2026 "
}

// sizeClass is one of the sizes of a weighted mix.
type sizeClass struct {
	size int64
	cum  uint64 // upper bound of the hash that picks this class
}

// parseSizes reads "4096" or "4K:90,1M:9,64M:1" (size:weight).
func parseSizes(s string) ([]sizeClass, error) {
	var (
		classes []sizeClass
		weights []float64
		sum     float64
	)
	for field := range strings.SplitSeq(s, ",") {
		text, w, weighted := strings.Cut(field, ":")
		weight := 1.0
		if weighted {
			var err error
			if weight, err = strconv.ParseFloat(w, 64); err != nil {
				return nil, fmt.Errorf("weight of a size: %w", err)
			}
		}
		size, err := parseSize(text)
		if err != nil {
			return nil, err
		}
		classes = append(classes, sizeClass{size: size})
		weights = append(weights, weight)
		sum += weight
	}
	var acc float64
	for i := range classes {
		acc += weights[i]
		classes[i].cum = uint64(acc / sum * float64(1<<63) * 1.9999999999)
	}
	classes[len(classes)-1].cum = ^uint64(0)
	return classes, nil
}

// parseSize reads a number of bytes with an optional K, M or G.
func parseSize(s string) (int64, error) {
	s = strings.TrimSpace(s)
	factor := int64(1)
	switch {
	case strings.HasSuffix(s, "G"):
		factor, s = 1<<30, s[:len(s)-1]
	case strings.HasSuffix(s, "M"):
		factor, s = 1<<20, s[:len(s)-1]
	case strings.HasSuffix(s, "K"):
		factor, s = 1<<10, s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("want a size such as 4096, 4K, 8M or 2G, not %q", s)
	}
	return n * factor, nil
}

// newSynth makes n objects. Every odd-th key has awkward characters; 0 is none.
func newSynth(c *contents, n int64, layout string, sizes []sizeClass, odd int64, base time.Time) *synth {
	s := &synth{contents: c, n: n, layout: layout, odd: odd, sizes: sizes}
	s.perHour = max(1, (n+365*24-1)/(365*24))
	for i := range n {
		s.total += s.size(i)
	}
	return s.at(base)
}

// at returns the same objects with other dates.
func (s *synth) at(base time.Time) *synth {
	d := *s
	d.base = base.UTC()
	d.listDay = d.base.Format("2006-01-02T")
	d.httpDay = d.base.Format("Mon, 02 Jan 2006 ")
	return &d
}

func (s *synth) size(i int64) int64 {
	if len(s.sizes) == 1 {
		return s.sizes[0].size
	}
	h := mix(uint64(i) ^ 0xabcdef)
	for k := range s.sizes {
		if h <= s.sizes[k].cum {
			return s.sizes[k].size
		}
	}
	return s.sizes[len(s.sizes)-1].size
}

func (s *synth) variant(i, size int64) int64 {
	return int64(mix(uint64(i)) % uint64(variants(size)))
}

// modified returns the date of the i-th object in seconds.
func (s *synth) modified(i int64) int64 { return s.base.Unix() + i%86400 }

// key appends the i-th key; keys are strictly increasing in i.
func (s *synth) key(b []byte, i int64) []byte {
	switch s.layout {
	case "nested": // 1000 files a directory, 100 directories a parent
		b = append(b, "dir-"...)
		b = pad(b, i/100000, 4)
		b = append(b, "/sub-"...)
		b = pad(b, i/1000%100, 2)
		b = append(b, "/file-"...)
		b = pad(b, i%1000, 3)
		b = append(b, ".bin"...)
	case "date":
		h := i / s.perHour
		d := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(h/24))
		b = append(b, "events/year="...)
		b = pad(b, int64(d.Year()), 4)
		b = append(b, "/month="...)
		b = pad(b, int64(d.Month()), 2)
		b = append(b, "/day="...)
		b = pad(b, int64(d.Day()), 2)
		b = append(b, "/hour="...)
		b = pad(b, h%24, 2)
		b = append(b, "/part-"...)
		b = pad(b, i%s.perHour, 7)
		b = append(b, ".parquet"...)
	case "skew": // 90% under one flat hot prefix, the rest in small prefixes either side
		lo, hi := s.n/20, s.n-s.n/20
		switch {
		case i < lo:
			b = append(b, "a-"...)
			b = pad(b, i/500, 6)
			b = append(b, '/')
			b = pad(b, i%500, 3)
		case i < hi:
			b = append(b, "hot/"...)
			b = pad(b, i-lo, 10)
		default:
			b = append(b, "z-"...)
			b = pad(b, (i-hi)/500, 6)
			b = append(b, '/')
			b = pad(b, (i-hi)%500, 3)
		}
	default: // flat
		b = append(b, "obj-"...)
		b = pad(b, i, 10)
	}
	if s.odd > 0 && i%s.odd == 0 {
		b = append(b, " +%&='é\u4e16~!.odd"...)
	}
	return b
}

// pad appends v with w digits.
func pad(b []byte, v int64, w int) []byte {
	n := len(b)
	for range w {
		b = append(b, '0')
	}
	for k := n + w - 1; k >= n; k-- {
		b[k] = byte('0' + v%10)
		v /= 10
	}
	return b
}

// position is a place in a listing: at key or, with after, behind it.
type position struct {
	key   string
	after bool
}

// lower returns the smallest index at or behind the position.
func (s *synth) lower(p position) int64 {
	var buf [256]byte
	return int64(sort.Search(int(s.n), func(i int) bool {
		b := s.key(buf[:0], int64(i))
		if p.after {
			return string(b) > p.key
		}
		return string(b) >= p.key
	}))
}

// find returns the index of key, or -1.
func (s *synth) find(key string) int64 {
	var buf [256]byte
	if i := s.lower(position{key: key}); i < s.n && string(s.key(buf[:0], i)) == key {
		return i
	}
	return -1
}

// etag appends the ETag of the i-th object: the MD5 of its content, or for large ones the kind of a multipart upload.
func (s *synth) etag(b []byte, i, size int64) []byte {
	if t := s.known(size); t != nil {
		return appendHex(b, t.md5[s.variant(i, size)][:])
	}
	x := pseudoMD5(i, size)
	b = append(appendHex(b, x[:]), '-')
	return strconv.AppendInt(b, parts(size), 10)
}

// pseudoMD5 stands for an MD5 that would cost too much to compute.
func pseudoMD5(i, size int64) (sum [16]byte) {
	binary.LittleEndian.PutUint64(sum[:], mix(uint64(i)))
	binary.LittleEndian.PutUint64(sum[8:], mix(uint64(size)))
	return sum
}

// parts returns how many parts a large object seems to have been uploaded in.
func parts(size int64) int64 { return (size + knownMax - 1) / knownMax }

func appendHex(b, p []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range p {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// clock appends the time of day of the i-th object.
func (s *synth) clock(b []byte, i int64) []byte {
	t := i % 86400
	b = pad(b, t/3600, 2)
	b = append(b, ':')
	b = pad(b, t/60%60, 2)
	b = append(b, ':')
	return pad(b, t%60, 2)
}

// object describes the i-th object as if it was stored.
func (s *synth) object(i int64) *object {
	size := s.size(i)
	o := &object{size: size, mtime: s.modified(i), crc: s.checksum(s.variant(i, size), size), meta: octetStream}
	if t := s.known(size); t != nil {
		o.etag = t.md5[s.variant(i, size)]
	} else {
		o.etag, o.parts = pseudoMD5(i, size), uint32(parts(size))
	}
	return o
}

// octetStream is the header of every synthetic object.
const octetStream = "Content-Type: application/octet-stream\r\n"

// appendHTTPDate appends seconds as HTTP writes a date.
func appendHTTPDate(b []byte, seconds int64) []byte {
	return time.Unix(seconds, 0).UTC().AppendFormat(b, http.TimeFormat)
}
