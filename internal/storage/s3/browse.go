package s3

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// maxEmptyPages is how many pages without an entry are read in a row before the listing counts as endless.
const maxEmptyPages = 20

// Browse implements storage.Browser with delimiter "/". One request, unless the store sends empty pages.
func (b *Bucket) Browse(ctx context.Context, opts storage.ListOptions) (storage.Level, error) {
	if opts.Limit <= 0 {
		opts.Limit = maxKeys
	}
	token := ""
	for range maxEmptyPages {
		level, next, err := b.browsePage(ctx, opts, token)
		if err != nil || len(level.Entries) > 0 || !level.Truncated {
			return level, err
		}
		if next == "" || next == token {
			break
		}
		token = next
	}
	return storage.Level{}, pageError(codeListingLoop, opts.After, "pages without entries say that more follow")
}

// browsePage reads one page and returns with it where the store would go on.
func (b *Bucket) browsePage(ctx context.Context, opts storage.ListOptions, token string) (storage.Level, string, error) {
	c := &call{op: "list folder", method: http.MethodGet, on: onBucket, query: b.browseQuery(opts, token)}
	var level storage.Level
	next := ""
	err := b.tree(ctx, c, "ListBucketResult", func(_ http1.Fields, root *node) (err error) {
		level.Truncated = root.textOf("IsTruncated") == "true"
		next = cmp.Or(root.textOf("NextContinuationToken"), root.textOf("NextMarker"))
		if root.textOf("EncodingType") == "url" && b.quirks.list == listV1 {
			decoded, ok := decodeURL([]byte(next))
			if !ok {
				return errors.New("the marker is not URL-encoded")
			}
			next = string(decoded)
		}
		level.Entries, err = entriesOf(root)
		return err
	})
	if err != nil {
		return storage.Level{}, "", err
	}
	slices.SortFunc(level.Entries, func(a, b storage.Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range level.Entries {
		if !strings.HasPrefix(e.Name, opts.Prefix) {
			return storage.Level{}, "", pageError(codeListing, e.Name, "the name does not start with the prefix asked for")
		}
	}
	level.Entries = slices.DeleteFunc(level.Entries, func(e storage.Entry) bool { return e.Name <= opts.After })
	if len(level.Entries) > opts.Limit {
		level.Entries, level.Truncated = level.Entries[:opts.Limit], true
	}
	return level, next, nil
}

func (b *Bucket) browseQuery(opts storage.ListOptions, token string) query {
	after := folderEnd(opts)
	q := make(query, 0, 160+len(opts.Prefix)+len(after)+len(token))
	v2 := b.quirks.list == listV2
	if v2 && token != "" {
		q = q.add("continuation-token", token)
	}
	q = q.add("delimiter", "/")
	if !b.quirks.rawKeys {
		q = q.add("encoding-type", "url")
	}
	if v2 {
		q = q.add("list-type", "2")
	} else if marker := cmp.Or(token, after); marker != "" {
		q = q.add("marker", marker)
	}
	q = q.add("max-keys", strconv.Itoa(min(opts.Limit, maxKeys)))
	if opts.Prefix != "" {
		q = q.add("prefix", opts.Prefix)
	}
	if v2 && token == "" && after != "" {
		q = q.add("start-after", after)
	}
	return q
}

// folderEnd returns the position to go on from: behind all keys of a folder, when the last entry was one. Stores
// differ in whether they show a folder again whose name is the position.
func folderEnd(opts storage.ListOptions) string {
	if strings.HasSuffix(opts.After, "/") && len(opts.After) > len(opts.Prefix) {
		return opts.After + "\U0010FFFF"
	}
	return opts.After
}

// entriesOf returns what a listing with a delimiter holds, in the order of the document.
func entriesOf(root *node) ([]storage.Entry, error) {
	encoded := root.textOf("EncodingType") == "url"
	var entries []storage.Entry
	for _, n := range root.children {
		var e storage.Entry
		var name []byte
		switch n.name {
		case "Contents":
			size, ok := parseSize([]byte(strings.TrimSpace(n.textOf("Size"))))
			if !ok {
				return nil, errListing("a size is not a number")
			}
			e.Size, name = size, []byte(n.textOf("Key"))
		case "CommonPrefixes":
			e.Folder, name = true, []byte(n.textOf("Prefix"))
		default:
			continue
		}
		if encoded {
			var ok bool
			if name, ok = decodeURL(name); !ok {
				return nil, errListing("a name is not URL-encoded")
			}
		}
		if len(name) == 0 {
			return nil, errListing("an entry has no name")
		}
		e.Name = string(name)
		entries = append(entries, e)
	}
	return entries, nil
}

func errListing(msg string) error {
	return &oms.Error{Op: "list folder", Kind: oms.Listing, Code: codeListing, Msg: msg}
}
