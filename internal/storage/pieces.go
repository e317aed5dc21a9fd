package storage

import "io"

// Pieces reads an object in ranges, one request each: nothing stays open between reads, so a reader that takes its time
// holds no connection. Not safe for concurrent use.
type Pieces struct {
	next, size int64 // what is left of the object
	piece      int64
	buf        []byte // of the present piece
	unread     []byte
	fetch      func(r ByteRange, buf []byte) error
}

// NewPieces returns a reader of an object of size bytes that begins at the offset from. fetch fills buf, r.Size bytes and
// at most piece, with the range r of the object; it does the retrying, and its error ends the reading.
func NewPieces(from, size, piece int64, fetch func(r ByteRange, buf []byte) error) *Pieces {
	return &Pieces{next: from, size: size, piece: piece, fetch: fetch}
}

// Read implements io.Reader.
func (p *Pieces) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(p.unread) == 0 {
		n := min(p.piece, p.size-p.next)
		if n <= 0 {
			return 0, io.EOF
		}
		if int64(cap(p.buf)) < n {
			p.buf = make([]byte, n)
		}
		if err := p.fetch(ByteRange{Offset: p.next, Size: n}, p.buf[:n]); err != nil {
			return 0, err
		}
		p.unread = p.buf[:n]
		p.next += n
	}
	n := copy(b, p.unread)
	p.unread = p.unread[n:]
	return n, nil
}
