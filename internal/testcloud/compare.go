package testcloud

import (
	"iter"
	"maps"
	"mime"
	"strconv"
	"strings"
)

// CompareOptions say what two buckets may differ in.
type CompareOptions struct {
	Ignore []string // keys with one of these prefixes do not count, on either side
	Limit  int      // differences reported; 0 means 20
	Prefix string   // what the destination's keys begin with in addition
	Extra  bool     // the destination may hold more keys
}

// Compare is the oracle of a migration: it reports in what dst differs from src in keys, sizes, bytes,
// content headers and user metadata, at most opts.Limit lines in the order of keys. None means that the
// migration was right. Storage class, ETag and times may differ. Both buckets are read one object at a time;
// they should not change meanwhile.
func Compare(src, dst *Bucket, opts CompareOptions) []string {
	if opts.Limit == 0 {
		opts.Limit = 20
	}
	var report []string
	add := func(key, what string) bool {
		report = append(report, strconv.Quote(key)+": "+what)
		return len(report) < opts.Limit
	}
	nextSrc, stopSrc := iter.Pull(src.All())
	defer stopSrc()
	nextDst, stopDst := iter.Pull(dst.All())
	defer stopDst()
	a, okA := opts.next(nextSrc)
	b, okB := opts.next(nextDst)
	for okA || okB {
		switch {
		case okA && (!okB || opts.Prefix+a.Key < b.Key):
			if !add(a.Key, "missing at the destination") {
				return report
			}
			a, okA = opts.next(nextSrc)
		case !okA || b.Key < opts.Prefix+a.Key:
			if !opts.Extra && !add(b.Key, "only at the destination") {
				return report
			}
			b, okB = opts.next(nextDst)
		default:
			if what := differ(a, b); what != "" && !add(a.Key, what) {
				return report
			}
			a, okA = opts.next(nextSrc)
			b, okB = opts.next(nextDst)
		}
	}
	return report
}

// next returns the next object that counts.
func (opts *CompareOptions) next(pull func() (*Object, bool)) (*Object, bool) {
	for {
		o, ok := pull()
		if !ok || !opts.ignores(o.Key) {
			return o, ok
		}
	}
}

func (opts *CompareOptions) ignores(key string) bool {
	for _, p := range opts.Ignore {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// differ says in what two objects differ; "" means in nothing that counts.
func differ(a, b *Object) string {
	if a.Size != b.Size {
		return "size " + strconv.FormatInt(b.Size, 10) + ", want " + strconv.FormatInt(a.Size, 10)
	}
	if !equalContent(a.body, b.body) {
		return "content differs"
	}
	headersA, headersB := a.contentHeaders(), b.contentHeaders()
	for i, f := range headersA {
		if got := *headersB[i].value; got != *f.value {
			return f.name + " " + strconv.Quote(got) + ", want " + strconv.Quote(*f.value)
		}
	}
	if metaA, metaB := decodedMeta(a), decodedMeta(b); !maps.Equal(metaA, metaB) {
		return "metadata " + quoteMeta(metaB) + ", want " + quoteMeta(metaA)
	}
	return ""
}

// decodedMeta is the metadata with RFC 2047 words decoded: both forms mean the same.
func decodedMeta(o *Object) map[string]string {
	decoder := new(mime.WordDecoder)
	m := make(map[string]string, len(o.Meta))
	for k, v := range o.Meta {
		if plain, err := decoder.DecodeHeader(v); err == nil {
			v = plain
		}
		m[k] = v
	}
	return m
}

func quoteMeta(m map[string]string) string {
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, strconv.Quote(k)+"="+strconv.Quote(v))
	}
	return "{" + strings.Join(pairs, " ") + "}"
}
