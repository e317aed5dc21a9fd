package s3

import (
	"maps"
	"strings"

	"github.com/openoms/openoms/internal/storage"
)

var _ storage.AttrFitter = (*Bucket)(nil)

// FitAttrs implements storage.AttrFitter.
func (b *Bucket) FitAttrs(a storage.Attrs, limit int) (fit storage.Attrs, left []storage.LeftOut) {
	for _, h := range [...]struct {
		name  string
		value *string
	}{
		{"Content-Type", &a.ContentType},
		{"Content-Encoding", &a.ContentEncoding},
		{"Content-Disposition", &a.ContentDisposition},
		{"Content-Language", &a.ContentLanguage},
		{"Cache-Control", &a.CacheControl},
		{"Expires", &a.Expires},
	} {
		if !carried(*h.value) {
			left = append(left, storage.LeftOut{Name: h.name})
			*h.value = ""
		}
	}
	if len(a.Metadata) == 0 {
		return a, left
	}
	size, owned := 0, false
	for _, name := range sortedNames(a.Metadata) {
		n := len(name) + len(encodeMeta(a.Metadata[name], b.quirks.metaWrite))
		if token(name) && (limit <= 0 || size+n <= limit) {
			size += n
			continue
		}
		if !owned {
			a.Metadata, owned = maps.Clone(a.Metadata), true
		}
		delete(a.Metadata, name)
		left = append(left, storage.LeftOut{Name: name, User: true})
	}
	return a, left
}

// extra returns what a header whose name begins with "x-" says of properties that are not among storage.Attrs.
func extra(name, value string) storage.Extras {
	const vendor = len("x-amz-") // as long as those of the others
	if len(name) <= vendor || name[vendor-1] != '-' {
		return 0
	}
	switch rest := name[vendor:]; len(rest) { // compared only where the length fits: there is a header in every answer
	case len("tagging-count"):
		if strings.EqualFold(rest, "tagging-count") && value != "0" {
			return storage.ExtraTags
		}
	case len("missing-meta"):
		if strings.EqualFold(rest, "missing-meta") && value != "0" {
			return storage.ExtraHiddenMeta
		}
	case len("website-redirect-location"):
		if strings.EqualFold(rest, "website-redirect-location") {
			return storage.ExtraRedirect
		}
	case len("object-lock-mode"):
		if strings.EqualFold(rest, "object-lock-mode") {
			return storage.ExtraLock
		}
	case len("object-lock-legal-hold"):
		if strings.EqualFold(rest, "object-lock-legal-hold") && value != "OFF" {
			return storage.ExtraLock
		}
	}
	return 0
}
