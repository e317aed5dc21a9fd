package azblob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// nameSize is the random part of the names of an upload's blocks, in bytes.
const nameSize = 16

// upload is what an upload id says.
type upload struct {
	name    [nameSize]byte
	headers []header // sent when the upload is completed
}

// id returns the upload's id.
func (u upload) id() (string, error) {
	pairs := make([][2]string, len(u.headers))
	for i, h := range u.headers {
		pairs[i] = [2]string{h.name, h.value}
	}
	text, err := json.Marshal(pairs)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(u.name[:]) + "." + base64.RawURLEncoding.EncodeToString(text), nil
}

// parseUpload reads an upload id; oms.Invalid when it is none of ours.
func (q *call) parseUpload(id string) (u upload, err error) {
	name, attrs, _ := strings.Cut(id, ".")
	rawName, err1 := base64.RawURLEncoding.DecodeString(name)
	text, err2 := base64.RawURLEncoding.DecodeString(attrs)
	var pairs [][2]string
	if err1 != nil || err2 != nil || len(rawName) != nameSize || json.Unmarshal(text, &pairs) != nil {
		return u, q.errorf(oms.Invalid, "", "no upload is named")
	}
	u.name = [nameSize]byte(rawName)
	for _, p := range pairs {
		u.headers = append(u.headers, header{p[0], p[1]})
	}
	return u, nil
}

// block returns the name of a block. All names have the same length, as the service wants it.
func (u upload) block(number int) string {
	raw := binary.BigEndian.AppendUint32(u.name[:], uint32(number)) //nolint:gosec // at most 50,000
	return base64.StdEncoding.EncodeToString(raw)
}

// number returns the number of a block of the upload.
func (u upload) number(block string) (int, bool) {
	raw, err := base64.StdEncoding.DecodeString(block)
	if err != nil || len(raw) != nameSize+4 || !bytes.Equal(raw[:nameSize], u.name[:]) {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(raw[nameSize:])), true
}

// limits are those of block blobs.
func limits() storage.PartLimits {
	return storage.PartLimits{MinPart: 1, MaxPart: 4000 * mib, MaxParts: 50_000, MaxSingle: 5000 * mib}
}

// PartLimits implements storage.Multiparter.
func (c *Container) PartLimits() storage.PartLimits { return limits() }

// CreateUpload implements storage.Multiparter without a request: the service knows blocks only.
func (c *Container) CreateUpload(ctx context.Context, key string, attrs storage.Attrs) (string, error) {
	q := &call{op: "create upload", key: key}
	if err := q.writable(); err != nil {
		return "", err
	}
	if key == "" {
		return "", q.errorf(oms.Invalid, "", "no key is named")
	}
	var u upload
	_, _ = rand.Read(u.name[:]) // never fails: it ends the process instead
	var err error
	if u.headers, err = q.attrHeaders(&attrs); err != nil {
		return "", err
	}
	id, err := u.id()
	if err != nil {
		return "", q.errorf(oms.Unsupported, codeMetadata, "the properties cannot be kept")
	}
	return id, ctx.Err()
}

// PutPart implements storage.Multiparter. The part's ETag is the name of its block. The service takes parts of uploads
// that have ended as well.
func (c *Container) PutPart(ctx context.Context, req storage.PartRequest) (storage.Written, error) {
	q := &call{op: "put part", method: http.MethodPut, key: req.Key, body: req.Body, size: req.Size}
	u, err := q.parseUpload(req.UploadID)
	if err != nil {
		return storage.Written{}, err
	}
	if req.Number < 1 || req.Number > limits().MaxParts {
		return storage.Written{}, q.errorf(oms.Invalid, "", "the number of the part is out of range")
	}
	if err := q.checkSize(limits().MaxPart); err != nil {
		return storage.Written{}, err
	}
	block := u.block(req.Number)
	q.query = []param{{"blockid", block}, {"comp", "block"}}
	q.addSums(req.Sums)
	w, err := c.write(ctx, q)
	w.ETag = block
	return w, err
}

// CompleteUpload implements storage.Multiparter. The answer is a status alone: 201 says that the blob is made.
func (c *Container) CompleteUpload(ctx context.Context, key, uploadID string, parts []storage.Part) (storage.Written, error) {
	q := &call{op: "complete upload", method: http.MethodPut, key: key, query: []param{{"comp", "blocklist"}}}
	u, err := q.parseUpload(uploadID)
	if err != nil {
		return storage.Written{}, err
	}
	if len(parts) == 0 {
		return storage.Written{}, q.errorf(oms.Invalid, "", "an upload needs at least one part")
	}
	body := []byte(`<?xml version="1.0" encoding="utf-8"?><BlockList>`)
	for _, p := range parts {
		if n, ok := u.number(p.ETag); !ok || n != p.Number {
			return storage.Written{}, q.errorf(oms.Invalid, "", "a part is not of this upload")
		}
		body = append(body, "<Uncommitted>"+p.ETag+"</Uncommitted>"...)
	}
	body = append(body, "</BlockList>"...)
	q.body, q.size = bytes.NewReader(body), int64(len(body))
	q.add("content-type", "application/xml")
	q.headers = append(q.headers, u.headers...)
	w, err := c.write(ctx, q)
	if oms.CodeOf(err) == "InvalidBlockList" { // the blocks are gone
		return storage.Written{}, &oms.Error{Op: q.op, Key: key, Kind: oms.NotFound, Code: "InvalidBlockList"}
	}
	w.Sums = storage.Sums{} // those of the list of blocks
	return w, err
}

// AbortUpload implements storage.Multiparter. The service cannot drop blocks without writing the blob: they vanish by
// themselves.
func (c *Container) AbortUpload(ctx context.Context, key, uploadID string) error {
	q := &call{op: "abort upload", key: key}
	if _, err := q.parseUpload(uploadID); err != nil {
		return err
	}
	return ctx.Err()
}

// ListParts implements storage.Multiparter. An upload without parts is not told from one that is gone: oms.NotFound.
func (c *Container) ListParts(ctx context.Context, key, uploadID string) ([]storage.Part, error) {
	q := &call{
		op: "list parts", method: http.MethodGet, key: key,
		query: []param{{"blocklisttype", "uncommitted"}, {"comp", "blocklist"}},
	}
	u, err := q.parseUpload(uploadID)
	if err != nil {
		return nil, err
	}
	body, err := c.document(ctx, q, oms.Transient, codeBadAnswer)
	if err != nil {
		return nil, err
	}
	parts, err := u.readParts(body)
	if err != nil {
		return nil, &oms.Error{Op: q.op, Key: key, Kind: oms.Transient, Code: codeBadAnswer, Err: err}
	}
	if len(parts) == 0 {
		return nil, q.errorf(oms.NotFound, "", "the store holds no part of the upload")
	}
	return parts, nil
}

// readParts returns the blocks of the upload in a list of blocks, in order of number.
func (u upload) readParts(body []byte) ([]storage.Part, error) {
	root, err := parseTree(body)
	if err != nil {
		return nil, err
	}
	if root.name != "BlockList" {
		return nil, errPageRoot
	}
	list := root.child("UncommittedBlocks")
	if list == nil {
		return nil, nil
	}
	var parts []storage.Part
	for _, n := range list.children {
		block := n.textOf("Name")
		number, ok := u.number(block)
		if !ok {
			continue
		}
		size, ok := parseSize(n.textOf("Size"))
		if !ok {
			return nil, errPageField
		}
		parts = append(parts, storage.Part{Number: number, ETag: block, Size: size})
	}
	slices.SortFunc(parts, func(a, b storage.Part) int { return a.Number - b.Number })
	for i := 1; i < len(parts); i++ {
		if parts[i].Number == parts[i-1].Number {
			return nil, errPageTwice
		}
	}
	return parts, nil
}

// ListUploads implements storage.Multiparter: there is nothing that the service could tell.
func (c *Container) ListUploads(ctx context.Context, _ string, _ int) ([]storage.OpenUpload, error) {
	return nil, ctx.Err()
}
