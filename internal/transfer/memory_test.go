package transfer_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// keyShape makes the i-th of n keys, in ascending byte order.
type keyShape struct {
	name string
	of   func(n int64) func(dst []byte, i int64) []byte
}

// keyShapes are key spaces as they are met: one long level, tables in partitions, a folder for each hour, few folders
// with most of the keys, and keys that differ at their ends only.
func keyShapes() []keyShape {
	first := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	long := strings.Repeat("prefix/of/200/bytes/", 10)
	return []keyShape{
		{"flat", func(int64) func([]byte, int64) []byte {
			return func(dst []byte, i int64) []byte { return number(dst, i, 9) }
		}},
		{"nested", func(int64) func([]byte, int64) []byte {
			return func(dst []byte, i int64) []byte {
				dst = number(append(dst, "warehouse/db="...), i/2_500_000, 2)
				dst = number(append(dst, "/table="...), i/50_000%50, 3)
				dst = number(append(dst, "/dt="...), i/100%500, 4)
				return append(number(append(dst, "/part-"...), i%100, 5), ".parquet"...)
			}
		}},
		{"dated", func(n int64) func([]byte, int64) []byte {
			hours := max(n/500, 1)
			each := (n + hours - 1) / hours
			return func(dst []byte, i int64) []byte {
				dst = first.Add(time.Duration(i/each)*time.Hour).AppendFormat(dst, "2006/01/02/15/")
				return append(number(dst, i%each, 6), ".log"...)
			}
		}},
		{"skewed", func(n int64) func([]byte, int64) []byte {
			const tenants = 1000
			sum := 0.0
			for t := range tenants {
				sum += math.Pow(float64(t+1), -1.1)
			}
			ends, part := make([]int64, tenants), 0.0
			for t := range tenants {
				part += math.Pow(float64(t+1), -1.1)
				ends[t] = int64(float64(n) * part / sum)
			}
			ends[tenants-1] = n
			return func(dst []byte, i int64) []byte {
				t, _ := slices.BinarySearch(ends, i+1)
				begin := int64(0)
				if t > 0 {
					begin = ends[t-1]
				}
				return number(append(number(append(dst, "tenant-"...), int64(t), 4), '/'), i-begin, 9)
			}
		}},
		{"long", func(int64) func([]byte, int64) []byte {
			return func(dst []byte, i int64) []byte { return number(append(dst, long...), i, 9) }
		}},
	}
}

// number appends i with leading zeros.
func number(dst []byte, i int64, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for at := len(dst) - 1; i > 0; at-- {
		dst[at] = byte('0' + i%10)
		i /= 10
	}
	return dst
}

// generated is a bucket that is nothing but a listing.
type generated struct {
	storage.Writer // nil: nothing else is asked for

	n       int64
	key     func(dst []byte, i int64) []byte
	modTime time.Time
	listed  func() // called for each page; nil: nothing
}

// List implements storage.Reader. The keys of a page lie in one piece of memory, as those of the real client do.
func (g *generated) List(ctx context.Context, o storage.ListOptions) (page storage.Page, err error) {
	if g.listed != nil {
		g.listed()
	}
	const most = 1000
	limit := int64(most)
	if o.Limit > 0 {
		limit = min(limit, int64(o.Limit))
	}
	from := g.search(func(key []byte) bool { return string(key) > o.After && string(key) >= o.Prefix })
	to := g.search(func(key []byte) bool { return string(key) >= o.Prefix && !bytes.HasPrefix(key, []byte(o.Prefix)) })
	n := max(min(limit, to-from), 0)
	page.Objects = make([]storage.ListedObject, n)
	ends := make([]int, n)
	var arena strings.Builder
	var buf [256]byte
	for i := range n {
		key := g.key(buf[:0], from+i)
		if i == 0 {
			arena.Grow(int(n) * len(key)) // most pages hold keys of one length
		}
		arena.Write(key)
		ends[i] = arena.Len()
	}
	text, begin := arena.String(), 0
	for i, end := range ends {
		page.Objects[i] = storage.ListedObject{Key: text[begin:end], Size: 4096, ModTime: g.modTime, ETag: "d41d8cd98f00b204e9800998ecf8427e"}
		begin = end
	}
	page.Truncated = from+n < to
	return page, ctx.Err()
}

