package auth

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

const (
	testAK      = "AKEXAMPLE"
	testSK      = "SKEXAMPLE"
	testProject = "0123456789abcdef"
	testDate    = "20240102T030405Z"
)

// memStore is a Store in memory. fail, when set, is what every method returns.
type memStore struct {
	mu         sync.Mutex
	fail       error
	users      []User
	projects   []Project
	members    map[[2]string]bool
	keys       []AccessKey
	tokens     map[[32]byte]Token
	signatures map[[32]byte]time.Time
	beforeBoot func() // runs inside Bootstrap, before it looks
}

func newMemStore() *memStore {
	return &memStore{
		members: map[[2]string]bool{}, tokens: map[[32]byte]Token{}, signatures: map[[32]byte]time.Time{},
	}
}

func (m *memStore) lock() func() {
	m.mu.Lock()
	return m.mu.Unlock
}

func find[T any](rows []T, match func(T) bool) (T, error) {
	if i := slices.IndexFunc(rows, match); i >= 0 {
		return rows[i], nil
	}
	var zero T
	return zero, &oms.Error{Op: "find row", Kind: oms.NotFound}
}

func (m *memStore) Bootstrap(_ context.Context, s Setup) (bool, error) {
	if m.beforeBoot != nil {
		m.beforeBoot()
	}
	defer m.lock()()
	if m.fail != nil || len(m.users) > 0 {
		return false, m.fail
	}
	m.users, m.projects, m.keys = []User{s.User}, []Project{s.Project}, []AccessKey{s.Key}
	m.members[[2]string{s.Project.ID, s.User.ID}] = true
	return true, nil
}

func (m *memStore) HasUsers(context.Context) (bool, error) {
	defer m.lock()()
	return len(m.users) > 0, m.fail
}

func (m *memStore) User(_ context.Context, id string) (User, error) {
	defer m.lock()()
	u, err := find(m.users, func(u User) bool { return u.ID == id })
	return u, cmp.Or(m.fail, err)
}

func (m *memStore) UserByName(_ context.Context, name string) (User, error) {
	defer m.lock()()
	u, err := find(m.users, func(u User) bool { return u.Name == name })
	return u, cmp.Or(m.fail, err)
}

func (m *memStore) CreateUser(_ context.Context, u User) error {
	defer m.lock()()
	if slices.ContainsFunc(m.users, func(o User) bool { return o.Name == u.Name }) {
		return &oms.Error{Op: "create user", Kind: oms.Conflict}
	}
	m.users = append(m.users, u)
	return m.fail
}

func (m *memStore) SetPasswordHash(_ context.Context, userID, hash string) error {
	defer m.lock()()
	for i := range m.users {
		if m.users[i].ID == userID {
			m.users[i].PasswordHash = hash
		}
	}
	for h, t := range m.tokens {
		if t.UserID == userID {
			delete(m.tokens, h)
		}
	}
	return m.fail
}

func (m *memStore) Projects(context.Context) ([]Project, error) {
	defer m.lock()()
	return slices.Clone(m.projects), m.fail
}

func (m *memStore) ProjectsOfUser(_ context.Context, userID string) ([]Project, error) {
	defer m.lock()()
	var out []Project
	for _, p := range m.projects {
		if m.members[[2]string{p.ID, userID}] {
			out = append(out, p)
		}
	}
	return out, m.fail
}

func (m *memStore) CreateProject(_ context.Context, p Project) error {
	defer m.lock()()
	if slices.ContainsFunc(m.projects, func(o Project) bool { return o.Name == p.Name }) {
		return &oms.Error{Op: "create project", Kind: oms.Conflict}
	}
	m.projects = append(m.projects, p)
	return m.fail
}

func (m *memStore) AddMember(_ context.Context, projectID, userID string) error {
	defer m.lock()()
	m.members[[2]string{projectID, userID}] = true
	return m.fail
}

func (m *memStore) AccessKey(_ context.Context, ak string) (AccessKey, error) {
	defer m.lock()()
	k, err := find(m.keys, func(k AccessKey) bool { return k.AK == ak })
	return k, cmp.Or(m.fail, err)
}

func (m *memStore) AccessKeys(context.Context) ([]AccessKey, error) {
	defer m.lock()()
	return slices.Clone(m.keys), m.fail
}

func (m *memStore) CreateAccessKey(_ context.Context, k AccessKey) error {
	defer m.lock()()
	m.keys = append(m.keys, k)
	m.members[[2]string{k.ProjectID, k.UserID}] = true
	return m.fail
}

func (m *memStore) RevokeAccessKey(_ context.Context, ak string, at time.Time) error {
	defer m.lock()()
	for i := range m.keys {
		if k := &m.keys[i]; k.AK == ak {
			k.Status, k.RevokedAt, k.SealedSK = KeyRevoked, at, nil
			return m.fail
		}
	}
	return &oms.Error{Op: "revoke", Kind: oms.NotFound}
}

