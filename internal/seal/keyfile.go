package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// keyPrefix starts every line of a key file; the key in base64 follows.
const keyPrefix = "openoms-master-key-v1 "

// maxKeyFile bounds what is read of a key file, in bytes.
const maxKeyFile = 64 << 10

// Load reads the master keys from the file; fs.ErrNotExist when there is none. A file that others may read is
// refused as Denied (rule S13), one of another format as Invalid.
func Load(path string) (*Sealer, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	s, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("master key file %s: %w", path, err)
	}
	return s, nil
}

// LoadOrCreate is Load, but makes the file with one new key, readable by this user only, when there is none. When
// it returns, a new key is on disk. It is for a store that holds nothing sealed: what a lost key sealed, a new one
// does not open.
func LoadOrCreate(path string) (*Sealer, error) {
	s, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	line, err := newLine()
	if err != nil {
		return nil, err
	}
	defer clear(line)
	if err := create(path, line); err != nil && !errors.Is(err, fs.ErrExist) { // another process may be first
		return nil, fmt.Errorf("create master key: %w", err)
	}
	return Load(path)
}

// Rotate adds a new key to the file, which must exist, and returns a Sealer that seals with it. The file is
// replaced as a whole. Older keys stay in it, since there may be texts that only they open: see [Sealer.Rewrap].
func Rotate(path string) (*Sealer, error) {
	old, err := read(path)
	if err != nil {
		return nil, err
	}
	defer clear(old)
	if _, err := parse(old); err != nil {
		return nil, err
	}
	line, err := newLine()
	if err != nil {
		return nil, err
	}
	defer clear(line)
	text := bytes.Join([][]byte{bytes.TrimSpace(old), line}, []byte("\n"))
	defer clear(text)
	next := path + ".new"
	if err := create(next, text); err != nil {
		return nil, fmt.Errorf("rotate master key: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return nil, fmt.Errorf("rotate master key: %w", errors.Join(err, os.Remove(next)))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("rotate master key: %w", err)
	}
	return Load(path)
}

// read returns the content of a private key file.
func read(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	if !Private(info) {
		return nil, &oms.Error{
			Op: "read master key", Key: path, Kind: oms.Denied,
			Msg: "others may read or change the file (" + info.Mode().Perm().String() + "): set its mode to 0600",
		}
	}
	text, err = io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, oms.Errorf(oms.Invalid, "", "the file is too long")
	}
	return text, nil
}

// parse reads the lines of a key file, the newest key last.
func parse(text []byte) (*Sealer, error) {
	var keys [][]byte
	defer func() {
		for _, key := range keys {
			clear(key)
		}
	}()
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		encoded, ok := strings.CutPrefix(line, keyPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) != KeySize {
			return nil, oms.Errorf(oms.Invalid, "", "line %d is not a master key", len(keys)+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, oms.Errorf(oms.Invalid, "", "the file holds no master key; if the service never started with it, remove it")
	}
	newest := len(keys) - 1
	return New(keys[newest], keys[:newest]...)
}

func newLine() ([]byte, error) {
	key := make([]byte, KeySize)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	return append(base64.StdEncoding.AppendEncode([]byte(keyPrefix), key), '\n'), nil
}

// create writes a new file, readable by this user only, and returns when it is on disk; fs.ErrExist when there is
// one already.
func create(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in the directory durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
