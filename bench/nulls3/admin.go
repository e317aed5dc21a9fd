package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"syscall"
)

// statsReply is the answer to /_stats.
type statsReply struct {
	Ops         map[string]int64       `json:"ops"`
	Requests    int64                  `json:"requests"` // of S3 operations
	BytesIn     int64                  `json:"bytes_in"`
	BytesOut    int64                  `json:"bytes_out"`
	Connections int64                  `json:"connections"`
	OpenUploads int                    `json:"open_uploads"`
	Buckets     map[string]bucketReply `json:"buckets"`
	Faults      faultReply             `json:"faults"`
	BadChecksum int64                  `json:"bad_checksum"`
	BadLength   int64                  `json:"bad_length"`
	ServerCPU   float64                `json:"server_cpu_seconds"` // of the whole process
}

type bucketReply struct {
	Objects   int    `json:"objects"` // that were stored
	Bytes     int64  `json:"bytes"`
	Checksum  string `json:"checksum"`
	Synthetic bool   `json:"synthetic"`
}

type faultReply struct {
	SlowDown  int64 `json:"slowdown"`
	Reset     int64 `json:"reset"`
	Truncated int64 `json:"truncated"`
}

// verifyReply is the answer to /_verify.
type verifyReply struct {
	ExpectedObjects  int64    `json:"expected_objects"`
	ExpectedBytes    int64    `json:"expected_bytes"`
	Correct          int64    `json:"correct"`
	Missing          int64    `json:"missing"`
	WrongSize        int64    `json:"wrong_size"`
	WrongContent     int64    `json:"wrong_content"`
	Extra            int64    `json:"extra"`
	ExpectedChecksum string   `json:"expected_checksum"`
	Checksum         string   `json:"checksum"`
	Complete         bool     `json:"complete"`
	Examples         []string `json:"examples"` // keys of the first objects that are not correct
}

// admin answers the requests that are not of S3.
func (c *conn) admin(path string) error {
	var out any
	switch path {
	case "_reset":
		c.reset()
		out = map[string]bool{"ok": true}
	case "_stats":
		s, err := c.report()
		if err != nil {
			return err
		}
		out = s
	case "_verify":
		b := c.bucket("dst")
		if b == nil {
			return c.replyError(http.StatusNotFound, "NotFound", "no bucket dst")
		}
		out = b.verify(c.source)
	default:
		return c.replyError(http.StatusNotFound, "NotFound", "no such page")
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return c.reply(http.StatusOK, "Content-Type: application/json\r\n", append(text, '\n'))
}

// reset clears the counters and what was stored.
func (e *endpoint) reset() {
	for i := range e.stats.ops {
		e.stats.ops[i].Store(0)
	}
	for i := range e.stats.faults {
		e.stats.faults[i].Store(0)
	}
	e.stats.bytesIn.Store(0)
	e.stats.bytesOut.Store(0)
	e.stats.connections.Store(0)
	e.stats.badLength.Store(0)
	e.stats.badChecksum.Store(0)
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, b := range e.buckets {
		e.buckets[name] = newBucket(b.base)
	}
	clear(e.uploads)
}

func (e *endpoint) report() (statsReply, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return statsReply{}, fmt.Errorf("resource usage: %w", err)
	}
	s := statsReply{
		Ops: map[string]int64{}, Buckets: map[string]bucketReply{},
		BytesIn: e.stats.bytesIn.Load(), BytesOut: e.stats.bytesOut.Load(), Connections: e.stats.connections.Load(),
		Faults: faultReply{
			SlowDown: e.stats.faults[faultSlowDown].Load(), Reset: e.stats.faults[faultReset].Load(),
			Truncated: e.stats.faults[faultTruncated].Load(),
		},
		BadChecksum: e.stats.badChecksum.Load(), BadLength: e.stats.badLength.Load(),
		ServerCPU: float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9,
	}
	for o := range ops {
		n := e.stats.ops[o].Load()
		if n == 0 {
			continue
		}
		s.Ops[o.String()] = n
		if o != opOther {
			s.Requests += n
		}
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	s.OpenUploads = len(e.uploads)
	for name, b := range e.buckets {
		s.Buckets[name] = b.report()
	}
	return s, nil
}

func (b *bucket) report() bucketReply {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return bucketReply{Objects: len(b.objects), Bytes: b.bytes, Checksum: fmt.Sprintf("%016x", b.sum), Synthetic: b.base != nil}
}

// verify compares every object with the source's synthetic one.
func (b *bucket) verify(source *synth) verifyReply {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r := verifyReply{ExpectedObjects: source.n, ExpectedBytes: source.total, Checksum: fmt.Sprintf("%016x", b.sum)}
	var sum uint64
	var buf [256]byte
	for i := range source.n {
		key := source.key(buf[:0], i)
		o := b.objects[string(key)]
		if o == nil && b.base != nil && !b.deleted[string(key)] {
			r.Correct++
			continue
		}
		size := source.size(i)
		crc := source.checksum(source.variant(i, size), size)
		sum += recordHash(string(key), size, crc)
		switch {
		case o == nil:
			r.Missing++
		case o.size != size:
			r.WrongSize++
		case o.crc != crc:
			r.WrongContent++
		default:
			r.Correct++
			continue
		}
		if len(r.Examples) < 5 {
			r.Examples = append(r.Examples, string(key))
		}
	}
	if b.base == nil {
		r.Extra = int64(len(b.objects)) - (r.Correct + r.WrongSize + r.WrongContent)
	}
	r.ExpectedChecksum = fmt.Sprintf("%016x", sum)
	r.Complete = r.Correct == source.n && r.Extra <= 0
	return r
}
