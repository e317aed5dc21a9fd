package sdk

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2/model"

	"github.com/openoms/openoms/internal/testcloud"
)

const cdnKey = "SKCDN0123456789"

// behind starts a CDN host before the source bucket.
func (w *world) behind(opts testcloud.CDNOptions) (domain string, host *testcloud.CDN) {
	w.t.Helper()
	host = w.src.CDN(opts)
	s := httptest.NewServer(host)
	w.t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), host
}

func cdn(domain string, typ model.SourceCdnReqAuthenticationType, key string) *model.SourceCdnReq {
	req := &model.SourceCdnReq{Domain: domain, Protocol: model.GetSourceCdnReqProtocolEnum().HTTP, AuthenticationType: typ}
	if key != "" {
		req.AuthenticationKey = &key
	}
	return req
}

func TestCloudTypesAndRegions(t *testing.T) {
	w := newWorld(t)
	src, err := w.client.ShowCloudType(&model.ShowCloudTypeRequest{Type: "src"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"AWS", "Azure", "Aliyun", "Tencent", "HuaweiCloud", "QingCloud", "KingsoftCloud", "Baidu", "Qiniu", "URLSource", "UCloud", "Google"}
	if !slices.Equal(*src.Body, want) {
		t.Errorf("sources %v", *src.Body)
	}
	dst, err := w.client.ShowCloudType(&model.ShowCloudTypeRequest{Type: "dst"})
	if err != nil || !slices.Equal(*dst.Body, []string{"HEC"}) {
		t.Errorf("destinations %v, %v", dst, err)
	}
	_, err = w.client.ShowCloudType(&model.ShowCloudTypeRequest{Type: "both"})
	refused(t, "another side", err, 400, "OMS.1003")

	regions, err := w.client.ShowRegionInfo(&model.ShowRegionInfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, service := range *regions.Body {
		for _, r := range *service.RegionList {
			found[*service.ServiceName+" "+*r.Value] = *r.Description
			if *r.CloudType != *service.ServiceName {
				t.Errorf("region %s of %s is in the list of %s", *r.Value, *r.CloudType, *service.ServiceName)
			}
		}
	}
	if found["AWS us-east-1"] != "US Standard (N. Virginia)" || found["AWS lab-a"] == "" || found["HuaweiCloud lab-b"] == "" || found["Qiniu z0"] == "" {
		t.Errorf("%d regions, some are missing", len(found))
	}
}

func TestBucketList(t *testing.T) {
	w := newWorld(t)
	list := func(cloud, ak, sk string) ([]string, error) {
		resp, err := w.client.ShowBucketList(&model.ShowBucketListRequest{Body: &model.ListBucketsReq{CloudType: cloud, Ak: &ak, Sk: &sk}})
		if err != nil {
			return nil, err
		}
		return *resp.Body, nil
	}
	if names, err := list("AWS", srcAK, srcSK); err != nil || !slices.Equal(names, []string{"source"}) {
		t.Errorf("got %v, %v", names, err)
	}
	if names, err := list("HEC", dstAK, dstSK); err != nil || !slices.Equal(names, []string{"destination"}) {
		t.Errorf("got %v, %v", names, err)
	}
	_, err := list("AWS", srcAK, "wrong")
	refused(t, "wrong keys", err, 400, "OMS.1016")
	_, err = list("Elsewhere", srcAK, srcSK)
	refused(t, "unknown vendor", err, 400, "OMS.1003")
	_, err = list("URLSource", srcAK, srcSK)
	refused(t, "no account", err, 400, "OMS.0151")
	_, err = w.client.ShowBucketList(&model.ShowBucketListRequest{Body: &model.ListBucketsReq{CloudType: "AWS"}})
	refused(t, "no keys", err, 400, "OMS.1004")
}

func TestBucketObjects(t *testing.T) {
	w := newWorld(t)
	fill(w.src, 25, 10)
	w.src.Put("photos/top.jpg", []byte("12345"), testcloud.Attrs{})
	req := func(folder, after string, size int32) *model.ShowBucketObjectsRequest {
		return &model.ShowBucketObjectsRequest{Body: &model.ShowBucketReq{
			CloudType: "AWS", FilePath: folder, Ak: new(srcAK), Sk: new(srcSK), DataCenter: "lab-a", PageSize: size, BehindFilename: after, BucketName: "source",
		}}
	}
	var got []string
	after, pages := "", 0
	for {
		resp, err := w.client.ShowBucketObjects(req("photos/", after, 4))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range *resp.Records {
			got = append(got, *r.Name+" "+*r.Size)
		}
		if pages++; !*resp.NextPage {
			break
		}
		after = *resp.NextMarker
	}
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprintf("photos/%03d/ --", i))
	}
	want = append(want, "photos/top.jpg 5")
	if !slices.Equal(got, want) || pages != 3 {
		t.Errorf("%d pages: %v", pages, got)
	}
	_, err := w.client.ShowBucketObjects(req("photos", "", 4))
	refused(t, "no folder", err, 400, "OMS.1003")
	_, err = w.client.ShowBucketObjects(req("", "", 101))
	refused(t, "large page", err, 400, "OMS.1003")
	bad := req("", "", 10)
	bad.Body.BucketName = "nosuch"
	_, err = w.client.ShowBucketObjects(bad)
	refused(t, "no bucket", err, 400, "OMS.1014")
	bad.Body.DataCenter = "mars/1"
	_, err = w.client.ShowBucketObjects(bad)
	refused(t, "no region", err, 400, "OMS.0079")
}