func (m *memStore) SaveToken(_ context.Context, t Token) error {
	defer m.lock()()
	m.tokens[t.Hash] = t
	return m.fail
}

func (m *memStore) Token(_ context.Context, hash [32]byte) (Token, error) {
	defer m.lock()()
	t, ok := m.tokens[hash]
	if !ok && m.fail == nil {
		return Token{}, &oms.Error{Op: "find token", Kind: oms.NotFound}
	}
	return t, m.fail
}

func (m *memStore) DeleteToken(_ context.Context, hash [32]byte) error {
	defer m.lock()()
	delete(m.tokens, hash)
	return m.fail
}

func (m *memStore) UseSignature(_ context.Context, digest [32]byte, expires time.Time) (bool, error) {
	defer m.lock()()
	if m.fail != nil {
		return false, m.fail
	}
	_, used := m.signatures[digest]
	m.signatures[digest] = expires
	return !used, nil
}

func (m *memStore) PurgeExpired(_ context.Context, now time.Time) error {
	defer m.lock()()
	for h, t := range m.tokens {
		if t.ExpiresAt.Before(now) {
			delete(m.tokens, h)
		}
	}
	for d, expires := range m.signatures {
		if expires.Before(now) {
			delete(m.signatures, d)
		}
	}
	return m.fail
}

// testSealer is AES-GCM under a random key.
type testSealer struct{ aead cipher.AEAD }

func newTestSealer(tb testing.TB) testSealer {
	tb.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		tb.Fatal(err)
	}
	return testSealer{aead: aead}
}

func (s testSealer) Seal(plaintext []byte, aad string) ([]byte, error) {
	return s.aead.Seal(nil, nil, plaintext, []byte(aad)), nil
}

func (s testSealer) Open(sealed []byte, aad string) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, errors.New("nothing to open")
	}
	return s.aead.Open(nil, nil, sealed, []byte(aad))
}

// clock is a clock that only moves when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock(tb testing.TB, date string) *clock {
	tb.Helper()
	now, err := time.Parse(dateLayout, date)
	if err != nil {
		tb.Fatal(err)
	}
	return &clock{now: now}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a service with one user "alice" of the role, a member of testProject with the key of the golden
// vectors.
type fixture struct {
	*Service
	mem    *memStore
	clock  *clock
	sealer Sealer
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{mem: newMemStore(), clock: newClock(tb, testDate), sealer: newTestSealer(tb)}
	f.Service = New(Options{Store: f.mem, Sealer: f.sealer, Now: f.clock.Now})
	f.addUser("u1", "alice", RoleAdmin)
	f.addProject(testProject, "default", "u1")
	f.addKey(tb, testAK, testSK, "u1", testProject, RoleAdmin)
	return f
}

func (f *fixture) addUser(id, name string, role Role) {
	f.mem.users = append(f.mem.users, User{ID: id, Name: name, Role: role})
}

func (f *fixture) addProject(id, name, userID string) {
	f.mem.projects = append(f.mem.projects, Project{ID: id, Name: name})
	f.mem.members[[2]string{id, userID}] = true
}

func (f *fixture) addKey(tb testing.TB, ak, sk, userID, projectID string, role Role) {
	tb.Helper()
	sealed, err := f.sealer.Seal([]byte(sk), "access_key|"+ak)
	if err != nil {
		tb.Fatal(err)
	}
	f.mem.keys = append(f.mem.keys, AccessKey{
		AK: ak, SealedSK: sealed, UserID: userID, ProjectID: projectID, Role: role, Status: KeyActive,
	})
}

// setPassword gives a user a password with a cheap hash, so that tests need not wait for the real one.
func (f *fixture) setPassword(tb testing.TB, name, password string) {
	tb.Helper()
	for i := range f.mem.users {
		if f.mem.users[i].Name == name {
			f.mem.users[i].PasswordHash = cheapHash(password)
		}
	}
}

// wire is a request as it travels.
type wire struct {
	method, target, host string
	headers              [][2]string
	body                 string
}

func (w wire) clone() wire {
	w.headers = slices.Clone(w.headers)
	return w
}

func (w *wire) get(name string) string {
	for _, h := range w.headers {
		if strings.EqualFold(h[0], name) {
			return h[1]
		}
	}
	return ""
}

func (w *wire) set(name, value string) {
	for i := range w.headers {
		if strings.EqualFold(w.headers[i][0], name) {
			w.headers[i][1] = value
			return
		}
	}
	w.headers = append(w.headers, [2]string{name, value})
}

func (w *wire) del(name string) {
	w.headers = slices.DeleteFunc(w.headers, func(h [2]string) bool { return strings.EqualFold(h[0], name) })
}

