package s3

import (
	"net/http"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// listVersion is the variant of ListObjects that a store pages with.
type listVersion uint8

const (
	listV2 listVersion = iota // list-type=2, start-after and continuation-token
	listV1                    // marker
)

// metaCode is how values outside printable ASCII travel in user metadata headers.
type metaCode uint8

const (
	metaRFC2047 metaCode = iota // =?UTF-8?B?...?=
	metaRaw                     // bytes as they are; answers may hold base64
)

// sizes of the part rules.
const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	// decimalGB is what vendors mean that write GB and document decimal limits.
	decimalGB = 1_000_000_000
)

// quirks is what tells one S3-like store from another (providers.md 1.1 to 1.14). The zero value is plain S3.
type quirks struct {
	list        listVersion
	rawKeys     bool // encoding-type=url is not understood or breaks paging
	pathOnly    bool // bucket in the path whatever the endpoint says
	virtualOnly bool // bucket in the host even where its dots break the wildcard certificate

	metaWrite    metaCode
	metaBase64   bool     // answers carry base64 where AWS uses RFC 2047
	metaPrefixes []string // canonical prefixes of user metadata in answers, beside X-Amz-Meta-

	payerHeaders   []string // sent with the value "requester"; none when the store has no such thing
	regionHeaders  []string
	crc64Header    string   // answer header with the decimal CRC-64/XZ of the object
	locationPrefix string   // removed from the text of GET ?location
	emptyLocation  string   // what an empty answer to GET ?location means
	encryptHeader  string   // vendor's server-side encryption header in answers, beside the one of S3
	kms            header   // has an object encrypted with a key of the key service; empty when that cannot be asked for
	restoreHeaders []string // answer headers that tell of a restore
	restoreJob     string   // element of a restore request that holds the tier
	restoreMethod  string

	acceptEncoding string // what keeps the store from coding bodies by itself
	opaqueETag     bool   // the ETag is never an MD5
	noContentMD5   bool
	checksums      bool // x-amz-checksum-* is understood
	noPartCopy     bool
	serviceDomain  string // endpoints in this domain list buckets at serviceHost
	serviceHost    string

	limits storage.PartLimits
}

// fileSystem changes the rules for a bucket that is a parallel file system: version 2 of the listing is not there, and
// with encoded keys version 1 answers its first page again and again. Nothing else is known of objects than their names.
func (q *quirks) fileSystem() {
	q.list, q.rawKeys = listV1, true
}

// limitsOf returns the common part rules with the smallest part of a store.
func limitsOf(minPart, maxPart int64) storage.PartLimits {
	return storage.PartLimits{MinPart: minPart, MaxPart: maxPart, MaxParts: 10_000, MaxSingle: maxPart}
}

// plain is what all stores start from.
func plain() quirks {
	return quirks{
		payerHeaders:   []string{"X-Amz-Request-Payer"},
		kms:            header{sseHeader, "aws:kms"},
		restoreHeaders: []string{"X-Amz-Restore"},
		restoreJob:     "GlacierJobParameters",
		restoreMethod:  http.MethodPost,
		regionHeaders:  []string{"X-Amz-Bucket-Region"},
		acceptEncoding: "identity",
		limits:         limitsOf(5*mib, 5*gib),
	}
}

