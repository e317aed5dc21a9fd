package oms

import (
	"errors"
	"testing"
	"time"
)

// What each state allows (OMS v2, 5.7 and 4.22 to 4.25).
func TestApplySync(t *testing.T) {
	now := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	reason := &ErrorReason{Code: "TRF.0151"}
	tests := []struct {
		from SyncStatus
		ev   Event
		to   SyncStatus // "": refused
	}{
		{SyncRunning, Event{Type: EventStop}, SyncStopped},
		{SyncRunning, Event{Type: EventFailed, Reason: reason}, SyncStopped},
		{SyncRunning, Event{Type: EventStart}, ""},
		{SyncStopped, Event{Type: EventStart}, SyncRunning},
		{SyncStopped, Event{Type: EventStop}, ""},
		{SyncStopped, Event{Type: EventFailed, Reason: reason}, ""},
		{SyncRunning, Event{Type: EventSchedule}, ""},
		{"", Event{Type: EventStart}, ""},
	}
	for _, tt := range tests {
		was := SyncTask{ID: "i", Status: tt.from, Generation: 3, Error: &ErrorReason{Code: "old"}}
		got, err := was.ApplySync(tt.ev, now)
		if tt.to == "" {
			if !errors.Is(err, Conflict) || CodeOf(err) != "OMS.1036" || got.Status != tt.from || got.Generation != 3 {
				t.Errorf("%s in %q: got %+v, %v, want OMS.1036", tt.ev.Type, tt.from, got, err)
			}
			continue
		}
		if err != nil || got.Status != tt.to || !got.UpdatedAt.Equal(now) {
			t.Errorf("%s in %q: got %+v, %v, want %s", tt.ev.Type, tt.from, got, err, tt.to)
		}
		started := tt.ev.Type == EventStart
		if started != got.StartedAt.Equal(now) || started != (got.Generation == 4) || got.Error != tt.ev.Reason {
			t.Errorf("%s in %q: got %+v", tt.ev.Type, tt.from, got)
		}
	}
	for status, ok := range map[SyncStatus]bool{SyncRunning: true, SyncStopped: false} {
		task := SyncTask{Status: status}
		if err := task.CheckEvents(); (err == nil) != ok || err != nil && CodeOf(err) != "OMS.1036" {
			t.Errorf("events in %s: %v", status, err)
		}
		if err := task.CheckDelete(); (err != nil) != ok || err != nil && CodeOf(err) != "OMS.1036" {
			t.Errorf("delete in %s: %v", status, err)
		}
	}
}

// Periods are aligned to UTC, whatever the zone of the instant.
func TestSyncSpanBegin(t *testing.T) {
	zone := time.FixedZone("", 5*3600+45*60)
	at := time.Date(2026, 3, 1, 4, 38, 59, 999, zone) // 22:53:59 UTC on 28 February
	for span, want := range map[SyncSpan]time.Time{
		SpanFiveMinutes: time.Date(2026, 2, 28, 22, 50, 0, 0, time.UTC),
		SpanHour:        time.Date(2026, 2, 28, 22, 0, 0, 0, time.UTC),
		SpanMonth:       time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got := span.Begin(at); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("begin of %d: got %s, want %s", span, got, want)
		}
		if got := span.Begin(want); !got.Equal(want) {
			t.Errorf("begin of a begin: got %s, want %s", got, want)
		}
	}
}
