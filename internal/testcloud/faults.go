package testcloud

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Faults is the misbehaviour of a [Cloud]: a list of rules, changed at run time. A request suffers the
// faults of all rules that match it; of two faults of one kind the earlier rule wins.
type Faults struct {
	mu    sync.Mutex
	rules []*rule
	dice  *rand.Rand
}

// A Rule says which requests suffer a fault. The zero value of every condition matches all.
type Rule struct {
	Ops         []Op
	Bucket      string
	Key         func(key string) bool
	Skip        int     // so many matching requests pass unharmed first
	Count       int     // so many requests suffer it, then none; 0 means no end
	Probability float64 // of each matching request; 0 means always
	Fault       Fault
}

// rule is a Rule with its memory.
type rule struct {
	Rule
	seen, hits int
}

func newFaults(seed uint64) *Faults {
	return &Faults{dice: rand.New(rand.NewPCG(seed, 0x7465737463))}
}

// Add appends a rule and returns a function that takes it away again.
func (f *Faults) Add(r Rule) (remove func()) {
	own := &rule{Rule: r}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, own)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rules = slices.DeleteFunc(f.rules, func(x *rule) bool { return x == own })
	}
}

// On is [Faults.Add] for the simplest rule: every request of an operation.
func (f *Faults) On(op Op, fault Fault) (remove func()) {
	return f.Add(Rule{Ops: []Op{op}, Fault: fault})
}

// Once is [Faults.On] for the next request only.
func (f *Faults) Once(op Op, fault Fault) (remove func()) {
	return f.Add(Rule{Ops: []Op{op}, Fault: fault, Count: 1})
}

// Clear removes all rules.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// match returns the faults for one request.
func (f *Faults) match(op Op, bucket, key string) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fired []Fault
	for _, r := range f.rules {
		if !r.matches(op, bucket, key) {
			continue
		}
		r.seen++
		if r.seen <= r.Skip || r.Count > 0 && r.hits >= r.Count {
			continue
		}
		if r.Probability > 0 && f.dice.Float64() >= r.Probability {
			continue
		}
		r.hits++
		fired = append(fired, r.Fault)
	}
	return fired
}

func (r *rule) matches(op Op, bucket, key string) bool {
	return (len(r.Ops) == 0 || slices.Contains(r.Ops, op)) &&
		(r.Bucket == "" || r.Bucket == bucket) &&
		(r.Key == nil || r.Key(key))
}

// KeyIs matches one key in a [Rule].
func KeyIs(key string) func(string) bool { return func(k string) bool { return k == key } }

// A Fault is one kind of misbehaviour; make it with one of the functions below. The zero value does nothing.
type Fault struct {
	kind   faultKind
	status int
	code   string
	when   phase
	n      int64
	name   string
	text   string
	d      time.Duration
	mutate func([]byte) []byte
	header http.Header
}

// phase says when a fault strikes.
type phase uint8

const (
	before  phase = iota // nothing happens but the fault
	applied              // the operation has taken effect
)

type faultKind uint8

const (
	// in place of, or before, the answer
	kindDelay faultKind = iota + 1
	kindStall
	kindReset
	kindError
	kindOKError
	// what the operation does
	kindCorrupt
	kindSwap
	kindIgnoreRange
	kindLastModified
	kindBlanks
	kindHeader
	// the body of the answer
	kindFlip
	kindTruncate
	kindResetAfter
	kindStallAfter
	kindDeclare
	kindExtra
	kindChunked
	kindEndless
	kindRate
	// pages of object listings
	kindListDuplicate
	kindListMissing
	kindListUnsorted
	kindListEndless
	kindListEmpty
	kindListPause
	kindListShort
	kindListRepeat
	kindListCycle
	kindListNoToken
	kindListForeign
	// documents
	kindXMLMalformed
	kindXMLHuge
	kindXMLDoctype
	kindXMLDeep
	kindXMLEncoding
)

// Fail answers with an error document instead of doing anything.
func Fail(status int, code string) Fault { return Fault{kind: kindError, status: status, code: code} }

// SlowDown is the 503 of a throttling store.
func SlowDown() Fault { return Fail(http.StatusServiceUnavailable, "SlowDown") }

// InternalError is a plain 500.
func InternalError() Fault { return Fail(http.StatusInternalServerError, "InternalError") }

// WithRetryAfter adds a Retry-After header, however absurd, to a [Fail].
func (f Fault) WithRetryAfter(value string) Fault {
	f.header = http.Header{"Retry-After": {value}}
	return f
}

