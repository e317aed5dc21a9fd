package transfer_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// Credentials of the stores under test.
const testAK, testSK = "AKTEST", "SKTEST"

// pair is a source and a destination store with one bucket each.
type pair struct {
	src, dst             *testcloud.Cloud
	srcBucket, dstBucket *testcloud.Bucket
	srcURL, dstURL       string
}

// newPair starts both stores; options may set profiles and seeds.
func newPair(tb testing.TB, srcOpts, dstOpts testcloud.Options) *pair {
	tb.Helper()
	p := &pair{}
	for _, side := range []struct {
		opts   testcloud.Options
		cloud  **testcloud.Cloud
		bucket **testcloud.Bucket
		url    *string
		name   string
	}{
		{srcOpts, &p.src, &p.srcBucket, &p.srcURL, "src"},
		{dstOpts, &p.dst, &p.dstBucket, &p.dstURL, "dst"},
	} {
		side.opts.AccessKey, side.opts.SecretKey = testAK, testSK
		*side.cloud = testcloud.New(side.opts)
		url, stop, err := (*side.cloud).Start(context.Background(), "")
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(stop)
		*side.url = url
		*side.bucket = (*side.cloud).CreateBucket(side.name)
	}
	return p
}

// store is what the real client can do, and what wrappers in tests keep.
type store interface {
	storage.Writer
	storage.Multiparter
}

// open opens one side through the real client.
func open(tb testing.TB, url, bucket string) store {
	tb.Helper()
	return openAs(tb, oms.CloudAWS, url, bucket)
}

// openAs opens one side as a bucket of the cloud.
func openAs(tb testing.TB, cloud oms.CloudType, url, bucket string) store {
	tb.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	tb.Cleanup(tr.CloseIdleConnections)
	b, err := s3.NewOpener(s3.Options{Transport: tr}).Open(tb.Context(), storage.Bucket{
		CloudType: cloud, Name: bucket,
		Endpoint:    oms.Endpoint{URL: url, Region: "us-east-1", PathStyle: true, Trusted: true},
		Credentials: oms.Credentials{AccessKey: testAK, SecretKey: oms.NewSecret(testSK)},
	})
	if err != nil {
		tb.Fatal(err)
	}
	w, ok := b.(store)
	if !ok {
		tb.Fatal("the client is no store")
	}
	return w
}

// wholeBucket is a task over everything with the default rules.
func wholeBucket() oms.TaskSpec {
	return oms.TaskSpec{
		Type: oms.TypePrefix, Src: oms.SourceNode{Bucket: "src", Keys: []string{""}}, Dst: oms.DestinationNode{Bucket: "dst"},
		Overwrite: oms.OverwriteIfDifferent, MigrateMetadata: true,
	}
}

// run is a task under test: its rules, its journal and what the next job of it needs.
type run struct {
	pair    *pair
	spec    oms.TaskSpec
	opts    transfer.Options
	res     *transfer.Resources
	journal *journal
	epoch   time.Time
	gen     int64
	cloud   oms.CloudType  // of both sides; "" means AWS
	lists   storage.Reader // of tasks over list files
	wrapSrc func(store) storage.Reader
	wrapDst func(store) storage.Writer
	stats   transfer.Stats // of the latest job
}

// newRun plans the task's ranges as the engine does.
func newRun(tb testing.TB, p *pair, spec oms.TaskSpec) *run {
	tb.Helper()
	r := &run{pair: p, spec: spec, journal: newJournal(tb), res: transfer.NewResources(transfer.Bounds{})}
	r.opts.Logger = slog.New(slog.DiscardHandler)
	prefixes, names := spec.Selection()
	for _, prefix := range prefixes {
		r.journal.add(oms.Range{Kind: oms.RangeKeys, Prefix: prefix})
	}
	if len(names) > 0 {
		r.journal.add(oms.Range{Kind: oms.RangeNames})
	}
	return r
}

// job probes the destination and returns a job over the leased ranges, with what Run takes.
func (r *run) job(ctx context.Context, tb testing.TB) (*transfer.Job, []oms.Range, []oms.Upload, error) {
	tb.Helper()
	srcStore, dstStore := r.stores(tb) //nolint:contextcheck // buckets are opened for the test, not for one run
	var src storage.Reader = srcStore
	if r.wrapSrc != nil {
		src = r.wrapSrc(srcStore)
	}
	var dst storage.Writer = dstStore
	if r.wrapDst != nil {
		dst = r.wrapDst(dstStore)
	}
	var ab transfer.Abilities
	if !r.spec.ReadOnly() { // as the engine does
		var err error
		if ab, err = transfer.Probe(ctx, dst, "oms/probe/test"); err != nil {
			return nil, nil, nil, err
		}
	}
	if r.epoch.IsZero() {
		r.epoch = ab.Now
	}
	r.gen++
	plan := transfer.Plan{
		TaskID: 1, Generation: r.gen, Owner: "w", Spec: r.spec, Abilities: ab, Epoch: r.epoch,
		Src: src, Dst: dst, Lists: r.lists,
	}
	return transfer.New(plan, r.journal, r.res, r.opts), r.journal.lease(r.gen), r.journal.openUploads(), nil
}

