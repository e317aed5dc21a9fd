package omsv2

// The states of a task, Task.Status (OMS v2, 5.1).
const (
	StatusWaiting   = 1
	StatusRunning   = 2
	StatusPaused    = 3
	StatusFailed    = 4
	StatusSucceeded = 5
	StatusRetrying  = 6
	StatusPausing   = 7
)

// BandwidthPolicy is a traffic limit for a period of the day (OMS v2, 3.1).
type BandwidthPolicy struct {
	// Start of the period, hh:mm, inclusive.
	Start string `json:"start"`
	// End of the period, hh:mm, inclusive.
	End string `json:"end"`
	// Bytes per second, 1048576 to 209715200.
	MaxBandwidth int64 `json:"max_bandwidth"`
}

// ListFile names a file in a bucket of the destination region that lists source objects or URLs (OMS v2, 3.2).
type ListFile struct {
	// Object name of the list.
	ListFileKey string `json:"list_file_key"`
	// Bucket that holds the list.
	OBSBucket string `json:"obs_bucket"`
	// Number of list files, digits in a string.
	ListFileNum string `json:"list_file_num,omitempty"`
}

// SMNConfig asks for a notification when the task ends (OMS v2, 3.3).
type SMNConfig struct {
	// urn:smn:{region}:{project_id}:{topic}.
	TopicURN string `json:"topic_urn"`
	// SUCCESS, FAILURE or both.
	TriggerConditions []string `json:"trigger_conditions"`
	// zh-cn or en-us.
	Language string `json:"language,omitempty"`
	// Name of the message template.
	MessageTemplateName string `json:"message_template_name,omitempty"`
}

// SMNInfo tells what became of the notification; null until the task has ended.
type SMNInfo struct {
	// Whether the message was sent.
	NotifyResult bool `json:"notify_result"`
	// Error code of the sending, empty on success.
	NotifyErrorMessage string `json:"notify_error_message"`
	// Name of the topic, empty on success.
	TopicName string `json:"topic_name"`
}

// SourceCDNRequest asks to fetch source objects through a CDN host (OMS v2, 3.4).
type SourceCDNRequest struct {
	// Host that objects are fetched from.
	Domain string `json:"domain"`
	// http or https.
	Protocol string `json:"protocol"`
	// How the URLs are signed, NONE if they are not.
	AuthenticationType string `json:"authentication_type"`
	// Key that signs the URLs.
	AuthenticationKey Secret `json:"authentication_key,omitempty"`
	// DEFAULT, or KMS for a key that is encrypted.
	CryptoType string `json:"crypto_type,omitempty"`
	// KMS key of the encrypted key.
	KMSKeyID string `json:"kms_key_id,omitempty"`
}

// SourceCDN is a task's CDN host as answers show it: without the key.
type SourceCDN struct {
	// Host that objects are fetched from.
	Domain string `json:"domain"`
	// http or https.
	Protocol string `json:"protocol"`
	// How the URLs are signed, NONE if they are not.
	AuthenticationType string `json:"authentication_type"`
}

// SourceNodeRequest is the source of a new task (OMS v2, 3.7).
type SourceNodeRequest struct {
	// Connection whose keys are used in place of ak and sk. Only in tasks of the extension.
	Connection string `json:"connection,omitempty"`
	// Vendor; default Aliyun.
	CloudType string `json:"cloud_type,omitempty"`
	// Region id of the bucket.
	Region string `json:"region,omitempty"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Token of temporary keys.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
	// Bucket name.
	Bucket string `json:"bucket,omitempty"`
	// Object names or prefixes, as task_type says; one empty string is the whole bucket.
	ObjectKey []string `json:"object_key,omitempty"`
	// List of objects or URLs.
	ListFile *ListFile `json:"list_file,omitempty"`
	// DEFAULT, or KMS for keys that are encrypted.
	CryptoType string `json:"crypto_type,omitempty"`
	// KMS key of the encrypted keys.
	KMSKeyID string `json:"kms_key_id,omitempty"`
}

// SourceNode is the source of a task as answers show it: without keys.
type SourceNode struct {
	// Bucket name.
	Bucket string `json:"bucket"`
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Region id of the bucket.
	Region string `json:"region"`
	// Tencent APPID.
	AppID string `json:"app_id"`
	// Object names or prefixes, as task_type says.
	ObjectKey []string `json:"object_key"`
	// List of objects or URLs.
	ListFile *ListFile `json:"list_file"`
}

// DestinationNodeRequest is the destination of a new task (OMS v2, 3.8).
type DestinationNodeRequest struct {
	// Connection whose keys are used in place of ak and sk. Only in tasks of the extension.
	Connection string `json:"connection,omitempty"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Token of temporary keys.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Bucket name.
	Bucket string `json:"bucket"`
	// Region id of the bucket.
	Region string `json:"region"`
	// Put before every object name.
	SavePrefix string `json:"save_prefix,omitempty"`
	// Vendor; default HEC. Other vendors are an extension of this service.
	CloudType string `json:"cloud_type,omitempty"`
	// DEFAULT, or KMS for keys that are encrypted.
	CryptoType string `json:"crypto_type,omitempty"`
	// KMS key of the encrypted keys.
	KMSKeyID string `json:"kms_key_id,omitempty"`
}

