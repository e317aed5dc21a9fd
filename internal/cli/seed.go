package cli

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	randv2 "math/rand/v2"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/testcloud"
)

// demoLarge is the size of the demo's large objects in bytes, which travel in parts.
const demoLarge = 24 << 20

// seed fills a bucket with n small objects and some of each special kind: nested, empty, large, with metadata, and
// keys that are hard to carry. The content is the same each time.
func seed(b *testcloud.Bucket, n int) {
	random := randv2.NewChaCha8([32]byte{'d', 'e', 'm', 'o'})
	sizes := randv2.New(random) //nolint:gosec // the content of a demo
	fill := func(size int) []byte {
		data := make([]byte, size)
		_, _ = random.Read(data) // never fails
		return data
	}
	for i := range n {
		attrs := testcloud.Attrs{ContentType: "image/jpeg"}
		if i%7 == 0 {
			attrs.Meta = map[string]string{"camera": "lab", "number": strconv.Itoa(i)}
		}
		b.Put(fmt.Sprintf("2024/%02d/%02d/img-%06d.jpg", 1+i%12, 1+i%28, i), fill(sizes.IntN(12<<10)), attrs)
	}
	for i := range 60 {
		b.Put(fmt.Sprintf("empty/%02d", i), nil, testcloud.Attrs{ContentType: "text/plain"})
	}
	for i := range 40 {
		b.Put(strings.Repeat("nested/", i)+"note.txt", fill(100+i), testcloud.Attrs{ContentType: "text/plain; charset=utf-8", CacheControl: "max-age=60"})
	}
	b.Put("video/film.mp4", fill(demoLarge), testcloud.Attrs{ContentType: "video/mp4", Meta: map[string]string{"title": "one"}})
	for _, key := range testcloud.KeyCorpus() {
		b.Put(key, fill(1+len(key)%97), testcloud.Attrs{})
	}
}

// randomHex returns n random bytes in hex.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	return hex.EncodeToString(b)
}
