package testcloud

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Op names an operation of the S3 API.
type Op string

// The operations.
const (
	ListBuckets             Op = "ListBuckets"
	GetBucketLocation       Op = "GetBucketLocation"
	HeadBucket              Op = "HeadBucket"
	CreateBucket            Op = "CreateBucket"
	DeleteBucket            Op = "DeleteBucket"
	ListObjects             Op = "ListObjects"
	ListObjectsV2           Op = "ListObjectsV2"
	HeadObject              Op = "HeadObject"
	GetObject               Op = "GetObject"
	PutObject               Op = "PutObject"
	CopyObject              Op = "CopyObject"
	DeleteObject            Op = "DeleteObject"
	DeleteObjects           Op = "DeleteObjects"
	RestoreObject           Op = "RestoreObject"
	CreateMultipartUpload   Op = "CreateMultipartUpload"
	UploadPart              Op = "UploadPart"
	UploadPartCopy          Op = "UploadPartCopy"
	CompleteMultipartUpload Op = "CompleteMultipartUpload"
	AbortMultipartUpload    Op = "AbortMultipartUpload"
	ListParts               Op = "ListParts"
	ListMultipartUploads    Op = "ListMultipartUploads"
	UnknownOp               Op = "" // a request that is no operation this store knows
)

// Writes says whether the operation changes anything.
func (op Op) Writes() bool {
	switch op {
	case CreateBucket, DeleteBucket, PutObject, CopyObject, DeleteObject, DeleteObjects, RestoreObject,
		CreateMultipartUpload, UploadPart, UploadPartCopy, CompleteMultipartUpload, AbortMultipartUpload:
		return true
	default:
		return false
	}
}

// call is one request on its way.
type call struct {
	cloud   *Cloud
	w       http.ResponseWriter
	r       *http.Request
	op      Op
	bucket  string
	key     string
	query   url.Values
	id      string
	fired   []Fault // the faults that apply to it
	accKey  string
	byToken bool // a bearer token stands for the signature

	cleanup func() // runs when the answer is out; nil: nothing to do

	in, out int64 // body bytes
	status  int   // 0: no answer
}

// answer is a response before faults are applied. Headers are already set on the writer.
type answer struct {
	status int
	body   content // nil: none
	xml    bool    // body is a document
}

// document makes an XML answer.
func (c *call) document(data []byte) (answer, error) {
	c.w.Header().Set("Content-Type", "application/xml")
	return answer{status: http.StatusOK, body: memory(data), xml: true}, nil
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	if c.profile.Tokens && r.Method == http.MethodPost && r.URL.Path == tokenPath {
		c.giveToken(w, r)
		return
	}
	start := c.clock()
	k := &call{cloud: c, w: w, r: r, id: strings.ToUpper(string(appendHex16(nil, mix(c.ids.Add(1)))))}
	var routeErr error
	if _, ok := bearer(r.Header); ok && c.profile.Tokens {
		routeErr = k.adopt()
	}
	routeErr = cmp.Or(routeErr, k.route())
	c.records.begin(k.op)
	defer func() {
		c.records.end(k, start, c.clock())
		if k.cleanup != nil {
			k.cleanup()
		}
	}()

	if c.down.Load() {
		k.reset()
	}
	h := w.Header()
	h.Set("X-Amz-Request-Id", k.id)
	h.Set("Date", start.UTC().Format(http.TimeFormat))
	h.Set("Server", "testcloud")

	if k.op == HeadBucket { // S3 tells the region even to those it turns away
		h.Set("X-Amz-Bucket-Region", c.region)
	}

	k.fired = c.Faults.match(k.op, k.bucket, k.key)
	if a, done := k.faultBefore(); done {
		k.send(a)
		return
	}
	a, err := k.perform(routeErr)
	if err != nil {
		a = k.errorAnswer(err)
	}
	if b, done := k.faultAfter(); done {
		a = b
	}
	k.send(a)
}