// DestinationNode is the destination of a task as answers show it.
type DestinationNode struct {
	// Bucket name.
	Bucket string `json:"bucket"`
	// Region id of the bucket.
	Region string `json:"region"`
	// Put before every object name.
	SavePrefix string `json:"save_prefix"`
	// Vendor, only where it is not HEC: an extension of this service.
	CloudType string `json:"cloud_type,omitempty"`
}

// CreateTaskRequest is the body of CreateTask (OMS v2, 4.4).
type CreateTaskRequest struct {
	// object, prefix, list or url_list; default object.
	TaskType string `json:"task_type,omitempty"`
	// Where the objects come from.
	SrcNode *SourceNodeRequest `json:"src_node"`
	// Where the objects go.
	DstNode *DestinationNodeRequest `json:"dst_node"`
	// At most 255 characters, without ^ < > & " '.
	Description string `json:"description,omitempty"`
	// Only objects modified after this time are migrated; Unix seconds, 0 means all.
	MigrateSince int64 `json:"migrate_since,omitempty"`
	// Traffic limits, at most five.
	BandwidthPolicy []BandwidthPolicy `json:"bandwidth_policy,omitempty"`
	// CDN host that source objects are fetched through.
	SourceCDN *SourceCDNRequest `json:"source_cdn,omitempty"`
	// Notification when the task ends.
	SMNConfig *SMNConfig `json:"smn_config,omitempty"`
	// Migrate more metadata than the content type.
	EnableMetadataMigration bool `json:"enable_metadata_migration,omitempty"`
	// Restore archived source objects first.
	EnableRestore bool `json:"enable_restore,omitempty"`
	// Keep a list of failed objects in the destination bucket; nil means true.
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
	// HIGH, MEDIUM or LOW; default MEDIUM.
	TaskPriority string `json:"task_priority,omitempty"`
	// Encrypt migrated objects with KMS at the destination; legacy.
	EnableKMS bool `json:"enable_kms,omitempty"`
}

// CreateTaskResponse names the new task.
type CreateTaskResponse struct {
	// Task id.
	ID int64 `json:"id"`
	// Name that the service gave the task.
	TaskName string `json:"task_name"`
}

// ErrorReason is why a task failed (OMS v2, 3.5).
type ErrorReason struct {
	// TRF code.
	ErrorCode string `json:"error_code"`
	// Text for people.
	ErrorMsg string `json:"error_msg"`
}

// FailedObjectRecord tells what became of the list of failed objects (OMS v2, 3.5).
type FailedObjectRecord struct {
	// Whether failed objects can be retried alone; null when there is no list.
	Result *bool `json:"result"`
	// Object name of the list in the destination bucket.
	ListFileKey *string `json:"list_file_key"`
	// Why the list could not be written.
	ErrorCode *string `json:"error_code"`
}

