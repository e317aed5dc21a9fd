package cloudkeys_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/oms"
)

const key = "c2VjcmV0LWtleS1vZi10aGUtYWNjb3VudA=="

func azure(text string) oms.Credentials {
	return oms.Credentials{ConnectionString: oms.NewSecret(text)}
}

var public = oms.Endpoint{URL: "https://blob.core.windows.net", Region: "eastus"}

func TestLocate(t *testing.T) {
	own := oms.Endpoint{URL: "http://127.0.0.1:10000", Region: "lab", Trusted: true}
	named := oms.Endpoint{URL: "https://blob.lab.test", Region: "lab", Trusted: true}
	for _, test := range []struct {
		name   string
		keys   oms.Credentials
		region oms.Endpoint
		want   oms.Endpoint
	}{
		{
			"name and key",
			oms.Credentials{AccessKey: "acct", SecretKey: oms.NewSecret(key)},
			public,
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "eastus"},
		},
		{
			"located before",
			oms.Credentials{AccessKey: "acct", SecretKey: oms.NewSecret(key)},
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "eastus"},
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "eastus"},
		},
		{
			"account named blob",
			oms.Credentials{AccessKey: "blob", SecretKey: oms.NewSecret(key)},
			public,
			oms.Endpoint{URL: "https://blob.blob.core.windows.net", Region: "eastus"},
		},
		{
			"usual string", azure("DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=" + key + ";EndpointSuffix=core.chinacloudapi.cn"), public,
			oms.Endpoint{URL: "https://acct.blob.core.chinacloudapi.cn", Region: "eastus"},
		},
		{
			"string without suffix", azure("AccountName=acct;AccountKey=" + key), public,
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "eastus"},
		},
		{
			"signature", azure("BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=a%3D;QueueEndpoint=https://x/"), public,
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "eastus"},
		},
		{
			"own domain", azure("BlobEndpoint=https://Files.example.test;AccountName=acct;AccountKey=" + key), public,
			oms.Endpoint{URL: "https://files.example.test", Region: "eastus"},
		},
		{
			"operator's emulator",
			oms.Credentials{AccessKey: "acct", SecretKey: oms.NewSecret(key)},
			own,
			oms.Endpoint{URL: "http://127.0.0.1:10000", Region: "lab", Trusted: true, PathStyle: true},
		},
		{
			"operator's stack",
			oms.Credentials{AccessKey: "acct", SecretKey: oms.NewSecret(key)},
			named,
			oms.Endpoint{URL: "https://acct.blob.lab.test", Region: "lab", Trusted: true},
		},
		{
			"development", azure("UseDevelopmentStorage=true"), own,
			oms.Endpoint{URL: "http://127.0.0.1:10000", Region: "lab", Trusted: true, PathStyle: true},
		},
		{
			"elsewhere than the operator says", azure("AccountName=acct;AccountKey=" + key + ";BlobEndpoint=https://acct.blob.core.windows.net"), own,
			oms.Endpoint{URL: "https://acct.blob.core.windows.net", Region: "lab"},
		},
		{
			"emulator in the string", azure("BlobEndpoint=http://127.0.0.1:10000/acct;AccountKey=" + key), own,
			oms.Endpoint{URL: "http://127.0.0.1:10000", Region: "lab", Trusted: true, PathStyle: true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := cloudkeys.ParseAzure(test.keys)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Locate(test.region)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
			if again, err := a.Locate(got); err != nil || again != got {
				t.Errorf("located again: got %+v, %v, want %+v", again, err, got)
			}
		})
	}
}

// TestAzureRefused covers what is no account, and plain http to places that the operator did not configure.
func TestAzureRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no key":            "AccountName=acct",
		"no account":        "AccountKey=" + key,
		"key not base64":    "AccountName=acct;AccountKey=%%%",
		"account as host":   "AccountName=a.evil.test/;AccountKey=" + key,
		"capitals":          "AccountName=Acct;AccountKey=" + key,
		"twice":             "AccountName=acct;AccountName=other;AccountKey=" + key,
		"no pair":           "AccountName=acct;AccountKey=" + key + ";nonsense",
		"control character": "AccountName=acct;AccountKey=" + key + ";BlobEndpoint=https://a\r\nx",
		"scheme":            "AccountName=acct;AccountKey=" + key + ";BlobEndpoint=file:///etc",
		"user":              "AccountName=acct;AccountKey=" + key + ";BlobEndpoint=https://u:p@host",
		"query":             "AccountName=acct;AccountKey=" + key + ";BlobEndpoint=https://host?x=1",
		"deep path":         "AccountName=acct;AccountKey=" + key + ";BlobEndpoint=https://host/a/b",
		"other account":     "AccountName=acct;AccountKey=" + key + ";BlobEndpoint=https://host/other",
		"suffix":            "AccountName=acct;AccountKey=" + key + ";EndpointSuffix=core.test/x",
		"protocol":          "AccountName=acct;AccountKey=" + key + ";DefaultEndpointsProtocol=ftp",
		"proxy":             "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://proxy",
		"fragment":          "BlobEndpoint=https://acct.blob.test;SharedAccessSignature=sv=1#x",
		"too long":          "AccountName=acct;AccountKey=" + key + ";X=" + strings.Repeat("x", 2048),
	} {
		if a, err := cloudkeys.ParseAzure(azure(text)); !errors.Is(err, oms.Invalid) {
			t.Errorf("%s: got %v, %v, want oms.Invalid", name, a.Name, err)
		}
	}
	for name, text := range map[string]string{
		"plain http":    "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=" + key + ";EndpointSuffix=core.windows.net",
		"development":   "UseDevelopmentStorage=true",
		"inner network": "BlobEndpoint=http://10.0.0.1/acct;AccountKey=" + key,
	} {
		a, err := cloudkeys.ParseAzure(azure(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Locate(public); !errors.Is(err, oms.Invalid) {
			t.Errorf("%s: got %+v, %v, want oms.Invalid", name, got, err)
		}
	}
}

// FuzzConnectionString checks that what is read can only be an https host or the operator's, and is never shown.
func FuzzConnectionString(f *testing.F) {
	f.Add("DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=" + key + ";EndpointSuffix=core.windows.net")
	f.Add("BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x")
	f.Add("BlobEndpoint=http://127.0.0.1:10000/acct;AccountKey=" + key)
	f.Add("UseDevelopmentStorage=true")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := cloudkeys.ParseAzure(azure(text))
		if err != nil {
			if !errors.Is(err, oms.Invalid) || len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("got %v", err)
			}
			return
		}
		if shown := fmt.Sprintf("%v %+v %#v", a, a, a); !a.Key.IsZero() && strings.Contains(shown, a.Key.Reveal()) && len(a.Key.Reveal()) > 8 {
			t.Error("the key is shown")
		}
		e, err := a.Locate(public)
		if err != nil {
			return
		}
		if !strings.HasPrefix(e.URL, "https://") || e.Trusted || strings.ContainsAny(strings.TrimPrefix(e.URL, "https://"), "/@?# ") {
			t.Errorf("located at %+v", e)
		}
	})
}
