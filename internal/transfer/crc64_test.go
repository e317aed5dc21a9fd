package transfer

import (
	"hash/crc64"
	"math/rand/v2"
	"testing"
)

func TestCombineCRC64NVME(t *testing.T) {
	table := crc64.MakeTable(0x9a6c9329ac4bc9b5)
	for range 200 {
		b := make([]byte, rand.IntN(5000))
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		cut := rand.IntN(len(b) + 1)
		got := combineCRC64NVME(crc64.Checksum(b[:cut], table), crc64.Checksum(b[cut:], table), int64(len(b)-cut))
		if want := crc64.Checksum(b, table); got != want {
			t.Fatalf("cut %d of %d: got %x, want %x", cut, len(b), got, want)
		}
	}
}
