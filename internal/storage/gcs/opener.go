package gcs

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/cloudkeys"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Options say how an Opener reaches the store. All but Clock are required.
type Options struct {
	// S3 returns an opener of the S3 family that sends its requests through the transport.
	S3 func(http.RoundTripper) storage.Opener
	// Transport carries the requests to the store, Tokens those for tokens. Both guard where connections go and do not
	// follow redirects (no RoundTripper does).
	Transport, Tokens http.RoundTripper
	// Clock gives the time of statements; nil means time.Now.
	Clock func() time.Time
}

// Opener opens buckets with the keys of service accounts, and all others with another opener. It is safe for
// concurrent use.
type Opener struct {
	next storage.Opener
	opts Options
}

var _ storage.Opener = (*Opener)(nil)

// NewOpener returns an Opener over next.
func NewOpener(next storage.Opener, opts Options) *Opener {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &Opener{next: next, opts: opts}
}

// Open returns what the S3 family opens, with tokens for the account. oms.Denied for another cloud, oms.Invalid for a file that cannot be used, one
// that wants its tokens from a place other than Google's or the operator's, and for plain http to a store that the
// operator did not configure: a token is all that is needed to use the account.
func (o *Opener) Open(ctx context.Context, b storage.Bucket) (storage.Reader, error) {
	switch {
	case b.Credentials.AuthFile.IsZero():
		return o.next.Open(ctx, b)
	case b.CloudType != oms.CloudGoogle: // without the file the next opener would ask as nobody
		return nil, oms.Errorf(oms.Denied, "", "a service account opens Google Cloud Storage only")
	}
	account, err := cloudkeys.ParseServiceAccount(b.Credentials.AuthFile)
	if err != nil {
		return nil, err
	}
	switch {
	case !account.TokenURLAllowed(b.Endpoint):
		return nil, oms.Errorf(oms.Invalid, "", "the token_uri of the service account file is not one of Google's")
	case !strings.HasPrefix(b.Endpoint.URL, "https://") && !b.Endpoint.Trusted:
		return nil, oms.Errorf(oms.Invalid, "", "tokens are sent over https only")
	}
	b.Credentials = oms.Credentials{} // the client signs nothing
	return o.opts.S3(&transport{
		base: o.opts.Transport, project: account.ProjectID,
		tokens: newTokens(account, o.opts.Tokens, o.opts.Clock),
	}).Open(ctx, b)
}
