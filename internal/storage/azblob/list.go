package azblob

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

const (
	maxPage = 5000
	// carefulPage is asked for when a page was larger than 16 MiB, which long names can make it.
	carefulPage   = 1000
	maxEmptyPages = 20     // of a level, read in a row
	maxContainers = 10_000 // of an account
)

var (
	errPageRoot   = errors.New("not the document that was asked for")
	errPageField  = errors.New("a field of the page cannot be read")
	errPageTwice  = errors.New("an entry occurs twice")
	errPageEscape = errors.New("a name is not percent-encoded as announced")
)

// List implements storage.Reader. One request, or a second one for fewer blobs when a page is too large to be read.
// Directories of accounts with a hierarchical namespace are no objects and are left out. Errors of kind oms.Listing
// carry the code LISTING_ERROR or LISTING_LOOP.
func (c *Container) List(ctx context.Context, opts storage.ListOptions) (storage.Page, error) {
	if opts.AnyOrder {
		opts.After = ""
	}
	if opts.After > opts.Prefix && !strings.HasPrefix(opts.After, opts.Prefix) && opts.Token == "" {
		return storage.Page{}, ctx.Err() // the position lies behind all keys of the prefix
	}
	limit := maxPage
	if opts.Limit > 0 && opts.AnyOrder {
		limit = min(opts.Limit, maxPage)
	} else if opts.Limit > 0 {
		limit = min(opts.Limit+1, maxPage) // the first may be the position itself
	}
	q := listCall("list objects", opts, limit)
	body, err := c.document(ctx, q, oms.Listing, codeListing)
	if errors.Is(err, errTooLarge) && limit > carefulPage {
		q = listCall("list objects", opts, carefulPage)
		body, err = c.document(ctx, q, oms.Listing, codeListing)
	}
	if err != nil {
		return storage.Page{}, err
	}
	raw, err := readPage(body)
	if err != nil {
		return storage.Page{}, &oms.Error{Op: q.op, Kind: oms.Listing, Code: codeListing, Err: err}
	}
	page := storage.Page{Objects: raw.objects(), Truncated: raw.next != "", Next: raw.next}
	if opts.AnyOrder {
		return page, checkAny(page, opts)
	}
	page, err = checkPage(page, opts)
	if opts.Limit > 0 && len(page.Objects) > opts.Limit {
		page.Objects, page.Truncated, page.Next = page.Objects[:opts.Limit], true, ""
	}
	return page, err
}

// listCall returns the request for a page.
func listCall(op string, opts storage.ListOptions, limit int) *call {
	q := &call{op: op, method: http.MethodGet, on: onContainer}
	q.query = []param{{"comp", "list"}}
	if opts.Token != "" {
		q.query = append(q.query, param{"marker", opts.Token})
	}
	q.query = append(q.query, param{"maxresults", strconv.Itoa(limit)})
	if opts.Prefix != "" {
		q.query = append(q.query, param{"prefix", opts.Prefix})
	}
	q.query = append(q.query, param{"restype", "container"})
	if from := seek(opts); from != "" {
		q.query = append(q.query, param{"startFrom", from})
		q.version = versionSeeks
	}
	return q
}

// seek returns the name to begin at, "" for the start: at or before the first key behind opts.After, and text that the
// service can take.
func seek(opts storage.ListOptions) string {
	from := opts.After
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError || r == 0xfffe || r == 0xffff }
	if i := strings.IndexFunc(from, bad); i >= 0 {
		from = from[:i]
	}
	if from <= opts.Prefix {
		return ""
	}
	return from
}

// checkPage makes sure that a page can be trusted to be the next piece of the ordered key space: strictly ascending,
// not before the position asked for, within the prefix, and with a way on when more follows. What lies between where
// the service was told to begin and the position is left out.
func checkPage(p storage.Page, opts storage.ListOptions) (storage.Page, error) {
	from, last := seek(opts), ""
	for i := range p.Objects {
		key := p.Objects[i].Key
		if !strings.HasPrefix(key, opts.Prefix) {
			return storage.Page{}, pageError(codeListing, key, "the key does not start with the prefix asked for")
		}
		if key < from || i > 0 && key <= last {
			return storage.Page{}, &oms.Error{
				Op: "list objects", Key: key, Kind: oms.Listing, Code: codeListing, Msg: "the keys are not in ascending order", Err: storage.ErrOrder,
			}
		}
		last = key
	}
	first := 0
	for first < len(p.Objects) && p.Objects[first].Key <= opts.After {
		first++
	}
	p.Objects = p.Objects[first:]
	if p.Truncated && p.Next == opts.Token {
		return storage.Page{}, pageError(codeListingLoop, opts.After, "a page goes on where it began")
	}
	return p, nil
}

