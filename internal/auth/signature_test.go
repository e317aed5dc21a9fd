package auth

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// TestGoldenVectors compares with the vectors of OMS v2, 1.4 and 1.5, canonical hash and signature.
func TestGoldenVectors(t *testing.T) {
	const sdkList = "user-agent;x-project-id;x-sdk-date"
	tests := []struct{ name, request, list, sum, credential, signature string }{
		{
			"A", "A", sdkList, "d3aa7da8054984095112a36daed83ffbfceb926bc1c19b64bfdf3c37199d8237",
			"SDK-HMAC-SHA256 Access=AKEXAMPLE", "31786b4c96991dcc05c67865a264a6f1a8dcb6277331bbf02613ac003ed9af73",
		},
		{
			"B", "B", sdkList, "235f4ec5def810e2009b02572eefaf4e2e3ce0d8df5808650971ae0829d894ae",
			"SDK-HMAC-SHA256 Access=AKEXAMPLE", "7b6aedfb3e7cd379ffcb8ba6684a7bb187f82062131c965aae898d2705020f79",
		},
		{
			"C", "C", "content-type;host;" + sdkList, "5947d2bd0764e53589053980cfa64e8a5f9606d6fa4a51f0ccc3998b44e80dfa",
			"SDK-HMAC-SHA256 Access=AKEXAMPLE", "a59262a5c3fadef2f9dc5a9afb4806f19eda0a95e056796e3e400e49335973fb",
		},
		{
			"D", "D", "host;x-sdk-date", "60b646bde9320d9314b150fd1366886b42afb9e85b4fbfec78e54cb6252e31f3",
			"SDK-HMAC-SHA256 Access=AKEXAMPLE", "ab8b697e0f2eeab9b5239b95a991c24279ddc53dfa601a87db7df4bda1a8f719",
		},
		{
			"V11", "D", "host;x-sdk-date", "60b646bde9320d9314b150fd1366886b42afb9e85b4fbfec78e54cb6252e31f3",
			"V11-HMAC-SHA256 Credential=AKEXAMPLE/20240102/cn-north-4/oms",
			"b8b94429d3ba4faec084093a5bad825c85ec81508010da7ff0d7ce3046e792bf",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			w := golden()[tt.request]
			w.set("Authorization", tt.credential+", SignedHeaders="+tt.list+", Signature="+tt.signature)
			r := w.request(t)
			a, err := parseAuthorization(w.get("Authorization"))
			if err != nil {
				t.Fatal(err)
			}
			sum, err := canonicalHash(r, &a, hexSum(w.body))
			if got := hex.EncodeToString(sum[:]); err != nil || got != tt.sum {
				t.Errorf("canonical hash: got %s, %v, want %s", got, err, tt.sum)
			}
			id, err := f.admit(t, w, TaskUpdate, testProject)
			if err != nil {
				t.Fatal(err)
			}
			want := Identity{
				Domain: TheDomain(), UserID: "u1", UserName: "alice", ProjectID: testProject, Role: RoleAdmin,
				Credential: AccessKeyCredential, AccessKey: testAK,
			}
			if id != want {
				t.Errorf("got %+v, want %+v", id, want)
			}
		})
	}
}

// TestIndependentSigner admits what the second implementation signs: many shapes of path, query and header.
func TestIndependentSigner(t *testing.T) {
	targets := []string{
		"/", "/v2", "/v2/" + testProject + "/tasks", "/v2/p/a%2Fb/c", "/v2/p/%E4%B8%AD", "/v2/p/a+b", "/v2/p/a%20b~._-",
		"/v2/p/%41", "/v2/p/!$&'()*,;=:@", "/v2/p?a", "/v2/p?a=", "/v2/p?b=2&a=1&a=0", "/v2/p?a=x+y&a=x%20y%2B",
		"/v2/p?%E4%B8%AD=%2F%3D%26", "/v2/p?a=b=c", "/v2/p?a=%00", "/v3/projects?name=cn-north-4", "/v2/p?A=1&a=2&a-b=3",
	}
	for _, s := range []signer{{ak: testAK, sk: testSK}, {ak: testAK, sk: testSK, v11: "cn-north-4/oms"}, {ak: testAK, sk: testSK, v11: "eu-1/iam"}} {
		for _, target := range targets {
			for _, body := range []string{"", "{}\n"} {
				f := newFixture(t)
				w := wire{
					method: "PUT", target: target, host: "127.0.0.1:8480", body: body,
					headers: [][2]string{{"X-Sdk-Date", testDate}, {"X-Empty", ""}, {"X-Spaces", "  a   b\t"}},
				}
				s.sign(&w, "host", "x-sdk-date", "x-empty", "x-spaces")
				if _, err := f.admit(t, w, TaskUpdate, testProject); err != nil {
					t.Errorf("%s %q with body %q: %v", s.v11, target, body, err)
				}
			}
		}
	}
}