// Task is the answer of ShowTask and an element of ListTasks (OMS v2, 4.5).
type Task struct {
	// Task id.
	ID int64 `json:"id"`
	// Task name.
	Name string `json:"name"`
	// State: 1 waiting, 2 running, 3 paused, 4 failed, 5 succeeded, 6 retrying, 7 pausing.
	Status int32 `json:"status"`
	// object, prefix, list or url_list.
	TaskType string `json:"task_type"`
	// Group that the task belongs to, or empty.
	GroupID string `json:"group_id"`
	// NORMAL_TASK, SYNC_TASK or GROUP_TASK.
	GroupType string `json:"group_type"`
	// Description.
	Description string `json:"description"`
	// Part done, 0 to 1.
	Progress float64 `json:"progress"`
	// Whether the scan of the source has ended; until then the totals grow.
	IsQueryOver bool `json:"is_query_over"`
	// Objects found.
	TotalNum int64 `json:"total_num"`
	// Objects migrated.
	SuccessfulNum int64 `json:"successful_num"`
	// Objects failed.
	FailedNum int64 `json:"failed_num"`
	// Objects skipped.
	SkippedNum int64 `json:"skipped_num"`
	// Bytes found.
	TotalSize int64 `json:"total_size"`
	// Bytes done: migrated and skipped.
	CompleteSize int64 `json:"complete_size"`
	// Bytes really moved.
	RealSize int64 `json:"real_size"`
	// Bytes per second: now while running, on average afterwards.
	MigrateSpeed int64 `json:"migrate_speed"`
	// Latest start, Unix milliseconds.
	StartTime int64 `json:"start_time"`
	// Running time in milliseconds, pauses excluded.
	TotalTime int64 `json:"total_time"`
	// Estimated milliseconds left, 0 when unknown or finished.
	LeftTime int64 `json:"left_time"`
	// Only objects modified after this time are migrated; Unix milliseconds, 0 means all.
	MigrateSince int64 `json:"migrate_since"`
	// Traffic limits.
	BandwidthPolicy []BandwidthPolicy `json:"bandwidth_policy"`
	// Whether failed objects are listed in the destination bucket.
	EnableFailedObjectRecording bool `json:"enable_failed_object_recording"`
	// Whether more metadata than the content type is migrated.
	EnableMetadataMigration bool `json:"enable_metadata_migration"`
	// Whether archived source objects are restored.
	EnableRestore bool `json:"enable_restore"`
	// Whether this account pays for reading the source.
	EnableRequesterPays bool `json:"enable_requester_pays"`
	// Whether migrated objects are encrypted with KMS.
	EnableKMS bool `json:"enable_kms"`
	// Where the objects come from.
	SrcNode SourceNode `json:"src_node"`
	// Where the objects go.
	DstNode DestinationNode `json:"dst_node"`
	// Why the task failed, or null.
	ErrorReason *ErrorReason `json:"error_reason"`
	// What became of the list of failed objects.
	FailedObjectRecord FailedObjectRecord `json:"failed_object_record"`
	// What became of the notification, or null.
	SMNInfo *SMNInfo `json:"smn_info"`
	// CDN host, or null.
	SourceCDN *SourceCDN `json:"source_cdn"`
	// Why the success list could not be written, or empty.
	SuccessRecordErrorReason string `json:"success_record_error_reason"`
	// Why the skip list could not be written, or empty.
	SkipRecordErrorReason string `json:"skip_record_error_reason"`
	// Which existing objects are overwritten.
	ObjectOverwriteMode string `json:"object_overwrite_mode"`
	// Storage class at the destination.
	DstStoragePolicy string `json:"dst_storage_policy"`
	// Check after the copy.
	ConsistencyCheck string `json:"consistency_check"`
	// Kind of the destination: BUCKET or PFS.
	OBSSystem string `json:"obs_system"`
	// HIGH, MEDIUM or LOW.
	TaskPriority string `json:"task_priority"`
}

// ListTasksResponse is a page of tasks, newest first.
type ListTasksResponse struct {
	// The page.
	Tasks []Task `json:"tasks"`
	// Tasks that match the filter, on all pages.
	Count int64 `json:"count"`
}

