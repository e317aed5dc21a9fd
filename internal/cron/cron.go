// Package cron reads cron expressions and computes the instants that they name, in any time zone. It keeps no state and
// reads no clock.
//
// An expression has five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or JAN-DEC) and day of
// the week (0-7 or SUN-SAT; 0 and 7 are Sunday). A field is a list of "*", numbers and ranges, each with an optional step
// as in "*/15" or "8-18/2"; "5/20" means from 5 to the end. If both days are restricted, either suffices, as POSIX says.
// @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually stand for the usual expressions.
//
// Where clocks are set forward, what falls into the gap is due once, at the end of the gap. Where they are set back, what
// names its hours is due once, the first time; what is due in every hour goes on in both.
package cron

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// maxExpression bounds an expression, in bytes.
const maxExpression = 255

// searchDays is how far Next looks: days of the 29th of February can be eight years apart.
const searchDays = 9 * 366

// set is a set of small numbers.
type set uint64

func (s set) has(n int) bool { return s>>n&1 == 1 }

// Schedule is a parsed expression. The zero value is never due. It is a value: copies are independent.
type Schedule struct {
	minutes, hours, days, months, weekdays set

	anyDay, anyWeekday bool // the field begins with "*": it restricts nothing by itself
}

// field describes one of the five.
type field struct {
	name      string
	low, high int
	names     []string // of low and what follows
}

func shape() [5]field {
	return [5]field{
		{name: "minute", high: 59},
		{name: "hour", high: 23},
		{name: "day of the month", low: 1, high: 31},
		{name: "month", low: 1, high: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{name: "day of the week", high: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
}

// Parse reads an expression. Errors say which field is wrong; they show nothing that the expression does not hold.
// Expressions that no date fulfils, such as the 30th of February, are errors.
func Parse(expression string) (Schedule, error) {
	if len(expression) > maxExpression {
		return Schedule{}, fmt.Errorf("an expression has at most %d characters", maxExpression)
	}
	texts := strings.Fields(expression)
	if len(texts) == 1 && strings.HasPrefix(texts[0], "@") {
		long, ok := macro(texts[0])
		if !ok {
			return Schedule{}, fmt.Errorf("%q is none of @hourly, @daily, @weekly, @monthly and @yearly", texts[0])
		}
		texts = strings.Fields(long)
	}
	if len(texts) != len(shape()) {
		return Schedule{}, fmt.Errorf("want five fields (minute, hour, day of the month, month, day of the week), got %d", len(texts))
	}
	var sets [5]set
	for i, f := range shape() {
		s, err := f.parse(texts[i])
		if err != nil {
			return Schedule{}, err
		}
		sets[i] = s
	}
	s := Schedule{
		minutes: sets[0], hours: sets[1], days: sets[2], months: sets[3], weekdays: sets[4]&0x7f | sets[4]>>7&1,
		anyDay: strings.HasPrefix(texts[2], "*"), anyWeekday: strings.HasPrefix(texts[4], "*"),
	}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("no date fulfils the day %q of the month %q", texts[2], texts[3])
	}
	return s, nil
}

func macro(name string) (string, bool) {
	switch strings.ToLower(name) {
	case "@hourly":
		return "0 * * * *", true
	case "@daily", "@midnight":
		return "0 0 * * *", true
	case "@weekly":
		return "0 0 * * 0", true
	case "@monthly":
		return "0 0 1 * *", true
	case "@yearly", "@annually":
		return "0 0 1 1 *", true
	}
	return "", false
}

// parse reads a list.
func (f field) parse(text string) (s set, err error) {
	for part := range strings.SplitSeq(text, ",") {
		low, high, step, err := f.span(part)
		if err != nil {
			return 0, err
		}
		for n := low; n <= high; n += step {
			s |= 1 << n
		}
	}
	return s, nil
}

// span reads one element of a list.
func (f field) span(part string) (low, high, step int, err error) {
	text, stepText, stepped := strings.Cut(part, "/")
	step = 1
	if stepped {
		if step, err = number(stepText); err != nil || step < 1 || step > f.high {
			return 0, 0, 0, fmt.Errorf("%s: the step of %q is no number from 1 to %d", f.name, part, f.high)
		}
	}
	if text == "*" {
		return f.low, f.high, step, nil
	}
	from, to, isRange := strings.Cut(text, "-")
	if low, err = f.value(from); err != nil {
		return 0, 0, 0, err
	}
	switch {
	case isRange:
		if high, err = f.value(to); err != nil {
			return 0, 0, 0, err
		}
	case stepped:
		high = f.high
	default:
		high = low
	}
	if low > high {
		return 0, 0, 0, fmt.Errorf("%s: %q ends before it begins", f.name, part)
	}
	return low, high, step, nil
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.low + i, nil
		}
	}
	n, err := number(text)
	if err != nil || n < f.low || n > f.high {
		return 0, fmt.Errorf("%s: %q is no number from %d to %d", f.name, text, f.low, f.high)
	}
	return n, nil
}

