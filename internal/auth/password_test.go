package auth

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/openoms/openoms/internal/oms"
)

// cheapHash is a valid hash with the least cost that is accepted.
func cheapHash(password string) string {
	p := phc{memory: 8, time: 1, threads: 1, salt: []byte("saltsalt")}
	p.key = argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, argonKey)
	return p.String()
}

func TestHash(t *testing.T) {
	h := newHasher()
	stored, err := h.hash(t.Context(), oms.NewSecret("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %q, want the parameters of new hashes", stored)
	}
	for _, tt := range []struct {
		stored, password string
		want             bool
	}{
		{stored, "correct horse", true},
		{stored, "correct hors", false},
		{stored, "", false},
		{"", "", false},
		{"", "correct horse", false},
		{stored[:len(stored)-1], "correct horse", false},
		{cheapHash("x"), "x", true},
		{cheapHash("x"), "y", false},
	} {
		got, err := h.verify(t.Context(), tt.stored, oms.NewSecret(tt.password))
		if err != nil || got != tt.want {
			t.Errorf("verify %q with %q: got %v, %v, want %v", tt.stored, tt.password, got, err, tt.want)
		}
	}
}

func TestParsePHC(t *testing.T) {
	good := cheapHash("x")
	for _, bad := range []string{
		"", "$", "$$$$$", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=8", "m=4294967295", 1), strings.Replace(good, "m=8", "m=08", 1),
		strings.Replace(good, "m=8", "m=-8", 1), strings.Replace(good, "m=8", "m=7", 1),
		strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "t=1", "t=17", 1),
		strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=9", 1),
		strings.Replace(good, "p=1", "p=1,x=1", 1), good + "$", good + "=", "$argon2id$v=19$m=8,t=1,p=1$$",
		"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$" + strings.Repeat("A", 600),
	} {
		if p, err := parsePHC(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, p)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(cheapHash("x"))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2Fs$AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parsePHC(s); err == nil && p.String() != s {
			t.Errorf("got %q, want %q", p.String(), s)
		}
	})
}

// TestHashFlood: hashes beyond the slots wait, beyond the queue they are refused, and a caller that leaves
// gives its place back (rule C4).
func TestHashFlood(t *testing.T) {
	h := newHasher()
	for range hashSlots {
		if err := h.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.acquire(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	waiting, stop := context.WithCancel(t.Context())
	done := make(chan error)
	for range hashQueue {
		go func() { done <- h.acquire(waiting) }()
	}
	for len(h.queue) < hashSlots+hashQueue { // all are in the queue before the next comes
		select {
		case err := <-done:
			t.Fatalf("a waiting hash returned %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := h.verify(t.Context(), "", oms.Secret{}); !errors.Is(err, oms.Throttled) {
		t.Errorf("got %v, want Throttled", err)
	}
	stop()
	for range hashQueue {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	for range hashSlots {
		h.release()
	}
	if len(h.queue) != 0 || len(h.slots) != 0 {
		t.Errorf("%d places and %d slots were not given back", len(h.queue), len(h.slots))
	}
}

func TestAttempts(t *testing.T) {
	now := newClock(t, testDate).Now()
	a := newAttempts()
	for i := range attemptsPair {
		if err := a.begin("alice", "a", now); err != nil {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if err := a.begin("alice", "a", now); !errors.Is(err, oms.Throttled) {
		t.Errorf("same address: got %v, want Throttled", err)
	}
	if err := a.begin("alice", "b", now); err != nil {
		t.Errorf("the user is locked out from elsewhere: %v", err)
	}
	if err := a.begin("bob", "a", now); err != nil {
		t.Errorf("another user is locked out: %v", err)
	}
	if err := a.begin("alice", "a", now.Add(attemptWindow)); err != nil {
		t.Errorf("after the window: %v", err)
	}
	b := newAttempts()
	n := 0
	for i := range 2 * attemptsUser {
		if b.begin("alice", "address "+strconv.Itoa(i), now) == nil {
			n++
		}
	}
	if n > attemptsUser {
		t.Errorf("%d attempts from many addresses, want at most %d", n, attemptsUser)
	}
	for range 10 * attemptsPair {
		if err := a.begin("carol", "c", now); err != nil {
			t.Fatalf("successes are counted: %v", err)
		}
		a.succeeded("carol", "c", now)
	}
}

func TestSourceOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.7", "[::ffff:192.0.2.7]:80": "192.0.2.7", "[2001:db8:1:2:3::4]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80": "fe80::/64", "": "", "@": "", "host:80": "",
	} {
		if got := sourceOf(in); got != want {
			t.Errorf("sourceOf(%q) = %q, want %q", in, got, want)
		}
	}
}
