// Package storage is the seam between the data plane and the storage protocols: what a bucket can do, in the
// words of the field, and how errors are told apart.
//
// A provider implements Reader, most implement Writer, and further abilities are small interfaces found by
// type assertion (Multiparter, PartSizer, Brancher, Browser, Relayer, Copier, BucketLister). All methods are safe for
// concurrent use, honour ctx, never retry (only package transfer retries), and return *oms.Error; context errors pass
// through. Keys are opaque bytes: nobody trims, cleans or normalises them (rule D3).
package storage

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Reader is a bucket that objects can be listed and read from.
type Reader interface {
	// List returns one page of the objects whose keys start with opts.Prefix and lie after opts.After, in ascending
	// byte order of key. A page that is not strictly ascending, holds a key at or before opts.After or outside the
	// prefix, or is malformed, gives oms.Listing; where only the order is wrong the error is ErrOrder as well.
	// oms.NoBucket when the bucket is missing.
	List(ctx context.Context, opts ListOptions) (Page, error)
	// Stat returns the object's properties; oms.NotFound when there is no such key.
	Stat(ctx context.Context, key string) (Object, error)
	// Open reads the object or a part of it. oms.Changed when opts.IfMatch is set and no longer matches, oms.Archived
	// when it must be restored first, oms.Changed as well when the object is not as long as opts.Range or opts.Size
	// say. The content's Body yields exactly the bytes asked for, else an error of kind
	// oms.Transient (too few: the connection broke) or oms.Corrupt (too many); the caller closes it.
	Open(ctx context.Context, key string, opts OpenOptions) (Content, error)
}

// Writer is a bucket that objects can be written to as well.
type Writer interface {
	Reader
	// Put stores one whole object, replacing any; nothing is visible until it returns nil. oms.Corrupt when the store
	// refuses the checksum sent.
	Put(ctx context.Context, req PutRequest) (Written, error)
	// Delete removes a key; removing what does not exist is no error.
	Delete(ctx context.Context, key string) error
}

// Multiparter writes large objects in parts.
type Multiparter interface {
	// CreateUpload opens an upload and returns its id.
	CreateUpload(ctx context.Context, key string, attrs Attrs) (uploadID string, err error)
	// PutPart stores one part; sending a number again replaces it. oms.NotFound when the upload is gone.
	PutPart(ctx context.Context, req PartRequest) (Written, error)
	// CompleteUpload makes the object visible. It succeeds only if the answer's body says so (rule D7). oms.NotFound
	// when the upload is gone, which may mean that an earlier attempt completed it.
	CompleteUpload(ctx context.Context, key, uploadID string, parts []Part) (Written, error)
	// AbortUpload drops an upload and its parts; dropping what does not exist is no error.
	AbortUpload(ctx context.Context, key, uploadID string) error
	// ListParts returns all parts that the store holds, in order of number; oms.NotFound when the upload is gone.
	ListParts(ctx context.Context, key, uploadID string) ([]Part, error)
	// ListUploads returns the open uploads whose keys start with prefix, at most limit (0 means 1,000).
	ListUploads(ctx context.Context, prefix string, limit int) ([]OpenUpload, error)
	// PartLimits returns what the store allows.
	PartLimits() PartLimits
}

// Brancher lists one level of keys that look like paths.
type Brancher interface {
	// Branches returns what follows prefix up to and with the next "/", prefix included, of at most a page of the keys
	// behind it: hints for splitting the key space, not a complete list.
	Branches(ctx context.Context, prefix string) ([]string, error)
}

// Browser shows one level of keys that look like paths, page by page, to people who look around.
type Browser interface {
	// Browse returns the page of the level below opts.Prefix that follows the name opts.After ("" is the start), at most
	// opts.Limit entries. opts.Token is not used. Errors are those of Reader.List.
	Browse(ctx context.Context, opts ListOptions) (Level, error)
}

// Level is a page of one level, in ascending byte order of name.
type Level struct {
	Entries   []Entry
	Truncated bool // more entries follow the last one
}

// Entry is an object of the level, or a folder: all keys that share the name up to a "/".
type Entry struct {
	Name   string // whole key; a folder's ends in "/"
	Size   int64  // 0 for folders
	Folder bool
}

// PartSizer tells how an object was uploaded.
type PartSizer interface {
	// PartSize returns the bytes of the first part of an object that was uploaded in parts and still has the ETag, and
	// how many parts there are. oms.Unsupported when the store does not tell.
	PartSize(ctx context.Context, key, etag string) (size int64, parts int, err error)
}

