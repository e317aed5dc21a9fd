package transfer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/keyspace"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Bounds of a batch: small, so that the checkpoint moves often even where objects are slow.
const (
	batchItems = 64
	batchBytes = 8 << 20
)

// adopt takes the ranges that are not done. The job is locked.
func (j *Job) adopt(ranges []oms.Range) {
	for _, r := range ranges {
		j.seq = max(j.seq, r.Seq)
		j.lines.learn(r)
		switch {
		case r.Kind == oms.RangeLate:
			j.late = append(j.late, r)
		case r.Kind == oms.RangeRestores:
			if !r.Done || j.restorer == nil {
				j.restorer = newRestorer(j, r)
			}
		case !r.Done:
			j.waiting = append(j.waiting, newSpan(r))
		}
		if r.Kind == oms.RangeKeys {
			j.keys = append(j.keys, r)
		}
	}
	if j.plan.Numbers > 0 {
		j.seq = j.plan.Numbers
	}
}

// list lists all ranges, by walkers side by side, after what must come before.
func (j *Job) list(ctx context.Context) error {
	if len(j.late) > 0 {
		if err := j.sortSource(ctx); err != nil {
			return err
		}
		if err := j.redoPassed(ctx); err != nil {
			return err
		}
	}
	walkers, ctx := errgroup.WithContext(ctx)
	stopWaking := context.AfterFunc(ctx, func() { // walkers wait on a condition
		j.mu.Lock()
		j.cond.Broadcast()
		j.mu.Unlock()
	})
	defer stopWaking()
	for range j.opts.Walkers {
		walkers.Go(func() error { return j.walk(ctx) })
	}
	return walkers.Wait()
}

// adoptUploads keeps the open uploads by key. An intent beside a stored upload of its key is settled.
func (j *Job) adoptUploads(ctx context.Context, uploads []oms.Upload) error {
	j.uploads = make(map[string]oms.Upload, len(uploads))
	for _, u := range uploads {
		if u.UploadID != "" {
			j.uploads[u.Key] = u
		}
	}
	for _, u := range uploads {
		if u.UploadID != "" {
			continue
		}
		if _, ok := j.uploads[u.Key]; !ok {
			j.uploads[u.Key] = u
		} else if err := j.journal.CloseUpload(ctx, u.Ref()); err != nil {
			return err
		}
	}
	return nil
}

// walk is one walker: it takes spans, or cuts the tail off another walker's, until none is left.
func (j *Job) walk(ctx context.Context) error {
	for {
		s, err := j.nextSpan(ctx)
		if s == nil || err != nil {
			return err
		}
		err = j.walkSpan(ctx, s)
		j.leave(s)
		if err != nil && !errors.Is(err, errLost) {
			return err
		}
	}
}

// nextSpan returns a span to walk: a waiting one, or a tail cut off a live one. It waits while others are listing and
// nothing can be cut; nil means that all is listed.
func (j *Job) nextSpan(ctx context.Context) (*span, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if len(j.waiting) > 0 {
			s := j.waiting[0]
			j.waiting = j.waiting[1:]
			if s.r.Kind == oms.RangeKeys {
				s.keys = j.space.Start(keyspace.Interval{Prefix: s.r.Prefix, Lo: s.r.Cur, Hi: s.r.End})
				j.live[s.keys] = s
			}
			j.walking++
			return s, nil
		}
		if j.walking == 0 {
			return nil, nil //nolint:nilnil // no span and no error: everything is listed
		}
		if j.probe(ctx) {
			continue
		}
		if s, err := j.steal(ctx); s != nil || err != nil {
			return s, err
		}
		j.cond.Wait()
	}
}

// probePatience bounds a request that only gives hints.
const probePatience = 10 * time.Second

// probe asks the source for the branches of a directory, which make exact points to cut at, where that seems worth a
// request. It reports whether it asked. The job is locked, but not while the store is asked.
func (j *Job) probe(ctx context.Context) bool {
	source, ok := j.plan.Src.(storage.Brancher)
	if !ok || j.sorted != nil {
		return false
	}
	dir, ok := j.space.NextProbe()
	if !ok {
		return false
	}
	j.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	found, err := source.Branches(ctx, dir)
	cancel()
	if err != nil { // the walkers find out what is wrong with the store; here only a hint is missing
		found = nil
	}
	j.mu.Lock()
	j.space.Probed(dir, found)
	return true
}

