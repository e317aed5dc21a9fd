package transfer_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
)

// TestListLoop: whatever the list, wherever it is cut and whenever the job dies, each line has one outcome in the end,
// what is listed is there, what does not exist is a failure of its line, and the failures are all gone once a retry finds
// the objects (P1, P2, P3).
func TestListLoop(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			listLoop(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

// listOf returns a list over some of the keys, some of them more than once, with the number of its lines and how often
// each key stands in it.
func listOf(r *rand.Rand, keys []string) (text string, lines int64, times map[string]int) {
	times = make(map[string]int)
	var b strings.Builder
	for range 20 + r.IntN(400) {
		key := keys[r.IntN(len(keys))]
		times[key]++
		lines++
		b.WriteString(key + []string{"\n", "\r\n", "\n\n"}[r.IntN(3)])
	}
	return b.String(), lines, times
}

// cutList adds ranges over the text, cut anywhere.
func (j *journal) cutList(r *rand.Rand, f oms.ListSource) {
	piece := oms.Range{Kind: oms.RangeLines, Prefix: f.Prefix()}
	for at := int64(1); at < f.Size; at++ {
		if r.Int64N(f.Size) < 6 {
			piece.End = oms.LinePosition(at)
			j.add(piece)
			piece.Start, piece.End = piece.End, ""
		}
	}
	j.add(piece)
}

func listLoop(t *testing.T, r *rand.Rand) {
	t.Helper()
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	var keys []string
	for i := range 60 {
		keys = append(keys, key(i))
		if i%10 != 0 { // the others do not exist
			p.srcBucket.Put(key(i), fillBytes(r.IntN(2000), uint64(i)), testcloud.Attrs{})
		}
	}
	text, lines, times := listOf(r, keys)
	list := p.dst.CreateBucket("lists").Put("a.txt", []byte(text), testcloud.Attrs{ContentType: "text/plain"})
	file := oms.ListSource{Key: "a.txt", ETag: strings.Trim(list.ETag, `"`), Size: int64(len(text)), Lines: lines}

	spec := wholeBucket()
	spec.Type, spec.Src.Keys, spec.Src.ListFile = oms.TypeList, nil, &oms.ListFile{Bucket: "lists", Key: "a.txt"}
	task := newRun(t, p, spec)
	task.lists = open(t, p.dstURL, "lists")
	task.journal.cutList(r, file)
	for crash := range r.IntN(4) {
		task.opts.Workers, task.opts.Walkers = 1+r.IntN(16), 1+r.IntN(8)
		ctx, cancel := context.WithCancel(t.Context())
		task.journal.mu.Lock()
		task.journal.fuse, task.journal.crash = 1+r.IntN(10), cancel
		task.journal.mu.Unlock()
		err := task.do(ctx, t)
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("crash %d: %v", crash, err)
		}
	}
	task.journal.mu.Lock()
	task.journal.fuse = 0
	task.journal.mu.Unlock()
	c := task.mustFinish(t)
	p.mustHoldListed(t, times)
	missing := 0
	for i := 0; i < 60; i += 10 {
		missing += times[key(i)]
	}
	if c.Listed != lines || c.Failed != int64(missing) || len(task.journal.failures) != missing {
		t.Fatalf("%d lines, %d of them of objects that are missing: got %+v and %d failures", lines, missing, c, len(task.journal.failures))
	}
	for at, f := range task.journal.failures {
		name, _, err := oms.SplitFailureKey(at)
		if err != nil || f.Code != oms.FailMissing || times[name] == 0 {
			t.Errorf("failure %+v: %v", f, err)
		}
	}
	for i := 0; i < 60; i += 10 {
		p.srcBucket.Put(key(i), []byte("late"), testcloud.Attrs{})
	}
	task.journal.add(oms.Range{Kind: oms.RangeFailures})
	c = task.mustFinish(t)
	p.mustHoldListed(t, times)
	if c.Listed != lines || c.Failed != 0 || c.Migrated+c.Skipped != lines || len(task.journal.failures) != 0 {
		t.Fatalf("after the retry: %+v and %d failures of %d lines", c, len(task.journal.failures), lines)
	}
}

// mustHoldListed checks that the destination holds what is listed and exists, and nothing else.
func (p *pair) mustHoldListed(t *testing.T, times map[string]int) {
	t.Helper()
	for i := range 60 {
		src, exists := p.srcBucket.Get(key(i))
		dst, copied := p.dstBucket.Get(key(i))
		switch {
		case copied != (exists && times[key(i)] > 0):
			t.Fatalf("%s: exists %t, listed %d times, copied %t", key(i), exists, times[key(i)], copied)
		case copied && string(src.Bytes()) != string(dst.Bytes()):
			t.Fatalf("%s differs", key(i))
		}
	}
}
