package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storageclass"
)

func TestArchivesConfig(t *testing.T) {
	c := DefaultConfig()
	err := c.parse([]byte(`
restore:
  requests_per_day: 1000
  bytes_per_day: 2TiB
  days: 14
  tier: bulk
  poll: 2m
  poll_at_most: 1h
storage_classes:
  map:
    AWS: {GLACIER_IR: ARCHIVE}
  write:
    HEC: {ARCHIVE: STANDARD_IA}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Archives{
		Budget: oms.RestoreBudget{Requests: 1000, Bytes: 2 << 40}, Days: 14, Tier: storage.TierBulk, Soonest: 2 * time.Minute, Latest: time.Hour,
		Classes: storageclass.Overrides{
			Map:   map[oms.CloudType]map[string]oms.StoragePolicy{oms.CloudAWS: {"GLACIER_IR": oms.StorageArchive}},
			Write: map[oms.CloudType]map[oms.StoragePolicy]string{oms.CloudHEC: {oms.StorageArchive: "STANDARD_IA"}},
		},
	}
	if d := cmp.Diff(want, c.Archives); d != "" {
		t.Error(d)
	}
}

func TestArchivesRefused(t *testing.T) {
	for text, want := range map[string]string{
		"restore: {requests_per_day: 0}":                "restore.requests_per_day",
		"restore: {bytes_per_day: many}":                "restore.bytes_per_day",
		"restore: {days: 366}":                          "restore.days",
		"restore: {days: 0}":                            "restore.days",
		"restore: {tier: fast}":                         "restore.tier",
		"restore: {poll: 10ms}":                         "restore.poll:",
		"restore: {poll_at_most: 2d}":                   "restore.poll_at_most",
		"restore: {hours: 2}":                           `unknown key "hours"`,
		"storage_classes: {map: {Nimbus: {A: IA}}}":     "Nimbus",
		"storage_classes: {write: {HEC: {COLD: COLD}}}": "storage_classes.write.HEC",
	} {
		c := DefaultConfig()
		if err := c.parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