func TestBucketRegionAndPrefix(t *testing.T) {
	w := newWorld(t)
	w.src.Put("photos/a", nil, testcloud.Attrs{})
	where, err := w.client.ShowBucketRegion(&model.ShowBucketRegionRequest{Body: &model.ShowBucketRegionReq{
		CloudType: "AWS", BucketName: "source", Ak: new(srcAK), Sk: new(srcSK),
	}})
	if err != nil || *where.Id != "lab-a" || *where.Name != "lab-a" || !*where.Support {
		t.Errorf("got %s, %v", where, err)
	}
	_, err = w.client.ShowBucketRegion(&model.ShowBucketRegionRequest{Body: &model.ShowBucketRegionReq{
		CloudType: "AWS", BucketName: "nosuch", Ak: new(srcAK), Sk: new(srcSK),
	}})
	refused(t, "region of no bucket", err, 400, "OMS.0155")
	for prefix, want := range map[string]bool{"": true, "photos/": true, "x": false} {
		resp, err := w.client.CheckPrefix(&model.CheckPrefixRequest{Body: &model.CheckPrefixReq{
			CloudType: "AWS", BucketName: "source", FileName: prefix, DataCenter: "lab-a", Ak: new(srcAK), Sk: new(srcSK),
		}})
		if err != nil || *resp.Exist != want {
			t.Errorf("prefix %q: got %s, %v", prefix, resp, err)
		}
	}
}

func TestCDNHost(t *testing.T) {
	w := newWorld(t)
	w.src.PutAt("photos/a", []byte("abc"), testcloud.Attrs{}, time.Now().Add(-time.Hour))
	types := model.GetSourceCdnReqAuthenticationTypeEnum()
	// The operator has not opened the address of the host, so to the service it is as if nobody were there.
	domain, host := w.behind(testcloud.CDNOptions{Method: types.ALIYUN_OSS_A.Value(), Key: cdnKey})
	check := func(source *model.SourceCdnReq) (*model.ShowCdnInfoResponse, error) {
		return w.client.ShowCdnInfo(&model.ShowCdnInfoRequest{Body: &model.ShowCdnInfoReq{
			Ak: srcAK, Sk: srcSK, CloudType: "AWS", Region: "lab-a", Bucket: "source", Prefix: &model.PrefixKeyInfo{Keys: []string{"photos/a", "nosuch"}},
			SourceCdn: source,
		}})
	}
	resp, err := check(cdn(domain, types.ALIYUN_OSS_A, cdnKey))
	if err != nil {
		t.Fatal(err)
	}
	keys := *resp.CheckedKeys
	if *resp.IsDownloadAvailable || len(keys) != 2 || *keys[0].Key != "photos/a" || *keys[0].IsObjectExisting || host.Served.Load() != 0 {
		t.Errorf("a host that the rules of the network block: %s, %d served", resp, host.Served.Load())
	}
	_, err = check(cdn(domain, types.ALIYUN_OSS_A, ""))
	refused(t, "no key", err, 400, "OMS.1032")
	_, err = check(nil)
	refused(t, "no host", err, 400, "OMS.1004")
	req := request(prefix, "")
	req.SourceCdn = cdn(domain, types.ALIYUN_OSS_A, cdnKey)
	_, err = w.client.CreateTask(&model.CreateTaskRequest{Body: req})
	refused(t, "task through a host that cannot be reached", err, 400, "OMS.0081")
}

