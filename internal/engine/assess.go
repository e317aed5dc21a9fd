package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/transfer"
)

// Bounds of assessments.
const (
	maxAssessments  = 4               // at a time in a process
	assessmentEvery = 5 * time.Second // what was found so far is stored
)

// assessments are those under way in this process.
type assessments struct {
	mu      sync.Mutex
	running map[string]context.CancelCauseFunc
	stopped bool
}

// enter makes an assessment one under way; false when there are too many, or the process stops.
func (a *assessments) enter(id string, cancel context.CancelCauseFunc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || len(a.running) >= maxAssessments {
		return false
	}
	if a.running == nil {
		a.running = make(map[string]context.CancelCauseFunc)
	}
	a.running[id] = cancel
	return true
}

func (a *assessments) leave(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, id)
}

// stop ends all, and lets none begin any more.
func (a *assessments) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	for _, cancel := range a.running {
		cancel(errStopping)
	}
}

// Assess begins to look at what a bucket holds below the prefixes of the node, and returns the assessment, which goes on
// in this process; the keys are not stored. OMS.1014 when the bucket cannot be reached, OMS.0077 when too many
// assessments are under way.
func (e *Engine) Assess(ctx context.Context, project string, src oms.SourceNode, keys oms.Credentials) (oms.Assessment, error) {
	spec := oms.TaskSpec{Type: oms.TypePrefix, Src: src, Priority: oms.PriorityLow}
	if len(spaces(spec)) == 0 {
		return oms.Assessment{}, oms.Errorf(oms.Invalid, "OMS.1004", "no objects are selected")
	}
	bucket, err := e.openSource(ctx, spec, keys)
	if err == nil {
		call, cancel := context.WithTimeout(ctx, checkPatience)
		err = unreachable(checkDestination(call, bucket), "OMS.1014", "source")
		cancel()
	}
	if err != nil {
		return oms.Assessment{}, err
	}
	now := e.clock()
	a := oms.Assessment{ID: rand.Text(), ProjectID: project, Status: oms.AssessmentRunning, Src: src, CreatedAt: now, UpdatedAt: now}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	if !e.assessing.enter(a.ID, cancel) {
		cancel(nil)
		return oms.Assessment{}, oms.Errorf(oms.Conflict, "OMS.0077", "at most %d assessments may be under way", maxAssessments)
	}
	if err := e.store.KeepAssessment(ctx, a); err != nil {
		e.assessing.leave(a.ID)
		cancel(nil)
		return oms.Assessment{}, err
	}
	e.strays.Go(func() {
		defer cancel(nil)
		defer e.assessing.leave(a.ID)
		e.runAssessment(life, a, transfer.Plan{Owner: e.opts.Owner, Spec: spec, Src: bucket})
	})
	return a, nil
}

// runAssessment lists the bucket, stores what it finds every few seconds, and how it ended.
func (e *Engine) runAssessment(ctx context.Context, a oms.Assessment, plan transfer.Plan) {
	assessor := transfer.NewAssessor()
	ended := make(chan error, 1)
	go func() { ended <- assessor.Run(ctx, plan, e.opts.Resources, e.opts.Transfer) }()
	tick := time.NewTicker(assessmentEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			a.Status = oms.AssessmentSucceeded
			if err != nil {
				reason := oms.ReasonOf(oms.Source, err)
				if stopped, ok := errors.AsType[*transfer.Stopped](err); ok {
					reason = oms.ReasonOf(stopped.Side, stopped.Err)
				}
				a.Status, a.Error = oms.AssessmentFailed, &reason
			}
			a.EndedAt = e.clock()
			e.keepAssessment(ctx, a, assessor)
			return
		case <-tick.C:
			e.keepAssessment(ctx, a, assessor)
		}
	}
}

// keepAssessment stores what is known now, even while the process stops. What cannot be stored is tried again with the
// next news; without any the assessment counts as interrupted.
func (e *Engine) keepAssessment(ctx context.Context, a oms.Assessment, assessor *transfer.Assessor) {
	a.Report, a.UpdatedAt = assessor.Report(), e.clock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalPatience)
	defer cancel()
	if err := e.store.KeepAssessment(ctx, a); err != nil {
		e.log.WarnContext(ctx, "the state of an assessment was not stored", "assessment_id", a.ID, "err", err)
	}
}

// Assessment returns an assessment of the project; oms.NotFound with OMS.1009 when there is none.
func (e *Engine) Assessment(ctx context.Context, project, id string) (oms.Assessment, error) {
	a, err := e.store.Assessment(ctx, project, id)
	return a.Settled(e.clock()), err
}
