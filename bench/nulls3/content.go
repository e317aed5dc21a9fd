package main

import (
	"crypto/md5"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"sync"
)

// blockLen is prime, so that content shifted by any power-of-two part size differs: swapped or misplaced parts
// change the object's checksum.
const blockLen = 4194301

// Bounds of what is known about contents.
const (
	knownMax  = 16 << 20 // bytes; the checksums of all contents of larger sizes are not computed ahead
	knownTabs = 256      // sizes
	// verifiedMax is the largest body, in bytes, whose MD5 is computed when it comes with a Content-MD5.
	verifiedMax = 1 << 10
)

// contents are the bytes of all objects. A byte is a function of variant and offset, so that nothing needs to be
// stored and two servers agree on every byte, MD5 and CRC. Safe for concurrent use.
type contents struct {
	block []byte // blockLen bytes twice: a slice of up to blockLen bytes from any start is contiguous
	crc   *crc32.Table

	tabs sync.Map // int64 size -> *sizeTab
	big  sync.Map // bigKey -> uint32

	mu    sync.Mutex // held while a table is made
	nTabs int
}

// bigKey names a content whose checksum was computed when it was asked for.
type bigKey struct{ variant, size int64 }

// sizeTab holds the checksums of all contents of one size.
type sizeTab struct {
	crc   []uint32
	md5   [][md5.Size]byte
	byCRC map[uint32]int64
}

func newContents() *contents {
	b := make([]byte, 2*blockLen+16)
	for i := 0; i < blockLen; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], mix(uint64(i)))
	}
	copy(b[blockLen:], b[:blockLen])
	return &contents{block: b[:2*blockLen], crc: crc32.MakeTable(crc32.Castagnoli)}
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// variants returns how many different contents objects of one size can have: few enough to know the MD5 of all.
func variants(size int64) int64 {
	if size <= 0 {
		return 1
	}
	return min(max(int64(64<<20)/size, 16), 1024)
}

// chunk returns the content at off, contiguous and at most n long.
func (c *contents) chunk(variant, off, n int64) []byte {
	start := (variant*4099%blockLen + off) % blockLen
	return c.block[start : start+min(n, blockLen)]
}

// sum returns the CRC-32C of a content from off to end.
func (c *contents) sum(variant, off, end int64) (crc uint32) {
	for off < end {
		p := c.chunk(variant, off, end-off)
		crc = crc32.Update(crc, c.crc, p)
		off += int64(len(p))
	}
	return crc
}

// known returns the checksums of all contents of this size, or nil when they are too many to know.
func (c *contents) known(size int64) *sizeTab {
	if t := c.tab(size); t != nil || size > knownMax {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tab(size); t != nil || c.nTabs > knownTabs {
		return t
	}
	c.nTabs++
	v := variants(size)
	t := &sizeTab{crc: make([]uint32, v), md5: make([][md5.Size]byte, v), byCRC: make(map[uint32]int64, v)}
	for i := range v {
		h := md5.New()
		for off := int64(0); off < size; {
			p := c.chunk(i, off, size-off)
			h.Write(p)
			off += int64(len(p))
		}
		h.Sum(t.md5[i][:0])
		t.crc[i] = c.sum(i, 0, size)
		t.byCRC[t.crc[i]] = i
	}
	c.tabs.Store(size, t)
	return t
}

func (c *contents) tab(size int64) *sizeTab {
	v, _ := c.tabs.Load(size)
	t, _ := v.(*sizeTab)
	return t
}

// checksum returns the CRC-32C of a content.
func (c *contents) checksum(variant, size int64) uint32 {
	if t := c.known(size); t != nil {
		return t.crc[variant]
	}
	key := bigKey{variant, size}
	v, _ := c.big.Load(key)
	if crc, ok := v.(uint32); ok {
		return crc
	}
	crc := c.sum(variant, 0, size)
	c.big.Store(key, crc)
	return crc
}

// variantOf returns the content of this size with this checksum, or -1.
func (c *contents) variantOf(crc uint32, size int64) int64 {
	if t := c.known(size); t != nil {
		if v, ok := t.byCRC[crc]; ok {
			return v
		}
		return -1
	}
	for v := range variants(size) {
		if c.checksum(v, size) == crc {
			return v
		}
	}
	return -1
}

// combineCRC returns crc(A||B) from crc(A), crc(B) and the length of B (Castagnoli): zlib's crc32_combine.
func combineCRC(a, b uint32, lenB int64) uint32 {
	if lenB <= 0 {
		return a
	}
	var even, odd [32]uint32
	odd[0] = 0x82f63b78
	row := uint32(1)
	for n := 1; n < 32; n++ {
		odd[n] = row
		row <<= 1
	}
	square(&even, &odd)
	square(&odd, &even)
	for {
		square(&even, &odd)
		if lenB&1 != 0 {
			a = times(&even, a)
		}
		lenB >>= 1
		if lenB == 0 {
			break
		}
		square(&odd, &even)
		if lenB&1 != 0 {
			a = times(&odd, a)
		}
		lenB >>= 1
		if lenB == 0 {
			break
		}
	}
	return a ^ b
}

func times(m *[32]uint32, v uint32) uint32 {
	var s uint32
	for v != 0 {
		s ^= m[bits.TrailingZeros32(v)]
		v &= v - 1
	}
	return s
}

func square(dst, src *[32]uint32) {
	for n := range src {
		dst[n] = times(src, src[n])
	}
}

// recordHash is the share of one object in the sum over a bucket.
func recordHash(key string, size int64, crc uint32) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return mix(h ^ mix(uint64(size)^uint64(crc)<<32))
}
