package httpapi

import (
	"context"

	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Lanes is the concurrency controller of this process; *guard.Guard implements it.
type Lanes interface {
	// Snapshot returns what it believes and sees, in order of endpoint, bucket and class.
	Snapshot() []guard.Status
}

// listLanes shows what the concurrency controller of this process believes. Lanes are of the process and not of a
// project, so only administrators see them.
func (s *service) listLanes(context.Context, *call) (any, error) {
	answer := omsv2.ListLanesResponse{Lanes: []omsv2.Lane{}}
	if s.lanes == nil {
		return answer, nil
	}
	for _, l := range s.lanes.Snapshot() {
		parts := make([]omsv2.LanePart, len(l.Parts))
		for i, p := range l.Parts {
			parts[i] = omsv2.LanePart{Prefix: oms.Clean(p.Prefix), Rate: p.Rate}
		}
		answer.Lanes = append(answer.Lanes, omsv2.Lane{
			Endpoint: l.Key.Endpoint, Bucket: l.Key.Bucket, Class: string(l.Key.Class), Mode: l.Mode,
			Slots: int64(l.Slots), Rate: l.Rate, InFlight: int64(l.InFlight), Waiting: int64(l.Waiting), Tasks: int64(l.Flows),
			Goodput: l.Goodput, Requests: l.Requests, RTT: l.RTT.Milliseconds(),
			Sent: l.Sent, Refused: l.Refused, Failed: l.Failed, Parts: parts,
		})
	}
	return answer, nil
}
