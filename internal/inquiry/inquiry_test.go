package inquiry_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/inquiry"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/storage/cdn"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const (
	ak     = "AKINQUIRY"
	sk     = "a secret that must not be shown"
	cdnKey = "a key of the CDN host"
)

// lab is a service before one store or two.
type lab struct {
	*inquiry.Service
	t      *testing.T
	log    *bytes.Buffer
	clouds []*testcloud.Cloud
	urls   []string
}

// newLab starts a store for each region of AWS; cloud is its personality.
func newLab(t *testing.T, regions ...string) *lab {
	t.Helper()
	l := &lab{t: t, log: &bytes.Buffer{}}
	var overrides []region.Override
	for _, id := range regions {
		c := testcloud.New(testcloud.Options{AccessKey: ak, SecretKey: sk, Region: id})
		url, stop, err := c.Start(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		l.clouds, l.urls = append(l.clouds, c), append(l.urls, url)
		for _, cloud := range []oms.CloudType{oms.CloudAWS, oms.CloudTencent, oms.CloudHuawei} {
			overrides = append(overrides, region.Override{CloudType: cloud, Region: id, Name: "Lab " + id, Endpoint: url, PathStyle: true})
		}
	}
	table, err := region.New(overrides)
	if err != nil {
		t.Fatal(err)
	}
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	l.Service = inquiry.New(inquiry.Options{
		Opener:  cdn.NewOpener(s3.NewOpener(s3.Options{Transport: tr}), cdn.Options{Transport: tr}),
		Regions: table, Logger: slog.New(slog.NewTextHandler(l.log, nil)), ListBytes: maxChecked,
	})
	t.Cleanup(func() {
		for _, s := range []string{sk, cdnKey, ak} {
			if strings.Contains(l.log.String(), s) {
				t.Errorf("the log shows %q:\n%s", s, l.log)
			}
		}
	})
	return l
}

// query is a question about a bucket of the first store.
func (l *lab) query(bucket string) oms.BucketQuery {
	return oms.BucketQuery{
		CloudType: oms.CloudAWS, Bucket: bucket, Endpoint: oms.Endpoint{URL: l.urls[0], Region: l.clouds[0].Region(), PathStyle: true, Trusted: true},
		Credentials: oms.Credentials{AccessKey: ak, SecretKey: oms.NewSecret(sk)},
	}
}

// code checks the code of a refusal, and that it shows no secret.
func code(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %s", what, want)
		return
	}
	if got := oms.CodeOf(err); got != want || oms.KindOf(err) != oms.Invalid {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
	for _, s := range []string{sk, cdnKey, "127.0.0.1"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error shows %q: %v", what, s, err)
		}
	}
}

func wrongKeys(q oms.BucketQuery) oms.BucketQuery {
	q.Credentials.SecretKey = oms.NewSecret("wrong")
	return q
}

