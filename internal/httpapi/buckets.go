package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/omsv2"
)

// Buckets answers questions about clouds, accounts and buckets; package inquiry implements it. Keys live as long as
// the question. Refusals carry a code of the contract.
type Buckets interface {
	// Clouds returns every cloud with its regions.
	Clouds() []region.Cloud
	// ListBuckets returns the names of an account's buckets (OMS.0153, OMS.1014, OMS.1016).
	ListBuckets(ctx context.Context, q oms.BucketQuery) ([]string, error)
	// Browse returns the page of a level that follows the name after (OMS.0153, OMS.1014).
	Browse(ctx context.Context, q oms.BucketQuery, folder, after string, limit int) (oms.FolderPage, error)
	// Region returns where the bucket is (OMS.0155).
	Region(ctx context.Context, q oms.BucketQuery) (oms.BucketRegion, error)
	// HasPrefix reports whether an object has the prefix (OMS.0153, OMS.1014).
	HasPrefix(ctx context.Context, q oms.BucketQuery, prefix string) (bool, error)
	// CheckCDN tries a CDN host on objects of the bucket (OMS.0081, OMS.0153, OMS.1014).
	CheckCDN(ctx context.Context, q oms.BucketQuery, host oms.CDN, keys []string) (oms.CDNReport, error)
	// CheckURLList returns nil when the object is a well-formed list of URLs (TRF.0013 to TRF.0019, OMS.1020).
	CheckURLList(ctx context.Context, q oms.BucketQuery, key string) error
}

// Limits of OMS v2, 4.29 to 4.34, in characters unless they say otherwise.
const (
	maxWord      = 100 // cloud_type, bucket_name, data_center
	maxFolder    = 1023
	maxRecords   = 100  // records
	maxCheckKeys = 100  // elements
	maxCheckKey  = 2048 // a key to check
)

// noSize is the size of a folder.
const noSize = "--"

// bucketRoutes returns the operations on clouds and buckets.
func bucketRoutes() []route {
	const (
		storage = "/v2/{project_id}/objectstorage"
		buckets = storage + "/buckets"
	)
	return []route{
		{http.MethodGet, storage + "/cloud-type", "ShowCloudType", may(auth.ListCloudTypes), noBody, (*service).showCloudType},
		{http.MethodGet, storage + "/data-center", "ShowRegionInfo", may(auth.ListCloudRegions), noBody, (*service).showRegionInfo},
		{http.MethodPost, buckets, "ShowBucketList", may(auth.ListBuckets), normalBody, (*service).showBucketList},
		{http.MethodPost, buckets + "/objects", "ShowBucketObjects", may(auth.ListObjects), normalBody, (*service).showBucketObjects},
		{http.MethodPost, buckets + "/regions", "ShowBucketRegion", may(auth.ListBucketRegion), normalBody, (*service).showBucketRegion},
		{http.MethodPost, buckets + "/prefix", "CheckPrefix", may(auth.CheckPrefix), normalBody, (*service).checkPrefix},
		{http.MethodPost, buckets + "/cdn-info", "ShowCdnInfo", may(auth.CheckCDN), createBody, (*service).showCDNInfo},
		{http.MethodPost, buckets + "/url-source-list-file", "CheckUrlSourceListFileFormat", may(auth.CheckURLList), normalBody, (*service).checkURLList},
		{http.MethodPost, "/v2/{project_id}/privacy-agreements", "UpdatePrivacyAgreementRecord", may(auth.UpdatePrivacy), noBody, (*service).updatePrivacyAgreement},
	}
}

// sourceClouds are the vendors that objects are migrated from, in the order of OMS v2, 4.27.
func sourceClouds() []oms.CloudType {
	return []oms.CloudType{
		oms.CloudAWS, oms.CloudAzure, oms.CloudAliyun, oms.CloudTencent, oms.CloudHuawei, oms.CloudQing, oms.CloudKingsoft,
		oms.CloudBaidu, oms.CloudQiniu, oms.CloudURL, oms.CloudUCloud, oms.CloudGoogle,
	}
}

// showCloudType lists vendors (OMS v2, 4.27).
func (s *service) showCloudType(_ context.Context, c *call) (any, error) {
	q := readQuery(c.r)
	side, given := q.raw("type")
	if !given {
		q.refuse("OMS.1004", "The parameter type is mandatory.")
	}
	switch {
	case q.err != nil:
		return nil, q.err
	case side == "src":
		return sourceClouds(), nil
	case side == "dst":
		return []oms.CloudType{oms.CloudHEC}, nil
	}
	return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The parameter type must be src or dst.")
}