// stores opens both sides.
func (r *run) stores(tb testing.TB) (src, dst store) {
	tb.Helper()
	cloud := cmp.Or(r.cloud, oms.CloudAWS)
	return openAs(tb, cloud, r.pair.srcURL, "src"), openAs(tb, cloud, r.pair.dstURL, "dst")
}

// do runs one job to its end, and another over late ranges when the source turns out to have no order, as the engine
// does.
func (r *run) do(ctx context.Context, tb testing.TB) error {
	tb.Helper()
	j, ranges, uploads, err := r.job(ctx, tb)
	if err != nil {
		return err
	}
	err = j.Run(ctx, ranges, uploads)
	r.stats = j.Stats()
	if _, disorder := errors.AsType[*transfer.Disorder](err); disorder && r.journal.addLate(r.spec) {
		return r.do(ctx, tb)
	}
	return err
}

// mustFinishAndSweep is mustFinish for a task that was interrupted: the row of an upload that was completed in that
// instant stays until the task ends.
func (r *run) mustFinishAndSweep(tb testing.TB) oms.Counters {
	tb.Helper()
	if err := r.do(tb.Context(), tb); err != nil {
		tb.Fatal(err)
	}
	r.sweep(tb)
	return r.journal.mustBeDone(tb)
}

// sweep aborts the uploads that are left when a task ends, as the engine does.
func (r *run) sweep(tb testing.TB) {
	tb.Helper()
	closed, err := transfer.AbortUploads(tb.Context(), open(tb, r.pair.dstURL, "dst"), r.spec, r.journal.openUploads())
	if err != nil {
		tb.Fatal(err)
	}
	for _, ref := range closed {
		if err := r.journal.CloseUpload(tb.Context(), ref); err != nil {
			tb.Fatal(err)
		}
	}
}

// mustFinish runs one job and checks that everything is done and the books balance.
func (r *run) mustFinish(tb testing.TB) oms.Counters {
	tb.Helper()
	if err := r.do(tb.Context(), tb); err != nil {
		tb.Fatal(err)
	}
	sum := r.journal.mustBeDone(tb)
	for _, f := range r.journal.failures {
		tb.Logf("failed: %q %s %s", f.Key, f.Code, f.Message)
	}
	return sum
}

// mustBeEqual compares both buckets byte for byte.
func (p *pair) mustBeEqual(tb testing.TB) {
	tb.Helper()
	if diff := testcloud.Compare(p.srcBucket, p.dstBucket, testcloud.CompareOptions{Ignore: []string{"oms/"}}); len(diff) > 0 {
		tb.Fatalf("the destination differs:\n%v", diff)
	}
	if open := p.dstBucket.Uploads(); len(open) > 0 {
		tb.Fatalf("uploads left open: %v", open)
	}
}

// journal keeps progress in memory and checks every report against the rules of checkpoints (P1 to P3).
type journal struct {
	t        testing.TB
	mu       sync.Mutex
	ranges   map[int64]*oms.Range
	failures map[string]oms.Failure
	uploads  map[oms.UploadRef]*oms.Upload
	reports  int
	frozen   bool   // nothing is stored any more, as after a crash
	fuse     int    // reports until crash is called and the journal freezes; 0: none
	crash    func() // ends the job
}

func newJournal(tb testing.TB) *journal {
	tb.Helper()
	return &journal{t: tb, ranges: map[int64]*oms.Range{}, failures: map[string]oms.Failure{}, uploads: map[oms.UploadRef]*oms.Upload{}}
}

func (j *journal) add(r oms.Range) {
	r.TaskID, r.Seq, r.Cur = 1, int64(len(j.ranges)+1), r.Start
	j.ranges[r.Seq] = &r
}

// has reports whether there is a range of the kind.
func (j *journal) has(kind oms.RangeKind) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.ranges {
		if r.Kind == kind {
			return true
		}
	}
	return false
}

// addLate adds what makes good that ranges over keys may have missed some, once; false when it did not, or after a
// crash.
func (j *journal) addLate(spec oms.TaskSpec) bool {
	known := j.has(oms.RangeLate)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.frozen || known {
		return false
	}
	prefixes, _ := spec.Selection()
	for _, prefix := range prefixes {
		j.add(oms.Range{Kind: oms.RangeLate, Prefix: prefix})
	}
	return true
}

// RecordedFailures returns those of all runs.
func (j *journal) RecordedFailures(ctx context.Context, after string, limit int) ([]oms.Failure, error) {
	return j.Failures(ctx, after, limit)
}

