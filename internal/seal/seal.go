package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/openoms/openoms/internal/oms"
)

// KeySize is the length of a master key in bytes.
const KeySize = 32

// The layout of a sealed text: version, id of the master key, nonce and wrapped data key, nonce and text.
const (
	version   = 1
	idSize    = 8
	nonceSize = 12
	tagSize   = 16

	wrapStart    = 1 + idSize
	wrapEnd      = wrapStart + nonceSize + KeySize + tagSize
	minimumSize  = wrapEnd + nonceSize + tagSize
	wrapDomain   = "openoms seal v1 key|"
	textDomain   = "openoms seal v1 text|"
	idDomain     = "openoms seal v1 id|"
	maxPlaintext = 1 << 20
)

// Overhead is how much longer a sealed text is than its plaintext, in bytes.
const Overhead = minimumSize

type keyID [idSize]byte

// Sealer seals and opens under master keys. It is safe for concurrent use and prints without its keys.
type Sealer struct {
	newest keyID
	keys   map[keyID]cipher.AEAD
}

// New returns a Sealer that seals with newest and opens with all keys given. Each key has KeySize bytes of a
// cryptographic random source; New keeps no reference to them.
func New(newest []byte, older ...[]byte) (*Sealer, error) {
	s := &Sealer{newest: idOf(newest), keys: make(map[keyID]cipher.AEAD, 1+len(older))}
	for _, key := range append([][]byte{newest}, older...) {
		if len(key) != KeySize {
			return nil, oms.Errorf(oms.Invalid, "", "a master key has %d bytes, not %d", KeySize, len(key))
		}
		aead, err := newAEAD(key)
		if err != nil {
			return nil, fmt.Errorf("use master key: %w", err)
		}
		s.keys[idOf(key)] = aead
	}
	return s, nil
}

// Seal encrypts and authenticates plaintext, at most 1 MiB of it; aad must be the same at Open.
func (s *Sealer) Seal(plaintext []byte, aad string) ([]byte, error) {
	if len(plaintext) > maxPlaintext {
		return nil, oms.Errorf(oms.Invalid, "", "seal: more than %d bytes", maxPlaintext)
	}
	dataKey := make([]byte, KeySize)
	defer clear(dataKey)
	if _, err := rand.Read(dataKey); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	out, err := s.wrap(make([]byte, 0, Overhead+len(plaintext)), dataKey, aad)
	if err != nil {
		return nil, err
	}
	text, err := newAEAD(dataKey)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return appendSealed(out, text, plaintext, []byte(textDomain+aad))
}

// Open returns the plaintext. A text that Seal did not make with this aad and one of the Sealer's master keys is
// refused as Corrupt; the error does not say which part of it is wrong.
func (s *Sealer) Open(sealed []byte, aad string) ([]byte, error) {
	dataKey, err := s.unwrap(sealed, aad)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	text, err := newAEAD(dataKey)
	if err != nil {
		return nil, refused()
	}
	body := sealed[wrapEnd:]
	plaintext, err := text.Open(nil, body[:nonceSize], body[nonceSize:], []byte(textDomain+aad))
	if err != nil {
		return nil, refused()
	}
	return plaintext, nil
}

// Knows reports whether the master key that sealed the text is one of s. It tells a missing key from a text that is
// damaged or at another's place, which Open refuses alike.
func (s *Sealer) Knows(sealed []byte) bool {
	if len(sealed) < minimumSize || sealed[0] != version {
		return false
	}
	_, ok := s.keys[keyID(sealed[1:wrapStart])]
	return ok
}

// Rewrap returns the sealed text wrapped by the newest master key, so that an older one can be given up. The text
// itself stays encrypted as it is. One that the newest key wraps already is returned unchanged.
func (s *Sealer) Rewrap(sealed []byte, aad string) ([]byte, error) {
	if _, err := s.Open(sealed, aad); err != nil {
		return nil, err
	}
	if keyID(sealed[1:wrapStart]) == s.newest {
		return sealed, nil
	}
	dataKey, err := s.unwrap(sealed, aad)
	if err != nil {
		return nil, err
	}
	defer clear(dataKey)
	out, err := s.wrap(make([]byte, 0, len(sealed)), dataKey, aad)
	if err != nil {
		return nil, err
	}
	return append(out, sealed[wrapEnd:]...), nil
}

// Format implements fmt.Formatter, so that no verb shows a key.
func (s *Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sealer") }

// wrap appends the head of a sealed text with the data key under the newest master key.
func (s *Sealer) wrap(out, dataKey []byte, aad string) ([]byte, error) {
	out = append(append(out, version), s.newest[:]...)
	return appendSealed(out, s.keys[s.newest], dataKey, wrapAAD(out, aad))
}

// unwrap returns the data key of a sealed text.
func (s *Sealer) unwrap(sealed []byte, aad string) ([]byte, error) {
	if len(sealed) < minimumSize || len(sealed) > maxPlaintext+Overhead || sealed[0] != version {
		return nil, refused()
	}
	master, ok := s.keys[keyID(sealed[1:wrapStart])]
	if !ok {
		return nil, refused()
	}
	nonce, wrapped := sealed[wrapStart:wrapStart+nonceSize], sealed[wrapStart+nonceSize:wrapEnd]
	dataKey, err := master.Open(nil, nonce, wrapped, wrapAAD(sealed[:wrapStart], aad))
	if err != nil {
		return nil, refused()
	}
	return dataKey, nil
}

// wrapAAD binds the wrapped key to version, master key and purpose.
func wrapAAD(head []byte, aad string) []byte {
	return append(append([]byte(wrapDomain), head...), aad...)
}

// appendSealed appends a random nonce and the encrypted text to out.
func appendSealed(out []byte, aead cipher.AEAD, plaintext, aad []byte) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead.Seal(append(out, nonce...), nonce, plaintext, aad), nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// idOf names a master key without telling anything about it.
func idOf(key []byte) keyID {
	sum := sha256.Sum256(append([]byte(idDomain), key...))
	return keyID(sum[:idSize])
}

func refused() error {
	return oms.Errorf(oms.Corrupt, "", "a sealed text cannot be opened: it was changed, is used in another place, or its master key is missing")
}
