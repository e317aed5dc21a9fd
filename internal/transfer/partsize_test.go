package transfer

import (
	"testing"

	"github.com/openoms/openoms/internal/storage"
)

// TestAskedPartSize: what is asked for is used as far as the store allows it, and every object still fits.
func TestAskedPartSize(t *testing.T) {
	t.Parallel()
	aws := storage.PartLimits{MinPart: 5 * mebibyte, MaxPart: 5 << 30, MaxParts: 10_000}
	for _, test := range []struct {
		asked, size int64
		lim         storage.PartLimits
		want        int64
	}{
		{16 * mebibyte, 1 << 30, aws, 16 * mebibyte},
		{64 * mebibyte, 1 << 30, aws, 64 * mebibyte},
		{mebibyte, 1 << 30, aws, 5 * mebibyte},
		{mebibyte, 1 << 30, storage.PartLimits{}, mebibyte},
		{64 * mebibyte, 1 << 30, storage.PartLimits{MaxPart: 32 * mebibyte}, 32 * mebibyte},
		{5 * mebibyte, 1 << 40, aws, partSize(1<<40, aws)},
		{mebibyte, 2000 * mebibyte, storage.PartLimits{MaxParts: 1000}, partSize(2000*mebibyte, storage.PartLimits{MaxParts: 1000})},
	} {
		if got := askedPartSize(test.asked, test.size, test.lim); got != test.want {
			t.Errorf("%d asked for %d bytes, %+v: got %d, want %d", test.asked, test.size, test.lim, got, test.want)
		}
	}
}
