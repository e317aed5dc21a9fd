package notify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// canary is the secret in every target of the tests.
const canary = "c4n4ry"

func TestParseTarget(t *testing.T) {
	const mail = "?from=oms@example.org&to=ops@example.org"
	tests := []struct{ text, kind, address string }{
		{"https://hooks.example.org/" + canary, "webhook", "hooks.example.org:443"},
		{"http://u:" + canary + "@10.0.0.1:8080/x?token=" + canary, "webhook", "10.0.0.1:8080"},
		{"smn+https://AK:" + canary + "@smn.example.org", "SMN", "smn.example.org:443"},
		{"smn+http://127.0.0.1:9/?topic_urn=urn:smn:r:p:t", "SMN", "127.0.0.1:9"},
		{"smtp://u:" + canary + "@mail.example.org" + mail, "mail", "mail.example.org:587"},
		{"smtp://mail.example.org:25" + mail + "&to=b@example.org&tls=off", "mail", "mail.example.org:25"},
		{"smtps://u%40example.org:" + canary + "@[2001:db8::1]" + mail, "mail", "[2001:db8::1]:465"},
		{"slack+https://hooks.slack.com/services/T/B/" + canary, "Slack", "hooks.slack.com:443"},
		{"teams+https://x.logic.azure.com:444/workflows/w?sig=" + canary, "Teams", "x.logic.azure.com:444"},
		{"discord+https://discord.com/api/webhooks/1/" + canary, "Discord", "discord.com:443"},
		{"telegram+https://api.telegram.org/bot1:" + canary + "?chat_id=-7", "Telegram", "api.telegram.org:443"},
		{"dingtalk+https://oapi.dingtalk.com/robot/send?access_token=" + canary + "&secret=" + canary, "DingTalk", "oapi.dingtalk.com:443"},
		{"wecom+http://127.0.0.1/cgi-bin/webhook/send?key=" + canary, "WeCom", "127.0.0.1:80"},
		{"feishu+https://open.feishu.cn/open-apis/bot/v2/hook/x?secret=" + canary, "Feishu", "open.feishu.cn:443"},
		{"lark+https://open.larksuite.com/open-apis/bot/v2/hook/" + canary, "Feishu", "open.larksuite.com:443"},
	}
	for _, tt := range tests {
		target, err := ParseTarget(tt.text)
		if err != nil || target.String() != tt.kind || target.address != tt.address {
			t.Errorf("%s: got %v at %s, error %v", tt.text, target, target.address, err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if got := fmt.Sprintf(verb+verb, target, map[string]Target{"": target}); strings.Contains(got, canary) {
				t.Errorf("%s prints the secret: %s", verb, got)
			}
		}
	}
}

// Errors name what is wrong and hold nothing of the text.
func TestParseTargetRefuses(t *testing.T) {
	for _, text := range []string{
		"", canary, "ftp://" + canary + "@host", "file:///" + canary, "https://", "https:///" + canary, "https://host/#" + canary,
		"https://host:" + canary, "https://ho%zz" + canary, "https:" + canary + "@host", "https://host/\xff" + canary,
		"smn+https://AK:" + canary + "@host/path", "smn+https://" + canary + "@host", "smn+https://host?x=" + canary,
		"smn+https://host?topic_urn=" + canary,
		"irc+https://host/" + canary, "slack+ftp://host/" + canary, "slack+https://host?" + canary, "slack+https://" + canary + "@host/x",
		"telegram+https://host/bot" + canary, "dingtalk+https://host?secret=" + canary,
		"smtp://host?to=" + canary + "@b.c", "smtp://host?from=a@b.c", "smtp://host?from=" + canary + "&to=a@b.c",
		"smtp://host?from=a@b.c&to=" + canary, "smtp://host?from=a@b.c&to=a@b.c&tls=" + canary, "smtps://host?from=a@b.c&to=a@b.c&tls=off",
		"smtp://" + canary + "@host?from=a@b.c&to=a@b.c", "smtp://host/" + canary + "?from=a@b.c&to=a@b.c",
		"smtp://host?from=a@b.c&from=" + canary + "@b.c&to=a@b.c",
		"smtp://host?from=a@b.c" + strings.Repeat("&to=a@b.c", maxRecipients+1),
	} {
		if _, err := ParseTarget(text); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: got error %v", text, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	topics := map[string]Target{}
	for i, text := range []string{"https://b.example.org/1", "https://b.example.org/2", "smtps://a.example.org?from=a@b.c&to=a@b.c"} {
		target, err := ParseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		topics[strconv.Itoa(i)] = target
	}
	if got := Addresses(topics); !slices.Equal(got, []string{"a.example.org:465", "b.example.org:443"}) {
		t.Errorf("got %v", got)
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("https://u:p@host:1/x?y=z")
	f.Add("smn+https://AK:SK@host?topic_urn=urn:smn:r:p:t")
	f.Add("smtp://u:p@host:587?from=A%20%3Ca@b.c%3E&to=d@e.f&tls=off")
	f.Fuzz(func(t *testing.T, text string) {
		target, err := ParseTarget(text)
		if err != nil {
			return
		}
		for _, a := range append(target.to, target.from) {
			if strings.ContainsAny(a, "\r\n") {
				t.Errorf("an address of more than one line: %q", a)
			}
		}
		if strings.ContainsAny(target.address, " \r\n\t") || target.kind == "" {
			t.Errorf("got kind %q, address %q", target.kind, target.address)
		}
	})
}
