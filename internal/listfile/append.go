package listfile

import (
	"strconv"
	"time"
)

// TimeFormat is how instants are written in the lists of this service.
const TimeFormat = "2006-01-02T15:04:05.000-07:00"

// AppendName appends the bytes of a key, percent-encoded except for unreserved characters and "/": what a list file may
// name it by.
func AppendName(buf []byte, key string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(key) {
		c := key[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/':
			buf = append(buf, c)
		default:
			buf = append(buf, '%', hex[c>>4], hex[c&15])
		}
	}
	return buf
}

// AppendObject appends what the lists of this service say of an object, without the end of the line: name, size and
// last modification, separated by tabs. An unknown size is 0, an unknown time is empty.
func AppendObject(buf []byte, key string, size int64, modified time.Time, zone *time.Location) []byte {
	buf = AppendName(buf, key)
	buf = append(buf, '\t')
	buf = strconv.AppendInt(buf, max(size, 0), 10)
	buf = append(buf, '\t')
	if !modified.IsZero() {
		buf = modified.In(zone).AppendFormat(buf, TimeFormat)
	}
	return buf
}
