package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/omsv2"
)

// fakeBuckets remembers what was asked and answers what it was told.
type fakeBuckets struct {
	asked  string // the method
	query  oms.BucketQuery
	folder string // or prefix, or list
	after  string
	limit  int
	host   oms.CDN
	keys   []string

	page   oms.FolderPage
	report oms.CDNReport
	names  []string
	at     oms.BucketRegion
	err    error
}

func (f *fakeBuckets) ask(method string, q oms.BucketQuery) { f.asked, f.query = method, q }

func (f *fakeBuckets) Clouds() []region.Cloud {
	table, err := region.New([]region.Override{{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: "http://127.0.0.1:9000"}})
	if err != nil {
		panic(err)
	}
	return table.Clouds()
}

func (f *fakeBuckets) ListBuckets(_ context.Context, q oms.BucketQuery) ([]string, error) {
	f.ask("buckets", q)
	return f.names, f.err
}

func (f *fakeBuckets) Browse(_ context.Context, q oms.BucketQuery, folder, after string, limit int) (oms.FolderPage, error) {
	f.ask("browse", q)
	f.folder, f.after, f.limit = folder, after, limit
	return f.page, f.err
}

func (f *fakeBuckets) Region(_ context.Context, q oms.BucketQuery) (oms.BucketRegion, error) {
	f.ask("region", q)
	return f.at, f.err
}

func (f *fakeBuckets) HasPrefix(_ context.Context, q oms.BucketQuery, prefix string) (bool, error) {
	f.ask("prefix", q)
	f.folder = prefix
	return prefix != "none", f.err
}

func (f *fakeBuckets) CheckCDN(_ context.Context, q oms.BucketQuery, host oms.CDN, keys []string) (oms.CDNReport, error) {
	f.ask("cdn", q)
	f.host, f.keys = host, keys
	return f.report, f.err
}

func (f *fakeBuckets) CheckURLList(_ context.Context, q oms.BucketQuery, key string) error {
	f.ask("list", q)
	f.folder = key
	return f.err
}

// bucketHarness is a harness and what is behind its questions.
func bucketHarness(f *fakeBuckets) *harness {
	return newHarness(newFakeTasks(), func(o *Options) { o.Buckets = f })
}

// bucketDocs describes the operations on clouds and buckets.
func bucketDocs() map[string]operationDoc {
	return map[string]operationDoc{
		"ShowCloudType": {
			summary: "Lists the supported vendors.", response: []string{},
			query: []parameter{{"type", "Side of a migration: src or dst; mandatory.", map[string]any{"type": "string", "enum": []string{"src", "dst"}}}},
		},
		"ShowRegionInfo":               {summary: "Lists the regions of every vendor.", response: []omsv2.CloudRegions{}},
		"ShowBucketList":               {summary: "Lists the buckets of an account.", request: omsv2.ListBucketsRequest{}, response: []string{}},
		"ShowBucketObjects":            {summary: "Browses one folder level of a bucket.", request: omsv2.BucketObjectsRequest{}, response: omsv2.BucketObjectsResponse{}},
		"ShowBucketRegion":             {summary: "Tells where a bucket is.", request: omsv2.BucketRegionRequest{}, response: omsv2.BucketRegionResponse{}},
		"CheckPrefix":                  {summary: "Tells whether any object of a bucket has a prefix.", request: omsv2.CheckPrefixRequest{}, response: omsv2.CheckPrefixResponse{}},
		"ShowCdnInfo":                  {summary: "Tries a CDN host on objects of a bucket.", request: omsv2.CDNInfoRequest{}, response: omsv2.CDNInfoResponse{}},
		"CheckUrlSourceListFileFormat": {summary: "Checks a list of URLs in a bucket of the destination.", request: omsv2.CheckURLListRequest{}},
		"UpdatePrivacyAgreementRecord": {summary: "Records the consent to the privacy statement."},
	}
}

const storageBase = "/v2/" + project + "/objectstorage"

