package httpapi

import (
	"context"
	"net/url"
	"slices"
	"strings"
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

// Limits of what failures are selected by: the codes of one request, and the characters of a code.
const (
	maxCodes = oms.MaxCauses
	maxCode  = 64
)

// listFailures shows the failed objects of a task, or their causes: what OMS only writes to a file, all of it and with
// exact names.
func (s *service) listFailures(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	q := readQuery(c.r)
	filter := failureFilter(q)
	byCode := q.text("group_by", 0, maxCode)
	if byCode != "" && byCode != "code" {
		q.refuse("OMS.1003", "The parameter group_by must be code.")
	}
	if q.err != nil {
		return nil, q.err
	}
	if byCode != "" {
		return s.listCauses(ctx, c, id, filter)
	}
	failures, err := s.tasks.FindFailures(ctx, c.project, id, filter)
	if err != nil {
		return nil, err
	}
	page := omsv2.ListFailuresResponse{Failures: failureViews(failures)}
	if len(failures) >= filter.Limit {
		page.Next = url.PathEscape(failures[len(failures)-1].Key)
	}
	return page, nil
}

// failureFilter reads what failures are asked for.
func failureFilter(q *query) oms.FailureFilter {
	f := oms.FailureFilter{
		Limit:  int(q.number("limit", 1, maxFailures, defaultFailures)),
		Prefix: q.text("prefix", 0, maxObjectName),
	}
	var err error
	if f.After, err = url.PathUnescape(q.text("after", 0, maxAfter)); err != nil {
		q.refuse("OMS.1003", "The parameter after must be the value of next of the page before.")
	}
	if codes := q.text("code", 0, maxAfter); codes != "" {
		f.Codes = strings.Split(codes, ",")
	}
	if len(f.Codes) > maxCodes || slices.ContainsFunc(f.Codes, func(code string) bool { return !plausibleCode(code) }) {
		q.refuse("OMS.1003", "The parameter code must be one or several codes of failures, separated by commas.")
	}
	return f
}

// plausibleCode reports whether a text may be the code of a failure.
func plausibleCode(code string) bool {
	return code != "" && len(code) <= maxCode && !strings.ContainsFunc(code, func(c rune) bool { return !alphanumeric(c) && c != '_' })
}

// listCauses answers with the causes of a task's failures.
func (s *service) listCauses(ctx context.Context, c *call, id int64, filter oms.FailureFilter) (any, error) {
	causes, err := s.tasks.Causes(ctx, c.project, id, filter)
	if err != nil {
		return nil, err
	}
	answer := omsv2.ListFailuresResponse{Failures: []omsv2.Failure{}, Causes: make([]omsv2.FailureCause, 0, len(causes))}
	for _, cause := range causes {
		answer.Causes = append(answer.Causes, omsv2.FailureCause{
			Code: cause.Code, Count: cause.Count, Bytes: cause.Bytes, FirstTime: cause.First, LastTime: cause.Last,
			Samples: failureViews(cause.Samples), Hint: oms.FailureHint(cause.Code),
		})
	}
	return answer, nil
}

// failureViews shows failures.
func failureViews(failures []oms.Failure) []omsv2.Failure {
	views := make([]omsv2.Failure, 0, len(failures))
	for _, f := range failures {
		views = append(views, failureView(f))
	}
	return views
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

// retryTask starts a failed task over some or all of its failures.
func (s *service) retryTask(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	req, err := decodeRetry(c.body)
	if err != nil {
		return nil, err
	}
	if req.Credentials.Src.IsZero() {
		if err := s.needsSourceKeys(ctx, c.project, id); err != nil {
			return nil, err
		}
	}
	return nil, s.tasks.Retry(ctx, c.project, id, req)
}

// decodeRetry reads the body of RetryTask: that of StartTask, with codes in the place of migrate_failed_object.
func decodeRetry(body []byte) (oms.StartRequest, error) {
	req, err := decodeStart(body)
	if err != nil {
		return oms.StartRequest{}, err
	}
	f, err := decodeBody(body)
	if err != nil {
		return oms.StartRequest{}, err
	}
	req.FailedOnly = true
	for _, code := range f.texts("codes", maxCodes, maxCode) {
		if !plausibleCode(code) {
			f.refuse("OMS.1003", "The field codes must hold codes of failures.")
		}
		if !slices.Contains(req.Codes, code) {
			req.Codes = append(req.Codes, code)
		}
	}
	return req, *f.err
}
