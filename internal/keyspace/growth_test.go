package keyspace

import (
	"fmt"
	"runtime"
	"testing"
)

// growing are the shapes of the growth table: flat, nested, by date, skewed, and below one long prefix.
var growing = []string{"uuid-hex", "hive", "date-dirs", "zipf", "200-byte-prefix"}

// BenchmarkGrowth lists shapes of growing size by 64 walkers in virtual time, 100 ms a request: how many times faster
// than one walker, how many requests for each that is needed, and how much memory is held in the end.
//
//	go test -run '^$' -bench Growth -benchtime 1x ./internal/keyspace
func BenchmarkGrowth(b *testing.B) {
	for _, name := range growing {
		for _, s := range shapes {
			if s.name != name {
				continue
			}
			for _, n := range []int{100_000, 1_000_000, 10_000_000} {
				b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
					sh := s.make(n)
					var o outcome
					before := liveHeap()
					for b.Loop() {
						o = simulate(b, sh, 64, nil)
					}
					held := liveHeap() - before
					pages := float64((sh.n + simPage - 1) / simPage)
					b.ReportMetric(o.speedUp, "speedup")
					b.ReportMetric(o.requests, "requests/needed")
					b.ReportMetric(pages*simLatency/o.speedUp, "virtual-s")
					b.ReportMetric(float64(held)/1e6, "held-MB")
					runtime.KeepAlive(o.space)
					runtime.KeepAlive(sh)
				})
			}
		}
	}
}

// liveHeap returns the bytes that are in use.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // the first only marks what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
