package s3

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
)

// maxBuckets bounds the names of an account, so that a store whose list never ends cannot use up memory.
const maxBuckets = 10_000

// ListBuckets implements storage.BucketLister. oms.Listing for an account of more than 10,000 buckets.
func (b *Bucket) ListBuckets(ctx context.Context) ([]string, error) {
	var names []string
	token := ""
	for {
		c := &call{op: "list buckets", method: http.MethodGet, account: true, on: onBucket}
		if token != "" {
			c.query = c.query.add("continuation-token", token)
		}
		before, next := len(names), ""
		err := b.tree(ctx, c, "ListAllMyBucketsResult", func(_ http1.Fields, root *node) error {
			next = root.textOf("ContinuationToken")
			list := root.child("Buckets")
			if list == nil {
				return nil
			}
			for _, n := range list.children {
				if n.name == "Bucket" {
					names = append(names, n.textOf("Name"))
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(names) > maxBuckets {
			return nil, &oms.Error{Op: c.op, Kind: oms.Listing, Code: codeListing, Msg: "more than 10,000 buckets"}
		}
		if next == "" {
			return names, nil
		}
		if len(names) == before || next == token {
			return nil, &oms.Error{Op: c.op, Kind: oms.Listing, Code: codeListingLoop, Err: errMarker}
		}
		token = next
	}
}

// Location implements storage.BucketLister. It asks HEAD first, whose answer names the region even when the
// request went to the wrong one, then GET ?location in the shapes of S3 and of OBS.
func (b *Bucket) Location(ctx context.Context) (string, error) {
	c := &call{op: "head bucket", method: http.MethodHead, on: onBucket}
	status, hdr, err := b.head(ctx, c)
	if err != nil {
		return "", err
	}
	if region := b.regionIn(hdr); region != "" {
		return b.plainRegion(region), nil
	}
	if !success(status) {
		return "", b.answerFailed(c, status, hdr, answerError{})
	}
	return b.askLocation(ctx)
}

// head sends a HEAD request and returns the status and headers of the answer, whatever they are.
func (b *Bucket) head(ctx context.Context, c *call) (int, http1.Fields, error) {
	if b.name == "" {
		return 0, nil, c.errorf(oms.Invalid, "", "no bucket is named")
	}
	a, err := b.send(ctx, c)
	if err != nil {
		return 0, nil, err
	}
	defer a.body.Close() // HEAD has none
	return a.status, a.header, nil
}

// askLocation reads GET ?location: <LocationConstraint>id</LocationConstraint>, or <Location> at any place.
func (b *Bucket) askLocation(ctx context.Context) (string, error) {
	c := &call{op: "get bucket location", method: http.MethodGet, on: onBucket, query: query(nil).add("location", "")}
	var region string
	err := b.tree(ctx, c, "", func(_ http1.Fields, root *node) error {
		n := root.find("LocationConstraint")
		if n == nil {
			n = root.find("Location")
		}
		if n == nil {
			return errors.New("the answer holds no location")
		}
		region = string(bytes.TrimSpace(n.text))
		return nil
	})
	if err != nil {
		return "", err
	}
	switch region {
	case "":
		return b.quirks.emptyLocation, nil
	case "EU": // the name that AWS gave Ireland when there was one region in Europe
		return "eu-west-1", nil
	}
	return b.plainRegion(region), nil
}

func (b *Bucket) plainRegion(region string) string {
	return strings.TrimPrefix(region, b.quirks.locationPrefix)
}

// FileSystem implements storage.FileSystemTeller: OBS says so in the answer to HEAD.
func (b *Bucket) FileSystem(ctx context.Context) (bool, error) {
	posix := false
	err := b.doEmpty(ctx, &call{op: "head bucket", method: http.MethodHead, on: onBucket}, func(hdr http1.Fields) {
		posix = strings.EqualFold(hdr.Get("X-Obs-Bucket-Type"), "POSIX")
	})
	return posix, err
}

// CheckBucket implements storage.BucketLister. oms.Invalid when the bucket is in another region, which the message
// names.
func (b *Bucket) CheckBucket(ctx context.Context) error {
	return b.doEmpty(ctx, &call{op: "head bucket", method: http.MethodHead, on: onBucket}, nil)
}