// showRegionInfo lists the regions of every cloud (OMS v2, 4.28).
func (s *service) showRegionInfo(context.Context, *call) (any, error) {
	return shown(s.buckets.Clouds(), func(cloud region.Cloud) omsv2.CloudRegions {
		return omsv2.CloudRegions{
			ServiceName: string(cloud.Type),
			RegionList: shown(cloud.Regions, func(r region.Region) omsv2.RegionInfo {
				return omsv2.RegionInfo{CloudType: string(cloud.Type), Value: r.ID, Description: r.Name}
			}),
		}
	}), nil
}

// showBucketList lists the buckets of an account (OMS v2, 4.29).
func (s *service) showBucketList(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	q := oms.BucketQuery{CloudType: cloudType(f)}
	q.AppID = optionalAppID(f)
	q.Credentials = accountKeys(f, q.CloudType)
	if f.failed() {
		return nil, *f.err
	}
	names, err := s.buckets.ListBuckets(ctx, q)
	if err != nil {
		return nil, err
	}
	return append([]string{}, names...), nil // an array in any case
}

// showBucketObjects browses one level of a bucket (OMS v2, 4.30).
func (s *service) showBucketObjects(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	q := s.bucketQuery(f, "bucket_name", "data_center")
	folder := s.folder(f)
	f.require("behind_filename")
	after := f.text("behind_filename", maxObjectName)
	f.require("page_size")
	size, _ := f.integer("page_size", 0, maxRecords)
	if f.failed() {
		return nil, *f.err
	}
	if size == 0 {
		size = maxRecords
	}
	page, err := s.buckets.Browse(ctx, q, folder, after, int(size))
	if err != nil {
		return nil, err
	}
	return folderView(page)
}

// folder reads the mandatory file_path, which is empty or ends in a slash.
func (s *service) folder(f fields) string {
	f.require("file_path")
	folder := f.text("file_path", maxFolder)
	if folder != "" && !strings.HasSuffix(folder, "/") {
		f.refuse("OMS.1003", "The field %sfile_path must be empty or end with a slash.", f.path)
	}
	return folder
}

// folderView is a page as it is shown. A name that JSON cannot carry would make a marker that leads elsewhere.
func folderView(page oms.FolderPage) (omsv2.BucketObjectsResponse, error) {
	out := omsv2.BucketObjectsResponse{NextPage: page.More, Records: make([]omsv2.BucketRecord, 0, len(page.Entries))}
	for _, e := range page.Entries {
		r := omsv2.BucketRecord{Name: e.Name, Size: strconv.FormatInt(e.Size, 10)}
		if e.Folder {
			r.Size = noSize
		}
		out.Records = append(out.Records, r)
		out.NextMarker = e.Name
	}
	if !page.More {
		out.NextMarker = ""
	}
	if !utf8.ValidString(out.NextMarker) {
		return out, oms.Errorf(oms.Invalid, "OMS.0153", "The page ends with a name that is not UTF-8: ask for a page of another size.")
	}
	return out, nil
}

// showBucketRegion tells where a bucket is (OMS v2, 4.31).
func (s *service) showBucketRegion(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	q := oms.BucketQuery{CloudType: cloudType(f)}
	q.Bucket = bucketName(f, "bucket_name")
	q.AppID = mandatoryAppID(f, q.CloudType)
	q.Credentials = accountKeys(f, q.CloudType)
	if f.failed() {
		return nil, *f.err
	}
	at, err := s.buckets.Region(ctx, q)
	if err != nil {
		return nil, err
	}
	return omsv2.BucketRegionResponse{ID: at.ID, Name: at.Name, Support: at.Supported}, nil
}

// checkPrefix tells whether an object has the prefix (OMS v2, 4.32).
func (s *service) checkPrefix(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	q := s.bucketQuery(f, "bucket_name", "data_center")
	f.require("file_name")
	prefix := f.text("file_name", maxObjectName)
	if f.failed() {
		return nil, *f.err
	}
	exist, err := s.buckets.HasPrefix(ctx, q, prefix)
	if err != nil {
		return nil, err
	}
	return omsv2.CheckPrefixResponse{Exist: exist}, nil
}

// showCDNInfo tries a CDN host (OMS v2, 4.33).
func (s *service) showCDNInfo(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	q := s.bucketQuery(f, "bucket", "region")
	if q.CloudType == oms.CloudGoogle {
		f.refuse("OMS.1003", "The field %scloud_type must not be Google here.", f.path)
	}
	samples := f.object("prefix").texts("keys", maxCheckKeys, maxCheckKey)
	f.require("source_cdn")
	host, key := sourceCDN(f.object("source_cdn"))
	if f.failed() {
		return nil, *f.err
	}
	q.Credentials.CDNKey = key
	rep, err := s.buckets.CheckCDN(ctx, q, *host, samples)
	if err != nil {
		return nil, err
	}
	return reportView(rep), nil
}

