package server

import (
	"github.com/openoms/openoms/internal/inquiry"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/storage/cdn"
	"github.com/openoms/openoms/internal/storage/s3"
)

// newInquiry wires the answers about accounts and buckets, over the guarded connections of the data plane.
func newInquiry(plane *dataPlane, regions *region.Table, opts Options) *inquiry.Service {
	agent := "openoms/" + opts.Version
	buckets := s3.NewOpener(s3.Options{Transport: plane.transport, Clock: opts.Clock, UserAgent: agent})
	return inquiry.New(inquiry.Options{
		Opener:  cdn.NewOpener(buckets, cdn.Options{Transport: plane.transport, Clock: opts.Clock, UserAgent: agent}),
		Regions: regions, Logger: opts.Logger,
	})
}
