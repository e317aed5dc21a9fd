package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Times and bounds of what is remembered between requests.
const (
	cacheTTL  = 5 * time.Second // a revoked key or token is refused everywhere after this
	cacheSize = 4096            // access keys, and tokens
	tokenLife = 24 * time.Hour  // rule S3

	// Dates of signatures have whole seconds: two equal calls of one client in one second have one signature.
	repeatSpan = 2 * time.Second
)

// Options are what a Service needs.
type Options struct {
	Store  Store            // required
	Sealer Sealer           // required
	Now    func() time.Time // the clock; nil means time.Now
}

// Service authenticates callers and manages their credentials. It is safe for concurrent use; nothing needs
// to be closed.
type Service struct {
	store    Store
	sealer   Sealer
	now      func() time.Time
	keys     *keyring
	tokens   *ttlCache[[32]byte, tokenEntry]
	using    [256]sync.Mutex             // by first byte: held while a signature is used up, so that recent knows of every first use
	recent   *ttlCache[[32]byte, string] // first use of a signature: the address it came from
	hasher   *hasher
	attempts *attempts
}

// New returns a Service. Bootstrap must have run once on the store before anybody can be authenticated.
func New(opts Options) *Service {
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	return &Service{
		store: opts.Store, sealer: opts.Sealer, now: now,
		keys: &keyring{
			store: opts.Store, sealer: opts.Sealer,
			cache: newTTLCache[string, activeKey](cacheTTL, cacheSize),
		},
		tokens:   newTTLCache[[32]byte, tokenEntry](cacheTTL, cacheSize),
		recent:   newTTLCache[[32]byte, string](repeatSpan, cacheSize),
		hasher:   newHasher(),
		attempts: newAttempts(),
	}
}

// PurgeExpired deletes expired tokens and signatures from the store. A server calls it every few minutes.
func (s *Service) PurgeExpired(ctx context.Context) error {
	return s.store.PurgeExpired(ctx, s.now().UTC())
}

// activeKey is an access key that is ready to verify with.
type activeKey struct {
	sk oms.Secret
	id Identity
}

// keyring opens access keys and remembers them for cacheTTL.
type keyring struct {
	store  Store
	sealer Sealer
	cache  *ttlCache[string, activeKey]
}

// lookup returns the key of ak. When there is none that is accepted, known is false and the key is a dummy
// to compute with, so that the caller's work is the same.
func (k *keyring) lookup(ctx context.Context, ak string, now time.Time) (key activeKey, known bool, err error) {
	if key, ok := k.cache.get(ak, now); ok {
		return key, true, nil
	}
	dummy := activeKey{sk: oms.NewSecret("no access key has this secret as its own")}
	row, err := k.store.AccessKey(ctx, ak)
	if errors.Is(err, oms.NotFound) || err == nil && row.Status != KeyActive {
		return dummy, false, nil
	}
	if err != nil {
		return dummy, false, fmt.Errorf("look up access key: %w", err)
	}
	user, err := k.store.User(ctx, row.UserID)
	if errors.Is(err, oms.NotFound) {
		return dummy, false, nil
	}
	if err != nil {
		return dummy, false, fmt.Errorf("look up the access key's user: %w", err)
	}
	sk, err := k.sealer.Open(row.SealedSK, sealLabel(ak))
	if err != nil {
		return dummy, false, fmt.Errorf("open access key: %w", err)
	}
	key = activeKey{sk: oms.NewSecret(string(sk)), id: Identity{
		Domain: TheDomain(), UserID: user.ID, UserName: user.Name, ProjectID: row.ProjectID,
		Role: weaker(row.Role, user.Role), Credential: AccessKeyCredential, AccessKey: ak,
	}}
	k.cache.put(ak, key, now)
	return key, true, nil
}

// sealLabel is the AAD under which the SK of ak is sealed.
func sealLabel(ak string) string { return "access_key|" + ak }

// newID returns 32 random lower-case hex digits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	return hex.EncodeToString(b[:])
}

// Alphabets of generated credentials.
const (
	upperAlnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alnum      = upperAlnum + "abcdefghijklmnopqrstuvwxyz"
)

// randomText returns n characters of alphabet, each equally likely. The alphabet has at most 256.
func randomText(n int, alphabet string) string {
	limit := 256 / len(alphabet) * len(alphabet) // bytes from here on would favour the first characters
	out := make([]byte, 0, n)
	var b [64]byte
	for len(out) < n {
		_, _ = rand.Read(b[:])
		for _, c := range b {
			if int(c) < limit && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}
