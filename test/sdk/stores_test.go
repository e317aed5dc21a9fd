package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	v2 "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/oms/v2"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest/versitygw"
)

// side is a bucket of some server, as a task names it.
type side struct {
	url, region, ak, sk, bucket string
	w                           storage.Writer
}

// stage is a service between two buckets, whatever servers hold them, with a CDN host before the source.
type stage struct {
	t        *testing.T
	url      string
	client   *v2.OmsClient
	src, dst side
	cdn      string // host and port
}

const topic = "urn:smn:lab:shared:oms"

// newStage runs a service between the buckets.
func newStage(t *testing.T, src, dst side) *stage {
	t.Helper()
	s := &stage{t: t, src: src, dst: dst}
	s.src.w, s.dst.w = openSide(t, src), openSide(t, dst)
	host := httptest.NewServer(http.HandlerFunc(s.serveCDN))
	t.Cleanup(host.Close)
	s.cdn = strings.TrimPrefix(host.URL, "http://")
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	s.url = startConfigured(t, t.TempDir(), fmt.Sprintf(`listen: 127.0.0.1:0
regions:
  - {cloud_type: AWS, region: %s, endpoint: %q, path_style: true}
  - {cloud_type: HuaweiCloud, region: %s, endpoint: %q, path_style: true}
network: {allow: [127.0.0.0/8]}
notify: {topics: {%q: %q}}
`, src.region, src.url, dst.region, dst.url, topic, receiver.URL))
	s.client = newClient(t, s.url, apiAK, apiSK, project)
	return s
}

// stages are the servers that the operations are tried on.
func stages(t *testing.T, run func(*stage)) {
	t.Helper()
	t.Run("testcloud", func(t *testing.T) {
		srcCloud, srcURL := startCloud(t, srcAK, srcSK, "lab-a")
		dstCloud, dstURL := startCloud(t, dstAK, dstSK, "lab-b")
		srcCloud.CreateBucket("source")
		dstCloud.CreateBucket("destination")
		run(newStage(t,
			side{url: srcURL, region: "lab-a", ak: srcAK, sk: srcSK, bucket: "source"},
			side{url: dstURL, region: "lab-b", ak: dstAK, sk: dstSK, bucket: "destination"}))
	})
	t.Run("versitygw", func(t *testing.T) {
		real := func() side {
			s := versitygw.Start(t)
			return side{url: s.URL, region: "us-east-1", ak: versitygw.AccessKey, sk: versitygw.SecretKey, bucket: s.MakeBucket(t)}
		}
		run(newStage(t, real(), real()))
	})
}

// openSide opens a bucket with the client of the product.
func openSide(t *testing.T, s side) storage.Writer {
	t.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	r, err := s3.NewOpener(s3.Options{Transport: tr}).Open(t.Context(), storage.Bucket{
		CloudType: oms.CloudAWS, Name: s.bucket,
		Endpoint:    oms.Endpoint{URL: s.url, Region: s.region, PathStyle: true},
		Credentials: oms.Credentials{AccessKey: s.ak, SecretKey: oms.NewSecret(s.sk)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.(storage.Writer)
}

// put stores an object.
func (s *stage) put(at side, key, contentType string, data []byte) {
	s.t.Helper()
	_, err := at.w.Put(s.t.Context(), storage.PutRequest{
		Key: key, Body: bytes.NewReader(data), Size: int64(len(data)), Attrs: storage.Attrs{ContentType: contentType},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// keys are the keys of the bucket outside of the folder oms/.
func (s *stage) keys(at side) (keys []string) {
	s.t.Helper()
	for after := ""; ; {
		page, err := at.w.List(s.t.Context(), storage.ListOptions{After: after})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range page.Objects {
			after = o.Key
			if !strings.HasPrefix(o.Key, "oms/") {
				keys = append(keys, o.Key)
			}
		}
		if !page.Truncated {
			break
		}
	}
	slices.Sort(keys)
	return keys
}

// serveCDN sends objects of the source to anybody.
func (s *stage) serveCDN(rw http.ResponseWriter, r *http.Request) {
	o, err := s.src.w.Stat(r.Context(), strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.NotFound(rw, r)
		return
	}
	c, err := s.src.w.Open(r.Context(), o.Key, storage.OpenOptions{Size: o.Size})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer c.Body.Close()
	data, err := io.ReadAll(c.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	rw.Header().Set("ETag", `"`+strings.Trim(o.ETag, `"`)+`"`)
	http.ServeContent(rw, r, o.Key, o.ModTime, bytes.NewReader(data))
}

// mustShow compares every field of an answer of the SDK with the JSON text want. Strings there that begin with ~ stand
// for values that differ from run to run: ~number is one above 0, ~count one from 0 on, ~now an instant in Unix
// milliseconds within the last hour, ~uuid a UUID, ~text a text that is not empty.
func (s *stage) mustShow(answer any, want string) {
	s.t.Helper()
	text, err := json.Marshal(answer)
	if err != nil {
		s.t.Fatal(err)
	}
	var got, expected any
	if err := json.Unmarshal(text, &got); err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		s.t.Fatalf("%v in %s", err, want)
	}
	for _, d := range differences("", got, expected) {
		s.t.Errorf("%T: %s", answer, d)
	}
}

// differences compares two decoded JSON values.
func differences(path string, got, want any) []string {
	wanted, isText := want.(string)
	if isText && strings.HasPrefix(wanted, "~") {
		if !stands(wanted, got) {
			return []string{fmt.Sprintf("%s = %v, want a %s", path, got, wanted[1:])}
		}
		return nil
	}
	var list []string
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s = %v, want an object", path, got)}
		}
		for name := range members {
			if _, ok := want[name]; !ok {
				list = append(list, fmt.Sprintf("%s.%s = %v is not expected", path, name, members[name]))
			}
		}
		for name, w := range want {
			g, ok := members[name]
			if !ok {
				list = append(list, fmt.Sprintf("%s.%s is missing, want %v", path, name, w))
				continue
			}
			list = append(list, differences(path+"."+name, g, w)...)
		}
	case []any:
		elements, ok := got.([]any)
		if !ok || len(elements) != len(want) {
			return []string{fmt.Sprintf("%s = %v, want %v", path, got, want)}
		}
		for i := range want {
			list = append(list, differences(fmt.Sprintf("%s[%d]", path, i), elements[i], want[i])...)
		}
	default:
		if got != want {
			list = append(list, fmt.Sprintf("%s = %v, want %v", path, got, want))
		}
	}
	return list
}

// stands reports whether a value may be in the place of a placeholder.
func stands(placeholder string, v any) bool {
	n, isNumber := v.(float64)
	text, isText := v.(string)
	switch placeholder {
	case "~number":
		return isNumber && n > 0 && n == float64(int64(n))
	case "~count":
		return isNumber && n >= 0 && n == float64(int64(n))
	case "~now":
		age := time.Since(time.UnixMilli(int64(n)))
		return isNumber && age > -time.Minute && age < time.Hour
	case "~uuid":
		return isText && len(text) == 36 && strings.Count(text, "-") == 4 && text == strings.ToLower(text)
	case "~text":
		return isText && text != ""
	}
	return false
}
