package oms

// ListKind is one of the lists of objects that a task writes to its destination (OMS v2, 6.10).
type ListKind = SyncListKind

// ListMetadata is the list of objects whose metadata was not carried whole, an extension. Stored.
const ListMetadata ListKind = "metadata"

// RecordedLists returns the lists whose lines come with checkpoints. Failed objects are rows.
func RecordedLists() []ListKind { return []ListKind{ListSuccess, ListSkip, ListMetadata} }

// Lines are lines of an object list in the order in which the objects were done.
type Lines struct {
	Entries int64
	Text    []byte // each line ends with a newline
}

// Add appends the lines of more. l takes the memory of more over when it has none of its own.
func (l *Lines) Add(more Lines) {
	l.Entries += more.Entries
	if l.Text == nil {
		l.Text = more.Text
		return
	}
	l.Text = append(l.Text, more.Text...)
}

// Outcomes is what a checkpoint adds to the object lists of its task. The zero value adds nothing.
type Outcomes struct {
	Success, Skip, Metadata Lines
	Uncarried               UncarriedCounts
}

// Add appends more.
func (o *Outcomes) Add(more *Outcomes) {
	o.Success.Add(more.Success)
	o.Skip.Add(more.Skip)
	o.Metadata.Add(more.Metadata)
	for i, n := range more.Uncarried {
		o.Uncarried[i] += n
	}
}

// Lines returns the lines of a list.
func (o *Outcomes) Lines(kind ListKind) *Lines {
	switch kind {
	case ListSuccess:
		return &o.Success
	case ListSkip:
		return &o.Skip
	case ListMetadata:
		return &o.Metadata
	case ListFailed:
	}
	return &Lines{}
}

// Size returns the bytes of all lines.
func (o *Outcomes) Size() int { return len(o.Success.Text) + len(o.Skip.Text) + len(o.Metadata.Text) }

// Uncarried is a kind of property that an object has at the source and not at the destination.
type Uncarried uint8

// The kinds.
const (
	UncarriedObjects      Uncarried = iota // objects with any of the kinds below but the last: a count only
	UncarriedUserMetadata                  // user metadata that the destination does not take
	UncarriedHeader                        // a standard header whose value cannot be sent
	UncarriedTags
	UncarriedRedirect // website redirect
	UncarriedLock     // retention or legal hold
	UncarriedNotAsked // any metadata, in a task that was told not to carry it
	UncarriedKinds    // number of kinds
)

// String returns the name that is stored and shown.
func (u Uncarried) String() string {
	return [...]string{
		"objects", "user_metadata", "header", "tags", "website_redirect", "object_lock", "not_asked", "none",
	}[min(u, UncarriedKinds)]
}

// UncarriedCounts count objects by kind.
type UncarriedCounts [UncarriedKinds]int64

// ObjectList is an object list of a task as far as it is known to the store.
type ObjectList struct {
	Kind    ListKind
	BeganAt int64 // Unix microseconds; tells lists of a task that began anew apart
	Segment int64 // that lines are added to
	Entries int64 // lines, those in list files included
	Size    int64 // bytes
	Filed   int64 // segments up to this one are in list files
	Stamp   int64 // Unix milliseconds, names the files that are being written; 0: none are
	Code    string
	Files   []ObjectListFile // in order; what they hold comes before all segments behind Filed
}

// ListPiece is a piece of an object list that has not become a segment.
type ListPiece struct {
	Segment, Seq int64
	Entries      int64
	Text         []byte
}

// ListSegment is a piece of an object list that is an object at the destination.
type ListSegment struct {
	Number  int64
	Entries int64
	Size    int64 // bytes
	ETag    string
	CRC32C  uint32
}

// ObjectListFile is a list file at the destination.
type ObjectListFile struct {
	Key     string
	Entries int64
	Size    int64 // bytes
}

// Bounds of object lists.
const (
	// ListSegmentBytes is the most that a segment holds. One that is followed by another holds at least
	// ListSegmentBytes - ListPieceBytes: enough for a part of an upload.
	ListSegmentBytes = 8 << 20
	ListPieceBytes   = 1 << 20 // the most that a piece holds
	// ListFileSegments is how many segments a list file holds, so that it can be the list file of another task
	// (at most 1,024 MiB, OMS v2, 6.2).
	ListFileSegments = 128
)

// Codes of lists that could not be written (OMS v2, 3.5).
const (
	CodeListNotSaved   = "OMS.0304"
	CodeListIncomplete = "OMS.0307"
)

// ObjectQuery asks for objects of a task by what became of them.
type ObjectQuery struct {
	Kind   ListKind
	Prefix string // only keys that start with it
	After  string // ObjectPage.Next of the page before
	Limit  int    // most objects of a page
	// Keys of the destination, where the lists are when the task has ended; zero: those that the task still has.
	Keys Credentials
}

// ObjectOutcome is an object of a task and what became of it.
type ObjectOutcome struct {
	Key      string
	Size     int64 // bytes
	Modified int64 // of the source object, Unix milliseconds; 0 when unknown
	Detail   string
	Failure  *Failure // of a failed object
}

// ObjectPage is a page of objects, in the order in which they were done. It may be empty although more follow.
type ObjectPage struct {
	Objects []ObjectOutcome
	Next    string // "" at the end of what there is at this moment
}

// TaskLists is what is known of the object lists of a task.
type TaskLists struct {
	Bucket    string // of the destination
	Lists     []ObjectList
	Folders   map[ListKind]string // where the files of each list are
	Uncarried UncarriedCounts
}
