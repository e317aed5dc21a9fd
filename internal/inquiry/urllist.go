package inquiry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// maxChecked is how much of a list of URLs is read unless Options say otherwise. A task checks all of it before it moves anything.
const maxChecked = 64 << 20

// CheckURLList reads the beginning of a list of URLs, 64 MiB of it, and returns nil when it is well-formed
// (OMS v2, 4.34): TRF.0013 missing or unreadable, TRF.0014 too large or of another name, TRF.0016 malformed, TRF.0017
// empty, TRF.0018 a line too long, TRF.0019 wrong metadata, TRF.0301 archived; OMS.1020 for keys and bucket.
func (s *Service) CheckURLList(ctx context.Context, q oms.BucketQuery, key string) error {
	ctx, cancel := context.WithTimeout(ctx, longPatience)
	defer cancel()
	b, err := s.open(ctx, q)
	if err != nil {
		return s.refuse(ctx, "open list", err, "OMS.1020")
	}
	obj, err := b.Stat(ctx, key)
	if err != nil {
		return s.listRefused(ctx, b, err)
	}
	err = listfile.CheckObject(listfile.Object{
		Key: key, Size: obj.Size, ContentType: obj.Attrs.ContentType, ContentEncoding: obj.Attrs.ContentEncoding,
	})
	if err != nil {
		return err
	}
	c, err := b.Open(ctx, key, storage.OpenOptions{IfMatch: obj.ETag, Size: obj.Size})
	if err != nil {
		return s.listRefused(ctx, b, err)
	}
	defer c.Body.Close()
	if err := checkLines(ctx, c.Body, s.checked); err != nil {
		if oms.KindOf(err) == oms.Invalid {
			return err
		}
		return s.listRefused(ctx, b, err)
	}
	return nil
}

// checkLines reads the lines that begin within so many bytes. At least one must name a URL.
func checkLines(ctx context.Context, r io.Reader, within int64) error {
	lines := listfile.NewScanner(r, listfile.Options{Form: listfile.URLs, Stop: within})
	for n := 0; ; n++ {
		_, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return oms.Errorf(oms.Invalid, listfile.CodeEmpty, "The list holds no URL.")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// listRefused turns trouble with the list into the answer. HEAD does not tell a missing bucket from a missing list.
func (s *Service) listRefused(ctx context.Context, b storage.Reader, err error) error {
	const unreadable = "The list does not exist, or the keys may not read it."
	kind := oms.KindOf(err)
	switch kind {
	case oms.Archived:
		return &oms.Error{Op: "read list", Kind: oms.Invalid, Code: listfile.CodeArchived, Msg: "The list is archived: restore it first.", Err: err}
	case oms.NotFound, oms.Denied:
	default:
		return s.refuse(ctx, "read list", err, "OMS.1020")
	}
	if lister, ok := b.(storage.BucketLister); ok {
		if bucketErr := lister.CheckBucket(ctx); bucketErr != nil {
			return s.refuse(ctx, "read list", fmt.Errorf("check bucket: %w", bucketErr), "OMS.1020")
		}
	}
	return &oms.Error{Op: "read list", Kind: oms.Invalid, Code: listfile.CodeUnreadable, Msg: unreadable, Err: err}
}
