package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/http1"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// RequestRestore implements storage.Restorer.
func (b *Bucket) RequestRestore(ctx context.Context, req storage.RestoreRequest) error {
	body := b.restoreBody(req)
	sum := md5.Sum(body)
	c := &call{
		op: "restore object", method: b.quirks.restoreMethod, key: req.Key,
		query: query(nil).add("restore", ""), body: bytes.NewReader(body), size: int64(len(body)),
	}
	if err := c.needKey(); err != nil {
		return err
	}
	if req.VersionID != "" {
		c.query = c.query.add("versionId", req.VersionID)
	}
	c.add("Content-Type", "application/xml")
	c.add("Content-Md5", base64.StdEncoding.EncodeToString(sum[:]))
	err := b.doEmpty(ctx, c, nil)
	switch {
	case err == nil:
		return nil
	case oms.KindOf(err) == oms.Archived: // the refusal of a read; here it says that there is nothing to restore
		return &oms.Error{Op: c.op, Key: c.key, Kind: oms.Invalid, Code: oms.CodeOf(err), Msg: "the store does not restore this object", Err: err}
	}
	switch oms.CodeOf(err) {
	case "RestoreAlreadyInProgress", "ObjectHasAlreadyRestored", "ObjectAlreadyInActiveTierError":
		return nil
	case "GlacierExpeditedRetrievalNotAvailable":
		return &oms.Error{Op: c.op, Key: c.key, Kind: oms.Throttled, Code: oms.CodeOf(err), Err: err}
	default:
		return err
	}
}

// restoreBody returns the document of a restore request.
func (b *Bucket) restoreBody(req storage.RestoreRequest) []byte {
	doc := []byte(`<RestoreRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`)
	if req.Days > 0 {
		doc = append(doc, "<Days>"+strconv.Itoa(req.Days)+"</Days>"...)
	}
	if req.Tier != "" {
		job := b.quirks.restoreJob
		doc = append(doc, "<"+job+"><Tier>"+string(req.Tier)+"</Tier></"+job+">"...)
	}
	return append(doc, "</RestoreRequest>"...)
}

// restoreOf reads what the headers of an answer tell of a restore.
func (b *Bucket) restoreOf(hdr http1.Fields) storage.Restore {
	var r storage.Restore
	for _, name := range b.quirks.restoreHeaders {
		if v := hdr.Get(name); v != "" {
			r = parseRestore(v)
			break
		}
	}
	r.Archived = r.State != storage.RestoreDone && hdr.Get("X-Amz-Archive-Status") != ""
	return r
}

// parseRestore reads `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`. What cannot be read counts
// as no restore.
func parseRestore(v string) (r storage.Restore) {
	switch value, _ := quoted(v, "ongoing-request"); strings.ToLower(value) {
	case "true":
		r.State = storage.RestoreOngoing
	case "false":
		r.State = storage.RestoreDone
	default:
		return r
	}
	if date, ok := quoted(v, "expiry-date"); ok {
		if at, err := http.ParseTime(date); err == nil && at.Year() < 10_000 {
			r.Expires = at.UTC().Truncate(time.Second)
		}
	}
	return r
}

// quoted returns the text between the quotes behind name=.
func quoted(v, name string) (string, bool) {
	_, rest, ok := strings.Cut(v, name+`="`)
	if !ok {
		return "", false
	}
	return cutAt(rest, '"')
}

// cutAt returns the text before the first end.
func cutAt(s string, end byte) (string, bool) {
	before, _, found := strings.Cut(s, string(end))
	if !found {
		return "", false
	}
	return before, true
}
