package engine

import (
	"context"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// maxHintSpaces is for how many of a task's prefixes the way they were listed is remembered.
const maxHintSpaces = 32

// bounder is a job that knows which keys divide the source evenly.
type bounder interface {
	Boundaries() []string
}

// hintSpaces returns the key spaces of a task that are remembered.
func hintSpaces(t oms.Task) []oms.KeySpace {
	prefixes, _ := t.Spec.Selection()
	list := make([]oms.KeySpace, 0, min(len(prefixes), maxHintSpaces))
	for _, p := range prefixes[:cap(list)] {
		list = append(list, oms.KeySpace{
			ProjectID: t.ProjectID, Endpoint: t.Spec.Src.Endpoint.URL, Bucket: sourceBucket(t.Spec.Src), Prefix: p,
		})
	}
	return list
}

// keyBounds returns where earlier listings of the task's key spaces could be divided: hints, so that an error only
// costs time.
func (e *Engine) keyBounds(ctx context.Context, t oms.Task) (known []string) {
	for _, s := range hintSpaces(t) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		bounds, err := e.store.KeyBounds(ctx, s)
		cancel()
		if err != nil {
			e.log.InfoContext(ctx, "the bounds of an earlier listing cannot be read", "task_id", t.ID, "err", err)
			return known
		}
		known = append(known, bounds...)
	}
	return known
}

// keepKeyBounds remembers for the next task how the keys that a job has listed can be divided. An error only costs
// that task time.
func (e *Engine) keepKeyBounds(ctx context.Context, t oms.Task, job mover) {
	b, ok := job.(bounder)
	if !ok {
		return
	}
	bounds := b.Boundaries()
	for _, s := range hintSpaces(t) {
		var own []string
		for _, k := range bounds {
			if strings.HasPrefix(k, s.Prefix) {
				own = append(own, k)
			}
		}
		if len(own) == 0 { // nothing was listed there, or next to nothing
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		err := e.store.KeepKeyBounds(ctx, s, own)
		cancel()
		if err != nil {
			e.log.InfoContext(ctx, "the bounds of a listing cannot be kept", "task_id", t.ID, "err", err)
			return
		}
	}
}
