package engine

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/keyspace"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// Bounds of a split.
const (
	splitWalkers  = 16               // listing requests at the same time
	splitEvery    = time.Second      // how often its progress is stored when no task is cut out
	splitPieces   = 64               // pieces that wait to be stored; walkers wait beyond (C4)
	splitPatience = time.Second      // for storing the last progress of a split that is stopped
	listPatience  = 90 * time.Second // one request of a listing
	maxEmptyPages = 1000             // empty truncated pages in a row
)

// groupRun is the split of one group in this process.
type groupRun struct {
	engine *Engine
	group  oms.Group // as it was when the split was claimed
	src    storage.Reader
	keys   oms.TaskCredentials // of the tasks
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when nothing of the run is left
	wake   chan struct{} // pieces wait to be stored

	// Used by the one goroutine that stores.
	step    int64            // of the next commit
	pending *oms.SplitCommit // taken and not known to be stored
	tried   bool             // it may have been stored

	mu      sync.Mutex
	cond    sync.Cond
	split   *splitter
	space   *keyspace.Space
	waiting []*openSpan                   // not yet taken by a walker
	live    map[*keyspace.Range]*openSpan // being listed
	walking int
}

// launchSplit splits a group, which this process has claimed, in a goroutine of its own.
func (e *Engine) launchSplit(life context.Context, g oms.Group) {
	ctx, cancel := context.WithCancelCause(life)
	r := &groupRun{
		engine: e, group: g, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1), step: g.SplitStep,
		live: make(map[*keyspace.Range]*openSpan),
	}
	r.cond.L = &r.mu
	e.groups.enter(r)
	go func() {
		defer e.wakeGroups()
		defer e.groups.leave(r)
		e.concludeSplit(life, r, r.attempt(ctx, life))
	}()
}

// attempt splits until everything is cut into tasks or cannot go on. When the run was cancelled its cause is all that
// counts.
func (r *groupRun) attempt(ctx, life context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{value: v, stack: string(debug.Stack())}
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()
	if err := r.open(ctx); err != nil {
		return err
	}
	if listed(r.group.Spec.Type) {
		return r.splitLists(ctx)
	}
	return r.splitKeys(ctx, life)
}

// open gets the keys of the group and opens what is to be listed.
func (r *groupRun) open(ctx context.Context) (err error) {
	if r.keys, err = r.engine.groupKeys(ctx, r.group); err != nil {
		return err
	}
	if listed(r.group.Spec.Type) {
		return nil
	}
	if r.src, err = r.engine.openSource(ctx, r.group.Spec, r.keys.Src); err != nil {
		return &transfer.Stopped{Side: oms.Source, Err: err}
	}
	return nil
}

// splitKeys lists the selected keys in parallel and stores the tasks as they are cut out.
func (r *groupRun) splitKeys(ctx, life context.Context) error {
	e := r.engine
	var spans []oms.GroupSpan
	err := e.persist(ctx, "read spans", func(ctx context.Context) (err error) {
		spans, err = e.store.GroupSpans(ctx, r.group.ID)
		return err
	})
	if err != nil {
		return err
	}
	prefixes, _ := r.group.Spec.Selection()
	r.split = newSplitter(prefixes, e.opts.Groups, spans, r.group.Totals.Tasks.All()+r.group.Gone.Tasks.All() > 0)
	r.space = keyspace.New(splitWalkers, nil)
	r.waiting = append(r.waiting, r.split.spans...)
	if err := r.walkAll(ctx); err != nil {
		// What was listed need not be listed again; when it cannot be stored now, it will be.
		last, stop := context.WithTimeout(life, splitPatience)
		defer stop()
		if storeErr := r.store(last); storeErr != nil {
			e.log.InfoContext(ctx, "the last progress of a split was not stored", "group_id", r.group.ID, "err", storeErr)
		}
		return err
	}
	if r.nothing() {
		return &nothingSelected{}
	}
	return r.store(ctx)
}

// nothingSelected says that the prefixes of a group match no object.
type nothingSelected struct{}

func (*nothingSelected) Error() string { return "the source has no object of the chosen prefixes" }

// nothing reports whether all is listed and nothing was found, although the group names what it wants.
func (r *groupRun) nothing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.split.over() && !r.split.counted && !wholeBucket(r.group.Spec)
}

// walkAll lists with several walkers until all is listed, and stores meanwhile.
func (r *groupRun) walkAll(ctx context.Context) error {
	enough := make(chan struct{})
	var storing sync.WaitGroup
	storing.Go(func() {
		if err := r.storeLoop(ctx, enough); err != nil {
			r.cancel(err)
		}
	})
	walkers, walkCtx := errgroup.WithContext(ctx)
	stopWaking := context.AfterFunc(walkCtx, r.rouse) // walkers wait on a condition
	for range splitWalkers {
		walkers.Go(func() (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = &panicked{value: v, stack: string(debug.Stack())}
				}
			}()
			return r.walk(walkCtx)
		})
	}
	err := walkers.Wait()
	stopWaking()
	close(enough)
	storing.Wait()
	return err
}

