package transfer

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Equal sizes and times are believed only when nothing can have changed in between (rule D1): else the content decides.
func TestDecideInDoubt(t *testing.T) {
	at := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	const md5A, md5B = "0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"
	tests := []struct {
		name     string
		later    time.Duration // of the destination
		src, dst string        // ETags
		size     int64         // of the destination, the source has 5 bytes
		own      bool          // the destination may hold an earlier attempt's copy
		want     Action
	}{
		{"copied a moment ago", time.Second, "a", "b", 5, false, Own},
		{"copied in the same second", 0, "a", "b", 5, false, Own},
		{"as late as clocks may differ", eventDoubt, "a", "b", 5, false, Own},
		{"later than clocks may differ", eventDoubt + time.Second, "a", "b", 5, false, Skip},
		{"equal content", time.Second, md5A, md5A, 5, false, Skip},
		{"other content", time.Second, md5A, md5B, 5, false, Own},
		{"source is newer", -time.Second, md5A, md5A, 5, false, Copy},
		{"other size", time.Hour, md5A, md5A, 6, false, Copy},
		{"left by an earlier attempt", time.Hour, "a", "b", 5, true, Own},
		{"equal, left by an earlier attempt", time.Second, md5A, md5A, 5, true, Own},
	}
	for _, tt := range tests {
		r := Rules{Overwrite: oms.OverwriteIfDifferent, Doubt: eventDoubt}
		if tt.own {
			r.OwnSince = time.Unix(1, 0)
		}
		src := storage.ListedObject{Size: 5, ModTime: at, ETag: tt.src}
		dst := storage.ListedObject{Size: tt.size, ModTime: at.Add(tt.later), ETag: tt.dst}
		if got := Decide(src, &dst, r); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		if got := Decide(src, nil, r); got != Copy {
			t.Errorf("%s, but absent: got %d, want a copy", tt.name, got)
		}
	}
	src := storage.ListedObject{Size: 5, ModTime: at, ETag: "a"}
	dst := storage.ListedObject{Size: 5, ModTime: at, ETag: "b"}
	if got := Decide(src, &dst, Rules{Overwrite: oms.OverwriteIfDifferent}); got != Skip {
		t.Errorf("without doubt: got %d, want it skipped", got)
	}
}
