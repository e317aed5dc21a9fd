package httpapi

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// What the time of an estimate assumes of network and stores. They are shown with it.
const (
	assumedObjects = 1000      // per second
	assumedBytes   = 100 << 20 // per second
)

// createAssessment begins to look at what a bucket holds.
func (s *service) createAssessment(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	f.require("src_node")
	node := f.object("src_node")
	src := sourceNode(node, oms.TypePrefix)
	keys := sourceKeys(node, oms.TaskSpec{Type: oms.TypePrefix, Src: src})
	if !f.failed() {
		var ok bool
		if src.Endpoint, ok = s.endpoint(src.CloudType, src.Region); !ok {
			f.refuse("OMS.0079", "The region of the source is not supported for its cloud type.")
		}
	}
	if f.failed() {
		return nil, *f.err
	}
	a, err := s.tasks.Assess(ctx, c.project, src, keys)
	if err != nil {
		return nil, err
	}
	c.object = a.ID
	return omsv2.CreateAssessmentResponse{ID: a.ID}, nil
}

// showAssessment shows what an assessment has found so far.
func (s *service) showAssessment(ctx context.Context, c *call) (any, error) {
	a, err := s.tasks.Assessment(ctx, c.project, c.r.PathValue("assessment_id"))
	if err != nil {
		return nil, err
	}
	return assessmentView(a), nil
}

func assessmentView(a oms.Assessment) omsv2.Assessment {
	r := a.Report
	v := omsv2.Assessment{
		ID: a.ID, Status: string(a.Status), SrcNode: sourceView(a.Src), StartTime: millis(a.CreatedAt), EndTime: millis(a.EndedAt),
		Objects: r.Objects, Bytes: r.Bytes, Largest: r.Largest, Oldest: millis(r.Oldest), Newest: millis(r.Newest),
		Sizes: []omsv2.SizeClass{}, Classes: []omsv2.StorageCount{}, Keys: []omsv2.KeyTrait{},
		Sample: omsv2.MetadataSample(r.Sample),
		Estimate: omsv2.MigrationEstimate{
			ListRequests: r.Requests.List, ReadRequests: r.Requests.Read, WriteRequests: r.Requests.Write,
			Time:             max(r.Objects*1000/assumedObjects, r.Bytes/assumedBytes*1000),
			ObjectsPerSecond: assumedObjects, BytesPerSecond: assumedBytes,
		},
	}
	if a.Error != nil {
		v.ErrorReason = &omsv2.ErrorReason{ErrorCode: a.Error.Code, ErrorMsg: a.Error.Message}
	}
	for _, c := range r.Sizes {
		v.Sizes = append(v.Sizes, omsv2.SizeClass(c))
	}
	for _, c := range r.Classes {
		v.Classes = append(v.Classes, omsv2.StorageCount(c))
	}
	for _, k := range r.Keys {
		v.Keys = append(v.Keys, omsv2.KeyTrait(k))
	}
	return v
}
