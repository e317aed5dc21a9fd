package inquiry

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
)

// noPlaces refuses a cloud that has no buckets, or none that can be asked.
func noPlaces(q oms.BucketQuery) error {
	return oms.Errorf(oms.Invalid, "OMS.0151", "The cloud type %s cannot be asked for buckets by this version of the service.", oms.Clean(string(q.CloudType)))
}

// listCode is the code for an account that does not list its buckets.
func listCode(err error) string {
	switch {
	case oms.KindOf(err) == oms.Denied && oms.KeysRefused(err):
		return "OMS.1016"
	case oms.KindOf(err) == oms.Denied:
		return "OMS.1014"
	}
	return "OMS.0153"
}

// bucketCode is the code for a bucket that cannot be looked into.
func bucketCode(err error) string {
	switch oms.KindOf(err) {
	case oms.Denied, oms.NoBucket, oms.NotFound:
		return "OMS.1014"
	default:
		return "OMS.0153"
	}
}

// refuse turns trouble with a store into the answer. The cause is logged and not shown.
func (s *Service) refuse(ctx context.Context, op string, err error, code string) error {
	if oms.KindOf(err) == oms.Unsupported || oms.CodeOf(err) == "OMS.0151" {
		return oms.Errorf(oms.Invalid, "OMS.0151", "The cloud type cannot be asked for buckets by this version of the service.")
	}
	msg := "The bucket or its account cannot be reached. Check region and network, or try again later."
	switch oms.KindOf(err) {
	case oms.Denied:
		msg = "The keys are not valid or lack rights."
		if oms.KeysRefused(err) {
			msg = "The keys are not valid."
		}
	case oms.NoBucket, oms.NotFound:
		msg = "The bucket does not exist."
	case oms.Listing:
		msg = "The answer of the store cannot be trusted."
	default:
	}
	s.log.InfoContext(ctx, "question about a bucket without answer", "question", op, "code", code, "err", err)
	return &oms.Error{Op: op, Kind: oms.Invalid, Code: code, Msg: msg, Err: err}
}