// rouse wakes all walkers that wait.
func (r *groupRun) rouse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cond.Broadcast()
}

// storeLoop stores whenever pieces wait and every second, until enough is closed or ctx ends.
func (r *groupRun) storeLoop(ctx context.Context, enough <-chan struct{}) error {
	ticker := time.NewTicker(splitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-enough:
			return nil
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-ticker.C:
		}
		if r.nothing() {
			continue
		}
		if _, err := r.storeOnce(ctx); err != nil {
			return err
		}
	}
}

// store stores all that has happened. No walker is at work.
func (r *groupRun) store(ctx context.Context) error {
	if r.nothing() {
		return nil
	}
	for {
		changed, err := r.storeOnce(ctx)
		if err != nil || !changed {
			return err
		}
	}
}

// storeOnce stores what has happened until now, or, when it is unknown whether the step before was stored, that one.
// It reports whether there was anything. Of several goroutines only one may be in it.
func (r *groupRun) storeOnce(ctx context.Context) (bool, error) {
	if r.pending == nil {
		r.pending = r.nextStep()
	}
	if r.pending == nil {
		return false, nil
	}
	if err := r.commit(ctx, *r.pending); err != nil {
		return true, err
	}
	r.step++
	created := len(r.pending.Pieces)
	r.pending = nil
	r.rouse()
	if created > 0 {
		r.engine.log.DebugContext(ctx, "tasks of a group created", "group_id", r.group.ID, "tasks", created)
		r.engine.wake()
	}
	return true, nil
}

// nextStep returns what has happened since the last step, nil for nothing.
func (r *groupRun) nextStep() *oms.SplitCommit {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, changed := r.split.take()
	if !changed {
		return nil
	}
	c.GroupID, c.Generation, c.Step = r.group.ID, r.group.Generation, r.step
	return &c
}

// commit stores a step. Before all but the first attempt it looks whether an earlier one took effect after all (rule
// P7).
func (r *groupRun) commit(ctx context.Context, c oms.SplitCommit) error {
	e := r.engine
	return e.persist(ctx, "commit split", func(ctx context.Context) error {
		if r.tried {
			g, err := e.store.Group(ctx, "", c.GroupID)
			if err != nil {
				return err
			}
			if g.Generation == c.Generation && g.SplitStep == c.Step+1 {
				r.tried = false
				return nil
			}
		}
		r.tried = true
		err := e.store.CommitSplit(ctx, c, func(id int64) (map[string][]byte, error) {
			return sealAll(e.opts.Sealer, r.group.ProjectID, id, r.keys)
		})
		r.tried = err != nil
		return err
	})
}

// walk is one walker: it takes spans, or cuts the tail off another walker's, until none is left.
func (r *groupRun) walk(ctx context.Context) error {
	for {
		v, err := r.nextSpan(ctx)
		if v == nil || err != nil {
			return err
		}
		err = r.walkSpan(ctx, v)
		r.leave(v)
		if err != nil {
			return err
		}
	}
}

// nextSpan returns a span to list: a waiting one, or a tail cut off a live one. It waits while others are listing and
// nothing can be cut; nil means that all is listed.
func (r *groupRun) nextSpan(ctx context.Context) (*openSpan, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case len(r.waiting) > 0:
			v := r.waiting[0]
			r.waiting = r.waiting[1:]
			return r.begin(v, r.space.Start(r.split.interval(v))), nil
		case r.walking == 0:
			return nil, nil //nolint:nilnil // no span and no error: everything is listed
		}
		if keys, at, ok := r.space.Steal(); ok {
			if thief := r.space.Cut(keys, at); thief != nil {
				return r.begin(r.split.cut(r.live[keys], at), thief), nil
			}
		}
		r.cond.Wait()
	}
}

// begin makes v a span that is being listed. The run is locked.
func (r *groupRun) begin(v *openSpan, keys *keyspace.Range) *openSpan {
	v.keys = keys
	r.live[keys] = v
	r.walking++
	return v
}

// leave says that nobody lists the span any more.
func (r *groupRun) leave(v *openSpan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.space.Stop(v.keys)
	delete(r.live, v.keys)
	r.walking--
	r.cond.Broadcast()
}

// walkSpan lists a span to its end.
func (r *groupRun) walkSpan(ctx context.Context, v *openSpan) error {
	iv := r.split.interval(v) // the prefix never changes, and only the walker moves the lower bound
	opts := storage.ListOptions{Prefix: iv.Prefix, After: iv.Lo}
	for empty := 0; ; {
		page, err := r.list(ctx, opts)
		if err != nil {
			return err
		}
		if n := len(page.Objects); n > 0 || !page.Truncated {
			ended, err := r.deliver(ctx, v, page)
			if ended || err != nil {
				return err
			}
			empty, opts.After, opts.Token = 0, page.Objects[n-1].Key, ""
			continue
		}
		if empty++; page.Next == "" || page.Next == opts.Token || empty > maxEmptyPages {
			return &transfer.Stopped{Side: oms.Source, Err: &oms.Error{
				Op: "list", Key: opts.After, Kind: oms.Listing, Code: "LISTING_LOOP",
				Msg: "the store sends empty pages without end (" + strconv.Itoa(empty) + " in a row)",
			}}
		}
		opts.Token = page.Next
	}
}

