package server

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storageclass"
	"github.com/openoms/openoms/internal/transfer"
)

// Archives say how archived objects are restored, and what storage classes stand for. The zero value of each field is a
// default that works.
type Archives struct {
	Budget  oms.RestoreBudget // of each project
	Days    int               // that a restored copy is asked for
	Tier    storage.RestoreTier
	Soonest time.Duration // between two looks at an object, at first
	Latest  time.Duration // between two looks at an object, in the end
	Classes storageclass.Overrides
}

// mostRestoreDays bounds the days of a restore.
const mostRestoreDays = 365

// fileRestore is the section restore of the configuration file.
type fileRestore struct {
	Requests *int64    `yaml:"requests_per_day"`
	Bytes    yaml.Node `yaml:"bytes_per_day"`
	Days     *int64    `yaml:"days"`
	Tier     string    `yaml:"tier"`
	Soonest  string    `yaml:"poll"`
	Latest   string    `yaml:"poll_at_most"`
}

// fileClasses is the section storage_classes of the configuration file.
type fileClasses struct {
	Map   map[oms.CloudType]map[string]oms.StoragePolicy `yaml:"map"`
	Write map[oms.CloudType]map[oms.StoragePolicy]string `yaml:"write"`
}

// apply reads the sections of the file.
func (a *Archives) apply(r fileRestore, c fileClasses) error {
	if err := limit("restore.requests_per_day", r.Requests, &a.Budget.Requests); err != nil {
		return plainLimit(err)
	}
	days := int64(a.Days)
	if err := limit("restore.days", r.Days, &days); err != nil {
		return plainLimit(err)
	}
	if a.Days = int(min(days, mostRestoreDays+1)); a.Days > mostRestoreDays {
		return fmt.Errorf("restore.days: want at most %d", mostRestoreDays)
	}
	if r.Bytes.Value != "" {
		n, err := ParseSize(r.Bytes.Value)
		if err != nil || n < 1 {
			return fmt.Errorf("restore.bytes_per_day: %q: want a size such as 500GiB", r.Bytes.Value)
		}
		a.Budget.Bytes = n
	}
	switch tier := strings.ToLower(r.Tier); tier {
	case "":
	case "standard":
		a.Tier = storage.TierStandard
	case "bulk":
		a.Tier = storage.TierBulk
	case "expedited":
		a.Tier = storage.TierExpedited
	default:
		return fmt.Errorf("restore.tier: %q: want standard, bulk or expedited", r.Tier)
	}
	if err := interval("restore.poll", r.Soonest, &a.Soonest); err != nil {
		return err
	}
	if err := interval("restore.poll_at_most", r.Latest, &a.Latest); err != nil {
		return err
	}
	a.Classes = storageclass.Overrides(c)
	_, err := storageclass.New(a.Classes)
	return err
}

// plainLimit takes away the name of the section that limit puts before.
func plainLimit(err error) error {
	return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "limits."))
}

// interval sets a time that the file names: from a second to a day.
func interval(name, text string, to *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > 24*time.Hour {
		return fmt.Errorf("%s: %q: want a time from 1s to 24h, such as 5m", name, text)
	}
	*to = d
	return nil
}

// restoring is what the data plane is told.
func (a *Archives) restoring() transfer.Restoring {
	return transfer.Restoring{Days: a.Days, Tier: a.Tier, Soonest: a.Soonest, Latest: a.Latest}
}
