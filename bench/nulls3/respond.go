package main

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	serverLines = "\r\nServer: nulls3\r\nx-amz-request-id: 0000000000000001\r\nDate: "
	xmlType     = "Content-Type: application/xml\r\n"
	xmlHead     = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	namespace   = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`
)

// dateCache is the date of this second, written once.
type dateCache struct{ text atomic.Pointer[string] }

func (d *dateCache) now() string {
	if p := d.text.Load(); p != nil {
		return *p
	}
	s := time.Now().UTC().Format(http.TimeFormat)
	d.text.Store(&s)
	time.AfterFunc(time.Second, func() { d.text.Store(nil) })
	return s
}

// reply sends an answer in one write. header is whole lines; nobody answers a HEAD with a body.
func (c *conn) reply(code int, header string, body []byte) error {
	b := append(c.wbuf[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(code)...)
	b = append(b, serverLines...)
	b = append(b, c.date.now()...)
	b = append(b, "\r\n"...)
	b = append(b, header...)
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n\r\n"...)
	if c.req.method != "HEAD" {
		b = append(b, body...)
	}
	return c.send(b)
}

// send writes b, which becomes the write buffer.
func (c *conn) send(b []byte) error {
	c.wbuf = b
	n, err := c.tcp.Write(b)
	c.stats.bytesOut.Add(int64(n))
	return err
}

func (c *conn) replyXML(body []byte) error { return c.reply(http.StatusOK, xmlType, body) }

func (c *conn) replyError(code int, name, message string) error {
	return c.reply(code, xmlType, []byte(xmlHead+"<Error><Code>"+name+"</Code><Message>"+message+
		"</Message><Resource>/</Resource><RequestId>1</RequestId></Error>"))
}

func appendXML(b, s []byte) []byte {
	for _, ch := range s {
		switch ch {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '\r':
			b = append(b, "&#xD;"...)
		case '\n':
			b = append(b, "&#xA;"...)
		case '"':
			b = append(b, "&#34;"...)
		default:
			b = append(b, ch)
		}
	}
	return b
}

func appendURL(b, s []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, ch := range s {
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9',
			ch == '-', ch == '_', ch == '.', ch == '~', ch == '/', ch == '*':
			b = append(b, ch)
		default:
			b = append(b, '%', digits[ch>>4], digits[ch&15])
		}
	}
	return b
}
