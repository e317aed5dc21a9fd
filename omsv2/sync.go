package omsv2

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The states of a synchronization task, SyncTask.Status (OMS v2, 5.7).
const (
	SyncSynchronizing = "SYNCHRONIZING"
	SyncStopped       = "STOPPED"
)

// The types of statistics (OMS v2, 4.26).
const (
	StatisticRequest = "REQUEST" // object names received
	StatisticSuccess = "SUCCESS" // objects migrated
	StatisticFailure = "FAILURE" // objects that failed
	StatisticSkip    = "SKIP"    // objects that the destination had already
	StatisticSize    = "SIZE"    // bytes of objects migrated
)

// CreateSyncTaskRequest is the body of CreateSyncTask (OMS v2, 4.20).
type CreateSyncTaskRequest struct {
	// Vendor of the source; default Aliyun.
	SrcCloudType string `json:"src_cloud_type,omitempty"`
	// Region id of the source bucket.
	SrcRegion string `json:"src_region"`
	// Source bucket.
	SrcBucket string `json:"src_bucket"`
	// Access key of the source.
	SrcAK Secret `json:"src_ak"`
	// Secret key of the source.
	SrcSK Secret `json:"src_sk"`
	// Access key of the destination.
	DstAK Secret `json:"dst_ak"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk"`
	// Region id of the destination bucket.
	DstRegion string `json:"dst_region"`
	// Destination bucket.
	DstBucket string `json:"dst_bucket"`
	// At most 255 characters, none of < > ( ) " ' &.
	Description string `json:"description,omitempty"`
	// Copy user metadata and all content headers.
	EnableMetadataMigration bool `json:"enable_metadata_migration,omitempty"`
	// Restore archived source objects first.
	EnableRestore bool `json:"enable_restore,omitempty"`
	// STANDARD, IA, ARCHIVE, DEEP_ARCHIVE or SRC_STORAGE_MAPPING.
	DstStoragePolicy string `json:"dst_storage_policy,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
	// Fetch source objects through a CDN host.
	SourceCDN *SourceCDNRequest `json:"source_cdn,omitempty"`
	// size_last_modified, crc64 or transmission.
	ConsistencyCheck string `json:"consistency_check,omitempty"`
	// DEFAULT, or KMS for source keys that are encrypted.
	SrcCryptoType string `json:"src_crypto_type,omitempty"`
	// KMS key of the encrypted source keys.
	SrcKMSKeyID string `json:"src_kms_key_id,omitempty"`
	// DEFAULT, or KMS for destination keys that are encrypted.
	DstCryptoType string `json:"dst_crypto_type,omitempty"`
	// KMS key of the encrypted destination keys.
	DstKMSKeyID string `json:"dst_kms_key_id,omitempty"`
}

// CreateSyncTaskResponse is the answer to CreateSyncTask.
type CreateSyncTaskResponse struct {
	// Id of the new task, a UUID.
	SyncTaskID string `json:"sync_task_id"`
}

// SyncTask is a synchronization task as ListSyncTasks shows it (OMS v2, 4.19).
type SyncTask struct {
	// Id of the task, a UUID.
	SyncTaskID string `json:"sync_task_id"`
	// Vendor of the source.
	SrcCloudType string `json:"src_cloud_type"`
	// Region id of the source bucket.
	SrcRegion string `json:"src_region"`
	// Source bucket.
	SrcBucket string `json:"src_bucket"`
	// Creation, Unix milliseconds.
	CreateTime int64 `json:"create_time"`
	// Latest start, Unix milliseconds.
	LastStartTime int64 `json:"last_start_time"`
	// Destination bucket.
	DstBucket string `json:"dst_bucket"`
	// Region id of the destination bucket.
	DstRegion string `json:"dst_region"`
	// As given at creation.
	Description string `json:"description"`
	// SYNCHRONIZING or STOPPED.
	Status string `json:"status"`
	// Whether user metadata and all content headers are copied.
	EnableMetadataMigration bool `json:"enable_metadata_migration"`
	// Whether archived source objects are restored first.
	EnableRestore bool `json:"enable_restore"`
	// Tencent APPID.
	AppID string `json:"app_id"`
	// CDN host that source objects are fetched through.
	SourceCDN *SourceCDN `json:"source_cdn"`
	// When existing objects are overwritten; always SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE.
	ObjectOverwriteMode string `json:"object_overwrite_mode"`
	// Storage class policy.
	DstStoragePolicy string `json:"dst_storage_policy"`
	// size_last_modified, crc64 or no_check.
	ConsistencyCheck string `json:"consistency_check"`
}

// ListSyncTasksResponse is a page of synchronization tasks.
type ListSyncTasksResponse struct {
	// The page, newest first.
	Tasks []SyncTask `json:"tasks"`
	// Tasks that match in all.
	Count int64 `json:"count"`
}

// ShowSyncTaskResponse is a synchronization task with what was counted in one month (OMS v2, 4.21).
type ShowSyncTaskResponse struct {
	// Id of the task, a UUID.
	SyncTaskID string `json:"sync_task_id"`
	// Vendor of the source.
	SrcCloudType string `json:"src_cloud_type"`
	// Region id of the source bucket.
	SrcRegion string `json:"src_region"`
	// Source bucket.
	SrcBucket string `json:"src_bucket"`
	// Creation, Unix milliseconds.
	CreateTime int64 `json:"create_time"`
	// Latest start, Unix milliseconds.
	LastStartTime int64 `json:"last_start_time"`
	// Destination bucket.
	DstBucket string `json:"dst_bucket"`
	// Region id of the destination bucket.
	DstRegion string `json:"dst_region"`
	// As given at creation.
	Description string `json:"description"`
	// SYNCHRONIZING or STOPPED.
	Status string `json:"status"`
	// Whether user metadata and all content headers are copied.
	EnableMetadataMigration bool `json:"enable_metadata_migration"`
	// Whether archived source objects are restored first.
	EnableRestore bool `json:"enable_restore"`
	// Tencent APPID.
	AppID string `json:"app_id"`
	// CDN host that source objects are fetched through.
	SourceCDN *SourceCDN `json:"source_cdn"`
	// When existing objects are overwritten; always SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE.
	ObjectOverwriteMode string `json:"object_overwrite_mode"`
	// Storage class policy.
	DstStoragePolicy string `json:"dst_storage_policy"`
	// size_last_modified, crc64 or no_check.
	ConsistencyCheck string `json:"consistency_check"`
	// Object names received in the month; one name twice counts twice.
	MonthlyAcceptanceRequest int64 `json:"monthly_acceptance_request"`
	// Objects migrated in the month.
	MonthlySuccessObject int64 `json:"monthly_success_object"`
	// Objects that failed in the month.
	MonthlyFailureObject int64 `json:"monthly_failure_object"`
	// Objects skipped in the month, since the destination had them.
	MonthlySkipObject int64 `json:"monthly_skip_object"`
	// Bytes of objects migrated in the month.
	MonthlySize int64 `json:"monthly_size"`
}

// StartSyncTaskRequest is the body of StartSyncTask (OMS v2, 4.23): keys are not kept while a task is stopped.
type StartSyncTaskRequest struct {
	// Access key of the source.
	SrcAK Secret `json:"src_ak"`
	// Secret key of the source.
	SrcSK Secret `json:"src_sk"`
	// Access key of the destination.
	DstAK Secret `json:"dst_ak"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk"`
	// Key of the CDN host, if it needs one.
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

// CreateSyncEventsRequest is the body of CreateSyncEvents (OMS v2, 4.25).
type CreateSyncEventsRequest struct {
	// 1 to 100 object names, percent-encoded.
	ObjectKeys []string `json:"object_keys"`
}

// SyncTaskStatistic is the answer to ListSyncTaskStatistic (OMS v2, 4.26).
type SyncTaskStatistic struct {
	// Id of the task.
	SyncTaskID string `json:"sync_task_id"`
	// FIVE_MINUTES up to a day, else ONE_HOUR.
	StatisticTimeType string `json:"statistic_time_type"`
	// One series for each type that was asked for, in that order.
	StatisticDatas []StatisticData `json:"statistic_datas"`
}

// StatisticData is one series of a statistic.
type StatisticData struct {
	// REQUEST, SUCCESS, FAILURE, SKIP or SIZE.
	DataType string `json:"data_type"`
	// The periods in which something happened, oldest first.
	Data []StatisticPoint `json:"data"`
}

// StatisticPoint is one period of a series.
type StatisticPoint struct {
	// Begin of the period, Unix milliseconds.
	TimeStamp int64 `json:"time_stamp"`
	// Objects, names or bytes.
	StatisticNum int64 `json:"statistic_num"`
}

// ListSyncTasksOptions filter and page ListSyncTasks. The zero value is the first ten tasks of all.
type ListSyncTasksOptions struct {
	Status string // only tasks in this state; "" means all
	Limit  int    // page size, 1 to 100; 0 means 10
	Offset int    // index of the first task
}

// ListSyncTasks returns a page of synchronization tasks, newest first.
func (c *Client) ListSyncTasks(ctx context.Context, opts ListSyncTasksOptions) (*ListSyncTasksResponse, error) {
	q := url.Values{}
	setString(q, "status", opts.Status)
	setPage(q, opts.Limit, opts.Offset)
	return call[ListSyncTasksResponse](ctx, c, request{op: "list synchronization tasks", method: http.MethodGet, path: c.syncTasks(), query: q})
}

// CreateSyncTask creates a synchronization task and starts it.
func (c *Client) CreateSyncTask(ctx context.Context, req *CreateSyncTaskRequest) (*CreateSyncTaskResponse, error) {
	return call[CreateSyncTaskResponse](ctx, c, request{op: "create synchronization task", method: http.MethodPost, path: c.syncTasks(), body: req})
}

// ShowSyncTask returns a synchronization task with what was counted in the calendar month, in UTC, that the instant
// lies in. An unknown task is an *Error with StatusCode 404 and Code OMS.1009.
func (c *Client) ShowSyncTask(ctx context.Context, id string, unixMilli int64) (*ShowSyncTaskResponse, error) {
	q := url.Values{"query_time": {strconv.FormatInt(unixMilli, 10)}}
	return call[ShowSyncTaskResponse](ctx, c, request{op: "show synchronization task", method: http.MethodGet, path: c.syncTask(id), query: q})
}

// DeleteSyncTask deletes a synchronization task that is stopped; a running one is refused with OMS.1036.
func (c *Client) DeleteSyncTask(ctx context.Context, id string) error {
	return exec(ctx, c, request{op: "delete synchronization task", method: http.MethodDelete, path: c.syncTask(id)})
}

// StartSyncTask lets a stopped synchronization task go on.
func (c *Client) StartSyncTask(ctx context.Context, id string, req *StartSyncTaskRequest) error {
	return exec(ctx, c, request{op: "start synchronization task", method: http.MethodPost, path: c.syncTask(id) + "/start", body: req})
}

// StopSyncTask stops a synchronization task. What it has accepted is kept for the next start.
func (c *Client) StopSyncTask(ctx context.Context, id string) error {
	return exec(ctx, c, request{op: "stop synchronization task", method: http.MethodPost, path: c.syncTask(id) + "/stop"})
}

// CreateSyncEvents asks to synchronize 1 to 100 objects by their exact names, which it encodes. They are stored
// durably when it returns nil. When too many names wait the error is an *Error with StatusCode 503 and Code OMS.2004:
// nothing was taken, send them again later.
func (c *Client) CreateSyncEvents(ctx context.Context, id string, names ...string) error {
	req := &CreateSyncEventsRequest{ObjectKeys: make([]string, len(names))}
	for i, name := range names {
		req.ObjectKeys[i] = url.PathEscape(name)
	}
	return exec(ctx, c, request{op: "create synchronization events", method: http.MethodPost, path: c.syncTask(id) + "/events", body: req})
}

// ListSyncTaskStatistic returns what was counted between two instants in Unix milliseconds, a series for each type.
func (c *Client) ListSyncTaskStatistic(ctx context.Context, id string, start, end int64, types ...string) (*SyncTaskStatistic, error) {
	q := url.Values{
		"data_type": {strings.Join(types, ",")}, "start_time": {strconv.FormatInt(start, 10)}, "end_time": {strconv.FormatInt(end, 10)},
	}
	return call[SyncTaskStatistic](ctx, c, request{
		op: "list statistics of synchronization task", method: http.MethodGet, path: c.syncTask(id) + "/statistics", query: q,
	})
}

func (c *Client) syncTasks() string { return "/v2/" + url.PathEscape(c.ProjectID) + "/sync-tasks" }

func (c *Client) syncTask(id string) string { return c.syncTasks() + "/" + url.PathEscape(id) }
