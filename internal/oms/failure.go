package oms

// FailureFilter selects failures of one task.
type FailureFilter struct {
	After  string   // only failures behind this key; "" is before all
	Prefix string   // only keys that start with it
	Codes  []string // only failures with one of these codes; none means all
	Before int64    // only failures of runs before this generation; 0 means all
	Limit  int      // most failures that are returned; 0 means none
}

// Cause sums up the failures of a task that have one code.
type Cause struct {
	Code        string
	Count       int64     // objects
	Bytes       int64     // of those whose size is known
	First, Last int64     // when the first and the last of them failed, Unix milliseconds
	Samples     []Failure // the first of them in byte order of key
}

// CauseSamples is how many failures a Cause names at most.
const CauseSamples = 3

// MaxCauses is how many causes are told apart at most. Codes are those of this package and statuses of HTTP servers.
const MaxCauses = 100

// FailureHint says in one or two sentences what to do about objects that failed with the code.
func FailureHint(code string) string {
	switch code {
	case FailGetMeta:
		return "The source did not describe the object. Check that the source keys may read objects and that the store answers, then retry."
	case FailGet:
		return "Reading the source failed. Check that the source keys may read the object and that it is not being changed, then retry."
	case FailGetDstMeta:
		return "The destination did not say what it holds. Check that the destination keys may read objects, then retry."
	case FailUpload:
		return "Writing to the destination failed. Check its quota, its policies and that the keys may write, then retry."
	case FailInitUpload:
		return "The destination refused to begin an upload in parts. Check that the keys may do so; it refuses some Content-Types and metadata."
	case FailComplete:
		return "The destination did not put the parts together. Retry; if it fails again, look whether rules of the bucket remove unfinished uploads."
	case FailArchived:
		return "The object is archived. Restore it at the source, or create a task that restores, then retry."
	case FailConsistency:
		return "What arrived differs from the source, or the source object changed meanwhile. Retry when the object is at rest."
	case FailName:
		return "The destination cannot hold an object of this name. Rename it at the source; a retry alone does not help."
	case FailMissing:
		return "The object is not there. Check its name in the selection or list; if it was deleted on purpose, leave it."
	case "401", "403":
		return "The server of the source refused the request. Check its rights, referer rules and signing key, then retry."
	case "429", "503":
		return "The server of the source asked for fewer requests. Retry later, or with a traffic limit."
	}
	if len(code) == 3 && code[0] == '5' {
		return "The server of the source is in trouble. Retry when it is well again."
	}
	return "See the message of each object, remove the reason and retry."
}
