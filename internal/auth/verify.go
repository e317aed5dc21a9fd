package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// window is how far x-sdk-date may be from the service's clock, both ways (OMS v2, 1.4).
const window = 15 * time.Minute

// signatureLife is how long a used signature is remembered after its date: the window, and an hour for a
// clock that is set back.
const signatureLife = window + time.Hour

// Texts of refusals that must not tell apart what the caller may not know.
const (
	reasonSignature = "verify aksk signature fail"
	reasonToken     = "token is not valid"
)

// refuse returns the error of a caller who did not prove to be anybody.
func refuse(reason string) *oms.Error {
	return oms.Errorf(oms.Denied, CodeUnauthenticated, "Incorrect IAM authentication information: %s", reason)
}

// proof is what authenticating a request has shown.
type proof struct {
	id        Identity
	signed    bool      // by an access key
	signature [32]byte  // digest of the signature, when signed
	date      time.Time // x-sdk-date, when signed
}

// Admit lets a request in or says why not. It is what handlers call first, with the request exactly as it was
// received (no stripped prefix), the raw bytes of its body, the route's declaration and the project of the
// path. For a public route the identity is nobody's.
//
// Errors are *oms.Error: Denied with CodeUnauthenticated, CodeReadOnly or CodeNoRight; anything else comes
// from the store and says nothing about the caller.
//
// A signature admits no second writing request (rule S2), also not after a restart or at another process on the
// same store: within the 15 minutes that a date is good for, somebody who recorded a request could otherwise send
// it again. There is one exception, without which the vendor's SDKs do not work: their dates have whole seconds and
// they sign nothing that differs between calls, so that two equal calls of one program in one second have one
// signature. A repeat within repeatSpan from the address of the first is therefore taken as a call of its own.
// Requests that only read, whatever their method, may repeat.
func (s *Service) Admit(ctx context.Context, r *http.Request, body []byte, route Route, project string) (Identity, error) {
	if route.Class == Public {
		return Identity{}, nil
	}
	p, err := s.prove(ctx, r, body)
	if err != nil {
		return Identity{}, err
	}
	if err := Authorize(p.id, route.Action, project); err != nil {
		return p.id, err
	}
	if p.signed && route.Action.Writes() {
		return p.id, s.useUp(ctx, p, r)
	}
	return p.id, nil
}

// useUp lets a signature have its effect, once.
func (s *Service) useUp(ctx context.Context, p proof, r *http.Request) error {
	using := &s.using[p.signature[0]]
	using.Lock()
	defer using.Unlock()
	first, err := s.store.UseSignature(ctx, p.signature, p.date.Add(signatureLife))
	switch {
	case err != nil:
		return err
	case first:
		s.recent.put(p.signature, clientHost(r), s.now())
	case !s.sameClient(p.signature, r):
		return refuse("signature already used, sign the request again")
	}
	return nil
}

// sameClient reports whether the signature was first used a moment ago from the address of r.
func (s *Service) sameClient(signature [32]byte, r *http.Request) bool {
	host, ok := s.recent.get(signature, s.now())
	return ok && host != "" && host == clientHost(r)
}

// clientHost returns the address that the request came from, without the port.
func clientHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// prove finds out who sent the request, by its one credential.
func (s *Service) prove(ctx context.Context, r *http.Request, body []byte) (proof, error) {
	authorizations, tokens := r.Header["Authorization"], r.Header[headerAuthToken]
	var (
		p   proof
		err error
	)
	switch {
	case len(authorizations)+len(tokens) == 0:
		return proof{}, refuse("no credential was sent")
	case len(authorizations)+len(tokens) > 1:
		return proof{}, refuse("more than one credential was sent")
	case len(tokens) == 1:
		p.id, err = s.VerifyToken(ctx, oms.NewSecret(tokens[0]))
	default:
		p, err = s.verifySignature(ctx, r, body, authorizations[0])
	}
	if err != nil {
		return proof{}, err
	}
	return p, checkScope(r, p.id)
}

// checkScope refuses a request whose headers name another tenant than its credential.
func checkScope(r *http.Request, id Identity) error {
	for _, v := range r.Header[headerProject] {
		if v != id.ProjectID {
			return refuse("x-project-id is not the project of the credential")
		}
	}
	for _, v := range r.Header[headerDomain] {
		if v != id.Domain.ID {
			return refuse("x-domain-id is not the domain of the credential")
		}
	}
	return nil
}

// verifySignature authenticates a signed request. An AK that is unknown or revoked costs the same
// computation and gives the same answer as a wrong signature.
func (s *Service) verifySignature(ctx context.Context, r *http.Request, body []byte, header string) (proof, error) {
	a, err := parseAuthorization(header)
	if err != nil {
		return proof{}, refuse(err.Error())
	}
	date, err := s.signedDate(r, &a)
	if err != nil {
		return proof{}, refuse(err.Error())
	}
	if err := actedOnSigned(r, &a); err != nil {
		return proof{}, refuse(err.Error())
	}
	sum, err := canonicalHash(r, &a, payloadLine(body, r.Header.Get(headerContentSHA256)))
	if err != nil {
		return proof{}, refuse(err.Error())
	}
	key, known, err := s.keys.lookup(ctx, a.ak, s.now())
	if err != nil {
		return proof{}, err
	}
	mac, err := a.sign(key.sk.Reveal(), r.Header.Get(headerDate), sum)
	if err != nil {
		return proof{}, refuse(reasonSignature)
	}
	if equal := hmac.Equal(mac, a.mac[:]); !equal || !known {
		return proof{}, refuse(reasonSignature)
	}
	if _, ok := r.Header[headerSecurityToken]; ok {
		return proof{}, refuse("x-security-token does not belong to the access key")
	}
	return proof{
		id: key.id, signed: true, date: date,
		signature: sha256.Sum256(append([]byte(a.ak+"\n"), a.mac[:]...)),
	}, nil
}

// signedDate returns x-sdk-date, which must be signed and near the service's clock.
func (s *Service) signedDate(r *http.Request, a *authorization) (time.Time, error) {
	values := r.Header[headerDate]
	if len(values) != 1 || !slices.Contains(a.signed, "x-sdk-date") {
		return time.Time{}, errors.New("x-sdk-date is not signed")
	}
	date, err := time.Parse(dateLayout, values[0])
	if err != nil || len(values[0]) != len(dateLayout) {
		return time.Time{}, errors.New("x-sdk-date is malformed")
	}
	if a.algorithm == algorithmV11 && !strings.HasPrefix(a.scope, values[0][:len("20060102")]+"/") {
		return time.Time{}, errors.New("x-sdk-date is not of the credential's day")
	}
	if diff := s.now().Sub(date); diff > window || diff < -window {
		return time.Time{}, errors.New("x-sdk-date is more than 15 minutes from the service's clock")
	}
	return date, nil
}

// actedOnSigned refuses headers that have an effect here but are not covered by the signature.
func actedOnSigned(r *http.Request, a *authorization) error {
	for _, name := range []string{
		headerProject, headerDomain, headerSecurityToken, headerContentSHA256, headerSubjectToken,
	} {
		if _, ok := r.Header[name]; ok && !slices.Contains(a.signed, strings.ToLower(name)) {
			return errors.New(strings.ToLower(name) + " is not signed")
		}
	}
	return nil
}
