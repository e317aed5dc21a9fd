package httpapi

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
)

const (
	azureKey    = "Y2FuYXJ5LWtleS1vZi1hLXN0b3JhZ2UtYWNjb3VudA=="
	azureString = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=" + azureKey + ";EndpointSuffix=core.windows.net"
)

// googleFile returns a service account file and its private key as it is written there.
func googleFile(t *testing.T) (file, key string) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "m@lab.test", "private_key": key})
	if err != nil {
		t.Fatal(err)
	}
	return string(text), key
}

func jsonText(t *testing.T, s string) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// node returns the body of CreateTask with a source of the given members.
func node(t *testing.T, cloud string, members map[string]string) string {
	t.Helper()
	src := map[string]any{"cloud_type": cloud, "region": "lab-a", "bucket": "photos", "object_key": []string{""}}
	for name, v := range members {
		src[name] = v
	}
	text, err := json.Marshal(src)
	if err != nil {
		t.Fatal(err)
	}
	return edit(t, create, "src_node", string(text))
}

// TestDocuments covers connection_string and json_auth_file: they stand for a pair of keys, reach the engine as they
// are, and locate the account.
func TestDocuments(t *testing.T) {
	file, _ := googleFile(t)
	lab := oms.Endpoint{URL: "http://127.0.0.1:9000", Region: "lab-a", PathStyle: true, Trusted: true}
	for _, test := range []struct {
		name, cloud string
		members     map[string]string
		want        oms.Credentials
		at          oms.Endpoint
	}{
		{
			"connection string", "Azure",
			map[string]string{"connection_string": azureString},
			oms.Credentials{ConnectionString: oms.NewSecret(azureString)},
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "lab-a"},
		},
		{
			"account and key", "Azure",
			map[string]string{"ak": "acct", "sk": azureKey},
			oms.Credentials{AccessKey: "acct", SecretKey: oms.NewSecret(azureKey)},
			lab,
		},
		{
			"string beside empty keys", "Azure",
			map[string]string{"ak": "", "sk": "", "connection_string": azureString, "json_auth_file": ""},
			oms.Credentials{ConnectionString: oms.NewSecret(azureString)},
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "lab-a"},
		},
		{"service account", "Google", map[string]string{"json_auth_file": file}, oms.Credentials{AuthFile: oms.NewSecret(file)}, lab},
		{
			"HMAC keys", "Google",
			map[string]string{"ak": "a", "sk": "s"},
			oms.Credentials{AccessKey: "a", SecretKey: oms.NewSecret("s")},
			lab,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHarness(newFakeTasks())
			if w := h.do("POST", base, node(t, test.cloud, test.members)); w.Code != http.StatusOK {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if h.tasks.keys.Src != test.want {
				t.Error("the engine got other keys")
			}
			for _, task := range h.tasks.tasks {
				if got := task.Spec.Src.Endpoint; got != test.at {
					t.Errorf("endpoint %+v, want %+v", got, test.at)
				}
			}
		})
	}
}

func TestDocumentsRefused(t *testing.T) {
	file, key := googleFile(t)
	for name, body := range map[string]string{
		"string of another cloud":   node(t, "AWS", map[string]string{"connection_string": azureString}),
		"file of another cloud":     node(t, "Azure", map[string]string{"json_auth_file": file}),
		"both":                      node(t, "Azure", map[string]string{"connection_string": azureString, "json_auth_file": file}),
		"no string":                 node(t, "Azure", map[string]string{"connection_string": azureKey}),
		"no file":                   node(t, "Google", map[string]string{"json_auth_file": key}),
		"key without name":          node(t, "Azure", map[string]string{"ak": "Not An Account", "sk": azureKey}),
		"plain http elsewhere":      node(t, "Azure", map[string]string{"connection_string": "BlobEndpoint=http://10.0.0.1/acct;AccountKey=" + azureKey}),
		"encrypted by a KMS":        node(t, "Azure", map[string]string{"connection_string": azureString, "crypto_type": "KMS"}),
		"string with a line break":  node(t, "Azure", map[string]string{"connection_string": azureString + "\r\nX: y"}),
		"program as token service":  node(t, "Google", map[string]string{"json_auth_file": strings.Replace(file, "service_account", "external_account", 1)}),
		"keys missing altogether":   node(t, "Azure", nil),
		"destination without a key": edit(t, edit(t, create, "dst_node.cloud_type", `"Azure"`), "dst_node.ak", `"acct"`),
	} {
		h := newHarness(newFakeTasks())
		w := h.do("POST", base, body)
		if w.Code != http.StatusBadRequest || h.tasks.changes != 0 {
			t.Errorf("%s: status %d: %s", name, w.Code, w.Body)
		}
		shown := w.Body.String() + h.logs.String() + fmt.Sprintf("%+v", h.audit.entries)
		for _, secret := range []string{azureKey, key[40:80], strings.ReplaceAll(key, "\n", `\n`)[40:80]} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s: a secret is shown: %s", name, shown)
			}
		}
	}
}

// TestStartDocuments starts a task with the string or file alone.
func TestStartDocuments(t *testing.T) {
	file, _ := googleFile(t)
	for name, want := range map[string]oms.Credentials{
		"connection_string": {ConnectionString: oms.NewSecret(azureString)},
		"json_auth_file":    {AuthFile: oms.NewSecret(file)},
	} {
		h := newHarness(newFakeTasks(task(7, oms.StatusPaused)))
		value := want.ConnectionString.Reveal() + want.AuthFile.Reveal()
		w := h.do("POST", base+"/7/start", `{"dst_ak":"a","dst_sk":"s",`+jsonText(t, name)+`:`+jsonText(t, value)+`}`)
		if w.Code != http.StatusOK || h.tasks.keys.Src != want {
			t.Errorf("%s: status %d, or other keys: %s", name, w.Code, w.Body)
		}
	}
}
