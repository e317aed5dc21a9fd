package cli

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The display is written here rather than with a library: totals grow while the listing goes on, and one source
// of numbers feeds a live block, plain lines and JSON.

// Intervals of the displays.
const (
	liveInterval = 200 * time.Millisecond
	lineInterval = 3 * time.Second
	jsonInterval = time.Second
)

// liveReporter repaints a block of lines on a terminal.
type liveReporter struct {
	w        io.Writer
	title    string
	terminal func(io.Writer) (columns int, ok bool)
	meter    meter
	painted  int // lines on the screen
}

func (r *liveReporter) update(p progress, at time.Time) error {
	columns, _ := r.terminal(r.w)
	now := r.meter.measure(p, at)
	lines := []string{
		r.title + "  " + p.Status + "  " + formatDuration(p.Elapsed),
		bar(p.share(), min(40, columns-8)) + "  " + objectsLine(p),
		rateLine(p, now),
	}
	var b strings.Builder
	if r.painted > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(r.painted) + "A")
	}
	for _, line := range lines {
		b.WriteString("\r\x1b[K" + clip(line, columns-1) + "\n")
	}
	r.painted = len(lines)
	_, err := io.WriteString(r.w, b.String())
	return err
}

// bar draws the part done, with its percentage.
func bar(share float64, width int) string {
	width = max(width, 4)
	full := int(share * float64(width))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "] " + percent(share)
}

func percent(share float64) string {
	s := strconv.Itoa(int(share*100)) + " %"
	return strings.Repeat(" ", max(0, 5-len(s))) + s
}

// objectsLine says how many objects are done.
func objectsLine(p progress) string {
	s := formatCount(p.Done) + " of " + formatCount(p.Found) + " objects"
	if p.Listing {
		s += ", still listing"
	}
	return s
}

// rateLine says how much is done, how fast, and how long it will take.
func rateLine(p progress, now pace) string {
	parts := []string{
		formatBytes(p.DoneBytes) + " of " + formatBytes(p.FoundBytes),
		formatCount(int64(now.objects)) + " objects/s",
		formatBytes(int64(now.bytes)) + "/s",
		formatCount(p.Failed) + " failed",
	}
	if p.Skipped > 0 {
		parts = append(parts, formatCount(p.Skipped)+" skipped")
	}
	if now.left >= 0 && p.Done < p.Found {
		parts = append(parts, "about "+formatDuration(now.left)+" left")
	}
	return strings.Join(parts, "  ")
}

// clip cuts a line to the width of the terminal, so that it cannot wrap.
func clip(line string, columns int) string {
	if columns < 1 || utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns])
}

// lineReporter writes a line every lineInterval, for logs and pipes; what ends sooner needs none.
type lineReporter struct {
	w     io.Writer
	meter meter
	next  time.Time
}

func (r *lineReporter) update(p progress, at time.Time) error {
	now := r.meter.measure(p, at)
	early := r.next.IsZero() || at.Before(r.next)
	if r.next.IsZero() || !early {
		r.next = at.Add(lineInterval)
	}
	if early {
		return nil
	}
	_, err := io.WriteString(r.w, p.Status+"  "+formatDuration(p.Elapsed)+"  "+percent(p.share())+"  "+objectsLine(p)+"  "+rateLine(p, now)+"\n")
	return err
}

// jsonReporter writes one JSON object per line.
type jsonReporter struct {
	w     io.Writer
	meter meter
	next  time.Time
}

// progressJSON is a line of jsonReporter. Sizes are bytes, spans milliseconds.
type progressJSON struct {
	Type             string  `json:"type"` // "progress"
	Time             string  `json:"time"` // RFC 3339, UTC
	Status           string  `json:"status"`
	Listing          bool    `json:"listing"`
	Found            int64   `json:"found"`
	FoundBytes       int64   `json:"found_bytes"`
	Done             int64   `json:"done"`
	DoneBytes        int64   `json:"done_bytes"`
	Migrated         int64   `json:"migrated"`
	Skipped          int64   `json:"skipped"`
	Failed           int64   `json:"failed"`
	MovedBytes       int64   `json:"moved_bytes"`
	ObjectsPerSecond float64 `json:"objects_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
	ElapsedMS        int64   `json:"elapsed_ms"`
	LeftMS           *int64  `json:"left_ms"` // null: cannot be told
}

func (r *jsonReporter) update(p progress, at time.Time) error {
	now := r.meter.measure(p, at)
	if at.Before(r.next) {
		return nil
	}
	r.next = at.Add(jsonInterval)
	line := progressJSON{
		Type: "progress", Time: at.UTC().Format(time.RFC3339Nano), Status: p.Status, Listing: p.Listing,
		Found: p.Found, FoundBytes: p.FoundBytes, Done: p.Done, DoneBytes: p.DoneBytes,
		Migrated: p.Migrated, Skipped: p.Skipped, Failed: p.Failed, MovedBytes: p.MovedBytes,
		ObjectsPerSecond: round(now.objects), BytesPerSecond: round(now.bytes), ElapsedMS: p.Elapsed.Milliseconds(),
	}
	if now.left >= 0 {
		left := now.left.Milliseconds()
		line.LeftMS = &left
	}
	return writeJSON(r.w, line)
}

// round keeps two digits behind the point.
func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }
