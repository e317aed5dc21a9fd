package cloudkeys

import (
	"encoding/base64"
	"net/netip"
	"net/url"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// The emulator's account, which everybody knows.
const (
	emulatorName = "devstoreaccount1"
	emulatorKey  = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	emulatorURL  = "http://127.0.0.1:10000"
)

const (
	maxString  = 2048 // bytes of a connection string (OMS v2, 3.7)
	maxAccount = 63   // it becomes a label of a host name
)

// Azure is what opens a storage account.
type Azure struct {
	Name string
	Key  oms.Secret // base64; zero with SAS
	SAS  oms.Secret // query of a shared access signature without "?"; zero with Key

	endpoint  string // scheme://host[:port]; "" when the string names none
	pathStyle bool   // the account comes first in the path
	suffix    string // host after "blob."; "" when the string names none
	plain     bool   // http
}

// ParseAzure returns what the credentials say: a connection string, or the name of the account as access key with its
// key. oms.Invalid when they say nothing of the kind.
func ParseAzure(c oms.Credentials) (Azure, error) {
	a := Azure{Name: c.AccessKey, Key: c.SecretKey}
	if !c.ConnectionString.IsZero() {
		var err error
		if a, err = parseString(c.ConnectionString.Reveal()); err != nil {
			return Azure{}, err
		}
	}
	switch {
	case !accountName(a.Name):
		return Azure{}, invalid("the name of the storage account is missing or cannot be one")
	case a.Key.IsZero() == a.SAS.IsZero():
		return Azure{}, invalid("either the account's key or a shared access signature is needed")
	}
	if raw, err := base64.StdEncoding.DecodeString(a.Key.Reveal()); !a.Key.IsZero() && (err != nil || len(raw) == 0) {
		return Azure{}, invalid("the key of the storage account is not base64")
	}
	return a, nil
}

// Sign returns the key's bytes; nil with a shared access signature.
func (a Azure) Sign() []byte {
	raw, err := base64.StdEncoding.DecodeString(a.Key.Reveal())
	if err != nil { // ParseAzure has refused it
		return nil
	}
	return raw
}

func invalid(msg string) error { return oms.Errorf(oms.Invalid, "", "%s", msg) }

// parseString reads Name=Value;Name=Value. What concerns other services than Blob is passed over.
func parseString(text string) (Azure, error) {
	if len(text) > maxString {
		return Azure{}, invalid("the connection string is too long")
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := values[name]; !ok || twice || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return Azure{}, invalid("the connection string is not of the form Name=Value;Name=Value, each name once")
		}
		values[name] = value
	}
	if strings.EqualFold(values["usedevelopmentstorage"], "true") {
		if values["developmentstorageproxyuri"] != "" {
			return Azure{}, invalid("the connection string names a proxy, which is not supported")
		}
		return Azure{Name: emulatorName, Key: oms.NewSecret(emulatorKey), endpoint: emulatorURL, pathStyle: true}, nil
	}
	a := Azure{
		Name: values["accountname"], Key: oms.NewSecret(values["accountkey"]),
		SAS: oms.NewSecret(strings.TrimPrefix(values["sharedaccesssignature"], "?")), suffix: strings.ToLower(values["endpointsuffix"]),
	}
	switch strings.ToLower(values["defaultendpointsprotocol"]) {
	case "", "https":
	case "http":
		a.plain = true
	default:
		return Azure{}, invalid("the protocol of the connection string is neither https nor http")
	}
	if !a.SAS.IsZero() { // whoever has both is content with the weaker one
		a.Key = oms.Secret{}
		if _, err := url.ParseQuery(a.SAS.Reveal()); err != nil || strings.Contains(a.SAS.Reveal(), "#") {
			return Azure{}, invalid("the shared access signature of the connection string is not a query")
		}
	}
	if a.suffix != "" && !hostName(a.suffix) {
		return Azure{}, invalid("the EndpointSuffix of the connection string is no host name")
	}
	return a, a.readEndpoint(values["blobendpoint"])
}

// readEndpoint reads BlobEndpoint: https://ACCOUNT.host, or http://address:port/ACCOUNT.
func (a *Azure) readEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" ||
		!hostName(u.Hostname()) && !isAddress(u.Hostname()) {
		return invalid("the BlobEndpoint of the connection string is not of the form https://host")
	}
	a.endpoint = u.Scheme + "://" + strings.ToLower(u.Host)
	account := strings.Trim(u.Path, "/")
	a.pathStyle = account != ""
	if a.pathStyle && (!accountName(account) || a.Name != "" && a.Name != account) {
		return invalid("the path of the BlobEndpoint is not the name of the account")
	}
	if a.Name == "" && account == "" {
		account, _, _ = strings.Cut(u.Hostname(), ".")
	}
	if a.Name == "" {
		a.Name = account
	}
	return nil
}

// Locate returns where the account is reached: where the connection string says, else below the endpoint of the region.
// An endpoint that names the account already comes back as it is, so that tasks keep what was found at their creation.
// It stays trusted only where the operator wrote it. oms.Invalid for plain http to any other place, and for
// credentials that cannot be read.
func (a Azure) Locate(region oms.Endpoint) (oms.Endpoint, error) {
	at := region
	switch {
	case a.endpoint != "":
		at.URL, at.PathStyle = a.endpoint, a.pathStyle
	case a.suffix != "":
		at.URL, at.PathStyle = a.scheme()+"://"+a.Name+".blob."+a.suffix, false
	default:
		u, err := url.Parse(region.URL)
		if err != nil || u.Host == "" {
			return oms.Endpoint{}, invalid("the endpoint is not of the form https://host[:port]")
		}
		if isAddress(u.Hostname()) || u.Hostname() == "localhost" {
			at.PathStyle = true
		} else if strings.HasPrefix(u.Host, "blob.") && !strings.HasPrefix(u.Host, "blob.blob.") && !region.PathStyle {
			at.URL = u.Scheme + "://" + a.Name + "." + u.Host
		}
	}
	at.Trusted = region.Trusted && sameHost(at.URL, region.URL)
	if strings.HasPrefix(at.URL, "http:") && !at.Trusted {
		return oms.Endpoint{}, invalid("an account is reached over https only, unless the operator configured its endpoint")
	}
	return at, nil
}

// Own returns the endpoint that the connection string itself names; ok is false when it names none.
func (a Azure) Own() (endpoint string, ok bool) { return a.endpoint, a.endpoint != "" }

func (a Azure) scheme() string {
	if a.plain {
		return "http"
	}
	return "https"
}

// sameHost reports whether b is the host of a, or the domain below which a is the account's.
func sameHost(a, b string) bool {
	x, err1 := url.Parse(a)
	y, err2 := url.Parse(b)
	if err1 != nil || err2 != nil || x.Scheme != y.Scheme {
		return false
	}
	return x.Host == y.Host || strings.HasPrefix(y.Host, "blob.") && strings.HasSuffix(x.Host, "."+y.Host)
}

// accountName reports whether name can be that of an account.
func accountName(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= maxAccount && name[0] != '-'
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// hostName reports whether host is a name of letters, digits and inner hyphens and dots.
func hostName(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i] | 0x20; (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' {
				return false
			}
		}
	}
	return len(host) <= 253
}
