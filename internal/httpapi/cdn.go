package httpapi

import (
	"net/url"
	"strings"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
)

// sourceCDN reads source_cdn (OMS v2, 3.4).
func sourceCDN(f fields) (*oms.CDN, oms.Secret) {
	c := &oms.CDN{Domain: cdnDomain(f)}
	f.require("protocol")
	c.Protocol = choice(f, "protocol", "", "http", "https")
	f.require("authentication_type")
	method := choice(f, "authentication_type", "", cdnsign.Methods()...)
	c.AuthenticationType = string(method)
	key := cdnKey(f, "")
	switch {
	case key.IsZero() && method.NeedsKey():
		f.refuse("OMS.1032", "The field %sauthentication_key is mandatory for this authentication type.", f.path)
	case method == cdnsign.Azure && !cdnsign.IsQuery(key.Reveal()):
		f.refuse("OMS.1003", "The field %sauthentication_key must be a SAS token, as the part of a URL behind the question mark.", f.path)
	}
	return c, key
}

// cdnDomain reads the mandatory host, or host:port, that objects are fetched from.
func cdnDomain(f fields) string {
	domain := f.word("domain", maxText)
	u, err := url.Parse("https://" + domain + "/")
	ascii := !strings.ContainsFunc(domain, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`/\?#@%<>"`, c) })
	if err != nil || !ascii || u.Host != domain || u.Hostname() == "" || strings.HasSuffix(domain, ":") {
		f.refuse("OMS.1003", "The field %sdomain must be the name of a host, without protocol and path.", f.path)
	}
	return domain
}

// cdnKey reads the optional key of a CDN host, whose members start with prefix.
func cdnKey(f fields, prefix string) oms.Secret {
	key := oms.NewSecret(f.line(prefix+"authentication_key", maxCDNKey))
	plainSecrets(f, prefix)
	return key
}