// Relayer is a bucket whose objects can move to another bucket without passing through this process.
type Relayer interface {
	// CanRelay reports whether the Body of an object opened here, and a Body given to Put here, may be moved inside the
	// kernel: the other bucket must say so as well. It is a fact about the connections, not a promise.
	CanRelay() bool
}

// Mover is the Body of a Content that takes the shortest way to where it goes.
type Mover interface {
	io.Reader
	// Move moves up to most bytes of the rest to w, fewer only at the end. A w that a Put gave to the WriteTo of its
	// Body may take them without bringing them into this process.
	Move(w io.Writer, most int64) (int64, error)
}

// Copier copies inside one store without moving bytes through this process.
type Copier interface {
	// Copy copies srcBucket/srcKey, if its ETag still is etag (empty: any), to key.
	Copy(ctx context.Context, srcBucket, srcKey, etag, key string, attrs *Attrs) (Written, error)
	// CopyPart copies a byte range of srcBucket/srcKey into part number of an upload.
	CopyPart(ctx context.Context, srcBucket, srcKey, etag string, r ByteRange, key, uploadID string, number int) (Written, error)
}

// BucketLister answers questions about the account, for set-up and checks.
type BucketLister interface {
	// ListBuckets returns the names of the account's buckets.
	ListBuckets(ctx context.Context) ([]string, error)
	// Location returns the region id of the bucket; "" when the store does not tell.
	Location(ctx context.Context) (string, error)
	// CheckBucket returns nil when the bucket exists and may be accessed; oms.NoBucket or oms.Denied otherwise.
	CheckBucket(ctx context.Context) error
}

// FileSystemTeller knows whether a bucket is a parallel file system.
type FileSystemTeller interface {
	// FileSystem reports whether the bucket is a parallel file system. Errors are those of BucketLister.CheckBucket.
	FileSystem(ctx context.Context) (bool, error)
}

// ErrOrder says that a page is not the next piece of a listing in byte order: its keys do not ascend, or lie before
// where it should begin.
var ErrOrder = errors.New("not in byte order")

// ListOptions select a page.
type ListOptions struct {
	Prefix string
	After  string // exclusive lower bound; need not exist; "" starts at the first key
	Token  string // Page.Next of an empty truncated page: goes on exactly there; wins over After
	Limit  int    // most keys wanted; 0 means the store's maximum (mostly 1,000)
	// AnyOrder takes pages in whatever order the store lists, repeated keys included. Such a listing begins without
	// After and goes on by Token only: every truncated page has a Next.
	AnyOrder bool
}

// Page is one answer of a listing.
type Page struct {
	Objects   []ListedObject
	Truncated bool   // more keys follow; the only sign of the end is false
	Next      string // opaque position after this page; always set on pages that are empty and truncated
}

// ListedObject is what a listing tells about an object.
type ListedObject struct {
	Key          string
	Size         int64
	ModTime      time.Time // UTC; resolution as the store gives it
	ETag         string    // without quotes; "" when not given
	StorageClass string    // vendor's spelling; "" when not given
}

// Object is what HEAD or GET tell about an object.
type Object struct {
	ListedObject
	Restore   Restore
	KMS       bool // the store says that it encrypts the object with a key of its key service
	VersionID string
	Attrs     Attrs
	Sums      Sums // checksums of the whole object that the store reported
	Encrypted bool // ETag is no MD5: KMS or customer-key encryption (rule D6)
	Extras    Extras
}

// Extras are properties of an object that do not travel with it.
type Extras uint8

// The properties that stores tell of.
const (
	ExtraTags       Extras = 1 << iota
	ExtraRedirect          // website redirect
	ExtraLock              // retention or legal hold
	ExtraHiddenMeta        // user metadata that the store cannot show as headers
)

// AttrFitter is a Writer that knows beforehand what of an object's properties it cannot store.
type AttrFitter interface {
	// FitAttrs returns the attributes without what cannot be sent, and what that is. With a limit above 0 user metadata
	// is left out, the last names first, until names and values have at most so many bytes. The metadata of a is not
	// changed.
	FitAttrs(a Attrs, limit int) (fit Attrs, left []LeftOut)
}

// LeftOut is a property that is not sent.
type LeftOut struct {
	Name string // of the header; of user metadata without the vendor's prefix
	User bool   // user metadata
}

