package cli

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

const accountKey = "c2VjcmV0LWtleS1vZi10aGUtYWNjb3VudA=="

// TestAzureKeys covers which of the variables of Azure's tools is used, and where the account is reached with it.
func TestAzureKeys(t *testing.T) {
	table, err := region.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	const at = "https://acct.blob.core.windows.net"
	text := "AccountName=acct;AccountKey=" + accountKey
	pair := oms.Credentials{AccessKey: "acct", SecretKey: oms.NewSecret(accountKey)}
	for _, test := range []struct {
		name, location string
		vars           map[string]string
		want           oms.Credentials
		at             string
		pathStyle      bool
	}{
		{"own pair", "az://acct/c", map[string]string{"OMS_SRC_AK": "acct", "OMS_SRC_SK": accountKey, "AZURE_STORAGE_KEY": "other"}, pair, at, false},
		{"key", "az://acct/c", map[string]string{"AZURE_STORAGE_KEY": accountKey}, pair, at, false},
		{"account and key", "az://acct/c", map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": accountKey}, pair, at, false},
		{
			"connection string", "az://acct/c",
			map[string]string{"AZURE_STORAGE_CONNECTION_STRING": text, "AZURE_STORAGE_KEY": "x"},
			oms.Credentials{ConnectionString: oms.NewSecret(text)},
			at, false,
		},
		{
			"string of another account", "az://acct/c",
			map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=other;AccountKey=" + accountKey, "AZURE_STORAGE_KEY": accountKey},
			pair, at, false,
		},
		{
			"signature", "az://acct/c",
			map[string]string{"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"},
			oms.Credentials{ConnectionString: oms.NewSecret("AccountName=acct;SharedAccessSignature=?sv=1&sig=x")},
			at, false,
		},
		{"endpoint", "az://acct/c?endpoint=http://127.0.0.1:10000", map[string]string{"AZURE_STORAGE_KEY": accountKey}, pair, "http://127.0.0.1:10000", true},
		{
			"emulator", "az://devstoreaccount1/c",
			map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"},
			oms.Credentials{ConnectionString: oms.NewSecret("UseDevelopmentStorage=true")},
			"http://127.0.0.1:10000", true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := testEnv(t, test.vars)
			l, end, err := resolveLocation(env, table, test.location)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := l.credentials(env, source)
			if err != nil || keys != test.want {
				t.Fatalf("other keys than wanted, error %v", err)
			}
			if end, err = l.locate(end, keys); err != nil || end.URL != test.at || end.PathStyle != test.pathStyle || !end.Trusted {
				t.Errorf("got %+v, %v, want %s", end, err, test.at)
			}
		})
	}
	for name, vars := range map[string]map[string]string{
		"nothing":              nil,
		"another account":      {"AZURE_STORAGE_ACCOUNT": "other", "AZURE_STORAGE_KEY": accountKey},
		"another account's AK": {"OMS_SRC_AK": "other", "OMS_SRC_SK": accountKey},
		"broken string":        {"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=" + accountKey},
	} {
		env := testEnv(t, vars)
		l, err := parseLocation("az://acct/c")
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.credentials(env, source)
		if err == nil || strings.Contains(err.Error(), accountKey) {
			t.Errorf("%s: got %v, want a mistake", name, err)
		}
	}
}

func TestGoogleKeys(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "m@lab.test",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	for path, content := range map[string][]byte{good: text, bad: []byte("canary-secret")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := parseLocation("gs://b/p")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		vars map[string]string
		want oms.Credentials
		ok   bool
	}{
		"file": {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": good}, oms.Credentials{AuthFile: oms.NewSecret(string(text))}, true},
		"HMAC keys win": {
			map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": bad, "GS_ACCESS_KEY_ID": "a", "GS_SECRET_ACCESS_KEY": "s"},
			oms.Credentials{AccessKey: "a", SecretKey: oms.NewSecret("s")},
			true,
		},
		"no such file": {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": good + "x"}, oms.Credentials{}, false},
		"other file":   {map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": bad}, oms.Credentials{}, false},
		"nothing":      {nil, oms.Credentials{}, false},
	} {
		keys, err := l.credentials(testEnv(t, test.vars), source)
		if (err == nil) != test.ok || test.ok && keys != test.want {
			t.Errorf("%s: got error %v, or other keys", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
}

// TestURLList covers urls:FILE as a source: the same file is the same migration, and only what is a file is taken.
func TestURLList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "my list")
	if err := os.WriteFile(path, []byte("http://a.test/x\tx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := testEnv(t, map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"})
	const dst = "s3://b/p/?region=eu-west-1"
	m, err := newMigration(env, "urls:"+path, dst, taskRules{overwrite: "different"})
	if err != nil {
		t.Fatal(err)
	}
	if m.spec.Type != oms.TypeURLList || m.spec.Src.CloudType != oms.CloudURL || m.spec.Src.ListFile == nil || m.urlList != path ||
		!m.keys.Src.IsZero() || len(m.endpoints) != 1 {
		t.Errorf("got %+v with list %q", m.spec, m.urlList)
	}
	t.Chdir(filepath.Dir(path))
	again, err := newMigration(env, "urls:my list", dst, taskRules{overwrite: "different"})
	if err != nil || again.id != m.id {
		t.Errorf("by its short name: got another migration, or %v", err)
	}
	for _, src := range []string{"urls:", "urls:" + path + "x", "urls://host/list", "urls:."} {
		if _, err := newMigration(env, src, dst, taskRules{overwrite: "different"}); err == nil {
			t.Errorf("%q was taken", src)
		}
	}
	if _, err := newMigration(env, dst, "urls:"+path, taskRules{overwrite: "different"}); err == nil {
		t.Error("a list was taken for a destination")
	}
}
