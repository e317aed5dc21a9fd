package omsv2

import (
	"context"
	"net/http"
	"net/url"
)

// RegionInfo is a region of a cloud (OMS v2, 4.28).
type RegionInfo struct {
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Region id.
	Value string `json:"value"`
	// Name for people.
	Description string `json:"description"`
}

// CloudRegions are the regions of a cloud.
type CloudRegions struct {
	// Vendor.
	ServiceName string `json:"service_name"`
	// Its regions.
	RegionList []RegionInfo `json:"region_list"`
}

// ListBucketsRequest is the body of ShowBucketList (OMS v2, 4.29).
type ListBucketsRequest struct {
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Token of temporary keys; an extension of this service.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Tencent APPID; with it, names come without it.
	AppID string `json:"app_id,omitempty"`
}

// BucketObjectsRequest is the body of ShowBucketObjects (OMS v2, 4.30).
type BucketObjectsRequest struct {
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Bucket name.
	BucketName string `json:"bucket_name"`
	// Region id of the bucket.
	DataCenter string `json:"data_center"`
	// Folder, ending in a slash; empty is the root.
	FilePath string `json:"file_path"`
	// Most records of the page, up to 100; 0 means 100.
	PageSize int32 `json:"page_size"`
	// next_marker of the page before; empty for the first.
	BehindFilename string `json:"behind_filename"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Token of temporary keys; an extension of this service.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
}

// BucketRecord is an object or a folder.
type BucketRecord struct {
	// Whole name; a folder's ends in a slash.
	Name string `json:"name"`
	// Bytes in digits; -- for a folder.
	Size string `json:"size"`
}

// BucketObjectsResponse is a page of one level of a bucket.
type BucketObjectsResponse struct {
	// Whether records follow.
	NextPage bool `json:"next_page"`
	// Value of behind_filename for the next page; empty at the end.
	NextMarker string `json:"next_marker"`
	// The page, in byte order of name.
	Records []BucketRecord `json:"records"`
}

// BucketRegionRequest is the body of ShowBucketRegion (OMS v2, 4.31).
type BucketRegionRequest struct {
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Bucket name.
	BucketName string `json:"bucket_name"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Token of temporary keys; an extension of this service.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
}

// BucketRegionResponse is where a bucket is.
type BucketRegionResponse struct {
	// Region id.
	ID string `json:"id"`
	// Name for people.
	Name string `json:"name"`
	// Whether tasks can use the region.
	Support bool `json:"support"`
}

