package oms

// Counters tell what became of the keys that a range has passed, or, summed, of a task. At every checkpoint
// Listed = Migrated + Failed + Skipped, and the same for bytes (rule P3).
type Counters struct {
	Listed, Migrated, Failed, Skipped                     int64 // objects
	ListedBytes, MigratedBytes, FailedBytes, SkippedBytes int64
	MovedBytes                                            int64 // bytes really sent to the destination for migrated objects

	// Findings are beside the books: what filters left out, which is not listed, and what a task that writes nothing
	// found out about what is.
	Findings
}

// Findings are counts of a task with filters, or of one that writes nothing. The zero value is none.
type Findings struct {
	Filtered, FilteredBytes   int64 // listed by the store and left out by the filters
	Absent, AbsentBytes       int64 // the destination has no such object
	Differing, DifferingBytes int64 // the destination has another one: it would be overwritten, or it differs
	Unproved, UnprovedBytes   int64 // ModeVerify: equal in size, without a checksum that both sides offer
}

// Beyond returns what f has more than d, nothing where it has less.
func (f Findings) Beyond(d Findings) Findings {
	return Findings{
		Filtered: max(0, f.Filtered-d.Filtered), FilteredBytes: max(0, f.FilteredBytes-d.FilteredBytes),
		Absent: max(0, f.Absent-d.Absent), AbsentBytes: max(0, f.AbsentBytes-d.AbsentBytes),
		Differing: max(0, f.Differing-d.Differing), DifferingBytes: max(0, f.DifferingBytes-d.DifferingBytes),
		Unproved: max(0, f.Unproved-d.Unproved), UnprovedBytes: max(0, f.UnprovedBytes-d.UnprovedBytes),
	}
}

// Add returns the sum of both.
func (f Findings) Add(d Findings) Findings {
	f.Filtered += d.Filtered
	f.FilteredBytes += d.FilteredBytes
	f.Absent += d.Absent
	f.AbsentBytes += d.AbsentBytes
	f.Differing += d.Differing
	f.DifferingBytes += d.DifferingBytes
	f.Unproved += d.Unproved
	f.UnprovedBytes += d.UnprovedBytes
	return f
}

// Add returns the sum of both.
func (c Counters) Add(d Counters) Counters {
	c.Listed += d.Listed
	c.Migrated += d.Migrated
	c.Failed += d.Failed
	c.Skipped += d.Skipped
	c.ListedBytes += d.ListedBytes
	c.MigratedBytes += d.MigratedBytes
	c.FailedBytes += d.FailedBytes
	c.SkippedBytes += d.SkippedBytes
	c.MovedBytes += d.MovedBytes
	c.Findings = c.Findings.Add(d.Findings)
	return c
}

// Balanced reports whether the books balance: nothing listed is without an outcome.
func (c Counters) Balanced() bool {
	return c.Listed == c.Migrated+c.Failed+c.Skipped &&
		c.ListedBytes == c.MigratedBytes+c.FailedBytes+c.SkippedBytes
}
