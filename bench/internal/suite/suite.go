// Package suite says what is measured: the scenarios, the points of those that grow, and the command line of every tool.
// It is pure; package lab runs it.
package suite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Addresses are where the servers listen. The source has the bucket "src", the destination "dst".
type Addresses struct{ Source, Destination string }

// Standard returns the addresses of every measurement.
func Standard() Addresses {
	return Addresses{Source: "127.0.0.1:9101", Destination: "127.0.0.1:9102"}
}

const (
	kibibyte = 1 << 10
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

// Scenario is one thing that every tool is asked to do.
type Scenario struct {
	Name    string
	Title   string
	Objects int64
	Size    int64    // bytes of each object
	Server  []string // flags of the servers
	Compare bool     // the destination is an identical copy: there is nothing to do
	Faults  bool     // some requests fail
	Ranges  int      // listings that the bare copier may make at once; 0 is one
	X       float64  // the point, in a scenario that grows
	Slots   int      // objects in flight; 0 is what the tool does by itself
	Part    int64    // bytes of the parts of large objects; 0 is what the tool does by itself
}

// Bytes returns how many bytes are to be copied.
func (s Scenario) Bytes() int64 {
	if s.Compare {
		return 0
	}
	return s.Objects * s.Size
}

// make completes a scenario with the flags that all have.
func (s Scenario) make(flags ...string) Scenario {
	s.Server = append([]string{"-n", strconv.FormatInt(s.Objects, 10), "-size", strconv.FormatInt(s.Size, 10), "-layout", "nested"}, flags...)
	if s.Compare {
		s.Server = append(s.Server, "-dst-full")
	}
	return s
}

// Scenarios returns the standard scenarios with the named number of objects times scale, at least ten.
func Scenarios(scale float64) []Scenario {
	n := func(full int64) int64 { return max(10, int64(float64(full)*scale)) }
	return []Scenario{
		Scenario{Name: "a", Title: fmt.Sprintf("%d objects of 4 KiB", n(20000)), Objects: n(20000), Size: 4 * kibibyte}.make(),
		Scenario{Name: "b", Title: fmt.Sprintf("%d objects of 8 MiB", n(200)), Objects: n(200), Size: 8 * mebibyte}.make(),
		Scenario{Name: "c", Title: "2 objects of 2 GiB", Objects: 2, Size: 2 * gibibyte}.make(),
		Scenario{Name: "d", Title: fmt.Sprintf("nothing to do, %d keys on both sides", n(500000)), Objects: n(500000), Size: 4 * kibibyte, Compare: true}.make(),
		Scenario{
			Name: "e", Title: fmt.Sprintf("nothing to do, %d keys, 100 ms for each page of a listing", n(500000)),
			Objects: n(500000), Size: 4 * kibibyte, Compare: true, Ranges: 64,
		}.make("-lat-list", "100ms"),
		Scenario{Name: "f", Title: fmt.Sprintf("%d objects of 4 KiB, 50 ms for each GET and PUT", n(5000)), Objects: n(5000), Size: 4 * kibibyte}.
			make("-lat-get", "50ms", "-lat-put", "50ms"),
		Scenario{Name: "g", Title: fmt.Sprintf("%d objects of 4 KiB, 2 %% of requests fail", n(5000)), Objects: n(5000), Size: 4 * kibibyte, Faults: true}.
			make("-err", "0.02"),
	}
}

// Growth returns the scenarios that show how cost grows: with the number of keys, the size of objects, the size of their
// parts and the number of slots. The largest points need minutes.
func Growth(scale float64) []Scenario {
	n := func(full int64) int64 { return max(10, int64(float64(full)*scale)) }
	var all []Scenario
	for keys := int64(10_000); keys <= 10_000_000; keys *= 10 {
		all = append(all, Scenario{
			Name: "keys", Title: "Nothing to do, by number of keys", X: float64(n(keys)),
			Objects: n(keys), Size: 4 * kibibyte, Compare: true,
		}.make())
	}
	for _, size := range []int64{1, 4, 8, 16, 64, 256, 1024} {
		all = append(all, Scenario{
			Name: "size", Title: "2 GiB, by size of the objects", X: float64(size),
			Objects: max(1, n(2048)/size), Size: size * mebibyte,
		}.make())
	}
	for _, part := range []int64{5, 8, 16, 32, 64} { // 5 MiB is the least that S3 takes
		all = append(all, Scenario{
			Name: "parts", Title: "2 objects of 1 GiB, by size of the parts", X: float64(part),
			Objects: 2, Size: max(64*mebibyte, int64(gibibyte*scale)), Part: part * mebibyte,
		}.make())
	}
	for slots := 1; slots <= 512; slots *= 2 {
		all = append(all, Scenario{
			Name: "slots", Title: fmt.Sprintf("%d objects of 4 KiB, by number of slots", n(10000)), X: float64(slots),
			Objects: n(10000), Size: 4 * kibibyte, Slots: slots,
		}.make())
	}
	for slots := 1; slots <= 512; slots *= 2 {
		objects := n(int64(min(max(50*slots, 200), 10000)))
		all = append(all, Scenario{
			Name: "slots-latency", Title: "Objects of 4 KiB with 50 ms for each GET and PUT, by number of slots", X: float64(slots),
			Objects: objects, Size: 4 * kibibyte, Slots: slots,
		}.make("-lat-get", "50ms", "-lat-put", "50ms"))
	}
	return all
}

// Pick returns the scenarios with the names of a comma-separated list, in their own order; "" is all.
func Pick(all []Scenario, list string) ([]Scenario, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.ContainsFunc(all, func(s Scenario) bool { return s.Name == name }) {
			return nil, fmt.Errorf("no scenario %q", name)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s Scenario) bool { return !slices.Contains(names, s.Name) }), nil
}
