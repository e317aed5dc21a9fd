// Package listfile reads the list files of list and url_list tasks (OMS v2, 6.2 and 6.3): text objects that name
// source objects, or URLs and what to call them, one a line.
//
// A [Scanner] reads one file, or the lines that start in a byte range of it, in constant memory. Ranges need not end
// at line ends: a line belongs to the range that its first byte lies in, so any cut of a file into byte ranges yields
// each of its lines once. [Check] reads a whole file before anything is copied, so that a mistake in the last line is
// found first; [CheckObject] judges what can be told without reading.
//
// The rules for a line, beyond those of the contract:
//
//   - Lines end with LF or CRLF; the last one may end with neither. Empty lines are skipped but numbered.
//   - A name is percent-decoded once; "+" stays a plus sign. What is decoded is opaque bytes, except that it has no
//     NUL byte. What is not encoded must be UTF-8 without control characters; blanks inside a name are allowed, at its
//     ends they must be encoded.
//   - A list of names may have the three columns of the lists that this service writes (name, size, time): the name
//     counts.
//   - A URL is absolute, http or https, without user, fragment or blanks. Characters beyond ASCII are percent-encoded
//     as UTF-8; in the host they are refused.
//
// Errors about the file are *oms.Error of kind oms.Invalid with the TRF code of the task's reason; their text names the
// line and never shows it, since URLs may carry secrets.
package listfile