func reportView(rep oms.CDNReport) omsv2.CDNInfoResponse {
	return omsv2.CDNInfoResponse{
		IsSameCloudType: rep.SameCloud, IsDownloadAvailable: rep.Available,
		CheckedKeys: shown(rep.Keys, func(k oms.CDNKeyReport) omsv2.CheckedKey {
			return omsv2.CheckedKey{Key: k.Key, IsETagMatching: k.ETagMatches, IsObjectExisting: k.Exists}
		}),
	}
}

// checkURLList checks a list of URLs in a bucket of the destination (OMS v2, 4.34).
func (s *service) checkURLList(ctx context.Context, c *call) (any, error) {
	f, err := decodeBody(c.body)
	if err != nil {
		return nil, err
	}
	q := oms.BucketQuery{CloudType: oms.CloudHEC}
	q.Bucket = bucketName(f, "obs_bucket")
	key := f.word("list_file_key", maxObjectName)
	q.Credentials = accountKeys(f, q.CloudType)
	q.Endpoint = s.endpointOf(f, q.CloudType, "region", "OMS.0080")
	if f.failed() {
		return nil, *f.err
	}
	return nil, s.buckets.CheckURLList(ctx, q, key)
}

// updatePrivacyAgreement records the consent in the audit log before it answers (OMS v2, 4.35). Nothing asks for it.
func (s *service) updatePrivacyAgreement(ctx context.Context, c *call) (any, error) {
	err := s.audit.append(ctx, oms.AuditEntry{
		Project: c.id.ProjectID, Actor: actor(c.id), Action: "PrivacyAgreement", Remote: remoteHost(c.r), Result: resultOK,
	})
	if err != nil {
		return nil, &oms.Error{Op: "record privacy agreement", Kind: oms.Transient, Err: err}
	}
	c.recorded = true
	return nil, nil
}

// bucketQuery reads what names a bucket: cloud_type, its name, app_id, keys and region.
func (s *service) bucketQuery(f fields, nameField, regionField string) oms.BucketQuery {
	q := oms.BucketQuery{CloudType: cloudType(f)}
	q.Bucket = bucketName(f, nameField)
	q.AppID = mandatoryAppID(f, q.CloudType)
	q.Credentials = accountKeys(f, q.CloudType)
	q.Endpoint = s.endpointOf(f, q.CloudType, regionField, "OMS.0079")
	return q
}

// cloudType reads the mandatory cloud_type of an account. The empty text is the default, Aliyun.
func cloudType(f fields) oms.CloudType {
	f.require("cloud_type")
	if f.text("cloud_type", maxWord) == "" {
		return oms.CloudAliyun
	}
	ct := choice(f, "cloud_type", "", append(sourceClouds(), oms.CloudHEC)...)
	if ct == oms.CloudURL {
		f.refuse("OMS.0151", "The cloud type URLSource has no buckets.")
	}
	return ct
}

// accountKeys reads the keys of an account, which nobody keeps.
func accountKeys(f fields, cloud oms.CloudType) oms.Credentials {
	if c, given := documents(f, "", cloud); given {
		return c
	}
	return cloudCredentials(f, "", cloud)
}

// bucketName reads a mandatory bucket name.
func bucketName(f fields, field string) string {
	name := f.word(field, maxWord)
	if !plausibleBucket(name) {
		f.refuse("OMS.0151", "The field %s is not a bucket name.", f.path+field)
	}
	return name
}

// optionalAppID reads app_id where it only changes what is shown.
func optionalAppID(f fields) string {
	id := f.text("app_id", maxText)
	if strings.ContainsFunc(id, func(c rune) bool { return !alphanumeric(c) }) {
		f.refuse("OMS.0151", "The field %sapp_id is not an APPID.", f.path)
	}
	return id
}

// mandatoryAppID reads app_id where it is part of the bucket's name at Tencent Cloud.
func mandatoryAppID(f fields, cloud oms.CloudType) string {
	if cloud == oms.CloudTencent {
		f.word("app_id", maxText)
	}
	return optionalAppID(f)
}

// endpointOf reads a mandatory region and resolves it.
func (s *service) endpointOf(f fields, cloud oms.CloudType, field, code string) oms.Endpoint {
	id := f.word(field, maxWord)
	if f.failed() {
		return oms.Endpoint{}
	}
	e, ok := s.endpoint(cloud, id)
	if !ok {
		f.refuse(code, "The region of the field %s is not supported.", f.path+field)
	}
	return e
}
