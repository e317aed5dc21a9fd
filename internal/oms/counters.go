package oms

// Counters tell what became of the keys that a range has passed, or, summed, of a task. At every checkpoint
// Listed = Migrated + Failed + Skipped, and the same for bytes (rule P3).
type Counters struct {
	Listed, Migrated, Failed, Skipped                     int64 // objects
	ListedBytes, MigratedBytes, FailedBytes, SkippedBytes int64
	MovedBytes                                            int64 // bytes really sent to the destination for migrated objects
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
	return c
}

// Balanced reports whether the books balance: nothing listed is without an outcome.
func (c Counters) Balanced() bool {
	return c.Listed == c.Migrated+c.Failed+c.Skipped &&
		c.ListedBytes == c.MigratedBytes+c.FailedBytes+c.SkippedBytes
}