// Attrs are the properties that travel with an object.
type Attrs struct {
	ContentType        string
	ContentEncoding    string
	ContentDisposition string
	ContentLanguage    string
	CacheControl       string
	Expires            string
	StorageClass       string            // class to write; "" means the bucket's default
	KMS                bool              // have the store encrypt the object with the bucket's key in its key service
	Metadata           map[string]string // user metadata: lower-case names without the vendor's prefix
	// PartSums is for CreateUpload only: the kind of checksum that every PutPart of the upload will carry, which some
	// stores want to know beforehand. Zero: parts carry none but MD5.
	PartSums SumKinds
}

// Sums are checksums; a field is valid when its flag in Has is set.
type Sums struct {
	Has       SumKinds
	CRC32C    uint32
	CRC64NVME uint64
	CRC64ECMA uint64
	MD5       [16]byte
}

// SumKinds is a set of checksum kinds.
type SumKinds uint8

// The checksum kinds of providers.md 1.14.
const (
	SumCRC32C SumKinds = 1 << iota
	SumCRC64NVME
	SumCRC64ECMA
	SumMD5
)

// ByteRange is Size bytes from Offset.
type ByteRange struct {
	Offset, Size int64
}

// OpenOptions say what to read.
type OpenOptions struct {
	// Range limits the read; nil reads the whole object. The answer must be a 206 with exactly this range (rule D8).
	Range *ByteRange
	// IfMatch is the ETag without quotes that the object must still have; "" reads whatever is there.
	IfMatch string
	// Size is what a listing or HEAD said the whole object holds; the answer must agree. Negative: unknown.
	Size int64
}

// Content is an open object.
type Content struct {
	Object // Size is that of the whole object
	Body   io.ReadCloser
	Length int64 // bytes that Body yields; negative when the source does not say
}

// PutRequest writes one object.
type PutRequest struct {
	Key   string
	Body  io.Reader // read exactly once, Size bytes; not used after Put has returned
	Size  int64
	Attrs Attrs
	Sums  Sums // sent with the request so that the store checks them; kinds that it does not take are left out
}

// PartRequest writes one part of an upload.
type PartRequest struct {
	Key      string
	UploadID string
	Number   int       // from 1
	Body     io.Reader // read exactly once, Size bytes; not used after PutPart has returned
	Size     int64
	Sums     Sums
}

// Written is the store's answer to a write.
type Written struct {
	ETag      string // without quotes
	VersionID string
	Sums      Sums      // checksums that the store computed and returned
	Date      time.Time // the store's clock; zero when not told
	Encrypted bool      // ETag is no MD5
	KMS       bool      // the store says that it encrypts the object with a key of its key service
}

// Part is a part that a store holds, or that completes an upload.
type Part struct {
	Number int
	ETag   string
	Size   int64
	Sums   Sums
}

// OpenUpload is an upload that is neither completed nor aborted.
type OpenUpload struct {
	Key, UploadID string
	Initiated     time.Time
}

// PartLimits are a store's rules for multipart uploads.
type PartLimits struct {
	MinPart   int64 // bytes; all but the last part
	MaxPart   int64 // bytes
	MaxParts  int
	MaxSingle int64 // most bytes of one Put
}

// Bucket names a bucket to open.
type Bucket struct {
	CloudType   oms.CloudType
	Endpoint    oms.Endpoint
	Name        string
	Credentials oms.Credentials
	// RequesterPays sends the vendor's header on every read.
	RequesterPays bool
	// FileSystem says that the bucket is a parallel file system, which lists in a way of its own.
	FileSystem bool
	// CDN is the host that objects are read through; nil reads them from the bucket. Only an opener that knows CDN
	// hosts heeds it.
	CDN *CDN
}

// CDN is a host in front of a bucket, with the key that signs its URLs.
type CDN struct {
	oms.CDN
	Key oms.Secret // zero for hosts that need none
}

// CDNProber is a Reader of a bucket behind a CDN host, which it can try.
type CDNProber interface {
	// ProbeCDN asks bucket and host for the object. Trouble with the bucket is an error, trouble with the host an answer.
	ProbeCDN(ctx context.Context, key string) (CDNProbe, error)
}

// CDNProbe is what a CDN host makes of an object.
type CDNProbe struct {
	InBucket    bool  // the bucket holds the object; if not, the host was not asked
	Served      bool  // the host serves it in the version that the bucket holds
	ETagMatches bool  // the host knows it by the ETag of the bucket, or, telling none, by size and time
	SameVendor  bool  // the host belongs to the vendor of the bucket, as far as its name and answer tell
	Refusal     error // why it is not served; nil otherwise
}

// Opener opens buckets. It makes no request; wrong keys show at the first use. Callers type-assert the result
// to Writer and the optional abilities.
type Opener interface {
	Open(ctx context.Context, b Bucket) (Reader, error)
}
