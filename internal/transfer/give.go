package transfer

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
)

// Give takes up to n ranges that nobody has begun out of the job, for other processes, and returns them: half of those
// that wait for a walker at most, else tails that are cut off what is being listed. Their leases are to be given back when
// what the job has reported until now is stored. None when there is nothing to spare, or the source has no order, so that
// one process must do the rest.
func (j *Job) Give(ctx context.Context, n int) ([]oms.Range, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx == nil || j.stopping() || j.sorted != nil || len(j.late) > 0 {
		return nil, nil
	}
	var given []oms.Range
	for spare := (len(j.waiting) + 1) / 2; spare > 0 && len(j.waiting) > 0; spare-- {
		last := len(j.waiting) - 1
		given = append(given, j.waiting[last].r)
		j.waiting = j.waiting[:last]
	}
	for len(given) < n {
		s, err := j.cutTail(ctx)
		if s == nil || err != nil {
			return given, err
		}
		j.space.Stop(s.keys)
		given = append(given, s.r)
	}
	return given, nil
}