func TestBuckets(t *testing.T) {
	l := newLab(t, "lab-a", "lab-b")
	if _, err := l.ListBuckets(t.Context(), l.query("")); err == nil || oms.CodeOf(err) != "OMS.1016" {
		t.Errorf("no buckets: got %v, want OMS.1016", err)
	}
	l.clouds[0].CreateBucket("zebra")
	l.clouds[0].CreateBucket("ant")
	l.clouds[1].CreateBucket("bee-1250000000")
	l.clouds[1].CreateBucket("ant")
	list := func(change func(*oms.BucketQuery)) ([]string, error) {
		q := l.query("")
		change(&q)
		return l.ListBuckets(t.Context(), q)
	}
	got, err := list(func(*oms.BucketQuery) {})
	if err != nil || !slices.Equal(got, []string{"ant", "bee-1250000000", "zebra"}) {
		t.Errorf("got %v, %v", got, err)
	}
	got, err = list(func(q *oms.BucketQuery) { q.CloudType, q.AppID = oms.CloudTencent, "1250000000" })
	if err != nil || !slices.Equal(got, []string{"ant", "bee", "zebra"}) {
		t.Errorf("with an APPID: got %v, %v", got, err)
	}
	if got, err = list(func(q *oms.BucketQuery) { q.CloudType = oms.CloudHEC }); err != nil || len(got) != 3 {
		t.Errorf("as HEC: got %v, %v", got, err)
	}
	for what, want := range map[string]struct {
		code   string
		change func(*oms.BucketQuery)
	}{
		"wrong secret":  {"OMS.1016", func(q *oms.BucketQuery) { q.Credentials.SecretKey = oms.NewSecret("wrong") }},
		"unknown key":   {"OMS.1016", func(q *oms.BucketQuery) { q.Credentials.AccessKey = "AKNOBODY" }},
		"Azure":         {"OMS.0151", func(q *oms.BucketQuery) { q.CloudType = oms.CloudAzure }},
		"URLs":          {"OMS.0151", func(q *oms.BucketQuery) { q.CloudType = oms.CloudURL }},
		"nobody's type": {"OMS.0151", func(q *oms.BucketQuery) { q.CloudType = "Nobody" }},
	} {
		_, err := list(want.change)
		code(t, what, err, want.code)
	}

	// One of two does not answer: the other's buckets are shown, and the log tells.
	l.clouds[1].Down()
	if got, err := list(func(*oms.BucketQuery) {}); err != nil || !slices.Equal(got, []string{"ant", "zebra"}) {
		t.Errorf("one store is down: got %v, %v", got, err)
	}
	if !strings.Contains(l.log.String(), "region=lab-b") {
		t.Errorf("the log does not name the region:\n%s", l.log)
	}
	l.clouds[0].Down()
	_, err = list(func(*oms.BucketQuery) {})
	code(t, "both down", err, "OMS.0153")
	l.clouds[0].Up()
	l.clouds[1].Up()
	for _, c := range l.clouds {
		c.Faults.On(testcloud.ListBuckets, testcloud.Fail(http.StatusForbidden, "AccessDenied"))
	}
	_, err = list(func(*oms.BucketQuery) {})
	code(t, "no right", err, "OMS.1014")
	for _, c := range l.clouds {
		c.Faults.Clear()
		c.Faults.On(testcloud.ListBuckets, testcloud.HugeXML(20<<20))
	}
	_, err = list(func(*oms.BucketQuery) {})
	code(t, "huge answer", err, "OMS.0153")
}

