package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
)

// partsAtOnce is how many parts of a large object are in flight.
const partsAtOnce = 16

// copier copies or compares the buckets.
type copier struct {
	opts     options
	src, dst side
	get, put *http.Client // of mode nethttp
	other    *http.Client // for all that moves no object

	objects, bytes, differences atomic.Int64
}

func newCopier(opts options) *copier {
	client := func(buffer int) *http.Client {
		return &http.Client{Transport: &http.Transport{
			MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, DisableCompression: true,
			ReadBufferSize: buffer, WriteBufferSize: buffer,
			DialContext: (&net.Dialer{KeepAlive: -1}).DialContext,
		}}
	}
	return &copier{
		opts: opts, src: side{opts.src, "src"}, dst: side{opts.dst, "dst"},
		get: client(opts.transport), put: client(opts.transport), other: client(0),
	}
}

// piece is an object, or with an upload a part of one.
type piece struct {
	key    string
	size   int64
	from   int64
	number int
	upload string
}

// query is what the PUT has behind the key.
func (p piece) query() string {
	if p.upload == "" {
		return ""
	}
	return "?partNumber=" + strconv.Itoa(p.number) + "&uploadId=" + p.upload
}

// worker copies one piece at a time.
type worker interface {
	// copy returns the ETag of the copy.
	copy(ctx context.Context, p piece) (etag string, err error)
	close()
}

func (c *copier) newWorker() worker {
	if c.opts.mode == "nethttp" {
		return &netWorker{copier: c}
	}
	return &rawWorker{copier: c}
}

// copyAll copies every object.
func (c *copier) copyAll(ctx context.Context) error {
	g := newGroup(ctx)
	todo := make(chan entry, 4096)
	g.run(func(ctx context.Context) error {
		defer close(todo)
		return c.list(ctx, c.src, keyRange{}, func(page []entry) error {
			for _, o := range page {
				select {
				case todo <- o:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		})
	})
	for range c.opts.workers {
		g.run(func(ctx context.Context) error {
			w := c.newWorker()
			defer w.close()
			for o := range todo {
				if err := c.copyObject(ctx, w, o); err != nil {
					return fmt.Errorf("%s: %w", o.key, err)
				}
				c.objects.Add(1)
				c.bytes.Add(o.size)
			}
			return nil
		})
	}
	return g.wait()
}

func (c *copier) copyObject(ctx context.Context, w worker, o entry) error {
	if o.size > c.opts.part {
		return c.copyParts(ctx, o)
	}
	_, err := w.copy(ctx, piece{key: o.key, size: o.size})
	return err
}

// copyParts copies one large object in parts, in parallel.
func (c *copier) copyParts(ctx context.Context, o entry) error {
	target := c.dst.url() + "/" + escape(o.key)
	var answer bytes.Buffer
	if err := c.fetch(ctx, http.MethodPost, target+"?uploads", nil, &answer); err != nil {
		return fmt.Errorf("create upload: %w", err)
	}
	id, ok := element(answer.String(), "<UploadId>")
	if !ok {
		return errors.New("create upload: no id")
	}
	etags := make([]string, (o.size+c.opts.part-1)/c.opts.part)
	var next atomic.Int64
	g := newGroup(ctx)
	for range min(len(etags), partsAtOnce) {
		g.run(func(ctx context.Context) error {
			w := c.newWorker()
			defer w.close()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(etags) {
					return nil
				}
				from := int64(i) * c.opts.part
				p := piece{key: o.key, size: min(c.opts.part, o.size-from), from: from, number: i + 1, upload: id}
				var err error
				if etags[i], err = w.copy(ctx, p); err != nil {
					return err
				}
			}
		})
	}
	if err := g.wait(); err != nil {
		return err
	}
	var list bytes.Buffer
	list.WriteString("<CompleteMultipartUpload>")
	for i, etag := range etags {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, etag)
	}
	list.WriteString("</CompleteMultipartUpload>")
	answer.Reset()
	if err := c.fetch(ctx, http.MethodPost, target+"?uploadId="+id, &list, &answer); err != nil {
		return fmt.Errorf("complete upload: %w", err)
	}
	return nil
}

// escape writes a key as it stands in a URL.
func escape(key string) string {
	for _, c := range []byte(key) {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./~", c) >= 0
		if !plain {
			return (&url.URL{Path: key}).EscapedPath()
		}
	}
	return key
}

// netWorker copies with net/http.
type netWorker struct {
	*copier
	buf []byte
}

func (w *netWorker) close() {}

func (w *netWorker) copy(ctx context.Context, p piece) (string, error) {
	key := escape(p.key)
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, w.src.url()+"/"+key, nil)
	if err != nil {
		return "", err
	}
	if p.upload != "" {
		get.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", p.from, p.from+p.size-1))
	}
	source, err := w.get.Do(get)
	if err != nil {
		return "", err
	}
	defer source.Body.Close()
	if source.StatusCode/100 != 2 || source.ContentLength != p.size {
		return "", fmt.Errorf("GET: %s", source.Status)
	}
	var body io.Reader = source.Body
	if w.opts.readFull && p.size <= int64(w.opts.buffer) {
		if w.buf == nil {
			w.buf = make([]byte, w.opts.buffer)
		}
		if _, err := io.ReadFull(source.Body, w.buf[:p.size]); err != nil {
			return "", err
		}
		body = bytes.NewReader(w.buf[:p.size])
	}
	if p.size == 0 {
		body = http.NoBody
	}
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, w.dst.url()+"/"+key+p.query(), body)
	if err != nil {
		return "", err
	}
	put.ContentLength = p.size
	answer, err := w.put.Do(put)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("PUT: %s", answer.Status)
	}
	if p.upload == "" {
		return "", nil
	}
	return strings.Trim(answer.Header.Get("ETag"), `"`), nil
}
