package testcloud

// An ETagKind says how a store makes ETags.
type ETagKind uint8

// The kinds of ETag.
const (
	ETagMD5      ETagKind = iota // hex MD5 of the content; MD5 of the part MD5s, "-", parts for multipart
	ETagMD5Upper                 // the same in upper case, as Aliyun OSS
	ETagWholeMD5                 // MD5 of the whole content for multipart uploads too, as some clones
	ETagOpaque                   // unrelated to the content
	ETagKMS                      // looks like an MD5 and is none: of objects encrypted with a key service's key
)

// ListV2 says what a store does with list-type=2.
type ListV2 uint8

// The answers to list-type=2.
const (
	ListV2Supported ListV2 = iota
	ListV2Ignored          // answered as version 1
	ListV2Refused          // 501 NotImplemented
)

// A KeyOrder is the order in which a store lists real objects.
type KeyOrder uint8

// The orders. Markers and tokens work in each of them.
const (
	ByteOrder  KeyOrder = iota
	HashOrder           // of a hash of the key, as stores that encrypt or spread keys; delimiters are refused
	UTF16Order          // of UTF-16 code units, as some gateways in Java or JavaScript
)

// A StartAfter says what a store does with start-after, and with the marker of version 1.
type StartAfter uint8

// The answers to start-after.
const (
	StartAfterExclusive StartAfter = iota // keys behind it
	StartAfterInclusive                   // the key itself, too
	StartAfterIgnored                     // the first page again; version 1 takes markers only
	StartAfterRefused                     // 400, as S3 directory buckets; version 1 takes markers only
	StartAfterSkips                       // a position that is no key leads behind the key after it
)

// A Profile is the personality of a provider as data. Take one of the constructors and change fields where
// a test needs it; the sizes are bytes.
type Profile struct {
	Name            string // for messages
	Checksums       bool   // x-amz-checksum-* is verified, kept and returned; otherwise ignored silently
	CRC64Header     string // answers carry the decimal CRC-64/XZ of the content under this name; "" means none
	ETag            ETagKind
	ListV2          ListV2
	LocationElement string   // root of ?location: LocationConstraint (AWS) or Location (OBS)
	VirtualHostOnly bool     // path style is refused
	Order           KeyOrder // of listings of real objects
	StartAfter      StartAfter
	PlainListing    bool     // encoding-type=url is ignored
	NextMarker      bool     // version 1 lists say NextMarker without a delimiter too
	ListMillis      bool     // listings show Last-Modified with milliseconds, not only whole seconds
	RFC2047         bool     // non-ASCII metadata comes back as RFC 2047 encoded words
	NoConditions    bool     // If-Match and its like are ignored
	Tokens          bool     // bearer tokens and x-goog- headers, as Google, beside signatures
	PartHeads       bool     // HEAD with partNumber=1 tells the size of the first part and how many there are
	MaxKeys         int      // per listing page
	MaxParts        int      // highest part number and number of parts of a ListParts page
	MinPartSize     int64    // of all parts but the last
	MaxPutSize      int64    // of one PUT, part or copy
	MetadataLimit   int      // names and values of user metadata together
	ArchiveClasses  []string // storage classes that must be restored before they can be read
	StorageClasses  []string // names that a write may give; none means those of S3
	NoKMS           bool     // a request to encrypt is ignored silently
	FileSystem      bool     // a parallel file system: see [PFS]
}

// AWS is Amazon S3 as of 2025: checksums of every kind, CRC64NVME by default, MD5 ETags.
func AWS() Profile {
	return Profile{
		Name:            "aws",
		Checksums:       true,
		LocationElement: "LocationConstraint",
		RFC2047:         true,
		PartHeads:       true,
		MaxKeys:         1000,
		MaxParts:        10_000,
		MinPartSize:     5 << 20,
		MaxPutSize:      5 << 30,
		MetadataLimit:   2 << 10,
		ArchiveClasses:  []string{"GLACIER", "DEEP_ARCHIVE"},
	}
}

// OBS is the S3 face of Huawei OBS: its own location document, no checksum headers, 100 KiB parts.
func OBS() Profile {
	p := Plain()
	p.Name = "obs"
	p.LocationElement = "Location"
	p.ListMillis = true
	p.NextMarker = true
	p.MinPartSize = 100 << 10
	return p
}

// Plain is a store without checksum headers whose ETags are MD5s.
func Plain() Profile {
	p := AWS()
	p.Name = "plain"
	p.Checksums = false
	p.RFC2047 = false
	p.PartHeads = false
	return p
}

// OpaqueETag is a store that gives no evidence about content at all.
func OpaqueETag() Profile {
	p := Plain()
	p.Name = "opaque-etag"
	p.ETag = ETagOpaque
	return p
}

// OSS is Aliyun OSS through its S3 face: virtual hosts only, upper-case ETags, CRC-64/XZ headers.
func OSS() Profile {
	p := Plain()
	p.Name = "oss"
	p.ETag = ETagMD5Upper
	p.VirtualHostOnly = true
	p.CRC64Header = "X-Oss-Hash-Crc64ecma"
	p.MinPartSize = 100 << 10
	p.MetadataLimit = 8 << 10
	return p
}

// PFS is a parallel file system of Huawei OBS: a directory tree that looks like a bucket. Names with an empty component or
// more than 44 levels of directories, data in a directory and a file where a directory is are refused; listings know
// version 1 only and never advance when keys are to be encoded.
func PFS() Profile {
	p := OBS()
	p.Name = "pfs"
	p.FileSystem = true
	p.ListV2 = ListV2Refused
	p.StorageClasses = []string{standardClass}
	return p
}

// Unordered is a store that lists keys in the order of a hash. Markers and tokens work in that order.
func Unordered() Profile {
	p := Plain()
	p.Name = "unordered"
	p.Order = HashOrder
	return p
}

// Directory is an S3 directory bucket: no order, and only continuation tokens lead on.
func Directory() Profile {
	p := Unordered()
	p.Name = "directory"
	p.StartAfter = StartAfterRefused
	return p
}

// UTF16 is a store that sorts keys as UTF-16, so that characters beyond U+FFFF come before U+E000.
func UTF16() Profile {
	p := Plain()
	p.Name = "utf-16"
	p.Order = UTF16Order
	return p
}

// V1Only is a store that answers list-type=2 as version 1.
func V1Only() Profile {
	p := Plain()
	p.Name = "v1only"
	p.ListV2 = ListV2Ignored
	return p
}

// FewParts is a store that takes at most 1,000 parts.
func FewParts() Profile {
	p := Plain()
	p.Name = "few-parts"
	p.MaxParts = 1000
	return p
}

// Clone is a careless copy of S3: conditions, encoding-type and the multipart form of the ETag are unknown.
func Clone() Profile {
	p := Plain()
	p.Name = "clone"
	p.ETag = ETagWholeMD5
	p.NoConditions = true
	p.PlainListing = true
	return p
}

// Profiles returns all personalities, AWS first.
func Profiles() []Profile {
	return []Profile{AWS(), OBS(), Plain(), OpaqueETag(), OSS(), Unordered(), Directory(), UTF16(), V1Only(), FewParts(), Clone(), GCS()}
}
