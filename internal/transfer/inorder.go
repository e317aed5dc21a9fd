package transfer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// inOrder computes the MD5 of an object whose parts arrive in any order, each from its buffer, which it keeps until
// those before it are through. When a part before it is given back because a store is away, those that wait are given
// back too: nobody holds a buffer through an outage. The methods of a nil inOrder do nothing.
type inOrder struct {
	mu      sync.Mutex
	next    int // number of the part to be hashed next
	parts   int
	left    int           // times that a part was given back
	changed chan struct{} // closed and renewed when next or left changed
	sum     hash.Hash     // used by the part whose turn it is
}

func newInOrder(parts int) *inOrder {
	return &inOrder{next: 1, parts: parts, changed: make(chan struct{}), sum: md5.New()}
}

// errOvertaken gives a part back because one before it was.
var errOvertaken = fmt.Errorf("a part before this one must be read again: %w", errAway)

// enter is called before a part is read; what it returns goes to add.
func (o *inOrder) enter() (turn int) {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left
}

// add waits until all parts before the number are hashed and hashes this one. It returns errOvertaken when a
// part was given back since enter: this one must be given back as well.
func (o *inOrder) add(ctx context.Context, turn, number int, bytes []byte) error {
	if o == nil {
		return nil
	}
	for {
		o.mu.Lock()
		next, left, changed := o.next, o.left, o.changed
		o.mu.Unlock()
		switch {
		case next == number:
			o.sum.Write(bytes) // by nobody else: the turn is ours until next moves
			o.mu.Lock()
			o.next++
			o.wake()
			o.mu.Unlock()
			return nil
		case left != turn:
			return errOvertaken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave says that a part that entered was given back.
func (o *inOrder) leave() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left++
	o.wake()
}

func (o *inOrder) wake() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// is reports whether all parts are hashed and their MD5 is the ETag.
func (o *inOrder) is(etag string) bool {
	return o.next == o.parts+1 && strings.EqualFold(etag, hex.EncodeToString(o.sum.Sum(nil)))
}