// The bodies that the tests start from. Every secret is another text.
const (
	accountBody = `{"cloud_type":"AWS","ak":"the-ak","sk":"the-sk","security_token":"the-token"}`
	browseBody  = `{"cloud_type":"AWS","bucket_name":"photos","data_center":"lab-a","file_path":"2024/","page_size":20,"behind_filename":"2024/a",
		"ak":"the-ak","sk":"the-sk","security_token":"the-token"}`
	locateBody = `{"cloud_type":"AWS","bucket_name":"photos","ak":"the-ak","sk":"the-sk","security_token":"the-token"}`
	prefixBody = `{"cloud_type":"AWS","bucket_name":"photos","data_center":"lab-a","file_name":"2024","ak":"the-ak","sk":"the-sk","security_token":"the-token"}`
	cdnBody    = `{"cloud_type":"AWS","bucket":"photos","region":"lab-a","ak":"the-ak","sk":"the-sk","security_token":"the-token","prefix":{"keys":["a","b/"]},
		"source_cdn":{"domain":"cdn.example.org","protocol":"https","authentication_type":"TENCENT_COS_D","authentication_key":"the-cdn-key"}}`
	listBody = `{"obs_bucket":"lists","list_file_key":"u.txt","ak":"the-ak","sk":"the-sk","security_token":"the-token","region":"lab-b"}`
)

// queries are the mandatory parameters of operations.
var queries = map[string]string{"ShowCloudType": "?type=src"}

// questions are the operations with a body.
func questions() []struct{ name, path, body string } {
	return []struct{ name, path, body string }{
		{"buckets", storageBase + "/buckets", accountBody},
		{"browse", storageBase + "/buckets/objects", browseBody},
		{"region", storageBase + "/buckets/regions", locateBody},
		{"prefix", storageBase + "/buckets/prefix", prefixBody},
		{"cdn", storageBase + "/buckets/cdn-info", cdnBody},
		{"list", storageBase + "/buckets/url-source-list-file", listBody},
	}
}

// What a question becomes, and how its answer is written.
func TestBucketOperations(t *testing.T) {
	f := &fakeBuckets{
		names: []string{"a", "b"}, at: oms.BucketRegion{ID: "lab-a", Name: "Lab A", Supported: true},
		page: oms.FolderPage{More: true, Entries: []oms.FolderEntry{{Name: "2024/b", Size: 1 << 40}, {Name: "2024/c/", Folder: true}}},
		report: oms.CDNReport{SameCloud: true, Available: true, Keys: []oms.CDNKeyReport{
			{Key: "a", Exists: true, ETagMatches: true}, {Key: "b/"},
		}},
	}
	h := bucketHarness(f)
	answers := map[string]string{
		"buckets": `["a","b"]`,
		"browse":  `{"next_page":true,"next_marker":"2024/c/","records":[{"name":"2024/b","size":"1099511627776"},{"name":"2024/c/","size":"--"}]}`,
		"region":  `{"id":"lab-a","name":"Lab A","support":true}`,
		"prefix":  `{"exist":true}`,
		"cdn": `{"is_same_cloud_type":true,"is_download_available":true,"checked_keys":[{"key":"a","is_etag_matching":true,"is_object_existing":true},` +
			`{"key":"b/","is_etag_matching":false,"is_object_existing":false}]}`,
		"list": "",
	}
	for _, q := range questions() {
		w := h.do("POST", q.path, q.body)
		checkAnswer(t, w)
		if w.Code != http.StatusOK || w.Body.String() != answers[q.name] {
			t.Errorf("%s: got %d %s, want %s", q.name, w.Code, w.Body, answers[q.name])
		}
		keys := f.query.Credentials
		if f.asked != q.name || keys.AccessKey != "the-ak" || keys.SecretKey.Reveal() != "the-sk" || keys.SecurityToken.Reveal() != "the-token" {
			t.Errorf("%s: asked %s with %+v", q.name, f.asked, f.query)
		}
		switch q.name {
		case "buckets":
			if f.query.CloudType != oms.CloudAWS || f.query.Endpoint != (oms.Endpoint{}) {
				t.Errorf("buckets: %+v", f.query)
			}
		case "browse":
			if f.folder != "2024/" || f.after != "2024/a" || f.limit != 20 || f.query.Bucket != "photos" || f.query.Endpoint.URL != "http://127.0.0.1:9000" {
				t.Errorf("browse: %+v", f)
			}
		case "prefix":
			if f.folder != "2024" || f.query.Bucket != "photos" || f.query.Endpoint.URL != "http://127.0.0.1:9000" {
				t.Errorf("prefix: %+v", f)
			}
		case "cdn":
			want := oms.CDN{Domain: "cdn.example.org", Protocol: "https", AuthenticationType: string(cdnsign.TencentD)}
			if f.host != want || !slices.Equal(f.keys, []string{"a", "b/"}) || keys.CDNKey.Reveal() != "the-cdn-key" {
				t.Errorf("cdn: %+v", f)
			}
		case "list":
			if f.folder != "u.txt" || f.query.CloudType != oms.CloudHEC || f.query.Endpoint.URL != "http://127.0.0.1:9001" || f.query.Bucket != "lists" {
				t.Errorf("list: %+v", f)
			}
		}
	}
	// The end of a level has no marker, and empty answers are arrays.
	f.page, f.report, f.names = oms.FolderPage{}, oms.CDNReport{}, nil
	for path, want := range map[string]string{
		"/buckets/objects":  `{"next_page":false,"next_marker":"","records":[]}`,
		"/buckets/cdn-info": `{"is_same_cloud_type":false,"is_download_available":false,"checked_keys":[]}`,
		"/buckets":          `[]`,
	} {
		for _, q := range questions() {
			if q.path == storageBase+path {
				if w := h.do("POST", q.path, q.body); w.Body.String() != want {
					t.Errorf("%s: got %s, want %s", path, w.Body, want)
				}
			}
		}
	}
	f.page = oms.FolderPage{More: true, Entries: []oms.FolderEntry{{Name: "\xff"}}}
	if got := code(t, h.do("POST", storageBase+"/buckets/objects", browseBody)); got != "OMS.0153" {
		t.Errorf("a marker that JSON cannot carry: got %s", got)
	}
	for _, e := range h.audit.entries {
		t.Errorf("a question is in the audit log: %+v", e)
	}
}

