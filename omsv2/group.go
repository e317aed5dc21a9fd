package omsv2

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// The states of a task group, TaskGroup.Status (OMS v2, 5.3).
const (
	GroupWaiting        = 0
	GroupCreating       = 1
	GroupMonitoring     = 2
	GroupPaused         = 3
	GroupCreationFailed = 4
	GroupFailed         = 5
	GroupSucceeded      = 6
	GroupPausing        = 7
	GroupDeletePending  = 8
	GroupDeleting       = 9
)

// CreateTaskGroupRequest is the body of CreateTaskGroup (OMS v2, 4.12).
type CreateTaskGroupRequest struct {
	// PREFIX, LIST or URL_LIST; default PREFIX.
	TaskType string `json:"task_type,omitempty"`
	// Where the objects come from; its vendor may be written as in answers.
	SrcNode *SourceNodeRequest `json:"src_node"`
	// Where the objects go.
	DstNode *DestinationNodeRequest `json:"dst_node"`
	// At most 255 characters, without ^ < > & " '.
	Description string `json:"description,omitempty"`
	// Only objects modified after this time are migrated; Unix seconds, 0 means all.
	MigrateSince int64 `json:"migrate_since,omitempty"`
	// Traffic limits, at most five, of each task of the group.
	BandwidthPolicy []BandwidthPolicy `json:"bandwidth_policy,omitempty"`
	// CDN host that source objects are fetched through.
	SourceCDN *SourceCDNRequest `json:"source_cdn,omitempty"`
	// Notification when the group ends.
	SMNConfig *SMNConfig `json:"smn_config,omitempty"`
	// Migrate more metadata than the content type.
	EnableMetadataMigration bool `json:"enable_metadata_migration,omitempty"`
	// Restore archived source objects first.
	EnableRestore bool `json:"enable_restore,omitempty"`
	// Keep lists of failed objects in the destination bucket; nil means true.
	EnableFailedObjectRecording *bool `json:"enable_failed_object_recording,omitempty"`
	// Keep lists of migrated and of skipped objects in the destination bucket; nil means what the service is set to. An
	// extension of this service.
	EnableObjectLists *bool `json:"enable_object_lists,omitempty"`
	// Which existing objects are overwritten; default SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE.
	ObjectOverwriteMode string `json:"object_overwrite_mode,omitempty"`
	// Storage class at the destination; default STANDARD.
	DstStoragePolicy string `json:"dst_storage_policy,omitempty"`
	// Check after the copy; default size_last_modified.
	ConsistencyCheck string `json:"consistency_check,omitempty"`
	// Let this account pay for reading the source.
	EnableRequesterPays bool `json:"enable_requester_pays,omitempty"`
	// Encrypt migrated objects with KMS at the destination; legacy.
	EnableKMS bool `json:"enable_kms,omitempty"`
}

// CreateTaskGroupResponse names the new group.
type CreateTaskGroupResponse struct {
	// Group id.
	GroupID string `json:"group_id"`
}