// checkAny makes sure of a page in any order that its keys are within the prefix and that there is a way on.
func checkAny(p storage.Page, opts storage.ListOptions) error {
	for i := range p.Objects {
		if key := p.Objects[i].Key; !strings.HasPrefix(key, opts.Prefix) {
			return pageError(codeListing, key, "the key does not start with the prefix asked for")
		}
	}
	if p.Truncated && p.Next == opts.Token {
		return pageError(codeListingLoop, opts.Prefix, "a page goes on where it began")
	}
	return nil
}

func pageError(code, key, msg string) error {
	return &oms.Error{Op: "list objects", Key: key, Kind: oms.Listing, Code: code, Msg: msg}
}

// rawPage is a page as the service wrote it, before any check of order.
type rawPage struct {
	entries []rawEntry
	next    string
}

// rawEntry is a blob, or with a delimiter a folder.
type rawEntry struct {
	storage.ListedObject

	folder bool
}

// objects returns the blobs of the page.
func (p rawPage) objects() []storage.ListedObject {
	list := make([]storage.ListedObject, 0, len(p.entries))
	for _, e := range p.entries {
		if !e.folder {
			list = append(list, e.ListedObject)
		}
	}
	return list
}

// readPage reads the answer to List Blobs.
func readPage(body []byte) (rawPage, error) {
	root, err := parseTree(body)
	if err != nil {
		return rawPage{}, err
	}
	blobs := root.child("Blobs")
	if root.name != "EnumerationResults" || blobs == nil {
		return rawPage{}, errPageRoot
	}
	p := rawPage{next: root.textOf("NextMarker")}
	for _, n := range blobs.children {
		switch n.name {
		case "Blob":
			e, directory, err := readBlob(n)
			if err != nil {
				return rawPage{}, err
			}
			if !directory {
				p.entries = append(p.entries, e)
			}
		case "BlobPrefix":
			name, err := nameOf(n)
			if err != nil {
				return rawPage{}, err
			}
			p.entries = append(p.entries, rawEntry{ListedObject: storage.ListedObject{Key: name}, folder: true})
		}
	}
	return p, nil
}

// readBlob reads a Blob element; directory is true for what is none.
func readBlob(n *node) (e rawEntry, directory bool, err error) {
	if e.Key, err = nameOf(n); err != nil {
		return e, false, err
	}
	props := n.child("Properties")
	if props.textOf("ResourceType") == "directory" {
		return e, true, nil
	}
	var ok bool
	if e.Size, ok = parseSize(props.textOf("Content-Length")); !ok {
		return e, false, errPageField
	}
	if at := props.textOf("Last-Modified"); at != "" {
		if e.ModTime, ok = parseTime(at); !ok {
			return e, false, errPageField
		}
	}
	e.ETag, e.StorageClass = trimQuotes(props.textOf("Etag")), props.textOf("AccessTier")
	return e, false, nil
}

// nameOf returns the name of a blob or folder.
func nameOf(n *node) (string, error) {
	name := n.child("Name")
	if name == nil || len(name.text) == 0 || len(name.children) > 0 {
		return "", errPageField
	}
	if !name.encoded {
		return string(name.text), nil
	}
	text, err := url.PathUnescape(string(name.text))
	if err != nil || text == "" {
		return "", errPageEscape
	}
	return text, nil
}

// level reads one page of a level.
func (c *Container) level(ctx context.Context, op string, opts storage.ListOptions) (rawPage, error) {
	q := listCall(op, opts, min(opts.Limit, maxPage))
	q.query = slices.Insert(q.query, 1, param{"delimiter", "/"})
	body, err := c.document(ctx, q, oms.Listing, codeListing)
	if err != nil {
		return rawPage{}, err
	}
	p, err := readPage(body)
	if err != nil {
		return rawPage{}, &oms.Error{Op: op, Kind: oms.Listing, Code: codeListing, Err: err}
	}
	for _, e := range p.entries {
		if !strings.HasPrefix(e.Key, opts.Prefix) {
			return rawPage{}, pageError(codeListing, e.Key, "the name does not start with the prefix asked for")
		}
	}
	return p, nil
}

