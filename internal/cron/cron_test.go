package cron

import (
	"strings"
	"testing"
	"time"
)

const layout = "2006-01-02 15:04:05 -0700"

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}

func at(tb testing.TB, text string, loc *time.Location) time.Time {
	tb.Helper()
	parsed, err := time.Parse(layout, text)
	if err != nil {
		tb.Fatal(err)
	}
	return parsed.In(loc)
}

func TestNext(t *testing.T) {
	tests := []struct{ expression, from, want string }{
		{"* * * * *", "2026-11-23 02:00:00 +0000", "2026-11-23 02:01:00 +0000"},
		{"* * * * *", "2026-11-23 02:00:59 +0000", "2026-11-23 02:01:00 +0000"},
		{"*/15 * * * *", "2026-11-23 02:46:00 +0000", "2026-11-23 03:00:00 +0000"},
		{"5/20 * * * *", "2026-11-23 02:05:00 +0000", "2026-11-23 02:25:00 +0000"},
		{"0 3 * * *", "2026-11-23 03:00:00 +0000", "2026-11-24 03:00:00 +0000"},
		{"0 8-18/5,23 * * *", "2026-11-23 18:00:00 +0000", "2026-11-23 23:00:00 +0000"},
		{"30 4 1,15 * *", "2026-11-23 00:00:00 +0000", "2026-12-01 04:30:00 +0000"},
		{"30 4 1,15 * fri", "2026-11-23 00:00:00 +0000", "2026-11-27 04:30:00 +0000"}, // either day
		{"30 4 */2 * MON", "2026-11-23 05:00:00 +0000", "2026-12-07 04:30:00 +0000"},  // both: "*" restricts nothing alone
		{"0 0 * FEB-apr Sun", "2026-11-23 00:00:00 +0000", "2027-02-07 00:00:00 +0000"},
		{"0 0 * * 5-7", "2026-11-28 00:00:00 +0000", "2026-11-29 00:00:00 +0000"},
		{"0 0 29 2 *", "2096-03-01 00:00:00 +0000", "2104-02-29 00:00:00 +0000"},
		{"0 0 31 * *", "2026-11-01 00:00:00 +0000", "2026-12-31 00:00:00 +0000"},
		{"@hourly", "2026-11-23 02:00:00 +0000", "2026-11-23 03:00:00 +0000"},
		{"@DAILY", "2026-11-23 02:00:00 +0000", "2026-11-24 00:00:00 +0000"},
		{"@weekly", "2026-11-23 02:00:00 +0000", "2026-11-29 00:00:00 +0000"},
		{"@monthly", "2026-11-23 02:00:00 +0000", "2026-12-01 00:00:00 +0000"},
		{"@yearly", "2026-11-23 02:00:00 +0000", "2027-01-01 00:00:00 +0000"},
	}
	for _, tt := range tests {
		s, err := Parse(tt.expression)
		if err != nil {
			t.Errorf("%q: %v", tt.expression, err)
			continue
		}
		if got := s.Next(at(t, tt.from, time.UTC)).Format(layout); got != tt.want {
			t.Errorf("%q after %s: got %s, want %s", tt.expression, tt.from, got, tt.want)
		}
	}
}

