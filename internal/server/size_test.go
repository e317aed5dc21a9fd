package server

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "500000": 500000, "64KiB": 64 << 10, "20 MiB": 20 << 20, "1.5GiB": 3 << 29, "10MB": 10e6, "2m": 2 << 20, "1kb": 1000, "3GB": 3e9, "7B": 7,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "MiB", "-1", "1PiB", "nan", "1e400", "99999999999GiB", "1 2"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1MiB", "1.5 GB", "-0", "0x1p4", "inf", "1e3k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := ParseSize(text); err == nil && n < 0 {
			t.Errorf("ParseSize(%q) = %d", text, n)
		}
	})
}

func TestParseMemory(t *testing.T) {
	if n, err := ParseMemory("64MiB"); err != nil || n != 64<<20 {
		t.Errorf("the least: %d, %v", n, err)
	}
	for _, text := range []string{"63MiB", "0", "", "much"} {
		if n, err := ParseMemory(text); err == nil {
			t.Errorf("ParseMemory(%q) = %d, want an error", text, n)
		}
	}
}
