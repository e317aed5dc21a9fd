package s3

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// maxKeys is what S3 returns on a page at most.
const maxKeys = 1000

// List implements storage.Reader. One request; a key equal to opts.After at the start of the page, which some
// stores return, is dropped. Errors of kind oms.Listing carry the code LISTING_ERROR or LISTING_LOOP.
func (b *Bucket) List(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
	c := &call{op: "list objects", method: http.MethodGet, on: onBucket, query: b.listQuery(opts), frequent: true}
	var raw rawPage
	err := b.document(ctx, c, oms.Listing, codeListing, func(_ http1.Fields, body []byte) (err error) {
		builder := b.bufs.builder()
		defer b.bufs.putBuilder(builder)
		raw, err = parsePage(builder, body)
		return err
	})
	if err != nil {
		return storage.Page{}, err
	}
	next := raw.nextToken
	if b.quirks.list == listV1 {
		next = raw.nextMarker
	}
	page := storage.Page{Objects: raw.objects, Truncated: raw.truncated, Next: next}
	if opts.AnyOrder {
		return b.checkUnordered(page, opts)
	}
	return checkPage(page, opts)
}

func (b *Bucket) listQuery(opts storage.ListOptions) query {
	q := make(query, 0, 128+len(opts.Prefix)+len(opts.After)+len(opts.Token))
	v2 := b.quirks.list == listV2
	if v2 && opts.Token != "" {
		q = q.add("continuation-token", opts.Token)
	}
	if !b.quirks.rawKeys {
		q = q.add("encoding-type", "url")
	}
	if v2 {
		q = q.add("list-type", "2")
	} else if marker := cmp.Or(opts.Token, opts.After); marker != "" {
		q = q.add("marker", marker)
	}
	limit := maxKeys
	if opts.Limit > 0 {
		limit = min(opts.Limit, maxKeys)
	}
	q = q.add("max-keys", strconv.Itoa(limit))
	if opts.Prefix != "" {
		q = q.add("prefix", opts.Prefix)
	}
	if v2 && opts.Token == "" && opts.After != "" {
		q = q.add("start-after", opts.After)
	}
	return q
}

// checkPage makes sure that a page can be trusted to be the next piece of the ordered key space: strictly
// ascending, after the position asked for, within the prefix, and with a way on when more follows.
func checkPage(p storage.Page, opts storage.ListOptions) (storage.Page, error) {
	if len(p.Objects) > 0 && opts.After != "" && p.Objects[0].Key == opts.After {
		p.Objects = p.Objects[1:]
	}
	last := opts.After
	for i := range p.Objects {
		key := p.Objects[i].Key
		if key <= last {
			return storage.Page{}, disorder(key)
		}
		if !strings.HasPrefix(key, opts.Prefix) {
			return storage.Page{}, pageError(codeListing, key, "the key does not start with the prefix asked for")
		}
		last = key
	}
	if p.Truncated && len(p.Objects) == 0 && (p.Next == "" || p.Next == opts.Token || p.Next == opts.After) {
		return storage.Page{}, pageError(codeListingLoop, opts.After, "a page without objects says that more follow but not where")
	}
	if !p.Truncated {
		p.Next = ""
	}
	return p, nil
}

// checkUnordered makes sure of a page in any order that its keys are within the prefix and that there is a way on when
// more follows. Version 1 goes on behind the last key where the store does not say.
func (b *Bucket) checkUnordered(p storage.Page, opts storage.ListOptions) (storage.Page, error) {
	for i := range p.Objects {
		if key := p.Objects[i].Key; !strings.HasPrefix(key, opts.Prefix) {
			return storage.Page{}, pageError(codeListing, key, "the key does not start with the prefix asked for")
		}
	}
	switch {
	case !p.Truncated:
		p.Next = ""
	case p.Next == "" && b.quirks.list == listV1 && len(p.Objects) > 0:
		p.Next = p.Objects[len(p.Objects)-1].Key
	}
	if p.Truncated && (p.Next == "" || p.Next == opts.Token) {
		return storage.Page{}, pageError(codeListingLoop, opts.Prefix, "a page says that more keys follow but not where")
	}
	return p, nil
}

// disorder is the error of a page whose keys do not ascend.
func disorder(key string) error {
	return &oms.Error{
		Op: "list objects", Key: key, Kind: oms.Listing, Code: codeListing, Msg: "the keys are not in ascending order", Err: storage.ErrOrder,
	}
}

func pageError(code, key, msg string) error {
	return &oms.Error{Op: "list objects", Key: key, Kind: oms.Listing, Code: code, Msg: msg}
}
