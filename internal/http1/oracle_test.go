package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stricter are the rules that net/http does not enforce, or enforces at another bound: answers that break one are
// refused here and may be taken there. Everything else must come out the same.
var stricter = []*Malformed{
	errStatusLine,  // a reason with control characters, "HTTP/1.1  200", a status without blank before its reason
	errVersion,     // HTTP/1.2 to 1.9
	errLineEnd,     // LF alone
	errFold,        // folded lines are joined there
	errName,        // empty names and names with blanks are taken or skipped there
	errValue,       // control characters are taken there
	errLength,      // more than 19 digits, all but the last ones zero
	errTwoLengths,  // equal ones are taken there
	errBoth,        // the length is ignored there
	errCoding,      // ignored there in HTTP/1.0 and in answers without body
	errManyFields,  // no bound there
	errSwitch,      // 101 is an answer there
	errChunkLine,   // long extensions, leading zeros
	errManyInterim, // another count there
}

// hidden are fields that net/http takes out of the head.
var hidden = []string{"Connection", "Transfer-Encoding", "Trailer"}

// outcome is what a client makes of an answer.
type outcome struct {
	Status int
	Fields http.Header
	Body   string
	Err    error `cmp:"-"`
}

func (o *outcome) failed() bool { return o.Err != nil }

// speak answers the first request on a connection in memory with raw bytes and closes it.
func speak(raw []byte) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer func() { _ = far.Close() }() // over
			r := bufio.NewReader(far)
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			_, _ = far.Write(raw) // the client may hang up
		}()
		return near, nil
	}
}

const mostBody = 1 << 20

func ours(tb testing.TB, method string, raw []byte) outcome {
	tb.Helper()
	c := newClient(tb, Options{Dial: speak(raw)})
	defer c.CloseIdleConnections()
	e := endpoint(tb, c, "h")
	resp, err := e.Do(tb.Context(), &Request{Head: []byte(method + " /k HTTP/1.1\r\nHost: h\r\n\r\n"), HeadOnly: method == http.MethodHead})
	if err != nil {
		return outcome{Err: err}
	}
	defer func() { _ = resp.Close() }() // always nil
	o := outcome{Status: resp.Status, Fields: http.Header{}}
	for _, f := range resp.Fields {
		o.Fields.Add(f.Name, f.Value)
	}
	body, err := io.ReadAll(io.LimitReader(resp, mostBody))
	o.Body, o.Err = string(body), err
	return o
}

func theirs(tb testing.TB, method string, raw []byte) outcome {
	tb.Helper()
	tr := &http.Transport{DialContext: speak(raw), DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHead}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(tb.Context(), method, "http://h/k", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return outcome{Err: err}
	}
	defer resp.Body.Close()
	o := outcome{Status: resp.StatusCode, Fields: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return o
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostBody))
	o.Body, o.Err = string(body), err
	return o
}

// compareAnswers gives both clients the same answer.
func compareAnswers(t *testing.T, method string, raw []byte) {
	a, b := ours(t, method, raw), theirs(t, method, raw)
	if m, ok := errors.AsType[*Malformed](a.Err); ok && slices.Contains(stricter, m) {
		return
	}
	if a.failed() != b.failed() {
		if looserTrailer(b.Err) {
			return
		}
		t.Fatalf("%s %q:\nours   %d, %q, %v\ntheirs %d, %q, %v", method, raw, a.Status, a.Body, a.Err, b.Status, b.Body, b.Err)
	}
	if a.Status != b.Status {
		t.Errorf("%s %q: status %d, theirs %d", method, raw, a.Status, b.Status)
	}
	if a.failed() {
		if !strings.HasPrefix(a.Body, b.Body) && !strings.HasPrefix(b.Body, a.Body) {
			t.Errorf("%s %q: before the error ours %q, theirs %q", method, raw, a.Body, b.Body)
		}
		return
	}
	if a.Body != b.Body {
		t.Errorf("%s %q: body %q, theirs %q", method, raw, a.Body, b.Body)
	}
	for _, name := range hidden {
		a.Fields.Del(name)
		b.Fields.Del(name)
	}
	if diff := cmp.Diff(b.Fields, a.Fields); diff != "" {
		t.Errorf("%s %q: fields, theirs - ours +:\n%s", method, raw, diff)
	}
}