// StartTaskRequest is the body of StartTask (OMS v2, 4.7). Keys are not kept between runs.
type StartTaskRequest struct {
	// Access key of the source.
	SrcAK Secret `json:"src_ak,omitempty"`
	// Secret key of the source.
	SrcSK Secret `json:"src_sk,omitempty"`
	// Token of temporary keys of the source.
	SrcSecurityToken Secret `json:"src_security_token,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Access key of the destination.
	DstAK Secret `json:"dst_ak"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk"`
	// Token of temporary keys of the destination.
	DstSecurityToken Secret `json:"dst_security_token,omitempty"`
	// Key that signs CDN URLs.
	SourceCDNAuthenticationKey Secret `json:"source_cdn_authentication_key,omitempty"`
	// Retry only the failed objects of a failed task.
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

// UpdateBandwidthPolicyRequest is the body of UpdateBandwidthPolicy (OMS v2, 4.9). It replaces all limits; an
// empty list removes them.
type UpdateBandwidthPolicyRequest struct {
	// The new limits, at most five.
	BandwidthPolicy []BandwidthPolicy `json:"bandwidth_policy"`
}

// BatchUpdateTasksRequest is the body of BatchUpdateTasks (OMS v2, 4.10). Exactly one of GroupID and IDs is set.
type BatchUpdateTasksRequest struct {
	// All tasks of the group.
	GroupID string `json:"group_id,omitempty"`
	// Task ids, at most 20.
	IDs []int64 `json:"ids,omitempty"`
	// The new limits, at most five; mandatory.
	BandwidthPolicy []BandwidthPolicy `json:"bandwidth_policy"`
	// HIGH, MEDIUM or LOW; empty leaves the priority.
	TaskPriority string `json:"task_priority,omitempty"`
}

// APIVersion describes one version of the API (OMS v2, 4.1).
type APIVersion struct {
	// Version id, e.g. v2.
	ID string `json:"id"`
	// Where it is.
	Links []Link `json:"links"`
	// CURRENT, SUPPORTED or DEPRECATED.
	Status string `json:"status"`
	// Latest change, yyyy-mm-ddThh:mm:ssZ.
	Updated string `json:"updated"`
}

// Link is an address of an API version.
type Link struct {
	// Address.
	Href string `json:"href"`
	// Relation, always self.
	Rel string `json:"rel"`
}

// ListAPIVersionsResponse holds all versions of the API.
type ListAPIVersionsResponse struct {
	// The versions.
	Versions []APIVersion `json:"versions"`
}

// Failure is an object of a task that could not be migrated. An extension of this service.
type Failure struct {
	// Object name as it is; in JSON, bytes that are not UTF-8 are replaced.
	Key string `json:"key"`
	// The exact name, percent-encoded; only where key cannot show it.
	KeyEncoded string `json:"key_encoded,omitempty"`
	// Bytes, 0 when unknown.
	Size int64 `json:"size"`
	// Code as in the failed-object list.
	Code string `json:"code"`
	// Cause.
	Message string `json:"message"`
	// When it failed, Unix milliseconds.
	Time int64 `json:"time"`
}

// ListFailuresResponse is a page of failed objects in byte order of their names, or, with group_by, their causes.
type ListFailuresResponse struct {
	// The page.
	Failures []Failure `json:"failures"`
	// Value of after for the next page; empty at the end.
	Next string `json:"next"`
	// With group_by only: all failures that were asked for by their codes, the most frequent first.
	Causes []FailureCause `json:"causes,omitempty"`
}

// FailureCause sums up the failures of a task that have one code.
type FailureCause struct {
	// Code as in the failed-object list.
	Code string `json:"code"`
	// Objects that failed with it.
	Count int64 `json:"count"`
	// Their bytes, as far as sizes are known.
	Bytes int64 `json:"bytes"`
	// When the first of them failed, Unix milliseconds.
	FirstTime int64 `json:"first_time"`
	// When the last of them failed, Unix milliseconds.
	LastTime int64 `json:"last_time"`
	// The first of them in byte order of their names, at most three.
	Samples []Failure `json:"samples"`
	// What to do about it.
	Hint string `json:"hint"`
}

// RetryTaskRequest is the body of RetryTask, an extension of this service. Keys are as in StartTaskRequest.
type RetryTaskRequest struct {
	// Codes of the failures to retry; the others stay. Without any, all are retried.
	Codes []string `json:"codes,omitempty"`
	// Access key of the source.
	SrcAK Secret `json:"src_ak,omitempty"`
	// Secret key of the source.
	SrcSK Secret `json:"src_sk,omitempty"`
	// Token of temporary keys of the source.
	SrcSecurityToken Secret `json:"src_security_token,omitempty"`
	// Access key of the destination.
	DstAK Secret `json:"dst_ak"`
	// Secret key of the destination.
	DstSK Secret `json:"dst_sk"`
	// Token of temporary keys of the destination.
	DstSecurityToken Secret `json:"dst_security_token,omitempty"`
	// Key that signs CDN URLs.
	SourceCDNAuthenticationKey Secret `json:"source_cdn_authentication_key,omitempty"`
}

// Lane is what the concurrency controller of a process believes and sees of one class of requests to one bucket.
type Lane struct {
	// Endpoint that requests go to.
	Endpoint string `json:"endpoint"`
	// Bucket of the endpoint.
	Bucket string `json:"bucket"`
	// What requests do: list, read or write.
	Class string `json:"class"`
	// What the controller is doing: starting, descending, holding, probing up, probing down or pacing.
	Mode string `json:"mode"`
	// Requests in flight that are allowed.
	Slots int64 `json:"slots"`
	// Requests per second that are allowed; 0 without a limit.
	Rate float64 `json:"rate"`
	// Requests in flight.
	InFlight int64 `json:"in_flight"`
	// Requests that wait for their turn.
	Waiting int64 `json:"waiting"`
	// Tasks that share the lane.
	Tasks int64 `json:"tasks"`
	// Bytes per second in the last window that was measured.
	Goodput float64 `json:"goodput"`
	// Requests per second that ended well in that window.
	Requests float64 `json:"requests"`
	// Smoothed time of a request in milliseconds; 0 unknown.
	RTT int64 `json:"rtt"`
	// Requests sent since the lane was made.
	Sent int64 `json:"sent"`
	// Those that the endpoint refused because there were too many.
	Refused int64 `json:"refused"`
	// Those that failed for time-outs, resets and errors of the endpoint.
	Failed int64 `json:"failed"`
	// Parts of the bucket that the store refuses while it answers the others.
	Parts []LanePart `json:"parts"`
}

// LanePart is a part of a bucket with a rate of its own.
type LanePart struct {
	// First two path levels of the keys in it.
	Prefix string `json:"prefix"`
	// Requests per second that are allowed.
	Rate float64 `json:"rate"`
}

// ListLanesResponse shows the lanes of a process.
type ListLanesResponse struct {
	// In order of endpoint, bucket and class.
	Lanes []Lane `json:"lanes"`
}

// ErrorResponse is the body of every refusal.
type ErrorResponse struct {
	// Code of the contract.
	ErrorCode string `json:"error_code"`
	// Text for people.
	ErrorMsg string `json:"error_msg"`
}

// Connection is a named credential that a project keeps. An extension of this service.
type Connection struct {
	// Unique in the project.
	Name string `json:"name"`
	// Vendor, as in src_node.
	CloudType string `json:"cloud_type"`
	// Region of buckets for which none is named; may be empty.
	Region string `json:"region"`
	// Free text.
	Description string `json:"description"`
	// Unix milliseconds.
	CreatedTime int64 `json:"created_time"`
	// Unix milliseconds.
	UpdatedTime int64 `json:"updated_time"`
}

// ListConnectionsResponse are the connections of a project in order of name.
type ListConnectionsResponse struct {
	// At most 200.
	Connections []Connection `json:"connections"`
}

// KeepConnectionRequest is the body of KeepConnection. What it holds of keys is never shown again.
type KeepConnectionRequest struct {
	// Vendor, as in src_node.
	CloudType string `json:"cloud_type"`
	// Region of buckets for which none is named.
	Region string `json:"region,omitempty"`
	// Free text.
	Description string `json:"description,omitempty"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Token of temporary keys.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
}

// CheckConnectionRequest is the body of CheckConnection.
type CheckConnectionRequest struct {
	// Bucket to try the keys on; without one the buckets of the account are listed.
	Bucket string `json:"bucket,omitempty"`
	// Region of the bucket, when it is not that of the connection.
	Region string `json:"region,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
}

// CheckConnectionResponse says that the keys are good.
type CheckConnectionResponse struct {
	// Buckets that were found.
	Buckets int64 `json:"buckets"`
}
