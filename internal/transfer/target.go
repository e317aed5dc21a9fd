package transfer

import (
	"github.com/openoms/openoms/internal/guard"
	"github.com/openoms/openoms/internal/oms"
)

// target is where a request goes: a side, and the class of requests that its store limits together.
type target uint8

// The targets.
const (
	srcList target = iota
	srcRead
	dstList
	dstRead
	dstWrite
	targets // number of targets
)

func (t target) side() oms.Side {
	if t == srcList || t == srcRead {
		return oms.Source
	}
	return oms.Destination
}

func (t target) class() guard.Class {
	switch t {
	case srcList, dstList:
		return guard.List
	case srcRead, dstRead:
		return guard.Read
	case dstWrite, targets:
	}
	return guard.Write
}

// openFlows makes the job's part of the lanes that its requests go through.
func (j *Job) openFlows() {
	weight := guard.Weight(j.plan.Spec.Priority)
	for t := range targets {
		if t.side() == oms.Destination && j.plan.Dst == nil {
			continue // of a survey
		}
		key := guard.Key{Endpoint: j.plan.Spec.Src.Endpoint.URL, Bucket: j.plan.Spec.Src.Bucket, Class: t.class()}
		if t.side() == oms.Destination {
			key.Endpoint, key.Bucket = j.plan.Spec.Dst.Endpoint.URL, j.plan.Spec.Dst.Bucket
		}
		j.flows[t] = j.res.guard.Open(key, weight)
	}
}

func (j *Job) closeFlows() {
	for _, f := range j.flows {
		f.Close()
	}
}