// TaskGroup is the answer of ShowTaskGroup and an element of ListTaskGroup (OMS v2, 4.13). Vendors are in upper case.
type TaskGroup struct {
	// Group id.
	GroupID string `json:"group_id"`
	// State: 0 waiting, 1 creating tasks, 2 monitoring, 3 paused, 4 creation failed, 5 failed, 6 succeeded, 7 pausing, 8 waiting for deletion, 9 deleting.
	Status int32 `json:"status"`
	// Why the group failed, or null.
	ErrorReason *ErrorReason `json:"error_reason"`
	// Where the objects come from.
	SrcNode SourceNode `json:"src_node"`
	// Description.
	Description string `json:"description"`
	// Where the objects go.
	DstNode DestinationNode `json:"dst_node"`
	// Whether more metadata than the content type is migrated.
	EnableMetadataMigration bool `json:"enable_metadata_migration"`
	// Whether failed objects are listed in the destination bucket.
	EnableFailedObjectRecording bool `json:"enable_failed_object_recording"`
	// Whether archived source objects are restored.
	EnableRestore bool `json:"enable_restore"`
	// Whether migrated objects are encrypted with KMS.
	EnableKMS bool `json:"enable_kms"`
	// PREFIX, LIST or URL_LIST.
	TaskType string `json:"task_type"`
	// Traffic limits.
	BandwidthPolicy []BandwidthPolicy `json:"bandwidth_policy"`
	// What became of the notification, or null.
	SMNConfig *SMNInfo `json:"smn_config"`
	// CDN host, or null.
	SourceCDN *SourceCDN `json:"source_cdn"`
	// Only objects modified after this time are migrated; Unix milliseconds, 0 means all.
	MigrateSince int64 `json:"migrate_since"`
	// Bytes per second: now while tasks run, on average afterwards.
	MigrateSpeed int64 `json:"migrate_speed"`
	// Running time in milliseconds, pauses excluded.
	TotalTime int64 `json:"total_time"`
	// Latest start, Unix milliseconds.
	StartTime int64 `json:"start_time"`
	// Tasks of the group as far as they are known; deleted ones included.
	TotalTaskNum int64 `json:"total_task_num"`
	// Tasks created so far; deleted ones included.
	CreateTaskNum int64 `json:"create_task_num"`
	// Tasks that failed.
	FailedTaskNum int64 `json:"failed_task_num"`
	// Tasks that succeeded.
	CompleteTaskNum int64 `json:"complete_task_num"`
	// Tasks that are paused.
	PausedTaskNum int64 `json:"paused_task_num"`
	// Tasks that run or wind down.
	ExecutingTaskNum int64 `json:"executing_task_num"`
	// Tasks that wait.
	WaitingTaskNum int64 `json:"waiting_task_num"`
	// Objects found so far.
	TotalNum int64 `json:"total_num"`
	// Objects that belong to created tasks.
	CreateCompleteNum int64 `json:"create_complete_num"`
	// Objects migrated.
	SuccessNum int64 `json:"success_num"`
	// Objects failed.
	FailNum int64 `json:"fail_num"`
	// Objects skipped.
	SkipNum int64 `json:"skip_num"`
	// Bytes found so far.
	TotalSize int64 `json:"total_size"`
	// Bytes that belong to created tasks.
	CreateCompleteSize int64 `json:"create_complete_size"`
	// Bytes done: migrated and skipped.
	CompleteSize int64 `json:"complete_size"`
	// What became of the lists of failed objects; list_file_key is the folder that holds them.
	FailedObjectRecord FailedObjectRecord `json:"failed_object_record"`
	// Which existing objects are overwritten.
	ObjectOverwriteMode string `json:"object_overwrite_mode"`
	// Storage class at the destination.
	DstStoragePolicy string `json:"dst_storage_policy"`
	// Check after the copy.
	ConsistencyCheck string `json:"consistency_check"`
	// Kind of the destination: BUCKET or PFS.
	OBSSystem string `json:"obs_system"`
	// Whether this account pays for reading the source.
	EnableRequesterPays bool `json:"enable_requester_pays"`
}

// ListTaskGroupsResponse is a page of groups, newest first.
type ListTaskGroupsResponse struct {
	// Groups that match the filter, on all pages.
	Count int64 `json:"count"`
	// The page.
	TaskGroups []TaskGroup `json:"taskgroups"`
}

// StartTaskGroupRequest is the body of StartTaskGroup (OMS v2, 4.15). Keys are not kept between runs.
type StartTaskGroupRequest struct {
	// Access key of the source.
	SrcAK Secret `json:"src_ak,omitempty"`
	// Secret key of the source.
	SrcSK Secret `json:"src_sk,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Access key of the destination.
	DstAK Secret `json:"dst_ak"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk"`
	// Key that signs CDN URLs.
	SourceCDNAuthenticationKey Secret `json:"source_cdn_authentication_key,omitempty"`
	// DEFAULT, or KMS for source keys that are encrypted.
	SrcCryptoType string `json:"src_crypto_type,omitempty"`
	// KMS key of the encrypted source keys.
	SrcKMSKeyID string `json:"src_kms_key_id,omitempty"`
	// DEFAULT, or KMS for destination keys that are encrypted.
	DstCryptoType string `json:"dst_crypto_type,omitempty"`
	// KMS key of the encrypted destination keys.
	DstKMSKeyID string `json:"dst_kms_key_id,omitempty"`
	// DEFAULT, or KMS for a CDN key that is encrypted.
	SourceCDNCryptoType string `json:"source_cdn_crypto_type,omitempty"`
	// KMS key of the encrypted CDN key.
	SourceCDNKMSKeyID string `json:"source_cdn_kms_key_id,omitempty"`
}

