package transfer_test

import (
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// BenchmarkSmallObjects moves 4 KiB objects from one store to another, both in this process.
func BenchmarkSmallObjects(b *testing.B) {
	p := newPair(b, testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1}, testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1})
	p.srcBucket = p.src.Generated("src", testcloud.Numbers(int64(b.N), testcloud.Shape{}), testcloud.GeneratedOptions{MD5Limit: 4 << 10})
	benchmark(b, p, 4<<10)
}

// BenchmarkLargeObjects moves 64 MiB objects in parts.
func BenchmarkLargeObjects(b *testing.B) {
	const size = 64 << 20
	p := newPair(b, testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1}, testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1})
	space := testcloud.Numbers(int64(b.N), testcloud.Shape{Size: testcloud.FixedSize(size)})
	p.srcBucket = p.src.Generated("src", space, testcloud.GeneratedOptions{MD5Limit: -1})
	benchmark(b, p, size)
}

// BenchmarkSkipped compares objects that the destination has already: pages of 1,000 keys on both sides.
func BenchmarkSkipped(b *testing.B) {
	p := newPair(b, testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1}, testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1})
	space := testcloud.Numbers(int64(b.N), testcloud.Shape{})
	p.srcBucket = p.src.Generated("src", space, testcloud.GeneratedOptions{MD5Limit: -1})
	p.dstBucket = p.dst.Generated("dst", testcloud.Present(space, 1), testcloud.GeneratedOptions{MD5Limit: -1})
	benchmark(b, p, 0)
}

func benchmark(b *testing.B, p *pair, size int64) {
	b.Helper()
	task := newRun(b, p, wholeBucket())
	task.res = transfer.NewResources(transfer.Bounds{Memory: 256 << 20})
	j, ranges, uploads, err := task.job(b.Context(), b)
	must(b, err)
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	must(b, j.Run(b.Context(), ranges, uploads))
	b.StopTimer()
	var sum oms.Counters
	for _, r := range task.journal.ranges {
		sum = sum.Add(r.Counters)
	}
	if sum.Listed != int64(b.N) || sum.Failed != 0 {
		b.Fatalf("got %+v", sum)
	}
}
