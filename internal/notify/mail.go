package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"mime"
	"net/smtp"
	"strings"
	"time"
)

// The steps of a mail, as they are named in failures.
const (
	stepConnect   = "connect to the mail server"
	stepTLS       = "encrypt the connection to the mail server"
	stepAuth      = "log in to the mail server"
	stepSender    = "name the sender"
	stepRecipient = "name a recipient"
	stepData      = "send the mail"
)

// mail sends a message by mail. It is bound by the deadline of ctx.
func (n *Notifier) mail(ctx context.Context, t Target, m message) error {
	raw, err := n.opts.Network.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return broken(stepConnect, err)
	}
	defer func() { _ = raw.Close() }()                         // closed already when all went well
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // ends whatever waits for the server
	defer stop()
	config := &tls.Config{ServerName: t.host, MinVersion: tls.VersionTLS12}
	if n.opts.TLS != nil {
		config.RootCAs = n.opts.TLS.RootCAs
	}
	conn := raw
	if t.tls == mailTLSAtOnce {
		conn = tls.Client(raw, config)
	}
	c, err := smtp.NewClient(conn, t.host)
	if err != nil {
		return mailFailed(stepConnect, err)
	}
	if err := prepare(c, t, config); err != nil {
		return err
	}
	if err := submit(c, t, n.compile(t, m)); err != nil {
		return err
	}
	_ = c.Quit() // the server has taken the mail
	return nil
}

// prepare encrypts and logs in as the target says.
func prepare(c *smtp.Client, t Target, config *tls.Config) error {
	if t.tls == mailStartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return &failure{code: codeDenied, detail: stepTLS + ": it offers no STARTTLS"}
		}
		if err := c.StartTLS(config); err != nil {
			return mailFailed(stepTLS, err)
		}
	}
	if t.user == "" {
		return nil
	}
	if ok, _ := c.Extension("AUTH"); !ok {
		return &failure{code: codeDenied, detail: stepAuth + ": it offers no log-in"}
	}
	if _, encrypted := c.TLSConnectionState(); !encrypted && !loopback(t.host) {
		return &failure{code: codeDenied, detail: stepAuth + ": a password is not sent over a connection that is not encrypted"}
	}
	if err := c.Auth(smtp.PlainAuth("", t.user, t.secret, t.host)); err != nil {
		return mailFailed(stepAuth, err)
	}
	return nil
}

// loopback reports whether host is this machine by a name that [smtp.PlainAuth] trusts without TLS.
func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// submit hands the mail over.
func submit(c *smtp.Client, t Target, text []byte) error {
	if err := c.Mail(t.from); err != nil {
		return mailFailed(stepSender, err)
	}
	for _, to := range t.to {
		if err := c.Rcpt(to); err != nil {
			return mailFailed(stepRecipient, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return mailFailed(stepData, err)
	}
	if _, err := w.Write(text); err != nil {
		return mailFailed(stepData, err)
	}
	if err := w.Close(); err != nil {
		return mailFailed(stepData, err)
	}
	return nil
}

// maxMailLine is the length of an encoded line, in bytes (RFC 2045).
const maxMailLine = 76

// compile writes the mail: headers in ASCII, the text in UTF-8 as base64, so that no server changes it.
func (n *Notifier) compile(t Target, m message) []byte {
	domain := t.from[strings.LastIndexByte(t.from, '@')+1:]
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", t.from},
		{"To", strings.Join(t.to, ", ")},
		{"Subject", mime.BEncoding.Encode("utf-8", m.subject)},
		{"Date", n.opts.Clock().UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + m.id + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "base64"},
	} {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("\r\n")
	encoded := base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(m.body, "\n", "\r\n")))
	for encoded != "" {
		k := min(len(encoded), maxMailLine)
		b.WriteString(encoded[:k] + "\r\n")
		encoded = encoded[k:]
	}
	return b.Bytes()
}
