package listfile

import (
	"errors"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// Limits of a list file (OMS v2, 6.2).
const (
	MaxSize  = 1024 << 20 // bytes
	MaxLine  = 65_535     // characters of a line, without its end
	MaxFiles = 2000       // in a folder of lists
)

// Codes of list files (OMS v2 errors, section 2).
const (
	CodeUnreadable = "TRF.0013" // missing, or the keys may not read it
	CodeFile       = "TRF.0014" // not .txt, or too large
	CodeFormat     = "TRF.0016" // a line that cannot be read
	CodeEmpty      = "TRF.0017"
	CodeLongLine   = "TRF.0018"
	CodeMetadata   = "TRF.0019" // content type or encoding
	CodeArchived   = "TRF.0301"
)

// Object is what a store tells about a list file.
type Object struct {
	Key             string
	Size            int64 // bytes
	ContentType     string
	ContentEncoding string
}

// CheckObject returns why an object cannot be a list file, judging by its name, size and metadata: TRF.0014, TRF.0017,
// TRF.0019 or nil.
func CheckObject(o Object) error {
	switch {
	case !strings.HasSuffix(o.Key, ".txt"):
		return refuse(CodeFile, "its name does not end with .txt")
	case o.Size > MaxSize:
		return refuse(CodeFile, "it is larger than 1024 MB")
	case o.ContentType != "text/plain":
		return refuse(CodeMetadata, "its content type is not text/plain")
	case o.ContentEncoding != "":
		return refuse(CodeMetadata, "it has a content encoding")
	case o.Size == 0:
		return errEmpty()
	}
	return nil
}

// errEmpty says that a file has no entry.
func errEmpty() error { return refuse(CodeEmpty, "it is empty") }

func refuse(code, msg string) error {
	return &oms.Error{Op: "read list file", Kind: oms.Invalid, Code: code, Msg: msg}
}

// Trouble returns why the list file key cannot be used, in words for the user, when err says so: that of a line or of
// the file's properties, or that it cannot be read with the keys, is not the file any more that the task was planned
// over, or is archived. Other errors, such as that the store is away, say nothing about the file and are returned as
// they are.
func Trouble(key string, err error) error {
	kind, code, msg := oms.KindOf(err), oms.CodeOf(err), ""
	switch {
	case kind == oms.Invalid && strings.HasPrefix(code, "TRF."):
		if e, ok := errors.AsType[*oms.Error](err); ok {
			msg = e.Msg
		}
	case kind == oms.Archived:
		code, msg = CodeArchived, "it is archived; restore it first"
	case kind == oms.NotFound, kind == oms.NoBucket:
		code, msg = CodeUnreadable, "it does not exist"
	case kind == oms.Denied:
		code, msg = CodeUnreadable, "the destination keys may not read it"
	case kind == oms.Changed:
		code, msg = CodeUnreadable, "it has changed since the task began; put it back as it was or create a new task"
	default:
		return err
	}
	return &oms.Error{
		Op: "read list file", Kind: kind, Code: code, Err: err,
		Msg: `The list file "` + oms.Clean(key) + `" cannot be used: ` + msg + ".",
	}
}
