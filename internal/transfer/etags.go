package transfer

import "sync/atomic"

// manyForeign is how many objects of a source, read twice alike, must have an ETag that is not their MD5, and none one
// that is, before its ETags count as something else.
const manyForeign = 3

// etags is what a job has learned about a source's ETags that look like the MD5 of the object, or of its parts. Some
// stores make up others, which says nothing about the bytes; a bucket with one true MD5 has no such store.
type etags struct {
	matched   atomic.Bool  // some object's ETag was the MD5 of its bytes
	different atomic.Int64 // objects read twice alike whose ETag was another
}

// match says that an object's ETag is the MD5 of its bytes.
func (e *etags) match() {
	if !e.matched.Load() { // a cache line that all workers share
		e.matched.Store(true)
	}
}

// differ says that an object was read twice alike and its ETag is not the MD5 of its bytes. It returns whether that is
// to be believed: no other object had a true one.
func (e *etags) differ() bool {
	e.different.Add(1)
	return !e.matched.Load()
}

// foreign reports that the ETags are not worth comparing.
func (e *etags) foreign() bool { return !e.matched.Load() && e.different.Load() >= manyForeign }
