package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

// testEnv is a world with these variables and an empty home.
func testEnv(t *testing.T, vars map[string]string) *Env {
	t.Helper()
	home := t.TempDir()
	return &Env{
		Stdout: new(strings.Builder), Stderr: new(strings.Builder), Stdin: strings.NewReader(""),
		Getenv: func(name string) string { return vars[name] },
		Home:   func() (string, error) { return home, nil },
		Now:    time.Now, Terminal: noTerminal,
	}
}

func TestParseLocation(t *testing.T) {
	tests := []struct {
		text           string
		cloud          oms.CloudType
		bucket, prefix string
		region, end    string
		profile        string
		pathStyle      bool
		shown          string
	}{
		{text: "s3://b", cloud: oms.CloudAWS, bucket: "b", shown: "s3://b"},
		{text: "s3://b/", cloud: oms.CloudAWS, bucket: "b", shown: "s3://b"},
		{text: "s3://b/p/q/?region=eu-west-1&profile=work", cloud: oms.CloudAWS, bucket: "b", prefix: "p/q/", region: "eu-west-1", profile: "work", shown: "s3://b/p/q/"},
		{text: "obs://b//x", cloud: oms.CloudHuawei, bucket: "b", prefix: "/x", shown: "obs://b//x"},
		{text: "oss://b/a%20b%3F?region=cn-beijing", cloud: oms.CloudAliyun, bucket: "b", prefix: "a b?", region: "cn-beijing", shown: "oss://b/a%20b%3F"},
		{text: "cos://b-125/100%25#x", cloud: oms.CloudTencent, bucket: "b-125", prefix: "100%#x", shown: "cos://b-125/100%25%23x"},
		{text: "s3://b?endpoint=http://127.0.0.1:9000&region=lab&path_style=true", cloud: oms.CloudAWS, bucket: "b", end: "http://127.0.0.1:9000", region: "lab", pathStyle: true, shown: "s3://b"},
		{text: "bos://b", cloud: oms.CloudBaidu, bucket: "b", shown: "bos://b"},
		{text: "kodo://b", cloud: oms.CloudQiniu, bucket: "b", shown: "kodo://b"},
		{text: "ks3://b", cloud: oms.CloudKingsoft, bucket: "b", shown: "ks3://b"},
		{text: "qingstor://b", cloud: oms.CloudQing, bucket: "b", shown: "qingstor://b"},
		{text: "us3://b", cloud: oms.CloudUCloud, bucket: "b", shown: "us3://b"},
		{text: "gs://b", cloud: oms.CloudGoogle, bucket: "b", shown: "gs://b"},
		{text: "az://acct/c/p/q", cloud: oms.CloudAzure, bucket: "c", prefix: "p/q", shown: "az://acct/c/p/q"},
		{text: "az://acct/c", cloud: oms.CloudAzure, bucket: "c", shown: "az://acct/c"},
	}
	for _, tt := range tests {
		l, err := parseLocation(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if l.vendor.cloud != tt.cloud || l.bucket != tt.bucket || l.prefix != tt.prefix || l.region != tt.region ||
			l.endpoint != tt.end || l.profile != tt.profile || l.pathStyle != tt.pathStyle {
			t.Errorf("%s: got %+v", tt.text, l)
		}
		again, err := parseLocation(l.String())
		if err != nil || l.String() != tt.shown || again.bucket != l.bucket || again.prefix != l.prefix {
			t.Errorf("%s: shown as %s, which reads as %+v, %v", tt.text, l, again, err)
		}
	}
}

func TestParseLocationMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "not a location",
		"photos":                     "not a location",
		"/dir":                       "not a location",
		"s3:/b":                      "not a location",
		"s3://":                      "names no bucket",
		"s3:///key":                  "names no bucket",
		"s3://user:pw@b":             "names no bucket",
		"s3://b/100%":                "%25",
		"s3://b?region=%zz":          "cannot be read",
		"s3://b?a=1;b=2":             "cannot be read",
		"s3://b?sk=1":                "unknown parameter",
		"s3://b?endpoint=host:80":    "http://",
		"s3://b?endpoint=ftp://host": "http://",
		"s3://b?path_style=maybe":    "path_style",
		"ftp://b":                    "unknown kind",
		"az://a":                     "az://account/container/prefix",
		"az:///c":                    "az://account/container/prefix",
		"az://u:p@a/c":               "az://account/container/prefix",
		"file:///dir":                "not supported in this version",
		"urls:list.txt":              "only be the source",
	} {
		_, err := parseLocation(text)
		if err == nil || !strings.Contains(err.Error(), want) || statusOf(err) != statusUsage {
			t.Errorf("%q: got %v, want a mistake with %q", text, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	table, err := region.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\nregion = eu-north-1\n[profile work]\nregion=ap-south-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text string
		vars map[string]string
		want oms.Endpoint // zero: a mistake
	}{
		{text: "s3://b?region=eu-west-1", want: oms.Endpoint{URL: "https://s3.eu-west-1.amazonaws.com", Region: "eu-west-1"}},
		{text: "s3://b", vars: map[string]string{"AWS_DEFAULT_REGION": "eu-west-2"}, want: oms.Endpoint{URL: "https://s3.eu-west-2.amazonaws.com", Region: "eu-west-2"}},
		{text: "s3://b", vars: map[string]string{"AWS_CONFIG_FILE": config}, want: oms.Endpoint{URL: "https://s3.eu-north-1.amazonaws.com", Region: "eu-north-1"}},
		{text: "s3://b?profile=work", vars: map[string]string{"AWS_CONFIG_FILE": config}, want: oms.Endpoint{URL: "https://s3.ap-south-1.amazonaws.com", Region: "ap-south-1"}},
		{text: "s3://b"},
		{text: "obs://b"},
		{text: "ks3://b?region=nowhere"},
		{text: "gs://b", want: oms.Endpoint{URL: "https://storage.googleapis.com", Region: "auto", PathStyle: true}},
		{text: "s3://b?endpoint=http://127.0.0.1:9000", want: oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "us-east-1", PathStyle: true}},
		{text: "s3://b?endpoint=https://s3.example.org&region=x", want: oms.Endpoint{URL: "https://s3.example.org", Region: "x"}},
		{text: "s3://b?endpoint=https://s3.example.org&path_style=1&region=x", want: oms.Endpoint{URL: "https://s3.example.org", Region: "x", PathStyle: true}},
		{text: "obs://b?endpoint=https://obs.example.org&region=cn-north-4", want: oms.Endpoint{URL: "https://obs.example.org", Region: "cn-north-4"}},
	}
	for _, tt := range tests {
		l, err := parseLocation(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.resolve(testEnv(t, tt.vars), table)
		if tt.want.URL == "" {
			if statusOf(err) != statusUsage {
				t.Errorf("%s: got %+v, %v, want a mistake", tt.text, got, err)
			}
			continue
		}
		tt.want.Trusted = true
		if err != nil || got != tt.want {
			t.Errorf("%s %v: got %+v, %v, want %+v", tt.text, tt.vars, got, err, tt.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	text := "# a comment\n[default]\naws_access_key_id = file-ak\naws_secret_access_key = file-sk\n\n" +
		"[work]\naws_access_key_id=work-ak\naws_secret_access_key=work=sk\naws_session_token=work-token\n[broken]\naws_access_key_id=x\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	profiles := map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}
	with := func(more ...string) map[string]string {
		vars := map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file}
		for i := 0; i < len(more); i += 2 {
			vars[more[i]] = more[i+1]
		}
		return vars
	}
	tests := []struct {
		name, text string
		vars       map[string]string
		want       string // ak/sk/token; or part of a mistake
	}{
		{"own variables win", "s3://b?profile=work", with("OMS_SRC_AK", "o", "OMS_SRC_SK", "p", "OMS_SRC_TOKEN", "t", "AWS_ACCESS_KEY_ID", "a", "AWS_SECRET_ACCESS_KEY", "s"), "o/p/t"},
		{"profile wins over environment", "s3://b?profile=work", with("AWS_ACCESS_KEY_ID", "a", "AWS_SECRET_ACCESS_KEY", "s"), "work-ak/work=sk/work-token"},
		{"environment wins over default profile", "s3://b", with("AWS_ACCESS_KEY_ID", "a", "AWS_SECRET_ACCESS_KEY", "s", "AWS_SESSION_TOKEN", "t"), "a/s/t"},
		{"default profile", "s3://b", profiles, "file-ak/file-sk/"},
		{"AWS_PROFILE", "s3://b", with("AWS_PROFILE", "work"), "work-ak/work=sk/work-token"},
		{"profile for another store", "oss://b?profile=work", profiles, "work-ak/work=sk/work-token"},
		{"first set of names", "obs://b", with("OBS_ACCESS_KEY_ID", "1", "OBS_SECRET_ACCESS_KEY", "2", "HUAWEICLOUD_SDK_AK", "3", "HUAWEICLOUD_SDK_SK", "4"), "1/2/"},
		{"second set of names", "obs://b", with("HUAWEICLOUD_SDK_AK", "3", "HUAWEICLOUD_SDK_SK", "4", "HUAWEICLOUD_SDK_SECURITY_TOKEN", "5"), "3/4/5"},
		{"without token", "us3://b", with("UCLOUD_PUBLIC_KEY", "1", "UCLOUD_PRIVATE_KEY", "2"), "1/2/"},
		{"other side's variables", "obs://b", with("OMS_DST_AK", "o", "OMS_DST_SK", "p"), "set OMS_SRC_AK and OMS_SRC_SK, or OBS_ACCESS_KEY_ID"},
		{"half", "s3://b", with("OMS_SRC_AK", "o"), "OMS_SRC_AK and OMS_SRC_SK belong together"},
		{"half of the ecosystem", "cos://b", with("COS_SECRET_KEY", "o"), "belong together"},
		{"no profile", "s3://b?profile=nobody", profiles, `no profile "nobody"`},
		{"broken profile", "s3://b?profile=broken", profiles, "has no aws_access_key_id"},
		{"nothing", "s3://b", nil, "no keys for s3://b"},
	}
	for _, tt := range tests {
		l, err := parseLocation(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.credentials(testEnv(t, tt.vars), source)
		got := c.AccessKey + "/" + c.SecretKey.Reveal() + "/" + c.SecurityToken.Reveal()
		if err != nil {
			got = err.Error()
			if statusOf(err) != statusUsage {
				t.Errorf("%s: status %d, want %d", tt.name, statusOf(err), statusUsage)
			}
			if strings.Contains(got, tt.want) {
				continue
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A directory in place of the file is a mistake with its cause, not the absence of keys.
func TestUnreadableProfile(t *testing.T) {
	l, err := parseLocation("s3://b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.credentials(testEnv(t, map[string]string{"AWS_SHARED_CREDENTIALS_FILE": t.TempDir()}), source)
	if err == nil || !strings.Contains(err.Error(), "read profile") {
		t.Errorf("got %v", err)
	}
}

// The same places make the same id, whatever the keys; other places another.
func TestMigrationID(t *testing.T) {
	id := func(src, dst string) string {
		vars := map[string]string{"OMS_SRC_AK": "a", "OMS_SRC_SK": "b", "OMS_DST_AK": "c", "OMS_DST_SK": "d"}
		m, err := newMigration(testEnv(t, vars), src, dst, taskRules{overwrite: "different"})
		if err != nil {
			t.Fatal(err)
		}
		return m.id
	}
	const src, dst = "s3://a/p?region=eu-west-1", "obs://b/q?region=cn-north-4"
	same := id(src, dst)
	if got := id("s3://a/p?region=eu-west-1&profile=work", dst); got != same {
		t.Error("the profile changes the id")
	}
	for _, other := range [][2]string{
		{"s3://a/pp?region=eu-west-1", dst},
		{"s3://ap/?region=eu-west-1", dst},
		{"s3://a/p?region=eu-west-2", dst},
		{src, "obs://b/q/?region=cn-north-4"},
		{src, "s3://b/q?region=cn-north-4"},
		{"obs://b/q?region=cn-north-4", "s3://a/p?region=eu-west-1"},
	} {
		if id(other[0], other[1]) == same {
			t.Errorf("%v has the id of another pair", other)
		}
	}
}

func TestStateDir(t *testing.T) {
	env := testEnv(t, nil)
	home, err := env.Home()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ given, xdg, want string }{
		{"", "", filepath.Join(home, ".local", "state", "openoms")},
		{"", "/var/state", "/var/state/openoms"},
		{"", "relative", filepath.Join(home, ".local", "state", "openoms")},
		{"here", "/var/state", "here"},
	} {
		env.Getenv = func(string) string { return tt.xdg }
		if got, err := stateDir(env, tt.given); err != nil || got != tt.want {
			t.Errorf("%+v: got %q, %v", tt, got, err)
		}
	}
	env.Getenv = func(string) string { return "" }
	env.Home = func() (string, error) { return "", errors.New("no home") }
	if _, err := stateDir(env, ""); statusOf(err) != statusUsage {
		t.Errorf("got %v", err)
	}
}

func FuzzParseLocation(f *testing.F) {
	for _, s := range []string{"s3://b/p?region=x", "obs://b//%2f?endpoint=http://h:1", "urls:x", "gs://b/%", "s3://b/#?a=b&a=c", "://", "s3://b?path_style=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseLocation(text)
		if err != nil {
			if statusOf(err) != statusUsage {
				t.Errorf("%q: %v is no mistake of the user", text, err)
			}
			return
		}
		again, err := parseLocation(l.String())
		if err != nil || again.bucket != l.bucket || again.prefix != l.prefix {
			t.Errorf("%q is shown as %q, which reads as %+v, %v", text, l.String(), again, err)
		}
	})
}