// CheckPrefixRequest is the body of CheckPrefix (OMS v2, 4.32).
type CheckPrefixRequest struct {
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Bucket name.
	BucketName string `json:"bucket_name"`
	// The prefix.
	FileName string `json:"file_name"`
	// Region id of the bucket.
	DataCenter string `json:"data_center"`
	// Access key.
	AK Secret `json:"ak,omitempty"`
	// Secret key.
	SK Secret `json:"sk,omitempty"`
	// Token of temporary keys.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Content of a Google service account file.
	JSONAuthFile Secret `json:"json_auth_file,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
}

// CheckPrefixResponse tells whether any object has the prefix.
type CheckPrefixResponse struct {
	// Whether there is one.
	Exist bool `json:"exist"`
}

// PrefixKeys are sample objects (OMS v2, 4.33).
type PrefixKeys struct {
	// Names; one that ends in a slash, or is no object, stands for the first object below it. At most 100.
	Keys []string `json:"keys"`
}

// CDNInfoRequest is the body of ShowCdnInfo (OMS v2, 4.33).
type CDNInfoRequest struct {
	// Vendor.
	CloudType string `json:"cloud_type"`
	// Region id of the bucket.
	Region string `json:"region"`
	// Bucket name.
	Bucket string `json:"bucket"`
	// Access key.
	AK Secret `json:"ak"`
	// Secret key.
	SK Secret `json:"sk"`
	// Token of temporary keys; an extension of this service.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Azure connection string.
	ConnectionString Secret `json:"connection_string,omitempty"`
	// Tencent APPID.
	AppID string `json:"app_id,omitempty"`
	// Sample objects; without them the first object of the bucket is tried.
	Prefix *PrefixKeys `json:"prefix,omitempty"`
	// The host.
	SourceCDN *SourceCDNRequest `json:"source_cdn"`
}

// CheckedKey is what a CDN host makes of a sample object.
type CheckedKey struct {
	// Name as it was sent.
	Key string `json:"key"`
	// Whether the host shows the ETag of the bucket.
	IsETagMatching bool `json:"is_etag_matching"`
	// Whether bucket and host have the object.
	IsObjectExisting bool `json:"is_object_existing"`
}

// CDNInfoResponse is what a CDN host is to a bucket.
type CDNInfoResponse struct {
	// Whether the host belongs to the vendor of the bucket, as far as can be told.
	IsSameCloudType bool `json:"is_same_cloud_type"`
	// Whether the host serves what the bucket holds.
	IsDownloadAvailable bool `json:"is_download_available"`
	// The sample objects.
	CheckedKeys []CheckedKey `json:"checked_keys"`
}

// CheckURLListRequest is the body of CheckUrlSourceListFileFormat (OMS v2, 4.34).
type CheckURLListRequest struct {
	// Bucket that holds the list.
	OBSBucket string `json:"obs_bucket"`
	// Object name of the list.
	ListFileKey string `json:"list_file_key"`
	// Access key of the destination.
	AK Secret `json:"ak"`
	// Secret key of the destination.
	SK Secret `json:"sk"`
	// Token of temporary keys; an extension of this service.
	SecurityToken Secret `json:"security_token,omitempty"`
	// Region id of the bucket.
	Region string `json:"region"`
}

// ShowCloudType returns the vendors of the side, "src" or "dst".
func (c *Client) ShowCloudType(ctx context.Context, side string) ([]string, error) {
	req := request{op: "show cloud types", method: http.MethodGet, path: c.storage() + "/cloud-type", query: url.Values{"type": {side}}}
	return list[string](ctx, c, req)
}

// ShowRegionInfo returns the regions of every vendor.
func (c *Client) ShowRegionInfo(ctx context.Context) ([]CloudRegions, error) {
	return list[CloudRegions](ctx, c, request{op: "show regions", method: http.MethodGet, path: c.storage() + "/data-center"})
}

// ShowBucketList returns the names of an account's buckets.
func (c *Client) ShowBucketList(ctx context.Context, req *ListBucketsRequest) ([]string, error) {
	return list[string](ctx, c, request{op: "list buckets", method: http.MethodPost, path: c.storage() + "/buckets", body: req})
}

// ShowBucketObjects returns a page of one level of a bucket.
func (c *Client) ShowBucketObjects(ctx context.Context, req *BucketObjectsRequest) (*BucketObjectsResponse, error) {
	return call[BucketObjectsResponse](ctx, c, request{op: "browse bucket", method: http.MethodPost, path: c.storage() + "/buckets/objects", body: req})
}

// ShowBucketRegion returns where a bucket is.
func (c *Client) ShowBucketRegion(ctx context.Context, req *BucketRegionRequest) (*BucketRegionResponse, error) {
	return call[BucketRegionResponse](ctx, c, request{op: "show bucket region", method: http.MethodPost, path: c.storage() + "/buckets/regions", body: req})
}

// CheckPrefix tells whether any object of a bucket has the prefix.
func (c *Client) CheckPrefix(ctx context.Context, req *CheckPrefixRequest) (bool, error) {
	resp, err := call[CheckPrefixResponse](ctx, c, request{op: "check prefix", method: http.MethodPost, path: c.storage() + "/buckets/prefix", body: req})
	if err != nil {
		return false, err
	}
	return resp.Exist, nil
}

// ShowCDNInfo tries a CDN host on objects of a bucket.
func (c *Client) ShowCDNInfo(ctx context.Context, req *CDNInfoRequest) (*CDNInfoResponse, error) {
	return call[CDNInfoResponse](ctx, c, request{op: "check CDN host", method: http.MethodPost, path: c.storage() + "/buckets/cdn-info", body: req})
}

// CheckURLList returns nil when a list of URLs is well-formed; else an *Error whose code begins with TRF.
func (c *Client) CheckURLList(ctx context.Context, req *CheckURLListRequest) error {
	return exec(ctx, c, request{op: "check URL list", method: http.MethodPost, path: c.storage() + "/buckets/url-source-list-file", body: req})
}

// UpdatePrivacyAgreementRecord records the consent to the privacy statement; tasks do not need it.
func (c *Client) UpdatePrivacyAgreementRecord(ctx context.Context) error {
	path := "/v2/" + url.PathEscape(c.ProjectID) + "/privacy-agreements"
	return exec(ctx, c, request{op: "record privacy agreement", method: http.MethodPost, path: path})
}

func (c *Client) storage() string { return "/v2/" + url.PathEscape(c.ProjectID) + "/objectstorage" }

// list sends req and decodes an answer that is an array.
func list[T any](ctx context.Context, c *Client, req request) ([]T, error) {
	items, err := call[[]T](ctx, c, req)
	if err != nil {
		return nil, err
	}
	return *items, nil
}