// looserTrailer reports the one thing that net/http refuses and this package takes: a Trailer field that announces
// what no trailer may hold. Trailer fields are not used here.
func looserTrailer(err error) bool {
	return err != nil && strings.Contains(err.Error(), "bad trailer key")
}

const ok200 = "HTTP/1.1 200 OK\r\n"

// answers are raw answers: sound ones, broken ones and attacks.
var answers = []string{
	ok200 + "Content-Length: 4\r\nETag: \"x\"\r\n\r\nbody",
	ok200 + "content-length: 0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n4;ext=1\r\nbody\r\n3\r\nmor\r\n0\r\nX: y\r\n\r\n",
	ok200 + "\r\nuntil the end",
	"HTTP/1.0 200 OK\r\n\r\nold",
	"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n" + ok200 + "Content-Length: 1\r\n\r\nx",
	"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok200 + "Content-Length: 1\r\n\r\nx",
	strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5) + ok200 + "Content-Length: 0\r\n\r\n",
	strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + ok200 + "Content-Length: 0\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\n\r\n",
	"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 503 Slow Down\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
	"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\nbody",
	ok200 + "X-Amz-Meta-A: \xc3\xa4\r\nx-amz-meta-a: b\r\nContent-Length: 0\r\n\r\n",
	ok200 + "Empty:\r\nBlank:   \t \r\nContent-Length: 0\r\n\r\n",
	// attacks and breakage
	ok200 + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
	ok200 + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbodyx",
	ok200 + "Content-Length: 4, 4\r\n\r\nbody",
	ok200 + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	ok200 + "Content-Length: +4\r\n\r\nbody",
	ok200 + "Content-Length: -4\r\n\r\nbody",
	ok200 + "Content-Length: 0x4\r\n\r\nbody",
	ok200 + "Content-Length: 4 4\r\n\r\nbody",
	ok200 + "Content-Length:\r\n\r\nbody",
	ok200 + "Content-Length: 18446744073709551620\r\n\r\nbody",
	ok200 + "Content-Length: 9223372036854775808\r\n\r\nbody",
	ok200 + "Content-Length: 9223372036854775807\r\n\r\nbody",
	ok200 + "Content-Length: 00000000000000000000004\r\n\r\nbody",
	ok200 + "Content-Length: 10\r\n\r\nshort",
	ok200 + "Content-Length: 4\r\n\r\nbody and more",
	ok200 + "Content-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsecnd",
	ok200 + "Content-Length : 4\r\n\r\nbody",
	ok200 + "Content-Length\r\n: 4\r\n\r\nbody",
	ok200 + "X: a\r\n b\r\nContent-Length: 4\r\n\r\nbody",
	ok200 + " X: a\r\nContent-Length: 4\r\n\r\nbody",
	ok200 + "X: a\x00b\r\nContent-Length: 0\r\n\r\n",
	ok200 + "X: a\rb\r\nContent-Length: 0\r\n\r\n",
	ok200 + "X: a\rContent-Length: 1\r\nContent-Length: 0\r\n\r\n",
	ok200 + "X\x00: a\r\nContent-Length: 0\r\n\r\n",
	ok200 + ": a\r\nContent-Length: 0\r\n\r\n",
	ok200 + "no colon\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
	ok200 + "Content-Length: 4\n\nbody",
	ok200 + "X: 1\r\n\nContent-Length: 4\r\n\r\nbody",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\nbody\n0\n\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbodyX\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4 \r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4 ; x\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4x\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n0000000000000000004\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4;" + strings.Repeat("x", 2000) + "\r\nbody\r\n0\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbo",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
	ok200 + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\nextra",
	"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody",
	"HTTP/1.1  200 OK\r\n\r\n",
	"HTTP/1.1 200OK\r\n\r\n",
	"HTTP/1.1 2000 OK\r\n\r\n",
	"HTTP/1.1 20 OK\r\n\r\n",
	"HTTP/1.1 099 OK\r\n\r\n",
	"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 -20 OK\r\n\r\n",
	"HTTP/2.0 200 OK\r\n\r\n",
	"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
	"http/1.1 200 OK\r\n\r\n",
	"ICY 200 OK\r\n\r\n",
	"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"<html>not HTTP</html>",
	"\x16\x03\x01\x02\x00",
	"",
	"H",
	ok200,
	ok200 + "Content-Length: 4\r\n",
	ok200 + strings.Repeat("X: y\r\n", 3000) + "\r\n",
	ok200 + "X: " + strings.Repeat("y", maxHead) + "\r\n\r\n",
	ok200 + "X: " + strings.Repeat("y", 60_000) + "\r\nContent-Length: 2\r\n\r\nok",
}

