package server

import (
	"github.com/openoms/openoms/internal/inquiry"
	"github.com/openoms/openoms/internal/region"
)

// newInquiry wires the answers about accounts and buckets, over the guarded connections of the data plane.
func newInquiry(plane *dataPlane, regions *region.Table, opts Options) *inquiry.Service {
	return inquiry.New(inquiry.Options{
		Opener: plane.connections.opener(opts.Clock, "openoms/"+opts.Version), Regions: regions, Logger: opts.Logger,
	})
}
