package oms

import (
	"errors"
	"strconv"
	"strings"
)

// Lists reports whether list files name the objects of tasks of the type.
func (t TaskType) Lists() bool { return t == TypeList || t == TypeURLList }

// ListSource is one list file of a task as it was when the task was planned. Its lines are the space of ranges of kind
// RangeLines: their Prefix is the file, their positions are byte offsets in it. ETag pins what the offsets mean.
type ListSource struct {
	Index int    // place among the task's list files
	Key   string // in the bucket of the lists
	ETag  string // without quotes
	Size  int64  // bytes
	Lines int64  // that name something: each of them has one outcome in the end
}

// Prefix returns the file as the Prefix of its ranges. Stored: append only.
func (l ListSource) Prefix() string {
	return strings.Join([]string{
		strconv.Itoa(l.Index), strconv.FormatInt(l.Size, 10), strconv.FormatInt(l.Lines, 10), l.ETag, l.Key,
	}, "\n")
}

// ParseListSource is the inverse of Prefix; oms.Corrupt when the text is none.
func ParseListSource(prefix string) (ListSource, error) {
	damaged := Errorf(Corrupt, "", "the range does not name its list file")
	parts := strings.SplitN(prefix, "\n", 5)
	if len(parts) != 5 || parts[4] == "" {
		return ListSource{}, damaged
	}
	index, err1 := strconv.Atoi(parts[0])
	size, err2 := strconv.ParseInt(parts[1], 10, 64)
	lines, err3 := strconv.ParseInt(parts[2], 10, 64)
	if errors.Join(err1, err2, err3) != nil || index < 0 || size < 0 || lines < 0 {
		return ListSource{}, damaged
	}
	return ListSource{Index: index, Key: parts[4], ETag: parts[3], Size: size, Lines: lines}, nil
}

// positionDigits make positions of equal length, so that their order is that of the offsets.
const positionDigits = 16

// LinePosition returns the position of a byte offset in ranges of kind RangeLines: a range (a, b] holds the lines that
// begin at an offset of at least a and less than b. Offset 0 is "", before everything.
func LinePosition(offset int64) string {
	if offset <= 0 {
		return ""
	}
	return padded(offset)
}

func padded(offset int64) string {
	text := strconv.FormatInt(offset, 16)
	return strings.Repeat("0", positionDigits-len(text)) + text
}

// LineOffset is the inverse of LinePosition; oms.Corrupt when the text is no position.
func LineOffset(position string) (int64, error) {
	if position == "" {
		return 0, nil
	}
	offset, err := strconv.ParseInt(position, 16, 64)
	if err != nil || len(position) != positionDigits || offset < 0 {
		return 0, Errorf(Corrupt, "", "a position in a list file is damaged")
	}
	return offset, nil
}

// Line is a line of a list file: the identity of what a task with lists has to do, since a name may be listed twice.
type Line struct {
	Index  int   // of the ListSource
	Offset int64 // of the line's first byte
}

// FailureKey returns the Key of the failure of a line that names an object: the name, NUL, the place of the line. No
// name in a list has a NUL. The row is unique per line, so that the books balance although two lines with one name fail.
func (l Line) FailureKey(name string) string {
	return name + "\x00" + strconv.Itoa(l.Index) + ":" + padded(l.Offset)
}

// SplitFailureKey is the inverse of FailureKey; oms.Corrupt when the key is of no line.
func SplitFailureKey(key string) (name string, line Line, err error) {
	damaged := Errorf(Corrupt, "", "a failure does not name its line")
	name, place, ok := strings.Cut(key, "\x00")
	index, position, found := strings.Cut(place, ":")
	if !ok || !found || name == "" {
		return "", Line{}, damaged
	}
	if line.Index, err = strconv.Atoi(index); err != nil || line.Index < 0 {
		return "", Line{}, damaged
	}
	if line.Offset, err = LineOffset(position); err != nil || position == "" {
		return "", Line{}, damaged
	}
	return name, line, nil
}

// FailureName returns the object's name of a failure's key: all of it, or, where list files name the objects, what
// stands before the place of the line.
func (t TaskType) FailureName(key string) string {
	if !t.Lists() {
		return key
	}
	name, _, _ := strings.Cut(key, "\x00")
	return name
}

// AfterFailure returns the key behind all failures of a name, to go on a page of them at.
func (t TaskType) AfterFailure(name string) string {
	if !t.Lists() || name == "" {
		return name
	}
	return name + "\x00\xff"
}
