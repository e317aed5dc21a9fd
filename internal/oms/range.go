package oms

// RangeKind says which ordered space a range is a piece of. Stored: append only.
type RangeKind string

// The spaces of this version.
const (
	RangeKeys     RangeKind = "keys"     // keys of the source bucket below Prefix, in byte order
	RangeNames    RangeKind = "names"    // exact keys named by the task, in byte order
	RangeFailures RangeKind = "failures" // the task's failed objects, in byte order of key
	// RangeLate makes good what ranges over keys may have missed: it says that the source, below Prefix, does not list in
	// byte order, and passes once more, in the order of a listing that was sorted, over all keys that those ranges had
	// passed by then. Its counters hold what they do not.
	RangeLate   RangeKind = "late"
	RangeEvents RangeKind = "events" // names that arrive while the range is worked on, in their order; never stored
	RangeLines  RangeKind = "lines"  // lines of a list file by byte offset, see ListSource
)

// Range is the unit of work: the half-open piece (Cur, End] of a task's space that is still to be done.
// Start never changes; counters cover exactly the keys in (Start, Cur].
type Range struct {
	TaskID     int64
	Seq        int64 // unique within the task
	Generation int64 // run of the task that owns it
	Kind       RangeKind
	Prefix     string // RangeKeys: every key of the range starts with it
	Start      string // exclusive; "" is before every key
	Cur        string // exclusive; the last key whose result is stored
	End        string // inclusive; "" means no upper bound
	Done       bool   // the range has been passed to its end by a well-formed last page
	Owner      string // worker that holds the lease; "" when free
	Token      int64  // grows with every claim; every write is conditional on it
	Counters   Counters
}

// Resumed reports whether the range was leased before, so that objects at the destination may be its own work.
func (r Range) Resumed() bool { return r.Token > 1 }

// Contains reports whether key lies in what is still to be done.
func (r Range) Contains(key string) bool { return key > r.Cur && (r.End == "" || key <= r.End) }

// Failure is an object that could not be migrated, with its cause. Unique per task and key.
type Failure struct {
	TaskID  int64
	Key     string
	Gen     int64 // generation of the run it failed in; set by the store from the checkpoint
	Size    int64 // bytes, 0 when unknown
	Kind    Kind
	Code    string // code of the failed list, e.g. UPLOAD_DST_OBJ_FAILURE (OMS v2, 6.10)
	Message string // cause, cleaned and capped
	At      int64  // Unix milliseconds
}

// Wrote reports whether the attempt may have left something at the destination.
func (f Failure) Wrote() bool {
	return f.Code == FailUpload || f.Code == FailComplete || f.Code == FailConsistency
}

// Codes of failed objects (OMS v2 errors, section 4).
const (
	FailGetMeta      = "GET_SRC_OBJ_META_FAILURE"
	FailGet          = "GET_SRC_OBJ_FAILURE"
	FailGetDstMeta   = "GET_DST_OBJ_META_FAILURE"
	FailUpload       = "UPLOAD_DST_OBJ_FAILURE"
	FailInitUpload   = "INIT_DST_OBJ_MULTIPART_FAILURE"
	FailComplete     = "COMPLETE_DST_OBJ_MULTIPART_FAILURE"
	FailArchived     = "MIGRATE_SRC_ARCHIVE_OBJ_FAILURE"
	FailConsistency  = "CHECK_OBJ_CONSISTENCY_FAILURE"
	FailName         = "INVALID_OBJ_NAME"
	FailMissing      = "404"                    // a named object does not exist
	FailAbsent       = "MISSING_AT_DESTINATION" // ModeVerify
	FailDiffers      = "DIFFERS_AT_DESTINATION" // ModeVerify
	MaxRecordedFails = 100_000
)

// Upload is an open multipart upload. It is stored before its first part is sent and ends completed or
// aborted (rule C2).
type Upload struct {
	TaskID   int64
	Key      string // source key
	UploadID string
	PartSize int64
	Size     int64  // of the source object
	ETag     string // of the source object; another ETag makes the upload worthless
	Parts    []UploadedPart
}

// UploadedPart is a part whose arrival was proved.
type UploadedPart struct {
	Number int
	ETag   string
	CRC32C uint32
}

// Ref returns the upload's name.
func (u Upload) Ref() UploadRef { return UploadRef{TaskID: u.TaskID, Key: u.Key, UploadID: u.UploadID} }
