package db

import (
	"fmt"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// BenchmarkCommit stores group commits of a busy process: 64 ranges in one transaction, synced to disk. The second
// form has a failure and a finished part for every fourth range.
func BenchmarkCommit(b *testing.B) {
	const ranges = 64
	cuts := make([]string, ranges-1)
	for i := range cuts {
		cuts[i] = fmt.Sprintf("%02d", i)
	}
	for name, every := range map[string]int{"checkpoints": 0, "with failures and parts": 4} {
		b.Run(name, func(b *testing.B) {
			db := openDir(b, b.TempDir(), nil)
			task := newRanges(b, db, cuts...)
			leased := mustClaim(b, db, "w", task.ID, ranges)
			ref := oms.UploadRef{TaskID: task.ID, Key: "k", UploadID: "u"}
			mustCommit(b, db, oms.Commit{Opened: []oms.Upload{{TaskID: ref.TaskID, Key: ref.Key, UploadID: ref.UploadID}}})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				var c oms.Commit
				for i, r := range leased {
					p := checkpointOf(r, fmt.Sprintf("%s/%09d", r.Start, n), migrated(15, 1000))
					if every > 0 && i%every == 0 {
						p.Delta = p.Delta.Add(failed(1))
						p.Failures = []oms.Failure{{Key: p.Cur, Kind: oms.Denied, Code: oms.FailUpload, Message: "access denied"}}
						c.Parts = append(c.Parts, oms.PartDone{Upload: ref, Part: oms.UploadedPart{Number: i, ETag: "etag"}})
					}
					c.Checkpoints = append(c.Checkpoints, p)
				}
				mustCommit(b, db, c)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/ranges, "µs/checkpoint")
		})
	}
}

// BenchmarkTasks lists a page of tasks with the counters of their ranges.
func BenchmarkTasks(b *testing.B) {
	db := openDir(b, b.TempDir(), nil)
	cuts := make([]string, 255)
	for i := range cuts {
		cuts[i] = fmt.Sprintf("%03d", i)
	}
	for range 20 {
		newRanges(b, db, cuts...)
	}
	for b.Loop() {
		page, _, err := db.Tasks(b.Context(), oms.TaskFilter{ProjectID: "p", Limit: 10})
		if err != nil || len(page) != 10 {
			b.Fatal(len(page), err)
		}
	}
}
