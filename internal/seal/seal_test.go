package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// testKey returns a master key made of one byte.
func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func newTestSealer(tb testing.TB, newest byte, older ...byte) *Sealer {
	tb.Helper()
	var keys [][]byte
	for _, b := range older {
		keys = append(keys, testKey(b))
	}
	s, err := New(testKey(newest), keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func seal(tb testing.TB, s *Sealer, plaintext, aad string) []byte {
	tb.Helper()
	sealed, err := s.Seal([]byte(plaintext), aad)
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

// wantRefused checks that sealed is not opened and that the error tells nothing of it.
func wantRefused(tb testing.TB, s *Sealer, sealed []byte, aad, what string) {
	tb.Helper()
	got, err := s.Open(sealed, aad)
	if err == nil {
		tb.Fatalf("%s: opened as %q", what, got)
	}
	if !errors.Is(err, oms.Corrupt) || err.Error() != refused().Error() {
		tb.Fatalf("%s: got error %v, want %v", what, err, refused())
	}
}

func TestSealOpen(t *testing.T) {
	s := newTestSealer(t, 1)
	for _, text := range []string{"", "k", "a secret key", strings.Repeat("x", maxPlaintext)} {
		for _, aad := range []string{"", "tenant|7|src|1"} {
			sealed := seal(t, s, text, aad)
			if len(sealed) != len(text)+Overhead {
				t.Errorf("sealed %d bytes as %d, want %d more", len(text), len(sealed), Overhead)
			}
			got, err := s.Open(sealed, aad)
			if err != nil || string(got) != text {
				t.Errorf("open %d bytes: got %d bytes, %v", len(text), len(got), err)
			}
		}
	}
	if _, err := s.Seal(make([]byte, maxPlaintext+1), ""); !errors.Is(err, oms.Invalid) {
		t.Errorf("seal too much: got %v, want invalid", err)
	}
}

// TestSealHides proves that neither plaintext nor aad is in the sealed text and that no two are alike (rule S4).
func TestSealHides(t *testing.T) {
	s := newTestSealer(t, 1)
	const text, aad = "canary-secret-key", "canary-tenant"
	a, b := seal(t, s, text, aad), seal(t, s, text, aad)
	if bytes.Contains(a, []byte("canary")) {
		t.Error("the sealed text shows what it seals")
	}
	for i := wrapStart; i+8 <= len(a); i++ {
		if bytes.Equal(a[i:i+8], b[i:i+8]) {
			t.Fatalf("two seals of one text agree at byte %d", i)
		}
	}
}

// TestOpenRefuses breaks the rule S4 in every place: each bit, each length, other purpose, other key.
func TestOpenRefuses(t *testing.T) {
	s := newTestSealer(t, 1)
	const aad = "tenant|7|src|1"
	sealed := seal(t, s, "a secret key", aad)
	for bit := range 8 * len(sealed) {
		changed := bytes.Clone(sealed)
		changed[bit/8] ^= 1 << (bit % 8)
		wantRefused(t, s, changed, aad, fmt.Sprintf("bit %d", bit))
	}
	for n := range sealed {
		wantRefused(t, s, sealed[:n], aad, fmt.Sprintf("cut to %d", n))
		wantRefused(t, s, sealed[n:], "", fmt.Sprintf("cut from %d", n))
	}
	wantRefused(t, s, append(bytes.Clone(sealed), 0), aad, "longer")
	wantRefused(t, s, nil, aad, "nothing")
	for _, other := range []string{"", "tenant|7|src|", "tenant|7|src|2", "tenant|7|src|1 "} {
		wantRefused(t, s, sealed, other, "aad "+other)
	}
	wantRefused(t, newTestSealer(t, 2), sealed, aad, "another master key")

	other := seal(t, s, "another key!", aad)
	mixed := append(bytes.Clone(sealed[:wrapEnd]), other[wrapEnd:]...)
	wantRefused(t, s, mixed, aad, "key of one text with the body of another")
}

func TestRotation(t *testing.T) {
	before := newTestSealer(t, 1)
	both := newTestSealer(t, 2, 1)
	after := newTestSealer(t, 2)
	const aad = "tenant|7|dst|1"
	sealed := seal(t, before, "a secret key", aad)

	if got, err := both.Open(sealed, aad); err != nil || string(got) != "a secret key" {
		t.Fatalf("open under the older key: got %q, %v", got, err)
	}
	wantRefused(t, before, seal(t, both, "x", aad), aad, "sealed by the newest")

	wrapped, err := both.Rewrap(sealed, aad)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := after.Open(wrapped, aad); err != nil || string(got) != "a secret key" {
		t.Fatalf("open after rewrap: got %q, %v", got, err)
	}
	wantRefused(t, before, wrapped, aad, "rewrapped, under the key given up")
	if again, err := both.Rewrap(wrapped, aad); err != nil || !bytes.Equal(again, wrapped) {
		t.Errorf("rewrap twice: got another text, %v", err)
	}
	if _, err := both.Rewrap(sealed, "other"); !errors.Is(err, oms.Corrupt) {
		t.Errorf("rewrap with another aad: got %v, want corrupt", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := both.Rewrap(sealed, aad); !errors.Is(err, oms.Corrupt) {
		t.Errorf("rewrap a changed text: got %v, want corrupt", err)
	}
}

func TestNewRefusesKeys(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := New(make([]byte, n)); !errors.Is(err, oms.Invalid) {
			t.Errorf("key of %d bytes: got %v, want invalid", n, err)
		}
		if _, err := New(testKey(1), make([]byte, n)); !errors.Is(err, oms.Invalid) {
			t.Errorf("older key of %d bytes: got %v, want invalid", n, err)
		}
	}
}

func TestSealerPrintsNothing(t *testing.T) {
	s := newTestSealer(t, 'K')
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("sealer", "s", s)
	for _, got := range []string{fmt.Sprintf("%v", s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%x", s)} {
		if got != "sealer" {
			t.Errorf("printed as %q", got)
		}
	}
	if !strings.Contains(log.String(), "s=sealer") {
		t.Errorf("logged as %q", log.String())
	}
}

func FuzzOpen(f *testing.F) {
	s := newTestSealer(f, 1, 2)
	const text, aad = "a secret key", "tenant|7|src|1"
	good := seal(f, s, text, aad)
	f.Add(good, aad)
	f.Add(good, "")
	f.Add(good[:len(good)-1], aad)
	f.Add(good[:wrapEnd], aad)
	f.Add([]byte{version}, aad)
	f.Add([]byte{}, "")
	f.Add(seal(f, newTestSealer(f, 2), text, aad), aad)
	f.Add(seal(f, newTestSealer(f, 3), text, aad), aad)
	f.Fuzz(func(t *testing.T, sealed []byte, purpose string) {
		got, err := s.Open(sealed, purpose)
		if err != nil {
			if got != nil || !errors.Is(err, oms.Corrupt) {
				t.Fatalf("refused with %v and %q", err, got)
			}
			return
		}
		if purpose != aad || string(got) != text {
			t.Fatalf("a forged text was opened as %q for %q", got, purpose)
		}
	})
}

func BenchmarkSealOpen(b *testing.B) {
	s := newTestSealer(b, 1)
	text := make([]byte, 200)
	for b.Loop() {
		sealed, err := s.Seal(text, "tenant|7|src|1")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Open(sealed, "tenant|7|src|1"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestKnows(t *testing.T) {
	first, second := newTestSealer(t, 1), newTestSealer(t, 2, 1)
	sealed := seal(t, first, "x", "aad")
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1] ^= 1
	other := bytes.Clone(sealed)
	other[0]++
	for _, tt := range []struct {
		name   string
		s      *Sealer
		sealed []byte
		want   bool
	}{
		{"own", first, sealed, true},
		{"older key", second, sealed, true},
		{"newer key", first, seal(t, second, "x", "aad"), false},
		{"damaged text", first, damaged, true},
		{"other version", first, other, false},
		{"too short", first, sealed[:minimumSize-1], false},
		{"empty", first, nil, false},
	} {
		if got := tt.s.Knows(tt.sealed); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
