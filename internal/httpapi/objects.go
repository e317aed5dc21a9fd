package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/omsv2"
)

// Objects is the service behind the operations on what became of the objects of tasks; package engine implements it.
type Objects interface {
	// Objects returns a page of objects; OMS.1004 when keys of the destination are needed.
	Objects(ctx context.Context, project string, id int64, q oms.ObjectQuery) (oms.ObjectPage, error)
	// Lists tells of the object lists.
	Lists(ctx context.Context, project string, id int64) (oms.TaskLists, error)
}

// Page sizes of ListTaskObjects.
const (
	maxObjects     = 1000
	defaultObjects = 100
)

// shownListFiles is how many files of a list are shown.
const shownListFiles = 100

// objectRoutes are the operations on what became of objects.
func objectRoutes() []route {
	const task = "/ext/v1/{project_id}/tasks/{task_id}"
	get := may(auth.ExtensionGet)
	return []route{
		{http.MethodGet, task + "/outcomes", "ShowTaskOutcomes", get, noBody, (*service).showOutcomes},
		{http.MethodGet, task + "/objects", "ListTaskObjects", get, noBody, (*service).listObjects},
		{http.MethodPost, task + "/objects/query", "QueryTaskObjects", get, normalBody, (*service).queryObjects},
	}
}

// outcomeNames are the outcomes that objects are asked for by, with their lists.
func outcomeNames() map[string]oms.ListKind {
	return map[string]oms.ListKind{
		"success": oms.ListSuccess, "skipped": oms.ListSkip, "failed": oms.ListFailed, "metadata": oms.ListMetadata,
	}
}

func outcomeOf(kind oms.ListKind) string {
	for name, k := range outcomeNames() {
		if k == kind {
			return name
		}
	}
	return string(kind)
}

// listObjects shows objects with the keys that the task has.
func (s *service) listObjects(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	q := readQuery(c.r)
	kind := oms.ListSuccess
	if name, given := q.raw("outcome"); given {
		kind = outcomeNames()[name]
	}
	if kind == "" {
		q.refuse("OMS.1003", "The parameter outcome must be success, skipped, failed or metadata.")
	}
	query := oms.ObjectQuery{
		Kind: kind, Prefix: q.text("prefix", 0, maxObjectName), After: q.text("after", 0, maxAfter),
		Limit: int(q.number("limit", 1, maxObjects, defaultObjects)),
	}
	if q.err != nil {
		return nil, q.err
	}
	return s.objectPage(ctx, c, id, query)
}

// queryObjects shows objects with keys of the destination that come with the request.
func (s *service) queryObjects(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	f.require("outcome")
	query := oms.ObjectQuery{
		Kind:   outcomeNames()[choice(f, "outcome", "success", "success", "skipped", "failed", "metadata")],
		Prefix: f.text("prefix", maxObjectName), After: f.text("after", maxAfter), Limit: defaultObjects,
		Keys: credentials(f, "dst_"),
	}
	if n, ok := f.integer("limit", 1, maxObjects); ok {
		query.Limit = int(n)
	}
	if *f.err != nil {
		return nil, *f.err
	}
	return s.objectPage(ctx, c, id, query)
}

func (s *service) objectPage(ctx context.Context, c *call, id int64, query oms.ObjectQuery) (any, error) {
	page, err := s.objects.Objects(ctx, c.project, id, query)
	if err != nil {
		return nil, err
	}
	answer := omsv2.ListTaskObjectsResponse{Objects: make([]omsv2.TaskObject, 0, len(page.Objects)), Next: page.Next}
	for i := range page.Objects {
		answer.Objects = append(answer.Objects, objectView(&page.Objects[i]))
	}
	return answer, nil
}

// objectView shows an object. JSON cannot carry a key that is not UTF-8, so such a key is encoded as well (rule D3).
func objectView(o *oms.ObjectOutcome) omsv2.TaskObject {
	v := omsv2.TaskObject{Key: o.Key, Size: o.Size, LastModified: o.Modified, Uncarried: oms.Clean(o.Detail)}
	if f := o.Failure; f != nil {
		v.Code, v.Message, v.Time = f.Code, oms.Clean(f.Message), f.At
	}
	if !utf8.ValidString(o.Key) {
		v.KeyEncoded = url.PathEscape(o.Key)
	}
	return v
}

// showOutcomes tells of the object lists of a task.
func (s *service) showOutcomes(ctx context.Context, c *call) (any, error) {
	id, err := taskID(c)
	if err != nil {
		return nil, err
	}
	lists, err := s.objects.Lists(ctx, c.project, id)
	if err != nil {
		return nil, err
	}
	answer := omsv2.ShowTaskOutcomesResponse{Bucket: lists.Bucket, Lists: []omsv2.TaskObjectList{}, Uncarried: []omsv2.UncarriedCount{}}
	for _, l := range lists.Lists {
		v := omsv2.TaskObjectList{
			Outcome: outcomeOf(l.Kind), Entries: l.Entries, Size: l.Size, ErrorCode: l.Code, Folder: lists.Folders[l.Kind],
			Files: []omsv2.TaskObjectListFile{},
		}
		for _, f := range l.Files[max(0, len(l.Files)-shownListFiles):] {
			v.Files = append(v.Files, omsv2.TaskObjectListFile{Key: f.Key, Entries: f.Entries, Size: f.Size})
		}
		answer.Lists = append(answer.Lists, v)
	}
	for kind, n := range lists.Uncarried {
		if n > 0 {
			answer.Uncarried = append(answer.Uncarried, omsv2.UncarriedCount{Kind: oms.Uncarried(kind).String(), Objects: n})
		}
	}
	return answer, nil
}