// leave says that nobody walks the span any more.
func (j *Job) leave(s *span) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.keys != nil {
		j.space.Stop(s.keys)
		delete(j.live, s.keys)
	}
	j.walking--
	j.cond.Broadcast()
}

// steal takes the tail off the live span that has most left to list, nil when none is worth it. The job is locked.
func (j *Job) steal(ctx context.Context) (*span, error) {
	thief, err := j.cutTail(ctx)
	if thief == nil || err != nil {
		return nil, err
	}
	j.live[thief.keys] = thief
	j.walking++
	return thief, nil
}

// cutTail cuts the tail off the live span that has most left to list, nil when none is worth it. The job is locked. The
// cut is reported before anything of the new range can be.
func (j *Job) cutTail(ctx context.Context) (*span, error) {
	keys, at, ok := j.space.Steal()
	if !ok {
		return nil, nil //nolint:nilnil // nothing to steal is no error
	}
	victim := j.live[keys]
	j.seq++
	if err := victim.window.cut(ctx, j.journal, oms.RangeTail{At: at, Seq: j.seq}); err != nil {
		return nil, err
	}
	r := victim.r
	r.Seq, r.Token, r.Start, r.Cur, r.Counters = j.seq, 1, at, at, oms.Counters{}
	victim.r.End = at
	thief := newSpan(r)
	thief.keys, thief.resumed, thief.vacant = j.space.Cut(keys, at), victim.resumed, victim.vacant
	return thief, nil
}

// deliver takes what of a page lies in the span, moves the walker's position over it, and reports whether the span's
// end was reached. A later cut cannot lie before the new position.
func (j *Job) deliver(s *span, page []storage.ListedObject, last bool) (mine []storage.ListedObject, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, ended := j.space.Page(s.keys, keyspace.Page{
		N: len(page), Key: func(i int) string { return page[i].Key }, Truncated: !last,
	})
	if n > 0 {
		s.r.Cur = page[n-1].Key
	}
	j.cond.Signal() // there may be something to cut now: one more walker a page is as fast as they can be used
	return page[:n], ended
}

// within reports whether the span goes on behind the key.
func (j *Job) within(s *span, key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return s.r.End == "" || key < s.r.End
}

// walkSpan lists a span and hands out its objects.
func (j *Job) walkSpan(ctx context.Context, s *span) error {
	var err error
	switch s.r.Kind {
	case oms.RangeKeys:
		err = j.walkKeys(ctx, s)
	case oms.RangeNames:
		err = j.walkNames(ctx, s)
	case oms.RangeFailures:
		err = j.walkFailures(ctx, s)
	case oms.RangeLines:
		err = j.walkLines(ctx, s)
	case oms.RangeEvents:
		err = j.walkEvents(ctx, s)
	default:
		err = &oms.Error{Op: "walk range", Kind: oms.Unsupported, Msg: "ranges of kind " + string(s.r.Kind) + " are not known"}
	}
	if err != nil {
		return err
	}
	return s.window.end(ctx, j.journal)
}

// walkKeys merges the listings of both sides over the span.
func (j *Job) walkKeys(ctx context.Context, s *span) error {
	s.files = j.newFileTree(s)
	src := newCursor(j.source(), s.r.Prefix, s.r.Cur)
	defer src.close()
	dst := j.join(s)
	defer dst.cursor.close()
	for {
		page, err := src.next(ctx)
		if err != nil {
			return err
		}
		mine, ended := j.deliver(s, page, src.ended)
		if !ended {
			src.prefetch(ctx)
		}
		mine = j.withoutOwn(mine)
		if len(mine) > 0 {
			if err := j.usePage(ctx, s, mine, dst); err != nil {
				return err
			}
			j.note(s, mine)
		}
		if ended {
			return nil
		}
	}
}

