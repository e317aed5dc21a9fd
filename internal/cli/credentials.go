package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// side is one side of a migration, as environment variables call it.
type side string

// The sides.
const (
	source      side = "SRC"
	destination side = "DST"
)

// credentials returns the keys of a location: OMS_SRC_* or OMS_DST_* win, then the profile that the location
// names, then the environment of the ecosystem's own tools, then its default profile. Keys never come from the
// command line.
func (l location) credentials(env *Env, s side) (oms.Credentials, error) {
	own := keyVariables{ak: "OMS_" + string(s) + "_AK", sk: "OMS_" + string(s) + "_SK", token: "OMS_" + string(s) + "_TOKEN"}
	if c, err := own.read(env); err != nil || !c.IsZero() {
		if err == nil && l.account != "" && c.AccessKey != l.account {
			return oms.Credentials{}, usageErrorf("%s: %s is the name of another account", l, own.ak)
		}
		return c, err
	}
	if c, given, err := l.documents(env); err != nil || given {
		return c, err
	}
	if l.profile != "" {
		return l.profileKeys(env)
	}
	for _, names := range l.vendor.keys {
		if l.vendor.cloud == oms.CloudAzure {
			break // documents has read them
		}
		if c, err := names.read(env); err != nil || !c.IsZero() {
			return c, err
		}
	}
	if l.vendor.cloud == oms.CloudAWS {
		c, err := l.profileKeys(env)
		if _, none := errors.AsType[*noProfileError](err); !none {
			return c, err
		}
	}
	return oms.Credentials{}, usageErrorf("no keys for %s; set %s and %s, or %s and %s",
		l, own.ak, own.sk, l.vendor.keys[0].ak, l.vendor.keys[0].sk)
}

// read returns the keys in the variables: none, or an access key with its secret.
func (n keyVariables) read(env *Env) (oms.Credentials, error) {
	ak, sk := env.Getenv(n.ak), env.Getenv(n.sk)
	if ak == "" && sk == "" {
		return oms.Credentials{}, nil
	}
	if ak == "" || sk == "" {
		return oms.Credentials{}, usageErrorf("%s and %s belong together: set both or none", n.ak, n.sk)
	}
	c := oms.Credentials{AccessKey: ak, SecretKey: oms.NewSecret(sk)}
	if n.token != "" {
		c.SecurityToken = oms.NewSecret(env.Getenv(n.token))
	}
	return c, nil
}

// noProfileError says that a profile or its file does not exist.
type noProfileError struct{ profile, file string }

// Error implements error.
func (e *noProfileError) Error() string {
	return fmt.Sprintf("no profile %q in %s", oms.Clean(e.profile), e.file)
}

// profileName returns the profile to use where one is needed.
func (l location) profileName(env *Env) string {
	if l.profile != "" {
		return l.profile
	}
	if name := env.Getenv("AWS_PROFILE"); name != "" {
		return name
	}
	return "default"
}

// profileKeys reads the keys of the profile from the shared credentials file that S3 tools use.
func (l location) profileKeys(env *Env) (oms.Credentials, error) {
	file, name := awsFile(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials"), l.profileName(env)
	section, err := readSection(file, name)
	if err != nil {
		return oms.Credentials{}, usageError(err)
	}
	if section == nil {
		return oms.Credentials{}, usageError(&noProfileError{profile: name, file: file})
	}
	ak, sk := section["aws_access_key_id"], section["aws_secret_access_key"]
	if ak == "" || sk == "" {
		return oms.Credentials{}, usageErrorf("profile %q in %s has no aws_access_key_id and aws_secret_access_key", oms.Clean(name), file)
	}
	return oms.Credentials{
		AccessKey: ak, SecretKey: oms.NewSecret(sk), SecurityToken: oms.NewSecret(section["aws_session_token"]),
	}, nil
}

// profileRegion returns the region of the profile; "" when it has none.
func (l location) profileRegion(env *Env) (string, error) {
	values, err := readSection(awsFile(env, "AWS_CONFIG_FILE", "config"), configSection(l.profileName(env)))
	if err != nil {
		return "", usageError(err)
	}
	return values["region"], nil
}

// awsFile returns the file that the variable names, or the one of that name in ~/.aws; "" without a home.
func awsFile(env *Env, variable, name string) string {
	if path := env.Getenv(variable); path != "" {
		return path
	}
	home, err := env.Home()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".aws", name)
}

// configSection is how the configuration file names the section of a profile.
func configSection(profile string) string {
	if profile == "default" {
		return profile
	}
	return "profile " + profile
}

// readSection returns the values of a section of an INI file; nil when the file or the section does not exist.
func readSection(path, section string) (values map[string]string, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := sectionName(line); ok {
			if name == section && values == nil {
				values = map[string]string{}
			}
			if name != section && values != nil {
				return values, nil
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && values != nil && line[0] != '#' && line[0] != ';' {
			values[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read profile: %w", err)
	}
	return values, nil
}

// sectionName returns the name in a line such as "[profile lab]".
func sectionName(line string) (string, bool) {
	if len(line) < 2 || line[0] != '[' || line[len(line)-1] != ']' {
		return "", false
	}
	return strings.Join(strings.Fields(line[1:len(line)-1]), " "), true
}
