package s3

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/openoms/openoms/internal/http1"
)

// Branches implements storage.Brancher with one request of delimiter "/".
func (b *Bucket) Branches(ctx context.Context, prefix string) ([]string, error) {
	q := make(query, 0, 96+len(prefix)).add("delimiter", "/")
	if !b.quirks.rawKeys {
		q = q.add("encoding-type", "url")
	}
	if b.quirks.list == listV2 {
		q = q.add("list-type", "2")
	}
	q = q.add("max-keys", strconv.Itoa(maxKeys))
	if prefix != "" {
		q = q.add("prefix", prefix)
	}
	c := &call{op: "list branches", method: http.MethodGet, on: onBucket, query: q}
	var found []string
	err := b.tree(ctx, c, "ListBucketResult", func(_ http1.Fields, root *node) error {
		encoded := root.textOf("EncodingType") == "url"
		for _, n := range root.children {
			if n.name != "CommonPrefixes" {
				continue
			}
			branch := []byte(n.textOf("Prefix"))
			if encoded {
				var ok bool
				if branch, ok = decodeURL(branch); !ok {
					return errors.New("a prefix is not URL-encoded")
				}
			}
			found = append(found, string(branch))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}
