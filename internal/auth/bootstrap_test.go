package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

func newEmpty(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{mem: newMemStore(), clock: newClock(t, testDate), sealer: newTestSealer(t)}
	f.Service = New(Options{Store: f.mem, Sealer: f.sealer, Now: f.clock.Now})
	return f
}

func (f *fixture) works(t *testing.T, v Initial) {
	t.Helper()
	if _, err := f.admit(t, post(t, signer{ak: v.AK, sk: v.SK.Reveal()}, v.ProjectID), TaskGet, v.ProjectID); err != nil {
		t.Errorf("the key does not work: %v", err)
	}
	_, session, err := f.Login(t.Context(), Login{UserName: "admin", Password: v.Password})
	if err != nil || session.Identity.ProjectID != v.ProjectID || session.Identity.Role != RoleAdmin {
		t.Errorf("the password does not work: %+v, %v", session, err)
	}
}

func TestBootstrapGenerates(t *testing.T) {
	f, path := newEmpty(t), filepath.Join(t.TempDir(), "bootstrap.env")
	created, v, err := f.Bootstrap(t.Context(), Initial{}, path)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	for _, tt := range []struct{ name, value, pattern string }{
		{"AK", v.AK, `^[A-Z0-9]{20}$`},
		{"SK", v.SK.Reveal(), `^[A-Za-z0-9]{40}$`},
		{"project", v.ProjectID, `^[0-9a-f]{32}$`},
		{"password", v.Password.Reveal(), `^[A-Za-z0-9]{24}$`},
	} {
		if !regexp.MustCompile(tt.pattern).MatchString(tt.value) {
			t.Errorf("%s: got %q, want %s", tt.name, tt.value, tt.pattern)
		}
	}
	f.works(t, v)
	if read, err := ReadBootstrapEnv(path); err != nil || read != v {
		t.Errorf("the file differs from what was returned: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	created, again, err := f.Bootstrap(t.Context(), Initial{AK: "LATER", SK: oms.NewSecret("later-secret")}, path)
	if err != nil || created || again != (Initial{}) {
		t.Errorf("second start: got %v, %v, want nothing", created, err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the second start changed the file: %v", err)
	}
	if bytes.Contains(f.mem.keys[0].SealedSK, []byte(v.SK.Reveal())) || strings.Contains(f.mem.users[0].PasswordHash, v.Password.Reveal()) {
		t.Error("the store holds a secret as it is")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}

func TestBootstrapGiven(t *testing.T) {
	f, path := newEmpty(t), filepath.Join(t.TempDir(), "bootstrap.env")
	in := Initial{
		AK: "AKEXAMPLE", SK: oms.NewSecret("SK=EXAMPLE#1"), ProjectID: testProject, Password: oms.NewSecret(`pass word="1'#$`),
	}
	created, out, err := f.Bootstrap(t.Context(), in, path)
	if err != nil || !created || out != in {
		t.Fatalf("got %v, %v", created, err)
	}
	f.works(t, in)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "OMS_BOOTSTRAP_AK=AKEXAMPLE\nOMS_BOOTSTRAP_SK=SK=EXAMPLE#1\nOMS_BOOTSTRAP_PROJECT=" + testProject +
		"\nOMS_BOOTSTRAP_PASSWORD=pass word=\"1'#$\n"
	if !strings.HasSuffix(string(text), "\n"+want) {
		t.Errorf("got %q, want it to end with %q", text, want)
	}
	if read, err := ReadBootstrapEnv(path); err != nil || read != in {
		t.Errorf("got another value back, %v", err)
	}
}

// TestBootstrapInterrupted: whatever was written before the store committed is what the next start uses.
func TestBootstrapInterrupted(t *testing.T) {
	f, path := newEmpty(t), filepath.Join(t.TempDir(), "bootstrap.env")
	f.mem.beforeBoot = func() { f.mem.fail = errors.New("disk full") }
	if created, _, err := f.Bootstrap(t.Context(), Initial{}, path); err == nil || created {
		t.Fatalf("got %v, %v, want the store's error", created, err)
	}
	left, err := ReadBootstrapEnv(path)
	if err != nil {
		t.Fatalf("the file was not written before the commit: %v", err)
	}
	if err := os.WriteFile(path+".tmp", []byte("half a fi"), 0o600); err != nil { // from a crash while writing
		t.Fatal(err)
	}
	f.mem.beforeBoot, f.mem.fail = nil, nil
	created, v, err := f.Bootstrap(t.Context(), Initial{}, path)
	if err != nil || !created || v != left {
		t.Fatalf("got %v, %v, want the values of the file", created, err)
	}
	f.works(t, v)

	// A value that the operator gives now wins over the file's; the file follows.
	f.mem, path = newMemStore(), filepath.Join(t.TempDir(), "bootstrap.env")
	f.Service = New(Options{Store: f.mem, Sealer: f.sealer, Now: f.clock.Now})
	if err := WriteBootstrapEnv(path, left); err != nil {
		t.Fatal(err)
	}
	_, v, err = f.Bootstrap(t.Context(), Initial{AK: "GIVEN"}, path)
	want := left
	want.AK = "GIVEN"
	if read, errRead := ReadBootstrapEnv(path); err != nil || v != want || read != want || errRead != nil {
		t.Errorf("got %v, %v, want the given AK and the file's other values", err, errRead)
	}
	f.works(t, want)
}

// TestBootstrapSecond: of two processes on one store the second leaves no file with useless credentials.
func TestBootstrapSecond(t *testing.T) {
	f, dir := newEmpty(t), t.TempDir()
	first, second := filepath.Join(dir, "first.env"), filepath.Join(dir, "second.env")
	var winner Initial
	f.mem.beforeBoot = func() {
		f.mem.beforeBoot = nil
		var err error
		if _, winner, err = f.Bootstrap(t.Context(), Initial{}, first); err != nil {
			t.Error(err)
		}
	}
	created, v, err := f.Bootstrap(t.Context(), Initial{}, second)
	if err != nil || created || v != (Initial{}) {
		t.Errorf("second: got %v, %v, want nothing", created, err)
	}
	if _, err := os.Stat(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second's file: got %v, want none", err)
	}
	f.works(t, winner)
}

func TestBootstrapRefuses(t *testing.T) {
	good := Initial{AK: "AK", SK: oms.NewSecret("12345678"), ProjectID: "p", Password: oms.NewSecret("12345678")}
	for name, edit := range map[string]func(*Initial){
		"AK with a space":        func(v *Initial) { v.AK = "A K" },
		"AK with a line":         func(v *Initial) { v.AK = "A\nK" },
		"long AK":                func(v *Initial) { v.AK = strings.Repeat("A", maxIdentifier+1) },
		"short SK":               func(v *Initial) { v.SK = oms.NewSecret("1234567") },
		"SK with a line":         func(v *Initial) { v.SK = oms.NewSecret("12345678\nX=1") },
		"SK that is not ASCII":   func(v *Initial) { v.SK = oms.NewSecret("12345678é") },
		"project with a slash":   func(v *Initial) { v.ProjectID = "a/b" },
		"long project":           func(v *Initial) { v.ProjectID = strings.Repeat("a", 65) },
		"short password":         func(v *Initial) { v.Password = oms.NewSecret("1234567") },
		"long password":          func(v *Initial) { v.Password = oms.NewSecret(strings.Repeat("x", maxPassword+1)) },
		"password with a return": func(v *Initial) { v.Password = oms.NewSecret("12345678\r") },
	} {
		f, path := newEmpty(t), filepath.Join(t.TempDir(), "bootstrap.env")
		v := good
		edit(&v)
		created, _, err := f.Bootstrap(t.Context(), v, path)
		if !errors.Is(err, oms.Invalid) || created || len(f.mem.users) > 0 {
			t.Errorf("%s: got %v, %v, want Invalid", name, created, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file was written", name)
		}
		for _, secret := range []string{v.SK.Reveal(), v.Password.Reveal()} {
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%s: the error shows a secret: %v", name, err)
			}
		}
	}
	if runtime.GOOS != "windows" {
		f, path := newEmpty(t), filepath.Join(t.TempDir(), "bootstrap.env")
		if err := WriteBootstrapEnv(path, good); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if created, _, err := f.Bootstrap(t.Context(), Initial{}, path); err == nil || created {
			t.Error("a file that everybody can read was used")
		}
	}
	f := newEmpty(t)
	if created, _, err := f.Bootstrap(t.Context(), good, filepath.Join(t.TempDir(), "no", "dir")); err == nil || created || len(f.mem.users) > 0 {
		t.Errorf("unwritable file: got %v, %v, want an error and nothing stored", created, err)
	}
}

func FuzzBootstrapEnv(f *testing.F) {
	f.Add("OMS_BOOTSTRAP_AK=a\nOMS_BOOTSTRAP_SK=b=c\r\n# x\n\nOMS_BOOTSTRAP_PASSWORD")
	f.Add("=\n==")
	f.Fuzz(func(t *testing.T, text string) {
		v := parseBootstrapEnv(text)
		if v.validate() != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "x.env")
		if err := WriteBootstrapEnv(path, v); err != nil {
			t.Fatal(err)
		}
		if again, err := ReadBootstrapEnv(path); err != nil || again != v {
			t.Errorf("%q did not come back: %v", text, err)
		}
	})
}
