package s3

import (
	"net/http"
	"strings"
	"time"
)

// parseTime reads the instants of listings: ISO 8601 with or without fraction and offset, or the HTTP form that
// a few stores use. An empty text is the zero time.
func parseTime(b []byte) (time.Time, bool) {
	if len(b) == 0 {
		return time.Time{}, true
	}
	if t, ok := parseZulu(b); ok {
		return t, true
	}
	s := string(b)
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.UTC(), true
	}
	return parseHTTPTime(s)
}

// parseHTTPTime reads the instants of headers; false and the zero time for what is none.
func parseHTTPTime(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	if t, ok := parseFixdate(s); ok {
		return t, true
	}
	if t, err := http.ParseTime(s); err == nil {
		return t.UTC(), true
	}
	return time.Time{}, false
}

// parseFixdate reads Mon, 02 Jan 2006 15:04:05 GMT, the form that all servers write, without the cost of time.Parse.
func parseFixdate(s string) (time.Time, bool) {
	const days, months = "SunMonTueWedThuFriSat", "JanFebMarAprMayJunJulAugSepOctNovDec"
	if len(s) != len("Mon, 02 Jan 2006 15:04:05 GMT") || s[3] != ',' || s[4] != ' ' || s[7] != ' ' || s[11] != ' ' ||
		s[16] != ' ' || s[19] != ':' || s[22] != ':' || s[25:] != " GMT" {
		return time.Time{}, false
	}
	weekday, month := strings.Index(days, s[:3]), strings.Index(months, s[8:11])
	day, ok1 := digits(s[5:7])
	year, ok2 := digits(s[12:16])
	hour, ok3 := digits(s[17:19])
	minute, ok4 := digits(s[20:22])
	sec, ok5 := digits(s[23:25])
	if weekday%3 != 0 || month%3 != 0 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || hour > 23 || minute > 59 || sec > 59 ||
		day < 1 || day > daysIn(year, month/3+1) {
		return time.Time{}, false
	}
	secs := int64(daysSinceEpoch(year, month/3+1, day))*86_400 + int64(hour*3600+minute*60+sec)
	return time.Unix(secs, 0).UTC(), true
}

// parseZulu reads 2006-01-02T15:04:05[.fraction]Z, the form that nearly all stores write, without the cost of
// time.Parse.
func parseZulu(b []byte) (time.Time, bool) {
	const plain = len("2006-01-02T15:04:05Z")
	if len(b) < plain || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return time.Time{}, false
	}
	year, ok1 := digits(b[0:4])
	month, ok2 := digits(b[5:7])
	day, ok3 := digits(b[8:10])
	hour, ok4 := digits(b[11:13])
	minute, ok5 := digits(b[14:16])
	sec, ok6 := digits(b[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || hour > 23 || minute > 59 || sec > 59 ||
		month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	nsec, ok := fraction(b[19 : len(b)-1])
	if !ok {
		return time.Time{}, false
	}
	secs := int64(daysSinceEpoch(year, month, day))*86_400 + int64(hour*3600+minute*60+sec)
	return time.Unix(secs, int64(nsec)).UTC(), true
}

// fraction reads "" or "." and one to nine digits as nanoseconds.
func fraction(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != '.' || len(b) < 2 || len(b) > 10 {
		return 0, false
	}
	n, ok := digits(b[1:])
	for range 10 - len(b) {
		n *= 10
	}
	return n, ok
}

func digits[T []byte | string](b T) (int, bool) {
	n := 0
	for i := range len(b) {
		c := b[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSinceEpoch counts from 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that the
// leap day is the last one.
func daysSinceEpoch(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + floorDiv(year, 4) - floorDiv(year, 100) + floorDiv(year, 400) + (153*(month-3)+2)/5 + day - 719_469
}

// floorDiv divides rounding down; year 0 becomes -1 above.
func floorDiv(a, b int) int {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}
