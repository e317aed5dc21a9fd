// Package http1 is a client of HTTP/1.1 for many similar requests to few hosts: the caller writes the head of a
// request into a buffer of its own, the answer's head is parsed from one string, bodies go straight between the
// socket and the caller's memory, and no goroutine stands between the two (one runs while a large body is sent,
// to hear an early answer). It follows no redirects, uses no proxy, knows no HTTP/2, no cookies, no compression
// and no Expect, and dials only through the function it is given.
//
// Answers are distrusted: what a strict reader of RFC 9112 would not accept ends the connection. In particular
// both or more than one of Content-Length and Transfer-Encoding, codings other than chunked, folded lines, line
// ends without CR, control characters in values and bytes behind an answer never lead to a second request on the
// same connection. A connection is used again only when its last answer was read to its end.
package http1

import "time"

// Bounds of an answer (reliability.md section 3) and of waiting.
const (
	maxHead       = 64 << 10 // bytes of a head, or of the trailer fields behind a chunked body
	maxFields     = 2048
	maxInterim    = 5    // answers of status 1xx before the answer
	maxChunkLine  = 1024 // bytes of the line before a chunk, extensions included
	maxChunkFrame = 15   // hexadecimal digits of a chunk's size
)

// Sizes of buffers in bytes.
const (
	readBuffer   = 20 << 10  // holds the head and body of a small object, so that both take one system call
	directRead   = 4 << 10   // smaller reads go through the buffer
	inlineBody   = 16 << 10  // a body up to here leaves in one write with its head, copied
	heardBody    = 64 << 10  // a body above may fill the socket, so that an early answer must be listened for
	copyBuffer   = 256 << 10 // pieces in which a stream is sent: larger brings nothing more
	recordBuffer = 16 << 10  // one TLS record
)

// lookEvery is how often it is looked whether requests are over.
const lookEvery = 10 * time.Millisecond

// lateAnswer is how long an answer is waited for after the request could not be sent whole: stores that refuse one
// answer and close.
const lateAnswer = time.Second
