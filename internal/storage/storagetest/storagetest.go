// Package storagetest is the conformance suite of the storage seam: every provider passes it against a real server.
//
//	func TestBucket(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storage.Writer { return openTemp(t) },
//			storagetest.Multipart, storagetest.Copy(bucketName), storagetest.BucketList)
//	}
//
// Abilities that are listed must be present and unlisted ones absent, so that a refactoring cannot lose one
// unnoticed. What a server cannot do for reasons of its own, such as holding certain keys, is said by options too.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Ability is something a provider can do, or a fact about the server behind it.
type Ability func(*suite)

// Open returns a bucket that exists and is empty.
type Open func(t *testing.T) storage.Writer

// suite is one run.
type suite struct {
	open        Open
	missing     Open // a bucket that does not exist
	wrongKeys   Open // a bucket opened with keys that are wrong
	multipart   bool
	copies      bool
	lists       bool
	bucketName  func(storage.Writer) string
	crcEnforced bool
	md5Enforced bool
	metadata    bool
	truncates   bool
	expiring    bool
	wholeCopies bool
	refused     func(key string) bool
	mangled     func(key string) bool
}

// Multipart says that the bucket is a storage.Multiparter.
func Multipart(s *suite) { s.multipart = true }

// BucketList says that the bucket is a storage.BucketLister.
func BucketList(s *suite) { s.lists = true }

// Metadata says that the server keeps the standard headers and user metadata, Unicode included.
func Metadata(s *suite) { s.metadata = true }

// ChecksumEnforced says that a wrong CRC-32C is refused with oms.Corrupt; without it, it is not even looked at.
func ChecksumEnforced(s *suite) { s.crcEnforced = true }

// MD5Enforced says that a wrong MD5 is refused with oms.Corrupt.
func MD5Enforced(s *suite) { s.md5Enforced = true }

// Copy says that the bucket is a storage.Copier; name returns the name it goes by as the source of a copy.
func Copy(name func(storage.Writer) string) Ability {
	return func(s *suite) { s.copies, s.bucketName = true, name }
}

// WholeCopies says that the server copies objects but no parts: oms.Unsupported.
func WholeCopies(s *suite) { s.wholeCopies = true }

// MissingBucket adds the tests of a bucket that does not exist.
func MissingBucket(open Open) Ability { return func(s *suite) { s.missing = open } }

// WrongKeys adds the tests of a bucket opened with keys that the server does not know.
func WrongKeys(open Open) Ability { return func(s *suite) { s.wrongKeys = open } }

// KeepsTruncated says that the server keeps what it got of a body that broke off, unless a checksum came with it.
func KeepsTruncated(s *suite) { s.truncates = true }

// UploadsExpire says that the server forgets uploads by itself: they can be neither listed nor dropped, and it takes parts
// of uploads that have ended.
func UploadsExpire(s *suite) { s.expiring = true }

// Refuses tells the keys of KeyCorpus that the server does not take: writing them must fail.
func Refuses(match func(key string) bool) Ability { return func(s *suite) { s.refused = match } }

// Mangles tells the keys of KeyCorpus that the server takes, but keeps or lists as other ones: they are left out.
func Mangles(match func(key string) bool) Ability { return func(s *suite) { s.mangled = match } }

