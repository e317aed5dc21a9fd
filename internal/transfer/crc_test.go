package transfer

import (
	"hash/crc32"
	"hash/crc64"
	"testing"

	"pgregory.net/rapid"
)

// TestCombineParts: whatever the bytes, and however they are cut into parts of one size, the CRC of the whole is found.
func TestCombineParts(t *testing.T) {
	nvme := crc64.MakeTable(polyCRC64NVME)
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.SliceOfN(rapid.Byte(), 1, 5000).Draw(t, "whole")
		size := rapid.IntRange(1, len(whole)).Draw(t, "size")
		var crcs []uint32
		var crc64s []uint64
		last := 0
		for off := 0; off < len(whole); off += size {
			part := whole[off:min(off+size, len(whole))]
			crcs, crc64s = append(crcs, crc32.Checksum(part, castagnoli)), append(crc64s, crc64.Checksum(part, nvme))
			last = len(part)
		}
		if got, want := combineParts(polyCRC32C, crcs, int64(size), int64(last)), crc32.Checksum(whole, castagnoli); got != want {
			t.Fatalf("CRC32C: got %08x, want %08x", got, want)
		}
		if got, want := combineParts(polyCRC64NVME, crc64s, int64(size), int64(last)), crc64.Checksum(whole, nvme); got != want {
			t.Fatalf("CRC64NVME: got %016x, want %016x", got, want)
		}
	})
}

func BenchmarkCombineParts(b *testing.B) {
	crcs, crc64s := make([]uint32, 256), make([]uint64, 256)
	b.Run("crc32c", func(b *testing.B) {
		for b.Loop() {
			combineParts(polyCRC32C, crcs, 8<<20, 5)
		}
	})
	b.Run("crc64nvme", func(b *testing.B) {
		for b.Loop() {
			combineParts(polyCRC64NVME, crc64s, 8<<20, 5)
		}
	})
}
