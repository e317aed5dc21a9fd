package auth

import (
	"sync"
	"time"
)

// ttlCache is a bounded map whose entries are forgotten after a fixed time. It is safe for concurrent use.
type ttlCache[K comparable, V any] struct {
	ttl time.Duration
	max int

	mu      sync.Mutex
	entries map[K]ttlEntry[V]
}

type ttlEntry[V any] struct {
	value V
	until time.Time
}

func newTTLCache[K comparable, V any](ttl time.Duration, maxEntries int) *ttlCache[K, V] {
	return &ttlCache[K, V]{ttl: ttl, max: maxEntries, entries: make(map[K]ttlEntry[V])}
}

// get returns the value if it was put less than ttl before now. A clock that was set back ends it too.
func (c *ttlCache[K, V]) get(k K, now time.Time) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok || !e.fresh(now, c.ttl) {
		var zero V
		return zero, false
	}
	return e.value, true
}

// put remembers v, forgetting what is old and, if that is not enough, any other entry.
func (c *ttlCache[K, V]) put(k K, v V, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[k]; !ok && len(c.entries) >= c.max {
		c.makeRoom(now)
	}
	c.entries[k] = ttlEntry[V]{value: v, until: now.Add(c.ttl)}
}

func (c *ttlCache[K, V]) makeRoom(now time.Time) {
	for k, e := range c.entries {
		if !e.fresh(now, c.ttl) {
			delete(c.entries, k)
		}
	}
	for k := range c.entries {
		if len(c.entries) < c.max {
			return
		}
		delete(c.entries, k)
	}
}

// drop forgets k.
func (c *ttlCache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, k)
}

// clear forgets everything.
func (c *ttlCache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

func (e ttlEntry[V]) fresh(now time.Time, ttl time.Duration) bool {
	left := e.until.Sub(now)
	return left > 0 && left <= ttl
}
