package db

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// testListingHints: bounds come back for their own project and space only, in bounded number and size.
func testListingHints(t *testing.T, db *DB, c *clock) {
	ctx := t.Context()
	space := oms.KeySpace{ProjectID: "p", Endpoint: "https://store", Bucket: "photos", Prefix: "a/\xff"}
	want := []string{"a/\xff1", "a/\xff10", "a/\xff2", "a/\xff日本"}
	keep := func(s oms.KeySpace, bounds []string) {
		t.Helper()
		c.advance(time.Second)
		if err := db.KeepKeyBounds(ctx, s, bounds); err != nil {
			t.Fatal(err)
		}
	}
	get := func(s oms.KeySpace) []string {
		t.Helper()
		got, err := db.KeyBounds(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	keep(space, []string{"b"})
	keep(space, want)
	if got := get(space); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for _, other := range []oms.KeySpace{
		{ProjectID: "q", Endpoint: space.Endpoint, Bucket: space.Bucket, Prefix: space.Prefix},
		{ProjectID: "p", Endpoint: "https://other", Bucket: space.Bucket, Prefix: space.Prefix},
		{ProjectID: "p", Endpoint: space.Endpoint, Bucket: "video", Prefix: space.Prefix},
		{ProjectID: "p", Endpoint: space.Endpoint, Bucket: space.Bucket},
	} {
		if got := get(other); len(got) > 0 {
			t.Errorf("%+v got the bounds of another space: %q", other, got)
		}
	}
	keep(space, nil)
	if got := get(space); len(got) > 0 {
		t.Errorf("forgotten bounds came back: %q", got)
	}

	// Incompressible keys of the greatest length: every second one is kept until they fit.
	r := rand.New(rand.NewPCG(1, 2))
	long := make([]string, 1024)
	for i := range long {
		b := make([]byte, 1024)
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		long[i] = string(b)
	}
	slices.Sort(long)
	keep(space, long)
	if got := get(space); len(got) == 0 || len(strings.Join(got, "")) > maxHintBytes || !slices.IsSorted(got) {
		t.Errorf("%d of 1,024 long keys kept", len(got))
	}

	// The spaces that were listed longest ago are forgotten, those of other projects stay.
	other := oms.KeySpace{ProjectID: "q", Bucket: "photos"}
	keep(other, []string{"x"})
	for i := range maxHintRows {
		keep(oms.KeySpace{ProjectID: "p", Bucket: fmt.Sprint("bucket", i)}, []string{"x"})
	}
	if got := get(space); len(got) > 0 {
		t.Error("the oldest space is still there")
	}
	if len(get(oms.KeySpace{ProjectID: "p", Bucket: "bucket0"})) == 0 || len(get(other)) == 0 {
		t.Error("a space was forgotten too early")
	}
}

// FuzzUnpackKeys: whatever is stored, reading it ends in bounded memory; what was packed comes back.
func FuzzUnpackKeys(f *testing.F) {
	f.Add(packKeys([]string{"a", "ab", "ab", "b\x00", ""}))
	f.Add([]byte{0, 1, 'a', 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{5, 1})
	f.Fuzz(func(t *testing.T, packed []byte) {
		keys := unpackKeys(packed)
		total := 0
		for _, k := range keys {
			total += len(k)
		}
		if total > maxUnpacked {
			t.Fatalf("%d bytes", total)
		}
		if again := unpackKeys(packKeys(keys)); !slices.Equal(again, keys) {
			t.Fatalf("got %q, want %q", again, keys)
		}
	})
}
