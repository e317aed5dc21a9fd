package auth

import (
	"context"
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

// Names of what a first start makes.
const (
	adminName      = "admin"
	defaultProject = "default"
)

// Variables of the bootstrap file; the environment uses the same names.
const (
	EnvAK       = "OMS_BOOTSTRAP_AK"
	EnvSK       = "OMS_BOOTSTRAP_SK"
	EnvProject  = "OMS_BOOTSTRAP_PROJECT"
	EnvPassword = "OMS_BOOTSTRAP_PASSWORD"
)

// Initial are the first credentials of a service.
type Initial struct {
	AK        string     // 20 upper-case letters and digits when generated
	SK        oms.Secret // 40 characters when generated
	ProjectID string     // 32 hex digits when generated
	Password  oms.Secret // of the user "admin"; 24 characters when generated
}

// Bootstrap makes the user "admin", a project and an access key when the store has no user yet, and reports
// whether it did. Later starts change nothing and return the zero Initial. What in leaves empty is taken from
// envFile if an interrupted first start left one, and generated otherwise.
//
// The values are written to envFile before they are committed to the store: a crash between the two leaves a
// file whose values the next start takes, never a service whose credentials nobody knows. Processes that
// share a store may start at once; processes that share envFile must not.
func (s *Service) Bootstrap(ctx context.Context, in Initial, envFile string) (created bool, out Initial, err error) {
	has, err := s.store.HasUsers(ctx)
	if err != nil {
		return false, Initial{}, fmt.Errorf("look for users: %w", err)
	}
	if has {
		return false, Initial{}, nil
	}
	left, err := ReadBootstrapEnv(envFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, Initial{}, err
	}
	out = in.or(left).or(generated())
	if err := out.validate(); err != nil {
		return false, Initial{}, err
	}
	setup, err := s.setup(ctx, out)
	if err != nil {
		return false, Initial{}, err
	}
	if out != left {
		if err := WriteBootstrapEnv(envFile, out); err != nil {
			return false, Initial{}, err
		}
	}
	created, err = s.store.Bootstrap(ctx, setup)
	if err != nil {
		return false, Initial{}, fmt.Errorf("store the first credentials: %w", err)
	}
	if !created {
		return false, Initial{}, s.discardUnused(ctx, out.AK, envFile)
	}
	return true, out, nil
}

// discardUnused removes the bootstrap file of a process that came second, unless its key is the one that the
// first process stored.
func (s *Service) discardUnused(ctx context.Context, ak, envFile string) error {
	_, err := s.store.AccessKey(ctx, ak)
	if err == nil {
		return nil
	}
	if !errors.Is(err, oms.NotFound) {
		return fmt.Errorf("look up access key: %w", err)
	}
	if err := os.Remove(envFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove unused bootstrap file: %w", err)
	}
	return nil
}

// setup returns the rows of a first start.
func (s *Service) setup(ctx context.Context, v Initial) (Setup, error) {
	hash, err := s.hasher.hash(ctx, v.Password)
	if err != nil {
		return Setup{}, err
	}
	key, err := s.sealedKey(Credentials{AK: v.AK, SK: v.SK})
	if err != nil {
		return Setup{}, err
	}
	now := s.now().UTC()
	user := User{ID: newID(), Name: adminName, PasswordHash: hash, Role: RoleAdmin, CreatedAt: now}
	key.UserID, key.ProjectID, key.Role = user.ID, v.ProjectID, RoleAdmin
	return Setup{User: user, Project: Project{ID: v.ProjectID, Name: defaultProject, CreatedAt: now}, Key: key}, nil
}

// or returns v with what is empty taken from w.
func (v Initial) or(w Initial) Initial {
	if v.AK == "" {
		v.AK = w.AK
	}
	if v.SK.IsZero() {
		v.SK = w.SK
	}
	if v.ProjectID == "" {
		v.ProjectID = w.ProjectID
	}
	if v.Password.IsZero() {
		v.Password = w.Password
	}
	return v
}

func generated() Initial {
	return Initial{
		AK: randomText(lenAK, upperAlnum), SK: oms.NewSecret(randomText(lenSK, alnum)),
		ProjectID: newID(), Password: oms.NewSecret(randomText(lenPassword, alnum)),
	}
}

func (v Initial) validate() error {
	sk := v.SK.Reveal()
	switch {
	case !validIdentifier(v.AK):
		return oms.Errorf(oms.Invalid, "", "%s has 1 to %d letters, digits, - and _", EnvAK, maxIdentifier)
	case len(sk) < 8 || len(sk) > maxIdentifier || strings.ContainsFunc(sk, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return oms.Errorf(oms.Invalid, "", "%s has 8 to %d visible ASCII characters", EnvSK, maxIdentifier)
	case !validIdentifier(v.ProjectID) || len(v.ProjectID) > 64:
		return oms.Errorf(oms.Invalid, "", "%s has 1 to 64 letters, digits, - and _", EnvProject)
	}
	if err := checkPassword(v.Password); err != nil {
		return fmt.Errorf("%s: %w", EnvPassword, err)
	}
	return nil
}

// WriteBootstrapEnv writes v to path as KEY=value lines, readable by the owner only. When it returns nil the
// file is complete and on disk; after a crash there is the old file, none, or the new one.
func WriteBootstrapEnv(path string, v Initial) error {
	text := "# The first credentials of this service. The variables are ignored once it has started.\n" +
		EnvAK + "=" + v.AK + "\n" +
		EnvSK + "=" + v.SK.Reveal() + "\n" +
		EnvProject + "=" + v.ProjectID + "\n" +
		EnvPassword + "=" + v.Password.Reveal() + "\n"
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old bootstrap file: %w", err)
	}
	if err := writeSynced(tmp, text); err != nil {
		return fmt.Errorf("write bootstrap file: %w", errors.Join(err, ignoreAbsent(os.Remove(tmp))))
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write bootstrap file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeSynced creates path, which must not exist, and syncs it.
func writeSynced(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes a rename in dir durable. Windows has no such call and needs none.
func syncDir(dir string) (err error) {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// maxBootstrapEnv bounds the file that is read, in bytes.
const maxBootstrapEnv = 64 << 10

// ReadBootstrapEnv reads what WriteBootstrapEnv wrote; keys it does not know are left alone. The error is
// fs.ErrNotExist when there is no file. A file that others may read is refused (rule S13).
func ReadBootstrapEnv(path string) (v Initial, err error) {
	f, err := os.Open(path)
	if err != nil {
		return Initial{}, fmt.Errorf("read bootstrap file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return Initial{}, fmt.Errorf("read bootstrap file: %w", err)
	}
	if !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return Initial{}, fmt.Errorf("read bootstrap file: %s must be a regular file with mode 0600", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBootstrapEnv))
	if err != nil {
		return Initial{}, fmt.Errorf("read bootstrap file: %w", err)
	}
	return parseBootstrapEnv(string(text)), nil
}

func parseBootstrapEnv(text string) Initial {
	var v Initial
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch key {
		case EnvAK:
			v.AK = value
		case EnvSK:
			v.SK = oms.NewSecret(value)
		case EnvProject:
			v.ProjectID = value
		case EnvPassword:
			v.Password = oms.NewSecret(value)
		}
	}
	return v
}