func TestUnsignedPayload(t *testing.T) {
	s := signer{ak: testAK, sk: testSK}
	tests := []struct{ name, hash, code string }{
		{"unsigned", "UNSIGNED-PAYLOAD", ""},
		{"right hash", hexSum("body"), ""},
		{"wrong hash", hexSum("other"), CodeUnauthenticated},
		{"nonsense", "x", CodeUnauthenticated},
	}
	for _, tt := range tests {
		f := newFixture(t)
		w := wire{
			method: "POST", target: "/v2/p/tasks", host: "h", body: "body",
			headers: [][2]string{{"X-Sdk-Date", testDate}, {"X-Sdk-Content-Sha256", tt.hash}},
		}
		s.sign(&w, "x-sdk-date", "x-sdk-content-sha256")
		_, err := f.admit(t, w, TaskCreate, testProject)
		wantCode(t, err, tt.code)
	}
	f := newFixture(t)
	w := wire{method: "POST", target: "/v2/p/tasks", host: "h", body: "body", headers: [][2]string{{"X-Sdk-Date", testDate}}}
	s.sign(&w, "x-sdk-date")
	w.set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD")
	w.body = "exchanged"
	_, err := f.admit(t, w, TaskCreate, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

func TestClockWindow(t *testing.T) {
	tests := []struct {
		ahead time.Duration // of the service's clock
		code  string
	}{
		{0, ""},
		{15 * time.Minute, ""},
		{-15 * time.Minute, ""},
		{15*time.Minute + time.Nanosecond, CodeUnauthenticated},
		{-15*time.Minute - time.Nanosecond, CodeUnauthenticated},
		{24 * time.Hour, CodeUnauthenticated},
		{-10 * 365 * 24 * time.Hour, CodeUnauthenticated},
	}
	for _, tt := range tests {
		f := newFixture(t)
		w := post(t, signer{ak: testAK, sk: testSK}, testProject)
		f.clock.advance(tt.ahead)
		_, err := f.admit(t, w, TaskUpdate, testProject)
		wantCode(t, err, tt.code)
	}
}

// TestReplay: a signature never has a second effect (rule S2), not from another address, not later, not after a
// restart; requests that only read may repeat.
func TestReplay(t *testing.T) {
	f := newFixture(t)
	w := post(t, signer{ak: testAK, sk: testSK}, testProject)
	if _, err := f.admit(t, w, ListBuckets, testProject); err != nil {
		t.Fatalf("reading before: %v", err)
	}
	if _, err := f.admit(t, w, TaskUpdate, testProject); err != nil {
		t.Fatalf("first: %v", err)
	}
	mustRefuseElsewhere(t, f, w)
	for _, d := range []time.Duration{repeatSpan, 14 * time.Minute} {
		f.clock.advance(d)
		_, err := f.admit(t, w, TaskUpdate, testProject)
		wantCode(t, err, CodeUnauthenticated)
		mustRefuseElsewhere(t, f, w)
		if err := f.PurgeExpired(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f.Service = New(Options{Store: f.mem, Sealer: f.sealer, Now: f.clock.Now})
	_, err := f.admit(t, w, TaskUpdate, testProject)
	wantCode(t, err, CodeUnauthenticated)
	if _, err := f.admit(t, w, ListBuckets, testProject); err != nil {
		t.Errorf("reading again: %v", err)
	}

	f.clock.advance(2 * time.Hour)
	if err := f.PurgeExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(f.mem.signatures) != 0 {
		t.Error("a used signature is kept for ever")
	}
	_, err = f.admit(t, w, TaskUpdate, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

// mustRefuseElsewhere sends the same signed request from another address.
func mustRefuseElsewhere(t *testing.T, f *fixture, w wire) {
	t.Helper()
	r := w.request(t)
	r.RemoteAddr = "198.51.100.9:4711"
	_, err := f.Admit(t.Context(), r, []byte(w.body), Route{Class: Authenticated, Action: TaskUpdate}, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

// TestRepeatOfOneClient: the SDKs sign two equal calls in one second alike; both are meant.
func TestRepeatOfOneClient(t *testing.T) {
	f := newFixture(t)
	w := post(t, signer{ak: testAK, sk: testSK}, testProject)
	for range 3 {
		if _, err := f.admit(t, w, TaskUpdate, testProject); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.advance(repeatSpan)
	_, err := f.admit(t, w, TaskUpdate, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

// TestReplayAtOnce: of equal requests from many addresses only those of one are admitted.
func TestReplayAtOnce(t *testing.T) {
	f := newFixture(t)
	w := post(t, signer{ak: testAK, sk: testSK}, testProject)
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		admitted int
	)
	for i := range 32 {
		r := w.request(t)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:4711", i)
		wg.Go(func() {
			_, err := f.Admit(t.Context(), r, []byte(w.body), Route{Class: Authenticated, Action: TaskCreate}, testProject)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				admitted++
			}
		})
	}
	wg.Wait()
	if admitted != 1 {
		t.Errorf("%d of 32 equal requests were admitted, want 1", admitted)
	}
}

// TestRefusedKeepsSignature: a request that was refused has not used its signature up.
func TestRefusedKeepsSignature(t *testing.T) {
	f := newFixture(t)
	w := post(t, signer{ak: testAK, sk: testSK}, testProject)
	_, err := f.admit(t, w, TaskUpdate, "another")
	wantCode(t, err, CodeNoRight)
	if _, err := f.admit(t, w, TaskUpdate, testProject); err != nil {
		t.Error(err)
	}
}

// TestUnknownKey: unknown, revoked and wrongly signed look the same, and the dummy secret opens nothing.
func TestUnknownKey(t *testing.T) {
	f := newFixture(t)
	f.addKey(t, "REVOKED", "secret-of-it", "u1", testProject, RoleAdmin)
	if err := f.RevokeKey(t.Context(), "REVOKED"); err != nil {
		t.Fatal(err)
	}
	f.addKey(t, "ORPHAN", "secret-of-it", "nobody", testProject, RoleAdmin)
	dummy, known, err := f.keys.lookup(t.Context(), "UNKNOWN", f.clock.Now())
	if known || err != nil || dummy.sk.IsZero() {
		t.Fatalf("lookup of an unknown key: %v, %v; want a dummy secret to compute with", known, err)
	}
	var texts []string
	for _, s := range []signer{
		{ak: testAK, sk: "wrong"},
		{ak: "UNKNOWN", sk: testSK},
		{ak: "UNKNOWN", sk: dummy.sk.Reveal()},
		{ak: "REVOKED", sk: "secret-of-it"},
		{ak: "REVOKED", sk: dummy.sk.Reveal()},
		{ak: "ORPHAN", sk: "secret-of-it"},
		{ak: testAK, sk: ""},
		{ak: testAK, sk: "wrong", v11: "r/oms"},
		{ak: "UNKNOWN", sk: dummy.sk.Reveal(), v11: "r/oms"},
	} {
		_, err := f.admit(t, post(t, s, testProject), TaskUpdate, testProject)
		wantCode(t, err, CodeUnauthenticated)
		texts = append(texts, fmt.Sprint(err))
	}
	if texts = slices.Compact(texts); len(texts) != 1 {
		t.Errorf("the refusals differ: %q", texts)
	}
	if want := "Incorrect IAM authentication information: verify aksk signature fail"; !strings.Contains(texts[0], want) {
		t.Errorf("got %q, want %q in it", texts[0], want)
	}
}

func TestRevokedWithinSeconds(t *testing.T) {
	f := newFixture(t)
	s := signer{ak: testAK, sk: testSK}
	if _, err := f.admit(t, post(t, s, testProject), TaskGet, testProject); err != nil {
		t.Fatal(err)
	}
	if err := f.mem.RevokeAccessKey(t.Context(), testAK, f.clock.Now()); err != nil { // by another process
		t.Fatal(err)
	}
	f.clock.advance(cacheTTL)
	_, err := f.admit(t, post(t, s, testProject), TaskGet, testProject)
	wantCode(t, err, CodeUnauthenticated)

	g := newFixture(t)
	if _, err := g.admit(t, post(t, s, testProject), TaskGet, testProject); err != nil {
		t.Fatal(err)
	}
	if err := g.RevokeKey(t.Context(), testAK); err != nil { // by this process
		t.Fatal(err)
	}
	_, err = g.admit(t, post(t, s, testProject), TaskGet, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

// TestStoreAway: trouble of the store is not the caller's fault and lets nobody in.
func TestStoreAway(t *testing.T) {
	f := newFixture(t)
	w := post(t, signer{ak: testAK, sk: testSK}, testProject)
	f.mem.fail = &oms.Error{Op: "query", Kind: oms.Transient}
	if _, err := f.admit(t, w, TaskGet, testProject); oms.CodeOf(err) != "" || err == nil {
		t.Errorf("unknown key: got %v, want the store's error", err)
	}
	f.mem.fail = nil
	if _, err := f.admit(t, w, TaskGet, testProject); err != nil {
		t.Fatal(err)
	}
	f.mem.fail = &oms.Error{Op: "query", Kind: oms.Transient}
	if _, err := f.admit(t, w, TaskUpdate, testProject); oms.CodeOf(err) != "" || err == nil {
		t.Errorf("signature that cannot be recorded: got %v, want the store's error", err)
	}
}

func TestCredentialsInRequest(t *testing.T) {
	s := signer{ak: testAK, sk: testSK}
	tests := []struct {
		name, reason string
		edit         func(*wire)
	}{
		{"none", "no credential", func(w *wire) { w.del("Authorization") }},
		{"two", "more than one", func(w *wire) { w.headers = append(w.headers, [2]string{"X-Auth-Token", "t"}) }},
		{"twice", "more than one", func(w *wire) { w.headers = append(w.headers, [2]string{"Authorization", w.get("Authorization")}) }},
		{"empty", "not supported", func(w *wire) { w.set("Authorization", "") }},
		{"basic", "not supported", func(w *wire) { w.set("Authorization", "Basic YTpi") }},
		{"empty token", "token is not valid", func(w *wire) { w.del("Authorization"); w.set("X-Auth-Token", "") }},
		{"long token", "token is not valid", func(w *wire) { w.del("Authorization"); w.set("X-Auth-Token", strings.Repeat("x", 16384)) }},
		{"security token of nobody", "x-security-token does not belong", func(w *wire) {
			w.set("X-Security-Token", "token")
			s.sign(w, signedLike(*w)...)
		}},
		{"foreign domain", "x-domain-id is not", func(w *wire) {
			w.set("X-Domain-Id", "d2")
			s.sign(w, signedLike(*w)...)
		}},
		{"foreign project", "x-project-id is not", func(w *wire) {
			w.set("X-Project-Id", "p2")
			s.sign(w, signedLike(*w)...)
		}},
		{"SM3", "not supported", func(w *wire) {
			w.set("Authorization", strings.Replace(w.get("Authorization"), "SDK-HMAC-SHA256", "SDK-HMAC-SM3", 1))
		}},
		{"ECDSA", "not supported", func(w *wire) {
			w.set("Authorization", strings.Replace(w.get("Authorization"), "SDK-HMAC-SHA256", "SDK-ECDSA-P256-SHA256", 1))
		}},
		{"V11 of another day", "not of the credential's day", func(w *wire) {
			signer{ak: testAK, sk: testSK, v11: "cn-north-4/oms"}.sign(w, signedLike(*w)...)
			w.set("Authorization", strings.Replace(w.get("Authorization"), "20240102/", "20240103/", 1))
		}},
		{"V11 of another service", "malformed", func(w *wire) {
			signer{ak: testAK, sk: testSK, v11: "cn-north-4/ecs"}.sign(w, signedLike(*w)...)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			w := post(t, s, testProject)
			tt.edit(&w)
			_, err := f.admit(t, w, TaskUpdate, testProject)
			wantCode(t, err, CodeUnauthenticated)
			if !strings.Contains(fmt.Sprint(err), tt.reason) {
				t.Errorf("got %v, want %q in it", err, tt.reason)
			}
		})
	}
	f := newFixture(t)
	w := post(t, s, testProject)
	w.set("X-Domain-Id", TheDomain().ID)
	s.sign(&w, signedLike(w)...)
	if _, err := f.admit(t, w, TaskUpdate, testProject); err != nil {
		t.Errorf("own domain: %v", err)
	}
}

// TestWellSignedButRefused: requests whose signature is right for their canonical form, but that a router or a
// parser would read in another way, or that leave open what must be signed.
func TestWellSignedButRefused(t *testing.T) {
	s := signer{ak: testAK, sk: testSK}
	base := wire{method: "GET", target: "/v2/p/tasks", host: "h", headers: [][2]string{{"X-Sdk-Date", testDate}}}
	tests := []struct {
		name   string
		target string // signed
		sent   string // empty: as signed
		signed []string
	}{
		{name: "empty segment", target: "/v2//tasks"},
		{name: "empty first segment", target: "//v2/tasks"},
		{name: "slash at the end", target: "/v2/p/tasks/"},
		{name: "dot", target: "/v2/./tasks"},
		{name: "dots", target: "/v2/x/../tasks"},
		{name: "encoded dots", target: "/v2/x/%2E%2e/tasks"},
		{name: "semicolon", target: "/v2/p/tasks?a%3Bb=1", sent: "/v2/p/tasks?a;b=1"},
		{name: "no key", target: "/v2/p/tasks?=1"},
		{name: "date not signed", target: "/v2/p/tasks", signed: []string{"host"}},
		{name: "a name signed twice", target: "/v2/p/tasks", signed: []string{"x-sdk-date", "x-sdk-date"}},
	}
	for _, tt := range tests {
		f := newFixture(t)
		w := base.clone()
		w.target = tt.target
		if tt.signed == nil {
			tt.signed = []string{"x-sdk-date", "host"}
		}
		s.sign(&w, tt.signed...)
		if tt.sent != "" {
			w.target = tt.sent
		}
		_, err := f.admit(t, w, TaskGet, testProject)
		wantCode(t, err, CodeUnauthenticated)
		if err == nil {
			t.Errorf("%s was admitted", tt.name)
		}
	}
	// A second spelling of a signature would pass the record of used ones.
	f := newFixture(t)
	s.sign(&base, "x-sdk-date")
	mac := base.get("Authorization")
	mac = mac[strings.LastIndex(mac, "=")+1:]
	base.set("Authorization", strings.Replace(base.get("Authorization"), mac, strings.ToUpper(mac), 1))
	_, err := f.admit(t, base, TaskGet, testProject)
	wantCode(t, err, CodeUnauthenticated)
}

// TestMutations: every change of a signed request is refused as unauthenticated (rules S2, H9).
func TestMutations(t *testing.T) {
	total := 0
	for _, base := range mutationBases(t) {
		f := newFixture(t)
		n := 0
		mutate(base, func(name string, w wire) {
			r, err := w.read()
			if err != nil {
				return // the server itself refuses it
			}
			n++
			_, err = f.Admit(t.Context(), r, []byte(w.body), Route{Class: Authenticated, Action: TaskUpdate}, testProject)
			if oms.CodeOf(err) != CodeUnauthenticated {
				t.Errorf("%s: got %v, want a refusal; request %+v", name, err, w)
			}
		})
		if _, err := f.admit(t, base, TaskUpdate, testProject); err != nil {
			t.Errorf("the request itself: %v", err)
		}
		total += n
	}
	t.Logf("%d mutations", total)
	if total < 500 {
		t.Errorf("got %d mutations, want at least 500", total)
	}
}

func mutationBases(t *testing.T) []wire {
	t.Helper()
	sdk := golden()["B"]
	sdk.target += "?b=2&a=x%20y"
	signer{ak: testAK, sk: testSK}.sign(&sdk, signedLike(sdk)...)
	full := sdk.clone()
	full.set("Content-Type", "application/json")
	signer{ak: testAK, sk: testSK}.sign(&full, append(signedLike(full), "host", "content-type")...)
	derived := full.clone()
	signer{ak: testAK, sk: testSK, v11: "cn-north-4/oms"}.sign(&derived, append(signedLike(derived), "host", "content-type")...)
	return []wire{sdk, full, derived}
}

// mutate calls each with requests that differ from base in something that its signature covers.
func mutate(base wire, each func(name string, w wire)) {
	emit := func(name string, edit func(*wire)) {
		w := base.clone()
		edit(&w)
		each(name, w)
	}
	authorization := base.get("Authorization")
	list := authorization[strings.Index(authorization, "SignedHeaders=")+len("SignedHeaders="):]
	list, _, _ = strings.Cut(list, ",")
	signed := strings.Split(list, ";")
	relist := func(names ...string) func(*wire) {
		return func(w *wire) {
			w.set("Authorization", strings.Replace(authorization, list, strings.Join(names, ";"), 1))
		}
	}

	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "post", "POSTX"} {
		emit("method", func(w *wire) { w.method = method })
	}
	path, query, _ := strings.Cut(base.target, "?")
	for i := 1; i < len(path); i++ {
		emit("path byte", func(w *wire) { w.target = path[:i] + "x" + path[i:] + "?" + query })
		emit("path percent", func(w *wire) { w.target = path[:i] + "%00" + path[i:] + "?" + query })
		emit("path slash", func(w *wire) { w.target = path[:i] + "//" + path[i:] + "?" + query })
		emit("path encoded slash", func(w *wire) { w.target = path[:i] + "%2F" + path[i:] + "?" + query })
		emit("path cut", func(w *wire) { w.target = path[:i] + "?" + query })
	}
	for _, p := range []string{
		path + "/", "/" + path, "/." + path, "/x/.." + path, path + "/.", path + "/..", "/%2e" + path, path + "//",
		strings.ToUpper(path), "http://other.example" + path + "/", "*",
	} {
		emit("path shape "+p, func(w *wire) { w.target = p + "?" + query })
	}
	for i := range len(query) {
		emit("query byte", func(w *wire) { w.target = path + "?" + query[:i] + "z" + query[i:] })
		emit("query cut", func(w *wire) { w.target = path + "?" + query[:i] })
	}
	for _, q := range []string{
		"", query + "&c=3", query + "&b=2", query + ";c=3", query + "&", "&" + query, query + "&%zz=1", "=1&" + query,
		strings.Replace(query, "a=", "A=", 1), strings.Replace(query, "%20", "%2B", 1),
		strings.Replace(query, "%20", "%2520", 1), query + "&" + query, strings.Repeat("a=1&", 400) + query,
	} {
		emit("query shape "+q, func(w *wire) { w.target = path + "?" + q })
	}
	for i := range len(base.body) {
		emit("body byte", func(w *wire) { w.body = base.body[:i] + string(rune(base.body[i]^1)) + base.body[i+1:] })
		emit("body cut", func(w *wire) { w.body = base.body[:i] })
	}
	emit("body longer", func(w *wire) { w.body += " " })

	for _, name := range signed {
		if name == "host" {
			emit("host", func(w *wire) { w.host = "evil.example.test" })
			emit("host port", func(w *wire) { w.host += ":443" })
			continue
		}
		value := base.get(name)
		emit("header gone "+name, func(w *wire) { w.del(name) })
		emit("header twice "+name, func(w *wire) { w.headers = append(w.headers, [2]string{name, value}) })
		emit("header second "+name, func(w *wire) { w.headers = append(w.headers, [2]string{name, "x"}) })
		emit("header empty "+name, func(w *wire) { w.set(name, "") })
		for i := range len(value) {
			emit("header byte "+name, func(w *wire) { w.set(name, value[:i]+"7"+value[i:]) })
			emit("header cut "+name, func(w *wire) { w.set(name, value[:i]) })
		}
	}
	for i := range signed {
		emit("list without", relist(slices.Delete(slices.Clone(signed), i, i+1)...))
		emit("list twice", relist(append(slices.Clone(signed), signed[i])...))
		upper := slices.Clone(signed)
		upper[i] = http.CanonicalHeaderKey(upper[i])
		emit("list case", relist(upper...))
		for j := range i {
			swapped := slices.Clone(signed)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			emit("list order", relist(swapped...))
		}
	}
	emit("list longer", relist(append(slices.Clone(signed), "x-none")...))
	emit("list with content-length", relist(append(slices.Clone(signed), "content-length")...))
	emit("list empty name", relist(append(slices.Clone(signed), "")...))
	emit("list empty", relist())
	emit("list huge", relist(strings.Split(strings.Repeat("x;", 5000), ";")...))

	for i := range len(authorization) {
		if authorization[i] != 'f' {
			emit("authorization byte", func(w *wire) { w.set("Authorization", authorization[:i]+"f"+authorization[i+1:]) })
		}
		emit("authorization cut", func(w *wire) { w.set("Authorization", authorization[:i]) })
		emit("authorization longer", func(w *wire) { w.set("Authorization", authorization[:i]+"0"+authorization[i:]) })
	}
	for _, a := range []string{
		strings.ToUpper(authorization), strings.ToLower(authorization), authorization + ", Signature=00",
		strings.ReplaceAll(authorization, ", ", ","), strings.ReplaceAll(authorization, ", ", ",  "),
		authorization + ", x", strings.Repeat(authorization+", ", 100),
		strings.Replace(authorization, "HMAC-SHA256", "HMAC-SM3", 1),
		strings.Replace(authorization, "HMAC-SHA256", "ECDSA-P256-SHA256", 1),
	} {
		emit("authorization shape", func(w *wire) { w.set("Authorization", a) })
	}
	for _, name := range []string{
		"X-Security-Token", "X-Domain-Id", "X-Sdk-Content-Sha256", "X-Subject-Token", "X-Auth-Token",
	} {
		emit("unsigned "+name, func(w *wire) { w.set(name, TheDomain().ID) })
	}
	for _, date := range []string{
		"20240102T030406Z", "20240102T030404Z", "20250102T030405Z", "2024-01-02T03:04:05Z", "20240102T030405", "0", "",
		"20240102T030405.0Z", "20241302T030405Z", "20240102T030405z", "Tue, 02 Jan 2024 03:04:05 GMT",
	} {
		emit("date "+date, func(w *wire) { w.set("X-Sdk-Date", date) })
	}
}

func FuzzParseAuthorization(f *testing.F) {
	for _, w := range []wire{post(f, signer{ak: testAK, sk: testSK}, "p"), post(f, signer{ak: testAK, sk: testSK, v11: "r/oms"}, "p")} {
		f.Add(w.get("Authorization"))
	}
	f.Add("")
	f.Add("SDK-HMAC-SHA256 Access=, SignedHeaders=, Signature=")
	f.Add("V11-HMAC-SHA256 Credential=a/b/c, SignedHeaders=;;, Signature=zz")
	f.Fuzz(func(t *testing.T, h string) {
		a, err := parseAuthorization(h)
		if err != nil {
			return
		}
		// What is accepted has one spelling: writing it down again gives the same text.
		credential := "Access=" + a.ak
		if a.algorithm == algorithmV11 {
			credential = "Credential=" + a.ak + "/" + a.scope
		}
		again := a.algorithm + " " + credential + ", SignedHeaders=" + strings.Join(a.signed, ";") +
			", Signature=" + hex.EncodeToString(a.mac[:])
		if again != h {
			t.Errorf("got %q, want %q", again, h)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	f.Add("/v2/p/tasks", "limit=10&status=5&task_name=a%20b%2F")
	f.Add("/", "")
	f.Add("/%2e%2e/%zz", "a;b&&=&%")
	f.Add("/a%2Fb/+", "+=+&a=b=c")
	f.Fuzz(func(t *testing.T, path, query string) {
		if p, err := appendCanonicalPath(nil, path); err == nil {
			// Canonical paths are their own canonical form, but for the slash at the end.
			again, err := appendCanonicalPath(nil, "/"+strings.Trim(string(p), "/"))
			if err != nil || string(again) != string(p) {
				t.Errorf("path %q: canonical %q, again %q, %v", path, p, again, err)
			}
		}
		if q, err := appendCanonicalQuery(nil, query); err == nil {
			again, err := appendCanonicalQuery(nil, string(q))
			if err != nil || string(again) != string(q) {
				t.Errorf("query %q: canonical %q, again %q, %v", query, q, again, err)
			}
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	f := newFixture(b)
	w := post(b, signer{ak: testAK, sk: testSK}, testProject)
	r, body := w.request(b), []byte(w.body)
	route := Route{Class: Authenticated, Action: TaskGet}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Admit(b.Context(), r, body, route, testProject); err != nil {
			b.Fatal(err)
		}
	}
}
