package listfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// Entry is one line that names something.
type Entry struct {
	Name   string // decoded: the source key, or the key at the destination when there is a URL
	URL    string // absolute, ASCII; "" in a list of names
	Offset int64  // of the line's first byte in the file
	End    int64  // of the byte behind the line and its end; the end of the file at most
}

// Options say what to read.
type Options struct {
	Form Form // required
	// Start and Stop bound the lines by where they begin: at or after Start, before Stop. Stop 0 means no bound.
	Start, Stop int64
}

// Sizes of a scanner's buffer in bytes.
const (
	firstBuffer = 64 << 10
	mostBuffer  = 4*MaxLine + 2 // every character of a line in four bytes, and its end
)

// Scanner reads entries. Its memory does not depend on the file: 64 KiB, and no more than the longest line.
type Scanner struct {
	r    io.Reader
	form Form
	stop int64

	buf     []byte // unread bytes
	store   []byte // what buf lies in
	offset  int64  // of buf[0] in the file
	line    int64  // number of lines read, empty ones included; valid when the file was read from its start
	partial bool   // the first line began before Start and belongs to another range
	whole   bool   // reading began at the start of the file
	err     error  // of r; io.EOF at its end
	scratch []byte
}

// ReadFrom returns the offset at which the reader for NewScanner must begin: the byte before Start tells whether a
// line begins there.
func (o Options) ReadFrom() int64 { return max(o.Start-1, 0) }

// NewScanner returns a scanner of the file that r reads from offset opts.ReadFrom.
func NewScanner(r io.Reader, opts Options) *Scanner {
	s := &Scanner{
		r: r, form: opts.Form, stop: opts.Stop, offset: opts.ReadFrom(), partial: opts.Start > 0, whole: opts.Start == 0,
		store: make([]byte, firstBuffer),
	}
	if s.stop == 0 {
		s.stop = math.MaxInt64
	}
	return s
}

// Next returns the next entry, io.EOF behind the last one of the range. Other errors are those of the reader, or say
// what is wrong with the file.
func (s *Scanner) Next() (Entry, error) {
	e, p, err := s.next()
	if err != nil {
		return Entry{}, err
	}
	e.Name, e.URL = string(p.name), p.url
	return e, nil
}

// Line returns the number of the line that Next returned last, from 1; 0 when reading did not begin at the start of the
// file.
func (s *Scanner) Line() int64 {
	if !s.whole {
		return 0
	}
	return s.line
}

// next reads up to the next line that is not empty.
func (s *Scanner) next() (e Entry, p parsed, err error) {
	if s.partial {
		if err := s.skipLine(); err != nil {
			return e, p, err
		}
		s.partial = false
	}
	for {
		e.Offset = s.offset
		if e.Offset >= s.stop {
			return e, p, io.EOF
		}
		line, err := s.readLine()
		if err != nil {
			return e, p, err
		}
		if len(line) == 0 {
			continue
		}
		e.End = s.offset
		var problem string
		if p, problem = s.form.parse(line, &s.scratch); problem != "" {
			return e, p, s.bad(CodeFormat, problem)
		}
		return e, p, nil
	}
}

