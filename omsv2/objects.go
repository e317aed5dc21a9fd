package omsv2

import (
	"context"
	"net/http"
	"net/url"
)

// TaskObject is an object of a task and what became of it. An extension of this service.
type TaskObject struct {
	// Object name as it is; in JSON, bytes that are not UTF-8 are replaced.
	Key string `json:"key"`
	// The exact name, percent-encoded; only where key cannot show it.
	KeyEncoded string `json:"key_encoded,omitempty"`
	// Bytes, 0 when unknown.
	Size int64 `json:"size"`
	// When the source object was modified, Unix milliseconds; 0 when unknown.
	LastModified int64 `json:"last_modified,omitempty"`
	// With the outcome metadata: what was not carried, by kind.
	Uncarried string `json:"uncarried,omitempty"`
	// With the outcome failed: code as in the failed-object list.
	Code string `json:"code,omitempty"`
	// With the outcome failed: cause.
	Message string `json:"message,omitempty"`
	// With the outcome failed: when, Unix milliseconds.
	Time int64 `json:"time,omitempty"`
}

// ListTaskObjectsResponse is a page of objects of a task with one outcome: failed ones in byte order of their names, others
// in the order in which they were done.
type ListTaskObjectsResponse struct {
	// The page. It may be empty although more follow.
	Objects []TaskObject `json:"objects"`
	// Value of after for the next page; empty at the end of what there is.
	Next string `json:"next"`
}

// QueryTaskObjectsRequest asks for objects of a task whose keys are destroyed, with keys of the destination. They are used
// for this request and not kept.
type QueryTaskObjectsRequest struct {
	// What became of the objects: success, skipped, failed or metadata (not carried whole).
	Outcome string `json:"outcome"`
	// Only objects whose names start with this.
	Prefix string `json:"prefix,omitempty"`
	// Value of next of the page before.
	After string `json:"after,omitempty"`
	// Page size, 1 to 1000; default 100.
	Limit int64 `json:"limit,omitempty"`
	// Access key of the destination.
	DstAK string `json:"dst_ak"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk"`
	// Token of temporary keys.
	DstSecurityToken Secret `json:"dst_security_token,omitempty"`
}

// ShowTaskOutcomesResponse tells of the object lists of a task, and of metadata that was not carried.
type ShowTaskOutcomesResponse struct {
	// Bucket of the destination that holds the lists.
	Bucket string `json:"bucket"`
	// The lists that have entries.
	Lists []TaskObjectList `json:"lists"`
	// How many objects lost what of their metadata, by kind: objects (with any of those that are listed), user_metadata,
	// header, tags, website_redirect, object_lock; and not_asked: objects that have metadata in a task without
	// enable_metadata_migration.
	Uncarried []UncarriedCount `json:"uncarried"`
}

// UncarriedCount counts objects that lost something of their metadata.
type UncarriedCount struct {
	// What they lost.
	Kind string `json:"kind"`
	// How many they are.
	Objects int64 `json:"objects"`
}

// TaskObjectList is an object list of a task.
type TaskObjectList struct {
	// success, skipped or metadata.
	Outcome string `json:"outcome"`
	// Objects in it, those that are not written yet included.
	Entries int64 `json:"entries"`
	// Bytes of its text.
	Size int64 `json:"size"`
	// Why it is incomplete or was not written, or empty.
	ErrorCode string `json:"error_code"`
	// Where its files are.
	Folder string `json:"folder"`
	// Files that are written, in order: those of a long list, and of several runs. At most the last hundred.
	Files []TaskObjectListFile `json:"files"`
}

// TaskObjectListFile is a file of an object list.
type TaskObjectListFile struct {
	// Object name in the bucket of the destination.
	Key string `json:"key"`
	// Objects in it.
	Entries int64 `json:"entries"`
	// Bytes.
	Size int64 `json:"size"`
}

// ListTaskObjectsOptions select a page of ListTaskObjects.
type ListTaskObjectsOptions struct {
	Outcome string // success, skipped, failed or metadata; required
	Prefix  string // only objects whose names start with it
	After   string // ListTaskObjectsResponse.Next of the page before
	Limit   int    // page size, 1 to 1000; 0 means 100
}

// ShowTaskOutcomes tells of the object lists of a task. It is an extension of this service.
func (c *Client) ShowTaskOutcomes(ctx context.Context, id int64) (*ShowTaskOutcomesResponse, error) {
	return call[ShowTaskOutcomesResponse](ctx, c, request{op: "show outcomes", method: http.MethodGet, path: c.extTask(id) + "/outcomes"})
}

// ListTaskObjects returns a page of objects by outcome, with exact names in TaskObject.Key. When a task has ended, all
// but failed objects need QueryTaskObjects. It is an extension of this service.
func (c *Client) ListTaskObjects(ctx context.Context, id int64, opts ListTaskObjectsOptions) (*ListTaskObjectsResponse, error) {
	q := url.Values{}
	setString(q, "outcome", opts.Outcome)
	setString(q, "prefix", opts.Prefix)
	setString(q, "after", opts.After)
	setInt(q, "limit", opts.Limit)
	page, err := call[ListTaskObjectsResponse](ctx, c, request{op: "list objects", method: http.MethodGet, path: c.extTask(id) + "/objects", query: q})
	if err != nil {
		return nil, err
	}
	return page, exactObjects(page.Objects)
}

// QueryTaskObjects is ListTaskObjects with keys of the destination.
func (c *Client) QueryTaskObjects(ctx context.Context, id int64, req *QueryTaskObjectsRequest) (*ListTaskObjectsResponse, error) {
	page, err := call[ListTaskObjectsResponse](ctx, c, request{op: "query objects", method: http.MethodPost, path: c.extTask(id) + "/objects/query", body: req})
	if err != nil {
		return nil, err
	}
	return page, exactObjects(page.Objects)
}

// exactObjects puts the exact names into objects.
func exactObjects(objects []TaskObject) error {
	for i := range objects {
		if objects[i].KeyEncoded == "" {
			continue
		}
		key, err := url.PathUnescape(objects[i].KeyEncoded)
		if err != nil {
			return err
		}
		objects[i].Key = key
	}
	return nil
}
