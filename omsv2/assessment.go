package omsv2

import (
	"context"
	"net/http"
	"net/url"
)

// CreateAssessmentRequest asks what a bucket holds. It is an extension of this service.
type CreateAssessmentRequest struct {
	// The bucket, as in CreateTask; object_key are prefixes, [""] is the whole bucket.
	SrcNode *SourceNodeRequest `json:"src_node"`
}

// CreateAssessmentResponse names the new assessment.
type CreateAssessmentResponse struct {
	// Id of the assessment.
	ID string `json:"assessment_id"`
}

// Assessment is what is known of a bucket. Sizes are bytes.
type Assessment struct {
	// Id of the assessment.
	ID string `json:"id"`
	// running, succeeded or failed.
	Status string `json:"status"`
	// The bucket.
	SrcNode SourceNode `json:"src_node"`
	// When it began; Unix milliseconds.
	StartTime int64 `json:"start_time"`
	// When it ended; Unix milliseconds, 0 while it runs.
	EndTime int64 `json:"end_time"`
	// Why it failed; null otherwise.
	ErrorReason *ErrorReason `json:"error_reason"`
	// Objects found.
	Objects int64 `json:"objects"`
	// Their bytes.
	Bytes int64 `json:"bytes"`
	// Bytes of the largest object.
	Largest int64 `json:"largest"`
	// When the object was modified that was not for longest; Unix milliseconds, 0 without objects.
	Oldest int64 `json:"oldest"`
	// When the object was modified that was last; Unix milliseconds, 0 without objects.
	Newest int64 `json:"newest"`
	// Objects by size, ascending.
	Sizes []SizeClass `json:"sizes"`
	// Objects by storage class as the store names it, the most bytes first.
	Classes []StorageCount `json:"classes"`
	// Keys that some store or tool has trouble with.
	Keys []KeyTrait `json:"keys"`
	// Properties of at most 200 objects that were drawn evenly.
	Sample MetadataSample `json:"sample"`
	// What a migration into an empty bucket takes.
	Estimate MigrationEstimate `json:"estimate"`
}

// SizeClass counts the objects of at most so many bytes that are larger than those of the class before.
type SizeClass struct {
	// Upper bound; 9223372036854775807 in the last class.
	UpTo int64 `json:"up_to"`
	// Objects.
	Objects int64 `json:"objects"`
	// Their bytes.
	Bytes int64 `json:"bytes"`
}

// StorageCount counts the objects of a storage class.
type StorageCount struct {
	// Name; "" when the store does not tell.
	Class string `json:"class"`
	// Objects.
	Objects int64 `json:"objects"`
	// Their bytes.
	Bytes int64 `json:"bytes"`
}

// KeyTrait counts keys with a trait.
type KeyTrait struct {
	// not_utf8, control_characters, longer_than_900_bytes, slash_at_the_start, slash_at_the_end, double_slash,
	// blank_at_an_end or dot_segments.
	Trait string `json:"trait"`
	// Objects.
	Objects int64 `json:"objects"`
	// One of the keys, without what messages cannot carry.
	Example string `json:"example"`
}

// MetadataSample tells of the properties of some objects.
type MetadataSample struct {
	// Objects asked for.
	Asked int64 `json:"asked"`
	// Those that could not be asked for.
	Failed int64 `json:"failed"`
	// Those with metadata of users.
	WithMetadata int64 `json:"with_metadata"`
	// Those with more metadata of users than the 2 KiB that most stores take.
	Oversized int64 `json:"oversized"`
	// Those with metadata of users that is no ASCII.
	NotASCII int64 `json:"not_ascii"`
	// Those with a Content-Encoding.
	Encoded int64 `json:"encoded"`
	// Those encrypted by a key of a key management service or of a customer.
	Encrypted int64 `json:"encrypted"`
	// Those that must be restored before they can be read.
	Archived int64 `json:"archived"`
}

// MigrationEstimate is what a migration into an empty bucket takes, without repeated requests.
type MigrationEstimate struct {
	// Pages of listings.
	ListRequests int64 `json:"list_requests"`
	// Requests to the source's objects.
	ReadRequests int64 `json:"read_requests"`
	// Requests to the destination's objects.
	WriteRequests int64 `json:"write_requests"`
	// Milliseconds at the assumed speeds: the longer of the times for objects and for bytes.
	Time int64 `json:"time"`
	// Assumed: objects per second.
	ObjectsPerSecond int64 `json:"objects_per_second"`
	// Assumed: bytes per second.
	BytesPerSecond int64 `json:"bytes_per_second"`
}

// CreateAssessment begins to look at what a bucket holds. It is an extension of this service.
func (c *Client) CreateAssessment(ctx context.Context, req *CreateAssessmentRequest) (*CreateAssessmentResponse, error) {
	return call[CreateAssessmentResponse](ctx, c, request{op: "create assessment", method: http.MethodPost, path: c.assessments(), body: req})
}

// ShowAssessment returns what an assessment has found so far. It is an extension of this service.
func (c *Client) ShowAssessment(ctx context.Context, id string) (*Assessment, error) {
	return call[Assessment](ctx, c, request{op: "show assessment", method: http.MethodGet, path: c.assessments() + "/" + url.PathEscape(id)})
}

func (c *Client) assessments() string {
	return "/ext/v1/" + url.PathEscape(c.ProjectID) + "/assessments"
}
