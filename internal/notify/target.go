package notify

import (
	"context"
	"errors"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Target is where the messages of a topic go. It holds secrets and prints as what kind it is.
type Target struct {
	kind    kind
	url     url.URL // of http and https targets: with the kind's prefix taken off the scheme
	user    string  // of SMN an access key, of mail a user name; "" for none
	secret  string
	address string // host:port
	topic   string // of SMN: the topic that is published to, "" is the one that the task names; of Telegram the chat

	// Of mail.
	host string
	tls  mailTLS
	from string
	to   []string
}

// kind says how a target is spoken to.
type kind string

const (
	kindWebhook kind = "webhook"
	kindSMN     kind = "SMN"
	kindMail    kind = "mail"
)

// mailTLS says when a connection to a mail server is encrypted.
type mailTLS uint8

const (
	mailStartTLS mailTLS = iota // before anything is said
	mailTLSAtOnce
	mailPlain
)

// maxRecipients bounds the addresses of a mail target.
const maxRecipients = 50

// String returns the kind.
func (t Target) String() string { return string(t.kind) }

// GoString returns the kind.
func (t Target) GoString() string { return t.String() }

// errTarget is what most unusable targets are.
var errTarget = errors.New("want a URL that begins with https://, http://, smn+https://, smtp://, smtps://, or the name of a chat service with +https://")

// ParseTarget reads a target:
//
//	https://host/path                          webhook; http:// as well, and user:password@ for basic authentication
//	smn+https://AK:SK@host?topic_urn=URN       publish call of SMN; without keys it is not signed, without URN the topic
//	                                           is the one that the task names
//	smtp://user:password@host:587?from=A&to=B  mail, several to; STARTTLS is required unless tls=off is given
//	smtps://user:password@host:465?from=A&to=B mail over TLS from the first byte on
//	slack+https://…, teams+https://…, discord+https://…, wecom+https://…
//	                                           incoming webhook of a chat service: its URL with a prefix
//	dingtalk+https://…&secret=S, feishu+https://…?secret=S (lark+https:// as well)
//	                                           the same; with secret each message is signed
//	telegram+https://api.telegram.org/botTOKEN?chat_id=ID
//
// The error says what is wrong and holds nothing of the text.
func ParseTarget(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || !utf8.ValidString(text) {
		return Target{}, errTarget
	}
	password, _ := u.User.Password()
	t := Target{url: *u, user: u.User.Username(), secret: password, host: u.Hostname()}
	switch u.Scheme {
	case "http", "https":
		t.kind, t.address = kindWebhook, address(u, u.Scheme)
		return t, nil
	case "smn+http", "smn+https":
		return smnTarget(t)
	case "smtp", "smtps":
		return mailTarget(t)
	}
	if service, scheme, ok := withoutChat(u); ok {
		return chatTarget(t, service, scheme)
	}
	return Target{}, errTarget
}

// address returns host:port with the scheme's port where none is named.
func address(u *url.URL, scheme string) string {
	ports := map[string]string{"http": "80", "https": "443", "smtp": "587", "smtps": "465"}
	port := u.Port()
	if port == "" {
		port = ports[scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func smnTarget(t Target) (Target, error) {
	q := t.url.Query()
	t.kind, t.topic = kindSMN, q.Get("topic_urn")
	q.Del("topic_urn")
	switch {
	case len(q) > 0:
		return Target{}, errors.New("an SMN target has no parameter but topic_urn")
	case t.topic != "" && len(strings.Split(t.topic, ":")) != urnParts:
		return Target{}, errors.New("topic_urn must be urn:smn:{region}:{project_id}:{topic}")
	case t.url.Path != "" && t.url.Path != "/":
		return Target{}, errors.New("an SMN target has no path")
	case (t.user == "") != (t.secret == ""):
		return Target{}, errors.New("an SMN target has an access key with its secret key, or none")
	}
	t.url.Scheme = strings.TrimPrefix(t.url.Scheme, "smn+")
	t.url.User, t.url.RawQuery, t.url.Path = nil, "", ""
	t.address = address(&t.url, t.url.Scheme)
	return t, nil
}

func mailTarget(t Target) (Target, error) {
	q := t.url.Query()
	t.kind, t.address = kindMail, address(&t.url, t.url.Scheme)
	if t.url.Scheme == "smtps" {
		t.tls = mailTLSAtOnce
	}
	if slices.Equal(q["tls"], []string{"off"}) && t.tls == mailStartTLS {
		t.tls = mailPlain
		q.Del("tls")
	}
	from, err := mail.ParseAddress(q.Get("from"))
	if err != nil || len(q["from"]) != 1 {
		return Target{}, errors.New("a mail target needs from=ADDRESS once")
	}
	t.from = from.Address
	for _, text := range q["to"] {
		to, err := mail.ParseAddress(text)
		if err != nil {
			return Target{}, errors.New("a mail target has a to that is no address")
		}
		t.to = append(t.to, to.Address)
	}
	if len(t.to) == 0 || len(t.to) > maxRecipients {
		return Target{}, errors.New("a mail target needs to=ADDRESS, from 1 to 50 times")
	}
	q.Del("from")
	q.Del("to")
	if len(q) > 0 || t.url.Path != "" && t.url.Path != "/" {
		return Target{}, errors.New("a mail target has no path and no parameters but from, to and tls=off, which is for smtp:// only")
	}
	if (t.user == "") != (t.secret == "") {
		return Target{}, errors.New("a mail target has a user name with its password, or neither")
	}
	return t, nil
}

// Addresses returns host:port of the targets, for the guard that lets them through.
func Addresses(topics map[string]Target) []string {
	list := make([]string, 0, len(topics))
	for _, t := range topics {
		list = append(list, t.address)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// send makes one attempt. The error is a *failure, unless ctx was cancelled.
func (n *Notifier) send(ctx context.Context, t Target, m message) error {
	switch t.kind {
	case kindSMN:
		return n.publish(ctx, t, m)
	case kindMail:
		return n.mail(ctx, t, m)
	case kindWebhook:
	case kindSlack, kindTeams, kindDiscord, kindTelegram, kindDingTalk, kindWeCom, kindFeishu:
		to, body := chat(t, m, n.opts.Clock())
		return n.post(ctx, t, to, body)
	}
	return n.hook(ctx, t, m)
}
