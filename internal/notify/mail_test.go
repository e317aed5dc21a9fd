package notify

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mailServer speaks SMTP (RFC 5321) with STARTTLS and AUTH PLAIN, as far as a client that sends one mail needs it.
type mailServer struct {
	address  string
	tls      *tls.Config
	atOnce   bool              // TLS from the first byte on
	noTLS    bool              // offers no STARTTLS
	replies  map[string]string // by command, instead of the usual ones
	mails    chan sentMail
	sessions sync.WaitGroup
}

// sentMail is a mail that the server took.
type sentMail struct {
	encrypted bool
	auth      string
	from      string
	to        []string
	data      string
}

// startMail starts a server and returns the authorities that vouch for it.
func startMail(t *testing.T, change func(*mailServer)) *mailServer {
	t.Helper()
	certificate := httptest.NewUnstartedServer(http.NotFoundHandler())
	certificate.StartTLS() // for its certificate, which is valid for 127.0.0.1
	t.Cleanup(certificate.Close)
	s := &mailServer{tls: &tls.Config{Certificates: certificate.TLS.Certificates}, mails: make(chan sentMail, 10), replies: map[string]string{}}
	change(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.Addr().String()
	s.sessions.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.sessions.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		s.sessions.Wait()
	})
	return s
}

// serve is one session. It ends when the client leaves.
func (s *mailServer) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var m sentMail
	if s.atOnce {
		conn, m.encrypted = tls.Server(conn, s.tls), true
	}
	r := textproto.NewReader(bufio.NewReader(conn))
	say := func(text string) { _, _ = io.WriteString(conn, text+"\r\n") }
	say("220 mail.test ESMTP")
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		reply, ok := s.replies[verb]
		if ok && verb != "DATA" {
			say(reply)
			continue
		}
		switch verb {
		case "EHLO":
			say("250-mail.test")
			if !m.encrypted && !s.noTLS {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go on")
			conn, m.encrypted = tls.Server(conn, s.tls), true
			r = textproto.NewReader(bufio.NewReader(conn))
		case "AUTH":
			decoded, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			m.auth = string(decoded)
			say("235 welcome")
		case "MAIL":
			m.from = rest
			say("250 ok")
		case "RCPT":
			m.to = append(m.to, rest)
			say("250 ok")
		case "DATA":
			say("354 go on")
			data, err := r.ReadDotBytes()
			if err != nil {
				return
			}
			if ok {
				say(reply)
				continue
			}
			m.data = string(data)
			s.mails <- m
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("502 unknown")
		}
	}
}

// trusting lets the notifier trust the server of httptest.
func trusting(t *testing.T, l *lab) *lab {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	t.Cleanup(s.Close)
	transport, ok := s.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("the test server's client has another transport")
	}
	l.opts.TLS = transport.TLSClientConfig
	return l
}

func TestMail(t *testing.T) {
	tests := []struct {
		name, scheme, user, query string
		change                    func(*mailServer)
		encrypted                 bool
		auth                      string
	}{
		{"plain", "smtp", "", "&tls=off", func(s *mailServer) { s.noTLS = true }, false, ""},
		{"STARTTLS with password", "smtp", "user:" + canary + "@", "", func(*mailServer) {}, true, "\x00user\x00" + canary},
		{"TLS at once with password", "smtps", "user:" + canary + "@", "", func(s *mailServer) { s.atOnce = true }, true, "\x00user\x00" + canary},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startMail(t, tt.change)
			n := failedGroup()
			l := trusting(t, newLab(t, tt.scheme+"://"+tt.user+s.address+"?from=OMS%20%3Coms@example.org%3E&to=a@example.org&to=b@example.org"+tt.query, n))
			if got := l.runUntil(t, 1); got[0] != (outcome{settled: true}) {
				t.Fatalf("got %+v, log %s", got[0], l.logs)
			}
			m := <-s.mails
			if m.encrypted != tt.encrypted || m.auth != tt.auth || !strings.HasPrefix(m.from, "FROM:<oms@example.org>") ||
				!slices.Equal(m.to, []string{"TO:<a@example.org>", "TO:<b@example.org>"}) {
				t.Errorf("envelope: got %+v", m)
			}
			checkMail(t, m.data, compose(n))
		})
	}
}

// checkMail reads a mail as its reader would.
func checkMail(t *testing.T, data string, want message) {
	t.Helper()
	got, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != want.subject {
		t.Errorf("subject: got %q, error %v, want %q", subject, err, want.subject)
	}
	if at, err := got.Header.Date(); err != nil || at.UTC() != time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC) {
		t.Errorf("date: got %v, error %v", at, err)
	}
	if id := got.Header.Get("Message-Id"); id != "<"+want.id+"@example.org>" {
		t.Errorf("message id: got %s", id)
	}
	if to, err := got.Header.AddressList("To"); err != nil || len(to) != 2 {
		t.Errorf("to: got %v, error %v", to, err)
	}
	body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, got.Body))
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != want.body {
		t.Errorf("body: got %s, error %v", body, err)
	}
}

func TestMailRefused(t *testing.T) {
	again := func(code string) outcome { return outcome{code: code, pause: 5 * time.Second} }
	never := func(code string) outcome { return outcome{settled: true, code: code} }
	none := func(*mailServer) {}
	reply := func(verb, text string) func(*mailServer) {
		return func(s *mailServer) { s.replies[verb] = text + " " + canary }
	}
	tests := []struct {
		name, user, query string
		change            func(*mailServer)
		trust             func(*testing.T, *lab) *lab
		want              outcome
	}{
		{"no STARTTLS", "", "", func(s *mailServer) { s.noTLS = true }, trusting, never("OMS.0158")},
		{"unknown certificate", "", "", none, func(_ *testing.T, l *lab) *lab { return l }, again("OMS.0161")},
		{"wrong password", "user:" + canary + "@", "", reply("AUTH", "535"), trusting, never("OMS.0158")},
		{"log-in wanted", "", "", reply("MAIL", "530"), trusting, never("OMS.0158")},
		{"unknown recipient", "", "", reply("RCPT", "550"), trusting, never("OMS.0157")},
		{"greylisted", "", "", reply("RCPT", "451"), trusting, again("OMS.0160")},
		{"refused mail", "", "", reply("DATA", "554"), trusting, never("OMS.0159")},
		{"busy", "", "", reply("MAIL", "421"), trusting, again("OMS.0160")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startMail(t, tt.change)
			l := tt.trust(t, newLab(t, "smtp://"+tt.user+s.address+"?from=a@b.c&to=d@e.f"+tt.query, succeeded()))
			if got := l.runUntil(t, 1); got[0] != tt.want {
				t.Errorf("got %+v, want %+v; log %s", got[0], tt.want, l.logs)
			}
			if len(s.mails) != 0 {
				t.Error("a mail was taken")
			}
		})
	}
}

// A password does not leave in the clear, but to this machine.
func TestPlainPassword(t *testing.T) {
	if !loopback("127.0.0.1") || loopback("127.0.0.1.example.org") || loopback("10.0.0.1") {
		t.Error("wrong idea of this machine")
	}
}

// A mail server that says nothing costs one attempt.
func TestSilentMailServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	l := newLab(t, "smtp://"+ln.Addr().String()+"?from=a@b.c&to=d@e.f", succeeded())
	l.timeout = 50 * time.Millisecond
	if got := l.runUntil(t, 1); got[0] != (outcome{code: "OMS.0161", pause: 5 * time.Second}) {
		t.Errorf("got %+v", got[0])
	}
}