func TestCDNTask(t *testing.T) {
	types := model.GetSourceCdnReqAuthenticationTypeEnum()
	w := newWorld(t, "network: {allow: [127.0.0.0/8]}\n")
	for i := range 30 {
		w.src.PutAt(fmt.Sprintf("photos/%d é", i), []byte(strings.Repeat("x", i*100)), testcloud.Attrs{ContentType: "image/jpeg", Meta: map[string]string{"n": "1"}}, time.Now().Add(-time.Hour))
	}
	domain, host := w.behind(testcloud.CDNOptions{Method: types.TENCENT_COS_C.Value(), Key: cdnKey})
	resp, err := w.client.ShowCdnInfo(&model.ShowCdnInfoRequest{Body: &model.ShowCdnInfoReq{
		Ak: srcAK, Sk: srcSK, CloudType: "AWS", Region: "lab-a", Bucket: "source", Prefix: &model.PrefixKeyInfo{Keys: []string{"photos/"}},
		SourceCdn: cdn(domain, types.TENCENT_COS_C, cdnKey),
	}})
	if err != nil || !*resp.IsDownloadAvailable || !*(*resp.CheckedKeys)[0].IsObjectExisting || !*(*resp.CheckedKeys)[0].IsEtagMatching {
		t.Fatalf("check: %s, %v", resp, err)
	}
	req := request(prefix, "")
	req.SourceCdn = cdn(domain, types.TENCENT_COS_C, "wrong")
	_, err = w.client.CreateTask(&model.CreateTaskRequest{Body: req})
	refused(t, "wrong key", err, 400, "OMS.0081")
	req.SourceCdn = cdn(domain, types.TENCENT_COS_C, cdnKey)
	id := w.create(req)
	task := w.wait(id, []int32{succeeded}, waiting, running)
	w.mustBeEqual()
	if task.SourceCdn == nil || task.SourceCdn.Domain != domain || task.SourceCdn.Protocol.Value() != "http" || task.SourceCdn.AuthenticationType.Value() != "TENCENT_COS_C" {
		t.Errorf("the task shows %s", task.SourceCdn)
	}
	if host.Served.Load() < 30 || w.srcCloud.Count(testcloud.GetObject) != 0 {
		t.Errorf("%d objects came through the host, %d from the bucket", host.Served.Load(), w.srcCloud.Count(testcloud.GetObject))
	}
}

func TestURLListFile(t *testing.T) {
	w := newWorld(t)
	text := testcloud.Attrs{ContentType: "text/plain"}
	w.dst.Put("good.txt", []byte("http://example.org/a.jpg\ta.jpg\n"), text)
	w.dst.Put("bad.txt", []byte("no URL\n"), text)
	w.dst.Put("empty.txt", nil, text)
	w.dst.Put("html.txt", []byte("http://example.org/a.jpg\ta.jpg\n"), testcloud.Attrs{ContentType: "text/html"})
	w.dst.Put("list.csv", []byte("http://example.org/a.jpg\ta.jpg\n"), text)
	check := func(key, sk string) error {
		_, err := w.client.CheckUrlSourceListFileFormat(&model.CheckUrlSourceListFileFormatRequest{Body: &model.CheckUrlSourceListFileFormatReq{
			ObsBucket: "destination", ListFileKey: key, Ak: dstAK, Sk: sk, Region: "lab-b",
		}})
		return err
	}
	if err := check("good.txt", dstSK); err != nil {
		t.Error(err)
	}
	for key, code := range map[string]string{
		"bad.txt": "TRF.0016", "empty.txt": "TRF.0017", "html.txt": "TRF.0019", "list.csv": "TRF.0014", "nosuch.txt": "TRF.0013",
	} {
		refused(t, key, check(key, dstSK), 400, code)
	}
	refused(t, "wrong keys", check("good.txt", "wrong"), 400, "OMS.1020")
}

func TestPrivacyAgreement(t *testing.T) {
	w := newWorld(t)
	if _, err := w.client.UpdatePrivacyAgreementRecord(&model.UpdatePrivacyAgreementRecordRequest{}); err != nil {
		t.Error(err)
	}
}
