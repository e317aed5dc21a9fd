package testcloud

import (
	"slices"
	"strings"
)

// chunkSize bounds a chunk of an index: an insert moves at most that many items.
const chunkSize = 512

// item is one object of an index under its sort key.
type item struct {
	ord string
	obj *Object // nil: deleted, hides the generated object of that key
}

// index keeps items in ascending order of ord, in chunks of bounded size: inserting in any order costs
// O(log n) comparisons and a short move. The zero value is empty. The caller locks.
type index struct {
	chunks [][]item // none empty
	n      int
}

// pos is a place in an index; it becomes invalid with the next change.
type pos struct{ chunk, at int }

// seek returns the first place whose ord is at or after ord.
func (x *index) seek(ord string) pos {
	c, _ := slices.BinarySearchFunc(x.chunks, ord, func(ch []item, ord string) int {
		return strings.Compare(ch[len(ch)-1].ord, ord)
	})
	if c == len(x.chunks) {
		return pos{chunk: c}
	}
	at, _ := slices.BinarySearchFunc(x.chunks[c], ord, compareItem)
	return pos{chunk: c, at: at}
}

func compareItem(it item, ord string) int { return strings.Compare(it.ord, ord) }

// get returns the item at p, or false at the end.
func (x *index) get(p pos) (item, bool) {
	if p.chunk >= len(x.chunks) {
		return item{}, false
	}
	return x.chunks[p.chunk][p.at], true
}

// next returns the place after p.
func (x *index) next(p pos) pos {
	p.at++
	if p.at >= len(x.chunks[p.chunk]) {
		return pos{chunk: p.chunk + 1}
	}
	return p
}

// find returns the item of exactly ord.
func (x *index) find(ord string) (item, bool) {
	it, ok := x.get(x.seek(ord))
	return it, ok && it.ord == ord
}

// put inserts or replaces.
func (x *index) put(it item) {
	p := x.seek(it.ord)
	if old, ok := x.get(p); ok && old.ord == it.ord {
		x.chunks[p.chunk][p.at] = it
		return
	}
	x.n++
	if len(x.chunks) == 0 {
		x.chunks = append(x.chunks, append(make([]item, 0, chunkSize), it))
		return
	}
	if p.chunk == len(x.chunks) { // behind everything: grow the last chunk
		p.chunk--
		p.at = len(x.chunks[p.chunk])
	}
	ch := slices.Insert(x.chunks[p.chunk], p.at, it)
	if len(ch) < chunkSize {
		x.chunks[p.chunk] = ch
		return
	}
	half := len(ch) / 2
	right := append(make([]item, 0, chunkSize), ch[half:]...)
	clear(ch[half:])
	x.chunks[p.chunk] = ch[:half]
	x.chunks = slices.Insert(x.chunks, p.chunk+1, right)
}

// remove takes ord out, if it is there.
func (x *index) remove(ord string) {
	p := x.seek(ord)
	if it, ok := x.get(p); !ok || it.ord != ord {
		return
	}
	x.n--
	ch := slices.Delete(x.chunks[p.chunk], p.at, p.at+1)
	x.chunks[p.chunk] = ch
	if len(ch) == 0 {
		x.chunks = slices.Delete(x.chunks, p.chunk, p.chunk+1)
	}
}