// deliver counts what of a page lies in the span and reports whether the span's end was reached. It waits while many
// pieces are to be stored.
func (r *groupRun) deliver(ctx context.Context, v *openSpan, page storage.Page) (ended bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.split.pieces) >= splitPieces && ctx.Err() == nil {
		r.cond.Wait()
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	n, ended := r.space.Page(v.keys, keyspace.Page{
		N: len(page.Objects), Key: func(i int) string { return page.Objects[i].Key }, Truncated: page.Truncated,
	})
	r.split.advance(v, page.Objects[:n])
	if ended {
		r.split.finish(v)
	}
	if len(r.split.pieces) > 0 {
		signal(r.wake)
	}
	r.cond.Signal() // there may be something to cut now
	return ended, nil
}

// list asks the source for a page.
func (r *groupRun) list(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
	return r.listSide(ctx, oms.Source, r.src, opts)
}

// listSide asks for a page. A store that is away is waited for, as a task would; other errors stop the split.
func (r *groupRun) listSide(ctx context.Context, side oms.Side, bucket storage.Reader, opts storage.ListOptions) (storage.Page, error) {
	began, pause := time.Now(), firstPause
	for {
		call, cancel := context.WithTimeout(ctx, listPatience)
		page, err := bucket.List(call, opts)
		late := call.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			return page, nil
		case ctx.Err() != nil:
			return page, context.Cause(ctx)
		case !late && !oms.KindOf(err).Retryable() || time.Since(began) > r.engine.opts.Transfer.Patience:
			return page, &transfer.Stopped{Side: side, Err: err}
		}
		if pause == longestPause {
			r.engine.log.WarnContext(ctx, "a store is away, waiting", "group_id", r.group.ID, "err", err)
		}
		if err := rest(ctx, pause); err != nil {
			return page, err
		}
		pause = min(2*pause, longestPause)
	}
}

// concludeSplit stores how a split ended. A group whose process stops stays as it is and goes on at the next start.
func (e *Engine) concludeSplit(life context.Context, r *groupRun, cause error) {
	id := r.group.ID
	if cause != nil && !errors.Is(cause, errStopping) && !errors.Is(cause, errPaused) && !errors.Is(cause, errElsewhere) {
		reason := e.splitReason(life, id, cause)
		err := e.persist(life, "end split", func(ctx context.Context) error {
			_, err := e.store.ChangeGroup(ctx, "", id, func(cur oms.Group) (oms.GroupChange, error) {
				if cur.Generation != r.group.Generation {
					return oms.GroupChange{}, oms.Errorf(oms.Conflict, "", "task group %s has gone on without this run", id)
				}
				next, err := cur.Apply(oms.GroupEvent{Type: oms.GroupEventSplitFailed, Reason: &reason}, e.clock())
				return oms.GroupChange{Group: next, Wipe: true}, err
			})
			return err
		})
		if err != nil && life.Err() == nil {
			e.log.WarnContext(life, "the end of a split was not stored", "group_id", id, "err", err)
		}
	}
	err := e.persist(life, "release task group", func(ctx context.Context) error {
		return e.store.ReleaseGroup(ctx, e.opts.Owner, id)
	})
	if err != nil && life.Err() == nil {
		e.log.WarnContext(life, "a task group was not given back", "group_id", id, "err", err)
	}
	if cause == nil {
		e.log.InfoContext(life, "task group is cut into tasks", "group_id", id)
	}
}

// splitReason is why a group shows that its tasks could not be created.
func (e *Engine) splitReason(ctx context.Context, id string, err error) oms.ErrorReason {
	if _, ok := errors.AsType[*nothingSelected](err); ok {
		return oms.ErrorReason{Code: "TRF.0012", Message: "The source has no object of the chosen prefixes."}
	}
	if bad, ok := errors.AsType[*badLists](err); ok {
		return bad.reason
	}
	if gone, ok := errors.AsType[*keysGone](err); ok {
		e.log.WarnContext(ctx, "task group has no usable keys", "group_id", id, "err", err)
		return gone.reason()
	}
	if stopped, ok := errors.AsType[*transfer.Stopped](err); ok {
		e.log.WarnContext(ctx, "the source of a task group cannot be listed", "group_id", id, "err", err)
		return oms.ReasonOf(stopped.Side, stopped.Err)
	}
	stack := ""
	if p, ok := errors.AsType[*panicked](err); ok {
		stack = p.stack
	}
	e.log.ErrorContext(ctx, "task group was not split for an internal reason", "group_id", id, "err", err, "stack", stack)
	return oms.ReasonOf(oms.Source, nil)
}