// RetryTaskGroupRequest is the body of RetryTaskGroup (OMS v2, 4.17). Keys are not kept between runs.
type RetryTaskGroupRequest struct {
	// Access key of the source.
	SrcAK Secret `json:"src_ak,omitempty"`
	// Secret key of the source.
	SrcSK Secret `json:"src_sk,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Access key of the destination.
	DstAK Secret `json:"dst_ak,omitempty"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk,omitempty"`
	// Key that signs CDN URLs.
	SourceCDNAuthenticationKey Secret `json:"source_cdn_authentication_key,omitempty"`
	// Retry only what failed; false runs all tasks over everything again.
	MigrateFailedObject bool `json:"migrate_failed_object,omitempty"`
	// DEFAULT, or KMS for source keys that are encrypted.
	SrcCryptoType string `json:"src_crypto_type,omitempty"`
	// KMS key of the encrypted source keys.
	SrcKMSKeyID string `json:"src_kms_key_id,omitempty"`
	// DEFAULT, or KMS for destination keys that are encrypted.
	DstCryptoType string `json:"dst_crypto_type,omitempty"`
	// KMS key of the encrypted destination keys.
	DstKMSKeyID string `json:"dst_kms_key_id,omitempty"`
	// DEFAULT, or KMS for a CDN key that is encrypted.
	SourceCDNCryptoType string `json:"source_cdn_crypto_type,omitempty"`
	// KMS key of the encrypted CDN key.
	SourceCDNKMSKeyID string `json:"source_cdn_kms_key_id,omitempty"`
}

// ListTaskGroupsOptions filter and page ListTaskGroups. The zero value is the first ten groups of all.
type ListTaskGroupsOptions struct {
	Status *int // only groups in this state; nil means all, since 0 is a state
	Limit  int  // page size, 1 to 100; 0 means 10
	Offset int  // index of the first group
}

// CreateTaskGroup creates a task group; its tasks are created and started in the background.
func (c *Client) CreateTaskGroup(ctx context.Context, req *CreateTaskGroupRequest) (*CreateTaskGroupResponse, error) {
	return call[CreateTaskGroupResponse](ctx, c, request{op: "create task group", method: http.MethodPost, path: c.groups(), body: req})
}

// ListTaskGroups returns a page of task groups, newest first.
func (c *Client) ListTaskGroups(ctx context.Context, opts ListTaskGroupsOptions) (*ListTaskGroupsResponse, error) {
	q := url.Values{}
	if opts.Status != nil {
		q.Set("status", strconv.Itoa(*opts.Status))
	}
	setPage(q, opts.Limit, opts.Offset)
	return call[ListTaskGroupsResponse](ctx, c, request{op: "list task groups", method: http.MethodGet, path: c.groups(), query: q})
}

// ShowTaskGroup returns a task group. An unknown group is an *Error with StatusCode 404.
func (c *Client) ShowTaskGroup(ctx context.Context, id string) (*TaskGroup, error) {
	return call[TaskGroup](ctx, c, request{op: "show task group", method: http.MethodGet, path: c.group(id)})
}

// DeleteTaskGroup deletes a group that is not active, with its tasks; ShowTaskGroup tells when it is gone.
func (c *Client) DeleteTaskGroup(ctx context.Context, id string) error {
	return exec(ctx, c, request{op: "delete task group", method: http.MethodDelete, path: c.group(id)})
}

// StartTaskGroup lets a paused group go on.
func (c *Client) StartTaskGroup(ctx context.Context, id string, req *StartTaskGroupRequest) error {
	return exec(ctx, c, request{op: "start task group", method: http.MethodPut, path: c.group(id) + "/start", body: req})
}

// StopTaskGroup pauses a group that creates or runs tasks.
func (c *Client) StopTaskGroup(ctx context.Context, id string) error {
	return exec(ctx, c, request{op: "stop task group", method: http.MethodPut, path: c.group(id) + "/stop"})
}

// RetryTaskGroup runs a failed group again.
func (c *Client) RetryTaskGroup(ctx context.Context, id string, req *RetryTaskGroupRequest) error {
	return exec(ctx, c, request{op: "retry task group", method: http.MethodPut, path: c.group(id) + "/retry", body: req})
}

// UpdateTaskGroup replaces the traffic limits of a group and of all its tasks; none removes them.
func (c *Client) UpdateTaskGroup(ctx context.Context, id string, policy []BandwidthPolicy) error {
	body := &UpdateBandwidthPolicyRequest{BandwidthPolicy: append([]BandwidthPolicy{}, policy...)}
	return exec(ctx, c, request{op: "update task group", method: http.MethodPut, path: c.group(id) + "/update", body: body})
}

func (c *Client) groups() string { return "/v2/" + url.PathEscape(c.ProjectID) + "/taskgroups" }

func (c *Client) group(id string) string { return c.groups() + "/" + url.PathEscape(id) }
