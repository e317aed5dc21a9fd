package azblob_test

import (
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/azblob"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/storage/storagetest/azurite"
)

func newOpener(tb testing.TB) *azblob.Opener {
	tb.Helper()
	tr := azblob.NewTransport(azblob.TransportOptions{Dial: new(net.Dialer).DialContext, HeaderTimeout: 30 * time.Second})
	tb.Cleanup(tr.CloseIdleConnections)
	return azblob.NewOpener(nil, azblob.Options{Transport: tr})
}

func open(tb testing.TB, o *azblob.Opener, b storage.Bucket) *azblob.Container {
	tb.Helper()
	r, err := o.Open(tb.Context(), b)
	if err != nil {
		tb.Fatal(err)
	}
	c, ok := r.(*azblob.Container)
	if !ok {
		tb.Fatalf("got a %T", r)
	}
	return c
}

// TestAzurite runs the suite, and what is special about Azure, against one emulator of the vendor: it is slow to start.
func TestAzurite(t *testing.T) {
	srv := azurite.Start(t)
	t.Run("Checksums", func(t *testing.T) { testChecksums(t, srv) })
	t.Run("Browse", func(t *testing.T) { testBrowse(t, srv) })
	o := newOpener(t)
	storagetest.Run(t, func(t *testing.T) storage.Writer { return open(t, o, srv.Bucket(srv.MakeContainer(t))) },
		storagetest.Multipart, storagetest.UploadsExpire, storagetest.BucketList, storagetest.Metadata, storagetest.MD5Enforced,
		storagetest.Refuses(refused),
		storagetest.MissingBucket(func(t *testing.T) storage.Writer { return open(t, o, srv.Bucket("no-such-container")) }),
		storagetest.WrongKeys(func(t *testing.T) storage.Writer {
			b := srv.Bucket(srv.MakeContainer(t))
			b.Credentials.SecretKey = oms.NewSecret("YW5vdGhlciBzZWNyZXQ=")
			return open(t, o, b)
		}),
	)
}

// refused tells the keys that no blob can have.
func refused(key string) bool {
	return !utf8.ValidString(key) || strings.HasSuffix(key, ".") || strings.Contains(key, "./") || strings.ContainsFunc(key, func(r rune) bool {
		return unicode.IsControl(r) || r == '\\' || r == '\uffff'
	})
}
