package httpapi

import (
	"context"
	"net/url"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Page sizes of ListFailures.
const (
	maxFailures     = 1000
	defaultFailures = 100
)

// maxAfter bounds the cursor of ListFailures in characters: a name of 1,024 bytes, all of them encoded, and some.
const maxAfter = 16_384

// listFailures shows the failed objects of a task: what OMS only writes to a file, and with exact names.
func (s *service) listFailures(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	q := readQuery(c.r)
	limit := int(q.number("limit", 1, maxFailures, defaultFailures))
	after, err := url.PathUnescape(q.text("after", 0, maxAfter))
	if err != nil {
		q.refuse("OMS.1003", "The parameter after must be the value of next of the page before.")
	}
	if q.err != nil {
		return nil, q.err
	}
	failures, err := s.tasks.Failures(ctx, c.project, id, after, limit)
	if err != nil {
		return nil, err
	}
	page := omsv2.ListFailuresResponse{Failures: make([]omsv2.Failure, 0, len(failures))}
	for _, f := range failures {
		page.Failures = append(page.Failures, failureView(f))
	}
	if len(failures) >= limit {
		page.Next = url.PathEscape(failures[len(failures)-1].Key)
	}
	return page, nil
}

// failureView shows a failure. JSON cannot carry a key that is not UTF-8, so such a key is encoded as well
// (rule D3).
func failureView(f oms.Failure) omsv2.Failure {
	v := omsv2.Failure{Key: f.Key, Size: f.Size, Code: f.Code, Message: oms.Clean(f.Message), Time: f.At}
	if !utf8.ValidString(f.Key) {
		v.KeyEncoded = url.PathEscape(f.Key)
	}
	return v
}
