package s3

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// smallBody is the size up to which a request body is copied, so that head and body leave in one write.
const smallBody = 16 * kib

// maxDrain bounds what is read of an answer's rest to keep its connection.
const maxDrain = 64 * kib

var errClosed = errors.New("read of a closed body")

var errReleased = errors.New("request body used after the call has returned")

// sendBody is the body of a request. It yields exactly its size, keeps the error of its source apart from those of
// the connection, and can be taken away from the transport, which may read on in another goroutine after it gave
// its answer (rule C3).
type sendBody struct {
	mem []byte // small bodies

	mu   sync.Mutex
	src  io.Reader // nil when small or released
	size int64
	left int64
	err  error // of src
}

// newSendBody takes size bytes of r; r may be nil. Small bodies are read here, and an error of r is returned.
func newSendBody(r io.Reader, size int64) (*sendBody, error) {
	if r == nil || size > smallBody {
		return &sendBody{src: r, size: size, left: size}, nil
	}
	mem := make([]byte, size)
	if n, err := io.ReadFull(r, mem); err != nil {
		return nil, shortSource(int64(n), size, err)
	}
	return &sendBody{mem: mem, size: size}, nil
}

// shortSource is the error of a source that failed or ended after n of size bytes.
func shortSource(n, size int64, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return oms.Errorf(oms.Transient, codeTruncated, "the data to send ended after %s of %s bytes",
		strconv.FormatInt(n, 10), strconv.FormatInt(size, 10))
}

// attach makes s the body of req.
func (s *sendBody) attach(req *http.Request) {
	req.ContentLength = s.size
	switch {
	case s.size == 0:
		req.Body = http.NoBody
	case s.src == nil:
		// The exact type matters: the transport then sends head and body in one write. GetBody lets it take another
		// connection when the kept one turned out to be dead before anything was written.
		req.Body = io.NopCloser(bytes.NewReader(s.mem))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(s.mem)), nil }
	default:
		req.Body = s
	}
}

// Read implements io.Reader for the transport.
func (s *sendBody) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.src == nil {
		return 0, errReleased
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.src.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	switch {
	case s.left == 0:
		return n, io.EOF
	case err != nil:
		s.err = shortSource(s.size-s.left, s.size, err)
		return n, s.err
	}
	return n, nil
}

// sendTo writes the rest of a body that is in memory straight to w, without a copy; handled is false for others.
func (s *sendBody) sendTo(w io.Writer) (n int64, handled bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mem, ok := s.src.(*bytes.Reader)
	if !ok || int64(mem.Len()) != s.left {
		return 0, false, nil
	}
	n, err = mem.WriteTo(w)
	s.left -= n
	return n, true, err
}

// Close implements io.Closer for the transport; the source belongs to the caller.
func (s *sendBody) Close() error { return nil }

// release takes the source away: it waits for a read in progress and makes later ones fail.
func (s *sendBody) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.src = nil
}

// cause returns the error of the source, if it failed.
func (s *sendBody) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// drain uses up a little of what is left of an answer, so that its connection can be used again once it is closed.
func drain(r io.Reader) {
	var waste [4 * kib]byte
	for left := maxDrain; left > 0; {
		n, err := r.Read(waste[:])
		if err != nil {
			return
		}
		left -= max(n, 1)
	}
}

// recvBody is the body of an object. It yields exactly want bytes, else an error (rules D4, D8).
type recvBody struct {
	c      *call
	body   io.ReadCloser
	ctxErr func() error
	want   int64 // negative: not known
	exact  bool  // body itself yields want bytes or an error
	got    int64
	err    error // what every further Read returns
}

// Read implements io.Reader.
func (r *recvBody) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.want >= 0 && r.got == r.want {
		r.err = r.probe()
		return 0, r.err
	}
	if r.want >= 0 {
		p = p[:min(int64(len(p)), r.want-r.got)]
	}
	n, err := r.body.Read(p)
	r.got += int64(n)
	if err == nil {
		return n, nil
	}
	r.err = r.ended(err)
	return n, r.err
}

// WriteTo implements io.WriterTo, so that the body takes the shortest way to where it goes: see http1.Response.Move.
func (r *recvBody) WriteTo(w io.Writer) (int64, error) { return r.Move(w, math.MaxInt64) }

// Move implements storage.Mover.
func (r *recvBody) Move(w io.Writer, most int64) (int64, error) {
	body, ok := r.body.(storage.Mover)
	if !ok || !r.exact || r.err != nil {
		return io.Copy(w, io.LimitReader(readerOnly{r}, most))
	}
	n, err := body.Move(w, most)
	r.got += n
	if _, ours := errors.AsType[*http1.WriteError](err); ours {
		r.err = err
		return n, err
	}
	if err == nil && n == most { // maybe not the end
		return n, nil
	}
	if err == nil {
		err = io.EOF
	}
	if r.err = r.ended(err); errors.Is(r.err, io.EOF) {
		return n, nil
	}
	return n, r.err
}

// readerOnly hides the other abilities of a reader.
type readerOnly struct{ io.Reader }

// ended translates the error that ended the body early, or at its end.
func (r *recvBody) ended(err error) error {
	if cerr := r.ctxErr(); cerr != nil {
		return cerr
	}
	if errors.Is(err, io.EOF) && (r.want < 0 || r.got == r.want) {
		return io.EOF
	}
	msg := "the body broke off after " + strconv.FormatInt(r.got, 10)
	if r.want >= 0 {
		msg += " of " + strconv.FormatInt(r.want, 10)
	}
	return r.c.errorf(oms.Transient, codeTruncated, msg+" bytes")
}

// probe checks that nothing follows the wanted bytes.
func (r *recvBody) probe() error {
	var one [1]byte
	for range 16 { // readers that return nothing without an error are allowed, but not for ever
		n, err := r.body.Read(one[:])
		if n > 0 {
			return r.c.errorf(oms.Corrupt, codeTooLong, "the body holds more than the "+strconv.FormatInt(r.want, 10)+" bytes announced")
		}
		if err != nil {
			return r.ended(err)
		}
	}
	return io.EOF
}

// Close ends the read; a rest of the body costs the connection.
func (r *recvBody) Close() error {
	if r.err == nil {
		r.err = errClosed
	}
	return r.body.Close()
}
