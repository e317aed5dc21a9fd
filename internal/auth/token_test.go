package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
)

const testPassword = "correct horse battery"

func newLoginFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.setPassword(t, "alice", testPassword)
	return f
}

func (f *fixture) login(t *testing.T) oms.Secret {
	t.Helper()
	token, _, err := f.Login(t.Context(), Login{UserName: "alice", Password: oms.NewSecret(testPassword)})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func withToken(w wire, token oms.Secret) wire {
	w.del("Authorization")
	w.set("X-Auth-Token", token.Reveal())
	return w
}

func TestLogin(t *testing.T) {
	f := newLoginFixture(t)
	token, session, err := f.Login(t.Context(), Login{UserName: "alice", Password: oms.NewSecret(testPassword), Domain: "openoms"})
	if err != nil {
		t.Fatal(err)
	}
	if got := session.ExpiresAt.Sub(session.IssuedAt); got != 24*time.Hour {
		t.Errorf("life: got %v, want 24h", got)
	}
	if len(token.Reveal()) != len(tokenPrefix)+43 || token.Reveal() == f.login(t).Reveal() {
		t.Errorf("a token must be new and have 256 bits")
	}
	for hash := range f.mem.tokens {
		if bytes.Contains(hash[:], []byte(token.Reveal())) {
			t.Error("the token is stored as it is")
		}
	}
	if _, ok := f.mem.tokens[sha256.Sum256([]byte(token.Reveal()))]; !ok {
		t.Error("the token is not stored under its hash")
	}
	w := withToken(golden()["B"], token)
	for range 2 { // tokens may repeat requests
		id, err := f.admit(t, w, TaskUpdate, testProject)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(session.Identity, id); diff != "" {
			t.Errorf("identity (-session +request):\n%s", diff)
		}
	}
	_, err = f.admit(t, withToken(golden()["D"], token), TaskGet, "another")
	wantCode(t, err, CodeNoRight)
	w.set("X-Project-Id", "another")
	_, err = f.admit(t, w, TaskGet, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

func TestTokenEnds(t *testing.T) {
	request := golden()["D"]
	refused := func(f *fixture, token oms.Secret) {
		t.Helper()
		_, err := f.admit(t, withToken(request, token), TaskGet, testProject)
		wantCode(t, err, CodeUnauthenticated)
	}
	t.Run("expiry", func(t *testing.T) {
		f := newLoginFixture(t)
		token := f.login(t)
		f.clock.advance(tokenLife - time.Second)
		if _, err := f.VerifyToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Second) // within the cache's time
		refused(f, token)
		if err := f.PurgeExpired(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Second)
		refused(f, token)
	})
	t.Run("revoked", func(t *testing.T) {
		f := newLoginFixture(t)
		token, other := f.login(t), f.login(t)
		if _, err := f.VerifyToken(t.Context(), token); err != nil { // it is in the cache now
			t.Fatal(err)
		}
		for range 2 {
			if err := f.RevokeToken(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		refused(f, token)
		if _, err := f.VerifyToken(t.Context(), other); err != nil {
			t.Errorf("another token ended, too: %v", err)
		}
		if err := f.RevokeToken(t.Context(), oms.NewSecret("nonsense")); err != nil {
			t.Error(err)
		}
	})
	t.Run("revoked elsewhere", func(t *testing.T) {
		f := newLoginFixture(t)
		token := f.login(t)
		if _, err := f.VerifyToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		clear(f.mem.tokens)
		f.clock.advance(cacheTTL)
		refused(f, token)
	})
	t.Run("new password", func(t *testing.T) {
		f := newLoginFixture(t)
		token := f.login(t)
		if _, err := f.VerifyToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if err := f.SetPassword(t.Context(), "alice", oms.NewSecret("another password")); err != nil {
			t.Fatal(err)
		}
		refused(f, token)
		_, _, err := f.Login(t.Context(), Login{UserName: "alice", Password: oms.NewSecret(testPassword)})
		wantCode(t, err, CodeUnauthenticated)
	})
	t.Run("user gone", func(t *testing.T) {
		f := newLoginFixture(t)
		token := f.login(t)
		f.mem.users = nil
		refused(f, token)
	})
	t.Run("store away", func(t *testing.T) {
		f := newLoginFixture(t)
		token := f.login(t)
		f.mem.fail = &oms.Error{Op: "query", Kind: oms.Transient}
		if _, err := f.VerifyToken(t.Context(), token); !errors.Is(err, oms.Transient) {
			t.Errorf("got %v, want the store's error", err)
		}
	})
}

// TestLoginRefused: an unknown user, a wrong password and a user without one look the same.
func TestLoginRefused(t *testing.T) {
	f := newLoginFixture(t)
	f.addUser("u2", "nopassword", RoleAdmin)
	var texts []string
	for _, in := range []Login{
		{UserName: "alice", Password: oms.NewSecret("wrong")},
		{UserName: "alice"},
		{UserName: "Alice", Password: oms.NewSecret(testPassword)},
		{UserName: "mallory", Password: oms.NewSecret(testPassword)},
		{UserName: "nopassword", Password: oms.NewSecret("")},
		{UserID: "u2", Password: oms.NewSecret("x")},
		{UserName: "alice", Password: oms.NewSecret(testPassword), Domain: "acme"},
		{UserName: "alice", Password: oms.NewSecret(strings.Repeat("x", maxPassword+1))},
		{UserName: strings.Repeat("x", maxIdentifier+1), Password: oms.NewSecret("x")},
		{},
	} {
		_, _, err := f.Login(t.Context(), in)
		wantCode(t, err, CodeUnauthenticated)
		texts = append(texts, fmt.Sprint(err))
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("the refusals differ: %q and %q", text, texts[0])
		}
	}
	if len(f.mem.tokens) != 0 {
		t.Error("a refused login left a token")
	}
}

func TestLoginScope(t *testing.T) {
	f := newLoginFixture(t)
	f.addUser("u2", "bob", RoleWriter)
	f.addUser("u3", "carol", RoleWriter)
	f.setPassword(t, "bob", testPassword)
	f.setPassword(t, "carol", testPassword)
	f.addProject("p2", "second", "u2")
	f.addProject("p3", "third", "u2")
	tests := []struct {
		user       string
		scope      TokenScope
		id, name   string
		code       string
		wantsScope bool
	}{
		{user: "alice", id: testProject, name: "default"},
		{user: "alice", scope: TokenScope{ProjectID: testProject}, id: testProject, name: "default"},
		{user: "alice", scope: TokenScope{ProjectName: "default"}, id: testProject, name: "default"},
		{user: "alice", scope: TokenScope{ProjectName: "cn-north-4"}, id: testProject, name: "cn-north-4"},
		{user: "alice", scope: TokenScope{ProjectName: "a b"}, code: CodeUnauthenticated},
		{user: "alice", scope: TokenScope{ProjectID: "p2"}, code: CodeUnauthenticated},
		{user: "alice", scope: TokenScope{ProjectID: "unknown"}, code: CodeUnauthenticated},
		{user: "bob", scope: TokenScope{ProjectID: "p3"}, id: "p3", name: "third"},
		{user: "bob", scope: TokenScope{ProjectName: "second"}, id: "p2", name: "second"},
		{user: "bob", scope: TokenScope{ProjectName: "cn-north-4"}, code: CodeUnauthenticated},
		{user: "bob", scope: TokenScope{ProjectName: "default"}, code: CodeUnauthenticated},
		{user: "bob", wantsScope: true},
		{user: "carol", code: CodeUnauthenticated},
	}
	for _, tt := range tests {
		_, session, err := f.Login(t.Context(), Login{UserName: tt.user, Password: oms.NewSecret(testPassword), Scope: tt.scope})
		if tt.wantsScope {
			if !errors.Is(err, oms.Invalid) {
				t.Errorf("%s without a scope: got %v, want Invalid", tt.user, err)
			}
			continue
		}
		wantCode(t, err, tt.code)
		if session.Identity.ProjectID != tt.id || session.Project.Name != tt.name {
			t.Errorf("%s %+v: got %s %s, want %s %s", tt.user, tt.scope, session.Identity.ProjectID, session.Project.Name, tt.id, tt.name)
		}
	}
}

// answer is what a handler wrote.
type answer struct {
	status int
	header http.Header
	body   string
}

// serve sends r to the handler and returns the answer.
func serve(h http.HandlerFunc, r *http.Request) answer {
	rec := httptest.NewRecorder()
	rec.Header().Set("X-Request-Id", "request-1")
	h(rec, r)
	return answer{status: rec.Code, header: rec.Header(), body: rec.Body.String()}
}

func tokenPost(body string) wire {
	return wire{
		method: "POST", target: "/v3/auth/tokens", host: "h", body: body,
		headers: [][2]string{{"Content-Type", "application/json"}},
	}
}

const tokenRequestBody = `{"auth":{"identity":{"methods":["password"],
   "password":{"user":{"name":"alice","password":"` + testPassword + `","domain":{"name":"openoms"}}}},
 "scope":{"project":{"name":"cn-north-4"}}}}`

// TestServeTokens follows one token through issue, description and revocation, in the shapes of OMS v2, 1.6.
func TestServeTokens(t *testing.T) {
	f := newLoginFixture(t)
	resp := serve(f.ServeTokens, tokenPost(tokenRequestBody).request(t))
	body := resp.body
	token := oms.NewSecret(resp.header.Get("X-Subject-Token"))
	if resp.status != http.StatusCreated || token.IsZero() {
		t.Fatalf("got status %d, body %s", resp.status, body)
	}
	if ct, trace := resp.header.Get("Content-Type"), resp.header.Get("X-IAM-Trace-Id"); ct != "application/json" || trace != "request-1" {
		t.Errorf("got content type %q, trace id %q", ct, trace)
	}
	domain := `{"id":"` + TheDomain().ID + `","name":"openoms"}`
	want := `{"token":{"expires_at":"2024-01-03T03:04:05.000000Z","issued_at":"2024-01-02T03:04:05.000000Z",` +
		`"methods":["password"],"project":{"id":"` + testProject + `","name":"cn-north-4","domain":` + domain + `},` +
		`"user":{"id":"u1","name":"alice","domain":` + domain + `},"roles":[{"id":"admin","name":"admin"}],"catalog":[]}}` + "\n"
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	subject := withToken(wire{method: "GET", target: "/v3/auth/tokens", host: "h"}, token)
	subject.set("X-Subject-Token", token.Reveal())
	resp = serve(f.ServeTokens, subject.request(t))
	if got := resp.body; resp.status != http.StatusOK || got != strings.Replace(want, "cn-north-4", "default", 1) {
		t.Errorf("describe: got status %d, body %s", resp.status, got)
	}
	subject.method = "DELETE"
	if resp = serve(f.ServeTokens, subject.request(t)); resp.status != http.StatusNoContent || resp.body != "" {
		t.Errorf("revoke: got status %d", resp.status)
	}
	if resp = serve(f.ServeTokens, subject.request(t)); resp.status != http.StatusUnauthorized {
		t.Errorf("revoke with the revoked token: got status %d, want 401", resp.status)
	}
}

// TestForeignSubject: only an admin may look at another user's token.
func TestForeignSubject(t *testing.T) {
	f := newLoginFixture(t)
	f.addUser("u2", "bob", RoleWriter)
	f.setPassword(t, "bob", testPassword)
	f.addProject("p2", "second", "u2")
	alice := f.login(t)
	bob, _, err := f.Login(t.Context(), Login{UserName: "bob", Password: oms.NewSecret(testPassword)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method string, caller, subject oms.Secret) int {
		w := withToken(wire{method: method, target: "/v3/auth/tokens", host: "h"}, caller)
		w.set("X-Subject-Token", subject.Reveal())
		resp := serve(f.ServeTokens, w.request(t))
		return resp.status
	}
	if got := ask("GET", bob, alice); got != http.StatusUnauthorized {
		t.Errorf("bob reads alice's token: got %d, want 401", got)
	}
	if got := ask("DELETE", bob, alice); got != http.StatusUnauthorized {
		t.Errorf("bob revokes alice's token: got %d, want 401", got)
	}
	if got := ask("GET", alice, bob); got != http.StatusOK {
		t.Errorf("the admin reads bob's token: got %d, want 200", got)
	}
	if got := ask("GET", alice, oms.NewSecret("nonsense")); got != http.StatusUnauthorized {
		t.Errorf("nonsense: got %d, want 401", got)
	}
	if got := ask("DELETE", alice, bob); got != http.StatusNoContent {
		t.Errorf("the admin revokes bob's token: got %d, want 204", got)
	}
}

// TestServeErrors: no input gives a 5xx (rule S8), and every error has a code and a text.
func TestServeErrors(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	method := `{"auth":{"identity":{"methods":["%s"],"password":{"user":{"name":"a","password":"b"}}}}}`
	tests := []struct {
		name   string
		w      wire
		serve  func(*fixture) http.HandlerFunc
		status int
	}{
		{"no body", tokenPost(""), tokens, 400},
		{"not JSON", tokenPost("{"), tokens, 400},
		{"array", tokenPost("[]"), tokens, 400},
		{"null", tokenPost("null"), tokens, 400},
		{"two values", tokenPost("{} {}"), tokens, 400},
		{"wrong types", tokenPost(`{"auth":{"identity":{"methods":"password"}}}`), tokens, 400},
		{"deep", tokenPost(`{"x":` + deep + `}`), tokens, 400},
		{"large", tokenPost(`{"x":"` + strings.Repeat("x", maxIAMBody) + `"}`), tokens, 400},
		{"no method", tokenPost(`{"auth":{"identity":{"password":{"user":{"name":"a","password":"b"}}}}}`), tokens, 400},
		{"method token", tokenPost(fmt.Sprintf(method, "token")), tokens, 400},
		{"no password", tokenPost(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"a"}}}}}`), tokens, 400},
		{"domain scope", tokenPost(strings.Replace(tokenRequestBody, `"project":`, `"domain":`, 1)), tokens, 400},
		{"unknown user", tokenPost(fmt.Sprintf(method, "password")), tokens, 401},
		{"put", wire{method: "PUT", target: "/v3/auth/tokens", host: "h"}, tokens, 405},
		{"describe unsigned", wire{method: "GET", target: "/v3/auth/tokens", host: "h"}, tokens, 401},
		{"projects unsigned", wire{method: "GET", target: "/v3/projects", host: "h"}, projects, 401},
		{"projects post", wire{method: "POST", target: "/v3/projects", host: "h"}, projects, 405},
		{"domains unsigned", wire{method: "GET", target: "/v3/auth/domains", host: "h"}, domains, 401},
		{"domains delete", wire{method: "DELETE", target: "/v3/auth/domains", host: "h"}, domains, 405},
		{"projects large", wire{method: "GET", target: "/v3/projects", host: "h", body: strings.Repeat("x", maxIAMBody+1)}, projects, 400},
	}
	for _, tt := range tests {
		f := newLoginFixture(t)
		resp := serve(tt.serve(f), tt.w.request(t))
		var e struct {
			Code string `json:"error_code"`
			Msg  string `json:"error_msg"`
		}
		body := resp.body
		if err := json.Unmarshal([]byte(body), &e); err != nil || resp.status != tt.status || e.Code == "" || e.Msg == "" {
			t.Errorf("%s: got status %d, body %s, want %d with a code and a text", tt.name, resp.status, body, tt.status)
		}
		if resp.status == http.StatusUnauthorized && e.Code != CodeUnauthenticated {
			t.Errorf("%s: got code %s, want %s", tt.name, e.Code, CodeUnauthenticated)
		}
	}
	f := newLoginFixture(t)
	f.mem.fail = errors.New("secret of the database")
	resp := serve(f.ServeTokens, tokenPost(tokenRequestBody).request(t))
	if body := resp.body; resp.status != http.StatusServiceUnavailable || strings.Contains(body, "secret") || resp.header.Get("Retry-After") == "" {
		t.Errorf("store away: got status %d, body %s", resp.status, body)
	}
}

func tokens(f *fixture) http.HandlerFunc   { return f.ServeTokens }
func projects(f *fixture) http.HandlerFunc { return f.ServeProjects }
func domains(f *fixture) http.HandlerFunc  { return f.ServeDomains }

func TestServeThrottled(t *testing.T) {
	f := newLoginFixture(t)
	wrong := tokenPost(strings.Replace(tokenRequestBody, testPassword, "guess", 1))
	for range attemptsPair {
		if resp := serve(f.ServeTokens, wrong.request(t)); resp.status != http.StatusUnauthorized {
			t.Fatalf("got status %d, want 401; %s", resp.status, resp.body)
		}
	}
	resp := serve(f.ServeTokens, tokenPost(tokenRequestBody).request(t))
	if body := resp.body; resp.status != http.StatusTooManyRequests || resp.header.Get("Retry-After") != "300" {
		t.Errorf("right password after too many wrong ones: got status %d, body %s, want 429", resp.status, body)
	}
	f.clock.advance(attemptWindow)
	if resp := serve(f.ServeTokens, tokenPost(tokenRequestBody).request(t)); resp.status != http.StatusCreated {
		t.Errorf("after the window: got status %d, want 201; %s", resp.status, resp.body)
	}
}

// TestServeProjects: a client finds exactly one project under any region id (OMS v2, 1.6).
func TestServeProjects(t *testing.T) {
	f := newLoginFixture(t)
	f.addProject("p2", "cn-east-3", "u1")
	f.addUser("u9", "other", RoleAdmin)
	f.addProject("p9", "cn-south-1", "u9")
	token, _, err := f.Login(t.Context(), Login{
		UserName: "alice", Password: oms.NewSecret(testPassword), Scope: TokenScope{ProjectID: testProject},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		query  string
		signed [][2]string // id, name
		token  [][2]string
	}{
		{"?name=cn-north-4", [][2]string{{testProject, "cn-north-4"}}, [][2]string{{testProject, "cn-north-4"}}},
		{"?name=default", [][2]string{{testProject, "default"}}, [][2]string{{testProject, "default"}}},
		{"?name=cn-east-3", [][2]string{{testProject, "cn-east-3"}}, [][2]string{{"p2", "cn-east-3"}}},
		{"?name=cn-south-1", [][2]string{{testProject, "cn-south-1"}}, [][2]string{{testProject, "cn-south-1"}}},
		{"", [][2]string{{testProject, "default"}}, [][2]string{{testProject, "default"}, {"p2", "cn-east-3"}}},
		{"?name=%3Cscript%3E", nil, nil},
	}
	for _, tt := range tests {
		for _, kind := range []string{"signed", "token"} {
			w := wire{method: "GET", target: "/v3/projects" + tt.query, host: "h", headers: [][2]string{{"X-Sdk-Date", testDate}}}
			want := tt.signed
			if kind == "token" {
				w, want = withToken(w, token), tt.token
			} else {
				signer{ak: testAK, sk: testSK}.sign(&w, "x-sdk-date")
			}
			resp := serve(f.ServeProjects, w.request(t))
			var got struct {
				Projects []struct{ ID, Name string }
			}
			body := resp.body
			if err := json.Unmarshal([]byte(body), &got); err != nil || resp.status != http.StatusOK || got.Projects == nil {
				t.Fatalf("%s %q: status %d, body %s", kind, tt.query, resp.status, body)
			}
			var pairs [][2]string
			for _, p := range got.Projects {
				pairs = append(pairs, [2]string{p.ID, p.Name})
			}
			if diff := cmp.Diff(want, pairs); diff != "" {
				t.Errorf("%s %q (-want +got):\n%s", kind, tt.query, diff)
			}
		}
	}
}

func TestServeDomains(t *testing.T) {
	f := newFixture(t)
	w := wire{method: "GET", target: "/v3/auth/domains", host: "h", headers: [][2]string{{"X-Sdk-Date", testDate}}}
	signer{ak: testAK, sk: testSK}.sign(&w, "x-sdk-date")
	resp := serve(f.ServeDomains, w.request(t))
	want := `{"domains":[{"id":"` + TheDomain().ID + `","name":"openoms","enabled":true}]}` + "\n"
	if body := resp.body; resp.status != http.StatusOK || body != want {
		t.Errorf("got status %d, body %s, want %s", resp.status, body, want)
	}
}

func FuzzTokenRequest(f *testing.F) {
	f.Add([]byte(tokenRequestBody))
	f.Add([]byte(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"u1","password":"x"}}}}}`))
	f.Add([]byte(`{"auth":{"scope":{"project":null}}}`))
	f.Add([]byte(`"\"[[["`))
	f.Fuzz(func(t *testing.T, body []byte) {
		login, err := parseTokenRequest(body)
		if err != nil {
			if !errors.Is(err, oms.Invalid) {
				t.Errorf("got %v, want Invalid", err)
			}
			return
		}
		if login.UserName == "" && login.UserID == "" || login.Password.IsZero() {
			t.Errorf("a login without a user or password was read: %+v", login)
		}
	})
}

// FuzzTooDeep compares the depth with the decoder's own.
func FuzzTooDeep(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"]}\"[["}]}`))
	f.Add([]byte(strings.Repeat("[", 33) + strings.Repeat("]", 33)))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		depth, deepest := 0, 0
		dec := json.NewDecoder(bytes.NewReader(body))
		for {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			switch tok {
			case json.Delim('{'), json.Delim('['):
				depth++
				deepest = max(deepest, depth)
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
		if got, want := tooDeep(body), deepest > maxJSONDepth; got != want {
			t.Errorf("got %v, want %v at depth %d", got, want, deepest)
		}
	})
}