// read parses the request as a server does.
func (w wire) read() (*http.Request, error) {
	var b bytes.Buffer
	b.WriteString(w.method + " " + w.target + " HTTP/1.1\r\nHost: " + w.host + "\r\n")
	for _, h := range w.headers {
		b.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(w.body)) + "\r\n\r\n" + w.body)
	r, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "192.0.2.7:4711"
	return r, nil
}

func (w wire) request(tb testing.TB) *http.Request {
	tb.Helper()
	r, err := w.read()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// signer is a second implementation of the signing rules, written from the contract's text and sharing no
// code with the verifier.
type signer struct {
	ak, sk string
	v11    string // "region/service": sign with V11-HMAC-SHA256
}

// sign adds Authorization over the named headers, which w must have already; "host" is w.host.
func (s signer) sign(w *wire, signed ...string) {
	slices.Sort(signed)
	var lines []string
	for _, name := range signed {
		value := w.get(name)
		if name == "host" {
			value = w.host
		}
		lines = append(lines, name+":"+strings.Trim(value, " \t"))
	}
	path, rawQuery, _ := strings.Cut(w.target, "?")
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			panic(err)
		}
		segments[i] = escape(decoded)
	}
	path = strings.Join(segments, "/")
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		panic(err)
	}
	var query []string
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		slices.Sort(values[k])
		for _, v := range values[k] {
			query = append(query, escape(k)+"="+escape(v))
		}
	}
	hash := w.get("X-Sdk-Content-Sha256")
	if hash == "" {
		hash = hexSum(w.body)
	}
	list := strings.Join(signed, ";")
	canonical := strings.Join([]string{
		w.method, path, strings.Join(query, "&"), strings.Join(lines, "\n") + "\n", list, hash,
	}, "\n")
	date := w.get("X-Sdk-Date")
	if s.v11 == "" {
		mac := hexMAC(s.sk, "SDK-HMAC-SHA256\n"+date+"\n"+hexSum(canonical))
		w.set("Authorization", "SDK-HMAC-SHA256 Access="+s.ak+", SignedHeaders="+list+", Signature="+mac)
		return
	}
	info := date[:8] + "/" + s.v11
	derived, err := hkdf.Key(sha256.New, []byte(s.sk), []byte(s.ak), info, 32)
	if err != nil {
		panic(err)
	}
	mac := hexMAC(hex.EncodeToString(derived), "V11-HMAC-SHA256\n"+date+"\n"+info+"\n"+hexSum(canonical))
	w.set("Authorization", "V11-HMAC-SHA256 Credential="+s.ak+"/"+info+", SignedHeaders="+list+", Signature="+mac)
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func hexMAC(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// escape is Esc of the contract.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(s))
}

// golden returns the requests of the contract's golden vectors.
func golden() map[string]wire {
	const agent = "openoms-test/1.0"
	sdk := [][2]string{{"User-Agent", agent}, {"X-Project-Id", testProject}, {"X-Sdk-Date", testDate}}
	return map[string]wire{
		"A": {
			method: "GET", target: "/v2/" + testProject + "/tasks?limit=10&status=5&task_name=a%20b%2F%E4%B8%AD",
			host: "oms.example.test", headers: slices.Clone(sdk),
		},
		"B": {
			method: "POST", target: "/v2/" + testProject + "/tasks/42/start", host: "oms.example.test",
			headers: slices.Clone(sdk), body: `{"dst_ak":"a","dst_sk":"b<&>"}` + "\n",
		},
		"C": {
			method: "POST", target: "/v2/" + testProject + "/tasks/42/stop", host: "oms.example.test",
			headers: append(slices.Clone(sdk), [2]string{"Content-Type", "application/json"}),
		},
		"D": {
			method: "GET", target: "/", host: "oms.example.test", headers: [][2]string{{"X-Sdk-Date", testDate}},
		},
	}
}

// signedLike returns the names that a Go SDK signs of w.
func signedLike(w wire) []string {
	var names []string
	for _, h := range w.headers {
		if name := strings.ToLower(h[0]); name != "authorization" && !strings.HasPrefix(name, "content-type") {
			names = append(names, name)
		}
	}
	return names
}

// post returns a signed writing request.
func post(tb testing.TB, s signer, project string) wire {
	tb.Helper()
	w := golden()["B"]
	w.target = strings.Replace(w.target, testProject, project, 1)
	w.set("X-Project-Id", project)
	s.sign(&w, signedLike(w)...)
	return w
}

func (f *fixture) admit(tb testing.TB, w wire, action Action, project string) (Identity, error) {
	tb.Helper()
	return f.Admit(tb.Context(), w.request(tb), []byte(w.body), Route{Class: Authenticated, Action: action}, project)
}

func wantCode(tb testing.TB, err error, code string) {
	tb.Helper()
	if got := oms.CodeOf(err); got != code || code != "" && !errors.Is(err, oms.Denied) || code == "" && err != nil {
		tb.Errorf("got error %v with code %q, want code %q", err, got, code)
	}
}