// TestAnswersLikeNetHTTP gives each answer to both clients, as FuzzAnswer does.
func TestAnswersLikeNetHTTP(t *testing.T) {
	for i, raw := range answers {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(fmt.Sprintf("%d %s", i, method), func(t *testing.T) { compareAnswers(t, method, []byte(raw)) })
		}
	}
}

// FuzzAnswer compares this package with net/http, byte for byte.
func FuzzAnswer(f *testing.F) {
	for _, raw := range answers {
		f.Add([]byte(raw), false)
		f.Add([]byte(raw), true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		if len(raw) > 60_000 { // the bounds of heads are not the same to the byte
			return
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		compareAnswers(t, method, raw)
	})
}

// TestRefused names the rule that each attack breaks.
func TestRefused(t *testing.T) {
	const chunked = ok200 + "Transfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		raw  string
		rule *Malformed
	}{
		{ok200 + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", errTwoLengths},
		{ok200 + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody", errTwoLengths},
		{ok200 + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errBoth},
		{ok200 + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", errBoth},
		{ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", errCoding},
		{ok200 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errCoding},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errCoding},
		{"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errCoding},
		{ok200 + "Content-Length: +4\r\n\r\nbody", errLength},
		{ok200 + "Content-Length:\r\n\r\nbody", errLength},
		{ok200 + "Content-Length: 9223372036854775808\r\n\r\n", errLength},
		{ok200 + "Content-Length : 4\r\n\r\nbody", errName},
		{ok200 + ": 4\r\n\r\nbody", errName},
		{ok200 + "X: a\r\n b\r\n\r\n", errFold},
		{ok200 + "X: a\r\n\tb\r\n\r\n", errFold},
		{ok200 + "X: a\x00b\r\n\r\n", errValue},
		{ok200 + "X: a\rb\r\n\r\n", errValue},
		{"HTTP/1.1 200 O\x00K\r\n\r\n", errStatusLine},
		{ok200 + "X: a\n\r\n", errLineEnd},
		{"HTTP/1.1 200 OK\n\n", errLineEnd},
		{"HTTP/1.1 101 Switching\r\n\r\n", errSwitch},
		{strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6), errManyInterim},
		{ok200 + strings.Repeat("X: y\r\n", maxFields+1) + "\r\n", errManyFields},
		{ok200 + "X: " + strings.Repeat("y", maxHead) + "\r\n\r\n", errHeadSize},
		{ok200 + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 70) + "\r\n", errHeadSize},
		{"HTTP/1.3 200 OK\r\n\r\n", errVersion},
		{"SSH-2.0-server\r\n\r\n", errStatusLine},
		{chunked + "x\r\n", errChunkLine},
		{chunked + "-1\r\n", errChunkLine},
		{chunked + "1000000000000000\r\n", errChunkLine},
		{chunked + "1;\x00\r\nx\r\n", errChunkLine},
		{chunked + "1;" + strings.Repeat("x", maxChunkLine) + "\r\n", errChunkLine},
		{chunked + "1\nx\r\n", errLineEnd},
		{chunked + "1\r\nxy\r\n", errChunkEnd},
		{chunked + "0\r\nno trailer\r\n\r\n", errName},
		{chunked + "0\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 70) + "\r\n", errHeadSize},
	} {
		got := ours(t, http.MethodGet, []byte(test.raw))
		if m, _ := errors.AsType[*Malformed](got.Err); m != test.rule {
			t.Errorf("%.80q: got %v, want %v", test.raw, got.Err, test.rule)
		}
	}
}