// number reads digits: no sign, no spaces.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err
}

// Next returns the first instant after t at which the schedule is due in the zone of t, in that zone; the zero time when
// there is none within nine years.
func (s Schedule) Next(t time.Time) time.Time {
	if bits.OnesCount64(uint64(s.hours)) == 24 {
		return s.nextElapsed(t)
	}
	return s.nextNamed(t)
}

// matches reports whether the date is one of the schedule's. Its clock time does not count.
func (s Schedule) matches(date time.Time) bool {
	day, weekday := s.days.has(date.Day()), s.weekdays.has(int(date.Weekday()))
	if !s.anyDay && !s.anyWeekday {
		return s.months.has(int(date.Month())) && (day || weekday)
	}
	return s.months.has(int(date.Month())) && day && weekday
}

// nextElapsed follows the time that elapses, for schedules of every hour.
func (s Schedule) nextElapsed(t time.Time) time.Time {
	end := t.AddDate(0, 0, searchDays)
	for at := t.Truncate(time.Minute).Add(time.Minute); at.Before(end); {
		switch {
		case !s.matches(at):
			at = later(dayAfter(at), at)
		case s.minutes.has(at.Minute()):
			return at
		default:
			at = at.Add(time.Minute)
		}
	}
	return time.Time{}
}

// dayAfter returns the first instant of the day after that of t.
func dayAfter(t time.Time) time.Time {
	return instant(time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC), t.Location())
}

// later returns a, or what follows b by a minute if a is not behind b.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b.Add(time.Minute)
}

// nextNamed follows what clocks on the wall show.
func (s Schedule) nextNamed(t time.Time) time.Time {
	first := onWall(t)
	day := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC)
	for range searchDays {
		if s.matches(day) {
			if at, ok := s.within(day, t); ok {
				return at
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}
}

// within returns the first instant of the day that is due after t.
func (s Schedule) within(day, t time.Time) (time.Time, bool) {
	for hour := range 24 {
		if !s.hours.has(hour) {
			continue
		}
		for minute := range 60 {
			if !s.minutes.has(minute) {
				continue
			}
			wall := day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
			if at := instant(wall, t.Location()); at.After(t) {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// onWall returns what a clock shows at t, as a time in UTC.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant returns when clocks in the zone show what wall says: of two such instants the first, and when they never do the
// end of the gap.
func instant(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	start, end := t.ZoneBounds()
	switch shown := onWall(t); {
	case shown.After(wall): // Date counted with the offset before the gap
		return start
	case shown.Before(wall): // with the one after it
		return end
	case start.IsZero():
		return t
	}
	_, offset := start.Add(-time.Nanosecond).Zone()
	if earlier := wall.Add(-time.Duration(offset) * time.Second).In(zone); earlier.Before(start) {
		return earlier
	}
	return t
}