// lease hands out all unfinished ranges with new tokens.
func (j *journal) lease(gen int64) []oms.Range {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.frozen = false
	var list []oms.Range
	for _, seq := range slices.Sorted(maps.Keys(j.ranges)) {
		r := j.ranges[seq]
		r.Token++
		r.Owner, r.Generation = "w", gen
		list = append(list, *r)
	}
	return list
}

func (j *journal) openUploads() (list []oms.Upload) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, u := range j.uploads {
		list = append(list, *u)
	}
	return list
}

func (j *journal) Checkpoint(_ context.Context, c oms.Checkpoint) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.frozen {
		return nil
	}
	j.reports++
	if j.fuse > 0 {
		if j.fuse--; j.fuse == 0 {
			j.frozen = true
			j.crash()
			return nil
		}
	}
	r := j.ranges[c.Seq]
	if r == nil || r.Token != c.Token || r.Generation != c.Generation {
		return &oms.Error{Kind: oms.Conflict}
	}
	switch {
	case c.Cur < r.Cur:
		j.t.Errorf("range %d goes back from %q to %q", c.Seq, r.Cur, c.Cur)
	case r.End != "" && c.Cur > r.End:
		j.t.Errorf("range %d passes its end %q: %q", c.Seq, r.End, c.Cur)
	case r.Done:
		j.t.Errorf("range %d moves after it was done", c.Seq)
	case c.Cur == r.Cur && c.Delta.Listed != 0:
		j.t.Errorf("range %d counts keys without passing any: %+v", c.Seq, c.Delta)
	case !c.Delta.Balanced():
		j.t.Errorf("range %d: books do not balance: %+v", c.Seq, c.Delta)
	}
	r.Cur, r.Done = c.Cur, c.Done
	r.Counters = r.Counters.Add(c.Delta)
	for _, f := range c.Failures {
		f.Gen = c.Generation
		j.failures[f.Key] = f
	}
	for _, key := range c.Resolved {
		delete(j.failures, key)
	}
	if c.Cut != nil {
		if c.Cut.At <= r.Cur || r.End != "" && c.Cut.At >= r.End || j.ranges[c.Cut.Seq] != nil {
			j.t.Errorf("range %d (%q,%q] cut at %q as %d", c.Seq, r.Cur, r.End, c.Cut.At, c.Cut.Seq)
		}
		tail := *r
		tail.Seq, tail.Token, tail.Start, tail.Cur, tail.Counters = c.Cut.Seq, 1, c.Cut.At, c.Cut.At, oms.Counters{}
		r.End = c.Cut.At
		j.ranges[tail.Seq] = &tail
	}
	return nil
}

func (j *journal) OpenUpload(_ context.Context, u oms.Upload) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.frozen {
		j.uploads[u.Ref()] = &u
	}
	return nil
}

func (j *journal) PartDone(_ context.Context, p oms.PartDone) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if u := j.uploads[p.Upload]; u != nil && !j.frozen {
		u.Parts = append(u.Parts, p.Part)
	}
	return nil
}

func (j *journal) CloseUpload(_ context.Context, ref oms.UploadRef) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.frozen {
		delete(j.uploads, ref)
	}
	return nil
}

func (j *journal) Failures(_ context.Context, after string, limit int) (list []oms.Failure, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(j.failures)) {
		if key > after && len(list) < limit {
			list = append(list, j.failures[key])
		}
	}
	return list, nil
}

// freeze drops every later report, as a crash at this instant would.
func (j *journal) freeze() {
	j.mu.Lock()
	j.frozen = true
	j.mu.Unlock()
}

// mustBeDone checks that every range is done, that the ranges tile the space and that the books balance, and returns
// the sum.
func (j *journal) mustBeDone(tb testing.TB) oms.Counters {
	tb.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var sum oms.Counters
	type interval struct{ kind, prefix, start string }
	ends := map[interval]int{}
	for _, r := range j.ranges {
		if !r.Done {
			tb.Fatalf("range %d is not done: %+v", r.Seq, *r)
		}
		sum = sum.Add(r.Counters)
		if r.Kind == oms.RangeLate { // over keys that others have passed
			continue
		}
		ends[interval{string(r.Kind), r.Prefix, r.Start}]++
		if r.End != "" {
			ends[interval{string(r.Kind), r.Prefix, r.End}]--
		}
	}
	for at, n := range ends {
		if at.start != "" && n != 0 {
			tb.Fatalf("the ranges do not tile the space at %+v", at)
		}
	}
	if !sum.Balanced() {
		tb.Fatalf("books do not balance: %+v", sum)
	}
	if len(j.uploads) > 0 {
		tb.Fatalf("uploads left in the journal: %v", j.uploads)
	}
	return sum
}

// fillBytes returns n bytes that differ for each seed.
func fillBytes(n int, seed uint64) []byte {
	b := make([]byte, n+8)
	x := seed*0x9e3779b97f4a7c15 + 1
	for i := 0; i < n; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	return b[:n:n]
}

func key(i int) string { return fmt.Sprintf("obj/%02d/%06d", i%7, i) }