// search returns the first of the keys that is beyond, which all after it are as well.
func (g *generated) search(beyond func(key []byte) bool) int64 {
	var buf [256]byte
	low, high := int64(0), g.n
	for low < high {
		mid := (low + high) / 2
		if beyond(g.key(buf[:0], mid)) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// compareAll runs a job over n keys that the destination has already.
func compareAll(tb testing.TB, shape keyShape, n int64, opts transfer.Options, listed func()) {
	tb.Helper()
	keys := shape.of(n)
	opts.Logger = slog.New(slog.DiscardHandler)
	j := newJournal(tb)
	j.add(oms.Range{Kind: oms.RangeKeys})
	job := transfer.New(transfer.Plan{
		TaskID: 1, Generation: 1, Owner: "w", Spec: wholeBucket(),
		Src: &generated{n: n, key: keys, modTime: old, listed: listed},
		Dst: &generated{n: n, key: keys, modTime: old.Add(time.Hour)},
	}, j, transfer.NewResources(transfer.Bounds{}), opts)
	must(tb, job.Run(tb.Context(), j.lease(1), nil))
	if c := j.mustBeDone(tb); c.Listed != n || c.Skipped != n {
		tb.Fatalf("%s: got %+v", shape.name, c)
	}
}

// TestMemoryDoesNotGrowWithKeys: what a job keeps does not depend on how many keys it passes (P3).
func TestMemoryDoesNotGrowWithKeys(t *testing.T) {
	const few, many, samples = 100_000, 500_000, 8
	const most = 12 << 20 // bytes: 30 for each key that there are more, less than is known of one
	for _, shape := range keyShapes() {
		peak := func(n int64) uint64 {
			var pages atomic.Int64
			var mu sync.Mutex
			var peak uint64
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			compareAll(t, shape, n, transfer.Options{Walkers: 4, Workers: 4}, func() {
				if pages.Add(1)%max(n/1000/samples, 1) != 0 {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				runtime.GC()
				metrics.Read(live)
				peak = max(peak, live[0].Value.Uint64())
			})
			return peak
		}
		a, b := peak(few), peak(many)
		t.Logf("%s: %d KiB for %d keys, %d KiB for %d", shape.name, a>>10, few, b>>10, many)
		if b > a+most {
			t.Errorf("%s: %d KiB for %d keys, %d KiB for %d", shape.name, a>>10, few, b>>10, many)
		}
	}
}

// usage is the peak of memory, in bytes.
type usage struct{ live, heap, rss uint64 }

// measured returns the peaks while f runs. live is what garbage collections left, heap what lay between them.
func measured(f func()) (peak usage) {
	debug.FreeOSMemory()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(samples)
			peak.live = max(peak.live, samples[0].Value.Uint64())
			peak.heap = max(peak.heap, samples[1].Value.Uint64())
			peak.rss = max(peak.rss, residentSet())
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return peak
}

// residentSet returns the memory of the process, 0 where the system does not tell.
func residentSet() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// BenchmarkMemory compares key spaces that the destination has already, and reports the peaks of memory with 10^5 and
// with 10^7 keys.
func BenchmarkMemory(b *testing.B) {
	const few, many = 100_000, 10_000_000
	for _, shape := range keyShapes() {
		b.Run(shape.name, func(b *testing.B) {
			for b.Loop() {
				small := measured(func() { compareAll(b, shape, few, transfer.Options{}, nil) })
				large := measured(func() { compareAll(b, shape, many, transfer.Options{}, nil) })
				for _, m := range []struct {
					name string
					a, b uint64
				}{{"live", small.live, large.live}, {"heap", small.heap, large.heap}, {"RSS", small.rss, large.rss}} {
					b.ReportMetric(float64(m.a)/(1<<20), m.name+"-MiB-1e5")
					b.ReportMetric(float64(m.b)/(1<<20), m.name+"-MiB-1e7")
					b.ReportMetric(float64(m.b)/float64(max(m.a, 1)), m.name+"-ratio")
				}
			}
		})
	}
}
