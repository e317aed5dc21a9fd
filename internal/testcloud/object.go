package testcloud

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Attrs are what a writer says about an object besides its content.
type Attrs struct {
	ContentType        string // "" means binary/octet-stream
	ContentEncoding    string
	ContentDisposition string
	ContentLanguage    string
	CacheControl       string
	Expires            string            // as sent, not parsed
	StorageClass       string            // "" means STANDARD
	KMS                bool              // encrypted with a key of a key service: the ETag is no MD5
	Meta               map[string]string // user metadata; names without x-amz-meta-, lower case
}

// contentHeaders lists the content headers of a with their canonical names.
func (a *Attrs) contentHeaders() [6]struct {
	name  string
	value *string
} {
	return [6]struct {
		name  string
		value *string
	}{
		{"Content-Type", &a.ContentType},
		{"Content-Encoding", &a.ContentEncoding},
		{"Content-Disposition", &a.ContentDisposition},
		{"Content-Language", &a.ContentLanguage},
		{"Cache-Control", &a.CacheControl},
		{"Expires", &a.Expires},
	}
}

const (
	metaPrefix         = "X-Amz-Meta-"
	defaultContentType = "binary/octet-stream"
	standardClass      = "STANDARD"
	encryptionHeader   = "X-Amz-Server-Side-Encryption"
	kmsEncryption      = "aws:kms"
)

// attrsOf reads the attributes from the headers of a write.
func attrsOf(h http.Header) Attrs {
	var a Attrs
	for _, f := range a.contentHeaders() {
		*f.value = h.Get(f.name)
	}
	a.StorageClass = h.Get("X-Amz-Storage-Class")
	a.KMS = h.Get(encryptionHeader) == kmsEncryption
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, metaPrefix); ok {
			if a.Meta == nil {
				a.Meta = map[string]string{}
			}
			a.Meta[strings.ToLower(rest)] = strings.Join(values, ",")
		}
	}
	return a
}

// withDefaults fills in what a store assumes about an object.
func (a Attrs) withDefaults() Attrs {
	if a.ContentType == "" {
		a.ContentType = defaultContentType
	}
	if a.StorageClass == "" {
		a.StorageClass = standardClass
	}
	a.Meta = maps.Clone(a.Meta)
	return a
}

// etagKind returns how the ETag of an object with these attributes is made.
func (a *Attrs) etagKind(usual ETagKind) ETagKind {
	if a.KMS {
		return ETagKMS
	}
	return usual
}

// metaSize is what the metadata limit counts.
func (a *Attrs) metaSize() int {
	n := 0
	for k, v := range a.Meta {
		n += len(k) + len(v)
	}
	return n
}

// An Object is one stored object. It never changes: a new write makes a new Object.
type Object struct {
	Key     string
	Size    int64 // bytes
	ModTime time.Time
	ETag    string // without quotes
	Parts   int    // of the multipart upload that made it; 0 for a single write
	Attrs

	sum     checksum // of the content, kept when the profile keeps checksums
	crc64xz uint64   // kept when the profile has a CRC64Header
	restore restored
	body    content
	first   int64 // bytes of the first of Parts
}

// ReadAt reads content as [io.ReaderAt] does.
func (o *Object) ReadAt(p []byte, off int64) (int, error) { return o.body.ReadAt(p, off) }

// Reader returns the content from byte 0.
func (o *Object) Reader() io.Reader { return io.NewSectionReader(o.body, 0, o.Size) }

// Bytes returns the whole content in memory.
func (o *Object) Bytes() []byte {
	p := make([]byte, o.Size)
	if _, err := o.body.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return p
}

// Checksum returns the checksum kept with the object: its algorithm as in x-amz-checksum-ALGORITHM and its
// base64 value; both empty when none is kept.
func (o *Object) Checksum() (algorithm, value string) { return o.sum.algo, o.sum.value }

// content is immutable bytes at any offset. ReadAt never fails inside the size.
type content interface {
	io.ReaderAt
	size() int64
}

// memory is content held in memory.
type memory []byte

func (m memory) size() int64 { return int64(len(m)) }

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// joined is the content of several pieces in a row.
type joined struct {
	pieces []content
	total  int64
}

// join returns the pieces as one content.
func join(pieces []content) content {
	if len(pieces) == 1 {
		return pieces[0]
	}
	j := joined{pieces: pieces}
	for _, p := range pieces {
		j.total += p.size()
	}
	return j
}

func (j joined) size() int64 { return j.total }

func (j joined) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for _, piece := range j.pieces {
		if n == len(p) {
			return n, nil
		}
		if off >= piece.size() {
			off -= piece.size()
			continue
		}
		m, err := piece.ReadAt(p[n:min(int64(len(p)), int64(n)+piece.size()-off)], off)
		n += m
		off = 0
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// section is a slice of other content.
type section struct{ *io.SectionReader }

func (s section) size() int64 { return s.Size() }

// slice returns n bytes of c from off.
func slice(c content, off, n int64) content {
	if m, ok := c.(memory); ok {
		return m[off : off+n]
	}
	return section{io.NewSectionReader(c, off, n)}
}

// md5Of returns the MD5 of c.
func md5Of(c content) [md5.Size]byte {
	if m, ok := c.(memory); ok {
		return md5.Sum(m)
	}
	h := md5.New()
	copyContent(h, c)
	return [md5.Size]byte(h.Sum(nil))
}

// copyContent writes c to a writer that cannot fail, such as a hash.
func copyContent(w io.Writer, c content) {
	if m, ok := c.(memory); ok {
		_, _ = w.Write(m)
		return
	}
	_, _ = io.CopyBuffer(w, io.NewSectionReader(c, 0, c.size()), make([]byte, min(max(c.size(), 1), 64<<10)))
}

// equalContent compares byte by byte in bounded memory.
func equalContent(a, b content) bool {
	if a.size() != b.size() {
		return false
	}
	x, inMemory := a.(memory)
	if y, ok := b.(memory); ok && inMemory {
		return bytes.Equal(x, y)
	}
	if x, ok := a.(generated); ok {
		if y, ok := b.(generated); ok && x == y {
			return true
		}
	}
	n := min(a.size(), 64<<10)
	p, q := make([]byte, n), make([]byte, n)
	for off := int64(0); off < a.size(); {
		n, _ := a.ReadAt(p[:min(n, a.size()-off)], off)
		m, _ := b.ReadAt(q[:n], off)
		if n == 0 || n != m || !bytes.Equal(p[:n], q[:m]) {
			return false
		}
		off += int64(n)
	}
	return true
}

// etag returns the ETag of content written at once.
func (k ETagKind) etag(c content, nonce uint64) string {
	switch k {
	case ETagMD5Upper:
		sum := md5Of(c)
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	case ETagOpaque:
		return opaqueETag(nonce)
	case ETagKMS: // looks like an MD5 and is none
		return string(appendHex16(appendHex16(make([]byte, 0, 32), mix(nonce)), mix(^nonce)))
	case ETagMD5, ETagWholeMD5:
	}
	sum := md5Of(c)
	return hex.EncodeToString(sum[:])
}

// opaqueETag is an ETag that looks like no MD5.
func opaqueETag(nonce uint64) string {
	dst := appendHex16(append(make([]byte, 0, 34), "o-"...), mix(nonce))
	return string(appendHex16(dst, mix(^nonce)))
}
