//go:build unix

package s3

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// cpuNanos is the processor time of this process, which other load does not change much.
func cpuNanos(b *testing.B) int64 {
	b.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return ru.Utime.Nano() + ru.Stime.Nano()
}

func BenchmarkParsePage(b *testing.B) {
	body, builder := awsPage(1000), new(pageBuilder)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	start := cpuNanos(b)
	for b.Loop() {
		if p, err := parsePage(builder, body); err != nil || len(p.objects) != 1000 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuNanos(b)-start)/float64(b.N)/1000, "cpu-ns/key")
}

// blank serves fixed bytes for GET and takes PUT.
type blank struct{ data []byte }

func (s blank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"00000000000000000000000000000000"`)
	if r.Method == http.MethodPut {
		_, _ = io.Copy(io.Discard, r.Body) // the client would notice
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.data)))
	_, _ = w.Write(s.data) // the client would notice
}

// serverEnv names a server that another process of this test runs, so that its CPU is not counted.
const serverEnv = "S3_BENCH_SERVER"

func benchBucket(b *testing.B, size int) *Bucket {
	b.Helper()
	url := os.Getenv(serverEnv)
	if url == "" {
		srv := httptest.NewServer(blank{make([]byte, size)})
		b.Cleanup(srv.Close)
		url = srv.URL
	} else {
		url += ":" + strconv.Itoa(10_000+size%50_000)
	}
	tr := NewTransport(TransportOptions{Dial: new(net.Dialer).DialContext})
	b.Cleanup(tr.CloseIdleConnections)
	r, err := NewOpener(Options{Transport: tr}).Open(b.Context(), storage.Bucket{
		CloudType: oms.CloudAWS, Name: "bucket", Credentials: exampleKeys(),
		Endpoint: oms.Endpoint{URL: url, Region: "us-east-1", PathStyle: true},
	})
	if err != nil {
		b.Fatal(err)
	}
	bucket, ok := r.(*Bucket)
	if !ok {
		b.Fatalf("got a %T", r)
	}
	return bucket
}

// relay reads an object into buf and writes it again.
func relay(ctx context.Context, bucket *Bucket, buf []byte) error {
	c, err := bucket.Open(ctx, "some/prefix/key-0001.bin", storage.OpenOptions{Size: int64(len(buf)), IfMatch: "00000000000000000000000000000000"})
	if err != nil {
		return err
	}
	defer c.Body.Close()
	if _, err = io.ReadFull(c.Body, buf); err != nil {
		return err
	}
	_, err = bucket.Put(ctx, storage.PutRequest{Key: "some/prefix/key-0001.bin", Body: bytes.NewReader(buf), Size: int64(len(buf))})
	return err
}

// BenchmarkRelay reads and writes objects over loopback. The CPU time includes that of the server unless
// S3_BENCH_SERVER names another one.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{4 * kib, 8 * mib} {
		b.Run(strconv.Itoa(size/kib)+"KiB", func(b *testing.B) {
			bucket := benchBucket(b, size)
			b.SetBytes(2 * int64(size))
			b.ReportAllocs()
			start := cpuNanos(b)
			b.RunParallel(func(pb *testing.PB) {
				buf := make([]byte, size)
				for pb.Next() {
					if err := relay(b.Context(), bucket, buf); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(cpuNanos(b)-start)/float64(b.N)/1000, "cpu-us/pair")
		})
	}
}