// All that is due in a time with a change of clocks.
func TestClockChanges(t *testing.T) {
	tests := []struct {
		zone, expression, from, to string
		want                       []string
	}{
		// Berlin, 2026-03-29: 02:00 to 03:00 does not exist.
		{"Europe/Berlin", "30 2 * * *", "2026-03-28 12:00:00 +0100", "2026-03-30 12:00:00 +0200", []string{
			"2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200",
		}},
		{"Europe/Berlin", "*/20 2,3 * * *", "2026-03-28 12:00:00 +0100", "2026-03-29 12:00:00 +0200", []string{
			"2026-03-29 03:00:00 +0200", "2026-03-29 03:20:00 +0200", "2026-03-29 03:40:00 +0200",
		}},
		{"Europe/Berlin", "0 * * * *", "2026-03-29 00:30:00 +0100", "2026-03-29 04:30:00 +0200", []string{
			"2026-03-29 01:00:00 +0100", "2026-03-29 03:00:00 +0200", "2026-03-29 04:00:00 +0200",
		}},
		// Berlin, 2026-10-25: 02:00 to 03:00 comes twice.
		{"Europe/Berlin", "30 2 * * *", "2026-10-24 12:00:00 +0200", "2026-10-26 12:00:00 +0100", []string{
			"2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100",
		}},
		{"Europe/Berlin", "30 2 * * *", "2026-10-25 02:10:00 +0100", "2026-10-26 12:00:00 +0100", []string{
			"2026-10-26 02:30:00 +0100",
		}},
		{"Europe/Berlin", "0 * * * *", "2026-10-25 01:30:00 +0200", "2026-10-25 03:30:00 +0100", []string{
			"2026-10-25 02:00:00 +0200", "2026-10-25 02:00:00 +0100", "2026-10-25 03:00:00 +0100",
		}},
		// Changes at midnight, by half an hour, and a day that does not exist.
		{"America/Havana", "0 0 * * *", "2026-03-07 12:00:00 -0500", "2026-03-09 12:00:00 -0400", []string{
			"2026-03-08 01:00:00 -0400", "2026-03-09 00:00:00 -0400",
		}},
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00:00 +1030", "2026-10-05 12:00:00 +1100", []string{
			"2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100",
		}},
		{"Pacific/Apia", "0 6 * * *", "2011-12-29 05:00:00 -1000", "2011-12-31 07:00:00 +1400", []string{
			"2011-12-29 06:00:00 -1000", "2011-12-31 00:00:00 +1400", "2011-12-31 06:00:00 +1400",
		}},
		{"Pacific/Apia", "0 * 31 * *", "2011-12-29 22:30:00 -1000", "2011-12-31 01:30:00 +1400", []string{
			"2011-12-31 00:00:00 +1400", "2011-12-31 01:00:00 +1400",
		}},
	}
	for _, tt := range tests {
		s, err := Parse(tt.expression)
		if err != nil {
			t.Fatal(err)
		}
		loc := zone(t, tt.zone)
		var got []string
		for n := s.Next(at(t, tt.from, loc)); !n.After(at(t, tt.to, loc)); n = s.Next(n) {
			got = append(got, n.Format(layout))
		}
		if strings.Join(got, ", ") != strings.Join(tt.want, ", ") {
			t.Errorf("%s, %q: got %q, want %q", tt.zone, tt.expression, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for expression, want := range map[string]string{
		"":                  "want five fields",
		"* * * *":           "want five fields",
		"0 0 * * * *":       "want five fields",
		"@reboot":           "none of @hourly",
		"60 * * * *":        "minute",
		"-1 * * * *":        "minute",
		"+1 * * * *":        "minute",
		"1, * * * *":        "minute",
		"*/0 * * * *":       "step",
		"*/60 * * * *":      "step",
		"*/ * * * *":        "step",
		"0 24 * * *":        "hour",
		"0 5-3 * * *":       "ends before it begins",
		"0 0 0 * *":         "day of the month",
		"0 0 L * *":         "day of the month",
		"0 0 * 13 *":        "month",
		"0 0 * * 8":         "day of the week",
		"0 0 * * fri-mon":   "ends before it begins",
		"0 0 ? * *":         "day of the month",
		"0 0 30 2 *":        "no date",
		"0 0 31 4,6,9,11 *": "no date",
		"0 0 1 jan,foo *":   "month",
		"0 0 " + strings.Repeat("1,", 200) + "1 * *": "at most 255",
	} {
		if _, err := Parse(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", expression, err, want)
		}
	}
	if at := (Schedule{}).Next(time.Unix(0, 0)); !at.IsZero() {
		t.Errorf("the zero value is due at %s", at)
	}
}

// What is due is later than the instant asked for, shown by the clocks unless they skip it, and nothing is due between.
func FuzzNext(f *testing.F) {
	f.Add("0 3 * * *", int64(1_790_000_000), uint8(0))
	f.Add("*/7 */5 1-7 * sun", int64(1_774_742_400), uint8(1))
	f.Add("30 2 * * *", int64(1_774_742_400), uint8(1))
	f.Add("15 2 29 2 *", int64(1_791_000_000), uint8(2))
	f.Add("0 6 * * *", int64(1_325_203_200), uint8(3))
	f.Add("@monthly", int64(-1), uint8(4))
	zones := []*time.Location{
		time.UTC, zone(f, "Europe/Berlin"), zone(f, "Australia/Lord_Howe"), zone(f, "Pacific/Apia"), zone(f, "America/Havana"),
	}
	f.Fuzz(func(t *testing.T, expression string, seconds int64, which uint8) {
		s, err := Parse(expression)
		if err != nil {
			return
		}
		if seconds < 0 || seconds > 4_000_000_000 {
			seconds = 1_790_000_000
		}
		from := time.Unix(seconds, 0).In(zones[int(which)%len(zones)])
		next := s.Next(from)
		if !next.After(from) {
			t.Fatalf("%q after %s: got %s", expression, from, next)
		}
		if next.Second() != 0 {
			t.Errorf("%q: due at %s", expression, next)
		}
		start, _ := next.ZoneBounds()
		if !next.Equal(start) && (!s.matches(next) || !s.hours.has(next.Hour()) || !s.minutes.has(next.Minute())) {
			t.Errorf("%q: due at %s", expression, next)
		}
		if between := from.Add(next.Sub(from) / 2); !s.Next(between).Equal(next) {
			t.Errorf("%q: after %s it is %s, after %s it is %s", expression, from, next, between, s.Next(between))
		}
	})
}
