package main

import (
	"net"
	"slices"
	"strings"
	"testing"
)

const page = `<?xml version="1.0"?><ListBucketResult><Name>src</Name><IsTruncated>true</IsTruncated><NextContinuationToken>6b61</NextContinuationToken>` +
	`<Contents><Key>a/1</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;x&quot;</ETag><Size>7</Size></Contents>` +
	`<Contents><Key>b &amp; &#34;c&#34; &lt;</Key><ETag>&quot;y&quot;</ETag><Size>0</Size></Contents></ListBucketResult>`

func TestPages(t *testing.T) {
	want := []entry{{"a/1", 7}, {`b & "c" <`, 0}}
	for _, parser := range []string{"scan", "xml"} {
		c := newCopier(options{parser: parser})
		got, token, err := c.parsePage([]byte(page))
		if err != nil || token != "6b61" || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %q, %v; want %v", parser, got, token, err, want)
		}
		if got, token, err := c.parsePage([]byte("<ListBucketResult></ListBucketResult>")); err != nil || token != "" || len(got) != 0 {
			t.Errorf("%s: got %v, %q, %v of an empty page", parser, got, token, err)
		}
		if _, _, err := c.parsePage([]byte("<ListBucketResult><Contents><Key>k</Key><Size>x</Size></Contents></ListBucketResult>")); err == nil {
			t.Errorf("%s: got no error of a size that is none", parser)
		}
	}
}

// TestSlices checks that the ranges of parallel listings are adjacent and open at the ends.
func TestSlices(t *testing.T) {
	c := newCopier(options{objects: 250_000, listings: 3})
	before := ""
	for i := range 3 {
		r := c.slice(i)
		if r.after != before || (r.until == "") != (i == 2) || r.until != "" && r.until <= r.after {
			t.Errorf("slice %d: got %+v behind %q", i, r, before)
		}
		before = r.until
	}
}

func TestEscape(t *testing.T) {
	for key, want := range map[string]string{"a/b-1_2.~c": "a/b-1_2.~c", "a b%": "a%20b%25", "é?#": "%C3%A9%3F%23"} {
		if got := escape(key); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

// TestHead reads answers that arrive in pieces.
func TestHead(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	sent := make(chan error, 1)
	go func() {
		sent <- func() error {
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			for piece := range slices.Chunk([]byte("HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n\r\n"), 5) {
				if _, err := conn.Write(piece); err != nil {
					return err
				}
			}
			return conn.Close()
		}()
	}()
	c, err := dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	status, length, err := c.head()
	if err != nil || status != 206 || length != 4 || string(c.etag) != "e" {
		t.Errorf("got %d, %d, %q, %v; want 206, 4 and e", status, length, c.etag, err)
	}
	if err := c.skip(length); err != nil {
		t.Error(err)
	}
	if status, length, err = c.head(); err != nil || status != 200 || length != 0 {
		t.Errorf("got %d, %d, %v; want 200 and no length", status, length, err)
	}
	if _, _, err := c.head(); err == nil {
		t.Error("got no error at the end of the connection")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	var usage strings.Builder
	for _, args := range [][]string{{"-mode", "x"}, {"-part", "y"}} {
		if _, err := parse(&usage, args); err == nil {
			t.Errorf("%v: got no error", args)
		}
	}
}