// AfterApplying lets the operation take effect before [Fail], [Reset], [Stall] or [OKError] strikes.
func (f Fault) AfterApplying() Fault {
	f.when = applied
	return f
}

// Reset closes the connection with a TCP reset instead of answering.
func Reset() Fault { return Fault{kind: kindReset} }

// Stall never answers: until the client leaves or the cloud closes.
func Stall() Fault { return Fault{kind: kindStall} }

// Delay waits before anything happens. Several delays add up.
func Delay(d time.Duration) Fault { return Fault{kind: kindDelay, d: d} }

// OKError answers 200 with an error document, as CompleteMultipartUpload and CopyObject may.
func OKError(code string) Fault { return Fault{kind: kindOKError, status: http.StatusOK, code: code} }

// Corrupt changes the bytes of a PutObject or UploadPart before they are stored, and checks no digest of
// the request. ETag and checksums in the answer are those of what is stored. On CompleteMultipartUpload it
// changes the whole object, with a full-object checksum to match; the ETag of parts stays.
func Corrupt(mutate func([]byte) []byte) Fault { return Fault{kind: kindCorrupt, mutate: mutate} }

// CorruptSilently is [Corrupt] with the ETag and the checksums of what was sent: only reading the object
// back shows the damage.
func CorruptSilently(mutate func([]byte) []byte) Fault {
	return Fault{kind: kindCorrupt, mutate: mutate, text: silent}
}

// silent marks the corruption that no answer shows.
const silent = "silent"

// SwapHalves is a mutation for [Corrupt] that exchanges the two halves, as parts in the wrong order do.
func SwapHalves(p []byte) []byte {
	half := len(p) / 2
	return append(slices.Clone(p[half:]), p[:half]...)
}

// FlipBit returns a mutation for [Corrupt] that flips the lowest bit of the byte at off, modulo the length.
func FlipBit(off int) func([]byte) []byte {
	return func(p []byte) []byte {
		if len(p) == 0 {
			return p
		}
		p = slices.Clone(p)
		p[off%len(p)] ^= 1
		return p
	}
}

// Chop returns a mutation for [Corrupt] that loses the last n bytes.
func Chop(n int) func([]byte) []byte {
	return func(p []byte) []byte { return p[:max(0, len(p)-n)] }
}

// ChunkFrames is a mutation for [Corrupt] that stores the framing of aws-chunked with the data.
func ChunkFrames(p []byte) []byte {
	out := append([]byte(nil), lastHexDigits(len(p))+";chunk-signature=0000\r\n"...)
	out = append(out, p...)
	return append(out, "\r\n0;chunk-signature=0000\r\n\r\n"...)
}

// SwapContent answers GetObject with the bytes of another key of the same bucket, cut or zero-padded to the
// right length.
func SwapContent(otherKey string) Fault { return Fault{kind: kindSwap, text: otherKey} }

// IgnoreRange answers a ranged GetObject with 200 and everything.
func IgnoreRange() Fault { return Fault{kind: kindIgnoreRange} }

// LastModified shows this instant in HEAD, GET and listings, in each one's own form. Years 1 and 9999 work.
func LastModified(t time.Time) Fault {
	t = t.UTC()
	return Fault{kind: kindLastModified, name: t.Format(http.TimeFormat), text: t.Format("2006-01-02T15:04:05.000Z")}
}

// Blanks puts n spaces before the document of a CompleteMultipartUpload, as a store does that answers 200
// first and works afterwards.
func Blanks(n int64) Fault { return Fault{kind: kindBlanks, n: n} }

// SetHeader replaces a header of the answer, such as Content-Range or ETag; an empty value removes it.
func SetHeader(name, value string) Fault {
	return Fault{kind: kindHeader, name: http.CanonicalHeaderKey(name), text: value}
}

// FlipBody flips the lowest bit of one byte of the answer's body.
func FlipBody(off int64) Fault { return Fault{kind: kindFlip, n: off} }

// Truncate closes the connection after n bytes of the body, short of the Content-Length.
func Truncate(n int64) Fault { return Fault{kind: kindTruncate, n: n} }

// ResetAfter resets the connection after n bytes of the body.
func ResetAfter(n int64) Fault { return Fault{kind: kindResetAfter, n: n} }

// StallAfter sends n bytes of the body and then nothing until the client leaves or the cloud closes.
func StallAfter(n int64) Fault { return Fault{kind: kindStallAfter, n: n} }

