package transfer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Disorder ends a job whose source does not list in byte order, or does not begin a listing where it is told to: no
// range of it can be trusted, whatever it has passed. The objects in flight were finished and reported. With a range of
// kind [oms.RangeLate] the task goes on; see there.
type Disorder struct {
	Side oms.Side
	Err  error
}

// Error implements error.
func (d *Disorder) Error() string { return "the listing cannot be divided: " + d.Err.Error() }

// Unwrap returns what was wrong with a page.
func (d *Disorder) Unwrap() error { return d.Err }

// lister returns one page of a listing.
type lister func(context.Context, storage.ListOptions) (storage.Page, error)

// listing returns a function that lists one side, with retries. Its pages can be trusted to be in byte order and where
// they should be; a *Disorder says that the side cannot be listed so.
func (j *Job) listing(at target, r storage.Reader) lister {
	list, side := j.pages(at, r), at.side()
	o := &j.orders[side-oms.Source]
	return func(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
		page, err := list(ctx, opts)
		if err != nil || opts.AnyOrder {
			return page, err
		}
		return page, o.check(ctx, side, list, opts, page)
	}
}

// pages returns a function that lists one side, with retries.
func (j *Job) pages(at target, r storage.Reader) lister {
	return func(ctx context.Context, o storage.ListOptions) (page storage.Page, err error) {
		var wrong error
		err = j.retry(ctx, at, func(ctx context.Context, _ *watch) error {
			page, err = r.List(ctx, o)
			if wrong = nil; outOfOrder(o, err) {
				wrong = err // an answer, though not the one that is wanted
				return nil
			}
			return err
		})
		if wrong != nil && err == nil {
			return page, &Disorder{at.side(), wrong}
		}
		if _, stopped := errors.AsType[*Stopped](err); err != nil && !stopped && ctx.Err() == nil {
			err = j.stop(at.side(), err) // without a listing nothing can be decided (rule D9)
		}
		return page, err
	}
}

// answers returns nil when the bucket can be listed, in whatever order.
func answers(ctx context.Context, r storage.Reader, prefix string) error {
	_, err := r.List(ctx, storage.ListOptions{Prefix: prefix, Limit: 1})
	if errors.Is(err, storage.ErrOrder) {
		return nil
	}
	return err
}

// outOfOrder reports whether the error of a page says that the store lists in another order, or cannot begin where it
// is told to.
func outOfOrder(o storage.ListOptions, err error) bool {
	if o.AnyOrder || err == nil {
		return false
	}
	kind := oms.KindOf(err)
	return errors.Is(err, storage.ErrOrder) ||
		o.After != "" && (kind == oms.Invalid || kind == oms.Unsupported)
}

// order is what was proved about the listings of one side. A violation shows by itself in a page; what is proved here
// would not: that a page begins right behind the position asked for, even one that is no key, so that no key is passed
// over; and that characters beyond U+FFFF are the last ones, for a store that sorts UTF-16 ends a range before it has
// listed all of it. The zero value has proved nothing.
type order struct {
	mu    sync.Mutex
	seeks atomic.Bool
	high  atomic.Bool
}

// check proves what the page depends on, at first use: two or three requests, and one more when the first character
// beyond U+FFFF is seen.
func (o *order) check(ctx context.Context, side oms.Side, list lister, opts storage.ListOptions, page storage.Page) error {
	if !o.seeks.Load() && (page.Truncated || opts.After != "") {
		if err := o.proveSeeks(ctx, side, list, opts, page); err != nil {
			return err
		}
	}
	if o.high.Load() {
		return nil
	}
	for i := range page.Objects {
		if at := highCharacter(page.Objects[i].Key, len(opts.Prefix)); at >= 0 {
			return o.proveHigh(ctx, side, list, opts, page.Objects[i].Key, at)
		}
	}
	return nil
}

