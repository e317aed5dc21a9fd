package transfer

import (
	"context"
	"errors"
	"sync/atomic"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/storage"
)

// Bounds of a join. A page costs what 12.5 single look-ups cost, and more than 80 keys for one that is asked for make
// it the dearer way.
const (
	densityPages = 4    // pages that the density is measured over
	dense        = 80   // keys of the destination for one of the source: do not read on, jump to the key
	firstLookUps = 64   // keys looked up one by one before a page is tried again; doubled each time in vain
	mostLookUps  = 1024 // the most
)

// joiner finds what the destination has under source keys that ascend, in few requests: page by page where the
// destination is about as dense as the source; by pages that begin at the key asked for where it is much denser; not at
// all, so that the object is looked up on its own, where even such a page rarely answers for two keys. Make one with
// newJoiner.
type joiner struct {
	cursor *cursor
	from   string                // that source keys begin with and that is no part of what is compared
	save   string                // that comes in its place at the destination
	within func(key string) bool // whether a source key behind this one may still be asked for
	atEnd  func(last string)     // told where the destination has no more keys
	blind  *atomic.Bool          // the destination's listing cannot be used

	page  []storage.ListedObject // what is left of the page
	last  string                 // its last key, as the source would name it
	size  int                    // keys that it had
	asked int                    // keys that it answered for
	ended bool                   // nothing follows it

	pages   int // turned so far
	history [densityPages]struct{ size, asked int }
	lookUps int // keys to look up before a page is tried again
	stretch int // how many they were
}

func newJoiner(c *cursor, save string) *joiner {
	return &joiner{
		cursor: c, save: save, within: func(string) bool { return true }, atEnd: func(string) {}, blind: new(atomic.Bool),
	}
}

// seek returns what the destination has for the source key, nil for nothing; known is false when the object must be
// looked up. Keys must ascend.
func (d *joiner) seek(ctx context.Context, key string) (there *storage.ListedObject, known bool, err error) {
	key = key[len(d.from):]
	for !d.blind.Load() {
		if there, ok := d.find(ctx, key); ok {
			return there, true, nil
		}
		if d.ended {
			return nil, true, nil
		}
		if d.lookUps > 0 {
			d.lookUps--
			return nil, false, nil
		}
		if err := d.turn(ctx, key); err != nil {
			if _, disorder := errors.AsType[*Disorder](err); !disorder {
				return nil, false, err
			}
			d.blind.Store(true)
		}
	}
	return nil, false, nil
}

// find looks for the key in the page; false when the page ends before it.
func (d *joiner) find(ctx context.Context, key string) (*storage.ListedObject, bool) {
	for len(d.page) > 0 {
		there := d.page[0].Key[len(d.save):]
		if there >= key {
			d.asked++
			if there == key {
				return &d.page[0], true
			}
			return nil, true
		}
		d.page = d.page[1:]
		if len(d.page) == d.size/2 && d.size <= dense*d.asked && d.within(d.last) {
			d.cursor.prefetch(ctx)
		}
	}
	return nil, false
}

// turn goes on to the page behind the last, or to one that begins at the key, or decides for look-ups.
func (d *joiner) turn(ctx context.Context, key string) error {
	switch {
	case d.pages == 0 || d.cursor.ahead != nil:
		d.record()
	case d.stretch > 0 && d.size == 0: // after look-ups
		d.jump(key)
	default:
		d.record()
		size, asked := d.density()
		switch {
		case d.pages >= densityPages && asked <= densityPages:
			d.stretch = min(max(2*d.stretch, firstLookUps), mostLookUps)
			d.lookUps, d.size, d.asked = d.stretch, 0, 0
			return nil
		case size > dense*asked, d.history[d.pages%densityPages].size > dense*d.history[d.pages%densityPages].asked:
			d.jump(key)
		}
		d.stretch = 0
	}
	return d.fetch(ctx)
}

// record takes the page that ends into the history.
func (d *joiner) record() {
	if d.size > 0 {
		d.pages++
		d.history[d.pages%densityPages] = struct{ size, asked int }{d.size, d.asked}
	}
}

// density sums up the last pages.
func (d *joiner) density() (size, asked int) {
	for _, p := range d.history {
		size += p.size
		asked += p.asked
	}
	return size, asked
}

// jump lets the next page begin just before the key, unless the one behind the last does.
func (d *joiner) jump(key string) {
	if p := below(d.save + key); p > d.cursor.opts.After {
		d.cursor.jump(p)
	}
}

// fetch reads the next page.
func (d *joiner) fetch(ctx context.Context) error {
	page, err := d.cursor.next(ctx)
	if err != nil {
		return err
	}
	d.page, d.size, d.asked = page, len(page), 0
	end := d.cursor.opts.After
	if len(page) > 0 {
		end = page[len(page)-1].Key
	}
	d.last = end[min(len(d.save), len(end)):]
	if d.ended = d.cursor.ended; d.ended {
		d.atEnd(d.last)
	}
	return nil
}

// below returns a position just before a key, so that next to nothing lies between; "" when the key is no text.
func below(key string) string {
	if !utf8.ValidString(key) {
		return ""
	}
	c, n := utf8.DecodeLastRuneInString(key)
	head := key[:len(key)-n]
	switch c {
	case 0:
		return head
	case 0xE000:
		c = 0xD800 // the surrogates are no characters
	}
	if p := head + string(c-1) + string(utf8.MaxRune); len(p) <= maxKey {
		return p
	}
	return head
}