// Every constraint of OMS v2, 4.29 to 4.34. Nothing is asked when a field is wrong.
func TestBucketRefusals(t *testing.T) {
	tests := []struct{ question, path, value, want string }{
		// What all have in common.
		{"*", "ak", "", "OMS.1004"},
		{"*", "ak", "null", "OMS.1004"},
		{"*", "ak", `""`, "OMS.1003"},
		{"*", "ak", quoted(101), "OMS.1003"},
		{"*", "ak", "7", "OMS.1010"},
		{"*", "ak", `"a\nb"`, "OMS.1003"},
		{"*", "sk", "", "OMS.1004"},
		{"*", "sk", quoted(101), "OMS.1003"},
		{"*", "sk", quoted(100), ""},
		{"*", "security_token", quoted(16385), "OMS.1003"},
		{"*", "security_token", "null", ""},
		{"*", "connection_string", quoted(2049), "OMS.1003"},
		{"*", "json_auth_file", quoted(65536), "OMS.1003"},
		{"*", "unknown", `{"a":[1]}`, ""},
		// The vendor.
		{"-list", "cloud_type", "", "OMS.1004"},
		{"-list", "cloud_type", "null", "OMS.1004"},
		{"-list", "cloud_type", `""`, ""}, // Aliyun
		{"-list", "cloud_type", `"aws"`, "OMS.1003"},
		{"-list", "cloud_type", `"Elsewhere"`, "OMS.1003"},
		{"-list", "cloud_type", quoted(101), "OMS.1003"},
		{"-list", "cloud_type", `["AWS"]`, "OMS.1010"},
		{"-list", "cloud_type", `"URLSource"`, "OMS.0151"},
		{"-list", "cloud_type", `"HEC"`, ""},
		{"-list", "cloud_type", `"HuaweiCloud"`, ""},
		{"-list", "app_id", quoted(256), "OMS.1003"},
		{"-list", "app_id", `"a/b"`, "OMS.0151"},
		{"-list", "app_id", `"1250000000"`, ""},
		{"buckets", "cloud_type", `"Tencent"`, ""},
		{"browse", "cloud_type", `"Tencent"`, "OMS.1004"}, // app_id is part of the name
		{"region", "cloud_type", `"Tencent"`, "OMS.1004"},
		{"prefix", "cloud_type", `"Tencent"`, "OMS.1004"},
		{"cdn", "cloud_type", `"Tencent"`, "OMS.1004"},
		{"cdn", "cloud_type", `"Google"`, "OMS.1003"},
		{"prefix", "cloud_type", `"Google"`, ""},
		{"browse", "cloud_type", `"Qiniu"`, "OMS.0079"}, // no such region there
		// The bucket and its region.
		{"browse", "bucket_name", "", "OMS.1004"},
		{"region", "bucket_name", `""`, "OMS.1003"},
		{"prefix", "bucket_name", quoted(101), "OMS.1003"},
		{"browse", "bucket_name", `"a/b"`, "OMS.0151"},
		{"browse", "bucket_name", `".."`, "OMS.0151"},
		{"browse", "bucket_name", "7", "OMS.1010"},
		{"cdn", "bucket", "", "OMS.1004"},
		{"cdn", "bucket", `"a b"`, "OMS.0151"},
		{"browse", "data_center", "", "OMS.1004"},
		{"browse", "data_center", `""`, "OMS.1003"},
		{"browse", "data_center", `"nowhere"`, "OMS.0079"},
		{"prefix", "data_center", `"../x"`, "OMS.0079"},
		{"prefix", "data_center", quoted(101), "OMS.1003"},
		{"cdn", "region", "null", "OMS.1004"},
		{"cdn", "region", `"nowhere"`, "OMS.0079"},
		// Browsing.
		{"browse", "file_path", "", "OMS.1004"},
		{"browse", "file_path", `""`, ""},
		{"browse", "file_path", `"2024"`, "OMS.1003"},
		{"browse", "file_path", `"` + strings.Repeat("é", 1022) + `/"`, ""},
		{"browse", "file_path", `"` + strings.Repeat("é", 1023) + `/"`, "OMS.1003"},
		{"browse", "page_size", "", "OMS.1004"},
		{"browse", "page_size", "0", ""},
		{"browse", "page_size", "100", ""},
		{"browse", "page_size", "101", "OMS.1003"},
		{"browse", "page_size", "-1", "OMS.1003"},
		{"browse", "page_size", "1.5", "OMS.1010"},
		{"browse", "page_size", `"20"`, "OMS.1010"},
		{"browse", "behind_filename", "", "OMS.1004"},
		{"browse", "behind_filename", `""`, ""},
		{"browse", "behind_filename", quoted(1024), ""},
		{"browse", "behind_filename", quoted(1025), "OMS.1003"},
		// The prefix.
		{"prefix", "file_name", "", "OMS.1004"},
		{"prefix", "file_name", `""`, ""},
		{"prefix", "file_name", quoted(1024), ""},
		{"prefix", "file_name", quoted(1025), "OMS.1003"},
		{"prefix", "file_name", "{}", "OMS.1010"},
		// The CDN host.
		{"cdn", "prefix", "null", ""},
		{"cdn", "prefix", "[]", "OMS.1010"},
		{"cdn", "prefix.keys", "[]", ""},
		{"cdn", "prefix.keys", `"a"`, "OMS.1010"},
		{"cdn", "prefix.keys", "[7]", "OMS.1010"},
		{"cdn", "prefix.keys", "[null]", "OMS.1004"},
		{"cdn", "prefix.keys", "[" + quoted(2048) + "]", ""},
		{"cdn", "prefix.keys", "[" + quoted(2049) + "]", "OMS.1003"},
		{"cdn", "prefix.keys", "[" + strings.Repeat(`"k",`, 99) + `"k"]`, ""},
		{"cdn", "prefix.keys", "[" + strings.Repeat(`"k",`, 100) + `"k"]`, "OMS.1003"},
		{"cdn", "source_cdn", "", "OMS.1004"},
		{"cdn", "source_cdn", "null", "OMS.1004"},
		{"cdn", "source_cdn", "[]", "OMS.1010"},
		{"cdn", "source_cdn.domain", `"http://cdn"`, "OMS.1003"},
		{"cdn", "source_cdn.protocol", `"HTTP"`, "OMS.1003"},
		{"cdn", "source_cdn.authentication_type", `"NONE"`, ""},
		{"cdn", "source_cdn.authentication_type", `"ALIYUN"`, "OMS.1003"},
		{"cdn", "source_cdn.authentication_key", "", "OMS.1032"},
		{"cdn", "source_cdn.authentication_key", quoted(256), "OMS.1003"},
		{"cdn", "source_cdn.crypto_type", `"KMS"`, "OMS.1003"},
		// The list of URLs.
		{"list", "obs_bucket", "", "OMS.1004"},
		{"list", "obs_bucket", `"a/b"`, "OMS.0151"},
		{"list", "list_file_key", "", "OMS.1004"},
		{"list", "list_file_key", `""`, "OMS.1003"},
		{"list", "list_file_key", quoted(1025), "OMS.1003"},
		{"list", "region", "", "OMS.1004"},
		{"list", "region", `"nowhere"`, "OMS.0080"},
		{"list", "cloud_type", `"AWS"`, ""}, // not a field of this operation
	}
	for _, tt := range tests {
		for _, q := range questions() {
			if tt.question != q.name && tt.question != "*" && (tt.question != "-list" || q.name == "list") {
				continue
			}
			t.Run(q.name+" "+tt.path+" "+tt.value[:min(len(tt.value), 40)], func(t *testing.T) {
				f := &fakeBuckets{}
				got := code(t, bucketHarness(f).do("POST", q.path, edit(t, q.body, tt.path, tt.value)))
				if got != tt.want || (f.asked != "") != (tt.want == "") {
					t.Errorf("got %q, asked %q, want %q", got, f.asked, tt.want)
				}
			})
		}
	}
}

