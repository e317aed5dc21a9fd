package engine

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// Job is what tests put in the place of a transfer job.
type Job interface {
	Run(ctx context.Context, ranges []oms.Range, uploads []oms.Upload) error
	SetLimit(bytesPerSecond int64)
	Stats() transfer.Stats
}

// ReplaceJobs lets the engine run jobs that a test makes. Call it before Run.
func (e *Engine) ReplaceJobs(make func(transfer.Plan, transfer.Journal) Job) {
	e.newJob = func(p transfer.Plan, j transfer.Journal) mover { return make(p, j) }
}

// FireDue fires the schedules that are due now.
func (e *Engine) FireDue(ctx context.Context, opts ScheduleOptions) { e.fireDue(ctx, opts) }
