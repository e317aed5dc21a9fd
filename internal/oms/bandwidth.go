package oms

import (
	"slices"
	"strconv"
	"time"
)

// Limits of a bandwidth window in bytes per second, and of a policy in windows (OMS v2, 3.1).
const (
	MinBandwidth        int64 = 1 << 20
	MaxBandwidth        int64 = 200 << 20
	MaxBandwidthWindows       = 5
)

// minutesPerDay bounds Start and End.
const minutesPerDay = 24 * 60

// BandwidthWindow is a time of day with a limit. Outside all windows there is no limit.
type BandwidthWindow struct {
	Start int   `json:"start"` // minute of the day, inclusive
	End   int   `json:"end"`   // minute of the day, inclusive; after Start
	Limit int64 `json:"limit"` // bytes per second
}

// ParseClock reads "hh:mm" (24 h) as a minute of the day; Invalid with OMS.0087 otherwise.
func ParseClock(s string) (int, error) {
	if len(s) == 5 && s[2] == ':' && digits(s[:2]) && digits(s[3:]) {
		h, m := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
		if h < 24 && m < 60 {
			return h*60 + m, nil
		}
	}
	return 0, Errorf(Invalid, "OMS.0087", "time %s of a traffic limit is not hh:mm", strconv.Quote(Clean(s)))
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// FormatClock writes a minute of the day as "hh:mm".
func FormatClock(minute int) string {
	b := [5]byte{byte('0' + minute/600), byte('0' + minute/60%10), ':', byte('0' + minute%60/10), byte('0' + minute%10)}
	return string(b[:])
}

// ValidateBandwidth checks a policy: at most five windows (OMS.0083), limits in range (OMS.0084), start before
// end (OMS.0087: a period over midnight is given as two), no overlap (OMS.0085; both ends are inclusive).
func ValidateBandwidth(ws []BandwidthWindow) error {
	if len(ws) > MaxBandwidthWindows {
		return Errorf(Invalid, "OMS.0083", "at most %d traffic limits are allowed", MaxBandwidthWindows)
	}
	for _, w := range ws {
		if w.Limit < MinBandwidth || w.Limit > MaxBandwidth {
			return Errorf(Invalid, "OMS.0084", "max_bandwidth must be %d to %d bytes per second", MinBandwidth, MaxBandwidth)
		}
		if w.Start < 0 || w.End >= minutesPerDay || w.Start >= w.End {
			return Errorf(Invalid, "OMS.0087", "the start of a traffic limit must lie before its end")
		}
	}
	sorted := slices.Clone(ws)
	slices.SortFunc(sorted, func(a, b BandwidthWindow) int { return a.Start - b.Start })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Start <= sorted[i-1].End {
			return Errorf(Invalid, "OMS.0085", "traffic limit periods overlap")
		}
	}
	return nil
}

// BandwidthAt returns the limit in force at the instant, whose location is the server's time zone, in bytes
// per second; 0 means unlimited.
func BandwidthAt(ws []BandwidthWindow, at time.Time) int64 {
	minute := at.Hour()*60 + at.Minute()
	for _, w := range ws {
		if minute >= w.Start && minute <= w.End {
			return w.Limit
		}
	}
	return 0
}
