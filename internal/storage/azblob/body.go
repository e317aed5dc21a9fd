package azblob

import (
	"errors"
	"io"
	"strconv"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
)

var errClosed = errors.New("read of a closed body")

// recvBody is the body of an object. It yields exactly want bytes, else an error (rules D4, D8).
type recvBody struct {
	q      *call
	body   *http1.Response
	ctxErr func() error
	want   int64
	got    int64
	err    error // what every further Read returns
}

// Read implements io.Reader.
func (r *recvBody) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case len(p) == 0:
		return 0, nil
	case r.got == r.want:
		r.err = r.probe()
		return 0, r.err
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.want-r.got)])
	r.got += int64(n)
	if err != nil {
		r.err = r.ended(err)
	}
	return n, r.err
}

// WriteTo implements io.WriterTo, so that the body takes the shortest way to where it goes: see http1.Response.WriteTo.
func (r *recvBody) WriteTo(w io.Writer) (int64, error) {
	if r.err != nil || r.body.Length != r.want {
		return io.Copy(w, readerOnly{r})
	}
	n, err := r.body.WriteTo(w)
	r.got += n
	if _, ours := errors.AsType[*http1.WriteError](err); ours {
		r.err = err
		return n, err
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
	if errors.Is(err, io.EOF) && r.got == r.want {
		return io.EOF
	}
	return r.q.errorf(oms.Transient, codeTruncated, "the body broke off after "+strconv.FormatInt(r.got, 10)+" of "+
		strconv.FormatInt(r.want, 10)+" bytes")
}

// probe checks that nothing follows the wanted bytes.
func (r *recvBody) probe() error {
	var one [1]byte
	for range 16 { // readers that return nothing without an error are allowed, but not for ever
		n, err := r.body.Read(one[:])
		if n > 0 {
			return r.q.errorf(oms.Corrupt, codeTooLong, "the body holds more than the "+strconv.FormatInt(r.want, 10)+" bytes announced")
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
