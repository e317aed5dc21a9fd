package oms

import (
	"slices"
	"strings"
)

// Selection returns what the task selects: prefixes (sorted, none covering another; "" is the whole bucket) and
// exact names (sorted, without those that a prefix covers). See OMS v2, 6.1: in an object task a name ending in
// "/" is everything below it, and [""] is the whole bucket.
func (s TaskSpec) Selection() (prefixes, names []string) {
	for _, k := range s.Src.Keys {
		if s.Type == TypePrefix || k == "" || strings.HasSuffix(k, "/") {
			prefixes = append(prefixes, k)
		} else {
			names = append(names, k)
		}
	}
	slices.Sort(prefixes)
	kept := prefixes[:0]
	for _, p := range prefixes {
		if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool {
		return slices.ContainsFunc(kept, func(p string) bool { return strings.HasPrefix(n, p) })
	})
	return kept, names
}
