package cdn

import (
	"errors"
	"io"
	"strconv"

	"github.com/openoms/openoms/internal/oms"
)

// Codes of bodies that are not as long as announced.
const (
	codeTruncated = "BODY_TOO_SHORT"
	codeTooLong   = "BODY_TOO_LONG"
)

// exactBody yields exactly want bytes, else an error (rules D4, D8).
type exactBody struct {
	key    string
	body   io.ReadCloser
	ctxErr func() error
	want   int64
	got    int64
	err    error // what every further Read returns
}

// Read implements io.Reader.
func (b *exactBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.got == b.want {
		b.err = b.probe()
		return 0, b.err
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.want-b.got)])
	b.got += int64(n)
	if err != nil {
		b.err = b.ended(err)
	}
	return n, b.err
}

// ended translates the error that ended the body early, or at its end.
func (b *exactBody) ended(err error) error {
	if cerr := b.ctxErr(); cerr != nil {
		return cerr
	}
	if errors.Is(err, io.EOF) && b.got == b.want {
		return io.EOF
	}
	return failure(b.key, oms.Transient, codeTruncated,
		"the body broke off after "+strconv.FormatInt(b.got, 10)+" of "+strconv.FormatInt(b.want, 10)+" bytes")
}

// probe checks that nothing follows the wanted bytes.
func (b *exactBody) probe() error {
	var one [1]byte
	for range 16 { // readers that return nothing without an error are allowed, but not for ever
		n, err := b.body.Read(one[:])
		if n > 0 {
			return failure(b.key, oms.Corrupt, codeTooLong, "the body holds more than the "+strconv.FormatInt(b.want, 10)+" bytes announced")
		}
		if err != nil {
			return b.ended(err)
		}
	}
	return io.EOF
}

// Close ends the read; a rest of the body costs the connection.
func (b *exactBody) Close() error {
	if b.err == nil {
		b.err = errors.New("read of a closed body")
	}
	return b.body.Close()
}
