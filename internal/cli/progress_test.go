package cli

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
)

// noTerminal is Env.Terminal of a pipe.
func noTerminal(io.Writer) (int, bool) { return 0, false }

// epoch is the fixed clock of these tests.
func epoch() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// half is a task of which half is done.
func half() progress {
	return progress{
		Status: "running", Found: 1000, FoundBytes: 10 << 20, Done: 500, DoneBytes: 5 << 20,
		Migrated: 480, Skipped: 18, Failed: 2, MovedBytes: 5 << 20, Elapsed: 12 * time.Second,
	}
}

func TestMeter(t *testing.T) {
	var m meter
	p := half()
	if got := m.measure(p, epoch()); got.objects != 0 || got.left != -1 {
		t.Errorf("first sample: got %+v, want no rate and an unknown end", got)
	}
	p.Done, p.DoneBytes = 600, 6<<20
	got := m.measure(p, epoch().Add(2*time.Second))
	if got.objects != 50 || got.bytes != 1<<19 || got.left != 8*time.Second {
		t.Errorf("got %+v, want 50 objects/s, 512 KiB/s, 8 s", got)
	}
	// What lies before the window does not count any more: it stands still now.
	for i := range 100 {
		got = m.measure(p, epoch().Add(2*time.Second+time.Duration(i)*200*time.Millisecond))
	}
	if got.objects != 0 || got.bytes != 0 || got.left != -1 || len(m.samples) > 30 {
		t.Errorf("standing still: got %+v with %d samples", got, len(m.samples))
	}
}

func TestTimeLeft(t *testing.T) {
	running := half()
	listing := running
	listing.Listing = true
	done := running
	done.Done, done.DoneBytes = done.Found, done.FoundBytes
	for _, tt := range []struct {
		name string
		p    progress
		at   pace
		want time.Duration
	}{
		{"objects are slower", running, pace{objects: 10, bytes: 5 << 20}, 50 * time.Second},
		{"bytes are slower", running, pace{objects: 500, bytes: 1 << 18}, 20 * time.Second},
		{"listing goes on", listing, pace{objects: 10, bytes: 10}, -1},
		{"no bytes move", running, pace{objects: 10}, -1},
		{"done", done, pace{}, 0},
		{"never", running, pace{objects: 1e-300, bytes: 1}, -1},
	} {
		if got := timeLeft(tt.p, tt.at); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		p    progress
		want float64
	}{
		{progress{}, 0},
		{progress{Found: 4, Done: 1}, 0.25},
		{progress{Found: 4, Done: 2, FoundBytes: 100, DoneBytes: 10}, 0.1},
		{progress{Found: 4, Done: 4, FoundBytes: 100, DoneBytes: 100}, 1},
		{progress{Found: 4, Done: 4, FoundBytes: 100, DoneBytes: 100, Listing: true}, 0.99},
		{progress{Found: 4, Done: 5}, 1},
	} {
		if got := tt.p.share(); got != tt.want {
			t.Errorf("%+v: got %v, want %v", tt.p, got, tt.want)
		}
	}
}

func TestLiveReporter(t *testing.T) {
	var out strings.Builder
	columns := 100
	r := &liveReporter{w: &out, title: "a -> b", terminal: func(io.Writer) (int, bool) { return columns, true }}
	if err := r.update(half(), epoch()); err != nil {
		t.Fatal(err)
	}
	const first = "\r\x1b[Ka -> b  running  12 s\n" +
		"\r\x1b[K[####################....................]  50 %  500 of 1,000 objects\n" +
		"\r\x1b[K5.0 MiB of 10.0 MiB  0 objects/s  0 B/s  2 failed  18 skipped\n"
	if out.String() != first {
		t.Errorf("got  %q\nwant %q", out.String(), first)
	}
	out.Reset()
	columns = 30
	p := half()
	p.Done, p.DoneBytes, p.Listing = 600, 6<<20, true
	if err := r.update(p, epoch().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	const second = "\x1b[3A\r\x1b[Ka -> b  running  12 s\n" +
		"\r\x1b[K[#############.........]  60 \n" +
		"\r\x1b[K6.0 MiB of 10.0 MiB  100 obje\n"
	if got := out.String(); got != second {
		t.Errorf("got  %q\nwant %q", got, second)
	}
}

func TestLineReporter(t *testing.T) {
	var out strings.Builder
	r := &lineReporter{w: &out}
	p := half()
	for i := range 31 {
		p.Done += 10
		if err := r.update(p, epoch().Add(time.Duration(i)*200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 { // at 3 and 6 s
		t.Fatalf("got %d lines, want 2:\n%s", len(lines), out.String())
	}
	const want = "running  12 s   50 %  660 of 1,000 objects  5.0 MiB of 10.0 MiB  50 objects/s  0 B/s  2 failed  18 skipped"
	if lines[0] != want {
		t.Errorf("got  %q\nwant %q", lines[0], want)
	}
}

func TestJSONReporter(t *testing.T) {
	var out strings.Builder
	r := &jsonReporter{w: &out}
	p := half()
	for i := range 6 {
		p.Done, p.DoneBytes = p.Done+10, p.DoneBytes+1000
		if err := r.update(p, epoch().Add(time.Duration(i)*200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2:\n%s", len(lines), out.String())
	}
	const want = `{"type":"progress","time":"2026-01-02T03:04:06Z","status":"running","listing":false,"found":1000,` +
		`"found_bytes":10485760,"done":560,"done_bytes":5248880,"migrated":480,"skipped":18,"failed":2,"moved_bytes":5242880,` +
		`"objects_per_second":50,"bytes_per_second":5000,"elapsed_ms":12000,"left_ms":1047376}`
	if lines[1] != want {
		t.Errorf("got  %s\nwant %s", lines[1], want)
	}
	var first progressJSON
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first.LeftMS != nil {
		t.Errorf("got %+v, %v, want an unknown end", first, err)
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 10 << 20: "10.0 MiB", 1 << 40: "1.0 TiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := formatCount(n); got != want {
			t.Errorf("formatCount(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0.0 s", -time.Second: "0.0 s", 400 * time.Millisecond: "0.4 s", 12 * time.Second: "12 s", 59700 * time.Millisecond: "1 min 00 s",
		200 * time.Second: "3 min 20 s", 5*time.Hour + 2*time.Minute: "5 h 02 min", 76 * time.Hour: "3 d 4 h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("formatDuration(%v) = %q, want %q", d, got, want)
		}
	}
	for key, want := range map[string]string{
		"a/b.jpg": "a/b.jpg", "": `""`, " a": `" a"`, "a\nb": `"a\nb"`, "\xff": `"\xff"`, `a"b`: `"a\"b"`, "caf\u00e9": "caf\u00e9", "a\x1b[2J": `"a\x1b[2J"`,
	} {
		if got := formatKey(key); got != want {
			t.Errorf("formatKey(%q) = %s, want %s", key, got, want)
		}
	}
	if got := shorten("abcdef", 3); got != "abc…" {
		t.Errorf("shorten: got %q", got)
	}
}