// perform authenticates and runs the operation.
func (c *call) perform(routeErr error) (answer, error) {
	if err := c.authenticate(); err != nil {
		return answer{}, err
	}
	if routeErr != nil {
		return answer{}, routeErr
	}
	if c.op == ListBuckets {
		return c.listBuckets()
	}
	if c.op == CreateBucket {
		return c.createBucket()
	}
	b := c.cloud.Bucket(c.bucket)
	if b == nil {
		return answer{}, errNoSuchBucket
	}
	if b.payer.Load() && c.r.Header.Get("X-Amz-Request-Payer") != "requester" {
		return answer{}, errAccessDenied
	}
	switch c.op {
	case GetBucketLocation:
		return c.location()
	case HeadBucket:
		if c.cloud.profile.FileSystem {
			c.w.Header().Set("X-Obs-Bucket-Type", "POSIX")
		}
		return answer{status: http.StatusOK}, nil
	case DeleteBucket:
		return c.deleteBucket(b)
	case ListObjects:
		return c.listObjects(b)
	case ListObjectsV2:
		return c.listObjectsV2(b)
	case HeadObject, GetObject:
		return c.getObject(b)
	case PutObject:
		return c.putObject(b)
	case CopyObject:
		return c.copyObject(b)
	case DeleteObject:
		b.Delete(c.key)
		return answer{status: http.StatusNoContent}, nil // also when there is no such key
	case DeleteObjects:
		return c.deleteObjects(b)
	case RestoreObject:
		return c.restoreObject(b)
	case CreateMultipartUpload:
		return c.createUpload(b)
	case UploadPart:
		return c.uploadPart(b)
	case UploadPartCopy:
		return c.uploadPartCopy(b)
	case CompleteMultipartUpload:
		return c.completeUpload(b)
	case AbortMultipartUpload:
		return c.abortUpload(b)
	case ListParts:
		return c.listParts(b)
	case ListMultipartUploads:
		return c.listUploads(b)
	default:
		return answer{}, errNotImplemented
	}
}

// route finds bucket, key, query and operation. It fills in what it can even when it returns an error.
func (c *call) route() error {
	raw := c.r.RequestURI
	if _, rest, ok := strings.Cut(raw, "://"); ok && !strings.HasPrefix(raw, "/") { // absolute form
		_, path, _ := strings.Cut(rest, "/")
		raw = "/" + path
	}
	path, rawQuery, _ := strings.Cut(raw, "?")
	var err error
	if c.query, err = url.ParseQuery(rawQuery); err != nil {
		return errInvalidURI
	}
	path, virtual := strings.TrimPrefix(path, "/"), c.virtualHost()
	rawKey := path
	c.bucket = virtual
	if virtual == "" {
		rawBucket, rest, _ := strings.Cut(path, "/")
		if c.bucket, err = url.PathUnescape(rawBucket); err != nil {
			return errInvalidURI
		}
		rawKey = rest
	}
	if c.key, err = url.PathUnescape(rawKey); err != nil {
		return errInvalidURI
	}
	if c.op, err = c.operation(); err != nil {
		return err
	}
	if virtual == "" && c.bucket != "" && c.cloud.profile.VirtualHostOnly {
		return errNoPathStyle
	}
	if len(c.key) > 1024 {
		return errKeyTooLong
	}
	return nil
}

// virtualHost returns the bucket that the Host header names, or "".
func (c *call) virtualHost() string {
	host := c.r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	bucket, ok := strings.CutSuffix(host, "."+c.cloud.domain)
	if !ok {
		return ""
	}
	return bucket
}

// operation maps method and query to an operation.
func (c *call) operation() (Op, error) {
	if slices.ContainsFunc([]string{
		"acl", "versioning", "versions", "tagging", "policy", "lifecycle", "cors", "website",
		"notification", "encryption", "object-lock", "retention", "legal-hold", "attributes", "select", "torrent",
	}, c.query.Has) {
		return UnknownOp, errNotImplemented
	}
	op := UnknownOp
	switch {
	case c.bucket == "":
		if c.r.Method == http.MethodGet {
			op = ListBuckets
		}
	case c.key == "":
		op = c.bucketOperation()
	default:
		op = c.objectOperation()
	}
	if op == UnknownOp {
		return op, errMethodNotAllowed
	}
	return op, nil
}