// proveSeeks proves that listings begin where they are told to. The keys of a page are what such listings must give.
func (o *order) proveSeeks(ctx context.Context, side oms.Side, list lister, opts storage.ListOptions, page storage.Page) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seeks.Load() {
		return nil
	}
	known := page.Objects
	if len(known) < 2 {
		if opts.After == "" {
			return nil // a later page can tell
		}
		first, err := list(ctx, storage.ListOptions{Prefix: opts.Prefix})
		if err != nil {
			return err
		}
		if known = first.Objects; !first.Truncated {
			return sameTail(side, known, opts.After, page.Objects)
		}
	}
	if len(known) < 2 {
		return nil
	}
	at := len(known) / 3
	probes := []seek{{opts.Prefix, known[at].Key, known[at+1].Key}}
	if p, ok := strangeSeek(opts.Prefix, known); ok {
		probes = append(probes, p)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, p := range probes {
		g.Go(func() error { return p.try(gctx, side, list) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	o.seeks.Store(true)
	return nil
}

// sameTail returns a *Disorder unless the page has all known keys behind the position.
func sameTail(side oms.Side, known []storage.ListedObject, after string, page []storage.ListedObject) error {
	got := make(map[string]bool, len(page))
	for i := range page {
		got[page[i].Key] = true
	}
	for i := range known {
		if k := known[i].Key; k > after && !got[k] {
			return passedOver(side, k)
		}
	}
	return nil
}

// seek is a listing whose first key is known.
type seek struct{ prefix, after, want string }

// strangeSeek returns a listing that begins at a position that is no key and hard to carry.
func strangeSeek(prefix string, known []storage.ListedObject) (seek, bool) {
	const strange = "\x01 é+%2F\U0001F600"
	for i := len(known) * 2 / 3; i < len(known)-1; i++ {
		p := seek{prefix, known[i].Key + strange, known[i+1].Key}
		if p.after < p.want && len(p.after) <= maxKey && utf8.ValidString(p.after) {
			return p, true
		}
	}
	return seek{}, false
}

// try returns a *Disorder when the listing passes over the key that it should begin with. A key that was written since
// may come before it, and it may have been deleted.
func (p seek) try(ctx context.Context, side oms.Side, list lister) error {
	got, err := first(ctx, list, storage.ListOptions{Prefix: p.prefix, After: p.after, Limit: 2})
	if err != nil || got != "" && got <= p.want {
		return err
	}
	still, err := first(ctx, list, storage.ListOptions{Prefix: p.want, Limit: 1})
	if err != nil || still != p.want {
		return err
	}
	return passedOver(side, p.want)
}

// first returns the first key of a listing, "" when there is none.
func first(ctx context.Context, list lister, opts storage.ListOptions) (string, error) {
	c := newCursor(list, opts.Prefix, opts.After)
	c.opts.Limit = opts.Limit
	page, err := c.next(ctx)
	if err != nil || len(page) == 0 {
		return "", err
	}
	return page[0].Key, nil
}

func passedOver(side oms.Side, key string) error {
	return &Disorder{side, &oms.Error{
		Op: "list", Key: key, Kind: oms.Listing, Code: codeListing, Msg: "a listing that begins before the key passes over it",
		Err: storage.ErrOrder,
	}}
}

// highCharacter returns where in the key the first character beyond U+FFFF behind the offset is, -1 when there is none.
func highCharacter(key string, from int) int {
	for i := from; i < len(key); i++ {
		if key[i] >= 0xF0 {
			if c, _ := utf8.DecodeRuneInString(key[i:]); c > 0xFFFF && utf8.ValidString(key[:i]) {
				return i
			}
		}
	}
	return -1
}

// proveHigh proves that a key with a character beyond U+FFFF comes behind all that have another one there. A store
// that sorts UTF-16 has the key before the position asked for.
func (o *order) proveHigh(ctx context.Context, side oms.Side, list lister, opts storage.ListOptions, key string, at int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.high.Load() {
		return nil
	}
	below := key[:at] + "\uFFFF\uFFFF"
	if err := (seek{opts.Prefix, below, key}).try(ctx, side, list); err != nil {
		return err
	}
	o.high.Store(true)
	return nil
}
