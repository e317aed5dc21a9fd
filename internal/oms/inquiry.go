package oms

import "strings"

// BucketQuery says which account or bucket a question is about. It lives as long as the request: its keys are neither
// stored nor logged.
type BucketQuery struct {
	CloudType   CloudType
	Endpoint    Endpoint // resolved from the region; zero for questions about the account
	Bucket      string
	AppID       string // Tencent APPID; may be empty
	Credentials Credentials
}

// StoreBucket returns the name that the store knows a bucket by: Tencent COS puts the APPID behind it.
func (q BucketQuery) StoreBucket() string {
	if q.CloudType == CloudTencent && q.AppID != "" && !strings.HasSuffix(q.Bucket, "-"+q.AppID) {
		return q.Bucket + "-" + q.AppID
	}
	return q.Bucket
}

// BucketRegion is where a bucket is.
type BucketRegion struct {
	ID, Name  string
	Supported bool // tasks can use it
}

// FolderEntry is an object, or a folder whose name ends in "/".
type FolderEntry struct {
	Name   string
	Size   int64
	Folder bool // has no size
}

// FolderPage is a page of one level of a bucket.
type FolderPage struct {
	Entries []FolderEntry
	More    bool // entries follow the last one
}

// CDNReport says what a CDN host is to a bucket.
type CDNReport struct {
	SameCloud bool // the host belongs to the vendor of the bucket, as far as can be told
	Available bool // at least one object was asked for, and the host serves all that the bucket holds
	Keys      []CDNKeyReport
}

// CDNKeyReport says what a CDN host makes of one object.
type CDNKeyReport struct {
	Key         string // as it was asked for
	Exists      bool   // in the bucket and at the host
	ETagMatches bool
}

// KeysRefused reports whether err is a provider's refusal of the keys themselves, rather than of what was done with
// them.
func KeysRefused(err error) bool { return keysRefused(err) }
