package http1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
)

const benchHead = ok200 + "Accept-Ranges: bytes\r\nContent-Length: 4096\r\nContent-Type: application/octet-stream\r\n" +
	"Date: Fri, 01 May 2026 12:00:05 GMT\r\nEtag: \"00000000000000000000000000000000\"\r\n" +
	"Last-Modified: Fri, 01 May 2026 12:00:00 GMT\r\nServer: AmazonS3\r\nX-Amz-Id-2: 0123456789abcdef0123456789abcdef\r\n" +
	"X-Amz-Request-Id: 0123456789ABCDEF\r\nX-Amz-Server-Side-Encryption: AES256\r\n\r\n"

func BenchmarkParseHead(b *testing.B) {
	raw := []byte(benchHead)
	var h head
	b.ReportAllocs()
	for b.Loop() {
		if err := h.parse(string(raw)); err != nil || h.length != 4096 {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseHeadNetHTTP is what net/http needs for the same.
func BenchmarkParseHeadNetHTTP(b *testing.B) {
	raw := []byte(benchHead)
	src := bytes.NewReader(raw)
	r := bufio.NewReader(src)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(raw)
		r.Reset(src)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.ContentLength != 4096 {
			b.Fatal(err)
		}
		_ = resp.Body.Close() // holds nothing
	}
}

// BenchmarkQuiet is the look at an idle connection.
func BenchmarkQuiet(b *testing.B) {
	s := serve(b, func(c net.Conn, _ int) { _, _ = io.Copy(io.Discard, c) }) // until it is closed
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }() // over
	k := newConn(nil, c, c)
	b.ReportAllocs()
	for b.Loop() {
		if !k.peek.quiet() {
			b.Fatal("not quiet")
		}
	}
}
