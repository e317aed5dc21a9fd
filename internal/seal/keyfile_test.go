package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

// keyLine returns a line of a key file.
func keyLine(b byte) string { return keyPrefix + base64.StdEncoding.EncodeToString(testKey(b)) + "\n" }

func loadTest(t *testing.T, path string) *Sealer {
	t.Helper()
	s, err := LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	sealed := seal(t, loadTest(t, path), "a secret key", "aad")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if got, err := loadTest(t, path).Open(sealed, "aad"); err != nil || string(got) != "a secret key" {
		t.Errorf("open after loading: got %q, %v", got, err)
	}
	other := loadTest(t, filepath.Join(t.TempDir(), "master.key"))
	wantRefused(t, other, sealed, "aad", "another file's key")
}

// TestCreateAtOnce lets several create the file: all must end up with one key.
func TestCreateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	sealers := make([]*Sealer, 8)
	var wg sync.WaitGroup
	for i := range sealers {
		wg.Go(func() {
			s, err := LoadOrCreate(path)
			if err != nil && !errors.Is(err, oms.Invalid) { // seen while the first one writes it
				t.Error(err)
			}
			sealers[i] = s
		})
	}
	wg.Wait()
	final := loadTest(t, path)
	for _, s := range sealers {
		if s == nil {
			continue
		}
		if _, err := final.Open(seal(t, s, "x", ""), ""); err != nil {
			t.Errorf("a sealer has a key that is not in the file: %v", err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       oms.Kind
	}{
		{"empty", "", 0o600, oms.Invalid},
		{"blank", "\n \n", 0o600, oms.Invalid},
		{"torn", keyLine(1)[:40], 0o600, oms.Invalid},
		{"torn second line", keyLine(1) + keyLine(2)[:40], 0o600, oms.Invalid},
		{"other version", strings.Replace(keyLine(1), "v1", "v2", 1), 0o600, oms.Invalid},
		{"bare key", strings.TrimPrefix(keyLine(1), keyPrefix), 0o600, oms.Invalid},
		{"not base64", keyPrefix + "!!!!\n", 0o600, oms.Invalid},
		{"short key", keyPrefix + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n", 0o600, oms.Invalid},
		{"too long", strings.Repeat(keyLine(1), 2000), 0o600, oms.Invalid},
		{"group may read", keyLine(1), 0o640, oms.Denied},
		{"world may read", keyLine(1), 0o604, oms.Denied},
		{"group may write", keyLine(1), 0o620, oms.Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == oms.Denied && runtime.GOOS == "windows" {
				t.Skip("no modes on this system")
			}
			path := filepath.Join(t.TempDir(), "master.key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreate(path)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if key := base64.StdEncoding.EncodeToString(testKey(1)); strings.Contains(err.Error(), key[:12]) {
				t.Errorf("the error shows the key: %v", err)
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != tt.text {
				t.Errorf("the refused file was changed: %q, %v", after, err)
			}
		})
	}
}

func TestLoadCannotCreate(t *testing.T) {
	if _, err := LoadOrCreate(filepath.Join(t.TempDir(), "missing", "master.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the directory is missing", err)
	}
}

func TestLoadSeveralKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, []byte(keyLine(1)+"\r\n"+keyLine(2)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := loadTest(t, path)
	if _, err := s.Open(seal(t, newTestSealer(t, 1), "x", ""), ""); err != nil {
		t.Errorf("the older key does not open: %v", err)
	}
	if _, err := newTestSealer(t, 2).Open(seal(t, s, "x", ""), ""); err != nil {
		t.Errorf("the last key does not seal: %v", err)
	}
}

func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := Rotate(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("rotate a missing file: got %v", err)
	}
	old := loadTest(t, path)
	sealed := seal(t, old, "a secret key", "aad")
	s, err := Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Sealer{s, loadTest(t, path)} {
		if got, err := s.Open(sealed, "aad"); err != nil || string(got) != "a secret key" {
			t.Errorf("open an older text: got %q, %v", got, err)
		}
		wantRefused(t, old, seal(t, s, "x", "aad"), "aad", "sealed after rotation, under the older key")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(keyPrefix)); n != 2 {
		t.Errorf("the file holds %d keys, want 2", n)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}