// quirksOf returns the rules of the S3 face of a cloud; false for clouds that have none.
func quirksOf(cloud oms.CloudType) (quirks, bool) {
	q := plain()
	switch cloud {
	case oms.CloudAWS:
		q.checksums = true
		q.emptyLocation = "us-east-1"
	case oms.CloudHuawei, oms.CloudHEC:
		q.metaWrite, q.metaBase64 = metaRaw, true
		q.metaPrefixes = []string{"X-Obs-Meta-"}
		q.regionHeaders = append(q.regionHeaders, "X-Obs-Bucket-Location")
		q.crc64Header = "X-Obs-Hash-Crc64ecma"
		q.restoreHeaders = append(q.restoreHeaders, "X-Obs-Restore")
		q.encryptHeader = "X-Obs-Server-Side-Encryption"
		q.limits = limitsOf(100*kib, 5*decimalGB)
	case oms.CloudAliyun:
		q.virtualOnly = true
		q.metaPrefixes = []string{"X-Oss-Meta-"}
		q.crc64Header = "X-Oss-Hash-Crc64ecma"
		q.payerHeaders = append(q.payerHeaders, "X-Oss-Request-Payer")
		q.kms = header{"X-Oss-Server-Side-Encryption", "KMS"}
		q.restoreHeaders, q.restoreJob = append(q.restoreHeaders, "X-Oss-Restore"), "JobParameters"
		q.regionHeaders = append(q.regionHeaders, "X-Oss-Bucket-Region")
		q.locationPrefix = "oss-"
		q.encryptHeader = "X-Oss-Server-Side-Encryption"
		q.limits = limitsOf(100*kib, 5*decimalGB)
	case oms.CloudTencent:
		q.list = listV1
		q.metaPrefixes = []string{"X-Cos-Meta-"}
		q.crc64Header = "X-Cos-Hash-Crc64ecma"
		q.payerHeaders = append(q.payerHeaders, "X-Cos-Request-Payer")
		q.kms = header{"X-Cos-Server-Side-Encryption", "cos/kms"}
		q.restoreHeaders, q.restoreJob = append(q.restoreHeaders, "X-Cos-Restore"), "CASJobParameters"
		q.regionHeaders = append(q.regionHeaders, "X-Cos-Bucket-Region")
		q.encryptHeader = "X-Cos-Server-Side-Encryption"
		q.opaqueETag = true
		q.serviceDomain, q.serviceHost = ".myqcloud.com", "service.cos.myqcloud.com"
		q.limits = limitsOf(mib, 5*decimalGB)
	case oms.CloudKingsoft:
		q.list = listV1
		q.metaPrefixes = []string{"X-Kss-Meta-"}
		q.crc64Header = "X-Amz-Checksum-Crc64ecma"
		q.kms, q.restoreJob = header{}, "JobParameters"
		q.limits = limitsOf(100*kib, 5*decimalGB)
	case oms.CloudBaidu:
		q.metaPrefixes = []string{"X-Bce-Meta-"}
		q.crc64Header = "X-Bce-Content-Crc64ecma"
		q.kms = header{}
		q.restoreHeaders = append(q.restoreHeaders, "X-Bce-Restore")
		q.limits = limitsOf(100*kib, 5*decimalGB)
	case oms.CloudQiniu:
		q.rawKeys, q.pathOnly, q.opaqueETag = true, true, true
		q.kms = header{}
		q.limits = limitsOf(mib, 5*decimalGB)
		q.limits.MaxSingle = decimalGB
	case oms.CloudQing:
		q.list = listV1
		q.metaPrefixes = []string{"X-Qs-Meta-"}
		q.kms = header{}
		q.limits = limitsOf(4*mib, 5*decimalGB)
	case oms.CloudUCloud:
		q.list = listV1
		q.opaqueETag = true
		q.kms, q.restoreMethod = header{}, http.MethodPut
		q.limits = limitsOf(8*mib, 8*mib)
		q.limits.MaxSingle = 5 * decimalGB
	case oms.CloudGoogle:
		q.metaPrefixes = []string{"X-Goog-Meta-"}
		q.payerHeaders, q.kms = nil, header{} // both want a name that no task has
		q.acceptEncoding = "gzip"             // else objects stored with Content-Encoding gzip are unpacked on the way
		q.noPartCopy = true
		q.encryptHeader = "X-Goog-Encryption-Kms-Key-Name"
	case oms.CloudAzure, oms.CloudURL:
		return quirks{}, false
	default:
		return quirks{}, false
	}
	return q, true
}
