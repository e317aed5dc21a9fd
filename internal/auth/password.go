package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/openoms/openoms/internal/oms"
)

// Parameters of new hashes: the memory-lean choice of the OWASP recommendations for Argon2id.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2        // passes
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

// Bounds of stored hashes and of the work of a flood.
const (
	argonMaxMemory  = 256 << 10 // KiB
	argonMaxTime    = 16
	argonMaxThreads = 8
	hashSlots       = 2  // hashes computed at once: 38 MiB
	hashQueue       = 32 // requests that wait for a slot; more are throttled
	minPassword     = 8  // bytes
	maxPassword     = 256
)

// hasher computes Argon2id hashes, a few at a time.
type hasher struct {
	slots chan struct{}
	queue chan struct{}
}

func newHasher() *hasher {
	return &hasher{slots: make(chan struct{}, hashSlots), queue: make(chan struct{}, hashSlots+hashQueue)}
}

// acquire waits for a slot; the caller calls release.
func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.queue <- struct{}{}:
	default:
		return tooMany()
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-h.queue
		return ctx.Err()
	}
}

func (h *hasher) release() {
	<-h.slots
	<-h.queue
}

// hash returns the PHC string of password.
func (h *hasher) hash(ctx context.Context, password oms.Secret) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	p := phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, argonSalt)}
	_, _ = rand.Read(p.salt)
	p.key = argon2.IDKey([]byte(password.Reveal()), p.salt, p.time, p.memory, p.threads, argonKey)
	return p.String(), nil
}

// verify reports whether password is the one of the PHC string. An empty or malformed string costs the same
// and matches nothing.
func (h *hasher) verify(ctx context.Context, stored string, password oms.Secret) (bool, error) {
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.release()
	p, err := parsePHC(stored)
	if err != nil {
		p = phc{
			memory: argonMemory, time: argonTime, threads: argonThreads,
			salt: make([]byte, argonSalt), key: make([]byte, argonKey),
		}
	}
	key := argon2.IDKey([]byte(password.Reveal()), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
	equal := subtle.ConstantTimeCompare(key, p.key) == 1
	return equal && err == nil, nil
}

// phc is "$argon2id$v=19$m=…,t=…,p=…$salt$key".
type phc struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// String returns the PHC string.
func (p phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.key))
}

var errPHC = errors.New("password hash is malformed")

// parsePHC reads a PHC string whose cost is within bounds.
func parsePHC(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(s) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errPHC
	}
	var p phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return phc{}, errPHC
	}
	if parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.time, p.threads) {
		return phc{}, errPHC
	}
	if p.memory < 8 || p.memory > argonMaxMemory || p.time < 1 || p.time > argonMaxTime || p.threads < 1 || p.threads > argonMaxThreads {
		return phc{}, errPHC
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	p.key, err2 = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(p.salt) < 8 || len(p.salt) > 64 || len(p.key) < 16 || len(p.key) > 64 {
		return phc{}, errPHC
	}
	return p, nil
}

// checkPassword refuses passwords that are too short or cannot stand on a line of their own.
func checkPassword(password oms.Secret) error {
	text := password.Reveal()
	if len(text) < minPassword || len(text) > maxPassword || strings.ContainsFunc(text, isControl) {
		return oms.Errorf(oms.Invalid, "", "a password has %d to %d bytes and no control characters", minPassword, maxPassword)
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// Attempts at passwords that may fail within attemptWindow.
const (
	attemptWindow  = 5 * time.Minute
	attemptsPair   = 10  // for one user from one address
	attemptsUser   = 100 // for one user from anywhere
	attemptBuckets = 1 << 13
)

// attempts counts attempts at passwords in two tables of fixed size, by user and by user and address. A
// collision of two users only limits both together; nothing is ever evicted, so no flood of invented names
// frees a counter.
type attempts struct {
	seed maphash.Seed

	mu    sync.Mutex
	users [attemptBuckets]attemptCount
	pairs [attemptBuckets]attemptCount
}

type attemptCount struct {
	since time.Time
	n     int
}

func newAttempts() *attempts { return &attempts{seed: maphash.MakeSeed()} }

// begin counts an attempt before its outcome is known, or refuses it as Throttled.
func (a *attempts) begin(user, address string, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, p := a.counters(user, address)
	if u.at(now) >= attemptsUser || p.at(now) >= attemptsPair {
		return tooMany()
	}
	u.n++
	p.n++
	return nil
}

// succeeded takes the attempt back: only failures count. It also forgives the earlier ones from that address.
func (a *attempts) succeeded(user, address string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, p := a.counters(user, address)
	if u.at(now) > 0 {
		u.n--
	}
	*p = attemptCount{}
}

func (a *attempts) counters(user, address string) (u, p *attemptCount) {
	i := maphash.String(a.seed, user) % attemptBuckets
	j := maphash.String(a.seed, user+"\x00"+address) % attemptBuckets
	return &a.users[i], &a.pairs[j]
}

// at returns the count of the running window, starting a new one when the last is over.
func (c *attemptCount) at(now time.Time) int {
	if d := now.Sub(c.since); d < 0 || d >= attemptWindow {
		*c = attemptCount{since: now}
	}
	return c.n
}

// sourceOf reduces a remote address "ip:port" to what one sender can hardly vary: an IPv4 address or the /64
// of an IPv6 address. Anything else counts as one sender.
func sourceOf(remoteAddr string) string {
	ap, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return ""
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}

func tooMany() error {
	return oms.Errorf(oms.Throttled, codeThrottled, "Too many attempts. Try again later.")
}
