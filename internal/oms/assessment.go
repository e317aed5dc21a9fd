package oms

import "time"

// AssessmentStatus is the state of an assessment. Stored.
type AssessmentStatus string

// The states.
const (
	AssessmentRunning   AssessmentStatus = "running"
	AssessmentSucceeded AssessmentStatus = "succeeded"
	AssessmentFailed    AssessmentStatus = "failed"
)

// AssessmentStale is how long an assessment that runs may be without news until it counts as interrupted: its process
// is gone.
const AssessmentStale = time.Minute

// Assessment is a look at what a bucket holds, before it is migrated.
type Assessment struct {
	ID        string
	ProjectID string
	Status    AssessmentStatus
	Src       SourceNode // Keys are prefixes
	CreatedAt time.Time
	UpdatedAt time.Time
	EndedAt   time.Time    // zero while it runs
	Error     *ErrorReason // of one that failed
	Report    AssessmentReport
}

// Settled returns the assessment as it is at the instant: one without news is interrupted.
func (a Assessment) Settled(now time.Time) Assessment {
	if a.Status == AssessmentRunning && now.Sub(a.UpdatedAt) > AssessmentStale {
		a.Status, a.EndedAt = AssessmentFailed, a.UpdatedAt
		a.Error = &ErrorReason{Code: "TRF.0001", Message: "The process that assessed the bucket has ended. Assess it again."}
	}
	return a
}

// AssessmentReport is what an assessment has found so far. Sizes are bytes.
type AssessmentReport struct {
	Objects, Bytes int64
	Largest        int64
	Oldest, Newest time.Time
	Sizes          []SizeClass    // ascending, those with objects
	Classes        []StorageCount // by storage class as the store names it, the most bytes first
	Keys           []KeyTrait     // keys that some store or tool has trouble with
	Sample         MetadataSample
	Requests       RequestEstimate
}

// SizeClass counts objects of at most UpTo bytes that are larger than those of the class before.
type SizeClass struct {
	UpTo           int64 // math.MaxInt64 in the last class
	Objects, Bytes int64
}

// StorageCount counts objects of a storage class.
type StorageCount struct {
	Class          string // "" when the store does not tell
	Objects, Bytes int64
}

// KeyTrait counts keys with a trait.
type KeyTrait struct {
	Trait   string
	Objects int64
	Example string // cleaned
}

// MetadataSample tells of the properties of some objects, evenly drawn from all.
type MetadataSample struct {
	Asked, Failed int64 // objects asked for, and those that could not be
	WithMetadata  int64 // with metadata of users
	// Oversized have more metadata of users than the 2 KiB that most stores take; NotASCII have some that is no ASCII.
	Oversized, NotASCII int64
	Encoded             int64 // with a Content-Encoding
	Encrypted           int64 // with keys of a key management service or of a customer, so that the ETag proves nothing
	Archived            int64 // must be restored before they can be read
}

// RequestEstimate is how many requests a migration into an empty bucket takes.
type RequestEstimate struct {
	List, Read, Write int64
}