func (c *call) bucketOperation() Op {
	switch c.r.Method {
	case http.MethodGet:
		switch {
		case c.query.Has("location"):
			return GetBucketLocation
		case c.query.Has("uploads"):
			return ListMultipartUploads
		case c.query.Get("list-type") == "2" && c.cloud.profile.ListV2 != ListV2Ignored:
			return ListObjectsV2
		default:
			return ListObjects
		}
	case http.MethodHead:
		return HeadBucket
	case http.MethodPut:
		return CreateBucket
	case http.MethodDelete:
		return DeleteBucket
	case http.MethodPost:
		if c.query.Has("delete") {
			return DeleteObjects
		}
	}
	return UnknownOp
}

func (c *call) objectOperation() Op {
	upload := c.query.Has("uploadId")
	copied := c.r.Header.Get("X-Amz-Copy-Source") != ""
	switch c.r.Method {
	case http.MethodGet:
		if upload {
			return ListParts
		}
		return GetObject
	case http.MethodHead:
		return HeadObject
	case http.MethodPut:
		switch {
		case upload && copied:
			return UploadPartCopy
		case upload:
			return UploadPart
		case copied:
			return CopyObject
		default:
			return PutObject
		}
	case http.MethodPost:
		switch {
		case c.query.Has("uploads"):
			return CreateMultipartUpload
		case upload:
			return CompleteMultipartUpload
		case c.query.Has("restore"):
			return RestoreObject
		}
	case http.MethodDelete:
		if upload {
			return AbortMultipartUpload
		}
		return DeleteObject
	}
	return UnknownOp
}

// errorAnswer turns an error into its document.
func (c *call) errorAnswer(err error) answer {
	api := errInternal
	errors.As(err, &api)
	h := c.w.Header()
	for _, name := range []string{"Etag", "Last-Modified", "Content-Range", "Accept-Ranges"} {
		if api != errNotModified && (api != errInvalidRange || name != "Content-Range") {
			h.Del(name)
		}
	}
	if c.r.Method == http.MethodHead || api.status == http.StatusNotModified {
		return answer{status: api.status}
	}
	h.Set("Content-Type", "application/xml")
	doc := append([]byte(xmlHead), "<Error>"...)
	doc = appendElem(doc, "Code", api.code)
	doc = appendElem(doc, "Message", api.msg)
	if api.code == errAuthMalformed.code {
		doc = appendElem(doc, "Region", c.cloud.region)
	}
	doc = appendElem(doc, "Resource", c.resource())
	doc = appendElem(doc, "RequestId", c.id)
	return answer{status: api.status, body: memory(append(doc, "</Error>"...)), xml: true}
}

func (c *call) resource() string {
	if c.bucket == "" {
		return "/"
	}
	return "/" + c.bucket + "/" + c.key
}

// readBody reads the whole request body and checks it against every digest that the headers carry, unless
// a fault says otherwise. limit is in bytes. The checksum is the one that the client sent, if any.
func (c *call) readBody(limit int64) ([]byte, checksum, error) {
	n := c.r.ContentLength
	if n < 0 {
		return nil, checksum{}, errMissingLength
	}
	if strings.Contains(c.r.Header.Get("Content-Encoding"), "aws-chunked") {
		return nil, checksum{}, errNotImplemented.because("aws-chunked bodies are not implemented")
	}
	if n > limit {
		return nil, checksum{}, errEntityTooLarge
	}
	data, err := c.drain(n)
	if err != nil {
		return nil, checksum{}, err
	}
	sum, err := c.verifyBody(data)
	return data, sum, err
}