// The page size 0 is the largest page, and an empty vendor the contract's default.
func TestBucketDefaults(t *testing.T) {
	f := &fakeBuckets{}
	h := bucketHarness(f)
	h.do("POST", storageBase+"/buckets/objects", edit(t, browseBody, "page_size", "0"))
	if f.limit != 100 {
		t.Errorf("limit %d, want 100", f.limit)
	}
	h.do("POST", storageBase+"/buckets", edit(t, accountBody, "cloud_type", `""`))
	if f.query.CloudType != oms.CloudAliyun {
		t.Errorf("vendor %q, want Aliyun", f.query.CloudType)
	}
	h.do("POST", storageBase+"/buckets/cdn-info", edit(t, cdnBody, "prefix", ""))
	if f.asked != "cdn" || len(f.keys) != 0 {
		t.Errorf("asked %s for %v", f.asked, f.keys)
	}
}

// What is no JSON object is refused by all alike.
func TestBucketBodies(t *testing.T) {
	for body, want := range map[string]string{
		"": "OMS.0067", "{": "OMS.0067", "[]": "OMS.1010", `"x"`: "OMS.1010", "null": "OMS.1004", "{}": "OMS.1004", "\xff": "OMS.0067",
		strings.Repeat("[", 40) + strings.Repeat("]", 40): "OMS.1003",
	} {
		for _, q := range questions() {
			if got := code(t, bucketHarness(&fakeBuckets{}).do("POST", q.path, body)); got != want {
				t.Errorf("%s: %q gives %q, want %q", q.name, body, got, want)
			}
		}
	}
}

