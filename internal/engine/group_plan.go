package engine

import (
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// slice bounds the whole space of a task, a range for each prefix, to the piece that the split of its group cut out.
// No prefix of a task covers another, so a bound lies below one of them only.
func slice(rs []oms.Range, s *oms.KeySlice) {
	if s == nil {
		return
	}
	after, upTo := string(s.After), string(s.UpTo)
	for i := range rs {
		r := &rs[i]
		if after != "" && strings.HasPrefix(after, r.Prefix) {
			r.Start, r.Cur = after, after
		}
		if upTo != "" && strings.HasPrefix(upTo, r.Prefix) {
			r.End = upTo
		}
	}
}
