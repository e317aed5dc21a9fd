package transfer

import (
	"hash/crc32"
	"math/bits"
)

// castagnoli is the table of CRC32C, the one checksum that is always computed: processors do it at memory speed.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The polynomials of the checksums of parts, reflected.
const (
	polyCRC32C    = crc32.Castagnoli
	polyCRC64NVME = 0x9a6c9329ac4bc9b5
)

// crc is a CRC of 32 or 64 bits.
type crc interface{ uint32 | uint64 }

// shifter appends zero bytes to what a CRC was computed of: a linear map over the bits of the CRC, one column each. It
// is made once for a number of bytes and applied to many parts.
type shifter[T crc] []T

// newShifter returns the map for n zero bytes and the reflected polynomial.
func newShifter[T crc](poly T, n int64) shifter[T] {
	width := bits.Len64(uint64(^T(0)))
	// Appending a zero bit multiplies by x modulo the polynomial. Its powers are made by squaring.
	power := make(shifter[T], width)
	result := make(shifter[T], width)
	power[0] = poly
	result[0] = 1
	for i := 1; i < width; i++ {
		power[i], result[i] = 1<<(i-1), 1<<i
	}
	for n := uint64(n) * 8; n > 0; n >>= 1 {
		if n&1 != 0 {
			result = power.after(result)
		}
		power = power.after(power)
	}
	return result
}

// after returns the map that applies first and then s.
func (s shifter[T]) after(first shifter[T]) shifter[T] {
	both := make(shifter[T], len(s))
	for i := range first {
		both[i] = s.apply(first[i])
	}
	return both
}

func (s shifter[T]) apply(v T) (sum T) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= s[i]
		}
	}
	return sum
}

// combineParts returns the CRC of a whole from the CRCs of its parts, which are all of size bytes but the last, of last
// bytes.
func combineParts[T crc](poly T, parts []T, size, last int64) T {
	whole := parts[0]
	if len(parts) == 1 {
		return whole
	}
	s := newShifter(poly, size)
	for _, part := range parts[1 : len(parts)-1] {
		whole = s.apply(whole) ^ part
	}
	return newShifter(poly, last).apply(whole) ^ parts[len(parts)-1]
}
