package omsv2

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The golden vectors of OMS v2, 1.4.
func TestSign(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name, method, url, body string
		header                  map[string]string
		signed                  string
		request, signature      string
	}{
		{
			name: "A", method: http.MethodGet, url: "http://oms.example.test/v2/0123456789abcdef/tasks?limit=10&status=5&task_name=a%20b%2F%E4%B8%AD",
			signed:    "user-agent;x-project-id",
			request:   "d3aa7da8054984095112a36daed83ffbfceb926bc1c19b64bfdf3c37199d8237",
			signature: "31786b4c96991dcc05c67865a264a6f1a8dcb6277331bbf02613ac003ed9af73",
		},
		{
			name: "B", method: http.MethodPost, url: "http://oms.example.test/v2/0123456789abcdef/tasks/42/start",
			body: `{"dst_ak":"a","dst_sk":"b<&>"}` + "\n", signed: "user-agent;x-project-id",
			request:   "235f4ec5def810e2009b02572eefaf4e2e3ce0d8df5808650971ae0829d894ae",
			signature: "7b6aedfb3e7cd379ffcb8ba6684a7bb187f82062131c965aae898d2705020f79",
		},
		{
			name: "C", method: http.MethodPost, url: "http://oms.example.test/v2/0123456789abcdef/tasks/42/stop",
			header: map[string]string{"Content-Type": "application/json"}, signed: "content-type;host;user-agent;x-project-id",
			request:   "5947d2bd0764e53589053980cfa64e8a5f9606d6fa4a51f0ccc3998b44e80dfa",
			signature: "a59262a5c3fadef2f9dc5a9afb4806f19eda0a95e056796e3e400e49335973fb",
		},
		{
			name: "D", method: http.MethodGet, url: "http://oms.example.test/", signed: "host",
			request:   "60b646bde9320d9314b150fd1366886b42afb9e85b4fbfec78e54cb6252e31f3",
			signature: "ab8b697e0f2eeab9b5239b95a991c24279ddc53dfa601a87db7df4bda1a8f719",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("User-Agent", "openoms-test/1.0")
			r.Header.Set("X-Project-Id", "0123456789abcdef")
			for name, value := range tt.header {
				r.Header.Set(name, value)
			}
			names := strings.Split(tt.signed, ";")
			sign(r, []byte(tt.body), "AKEXAMPLE", "SKEXAMPLE", at, names...)
			sum := sha256.Sum256([]byte(canonicalRequest(r, []byte(tt.body), append(names, "x-sdk-date"))))
			if got := hex.EncodeToString(sum[:]); got != tt.request {
				t.Errorf("canonical request hash = %s, want %s", got, tt.request)
			}
			want := "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=" + tt.signed + ";x-sdk-date, Signature=" + tt.signature
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization = %q, want %q", got, want)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/v2": "/v2/", "/a%2Fb/c": "/a%2Fb/c/", "/a b~": "/a%20b~/", "/%e4%b8%ad": "/%E4%B8%AD/",
	} {
		if got := canonicalPath(in); got != want {
			t.Errorf("canonicalPath(%q) = %q, want %q", in, got, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/?b=2&b=1&a&c=x+y", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := canonicalQuery(r.URL.Query()), "a=&b=1&b=2&c=x%20y"; got != want {
		t.Errorf("canonicalQuery = %q, want %q", got, want)
	}
}
