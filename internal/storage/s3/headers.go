package s3

import (
	"encoding/base64"
	"encoding/binary"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

const (
	metaPrefix = "X-Amz-Meta-"
	sseHeader  = "X-Amz-Server-Side-Encryption"
)

// addAttrs adds the headers of attrs; oms.Unsupported when one cannot be carried.
func (b *Bucket) addAttrs(c *call, attrs *storage.Attrs) error {
	for _, h := range []header{
		{"Content-Type", attrs.ContentType},
		{"Content-Encoding", attrs.ContentEncoding},
		{"Content-Disposition", attrs.ContentDisposition},
		{"Content-Language", attrs.ContentLanguage},
		{"Cache-Control", attrs.CacheControl},
		{"Expires", attrs.Expires},
		{"X-Amz-Storage-Class", attrs.StorageClass},
	} {
		if !carried(h.value) {
			return c.errorf(oms.Unsupported, "METADATA", "header "+h.name+" holds characters that cannot be sent")
		}
		c.add(h.name, h.value)
	}
	if attrs.KMS {
		if b.quirks.kms.name == "" {
			return c.errorf(oms.Unsupported, "ENCRYPTION", "the store cannot be asked to encrypt with its key service")
		}
		c.add(b.quirks.kms.name, b.quirks.kms.value)
	}
	for _, name := range sortedNames(attrs.Metadata) {
		if !token(name) {
			return c.errorf(oms.Unsupported, "METADATA", "metadata name "+strconv.Quote(oms.Clean(name))+" cannot be sent")
		}
		c.headers = append(c.headers, header{metaPrefix + name, encodeMeta(attrs.Metadata[name], b.quirks.metaWrite)})
	}
	return nil
}

func sortedNames(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// token reports whether name can be (part of) a header name.
func token(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
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

// encodeMeta makes a metadata value fit for a header so that decodeMeta returns it unchanged.
func encodeMeta(v string, code metaCode) string {
	plain := code == metaRaw && carried(v) || printable(v)
	if plain && v == strings.TrimSpace(v) && !strings.Contains(v, "=?") {
		return v
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
}

// printable reports whether v is printable ASCII.
func printable(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// decodeMeta undoes the encodings that stores return non-ASCII metadata in: RFC 2047 (AWS), and base64 where the
// store is known for it and the result is text that needed it.
func (b *Bucket) decodeMeta(v string) string {
	if strings.Contains(v, "=?") {
		var dec mime.WordDecoder
		if s, err := dec.DecodeHeader(v); err == nil {
			return s
		}
		return v
	}
	if b.quirks.metaBase64 && len(v) > 0 && len(v)%4 == 0 && printable(v) {
		if raw, err := base64.StdEncoding.DecodeString(v); err == nil && utf8.Valid(raw) && !printable(string(raw)) && carried(string(raw)) {
			return string(raw)
		}
	}
	return v
}

// attrsOf reads the properties of an object from the headers of an answer.
func (b *Bucket) attrsOf(hdr http1.Fields) storage.Attrs {
	return storage.Attrs{
		ContentType:        hdr.Get("Content-Type"),
		ContentEncoding:    hdr.Get("Content-Encoding"),
		ContentDisposition: hdr.Get("Content-Disposition"),
		ContentLanguage:    hdr.Get("Content-Language"),
		CacheControl:       hdr.Get("Cache-Control"),
		Expires:            hdr.Get("Expires"),
		StorageClass:       hdr.Get("X-Amz-Storage-Class"),
	}
}

// metadata reads user metadata, and what else there is that does not travel.
func (b *Bucket) metadata(hdr http1.Fields) (m map[string]string, extras storage.Extras) {
	for _, f := range hdr {
		if len(f.Name) < 2 || lower(f.Name[0]) != 'x' || f.Name[1] != '-' {
			continue
		}
		short, ok := b.metaName(f.Name)
		if !ok {
			extras |= extra(f.Name, f.Value)
			continue
		}
		if m == nil {
			m = make(map[string]string)
		}
		if before, again := m[short]; again {
			m[short] = before + "," + f.Value
		} else {
			m[short] = f.Value
		}
	}
	for short, v := range m {
		m[short] = b.decodeMeta(v)
	}
	return m, extras
}

// metaName returns the name of a user metadata header without its prefix, in lower case. The name starts with "x-".
func (b *Bucket) metaName(name string) (string, bool) {
	if short := cutFold(name, metaPrefix); short != "" {
		return strings.ToLower(short), true
	}
	for _, p := range b.quirks.metaPrefixes {
		if short := cutFold(name, p); short != "" {
			return strings.ToLower(short), true
		}
	}
	return "", false
}

// cutFold returns name without the prefix, whose case does not matter; "" when it does not start with it.
func cutFold(name, prefix string) string {
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return ""
	}
	return name[len(prefix):]
}

// objectOf reads what HEAD and GET tell; size is that of the whole object.
func (b *Bucket) objectOf(key string, size int64, hdr http1.Fields) storage.Object {
	o := storage.Object{
		ListedObject: storage.ListedObject{
			Key: key, Size: size, ETag: etagIn(hdr), StorageClass: hdr.Get("X-Amz-Storage-Class"),
		},
		VersionID: versionIn(hdr),
		Attrs:     b.attrsOf(hdr),
		Encrypted: b.encrypted(hdr),
		KMS:       b.kms(hdr),
		Restore:   b.restoreOf(hdr),
	}
	o.Attrs.Metadata, o.Extras = b.metadata(hdr)
	o.ModTime, _ = parseHTTPTime(hdr.Get("Last-Modified")) // zero when not told
	return o
}

// writtenOf reads the answer to a write.
func (b *Bucket) writtenOf(hdr http1.Fields, sums storage.Sums) storage.Written {
	w := storage.Written{ETag: etagIn(hdr), VersionID: versionIn(hdr), Sums: sums, Encrypted: b.encrypted(hdr), KMS: b.kms(hdr)}
	w.Date, _ = parseHTTPTime(hdr.Get("Date")) // zero when not told
	return w
}

// etagIn returns the entity tag without quotes.
func etagIn(hdr http1.Fields) string { return trimQuotes(hdr.Get("Etag")) }

func trimQuotes(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		return s[1 : n-1]
	}
	return s
}

// quoteETag puts the quotes back for If-Match.
func quoteETag(etag string) string {
	if strings.HasPrefix(etag, `W/"`) {
		return etag
	}
	return `"` + etag + `"`
}

func versionIn(hdr http1.Fields) string {
	if v := hdr.Get("X-Amz-Version-Id"); v != "null" {
		return v
	}
	return ""
}

// encrypted reports whether the ETag is no MD5 (rule D6): key-service or customer-key encryption, or a store whose
// ETags never are.
func (b *Bucket) encrypted(hdr http1.Fields) bool {
	if b.quirks.opaqueETag || hdr.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "" {
		return true
	}
	if opaqueSSE(hdr.Get(sseHeader)) {
		return true
	}
	return b.quirks.encryptHeader != "" && opaqueSSE(hdr.Get(b.quirks.encryptHeader))
}

// kms reports whether the store says that it encrypts the object with a key of its key service.
func (b *Bucket) kms(hdr http1.Fields) bool {
	if isKMS(hdr.Get(sseHeader)) {
		return true
	}
	return b.quirks.encryptHeader != "" && isKMS(hdr.Get(b.quirks.encryptHeader))
}

// isKMS knows the names of encryption with a key service: aws:kms, aws:kms:dsse, kms, KMS, cos/kms, and Google's names of
// keys.
func isKMS(v string) bool {
	v = strings.ToLower(v)
	return strings.Contains(v, "kms") || strings.Contains(v, "/cryptokeys/")
}

func opaqueSSE(v string) bool { return v != "" && v != "AES256" }

// wholeSums reads the checksums of a whole object. S3's own ones count only when the answer says FULL_OBJECT.
func (b *Bucket) wholeSums(hdr http1.Fields) storage.Sums {
	var s storage.Sums
	if hdr.Get("X-Amz-Checksum-Type") == "FULL_OBJECT" {
		amzSums(&s, hdr)
	}
	b.vendorSums(&s, hdr)
	return s
}

// writeSums reads the checksums of the bytes that were just sent.
func (b *Bucket) writeSums(hdr http1.Fields) storage.Sums {
	var s storage.Sums
	if hdr.Get("X-Amz-Checksum-Type") != "COMPOSITE" {
		amzSums(&s, hdr)
	}
	b.vendorSums(&s, hdr)
	return s
}

func amzSums(s *storage.Sums, hdr http1.Fields) {
	setCRC32C(s, hdr.Get("X-Amz-Checksum-Crc32c"))
	setCRC64NVME(s, hdr.Get("X-Amz-Checksum-Crc64nvme"))
}

func setCRC32C(s *storage.Sums, v string) {
	if raw, ok := sumBytes(v, 4); ok {
		s.CRC32C = binary.BigEndian.Uint32(raw)
		s.Has |= storage.SumCRC32C
	}
}

func setCRC64NVME(s *storage.Sums, v string) {
	if raw, ok := sumBytes(v, 8); ok {
		s.CRC64NVME = binary.BigEndian.Uint64(raw)
		s.Has |= storage.SumCRC64NVME
	}
}

// sumBytes decodes base64 of exactly size bytes; composite sums ("...-3") are none.
func sumBytes(v string, size int) ([]byte, bool) {
	if v == "" {
		return nil, false
	}
	raw, err := base64.StdEncoding.DecodeString(v)
	return raw, err == nil && len(raw) == size
}

// vendorSums reads the CRC-64/XZ of the vendor's header and Google's x-goog-hash lines.
func (b *Bucket) vendorSums(s *storage.Sums, hdr http1.Fields) {
	if b.quirks.crc64Header != "" {
		if n, err := strconv.ParseUint(hdr.Get(b.quirks.crc64Header), 10, 64); err == nil {
			s.CRC64ECMA = n
			s.Has |= storage.SumCRC64ECMA
		}
	}
	for _, f := range hdr {
		if !strings.EqualFold(f.Name, "X-Goog-Hash") {
			continue
		}
		for item := range strings.SplitSeq(f.Value, ",") {
			name, v, _ := strings.Cut(strings.TrimSpace(item), "=")
			switch name {
			case "crc32c":
				setCRC32C(s, v)
			case "md5":
				if raw, ok := sumBytes(v, 16); ok {
					s.MD5 = [16]byte(raw)
					s.Has |= storage.SumMD5
				}
			}
		}
	}
}

// addSums sends the checksums that the store checks: MD5, and one of S3's own, of which it takes only one.
func (b *Bucket) addSums(c *call, s storage.Sums) {
	if s.Has&storage.SumMD5 != 0 && !b.quirks.noContentMD5 {
		c.add("Content-Md5", base64.StdEncoding.EncodeToString(s.MD5[:]))
	}
	if !b.quirks.checksums {
		return
	}
	switch {
	case s.Has&storage.SumCRC32C != 0:
		c.add("X-Amz-Checksum-Crc32c", crc32cText(s.CRC32C))
	case s.Has&storage.SumCRC64NVME != 0:
		c.add("X-Amz-Checksum-Crc64nvme", crc64Text(s.CRC64NVME))
	}
}

func crc32cText(v uint32) string {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], v)
	return base64.StdEncoding.EncodeToString(raw[:])
}

func crc64Text(v uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], v)
	return base64.StdEncoding.EncodeToString(raw[:])
}
