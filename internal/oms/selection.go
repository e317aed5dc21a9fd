package oms

import (
	"slices"
	"strings"
)

// Selection returns what the task selects: prefixes (sorted, none covering another; "" is the whole bucket) and
// exact names (sorted, without those that a prefix covers). See OMS v2, 6.1: in an object task a name ending in
// "/" is everything below it, and [""] is the whole bucket. Prefixes are narrowed to what the filters can match.
func (s TaskSpec) Selection() (prefixes, names []string) {
	for _, k := range s.Src.Keys {
		if s.Type == TypePrefix || k == "" || strings.HasSuffix(k, "/") {
			prefixes = append(prefixes, k)
		} else {
			names = append(names, k)
		}
	}
	covered := uncovered(prefixes)
	kept := uncovered(s.Filters.narrow(covered))
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool {
		return slices.ContainsFunc(covered, func(p string) bool { return strings.HasPrefix(n, p) })
	})
	return kept, names
}
