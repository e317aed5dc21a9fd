package keyspace

import "slices"

// maxSample bounds the boundaries that are kept for the next run.
const maxSample = 1024

// sample keeps evenly many of the keys it is given, however many these are: every stride-th. The zero value is empty.
type sample struct {
	keys   []string
	stride int
	skip   int // keys to pass over before the next is kept
}

func (s *sample) add(key string) {
	if s.skip > 0 {
		s.skip--
		return
	}
	if len(s.keys) == maxSample {
		for i := range maxSample / 2 {
			s.keys[i] = s.keys[2*i]
		}
		clear(s.keys[maxSample/2:])
		s.keys = s.keys[:maxSample/2]
		s.stride *= 2
	}
	s.stride = max(1, s.stride)
	s.skip = s.stride - 1
	s.keys = append(s.keys, key)
}

// sorted returns the keys kept, ascending.
func (s *sample) sorted() []string {
	keys := slices.Clone(s.keys)
	slices.Sort(keys)
	return slices.Compact(keys)
}

// everySecond returns every second of the keys, in their own memory.
func everySecond(keys []string) []string {
	kept := keys[:0]
	for i := 1; i < len(keys); i += 2 {
		kept = append(kept, keys[i])
	}
	clear(keys[len(kept):])
	return kept
}