// What the service behind refuses keeps its code, status 400 and text; what is not meant for users is hidden.
func TestBucketErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{oms.Errorf(oms.Invalid, "OMS.0153", "The bucket cannot be reached."), 400, "OMS.0153"},
		{oms.Errorf(oms.Invalid, "OMS.1016", "No."), 400, "OMS.1016"},
		{oms.Errorf(oms.Invalid, "TRF.0016", "line 3: no URL"), 400, "TRF.0016"},
		{&oms.Error{Op: "dial 10.0.0.5", Kind: oms.Transient, Err: errors.New("10.0.0.5 refused")}, 503, "OMS.2004"},
		{errors.New("10.0.0.5 is down"), 500, "OMS.1001"},
		{context.DeadlineExceeded, 503, "OMS.2004"},
	} {
		for _, q := range questions() {
			w := bucketHarness(&fakeBuckets{err: tt.err}).do("POST", q.path, q.body)
			if got := code(t, w); w.Code != tt.status || got != tt.code || strings.Contains(w.Body.String(), "10.0.0.5") {
				t.Errorf("%s: %v gives %d %s", q.name, tt.err, w.Code, w.Body)
			}
		}
	}
}

func TestShowCloudType(t *testing.T) {
	h := bucketHarness(&fakeBuckets{})
	for query, want := range map[string]string{
		"?type=src": `["AWS","Azure","Aliyun","Tencent","HuaweiCloud","QingCloud","KingsoftCloud","Baidu","Qiniu","URLSource","UCloud","Google"]`,
		"?type=dst": `["HEC"]`,
	} {
		w := h.do("GET", storageBase+"/cloud-type"+query, "")
		if checkAnswer(t, w); w.Body.String() != want {
			t.Errorf("%s: got %s", query, w.Body)
		}
	}
	for query, want := range map[string]string{
		"": "OMS.1004", "?type=": "OMS.1003", "?type=SRC": "OMS.1003", "?type=src&type=dst": "OMS.1003", "?type=%zz": "OMS.0004", "?other=1": "OMS.1004",
	} {
		if got := code(t, h.do("GET", storageBase+"/cloud-type"+query, "")); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

// All clouds that have regions, in the order of the vendors, with the operator's.
func TestShowRegionInfo(t *testing.T) {
	f := &fakeBuckets{}
	w := bucketHarness(f).do("GET", storageBase+"/data-center", "")
	checkAnswer(t, w)
	var got []omsv2.CloudRegions
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range got {
		names = append(names, c.ServiceName)
		if len(c.RegionList) == 0 || len(c.RegionList) > 1024 {
			t.Errorf("%s: %d regions", c.ServiceName, len(c.RegionList))
		}
		for _, r := range c.RegionList {
			if r.CloudType != c.ServiceName || r.Value == "" || r.Description == "" || len(r.Value) > 255 {
				t.Errorf("%s: region %+v", c.ServiceName, r)
			}
		}
	}
	var want []string
	for _, c := range sourceClouds() {
		if c != oms.CloudURL {
			want = append(want, string(c))
		}
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	first := got[0].RegionList
	if first[0] != (omsv2.RegionInfo{CloudType: "AWS", Value: "us-east-1", Description: "US Standard (N. Virginia)"}) || first[len(first)-1].Value != "lab-a" {
		t.Errorf("AWS: %+v … %+v", first[0], first[len(first)-1])
	}
}

// The record is in the audit log when the answer leaves, once; without a log there is no record and no success.
func TestPrivacyAgreement(t *testing.T) {
	h := bucketHarness(&fakeBuckets{})
	w := h.do("POST", "/v2/"+project+"/privacy-agreements", "")
	if checkAnswer(t, w); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if len(h.audit.entries) != 1 || h.audit.entries[0].Action != "PrivacyAgreement" || h.audit.entries[0].Actor != "alice" ||
		h.audit.entries[0].Project != project || h.audit.entries[0].Result != "ok" {
		t.Errorf("audit: %+v", h.audit.entries)
	}
	if got := code(t, h.as(project+"/reader", "POST", "/v2/"+project+"/privacy-agreements", "")); got != "OMS.0205" {
		t.Errorf("a reader: got %s", got)
	}
	h.audit.err = errOutage
	if got := code(t, h.do("POST", "/v2/"+project+"/privacy-agreements", "")); got != "OMS.2004" {
		t.Errorf("no log: got %s, want OMS.2004", got)
	}
}

// Readers may ask everything, and nobody asks in another project.
func TestBucketRights(t *testing.T) {
	h := bucketHarness(&fakeBuckets{})
	for _, q := range questions() {
		if got := code(t, h.as(project+"/reader", "POST", q.path, q.body)); got != "" {
			t.Errorf("%s: a reader gets %s", q.name, got)
		}
		for _, token := range []string{"", other} {
			if w := h.as(token, "POST", q.path, q.body); w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
				t.Errorf("%s: token %q gets %d", q.name, token, w.Code)
			}
		}
		if w := h.do("GET", q.path, ""); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: GET gives %d", q.name, w.Code)
		}
	}
}

// Keys of questions show up nowhere, accepted or refused.
func TestBucketSecrets(t *testing.T) {
	const canary = "canary-51c0"
	secret := strings.NewReplacer("the-ak", canary, "the-sk", canary, "the-token", canary, "the-cdn-key", canary)
	f := &fakeBuckets{}
	h := bucketHarness(f)
	var out strings.Builder
	send := func(path, body string) {
		w := h.do("POST", path, body)
		out.WriteString(w.Body.String() + fmt.Sprint(w.Header()))
	}
	for _, q := range questions() {
		body := secret.Replace(q.body)
		send(q.path, body)
		fmt.Fprintf(&out, "%v %+v", f.query.Credentials.SecretKey, f.query.Credentials.CDNKey)
		send(q.path, body+"}")
		for _, member := range []string{"ak", "sk", "security_token", "cloud_type", "connection_string", "json_auth_file", "bucket_name", "obs_bucket", "region"} {
			send(q.path, edit(t, body, member, `"`+strings.Repeat(canary, 9000)+`"`))
			send(q.path, edit(t, body, member, `{"`+canary+`":1}`))
		}
		f.err = oms.Errorf(oms.Invalid, "OMS.0153", "no")
		send(q.path, body)
		f.err = errOutage
		send(q.path, body)
		f.err = nil
	}
	for _, e := range h.audit.entries {
		fmt.Fprintf(&out, "%+v", e)
	}
	out.WriteString(h.logs.String())
	if strings.Contains(out.String(), canary) {
		t.Error("a secret was shown")
	}
}

// Each member of the request types is read with its type, so the types of omsv2 and what is decoded cannot drift apart.
func TestMistypedBucketMembers(t *testing.T) {
	types := map[string]any{
		"buckets": omsv2.ListBucketsRequest{}, "browse": omsv2.BucketObjectsRequest{}, "region": omsv2.BucketRegionRequest{},
		"prefix": omsv2.CheckPrefixRequest{}, "cdn": omsv2.CDNInfoRequest{}, "list": omsv2.CheckURLListRequest{},
	}
	for _, q := range questions() {
		for _, m := range members(reflect.TypeOf(types[q.name]), "") {
			t.Run(q.name+" "+m.path, func(t *testing.T) {
				w := bucketHarness(&fakeBuckets{}).do("POST", q.path, edit(t, q.body, m.path, orText(m.mistyped)))
				if got := code(t, w); got != "OMS.1010" || !strings.Contains(w.Body.String(), m.path[strings.LastIndexByte(m.path, '.')+1:]) {
					t.Errorf("got %s %s, want OMS.1010 that names it", got, w.Body)
				}
			})
		}
	}
}

// orText returns a value of a wrong type for members whose kind has none.
func orText(value string) string {
	if value == "" {
		return `"1"`
	}
	return value
}

func FuzzBucketOperations(f *testing.F) {
	for i, q := range questions() {
		f.Add(q.body, uint8(i))
		f.Add(`{"cloud_type":null}`, uint8(i))
	}
	f.Fuzz(func(t *testing.T, body string, which uint8) {
		all := questions()
		q := all[int(which)%len(all)]
		fake := &fakeBuckets{page: oms.FolderPage{More: true, Entries: []oms.FolderEntry{{Name: body}}}}
		w := fuzzed(t, bucketHarness(fake), "POST", q.path, body)
		if asked := fake.asked != ""; asked && (fake.query.Credentials.AccessKey == "" || fake.query.Credentials.SecretKey.IsZero()) ||
			!asked && w.Code == http.StatusOK {
			t.Errorf("%s: asked %q, status %d", q.name, fake.asked, w.Code)
		}
	})
}
