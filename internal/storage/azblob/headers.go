package azblob

import (
	"encoding/base64"
	"encoding/binary"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

const (
	metaPrefix  = "x-ms-meta-"
	escapedName = "oms_x_"      // begins metadata names that are no C# identifiers
	expiresName = "oms_expires" // holds the Expires header, which the service does not know
)

// attrHeaders returns the headers of attrs; oms.Unsupported when one cannot be carried.
func (q *call) attrHeaders(attrs *storage.Attrs) ([]header, error) {
	var hs []header
	for _, h := range []header{
		{"x-ms-blob-content-type", attrs.ContentType},
		{"x-ms-blob-content-encoding", attrs.ContentEncoding},
		{"x-ms-blob-content-disposition", attrs.ContentDisposition},
		{"x-ms-blob-content-language", attrs.ContentLanguage},
		{"x-ms-blob-cache-control", attrs.CacheControl},
		{"x-ms-access-tier", tierOf(attrs.StorageClass)},
	} {
		if !carried(h.value) {
			return nil, q.errorf(oms.Unsupported, codeMetadata, "header "+h.name+" holds characters that cannot be sent")
		}
		if h.value != "" {
			hs = append(hs, h)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(attrs.Metadata)) {
		if name == "" {
			return nil, q.errorf(oms.Unsupported, codeMetadata, "metadata without a name cannot be sent")
		}
		hs = append(hs, header{metaPrefix + encodeName(name), encodeValue(attrs.Metadata[name])})
	}
	if attrs.Expires != "" {
		hs = append(hs, header{metaPrefix + expiresName, encodeValue(attrs.Expires)})
	}
	return hs, nil
}

// tierOf returns the access tier for a storage class, which may be spelled as other clouds do.
func tierOf(class string) string {
	switch class {
	case "STANDARD":
		return "Hot"
	case "STANDARD_IA", "WARM", "IA", "NEARLINE":
		return "Cool"
	case "COLDLINE":
		return "Cold"
	case "GLACIER", "COLD", "ARCHIVE", "DEEP_ARCHIVE":
		return "Archive"
	}
	return class
}

// carried reports whether HTTP can carry v as it is.
func carried(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// encodeName makes a metadata name an identifier so that decodeName returns it unchanged.
func encodeName(name string) string {
	if identifier(name) && !strings.HasPrefix(name, escapedName) && name != expiresName {
		return name
	}
	b := []byte(escapedName)
	for i := range len(name) {
		if c := name[i]; 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b = append(b, c)
		} else {
			b = append(b, '_')
			b = append(b, strings.ToLower(string(upperHex[c>>4])+string(upperHex[c&15]))...)
		}
	}
	return string(b)
}

// identifier reports whether name consists of letters, digits and "_" and does not begin with a digit.
func identifier(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return name != ""
}

// decodeName undoes encodeName; names that it did not make come back as they are.
func decodeName(name string) string {
	rest, ok := strings.CutPrefix(name, escapedName)
	if !ok {
		return name
	}
	var b []byte
	for i := 0; i < len(rest); i++ {
		if rest[i] != '_' {
			b = append(b, rest[i])
			continue
		}
		if i+2 >= len(rest) {
			return name
		}
		c, err := strconv.ParseUint(rest[i+1:i+3], 16, 8)
		if err != nil {
			return name
		}
		b = append(b, byte(c))
		i += 2
	}
	if len(b) == 0 || encodeName(string(b)) != name {
		return name
	}
	return string(b)
}

// encodeValue makes a metadata value printable ASCII so that decodeValue returns it unchanged.
func encodeValue(v string) string {
	plain := v == strings.TrimSpace(v) && !strings.Contains(v, "=?")
	for i := range len(v) {
		plain = plain && v[i] >= ' ' && v[i] <= '~'
	}
	if plain {
		return v
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
}

func decodeValue(v string) string {
	if strings.Contains(v, "=?") {
		var dec mime.WordDecoder
		if s, err := dec.DecodeHeader(v); err == nil {
			return s
		}
	}
	return v
}

// attrsOf reads the properties of a blob from the headers of an answer.
func attrsOf(hdr http1.Fields) storage.Attrs {
	a := storage.Attrs{
		ContentType:        hdr.Get("Content-Type"),
		ContentEncoding:    hdr.Get("Content-Encoding"),
		ContentDisposition: hdr.Get("Content-Disposition"),
		ContentLanguage:    hdr.Get("Content-Language"),
		CacheControl:       hdr.Get("Cache-Control"),
		StorageClass:       hdr.Get("X-Ms-Access-Tier"),
	}
	for _, f := range hdr {
		if len(f.Name) <= len(metaPrefix) || !strings.EqualFold(f.Name[:len(metaPrefix)], metaPrefix) {
			continue
		}
		name, value := decodeName(strings.ToLower(f.Name[len(metaPrefix):])), decodeValue(f.Value)
		if name == expiresName {
			a.Expires = value
			continue
		}
		if a.Metadata == nil {
			a.Metadata = map[string]string{}
		}
		a.Metadata[name] = value
	}
	return a
}

// objectOf reads what HEAD and GET tell; size is that of the whole object. An ETag is never an MD5 here, which
// Encrypted says.
func objectOf(key string, size int64, hdr http1.Fields) storage.Object {
	o := storage.Object{
		ListedObject: storage.ListedObject{Key: key, Size: size, ETag: trimQuotes(hdr.Get("Etag")), StorageClass: hdr.Get("X-Ms-Access-Tier")},
		VersionID:    hdr.Get("X-Ms-Version-Id"),
		Attrs:        attrsOf(hdr),
		Encrypted:    true,
	}
	o.ModTime, _ = parseTime(hdr.Get("Last-Modified")) // zero when not told
	return o
}

func writtenOf(hdr http1.Fields) storage.Written {
	w := storage.Written{
		ETag: trimQuotes(hdr.Get("Etag")), VersionID: hdr.Get("X-Ms-Version-Id"), Sums: sumsOf(hdr), Encrypted: true,
	}
	w.Date, _ = parseTime(hdr.Get("Date")) // zero when not told
	return w
}

// sumsOf reads the checksums of the bytes that were sent, or of the object that is read as a whole.
func sumsOf(hdr http1.Fields) (s storage.Sums) {
	if raw, err := base64.StdEncoding.DecodeString(hdr.Get("Content-Md5")); err == nil && len(raw) == 16 {
		s.MD5, s.Has = [16]byte(raw), s.Has|storage.SumMD5
	}
	// The polynomial is that of CRC-64/NVME; the bytes are in the other order than in S3's header.
	if raw, err := base64.StdEncoding.DecodeString(hdr.Get("X-Ms-Content-Crc64")); err == nil && len(raw) == 8 {
		s.CRC64NVME, s.Has = binary.LittleEndian.Uint64(raw), s.Has|storage.SumCRC64NVME
	}
	return s
}

// addSums sends a checksum that the service checks; it takes one of the two only.
func (q *call) addSums(s storage.Sums) {
	switch {
	case s.Has&storage.SumMD5 != 0:
		q.add("content-md5", base64.StdEncoding.EncodeToString(s.MD5[:]))
	case s.Has&storage.SumCRC64NVME != 0:
		q.add("x-ms-content-crc64", base64.StdEncoding.EncodeToString(binary.LittleEndian.AppendUint64(nil, s.CRC64NVME)))
	}
}

func trimQuotes(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		return s[1 : n-1]
	}
	return s
}

func parseTime(s string) (time.Time, bool) {
	t, err := http.ParseTime(s)
	return t.UTC(), err == nil
}
