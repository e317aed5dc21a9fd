package notify

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// Each chat service gets the body and the signature that its documentation asks for. The signatures are computed from the
// documented formulas with another program.
func TestChat(t *testing.T) {
	n := succeeded()
	m := compose(n)
	type object = map[string]any
	tests := []struct {
		service, path string
		query         url.Values // expected
		body          object
	}{
		{"slack", "/services/T/B/" + canary, nil, object{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(m.body)}},
		{"discord", "/api/webhooks/1/" + canary, nil, object{"content": m.body, "allowed_mentions": object{"parse": []any{}}}},
		{"telegram", "/bot1:" + canary + "?chat_id=-7", nil, object{"chat_id": "-7", "text": m.body, "disable_web_page_preview": true}},
		{"wecom", "/cgi-bin/webhook/send?key=" + canary, url.Values{"key": {canary}}, object{"msgtype": "text", "text": object{"content": m.body}}},
		{
			"dingtalk", "/robot/send?access_token=" + canary + "&secret=SEC" + canary,
			url.Values{"access_token": {canary}, "timestamp": {"1767225720000"}, "sign": {"NPfXstYMNj8buJ12PlRpbOtWcnIu6Uetx6GZV7FYhYk="}},
			object{"msgtype": "text", "text": object{"content": m.body}},
		},
		{"dingtalk", "/robot/send?access_token=" + canary, url.Values{"access_token": {canary}}, object{"msgtype": "text", "text": object{"content": m.body}}},
		{
			"feishu", "/open-apis/bot/v2/hook/x?secret=SEC" + canary, nil,
			object{"msg_type": "text", "content": object{"text": m.body}, "timestamp": "1767225720", "sign": "KhIGkonxQw18pJHQjlFcPNSqT0C+qpTkfFwCWGHPtDs="},
		},
		{"lark", "/open-apis/bot/v2/hook/" + canary, nil, object{"msg_type": "text", "content": object{"text": m.body}}},
	}
	for _, tt := range tests {
		t.Run(tt.service, func(t *testing.T) {
			base, got := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"errcode":0,"code":0,"ok":true}`))
			})
			l := newLab(t, tt.service+"+"+base+tt.path, n)
			if diff := cmp.Diff([]outcome{{settled: true}}, l.runUntil(t, 1), cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			in := <-got
			u, err := url.Parse(in.path)
			if err != nil {
				t.Fatal(err)
			}
			query := tt.query
			if query == nil {
				query = url.Values{}
			}
			wantPath, _, _ := strings.Cut(tt.path, "?")
			if tt.service == "telegram" {
				wantPath += "/sendMessage"
			}
			if u.Path != wantPath || in.contentType != "application/json; charset=utf-8" {
				t.Errorf("path %s, content type %s", u.Path, in.contentType)
			}
			if diff := cmp.Diff(query, u.Query()); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.body, in.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

// A Teams workflow gets an Adaptive Card, in which names are no markup.
func TestTeams(t *testing.T) {
	base, got := receiver(t, status(202))
	n := succeeded()
	n.Content.SrcBucket = "a_b*c[d](http://e)"
	l := newLab(t, "teams+"+base+"/workflows/w?sig="+canary, n)
	if diff := cmp.Diff([]outcome{{settled: true}}, l.runUntil(t, 1), cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	text, err := json.Marshal((<-got).body)
	if err != nil {
		t.Fatal(err)
	}
	var sent struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Type, Version string
				Body          []struct{ Type, Text string }
			}
		}
	}
	if err := json.Unmarshal(text, &sent); err != nil || sent.Type != "message" || len(sent.Attachments) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	a := sent.Attachments[0]
	if a.ContentType != "application/vnd.microsoft.card.adaptive" || a.Content.Type != "AdaptiveCard" || len(a.Content.Body) < 5 || a.Content.Body[0].Type != "TextBlock" {
		t.Errorf("got %s", text)
	}
	if !strings.Contains(string(text), `a\\_b\\*c\\[d\\](http://e)`) {
		t.Errorf("markup is left: %s", text)
	}
}

// Services that say no with status 200 are understood; what is not final is tried again.
func TestChatAnswers(t *testing.T) {
	tests := []struct {
		kind   kind
		status int
		body   string
		code   string
		again  bool
	}{
		{kindSlack, 200, "ok", "", false},
		{kindSlack, 404, "no_service", codeNoTopic, false},
		{kindDiscord, 204, "", "", false},
		{kindDiscord, 429, `{"retry_after":1}`, codeBusy, true},
		{kindTeams, 202, "", "", false},
		{kindTelegram, 200, `{"ok":true,"result":{}}`, "", false},
		{kindTelegram, 200, `{"ok":false}`, codeInternal, false},
		{kindTelegram, 401, `{"ok":false}`, codeDenied, false},
		{kindDingTalk, 200, `{"errcode":0,"errmsg":"ok"}`, "", false},
		{kindDingTalk, 200, `{"errcode":310000,"errmsg":"sign not match"}`, codeDenied, false},
		{kindDingTalk, 200, `{"errcode":130101}`, codeBusy, true},
		{kindWeCom, 200, `{"errcode":93000}`, codeDenied, false},
		{kindWeCom, 200, `{"errcode":45009}`, codeBusy, true},
		{kindWeCom, 200, `{"errcode":40008}`, codeInternal, false},
		{kindFeishu, 200, `{"StatusCode":0,"code":0}`, "", false},
		{kindFeishu, 200, `{"code":19021,"msg":"sign match fail"}`, codeDenied, false},
		{kindFeishu, 200, `{"StatusCode":9499}`, codeBusy, true},
		{kindFeishu, 502, "<html>", codeReceiver, true},
	}
	for _, tt := range tests {
		err := chatAnswered(tt.kind, tt.status, []byte(tt.body))
		f, _ := err.(*failure) //nolint:errorlint // it is never wrapped
		if got := f != nil; got != (tt.code != "") || got && (f.code != tt.code || f.again != tt.again) {
			t.Errorf("%s %d %s: got %+v", tt.kind, tt.status, tt.body, err)
		}
	}
}

// Texts are cut to what a service takes, between characters.
func TestChatLimits(t *testing.T) {
	long := strings.Repeat("迁移", 3000)
	if got := characters(long, 2000); utf8.RuneCountInString(got) != 2000 || !strings.HasSuffix(got, "…") {
		t.Errorf("%d characters", utf8.RuneCountInString(got))
	}
	for n := 10; n < 20; n++ {
		if got := bytesOf(long, n); len(got) > n || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
	if characters("ab", 2) != "ab" || bytesOf("ab", 2) != "ab" {
		t.Error("a text that fits is changed")
	}
}