// usePage shows a page to the visitor, or decides on its objects.
func (j *Job) usePage(ctx context.Context, s *span, page []storage.ListedObject, dst *joiner) error {
	if j.visit != nil {
		return j.visit(page)
	}
	return j.walkPage(ctx, s, page, dst)
}

// note counts the objects of a page as found, but for those that the filters left out.
func (j *Job) note(s *span, page []storage.ListedObject) {
	var bytes int64
	for i := range page {
		bytes += page[i].Size
	}
	j.found.Add(int64(len(page)) - s.leftOut)
	j.foundBytes.Add(bytes - s.leftOutBytes)
	s.leftOut, s.leftOutBytes = 0, 0
}

// source returns what lists the source in byte order.
func (j *Job) source() lister {
	if j.sorted != nil {
		return j.sorted.list
	}
	return j.listing(srcList, j.plan.Src)
}

// join returns what finds the span's keys at the destination.
func (j *Job) join(s *span) *joiner {
	from, to, ordered := j.translation(s)
	d := newJoiner(newCursor(j.listing(dstList, j.plan.Dst), to+s.r.Prefix[len(from):], afterKey(from, to, s.r)), to)
	d.from = from
	d.within = func(key string) bool { return j.within(s, from+key) }
	d.blind = &j.blind
	if !ordered {
		d.blind = new(atomic.Bool)
		d.blind.Store(true)
	}
	d.atEnd = func(last string) { j.noneBehind(s, from+last) }
	j.mu.Lock()
	defer j.mu.Unlock()
	d.ended = s.vacant != nil && s.r.Cur >= *s.vacant
	return d
}

// noneBehind notes that the destination has nothing behind the key, for those who cut the span's tail off.
func (j *Job) noneBehind(s *span, key string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.vacant = &key
}

// afterKey returns where the destination's listing of a range begins: a range that starts at the beginning has no
// lower bound but the prefix.
func afterKey(from, to string, r oms.Range) string {
	if r.Cur == "" || !strings.HasPrefix(r.Cur, from) {
		return ""
	}
	return to + r.Cur[len(from):]
}

// walkPage decides on the objects of a page and hands out those to copy.
func (j *Job) walkPage(ctx context.Context, s *span, page []storage.ListedObject, dst *joiner) error {
	rules := j.rules(s)
	b := &batch{span: s}
	for i := range page {
		b.objects++
		b.last = page[i].Key
		if err := j.place(ctx, b, &page[i], dst, rules, len(page)-i); err != nil {
			return err
		}
		if len(b.items) == batchItems || b.bytes >= batchBytes {
			if err := j.dispatch(ctx, b); err != nil {
				return err
			}
			b = &batch{span: s}
		}
	}
	if b.objects == 0 {
		return nil
	}
	return j.dispatch(ctx, b)
}

// place decides on an object: it is counted in the batch, or added to what the batch hands out. left is how many
// objects the batch can still get.
func (j *Job) place(ctx context.Context, b *batch, src *storage.ListedObject, dst *joiner, rules Rules, left int) error {
	if b.span.files != nil {
		if clash, err := b.span.files.clashes(ctx, src.Key); clash || err != nil {
			b.add(item{job: j, batch: b, obj: *src, clash: clash}, left)
			return err
		}
	}
	if prior := b.span.takeFailure(src.Key); prior != nil {
		b.add(item{job: j, batch: b, obj: *src, stat: true, prior: prior}, left)
		return nil
	}
	if j.filter != nil && !j.filter.Takes(src.Key, src.Size, src.ModTime) {
		b.leaveOut(src)
		return nil
	}
	var there *storage.ListedObject
	if rules.dependsOnDestination(*src) {
		found, known, err := dst.seek(ctx, src.Key)
		if err != nil {
			return err
		}
		if !known {
			b.add(item{job: j, batch: b, obj: *src, look: true}, left)
			return nil
		}
		there = found
	}
	action := Decide(*src, there, rules)
	if rules.Look && !rules.tooOld(*src) {
		if !j.weigh(b, src, there, action) {
			b.add(item{job: j, batch: b, obj: *src, look: true, crc64: action == CompareCRC64}, left)
		}
		return nil
	}
	if there != nil && j.plan.Spec.KMS && (action == Skip && rules.Overwrite != oms.NoOverwrite && !rules.tooOld(*src) || action == Own) {
		b.add(item{job: j, batch: b, obj: *src, look: true}, left) // a listing does not tell whether it is encrypted
		return nil
	}
	switch action {
	case Skip, LeaveOut:
		b.delta.Listed++
		b.delta.ListedBytes += src.Size
		b.delta.Skipped++
		b.delta.SkippedBytes += src.Size
		j.listObject(b, oms.ListSkip, src)
	case Own:
		if !sameContent(*src, *there) {
			b.add(item{job: j, batch: b, obj: *src, own: true}, left)
			break
		}
		b.delta.Listed++
		b.delta.ListedBytes += src.Size
		b.delta.Migrated++
		b.delta.MigratedBytes += src.Size
		b.delta.MovedBytes += src.Size // it was sent before the crash or pause
		j.listObject(b, oms.ListSuccess, src)
	case Copy, CompareCRC64:
		b.add(item{job: j, batch: b, obj: *src, crc64: action == CompareCRC64}, left)
	}
	return nil
}

