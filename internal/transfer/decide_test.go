package transfer

import (
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

func at(second int, nanos int) time.Time {
	return time.Date(2024, 5, 6, 7, 8, second, nanos, time.UTC)
}

func listed(size int64, mod time.Time) storage.ListedObject {
	return storage.ListedObject{Key: "k", Size: size, ModTime: mod}
}

// TestDecide is the whole table of OMS v2, 6.4, with the rules for the task's own earlier work (D9, C7).
func TestDecide(t *testing.T) {
	year1, year9999 := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	type actions struct{ no, different, crc, full Action }
	everything := actions{Copy, Copy, Copy, Copy}
	tests := map[string]struct {
		src   storage.ListedObject
		dst   *storage.ListedObject
		since time.Time
		own   time.Time
		want  actions
	}{
		"absent":                          {src: listed(5, at(10, 0)), want: everything},
		"absent, on a resumed range":      {src: listed(5, at(10, 0)), own: at(1, 0), want: everything},
		"same size, destination newer":    {src: listed(5, at(10, 0)), dst: new(listed(5, at(11, 0))), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"same size, same second":          {src: listed(5, at(10, 0)), dst: new(listed(5, at(10, 0))), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"source newer by less than 1 s":   {src: listed(5, at(10, 999_999_999)), dst: new(listed(5, at(10, 0))), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"source newer over the second":    {src: listed(5, at(11, 0)), dst: new(listed(5, at(10, 999_999_999))), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"another size, destination newer": {src: listed(5, at(10, 0)), dst: new(listed(6, at(20, 0))), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"source newer":                    {src: listed(5, at(12, 0)), dst: new(listed(5, at(11, 0))), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"source newer, another zone": {
			src: listed(5, at(10, 0).In(time.FixedZone("", 5*3600+45*60))), dst: new(listed(5, at(10, 0))), want: actions{Skip, Skip, CompareCRC64, Copy},
		},
		"source in year 1":         {src: listed(5, year1), dst: new(listed(5, at(1, 0))), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"source in year 9999":      {src: listed(5, year9999), dst: new(listed(5, at(1, 0))), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"destination in year 1":    {src: listed(5, at(1, 0)), dst: new(listed(5, year1)), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"destination in year 9999": {src: listed(5, at(1, 0)), dst: new(listed(5, year9999)), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"both in year 9999":        {src: listed(5, year9999), dst: new(listed(5, year9999)), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"zero times":               {src: listed(5, time.Time{}), dst: new(listed(5, time.Time{})), want: actions{Skip, Skip, CompareCRC64, Copy}},

		"own: written in the very second": {src: listed(5, at(1, 0)), dst: new(listed(5, at(10, 0))), own: at(10, 0), want: actions{Own, Own, Own, Own}},
		"own: sub-second epoch":           {src: listed(5, at(1, 0)), dst: new(listed(5, at(10, 0))), own: at(10, 900_000_000), want: actions{Own, Own, Own, Own}},
		"not own: written before":         {src: listed(5, at(1, 0)), dst: new(listed(5, at(9, 999_999_999))), own: at(10, 0), want: actions{Skip, Skip, CompareCRC64, Copy}},
		"not own: another size":           {src: listed(5, at(1, 0)), dst: new(listed(6, at(20, 0))), own: at(10, 0), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"not own: source changed since":   {src: listed(5, at(21, 0)), dst: new(listed(5, at(20, 0))), own: at(10, 0), want: actions{Skip, Copy, CompareCRC64, Copy}},
		"own: empty object":               {src: listed(0, at(1, 0)), dst: new(listed(0, at(10, 0))), own: at(10, 0), want: actions{Own, Own, Own, Own}},

		"migrate since: later":      {src: listed(5, at(11, 0)), since: at(10, 0), want: everything},
		"migrate since: that very":  {src: listed(5, at(10, 0)), since: at(10, 0), want: actions{Skip, Skip, Skip, Skip}},
		"migrate since: earlier":    {src: listed(5, at(9, 0)), since: at(10, 0), want: actions{Skip, Skip, Skip, Skip}},
		"migrate since: year 1":     {src: listed(5, year1), since: at(10, 0), want: actions{Skip, Skip, Skip, Skip}},
		"migrate since wins of own": {src: listed(5, at(9, 0)), dst: new(listed(5, at(12, 0))), since: at(10, 0), own: at(1, 0), want: actions{Skip, Skip, Skip, Skip}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rules := Rules{MigrateSince: tt.since, OwnSince: tt.own}
			for mode, want := range map[oms.OverwriteMode]Action{
				oms.NoOverwrite: tt.want.no, oms.OverwriteIfDifferent: tt.want.different,
				oms.OverwriteIfCRC64: tt.want.crc, oms.FullOverwrite: tt.want.full,
			} {
				rules.Overwrite = mode
				if got := Decide(tt.src, tt.dst, rules); got != want {
					t.Errorf("%s: got action %d, want %d", mode, got, want)
				}
			}
		})
	}
}

func TestDecideCRC64(t *testing.T) {
	object := func(size int64, second int, has storage.SumKinds, crc uint64) storage.Object {
		return storage.Object{ListedObject: listed(size, at(second, 0)), Sums: storage.Sums{Has: has, CRC64ECMA: crc}}
	}
	const ecma, nvme = storage.SumCRC64ECMA, storage.SumCRC64NVME
	tests := map[string]struct {
		src, dst storage.Object
		want     Action
	}{
		"equal, though the source is newer":        {object(5, 20, ecma, 7), object(5, 10, ecma, 7), Skip},
		"different, though the destination newer":  {object(5, 10, ecma, 7), object(5, 20, ecma, 8), Copy},
		"equal, but another size":                  {object(5, 10, ecma, 7), object(6, 20, ecma, 7), Copy},
		"only the source has one, same":            {object(5, 10, ecma, 7), object(5, 20, 0, 0), Skip},
		"only the destination has one, newer":      {object(5, 20, 0, 0), object(5, 10, ecma, 7), Copy},
		"none has one, same":                       {object(5, 10, 0, 0), object(5, 10, 0, 0), Skip},
		"none has one, another size":               {object(5, 10, 0, 0), object(4, 10, 0, 0), Copy},
		"another polynomial is no CRC64":           {object(5, 20, nvme, 7), object(5, 10, nvme, 7), Copy},
		"one polynomial each":                      {object(5, 10, nvme, 7), object(5, 10, ecma, 7), Skip},
		"equal zeros are equal":                    {object(0, 20, ecma, 0), object(0, 10, ecma, 0), Skip},
		"absurd year without checksums is skipped": {object(5, 10, 0, 0), storage.Object{ListedObject: listed(5, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))}, Skip},
	}
	for name, tt := range tests {
		if got := DecideCRC64(tt.src, tt.dst); got != tt.want {
			t.Errorf("%s: got action %d, want %d", name, got, tt.want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	src, dst := listed(4096, at(1, 0)), listed(4096, at(2, 0))
	rules := Rules{Overwrite: oms.OverwriteIfDifferent, OwnSince: at(3, 0)}
	for b.Loop() {
		if Decide(src, &dst, rules) != Skip {
			b.Fatal("wrong")
		}
	}
}
