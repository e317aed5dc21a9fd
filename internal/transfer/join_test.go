package transfer_test

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// clumps are runs of neighbouring keys of a space, with long gaps between.
type clumps struct {
	testcloud.Space
	run, every int64
}

func (c clumps) at(i int64) int64 { return i/c.run*c.every + i%c.run }

func (c clumps) Len() int64                           { return c.Space.Len() / c.every * c.run }
func (c clumps) AppendKey(dst []byte, i int64) []byte { return c.Space.AppendKey(dst, c.at(i)) }
func (c clumps) Size(i int64) int64                   { return c.Space.Size(c.at(i)) }
func (c clumps) ModTime(i int64) time.Time            { return c.Space.ModTime(c.at(i)) }

// TestCompareCosts counts what finding the source's objects at the destination takes, for one walker. The figures are
// those of the design's table, in LIST requests for each 1,000 keys of the source and single look-ups for each key; a
// few requests more are the proofs of what the listing depends on, and pages that were asked for ahead.
func TestCompareCosts(t *testing.T) {
	numbers := func(n int64) testcloud.Space {
		return testcloud.Numbers(n, testcloud.Shape{Prefix: "k", Size: testcloud.FixedSize(1)})
	}
	for _, tt := range []struct {
		name         string
		src, dst     testcloud.Space
		full         bool
		lists, heads int64 // at most
	}{
		{"empty", numbers(3000), numbers(0), false, 1, 0},
		{"same set", numbers(20_000), numbers(20_000), false, 20 + 4, 0},
		{"100 times denser, spread", testcloud.Every(numbers(2_000_000), 50, 100), numbers(2_000_000), false, 2000 + 20, 0},
		{"100 times denser, clumps", clumps{numbers(2_000_000), 2000, 200_000}, numbers(2_000_000), false, 20 + 10*3, 0},
		{"5000 times denser, spread", testcloud.Every(numbers(10_000_000), 50, 5000), numbers(10_000_000), false, 20, 2000},
		{"everything is overwritten", numbers(2000), numbers(2000), true, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			quiet := testcloud.Options{Profile: testcloud.Plain(), RecordLimit: -1}
			p := newPair(t, quiet, quiet)
			p.srcBucket = p.src.Generated("src", tt.src, testcloud.GeneratedOptions{MD5Limit: -1})
			p.dstBucket = p.dst.Generated("dst", testcloud.Present(tt.dst, time.Hour), testcloud.GeneratedOptions{MD5Limit: -1})
			spec := wholeBucket()
			if tt.full {
				spec.Overwrite = oms.FullOverwrite
			}
			task := newRun(t, p, spec)
			task.opts = transfer.Options{Walkers: 1, Logger: task.opts.Logger}
			c := task.mustFinish(t)
			if c.Listed != tt.src.Len() || c.Failed != 0 || tt.dst.Len() > 0 && !tt.full && c.Skipped != c.Listed {
				t.Errorf("got %+v", c)
			}
			lists, heads := p.dst.Count(testcloud.ListObjectsV2), p.dst.Count(testcloud.HeadObject)
			t.Logf("%d keys: %d pages of the source, %d pages of the destination, %d look-ups",
				c.Listed, p.src.Count(testcloud.ListObjectsV2), lists, heads)
			if lists > tt.lists || heads > tt.heads {
				t.Errorf("%d pages and %d look-ups, want at most %d and %d", lists, heads, tt.lists, tt.heads)
			}
			if most := (tt.src.Len()+999)/1000 + 6; p.src.Count(testcloud.ListObjectsV2) > most {
				t.Errorf("%d pages of the source, want at most %d", p.src.Count(testcloud.ListObjectsV2), most)
			}
		})
	}
}