// WrongLength makes the body delta bytes longer (zeros) or shorter, in a well-formed answer.
func WrongLength(delta int64) Fault { return Fault{kind: kindDeclare, n: delta} }

// ExtraBytes sends n bytes behind the Content-Length and closes the connection (HTTP/1 only).
func ExtraBytes(n int64) Fault { return Fault{kind: kindExtra, n: n} }

// Chunked sends the body without a Content-Length.
func Chunked() Fault { return Fault{kind: kindChunked} }

// Endless goes on sending zeros behind the body, without a Content-Length, until the client leaves or the
// cloud closes.
func Endless() Fault { return Fault{kind: kindEndless} }

// Rate sends the body at so many bytes per second.
func Rate(bytesPerSecond int64) Fault { return Fault{kind: kindRate, n: bytesPerSecond} }

// DuplicateKeys lists every key of a page twice.
func DuplicateKeys() Fault { return Fault{kind: kindListDuplicate} }

// MissingKeys leaves every n-th key out of a page.
func MissingKeys(n int64) Fault { return Fault{kind: kindListMissing, n: n} }

// UnsortedPage lists a page backwards; the position of the next page stays right.
func UnsortedPage() Fault { return Fault{kind: kindListUnsorted} }

// EndlessPages answers every listing with the first page, truncated, and a token that leads there again.
func EndlessPages() Fault { return Fault{kind: kindListEndless} }

// EmptyPages answers with an empty truncated page and a token that leads to the same place.
func EmptyPages() Fault { return Fault{kind: kindListEmpty} }

// EmptyPage answers with an empty truncated page and a token that leads on (version 2), as stores do that pass many
// deleted keys.
func EmptyPage() Fault { return Fault{kind: kindListPause} }

// ShortPage answers with at most n keys, whatever was asked for.
func ShortPage(n int64) Fault { return Fault{kind: kindListShort, n: n} }

// RepeatToken answers with the right page and the token (or marker) that was sent, as if nothing had moved.
func RepeatToken() Fault { return Fault{kind: kindListRepeat} }

// CycleToken answers with the right page, always truncated, and at its end a token back to the start.
func CycleToken() Fault { return Fault{kind: kindListCycle} }

// MissingToken says that the page is truncated and does not say how to go on.
func MissingToken() Fault { return Fault{kind: kindListNoToken} }

// ForeignKey adds a key to a page that has no business there, such as one outside the prefix.
func ForeignKey(key string) Fault { return Fault{kind: kindListForeign, text: key} }

// MalformedXML cuts a document in the middle, with a right Content-Length.
func MalformedXML() Fault { return Fault{kind: kindXMLMalformed} }

// HugeXML streams a document of n bytes with one endless text.
func HugeXML(n int64) Fault { return Fault{kind: kindXMLHuge, n: n} }

// Doctype puts a document type declaration with entities before the document.
func Doctype() Fault { return Fault{kind: kindXMLDoctype} }

// DeepXML answers with a document of n nested elements.
func DeepXML(n int64) Fault { return Fault{kind: kindXMLDeep, n: n} }

// BadEncoding declares the document as UTF-16 though it is not.
func BadEncoding() Fault { return Fault{kind: kindXMLEncoding} }

// lastHexDigits is the chunk length as aws-chunked writes it.
func lastHexDigits(n int) string {
	s := string(appendHex16(nil, uint64(n)))
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}

// fault returns the first fault of a kind that this request suffers.
func (c *call) fault(kind faultKind) (Fault, bool) {
	for _, f := range c.fired {
		if f.kind == kind {
			return f, true
		}
	}
	return Fault{}, false
}

// faultBefore applies what strikes before the operation. done: a is the answer, nothing else happens.
func (c *call) faultBefore() (a answer, done bool) {
	for _, f := range c.fired {
		if f.kind == kindDelay {
			c.wait(f.d)
		}
	}
	return c.strike(before)
}

// faultAfter applies what strikes after the operation took effect.
func (c *call) faultAfter() (answer, bool) { return c.strike(applied) }

func (c *call) strike(now phase) (answer, bool) {
	for _, f := range c.fired {
		if f.when != now {
			continue
		}
		switch f.kind {
		case kindStall:
			c.stall()
		case kindReset:
			c.reset()
		case kindError, kindOKError:
			maps.Copy(c.w.Header(), f.header)
			return c.errorAnswer(&apiError{f.status, f.code, "scripted fault"}), true
		default:
		}
	}
	return answer{}, false
}
