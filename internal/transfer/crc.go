package transfer

import "hash/crc32"

// castagnoli is the table of CRC32C, the one checksum that is always computed: processors do it at memory speed.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// combineCRC32C returns the CRC32C of A followed by B, from the CRC of each and the length of B in bytes.
func combineCRC32C(a, b uint32, lenB int64) uint32 {
	if lenB == 0 {
		return a
	}
	// Appending a zero bit multiplies by x modulo the polynomial: a linear map, squared for each doubling.
	var op [32]uint32
	op[0] = crc32.Castagnoli
	for i := 1; i < 32; i++ {
		op[i] = 1 << (i - 1)
	}
	for n := uint64(lenB) * 8; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = applyGF2(&op, a)
		}
		op = squareGF2(&op)
	}
	return a ^ b
}

func applyGF2(m *[32]uint32, v uint32) uint32 {
	var sum uint32
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func squareGF2(m *[32]uint32) (sq [32]uint32) {
	for i := range m {
		sq[i] = applyGF2(m, m[i])
	}
	return sq
}

// combineCRC64NVME does the same for CRC-64/NVME.
func combineCRC64NVME(a, b uint64, lenB int64) uint64 {
	if lenB == 0 {
		return a
	}
	const reflected = 0x9a6c9329ac4bc9b5
	var op [64]uint64
	op[0] = reflected
	for i := 1; i < 64; i++ {
		op[i] = 1 << (i - 1)
	}
	for n := uint64(lenB) * 8; n > 0; n >>= 1 {
		if n&1 != 0 {
			a = applyGF2x64(&op, a)
		}
		var sq [64]uint64
		for i := range op {
			sq[i] = applyGF2x64(&op, op[i])
		}
		op = sq
	}
	return a ^ b
}

func applyGF2x64(m *[64]uint64, v uint64) uint64 {
	var sum uint64
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}
