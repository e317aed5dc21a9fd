package testcloud

import (
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Request is what the store remembers of one call.
type Request struct {
	At        time.Time
	Took      time.Duration
	Method    string
	Op        Op
	Bucket    string
	Key       string
	RawQuery  string
	Range     string // the Range header
	AccessKey string // "" when the signature names none that is known
	Status    int    // 0: the connection ended without an answer
	In, Out   int64  // body bytes
}

// records counts and remembers requests.
type records struct {
	limit int

	mu       sync.Mutex
	ring     []Request
	next     int
	counts   map[Op]int64
	statuses map[int]int64
	inFlight map[Op]int
	peak     map[Op]int
	in, out  int64
	conns    map[net.Conn]struct{}
	accepted int64
}

func newRecords(limit int) *records {
	r := &records{limit: limit}
	r.conns = map[net.Conn]struct{}{}
	r.clear()
	return r
}

func (r *records) clear() {
	r.ring, r.next = nil, 0
	r.counts, r.statuses = map[Op]int64{}, map[int]int64{}
	r.peak = map[Op]int{}
	if r.inFlight == nil {
		r.inFlight = map[Op]int{}
	}
	r.in, r.out = 0, 0
}

func (r *records) begin(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[op]++
	r.inFlight[op]++
	r.peak[op] = max(r.peak[op], r.inFlight[op])
}

func (r *records) end(c *call, start, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight[c.op]--
	r.statuses[c.status]++
	r.in += c.in
	r.out += c.out
	if r.limit < 0 {
		return
	}
	req := Request{
		At: start, Took: end.Sub(start), Method: c.r.Method, Op: c.op, Bucket: c.bucket, Key: c.key,
		RawQuery: c.r.URL.RawQuery, Range: c.r.Header.Get("Range"), AccessKey: c.accKey,
		Status: c.status, In: c.in, Out: c.out,
	}
	if len(r.ring) < r.limit {
		r.ring = append(r.ring, req)
		return
	}
	r.ring[r.next] = req
	r.next = (r.next + 1) % r.limit
}

// Requests returns the remembered requests in the order in which they ended, at most
// Options.RecordLimit of them. A request is there when its handler has returned, which for an answer of more
// than a few KiB may be a moment after the client has read the last byte.
func (c *Cloud) Requests() []Request {
	r := c.records
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append(make([]Request, 0, len(r.ring)), r.ring[r.next:]...), r.ring[:r.next]...)
}

// Count returns how many requests of an operation have arrived, refused ones included.
func (c *Cloud) Count(op Op) int64 {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	return c.records.counts[op]
}

// Counts returns [Cloud.Count] for every operation that was asked for.
func (c *Cloud) Counts() map[Op]int64 {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	return maps.Clone(c.records.counts)
}

// Statuses returns how many requests ended with each HTTP status; 0 stands for no answer at all.
func (c *Cloud) Statuses() map[int]int64 {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	return maps.Clone(c.records.statuses)
}

// Bytes returns the body bytes of all ended requests: received and sent.
func (c *Cloud) Bytes() (in, out int64) {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	return c.records.in, c.records.out
}

// Peak returns the highest number of requests of an operation that ran at the same time.
func (c *Cloud) Peak(op Op) int {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	return c.records.peak[op]
}

// Conns returns the number of open connections, and of all that were ever accepted.
func (c *Cloud) Conns() (open int, accepted int64) {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	return len(c.records.conns), c.records.accepted
}

// ClearRecords forgets requests and counters, but not open connections.
func (c *Cloud) ClearRecords() {
	c.records.mu.Lock()
	defer c.records.mu.Unlock()
	c.records.clear()
}

// ConnState counts connections; it is an [http.Server] ConnState hook.
func (c *Cloud) ConnState(conn net.Conn, state http.ConnState) {
	r := c.records
	r.mu.Lock()
	defer r.mu.Unlock()
	switch state {
	case http.StateNew:
		r.conns[conn] = struct{}{}
		r.accepted++
	case http.StateClosed, http.StateHijacked:
		delete(r.conns, conn)
	case http.StateActive, http.StateIdle:
	}
}