// skipLine reads over the rest of a line that belongs to another range. Its first byte is the one before Start: when
// that ends a line, nothing else is skipped.
func (s *Scanner) skipLine() error {
	for {
		if i := bytes.IndexByte(s.buf, '\n'); i >= 0 {
			s.take(i + 1)
			return nil
		}
		s.take(len(s.buf))
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// readLine returns the next line without its end; io.EOF when nothing is left.
func (s *Scanner) readLine() ([]byte, error) {
	for from := 0; ; {
		if i := bytes.IndexByte(s.buf[from:], '\n'); i >= 0 {
			return s.lineOf(from+i, from+i+1)
		}
		from = len(s.buf)
		if from >= mostBuffer {
			s.line++
			return nil, s.bad(CodeLongLine, longLine)
		}
		err := s.fill()
		if errors.Is(err, io.EOF) && len(s.buf) > 0 {
			return s.lineOf(len(s.buf), len(s.buf))
		}
		if err != nil {
			return nil, err
		}
	}
}

const longLine = "it is longer than 65535 characters"

// lineOf takes total bytes, of which the first n are a line.
func (s *Scanner) lineOf(n, total int) ([]byte, error) {
	line := s.buf[:n]
	s.line++
	if s.whole && s.offset == 0 {
		if problem := byteOrderMark(line); problem != "" {
			return nil, s.bad(CodeFormat, problem)
		}
	}
	s.take(total)
	if n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > MaxLine && utf8.RuneCount(line) > MaxLine {
		return nil, s.bad(CodeLongLine, longLine)
	}
	return line, nil
}

// byteOrderMark refuses files that begin with one.
func byteOrderMark(line []byte) (problem string) {
	switch {
	case bytes.HasPrefix(line, []byte("\xef\xbb\xbf")):
		return "it begins with a byte order mark: store the file as UTF-8 without one"
	case bytes.HasPrefix(line, []byte("\xff\xfe")), bytes.HasPrefix(line, []byte("\xfe\xff")):
		return "it is UTF-16: store the file as UTF-8"
	}
	return ""
}

// take moves over n bytes, whose memory stays as it is until the next fill.
func (s *Scanner) take(n int) {
	s.buf = s.buf[n:]
	s.offset += int64(n)
}

// maxEmptyReads bounds reads in a row that bring nothing.
const maxEmptyReads = 100

// fill reads more behind what is unread.
func (s *Scanner) fill() error {
	if s.err != nil {
		return s.err
	}
	n := len(s.buf)
	if n == len(s.store) {
		s.store = append(make([]byte, 0, min(2*n, mostBuffer+1)), s.buf...)
		s.store = s.store[:cap(s.store)]
	} else {
		copy(s.store, s.buf)
	}
	for range maxEmptyReads {
		k, err := s.r.Read(s.store[n:])
		s.buf, s.err = s.store[:n+k], err
		if k > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// bad is the error of the line just read.
func (s *Scanner) bad(code, problem string) error {
	if s.whole {
		return refuse(code, "line "+strconv.FormatInt(s.line, 10)+": "+problem)
	}
	return refuse(code, "a line near byte "+strconv.FormatInt(s.offset, 10)+": "+problem)
}

// Summary is what a whole file holds.
type Summary struct {
	Entries int64
	First   Entry
}

// Check reads the whole file that r reads from its start. The error says what is wrong with the first line that is
// wrong (TRF.0016, TRF.0018), that there is no entry (TRF.0017), why ctx ended, or is the reader's. Each line is shown to
// each, unless that is nil; name is valid only then.
func Check(ctx context.Context, r io.Reader, form Form, each func(name []byte, url string)) (Summary, error) {
	s := NewScanner(r, Options{Form: form})
	var sum Summary
	for {
		e, p, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			if sum.Entries == 0 {
				return sum, errEmpty()
			}
			return sum, nil
		case err != nil:
			return sum, err
		}
		if each != nil {
			each(p.name, p.url)
		}
		if sum.Entries == 0 {
			e.Name, e.URL = string(p.name), p.url
			sum.First = e
		}
		sum.Entries++
		if sum.Entries%checkEvery == 0 && ctx.Err() != nil {
			return sum, context.Cause(ctx)
		}
	}
}

// checkEvery is after how many entries Check looks whether it is still wanted.
const checkEvery = 4096

// Cut returns where a file of size bytes is cut into at most pieces ranges of at least least bytes: ascending offsets
// between 0 and size.
func Cut(size int64, pieces int, least int64) []int64 {
	n := min(int64(pieces), size/max(least, 1))
	var cuts []int64
	for i := int64(1); i < n; i++ {
		cuts = append(cuts, size/n*i)
	}
	return cuts
}
