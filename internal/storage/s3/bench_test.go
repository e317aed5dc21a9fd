//go:build unix

package s3

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

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

// serverEnv makes the test binary a server for benchmarks, so that its processor time is not counted.
const serverEnv = "S3_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		srv := httptest.NewServer(http.HandlerFunc(serveBlank))
		fmt.Println(srv.URL)
		_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark closes it
		os.Exit(0)
	}
	// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// serveBlank serves zeros for GET, as many as the bucket's name says, and takes PUT.
func serveBlank(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"00000000000000000000000000000000"`)
	if r.Method == http.MethodPut {
		_, _ = io.Copy(io.Discard, r.Body) // the client would notice
		return
	}
	if r.URL.Query().Has("list-type") {
		_, _ = w.Write(awsPage(1000)) // as above
		return
	}
	size, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[1]) // the client would notice
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(make([]byte, size)) // the client would notice
}

// BenchmarkListPage asks for a page of 1,000 keys over loopback; the CPU time is that of the client alone.
func BenchmarkListPage(b *testing.B) {
	url := startServer(b)
	tr := NewTransport(TransportOptions{Dial: new(net.Dialer).DialContext})
	b.Cleanup(tr.CloseIdleConnections)
	bucket := benchBucket(b, tr, url, 0)
	b.ReportAllocs()
	start := cpuNanos(b)
	for b.Loop() {
		if p, err := bucket.List(b.Context(), storage.ListOptions{}); err != nil || len(p.Objects) != 1000 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuNanos(b)-start)/float64(b.N)/1000, "cpu-ns/key")
}

// startServer runs serveBlank in another process.
func startServer(b *testing.B) (url string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close() // ends it
		_ = cmd.Wait()    // its status says nothing
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func benchBucket(b *testing.B, rt http.RoundTripper, url string, size int) *Bucket {
	b.Helper()
	r, err := NewOpener(Options{Transport: rt}).Open(b.Context(), storage.Bucket{
		CloudType: oms.CloudAWS, Name: strconv.Itoa(size), Credentials: exampleKeys(),
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

// BenchmarkRelay reads and writes objects over loopback; the CPU time is that of the client alone.
func BenchmarkRelay(b *testing.B) {
	url := startServer(b)
	tr := NewTransport(TransportOptions{Dial: new(net.Dialer).DialContext})
	b.Cleanup(tr.CloseIdleConnections)
	for _, way := range []struct {
		name string
		rt   http.RoundTripper
		size int
	}{{"4KiB", tr, 4 * kib}, {"4KiB-net-http", tr.General(), 4 * kib}, {"8MiB", tr, 8 * mib}, {"8MiB-net-http", tr.General(), 8 * mib}} {
		b.Run(way.name, func(b *testing.B) {
			size := way.size
			bucket := benchBucket(b, way.rt, url, size)
			b.SetBytes(2 * int64(size))
			b.ReportAllocs()
			start := cpuNanos(b)
			b.SetParallelism(4)
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
