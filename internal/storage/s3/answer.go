package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
)

// answer is the head of an answer with its body.
type answer struct {
	status int
	length int64         // Content-Length; -1 when not told
	header http1.Fields  // valid until body is closed
	body   io.ReadCloser // never nil
}

// fieldsOf returns the headers of net/http in the form of package http1.
func fieldsOf(hdr http.Header) http1.Fields {
	f := make(http1.Fields, 0, len(hdr))
	for name, values := range hdr {
		for _, v := range values {
			f = append(f, http1.Field{Name: name, Value: v})
		}
	}
	return f
}

// keptBuffer is the largest buffer that is used again.
const keptBuffer = mib

var errXMLBody = errors.New("more than 16 MiB")

// buffers keeps working memory for XML answers.
type buffers struct {
	pool  sync.Pool // *[]byte
	pages sync.Pool // *pageBuilder

	outgoing outgoings
	stamps   stamps
}

// builder returns working memory for a page, to be given back with putBuilder.
func (b *buffers) builder() *pageBuilder {
	if p, ok := b.pages.Get().(*pageBuilder); ok {
		return p
	}
	return new(pageBuilder)
}

func (b *buffers) putBuilder(p *pageBuilder) {
	if cap(p.arena) <= keptBuffer && cap(p.entries) <= 4*maxKeys {
		b.pages.Put(p)
	}
}

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return p
	}
	p := make([]byte, 0, 32*kib)
	return &p
}

func (b *buffers) put(p *[]byte) {
	if cap(*p) <= keptBuffer {
		b.pool.Put(p)
	}
}

// readAll reads r into dst, at most limit bytes; errXMLBody when there are more.
func readAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	dst = dst[:0]
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return dst, errXMLBody
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

// document sends c and hands the body of the answer to use, which must not keep it. What use returns is wrapped
// as an error of the given kind and code.
func (b *Bucket) document(ctx context.Context, c *call, kind oms.Kind, code string, use func(http1.Fields, []byte) error) error {
	a, err := b.do(ctx, c)
	if err != nil {
		return err
	}
	buf := b.bufs.get()
	defer b.bufs.put(buf)
	defer a.body.Close()
	*buf, err = readAll(*buf, a.body, maxXMLBody)
	if err != nil {
		if errors.Is(err, errXMLBody) {
			return &oms.Error{Op: c.op, Key: c.key, Kind: kind, Code: code, Err: err}
		}
		return transportFailed(ctx, c, err)
	}
	if err := use(a.header, *buf); err != nil {
		if e, ok := errors.AsType[*oms.Error](err); ok {
			return e
		}
		return &oms.Error{Op: c.op, Key: c.key, Kind: kind, Code: code, Err: err}
	}
	return nil
}

// tree sends c and hands the answer's document to use. An <Error> in a successful answer is an error like any
// other (rule D7), and so is a root that is not wanted; a document that cannot be read is oms.Transient, because
// nobody knows what happened.
func (b *Bucket) tree(ctx context.Context, c *call, want string, use func(http1.Fields, *node) error) error {
	return b.document(ctx, c, oms.Transient, codeBadAnswer, func(hdr http1.Fields, body []byte) error {
		root, err := parseTree(body)
		if err != nil {
			return err
		}
		if root.name == "Error" {
			return b.answerFailed(c, http.StatusInternalServerError, hdr, parseError(body))
		}
		if want != "" && root.name != want {
			return errors.New("the answer is no " + want)
		}
		return use(hdr, root)
	})
}