// TestHostileNames: names that cannot be names are not shown.
func TestHostileNames(t *testing.T) {
	var body strings.Builder
	for _, name := range []string{"good", "", "a\nb", strings.Repeat("x", 256), "&lt;script&gt;"} {
		body.WriteString("<Bucket><Name>" + name + "</Name></Bucket>")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "<ListAllMyBucketsResult><Buckets>"+body.String()+"</Buckets></ListAllMyBucketsResult>")
	}))
	defer srv.Close()
	table, err := region.New([]region.Override{{CloudType: oms.CloudAWS, Region: "lab", Endpoint: srv.URL, PathStyle: true}})
	if err != nil {
		t.Fatal(err)
	}
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	defer tr.CloseIdleConnections()
	s := inquiry.New(inquiry.Options{Opener: s3.NewOpener(s3.Options{Transport: tr}), Regions: table})
	got, err := s.ListBuckets(t.Context(), oms.BucketQuery{CloudType: oms.CloudAWS})
	if err != nil || !slices.Equal(got, []string{"<script>", "good"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRegion(t *testing.T) {
	l := newLab(t, "lab-a", "lab-b")
	l.clouds[0].CreateBucket("here")
	l.clouds[1].CreateBucket("there")
	l.clouds[1].CreateBucket("cos-1250000000")
	for _, tt := range []struct {
		bucket string
		cloud  oms.CloudType
		want   oms.BucketRegion
	}{
		{"here", oms.CloudAWS, oms.BucketRegion{ID: "lab-a", Name: "Lab lab-a", Supported: true}},
		{"there", oms.CloudAWS, oms.BucketRegion{ID: "lab-b", Name: "Lab lab-b", Supported: true}},
		{"there", oms.CloudHEC, oms.BucketRegion{ID: "lab-b", Name: "Lab lab-b", Supported: true}},
		{"cos", oms.CloudTencent, oms.BucketRegion{ID: "lab-b", Name: "Lab lab-b", Supported: true}},
	} {
		q := l.query(tt.bucket)
		q.CloudType, q.AppID, q.Endpoint = tt.cloud, "1250000000", oms.Endpoint{}
		if got, err := l.Region(t.Context(), q); err != nil || got != tt.want {
			t.Errorf("%s of %s: got %+v, %v, want %+v", tt.bucket, tt.cloud, got, err, tt.want)
		}
	}
	_, err := l.Region(t.Context(), l.query("nosuch"))
	code(t, "no such bucket", err, "OMS.0155")
	_, err = l.Region(t.Context(), wrongKeys(l.query("here")))
	code(t, "wrong keys", err, "OMS.0155")
	q := l.query("here")
	q.CloudType = oms.CloudAzure
	_, err = l.Region(t.Context(), q)
	code(t, "Azure", err, "OMS.0151")
	q.CloudType = oms.CloudURL
	_, err = l.Region(t.Context(), q)
	code(t, "URLs", err, "OMS.0151")
	l.clouds[0].Down()
	l.clouds[1].Down()
	_, err = l.Region(t.Context(), l.query("here"))
	code(t, "down", err, "OMS.0155")
}

func TestBrowseAndPrefix(t *testing.T) {
	l := newLab(t, "lab-a")
	b := l.clouds[0].CreateBucket("photos")
	for _, k := range []string{"2024/a.jpg", "2024/b.jpg", "2024/raw/1", "2025/x", "top.txt"} {
		b.Put(k, []byte(k), testcloud.Attrs{})
	}
	var got []oms.FolderEntry
	after := ""
	for {
		page, err := l.Browse(t.Context(), l.query("photos"), "2024/", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page.Entries...)
		if !page.More {
			break
		}
		after = page.Entries[len(page.Entries)-1].Name
	}
	want := []oms.FolderEntry{{Name: "2024/a.jpg", Size: 10}, {Name: "2024/b.jpg", Size: 10}, {Name: "2024/raw/", Folder: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for prefix, want := range map[string]bool{"": true, "2024": true, "2024/raw/1": true, "2024/raw/1x": false, "z": false} {
		if got, err := l.HasPrefix(t.Context(), l.query("photos"), prefix); err != nil || got != want {
			t.Errorf("prefix %q: got %v, %v", prefix, got, err)
		}
	}
	l.clouds[0].CreateBucket("empty")
	if got, err := l.HasPrefix(t.Context(), l.query("empty"), ""); err != nil || got {
		t.Errorf("empty bucket: got %v, %v", got, err)
	}
	both := func(what string, q oms.BucketQuery, want string) {
		t.Helper()
		_, err := l.Browse(t.Context(), q, "", "", 10)
		code(t, "browse, "+what, err, want)
		_, err = l.HasPrefix(t.Context(), q, "2024")
		code(t, "prefix, "+what, err, want)
	}
	both("no such bucket", l.query("nosuch"), "OMS.1014")
	both("wrong keys", wrongKeys(l.query("photos")), "OMS.1014")
	azure := l.query("photos")
	azure.CloudType = oms.CloudAzure
	both("Azure", azure, "OMS.0151")
	l.clouds[0].Faults.On(testcloud.ListObjectsV2, testcloud.EmptyPages())
	both("endless empty pages", l.query("photos"), "OMS.0153")
	l.clouds[0].Down()
	both("down", l.query("photos"), "OMS.0153")
}

// front starts a CDN host before a bucket.
func (l *lab) front(b *testcloud.Bucket, opts testcloud.CDNOptions) oms.CDN {
	l.t.Helper()
	s := httptest.NewServer(b.CDN(opts))
	l.t.Cleanup(s.Close)
	return oms.CDN{Domain: strings.TrimPrefix(s.URL, "http://"), Protocol: "http", AuthenticationType: opts.Method}
}

func TestCDN(t *testing.T) {
	l := newLab(t, "lab-a")
	b, other := l.clouds[0].CreateBucket("photos"), l.clouds[0].CreateBucket("other")
	q := l.query("photos")
	q.Credentials.CDNKey = oms.NewSecret(cdnKey)
	host := l.front(b, testcloud.CDNOptions{Method: string(cdnsign.TencentC), Key: cdnKey, Headers: map[string]string{"X-Amz-Id-2": "1"}})
	strange := l.front(other, testcloud.CDNOptions{Method: string(cdnsign.None)})
	check := func(host oms.CDN, keys ...string) oms.CDNReport {
		t.Helper()
		rep, err := l.CheckCDN(t.Context(), q, host, keys)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := check(host); rep.Available || len(rep.Keys) != 0 {
		t.Errorf("empty bucket: %+v", rep)
	}
	hour := time.Now().Add(-time.Hour)
	b.PutAt("dir/a", []byte("abc"), testcloud.Attrs{}, hour)
	b.PutAt("dir/b", []byte("abcd"), testcloud.Attrs{}, hour)
	other.PutAt("dir/a", []byte("xyz"), testcloud.Attrs{}, hour.Add(-time.Hour))
	yes := func(key string) oms.CDNKeyReport { return oms.CDNKeyReport{Key: key, Exists: true, ETagMatches: true} }
	wrong := host
	wrong.AuthenticationType = string(cdnsign.TencentD)
	nobody := host
	nobody.Domain = "127.0.0.1:1"
	for _, tt := range []struct {
		name string
		got  oms.CDNReport
		want oms.CDNReport
	}{
		{"without keys", check(host), oms.CDNReport{SameCloud: true, Available: true}},
		{
			"names, folders and what is not there", check(host, "dir/a", "dir/", "", "dir", "nosuch", "no/"),
			oms.CDNReport{SameCloud: true, Available: true, Keys: []oms.CDNKeyReport{
				yes("dir/a"), yes("dir/"), yes(""), yes("dir"), {Key: "nosuch"}, {Key: "no/"},
			}},
		},
		{"nothing there", check(host, "nosuch"), oms.CDNReport{Keys: []oms.CDNKeyReport{{Key: "nosuch"}}}},
		{
			"another bucket's host", check(strange, "dir/a", "dir/b"),
			oms.CDNReport{Keys: []oms.CDNKeyReport{{Key: "dir/a", Exists: true}, {Key: "dir/b"}}},
		},
		{"wrong signature", check(wrong, "dir/a"), oms.CDNReport{Keys: []oms.CDNKeyReport{{Key: "dir/a"}}}},
		{"nobody there", check(nobody, "dir/a"), oms.CDNReport{Keys: []oms.CDNKeyReport{{Key: "dir/a"}}}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if n := l.clouds[0].Count(testcloud.GetObject); n != 0 {
		t.Errorf("%d objects were read from the bucket", n)
	}
	var many, want []string
	for i := range 100 {
		many = append(many, "dir/"+string(rune('a'+i%2)))
	}
	rep := check(host, many...)
	for _, k := range rep.Keys {
		want = append(want, k.Key)
	}
	if !rep.Available || !slices.Equal(many, want) {
		t.Errorf("many keys: available %v, %d keys", rep.Available, len(want))
	}
	_, err := l.CheckCDN(t.Context(), wrongKeys(q), host, []string{"dir/a"})
	code(t, "wrong keys", err, "OMS.1014")
	q.Bucket = "nosuch"
	_, err = l.CheckCDN(t.Context(), q, host, nil)
	code(t, "no such bucket", err, "OMS.1014")
	q.Bucket, host.Domain = "photos", "a b"
	_, err = l.CheckCDN(t.Context(), q, host, nil)
	code(t, "no host", err, "OMS.0081")
	q.CloudType = oms.CloudAzure
	_, err = l.CheckCDN(t.Context(), q, host, nil)
	code(t, "Azure", err, "OMS.0151")
	l.clouds[0].Down()
	q = l.query("photos")
	_, err = l.CheckCDN(t.Context(), q, strange, nil)
	code(t, "down", err, "OMS.0153")
}

func TestURLList(t *testing.T) {
	l := newLab(t, "lab-a")
	b := l.clouds[0].CreateBucket("lists")
	text := testcloud.Attrs{ContentType: "text/plain"}
	put := func(key, content string, attrs testcloud.Attrs) { b.Put(key, []byte(content), attrs) }
	const line = "http://example.org/a.jpg\ta.jpg\n"
	put("good.txt", line+"https://example.org/b?x=1\tdir/b%20c\n", text)
	put("long.txt", strings.Repeat(line, (maxChecked+len(line))/len(line))+"no URL\n", text)
	put("early.txt", line+"no URL\n", text)
	put("name.csv", line, text)
	put("type.txt", line, testcloud.Attrs{ContentType: "text/html"})
	put("coded.txt", line, testcloud.Attrs{ContentType: "text/plain", ContentEncoding: "gzip"})
	put("empty.txt", "", text)
	put("blank.txt", "\n\n", text)
	put("wide.txt", "http://example.org/"+strings.Repeat("x", 70_000)+"\tx\n", text)
	put("cold.txt", line, testcloud.Attrs{ContentType: "text/plain", StorageClass: "GLACIER"})
	q := l.query("lists")
	q.CloudType = oms.CloudHEC
	for key, want := range map[string]string{
		"good.txt": "", "long.txt": "", "early.txt": "TRF.0016", "name.csv": "TRF.0014", "type.txt": "TRF.0019", "coded.txt": "TRF.0019",
		"empty.txt": "TRF.0017", "blank.txt": "TRF.0017", "wide.txt": "TRF.0018", "nosuch.txt": "TRF.0013", "cold.txt": "TRF.0301",
	} {
		err := l.CheckURLList(t.Context(), q, key)
		if want != "" {
			code(t, key, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	code(t, "wrong keys", l.CheckURLList(t.Context(), wrongKeys(q), "good.txt"), "OMS.1020")
	missing := q
	missing.Bucket = "nosuch"
	code(t, "no such bucket", l.CheckURLList(t.Context(), missing, "good.txt"), "OMS.1020")
	denied := l.clouds[0].Faults.On(testcloud.GetObject, testcloud.Fail(http.StatusForbidden, "AccessDenied"))
	code(t, "no right to the object", l.CheckURLList(t.Context(), q, "good.txt"), "TRF.0013")
	denied()
	l.clouds[0].Faults.On(testcloud.GetObject, testcloud.Truncate(10))
	code(t, "broken off", l.CheckURLList(t.Context(), q, "good.txt"), "OMS.1020")
	l.clouds[0].Down()
	code(t, "down", l.CheckURLList(t.Context(), q, "good.txt"), "OMS.1020")
}

// maxChecked is how much of a list the labs check.
const maxChecked = 1 << 20

func TestClouds(t *testing.T) {
	l := newLab(t, "lab-a")
	clouds := l.Clouds()
	if len(clouds) != 11 || !slices.Contains(clouds[0].Regions, region.Region{ID: "lab-a", Name: "Lab lab-a"}) {
		t.Errorf("got %s clouds, %+v", strconv.Itoa(len(clouds)), clouds[0])
	}
}
