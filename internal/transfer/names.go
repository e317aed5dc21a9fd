package transfer

import (
	"context"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// eventDoubt is Rules.Doubt for objects that events name: an event says that something has changed, and clocks of
// stores differ by as much as signatures may.
const eventDoubt = 15 * time.Minute

// Named is an object that an event names.
type Named struct {
	Key string
	// Again says that the destination may hold what an earlier attempt of the same task left: it is proved before it
	// is believed, and counts as migrated then.
	Again bool
}

// NamedResult is what became of a named object.
type NamedResult struct {
	Key     string
	Skipped bool      // the destination held the same object already
	Size    int64     // bytes; 0 when unknown
	ModTime time.Time // of the source object; zero when unknown
	// Failure is nil on success.
	Failure *oms.Failure
}

// Feed hands the names out that arrive. Package engine implements it.
type Feed interface {
	// Next returns the next names, each at most once until Done was told of it. It waits until there are some; no
	// names mean that none will follow. The cause of ctx when that ended.
	Next(ctx context.Context) ([]Named, error)
	// Done is told what became of a name, at any time and from any goroutine. It must not wait.
	Done(r NamedResult)
}

// NewNamed returns a job over the names of the feed. Its Run takes no ranges but the one of [EventRange], ends when
// the feed does, and reports to the feed instead of the journal's Checkpoint, which is never called.
func NewNamed(plan Plan, feed Feed, journal Journal, res *Resources, opts Options) *Job {
	opts.Walkers = 1
	plan.Epoch = time.Unix(1, 0) // whatever looks like own work of an earlier attempt is to be proved
	return New(plan, &namedJournal{Journal: journal, feed: feed, open: make(map[int64]*batch)}, res, opts)
}

// EventRange is the range that a job over named objects runs on.
func EventRange(plan Plan) oms.Range {
	return oms.Range{TaskID: plan.TaskID, Generation: plan.Generation, Owner: plan.Owner, Kind: oms.RangeEvents, Seq: eventSeq, Token: 1}
}

// eventSeq is the Seq of EventRange; the ranges of single names follow.
const eventSeq = 1

// namedJournal turns checkpoints, of which each name has one of its own, into results.
type namedJournal struct {
	Journal
	feed Feed

	mu   sync.Mutex
	last int64
	open map[int64]*batch // by the Seq of the name's range
}

// Checkpoint implements Journal.
func (n *namedJournal) Checkpoint(_ context.Context, c oms.Checkpoint) error {
	n.mu.Lock()
	b := n.open[c.Seq]
	delete(n.open, c.Seq)
	n.mu.Unlock()
	if b == nil {
		return nil // of the range over all names
	}
	it := &b.items[0]
	r := NamedResult{
		Key: it.obj.Key, Size: it.obj.Size, ModTime: it.obj.ModTime,
		// What looked like the source object and was proved to be it was there before, unless an earlier attempt left it.
		Skipped: c.Delta.Skipped > 0 || it.own && !b.span.resumed,
	}
	if len(c.Failures) > 0 {
		r.Failure, r.Skipped = &c.Failures[0], false
	}
	n.feed.Done(r)
	return nil
}

// enter makes a name a range and a batch of its own, so that none waits for another.
func (n *namedJournal) enter(j *Job, name Named) *batch {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	r := EventRange(j.plan)
	r.Seq = eventSeq + n.last
	if name.Again {
		r.Token++
	}
	b := &batch{span: newSpan(r), last: name.Key, objects: 1}
	b.items = []item{{job: j, batch: b, obj: storage.ListedObject{Key: name.Key}, stat: true}}
	n.open[r.Seq] = b
	return b
}

// walkEvents hands out the names of the feed.
func (j *Job) walkEvents(ctx context.Context, _ *span) error {
	named, ok := j.journal.(*namedJournal)
	if !ok {
		return &oms.Error{Op: "walk range", Kind: oms.Unsupported, Msg: "a range over events needs a feed"}
	}
	for {
		names, err := named.feed.Next(ctx)
		if err != nil || len(names) == 0 {
			return err
		}
		j.found.Add(int64(len(names)))
		for _, name := range names {
			if err := j.dispatch(ctx, named.enter(j, name)); err != nil {
				return err
			}
		}
	}
}