// dispatch puts a batch into its span's window and its objects into the queue.
func (j *Job) dispatch(ctx context.Context, b *batch) error {
	b.pending = len(b.items)
	if b.pending > 0 {
		if err := j.restorer.hold(ctx); err != nil {
			return err
		}
	}
	if err := b.span.window.add(ctx, b); err != nil {
		return err
	}
	if b.pending == 0 {
		return b.span.window.acknowledge(ctx, j.journal)
	}
	for i := range b.items {
		j.open.Add(1)
		if err := j.queue.push(ctx, &b.items[i]); err != nil {
			j.open.Done()
			return err
		}
	}
	return nil
}

// rules returns what decides about the objects of a span.
func (j *Job) rules(s *span) Rules {
	r := Rules{Overwrite: j.plan.Spec.Overwrite, MigrateSince: j.plan.Spec.MigrateSince}
	r.Look = j.plan.Spec.ReadOnly()
	if s.resumed && !r.Look {
		r.OwnSince = j.plan.Epoch
	}
	if s.r.Kind == oms.RangeEvents {
		r.Doubt = eventDoubt
	}
	return r
}

// walkNames hands out the exact names of the task that lie in the span.
func (j *Job) walkNames(ctx context.Context, s *span) error {
	b := &batch{span: s}
	for _, name := range j.names {
		if !s.r.Contains(name) {
			continue
		}
		if !j.filter.Key(name) {
			b.delta.Filtered++
			b.objects++
			b.last = name
			continue
		}
		b.items = append(b.items, item{job: j, batch: b, obj: storage.ListedObject{Key: name}, stat: true})
		b.objects++
		b.last = name
		j.found.Add(1)
		if len(b.items) == batchItems {
			if err := j.dispatchNamed(ctx, b); err != nil {
				return err
			}
			b = &batch{span: s}
		}
	}
	return j.dispatchNamed(ctx, b)
}

func (j *Job) dispatchNamed(ctx context.Context, b *batch) error {
	if b.objects == 0 {
		return nil
	}
	return j.dispatch(ctx, b)
}

// walkFailures hands out the failures of earlier runs.
func (j *Job) walkFailures(ctx context.Context, s *span) error {
	if j.plan.Spec.Type.Lists() {
		return j.walkFailedLines(ctx, s)
	}
	for after := s.r.Cur; ; {
		list, err := j.journal.Failures(ctx, after, batchItems)
		if err != nil || len(list) == 0 {
			return err
		}
		b := &batch{span: s}
		for i := range list {
			b.items = append(b.items, item{
				job: j, batch: b, obj: storage.ListedObject{Key: list[i].Key, Size: list[i].Size}, stat: true, prior: &list[i],
			})
		}
		after = list[len(list)-1].Key
		b.last, b.objects = after, int64(len(list))
		if err := j.dispatchNamed(ctx, b); err != nil {
			return err
		}
	}
}