// Run runs the suite. open is called for each test and returns an empty bucket.
func Run(t *testing.T, open Open, abilities ...Ability) {
	t.Helper()
	none := func(string) bool { return false }
	s := &suite{open: open, refused: none, mangled: none}
	for _, a := range abilities {
		a(s)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
		skip bool
	}{
		{"Abilities", s.testAbilities, false},
		{"Sizes", s.testSizes, false},
		{"Overwrite", s.testOverwrite, false},
		{"Delete", s.testDelete, false},
		{"Missing", s.testMissing, false},
		{"Ranges", s.testRanges, false},
		{"IfMatch", s.testIfMatch, false},
		{"Expected", s.testExpected, false},
		{"List", s.testList, false},
		{"ListEmpty", s.testListEmpty, false},
		{"Keys", s.testKeys, false},
		{"Sums", s.testSums, false},
		{"Metadata", s.testMetadata, !s.metadata},
		{"BodyShort", s.testBodyShort, false},
		{"BodyError", s.testBodyError, false},
		{"BodyReleased", s.testBodyReleased, false},
		{"Cancel", s.testCancel, false},
		{"Concurrent", s.testConcurrent, false},
		{"Multipart", s.testMultipart, !s.multipart},
		{"MultipartReplace", s.testMultipartReplace, !s.multipart},
		{"MultipartAbort", s.testMultipartAbort, !s.multipart},
		{"MultipartMetadata", s.testMultipartMetadata, !s.multipart || !s.metadata},
		{"ListUploads", s.testListUploads, !s.multipart},
		{"Copy", s.testCopy, !s.copies},
		{"CopyPart", s.testCopyPart, !s.copies || !s.multipart},
		{"Account", s.testAccount, !s.lists},
		{"MissingBucket", s.testMissingBucket, s.missing == nil},
		{"WrongKeys", s.testWrongKeys, s.wrongKeys == nil},
	} {
		if !test.skip {
			t.Run(test.name, test.run)
		}
	}
}

// testAbilities checks that what is listed is there and nothing else.
func (s *suite) testAbilities(t *testing.T) {
	w := s.open(t)
	_, multipart := w.(storage.Multiparter)
	_, copies := w.(storage.Copier)
	_, lists := w.(storage.BucketLister)
	for _, a := range []struct {
		name      string
		has, want bool
	}{
		{"Multiparter", multipart, s.multipart},
		{"Copier", copies, s.copies},
		{"BucketLister", lists, s.lists},
	} {
		if a.has != a.want {
			t.Errorf("implements storage.%s: got %v, want %v", a.name, a.has, a.want)
		}
	}
}

// Data returns size bytes that depend on seed and look random.
func Data(seed uint64, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(data) // never fails
	return data
}

// put writes an object and fails the test when that does not work.
func put(t *testing.T, w storage.Writer, key string, data []byte) storage.Written {
	t.Helper()
	got, err := w.Put(t.Context(), storage.PutRequest{Key: key, Body: bytes.NewReader(data), Size: int64(len(data))})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return got
}

// get reads a whole object.
func get(t *testing.T, r storage.Reader, key string) []byte {
	t.Helper()
	return read(t, r, key, storage.OpenOptions{Size: -1})
}

func read(t *testing.T, r storage.Reader, key string, opts storage.OpenOptions) []byte {
	t.Helper()
	c, err := r.Open(t.Context(), key, opts)
	if err != nil {
		t.Fatalf("open %q: %v", key, err)
	}
	data, err := io.ReadAll(c.Body)
	if err != nil {
		t.Fatalf("read %q: %v", key, err)
	}
	if err := c.Body.Close(); err != nil {
		t.Errorf("close %q: %v", key, err)
	}
	if c.Length >= 0 && c.Length != int64(len(data)) {
		t.Errorf("%q: Length = %d, got %d bytes", key, c.Length, len(data))
	}
	return data
}

// wantData compares content without printing it.
func wantData(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes, want %d, or other content", what, len(got), len(want))
	}
}

// wantKind checks the kind of an error.
func wantKind(t *testing.T, what string, err error, kinds ...oms.Kind) {
	t.Helper()
	for _, k := range kinds {
		if errors.Is(err, k) {
			return
		}
	}
	t.Errorf("%s: got error %v, want kind %v", what, err, kinds)
}

// cancelled returns a context that has ended already.
func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// recent checks that an instant that the server made is of about now.
func recent(t *testing.T, what string, at time.Time) {
	t.Helper()
	if d := time.Since(at).Abs(); d > 10*time.Minute {
		t.Errorf("%s: %v is %v away", what, at, d)
	}
}
