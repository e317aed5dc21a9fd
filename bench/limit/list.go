package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// entry is an object of a listing.
type entry struct {
	key  string
	size int64
}

// keyRange is behind after and up to until; empty bounds are open.
type keyRange struct{ after, until string }

// side is one of the two buckets.
type side struct{ address, bucket string }

func (s side) url() string { return "http://" + s.address + "/" + s.bucket }

// list calls fn for each page.
func (c *copier) list(ctx context.Context, s side, r keyRange, fn func([]entry) error) error {
	token := ""
	var body bytes.Buffer
	for {
		u := s.url() + "?list-type=2&max-keys=1000"
		if token != "" {
			u += "&continuation-token=" + token
		} else if r.after != "" {
			u += "&start-after=" + url.QueryEscape(r.after)
		}
		body.Reset()
		if err := c.fetch(ctx, http.MethodGet, u, nil, &body); err != nil {
			return fmt.Errorf("list: %w", err)
		}
		page, next, err := c.parsePage(body.Bytes())
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		token = next
		for i := range page {
			if r.until != "" && page[i].key > r.until {
				page, token = page[:i], ""
				break
			}
		}
		if err := fn(page); err != nil || token == "" {
			return err
		}
	}
}

// fetch sends a request and reads its answer, which must be 200, into out.
func (c *copier) fetch(ctx context.Context, method, u string, body io.Reader, out *bytes.Buffer) error {
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return err
	}
	resp, err := c.other.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := out.ReadFrom(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, out)
	}
	return nil
}

// parsePage returns the objects of a page and the token of the next one.
func (c *copier) parsePage(page []byte) ([]entry, string, error) {
	if c.opts.parser == "xml" {
		return parseXML(page)
	}
	return scanPage(string(page)) // one string: keys are slices of it
}

// scanPage looks for what it needs only.
func scanPage(s string) ([]entry, string, error) {
	token, _ := element(s, "<NextContinuationToken>")
	entries := make([]entry, 0, 1000)
	for {
		_, rest, ok := strings.Cut(s, "<Key>")
		if !ok {
			return entries, token, nil
		}
		key, rest, _ := strings.Cut(rest, "<")
		_, rest, _ = strings.Cut(rest, "<Size>")
		size, rest, _ := strings.Cut(rest, "<")
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			return nil, "", err
		}
		if strings.IndexByte(key, '&') >= 0 {
			key = unescape(key)
		}
		entries = append(entries, entry{key, n})
		s = rest
	}
}

// element returns the text behind a start tag.
func element(s, tag string) (string, bool) {
	_, rest, ok := strings.Cut(s, tag)
	text, _, _ := strings.Cut(rest, "<")
	return text, ok
}

func unescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&quot;", `"`, "&#39;", "'", "&apos;", "'").Replace(s)
}

// parseXML is the usual way of reading a page, to show what it costs.
func parseXML(page []byte) ([]entry, string, error) {
	var p struct {
		NextContinuationToken string
		Contents              []struct {
			Key          string
			Size         int64
			ETag         string
			LastModified string
		}
	}
	if err := xml.Unmarshal(page, &p); err != nil {
		return nil, "", err
	}
	entries := make([]entry, len(p.Contents))
	for i, o := range p.Contents {
		entries[i] = entry{o.Key, o.Size}
	}
	return entries, p.NextContinuationToken, nil
}

// compareAll lists both sides and counts what differs.
func (c *copier) compareAll(ctx context.Context) error {
	g := newGroup(ctx)
	for i := range c.opts.listings {
		g.run(func(ctx context.Context) error { return c.compare(ctx, c.slice(i)) })
	}
	return g.wait()
}

// slice returns the i-th part of the keys. The floor may know where to cut: this is the nested layout of nulls3.
func (c *copier) slice(i int) (r keyRange) {
	keyAt := func(n int64) string {
		return fmt.Sprintf("dir-%04d/sub-%02d/file-%03d.bin", n/100000, n/1000%100, n%1000)
	}
	cut := func(i int) int64 { return c.opts.objects * int64(i) / int64(c.opts.listings) }
	if i > 0 {
		r.after = keyAt(cut(i) - 1)
	}
	if i < c.opts.listings-1 {
		r.until = keyAt(cut(i+1) - 1)
	}
	return r
}

// compare merges both listings of one range.
func (c *copier) compare(ctx context.Context, r keyRange) error {
	g := newGroup(ctx)
	pages := [2]chan []entry{make(chan []entry, 4), make(chan []entry, 4)}
	for i, s := range []side{c.src, c.dst} {
		g.run(func(ctx context.Context) error {
			defer close(pages[i])
			return c.list(ctx, s, r, func(p []entry) error {
				select {
				case pages[i] <- p:
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			})
		})
	}
	g.run(func(context.Context) error {
		var have []entry
		for want := range pages[0] {
			for _, o := range want {
				for ok := true; len(have) == 0 && ok; {
					have, ok = <-pages[1]
				}
				if len(have) == 0 || have[0] != o {
					c.differences.Add(1)
				}
				have = have[min(1, len(have)):]
			}
			c.objects.Add(int64(len(want)))
		}
		c.differences.Add(int64(len(have)))
		for rest := range pages[1] {
			c.differences.Add(int64(len(rest)))
		}
		return nil
	})
	return g.wait()
}
