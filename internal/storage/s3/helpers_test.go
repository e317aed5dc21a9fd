package s3_test

import (
	"net"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
)

// newOpener returns an opener with a transport of its own, whose connections end with the test.
func newOpener(tb testing.TB) *s3.Opener {
	tb.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: new(net.Dialer).DialContext, HeaderTimeout: 30 * time.Second})
	tb.Cleanup(tr.CloseIdleConnections)
	return s3.NewOpener(s3.Options{Transport: tr})
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
