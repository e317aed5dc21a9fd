package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxAnswer is how much of an answer is read, in bytes: enough to use the connection again.
const maxAnswer = 4 << 10

// hookBody is what a webhook gets: the members that SMN sends to its HTTP subscribers, without a signature, and what a
// receiver needs to write a text of its own.
type hookBody struct {
	Type      string            `json:"type"` // always Notification
	MessageID string            `json:"message_id"`
	TopicURN  string            `json:"topic_urn"`
	Subject   string            `json:"subject"`
	Message   string            `json:"message"`
	Timestamp string            `json:"timestamp"` // of the end
	Template  string            `json:"message_template_name,omitempty"`
	Tags      map[string]string `json:"tags"`
}

// hook posts a message to a webhook.
func (n *Notifier) hook(ctx context.Context, t Target, m message) error {
	return n.post(ctx, t, t.url.String(), hookBody{
		Type: "Notification", MessageID: m.id, TopicURN: m.topic, Subject: m.subject, Message: m.body,
		Timestamp: m.at.Format(time.RFC3339), Template: m.template, Tags: m.tags,
	})
}

// publishBody is that of SMN's PublishMessage: with a message, or with a template and its tags.
type publishBody struct {
	Subject  string            `json:"subject"`
	Message  string            `json:"message,omitempty"`
	Template string            `json:"message_template_name,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// urnParts are the parts of urn:smn:{region}:{project_id}:{topic}.
const urnParts = 5

// projectOf returns the project that a topic is named after, "" when the text is no URN of a topic.
func projectOf(urn string) string {
	parts := strings.Split(urn, ":")
	if len(parts) != urnParts {
		return ""
	}
	return parts[3]
}

// publish makes the publish call of SMN (OMS v2, 6.9).
func (n *Notifier) publish(ctx context.Context, t Target, m message) error {
	topic := t.topic
	if topic == "" {
		topic = m.topic
	}
	body := publishBody{Subject: m.subject, Message: m.body}
	if m.template != "" {
		body = publishBody{Subject: m.subject, Template: m.template, Tags: m.tags}
	}
	u := t.url
	u.Path = "/v2/" + projectOf(topic) + "/notifications/topics/" + topic + "/publish"
	u.RawPath = canonicalPath(u.Path)
	return n.post(ctx, t, u.String(), body)
}

// canonicalPath escapes a path as the signature wants it, without the final slash. Colons are all that topics hold of
// what must be escaped.
func canonicalPath(path string) string { return strings.ReplaceAll(path, ":", "%3A") }

// post sends JSON and judges the answer. Redirects are answers.
func (n *Notifier) post(ctx context.Context, t Target, to string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return &failure{code: codeInternal, detail: "the message cannot be encoded"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(text))
	if err != nil {
		return &failure{code: codeInternal, detail: "the target cannot be called"}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", n.opts.UserAgent)
	if t.kind == kindSMN && t.user != "" {
		sign(req, text, t.user, t.secret, n.opts.Clock(), "content-type", "host")
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return broken("call the "+t.String(), err)
	}
	defer resp.Body.Close()
	// Read so that the connection can be used again; of what is missing nothing can be told.
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if t.kind == kindWebhook || t.kind == kindSMN {
		return answered(resp.StatusCode)
	}
	return chatAnswered(t.kind, resp.StatusCode, answer)
}

// The signature of the vendor's services (OMS v2, 1.4).
const (
	signAlgorithm = "SDK-HMAC-SHA256"
	signDate      = "20060102T150405Z"
)

// sign sets X-Sdk-Date and Authorization on a request without query. The signature covers the named headers, which are lower
// case and set already, X-Sdk-Date and the body.
func sign(r *http.Request, body []byte, accessKey, secretKey string, now time.Time, headers ...string) {
	date := now.UTC().Format(signDate)
	r.Header.Set("X-Sdk-Date", date)
	signed := append(slices.Clone(headers), "x-sdk-date")
	slices.Sort(signed)
	list := strings.Join(signed, ";")

	var b strings.Builder
	b.WriteString(r.Method + "\n" + canonicalPath(r.URL.Path) + "/\n\n")
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		b.WriteString(name + ":" + value + "\n")
	}
	sum := sha256.Sum256(body)
	b.WriteString("\n" + list + "\n" + hex.EncodeToString(sum[:]))

	request := sha256.Sum256([]byte(b.String()))
	mac := hmac.New(sha256.New, []byte(secretKey))
	mac.Write([]byte(signAlgorithm + "\n" + date + "\n" + hex.EncodeToString(request[:])))
	signature := hex.EncodeToString(mac.Sum(nil))
	r.Header.Set("Authorization", signAlgorithm+" Access="+accessKey+", SignedHeaders="+list+", Signature="+signature)
}
