package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The chat services, each with an incoming webhook that takes JSON.
const (
	kindSlack    kind = "Slack"
	kindTeams    kind = "Teams"
	kindDiscord  kind = "Discord"
	kindTelegram kind = "Telegram"
	kindDingTalk kind = "DingTalk"
	kindWeCom    kind = "WeCom"
	kindFeishu   kind = "Feishu"
)

// chatKind returns the service that the prefix of a scheme names.
func chatKind(prefix string) (kind, bool) {
	switch prefix {
	case "slack":
		return kindSlack, true
	case "teams":
		return kindTeams, true
	case "discord":
		return kindDiscord, true
	case "telegram":
		return kindTelegram, true
	case "dingtalk":
		return kindDingTalk, true
	case "wecom":
		return kindWeCom, true
	case "feishu", "lark":
		return kindFeishu, true
	}
	return "", false
}

// chatTarget reads what is special about a chat service: the parameter secret of those that sign, and chat_id of Telegram.
func chatTarget(t Target, service kind, scheme string) (Target, error) {
	t.kind, t.url.Scheme = service, scheme
	t.address = address(&t.url, scheme)
	if t.user != "" || t.secret != "" {
		return Target{}, errors.New("a chat target has no user name and no password")
	}
	q := t.url.Query()
	switch service {
	case kindDingTalk, kindFeishu:
		t.secret = q.Get("secret")
		q.Del("secret")
	case kindTelegram:
		t.topic = q.Get("chat_id")
		q.Del("chat_id")
		if t.topic == "" {
			return Target{}, errors.New("a Telegram target needs chat_id=ID")
		}
		if !strings.HasSuffix(t.url.Path, "/sendMessage") {
			t.url = *t.url.JoinPath("sendMessage")
		}
	default:
	}
	if t.url.Path == "" || t.url.Path == "/" {
		return Target{}, errors.New("a chat target needs the path of its webhook")
	}
	t.url.RawQuery = q.Encode()
	return t, nil
}

// Most characters, or bytes where the service counts those, of a text.
const (
	discordText  = 2000
	telegramText = 4096
	weComBytes   = 2048
	chatText     = 3500
)

// textBody is {"text": …} or the like; services differ in what they call it.
type textBody map[string]any

// chat returns the call of a chat service: its URL and its body.
func chat(t Target, m message, now time.Time) (to string, body any) {
	u := t.url
	text := m.body
	switch t.kind {
	case kindSlack:
		return u.String(), textBody{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(characters(text, chatText))}
	case kindTeams:
		return u.String(), card(m)
	case kindDiscord: // nobody is called by a name in a bucket's name
		return u.String(), textBody{"content": characters(text, discordText), "allowed_mentions": map[string]any{"parse": []string{}}}
	case kindTelegram:
		return u.String(), textBody{"chat_id": t.topic, "text": characters(text, telegramText), "disable_web_page_preview": true}
	case kindDingTalk:
		if t.secret != "" {
			stamp := strconv.FormatInt(now.UnixMilli(), 10)
			q := u.Query()
			q.Set("timestamp", stamp)
			q.Set("sign", hmac256(t.secret, stamp+"\n"+t.secret))
			u.RawQuery = q.Encode()
		}
		return u.String(), textBody{"msgtype": "text", "text": textBody{"content": characters(text, chatText)}}
	case kindWeCom:
		return u.String(), textBody{"msgtype": "text", "text": textBody{"content": bytesOf(text, weComBytes)}}
	default: // Feishu, which is Lark elsewhere
		b := textBody{"msg_type": "text", "content": textBody{"text": characters(text, chatText)}}
		if t.secret != "" {
			stamp := strconv.FormatInt(now.Unix(), 10)
			b["timestamp"], b["sign"] = stamp, hmac256(stamp+"\n"+t.secret, "")
		}
		return u.String(), b
	}
}

// card is the Adaptive Card that a Teams workflow posts.
func card(m message) textBody {
	_, rest, _ := strings.Cut(characters(m.body, chatText), "\n\n")
	block := func(text, weight string) textBody {
		return textBody{"type": "TextBlock", "text": plainCard(text), "weight": weight, "wrap": true}
	}
	blocks := []textBody{block(m.subject, "bolder")}
	for line := range strings.Lines(rest) {
		blocks = append(blocks, block(strings.TrimSuffix(line, "\n"), "default"))
	}
	return textBody{"type": "message", "attachments": []textBody{{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": textBody{
			"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": blocks,
		},
	}}}
}

// plainCard takes from a text what a card would read as markup.
func plainCard(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "`", "\\`").Replace(s)
}

// hmac256 is HMAC-SHA256 in base64.
func hmac256(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// characters returns at most n characters of the text.
func characters(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// bytesOf returns at most n bytes of the text, whole characters.
func bytesOf(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	for n -= len(mark); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + mark
}

// chatAnswered judges an answer: most of these services say no with status 200 and a code in the body.
func chatAnswered(k kind, status int, body []byte) error {
	if err := answered(status); err != nil {
		return err
	}
	var a struct {
		OK         *bool `json:"ok"`
		ErrCode    int64 `json:"errcode"`
		Code       int64 `json:"code"`
		StatusCode int64 `json:"StatusCode"`
	}
	// What is no JSON is the answer of services that say all by the status: it leaves the codes at 0.
	if !json.Valid(body) || json.Unmarshal(body, &a) != nil {
		a.ErrCode, a.Code, a.StatusCode, a.OK = 0, 0, 0, nil
	}
	var code int64
	switch k {
	case kindDingTalk, kindWeCom:
		code = a.ErrCode
	case kindFeishu:
		code = a.Code
		if code == 0 {
			code = a.StatusCode
		}
	case kindTelegram:
		if a.OK != nil && !*a.OK {
			code = -1
		}
	default:
	}
	if code == 0 {
		return nil
	}
	f := &failure{code: codeInternal, detail: "the receiver answered with code " + strconv.FormatInt(code, 10)}
	switch code {
	case 130101, 45009, 9499, 11232: // too many messages: DingTalk, WeCom, Feishu
		f.code, f.again = codeBusy, true
	case 310000, 19021, 19022, 19024, 93000, 40014, 300001: // signature, token, address or keyword are not accepted
		f.code = codeDenied
	case -1:
		f.detail = "the receiver did not take the message"
	}
	return f
}

// withoutChat is the scheme of a chat target without the service, and the service.
func withoutChat(u *url.URL) (service kind, scheme string, ok bool) {
	prefix, scheme, found := strings.Cut(u.Scheme, "+")
	if !found || scheme != "https" && scheme != "http" {
		return "", "", false
	}
	service, ok = chatKind(prefix)
	return service, scheme, ok
}
