package notify

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/egress"
)

// received is what a server got.
type received struct {
	path, auth, contentType string
	body                    map[string]any
}

// receiver is a server that keeps what it gets and answers as told.
func receiver(t *testing.T, answer http.HandlerFunc) (base string, got chan received) {
	t.Helper()
	got = make(chan received, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		in := received{path: r.RequestURI, auth: r.Header.Get("Authorization"), contentType: r.Header.Get("Content-Type")}
		if err := json.Unmarshal(text, &in.body); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		got <- in
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestWebhook(t *testing.T) {
	base, got := receiver(t, status(204))
	n := succeeded()
	n.Content.SMN.TemplateName = "mine"
	l := newLab(t, strings.Replace(base, "//", "//user:"+canary+"@", 1)+"/hooks/"+canary+"?x=1", n)
	if diff := cmp.Diff([]outcome{{settled: true}}, l.runUntil(t, 1), cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	in := <-got
	m := compose(n)
	tags := map[string]any{}
	for name, v := range m.tags {
		tags[name] = v
	}
	want := received{
		path: "/hooks/" + canary + "?x=1", auth: "Basic dXNlcjpjNG40cnk=", contentType: "application/json; charset=utf-8",
		body: map[string]any{
			"type": "Notification", "message_id": "task-200429548242937-2", "topic_urn": urn, "subject": m.subject, "message": m.body,
			"timestamp": "2026-01-01T00:01:01Z", "message_template_name": "mine", "tags": tags,
		},
	}
	if diff := cmp.Diff(want, in, cmp.AllowUnexported(received{})); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// The publish call of OMS v2, 6.9, with a text and with a template.
func TestSMN(t *testing.T) {
	for _, template := range []string{"", "mine"} {
		base, got := receiver(t, status(200))
		n := succeeded()
		n.Content.SMN.TemplateName = template
		const other = "urn:smn:cn-north-4:fedcba:real"
		l := newLab(t, "smn+"+strings.Replace(base, "//", "//AK:"+canary+"@", 1)+"?topic_urn="+other, n)
		if got := l.runUntil(t, 1); len(got) != 1 || got[0] != (outcome{settled: true}) {
			t.Fatalf("got %+v, want it sent", got)
		}
		in := <-got
		if want := "/v2/fedcba/notifications/topics/urn%3Asmn%3Acn-north-4%3Afedcba%3Areal/publish"; in.path != want {
			t.Errorf("path: got %s, want %s", in.path, want)
		}
		if want := "SDK-HMAC-SHA256 Access=AK, SignedHeaders=content-type;host;x-sdk-date, Signature="; !strings.HasPrefix(in.auth, want) {
			t.Errorf("authorization: got %s", in.auth)
		}
		_, hasMessage := in.body["message"]
		tags, hasTags := in.body["tags"].(map[string]any)
		if hasMessage == (template != "") || hasTags == (template == "") || in.body["subject"] != compose(n).subject ||
			hasTags && (len(tags) != 13 || in.body["message_template_name"] != template) {
			t.Errorf("template %q: got %v", template, in.body)
		}
	}
}

// A value of the vendor's scheme that was computed apart from this code.
func TestSign(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://oms.example.test/v2/0123456789abcdef/tasks/42/stop", http.NoBody)
	r.URL.Host = "oms.example.test"
	r.Header.Set("User-Agent", "openoms-test/1.0")
	r.Header.Set("X-Project-Id", "0123456789abcdef")
	r.Header.Set("Content-Type", "application/json")
	sign(r, nil, "AKEXAMPLE", "SKEXAMPLE", time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "content-type", "host", "user-agent", "x-project-id")
	want := "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=content-type;host;user-agent;x-project-id;x-sdk-date, " +
		"Signature=a59262a5c3fadef2f9dc5a9afb4806f19eda0a95e056796e3e400e49335973fb"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Codes of OMS v2, 0156 to 0161: which of them end the matter, and which are tried again.
func TestStatuses(t *testing.T) {
	tests := []struct {
		status int
		want   outcome
	}{
		{400, outcome{settled: true, code: "OMS.0159"}},
		{401, outcome{settled: true, code: "OMS.0158"}},
		{403, outcome{settled: true, code: "OMS.0158"}},
		{404, outcome{settled: true, code: "OMS.0157"}},
		{410, outcome{settled: true, code: "OMS.0157"}},
		{429, outcome{code: "OMS.0160", pause: 5 * time.Second}},
		{500, outcome{code: "OMS.0156", pause: 5 * time.Second}},
		{503, outcome{code: "OMS.0156", pause: 5 * time.Second}},
	}
	for _, tt := range tests {
		base, _ := receiver(t, status(tt.status))
		l := newLab(t, base+"/"+canary, succeeded())
		if got := l.runUntil(t, 1); got[0] != tt.want {
			t.Errorf("status %d: got %+v, want %+v", tt.status, got[0], tt.want)
		}
	}
}

// Rule S6: a redirect is not followed, wherever it leads.
func TestRedirect(t *testing.T) {
	behind, followed := receiver(t, status(200))
	base, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, behind+"/elsewhere", http.StatusTemporaryRedirect)
	})
	l := newLab(t, base+"/"+canary, succeeded())
	if got := l.runUntil(t, 1); got[0] != (outcome{settled: true, code: "OMS.0159"}) {
		t.Errorf("got %+v", got[0])
	}
	if len(followed) != 0 {
		t.Error("the redirect was followed")
	}
}

// Rule S5: the guard decides, whatever the target is; only addresses of targets are let through.
func TestEgress(t *testing.T) {
	base, got := receiver(t, status(200))
	target, err := ParseTarget(base + "/" + canary)
	if err != nil {
		t.Fatal(err)
	}
	mailTo, err := ParseTarget("smtp://u:" + canary + "@" + strings.TrimPrefix(base, "http://") + "?from=a@b.c&to=d@e.f&tls=off")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []Target{target, mailTo} {
		l := newGuardedLab(t, egress.Options{}, map[string]Target{urn: tt}, succeeded())
		if out := l.runUntil(t, 1); out[0] != (outcome{code: "OMS.0161", pause: 5 * time.Second}) {
			t.Errorf("%v: got %+v", tt, out[0])
		}
		if !strings.Contains(l.logs.String(), "blocked by the egress rules") {
			t.Errorf("%v: the operator is not told why: %s", tt, l.logs)
		}
	}
	if len(got) != 0 {
		t.Error("a blocked target was reached")
	}
}

// An answer without end and a receiver that never answers cost one attempt and no more time than it may take.
func TestSlowReceivers(t *testing.T) {
	release := make(chan struct{})
	hanging, _ := receiver(t, func(http.ResponseWriter, *http.Request) { <-release })
	endless, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() { close(release) })
	l := newLab(t, endless+"/"+canary, succeeded())
	if got := l.runUntil(t, 1); got[0] != (outcome{settled: true}) {
		t.Errorf("endless answer: got %+v", got[0])
	}
	l = newLab(t, hanging+"/"+canary, succeeded())
	l.timeout = 50 * time.Millisecond
	if got := l.runUntil(t, 1); got[0] != (outcome{code: "OMS.0161", pause: 5 * time.Second}) {
		t.Errorf("no answer: got %+v", got[0])
	}
}

// Where nobody listens.
func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"http://" + address + "/" + canary, "smn+http://AK:" + canary + "@" + address, "smtp://u:" + canary + "@" + address + "?from=a@b.c&to=d@e.f",
	} {
		l := newLab(t, target, succeeded())
		if got := l.runUntil(t, 1); got[0] != (outcome{code: "OMS.0161", pause: 5 * time.Second}) {
			t.Errorf("%s: got %+v", target, got[0])
		}
	}
	var f *failure
	if err := broken("call", errors.New(canary)); !errors.As(err, &f) || strings.Contains(err.Error(), canary) {
		t.Errorf("an unknown error is quoted: %v", err)
	}
}
