// Package keyspace decides how a key space that nobody knows is listed in parallel. It does no I/O, starts no
// goroutine and reads no clock: the same calls in the same order give the same answers.
//
// The keys are covered by disjoint intervals (Lo, Hi], each listed by one walker. A walker that has nothing to do
// takes the tail of another's interval. Where that tail begins is a guess, and a bad guess costs one request and
// never a key: any string may be a cut point, it need not be a key. Guesses come, in this order, from boundaries
// that are known (directories found by delimiter listings, and cut points of an earlier run), from the alphabets
// that the keys seen so far use at each place, from the subtrees a page spans, and from plain bytes.
//
// A [Space] is told of every page and says what an idle walker should do:
//
//	r := space.Start(interval)                       // a walker begins an interval
//	n, ended := space.Page(r, page)                  // its page arrived: the first n keys are the range's
//	dir, ok := space.NextProbe()                     // idle: list dir with a delimiter, then space.Probed
//	victim, at, ok := space.Steal()                  // idle: cut victim at this point
//	thief := space.Cut(victim, at)                   // once the cut is durable; list the thief
//
// Nothing here is safe for concurrent use: the caller holds one lock around all calls on a Space and its ranges.
// Memory does not grow with the number of keys: at most about 3 MB of alphabets, 2 MB of boundaries,
// 1 MB of samples and 1 MB of names already probed, plus 4 KB per live range.
package keyspace