// drain reads n bytes of body, believing n only as far as bytes arrive.
func (c *call) drain(n int64) ([]byte, error) {
	const step = 8 << 20
	data := make([]byte, 0, min(n, step))
	for int64(len(data)) < n {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(n, 2*int64(cap(data))))
			copy(grown, data)
			data = grown
		}
		m, err := io.ReadFull(c.r.Body, data[len(data):cap(data)])
		data = data[:len(data)+m]
		c.in += int64(m)
		if err != nil {
			return nil, errIncompleteBody
		}
	}
	return data, nil
}

// verifyBody compares data with the digests of the headers and returns the checksum that was sent.
func (c *call) verifyBody(data []byte) (checksum, error) {
	if _, ok := c.fault(kindCorrupt); ok {
		return checksum{}, nil
	}
	if err := c.verifyDigests(data); err != nil {
		return checksum{}, err
	}
	if !c.cloud.profile.Checksums {
		return checksum{}, nil
	}
	sent, err := sentSum(c.r.Header)
	if err != nil || sent.algo == "" {
		return sent, err
	}
	if sumContent(sent.algo, memory(data)).value != sent.value {
		return checksum{}, errBadDigest.because("The " + strings.ToUpper(sent.algo) + " you specified did not match the calculated checksum.")
	}
	return sent, nil
}

// verifyDigests compares data with x-amz-content-sha256 and Content-MD5.
func (c *call) verifyDigests(data []byte) error {
	h := c.r.Header
	if want := h.Get("X-Amz-Content-Sha256"); want != unsignedPayload {
		sum := sha256.Sum256(data)
		if !hmac.Equal([]byte(want), []byte(hex.EncodeToString(sum[:]))) {
			return errSHA256Mismatch
		}
	}
	if want := h.Get("Content-Md5"); want != "" {
		raw, err := base64.StdEncoding.DecodeString(want)
		if err != nil || len(raw) != md5.Size {
			return errInvalidDigest
		}
		if [md5.Size]byte(raw) != md5Of(memory(data)) {
			return errBadDigest
		}
	}
	return nil
}

func (c *call) listBuckets() (answer, error) {
	doc := append([]byte(xmlHead), "<ListAllMyBucketsResult"+xmlNS+"><Owner><ID>testcloud</ID></Owner><Buckets>"...)
	for _, b := range c.cloud.bucketList() {
		doc = append(doc, "<Bucket>"...)
		doc = appendElem(doc, "Name", b.name)
		doc = appendElem(doc, "CreationDate", b.created.Format("2006-01-02T15:04:05.000Z"))
		doc = append(doc, "</Bucket>"...)
	}
	return c.document(append(doc, "</Buckets></ListAllMyBucketsResult>"...))
}

func (c *call) location() (answer, error) {
	p := &c.cloud.profile
	region := c.cloud.region
	if p.LocationElement == "LocationConstraint" && region == "us-east-1" {
		region = "" // AWS names its first region by silence
	}
	doc := append([]byte(xmlHead), "<"+p.LocationElement+xmlNS+">"...)
	doc = appendText(doc, region)
	return c.document(append(doc, "</"+p.LocationElement+">"...))
}

func (c *call) createBucket() (answer, error) {
	if _, _, err := c.readBody(1 << 20); err != nil {
		return answer{}, err
	}
	if c.cloud.Bucket(c.bucket) != nil {
		return answer{}, errBucketExists
	}
	c.cloud.CreateBucket(c.bucket)
	c.w.Header().Set("Location", "/"+c.bucket)
	return answer{status: http.StatusOK}, nil
}

func (c *call) deleteBucket(b *Bucket) (answer, error) {
	b.mu.RLock()
	empty := b.empty()
	b.mu.RUnlock()
	if !empty {
		return answer{}, errBucketNotEmpty
	}
	c.cloud.RemoveBucket(c.bucket)
	return answer{status: http.StatusNoContent}, nil
}

// now is the instant of a write, in the resolution that is kept.
func (c *Cloud) now() time.Time { return c.clock().UTC().Truncate(time.Millisecond) }
