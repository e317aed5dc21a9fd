// Package localfile shows one file of this machine as the only object of a bucket, so that a list file can lie beside the
// person who runs a migration. It is for commands that act as that person: the path is theirs.
package localfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Opener opens the bucket of the file, and all other buckets with another opener. It is safe for concurrent use.
type Opener struct {
	next storage.Opener
	file Reader
	name string
}

// NewOpener returns an Opener that shows the file at path as the object key of the bucket called name, which should be no
// name that a store could have.
func NewOpener(next storage.Opener, name, key, path string) *Opener {
	return &Opener{next: next, name: name, file: Reader{key: key, path: path}}
}

// Open returns a *Reader for the bucket of the file, else what the next opener returns.
func (o *Opener) Open(ctx context.Context, b storage.Bucket) (storage.Reader, error) {
	if b.Name != o.name {
		return o.next.Open(ctx, b)
	}
	return &o.file, nil
}

// Reader is the bucket. It is safe for concurrent use and needs no closing.
type Reader struct{ key, path string }

var (
	_ storage.Opener = (*Opener)(nil)
	_ storage.Reader = (*Reader)(nil)
)

// List implements storage.Reader.
func (r *Reader) List(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
	if !strings.HasPrefix(r.key, opts.Prefix) || r.key <= opts.After && !opts.AnyOrder {
		return storage.Page{}, ctx.Err()
	}
	o, err := r.Stat(ctx, r.key)
	if err != nil {
		return storage.Page{}, err
	}
	return storage.Page{Objects: []storage.ListedObject{o.ListedObject}}, nil
}

// Stat implements storage.Reader. The entity tag is made of size and time.
func (r *Reader) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := ctx.Err(); err != nil {
		return storage.Object{}, err
	}
	if key != r.key {
		return storage.Object{}, r.errorf(oms.NotFound, nil)
	}
	info, err := os.Stat(r.path)
	if err != nil {
		return storage.Object{}, r.failed(err)
	}
	return r.object(info)
}

func (r *Reader) object(info fs.FileInfo) (storage.Object, error) {
	if !info.Mode().IsRegular() {
		return storage.Object{}, r.errorf(oms.Invalid, errors.New("not a regular file"))
	}
	at := info.ModTime().UTC()
	return storage.Object{
		ListedObject: storage.ListedObject{
			Key: r.key, Size: info.Size(), ModTime: at, ETag: strconv.FormatInt(info.Size(), 16) + "-" + strconv.FormatInt(at.UnixNano(), 16),
		},
		Attrs: storage.Attrs{ContentType: "text/plain"}, Encrypted: true,
	}, nil
}

// Open implements storage.Reader.
func (r *Reader) Open(ctx context.Context, key string, opts storage.OpenOptions) (storage.Content, error) {
	if err := ctx.Err(); err != nil {
		return storage.Content{}, err
	}
	if key != r.key {
		return storage.Content{}, r.errorf(oms.NotFound, nil)
	}
	f, err := os.Open(r.path)
	if err != nil {
		return storage.Content{}, r.failed(err)
	}
	c, err := r.content(f, opts)
	if err != nil {
		return storage.Content{}, errors.Join(err, f.Close())
	}
	return c, nil
}

// content returns the piece of the open file that was asked for.
func (r *Reader) content(f *os.File, opts storage.OpenOptions) (storage.Content, error) {
	info, err := f.Stat()
	if err != nil {
		return storage.Content{}, r.failed(err)
	}
	o, err := r.object(info)
	if err != nil {
		return storage.Content{}, err
	}
	if opts.IfMatch != "" && opts.IfMatch != o.ETag || opts.Size >= 0 && opts.Size != o.Size {
		return storage.Content{}, r.errorf(oms.Changed, nil)
	}
	piece := storage.ByteRange{Size: o.Size}
	if opts.Range != nil {
		piece = *opts.Range
		if piece.Offset < 0 || piece.Size <= 0 || piece.Offset > o.Size-piece.Size {
			return storage.Content{}, r.errorf(oms.Changed, errors.New("the range is not within the file"))
		}
	}
	return storage.Content{Object: o, Length: piece.Size, Body: &body{
		Reader: io.NewSectionReader(f, piece.Offset, piece.Size), file: f, left: piece.Size, owner: r,
	}}, nil
}

// body yields a piece of the file, else an error.
type body struct {
	io.Reader

	file  *os.File
	left  int64
	owner *Reader
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.left -= int64(n)
	if errors.Is(err, io.EOF) && b.left > 0 {
		return n, b.owner.errorf(oms.Transient, io.ErrUnexpectedEOF)
	}
	return n, err
}

// Close closes the file.
func (b *body) Close() error { return b.file.Close() }

// failed classifies an error of the file system; its text names the path, which is the user's own.
func (r *Reader) failed(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r.errorf(oms.NotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return r.errorf(oms.Denied, err)
	}
	return r.errorf(oms.Invalid, err)
}

func (r *Reader) errorf(kind oms.Kind, cause error) error {
	return &oms.Error{Op: "read file", Key: r.path, Kind: kind, Err: cause}
}
