package transfer

import (
	"context"
	"strconv"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// maxEmptyPages bounds empty truncated pages in a row: some stores send a few over deleted keys, a store that sends
// more loops.
const maxEmptyPages = 1000

// cursor reads a listing page by page, one page ahead of its user where that asks for it.
type cursor struct {
	list  lister
	opts  storage.ListOptions
	ended bool
	ahead chan fetched // the page being fetched; nil when none
	stop  context.CancelFunc
}

type fetched struct {
	page storage.Page
	err  error
}

func newCursor(list lister, prefix, after string) *cursor {
	return &cursor{list: list, opts: storage.ListOptions{Prefix: prefix, After: after}}
}

// next returns the next page that holds an object, or no objects at the end of the listing; ended tells that no page
// follows.
func (c *cursor) next(ctx context.Context) ([]storage.ListedObject, error) {
	for empty := 0; !c.ended; empty++ {
		page, err := c.fetch(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case !page.Truncated:
			c.ended = true
		case len(page.Objects) > 0:
			c.opts.After, c.opts.Token = page.Objects[len(page.Objects)-1].Key, ""
		case page.Next == "" || page.Next == c.opts.Token || empty >= maxEmptyPages:
			return nil, &oms.Error{
				Op: "list", Key: c.opts.After, Kind: oms.Listing, Code: "LISTING_LOOP",
				Msg: "the store sends empty pages without end (" + strconv.Itoa(empty+1) + " in a row)",
			}
		default:
			c.opts.Token = page.Next
		}
		if len(page.Objects) > 0 {
			return page.Objects, nil
		}
	}
	return nil, nil
}

func (c *cursor) fetch(ctx context.Context) (storage.Page, error) {
	if c.ahead == nil {
		return c.list(ctx, c.opts)
	}
	f := <-c.ahead
	c.stop()
	c.ahead = nil
	return f.page, f.err
}

// jump lets the next page begin behind a position that lies ahead.
func (c *cursor) jump(after string) {
	c.close()
	c.opts.After, c.opts.Token = after, ""
}

// prefetch asks for the page after the current one in the background.
func (c *cursor) prefetch(ctx context.Context) {
	if c.ended || c.ahead != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	ahead, opts := make(chan fetched, 1), c.opts
	c.ahead, c.stop = ahead, stop
	go func() {
		page, err := c.list(ctx, opts)
		ahead <- fetched{page, err}
	}()
}

// close ends a fetch under way and waits for it.
func (c *cursor) close() {
	if c.ahead != nil {
		c.stop()
		<-c.ahead
		c.ahead = nil
	}
}