// Browse implements storage.Browser. Where the service cannot begin at a name, at most twenty pages of the level are
// read: oms.Unsupported behind them.
func (c *Container) Browse(ctx context.Context, opts storage.ListOptions) (storage.Level, error) {
	if opts.Limit <= 0 {
		opts.Limit = maxPage
	}
	want := opts.Limit
	opts.Token = ""
	l, err := c.browse(ctx, opts, want)
	if kind := oms.KindOf(err); opts.After != "" && (kind == oms.Invalid || kind == oms.Unsupported) {
		all := storage.ListOptions{Prefix: opts.Prefix, Limit: maxPage}
		l, err = c.browseFrom(ctx, all, opts.After, want)
	}
	return l, err
}

func (c *Container) browse(ctx context.Context, opts storage.ListOptions, want int) (storage.Level, error) {
	after := opts.After
	opts.Limit = min(want+1, maxPage) // the first may be the position itself
	return c.browseFrom(ctx, opts, after, want)
}

// browseFrom reads pages of a level until there are want entries behind the position.
func (c *Container) browseFrom(ctx context.Context, opts storage.ListOptions, after string, want int) (storage.Level, error) {
	var l storage.Level
	for range maxEmptyPages {
		p, err := c.level(ctx, "list folder", opts)
		if err != nil {
			return storage.Level{}, err
		}
		for _, e := range p.entries {
			if e.Key > after {
				l.Entries = append(l.Entries, storage.Entry{Name: e.Key, Size: e.Size, Folder: e.folder})
			}
		}
		if len(l.Entries) > want || p.next == "" {
			slices.SortFunc(l.Entries, func(a, b storage.Entry) int { return strings.Compare(a.Name, b.Name) })
			l.Entries = slices.CompactFunc(l.Entries, func(a, b storage.Entry) bool { return a.Name == b.Name })
			l.Truncated = p.next != ""
			if len(l.Entries) > want {
				l.Entries, l.Truncated = l.Entries[:want], true
			}
			return l, nil
		}
		if p.next == opts.Token {
			return storage.Level{}, pageError(codeListingLoop, after, "a page goes on where it began")
		}
		opts.Token = p.next
	}
	return storage.Level{}, &oms.Error{Op: "list folder", Kind: oms.Unsupported, Msg: "the folder holds more entries than are read"}
}

// Branches implements storage.Brancher with one request of delimiter "/".
func (c *Container) Branches(ctx context.Context, prefix string) ([]string, error) {
	p, err := c.level(ctx, "list branches", storage.ListOptions{Prefix: prefix, Limit: maxPage})
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range p.entries {
		if e.folder {
			found = append(found, e.Key)
		}
	}
	return found, nil
}

// ListBuckets implements storage.BucketLister. oms.Listing for an account of more than 10,000 containers.
func (c *Container) ListBuckets(ctx context.Context) ([]string, error) {
	var names []string
	for marker := ""; ; {
		q := &call{op: "list containers", method: http.MethodGet, on: onAccount, query: []param{{"comp", "list"}}}
		if marker != "" {
			q.query = append(q.query, param{"marker", marker})
		}
		body, err := c.document(ctx, q, oms.Listing, codeListing)
		if err != nil {
			return nil, err
		}
		root, err := parseTree(body)
		if err == nil && root.name != "EnumerationResults" {
			err = errPageRoot
		}
		if err != nil {
			return nil, &oms.Error{Op: q.op, Kind: oms.Listing, Code: codeListing, Err: err}
		}
		if list := root.child("Containers"); list != nil {
			for _, n := range list.children {
				names = append(names, n.textOf("Name"))
			}
		}
		next := root.textOf("NextMarker")
		switch {
		case len(names) > maxContainers:
			return nil, &oms.Error{Op: q.op, Kind: oms.Listing, Code: codeListing, Msg: "more than 10,000 containers"}
		case next == "":
			return names, nil
		case next == marker:
			return nil, &oms.Error{Op: q.op, Kind: oms.Listing, Code: codeListingLoop, Msg: "a page goes on where it began"}
		}
		marker = next
	}
}

// Location implements storage.BucketLister: the service does not tell.
func (c *Container) Location(ctx context.Context) (string, error) { return "", ctx.Err() }

// CheckBucket implements storage.BucketLister by listing one blob, which signatures for a migration allow.
func (c *Container) CheckBucket(ctx context.Context) error {
	return c.doEmpty(ctx, listCall("check container", storage.ListOptions{}, 1), nil)
}
