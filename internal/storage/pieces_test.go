package storage_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openoms/openoms/internal/storage"
)

func TestPieces(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 10)
	for _, from := range []int64{0, 1, 50, 99, 100, 101} {
		for _, piece := range []int64{1, 7, 100, 1000} {
			r := storage.NewPieces(from, int64(len(text)), piece, func(r storage.ByteRange, buf []byte) error {
				if int64(len(buf)) != r.Size || r.Size > piece || r.Size < 1 {
					t.Errorf("range %+v into %d bytes", r, len(buf))
				}
				copy(buf, text[r.Offset:r.Offset+r.Size])
				return nil
			})
			if err := iotest.TestReader(r, []byte(text[min(from, 100):])); err != nil {
				t.Errorf("from %d by %d: %v", from, piece, err)
			}
		}
	}
	broken := errors.New("broken")
	r := storage.NewPieces(0, 5, 3, func(storage.ByteRange, []byte) error { return broken })
	if _, err := io.ReadAll(r); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the fetch", err)
	}
}
