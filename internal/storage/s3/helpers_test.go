package s3_test

import (
	"net"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
)

// newTransport returns a transport whose connections end with the test.
func newTransport(tb testing.TB) *s3.Transport {
	tb.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: new(net.Dialer).DialContext, HeaderTimeout: 30 * time.Second})
	tb.Cleanup(tr.CloseIdleConnections)
	return tr
}

// newOpener returns an opener with a transport of its own.
func newOpener(tb testing.TB) *s3.Opener {
	tb.Helper()
	return s3.NewOpener(s3.Options{Transport: newTransport(tb)})
}

// newGeneralOpener returns an opener that uses net/http for everything.
func newGeneralOpener(tb testing.TB) *s3.Opener {
	tb.Helper()
	return s3.NewOpener(s3.Options{Transport: newTransport(tb).General()})
}

// onBoth runs a test with package http1 and with net/http for the frequent calls, which must behave alike.
func onBoth(t *testing.T, test func(*testing.T, func(testing.TB) *s3.Opener)) {
	t.Run("http1", func(t *testing.T) { test(t, newOpener) })
	t.Run("net-http", func(t *testing.T) { test(t, newGeneralOpener) })
}

func open(tb testing.TB, o *s3.Opener, b storage.Bucket) *s3.Bucket {
	tb.Helper()
	r, err := o.Open(tb.Context(), b)
	if err != nil {
		tb.Fatal(err)
	}
	bucket, ok := r.(*s3.Bucket)
	if !ok {
		tb.Fatalf("got a %T", r)
	}
	return bucket
}

func keys(ak, sk string) oms.Credentials {
	return oms.Credentials{AccessKey: ak, SecretKey: oms.NewSecret(sk)}
}
