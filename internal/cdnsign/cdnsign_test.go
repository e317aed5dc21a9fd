package cdnsign

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// at returns the instant of a published example, in the zone that it is printed in.
func at(t *testing.T, layout, text string) time.Time {
	t.Helper()
	when, err := time.ParseInLocation(layout, text, chinaTime())
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// The check values that the vendors publish in their manuals on URL signing. Tencent's are those of its CDN (D) and of
// EdgeOne (B, C), which share the schemes.
func TestPublishedValues(t *testing.T) {
	const (
		aliyunKey  = "aliyuncdnexp1234"
		tencentKey = "dimtm5evg50ijsx2hvuwyfoiu65"
		edgeKey    = "DvYmqE81E1F9R791H6lmht"
	)
	tests := []struct {
		name string
		req  Request
		want Target
	}{
		{
			"none",
			Request{Method: None, Path: "/a%20b"},
			Target{Path: "/a%20b"},
		},
		{
			"Alibaba Cloud A",
			Request{Method: AliyunA, Path: "/video/standard/test.mp4", Key: oms.NewSecret(aliyunKey), At: time.Unix(1444435200, 0), Nonce: "0"},
			Target{Path: "/video/standard/test.mp4", Query: "auth_key=1444435200-0-0-23bf85053008f5c0e791667a313e28ce"},
		},
		{
			"Alibaba Cloud A, another",
			Request{Method: AliyunA, Path: "/video/standard/1K.html", Key: oms.NewSecret(aliyunKey), At: time.Unix(1444435200, 0), Nonce: "0"},
			Target{Path: "/video/standard/1K.html", Query: "auth_key=1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f"},
		},
		{
			"Alibaba Cloud B",
			Request{
				Method: AliyunB, Path: "/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3", Key: oms.NewSecret(aliyunKey),
				At: at(t, "2006-01-02 15:04", "2015-08-15 08:00"),
			},
			Target{Path: "/201508150800/9044548ef1527deadafa49a890a377f0/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3"},
		},
		{
			"Tencent Cloud B",
			Request{Method: TencentB, Path: "/foo.jpg", Key: oms.NewSecret(edgeKey), At: at(t, time.DateTime, "2024-07-15 15:33:50")},
			Target{Path: "/202407151533/d1f0b51c6894231fc12e054fcc7f0b3e/foo.jpg"},
		},
		{
			"Tencent Cloud C",
			Request{Method: TencentC, Path: "/foo.jpg", Key: oms.NewSecret(edgeKey), At: at(t, time.DateTime, "2024-07-15 15:43:06")},
			Target{Path: "/6688749e8906a726c12fe1be3aacd016/6694d30a/foo.jpg"},
		},
		{
			"Tencent Cloud D",
			Request{Method: TencentD, Path: "/test.jpg", Key: oms.NewSecret(tencentKey), At: at(t, time.DateTime, "2020-02-27 16:10:32")},
			Target{Path: "/test.jpg", Query: "sign=900a5049aa8ac1ab144527d9c2be4cea&t=1582791032"},
		},
		{
			"Qiniu",
			Request{
				Method: Qiniu, Scheme: "http", Host: "78re52.com1.z0.glb.clouddn.com", Path: "/resource/flower.jpg",
				Source: oms.Credentials{AccessKey: "MY_ACCESS_KEY", SecretKey: oms.NewSecret("MY_SECRET_KEY")},
				At:     time.Unix(1451491200, 0).Add(-validity),
			},
			Target{Path: "/resource/flower.jpg", Query: "e=1451491200&token=MY_ACCESS_KEY:438dd8pXocjYuF-6dTcKMtETB2g="},
		},
		{ // the scheme is that of the REST API of Amazon S3 with other parameter names; so is the example
			"Kingsoft Cloud",
			Request{
				Method: Kingsoft, Path: "/photos/puppy.jpg", Bucket: "johnsmith",
				Source: oms.Credentials{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: oms.NewSecret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")},
				At:     time.Unix(1175139620, 0).Add(-validity),
			},
			Target{Path: "/photos/puppy.jpg", Query: "KSSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"},
		},
		{
			"Azure",
			Request{Method: Azure, Path: "/c/a.txt", Key: oms.NewSecret("?sv=2022-11-02&sp=r&sig=a%2Bb%3D")},
			Target{Path: "/c/a.txt", Query: "sv=2022-11-02&sp=r&sig=a%2Bb%3D"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Sign(tt.req)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

// Alibaba Cloud prints the time of its example of type C in upper case; we write lower case.
func TestPublishedValueOfAliyunC(t *testing.T) {
	if got := md5Hex("aliyuncdnexp1234" + "/test.flv" + "55CE8100"); got != "a37fa50a5fb8f71214b1e7c95ec7a1bd" {
		t.Errorf("got %s", got)
	}
	got, err := Sign(Request{Method: AliyunC, Path: "/test.flv", Key: oms.NewSecret("aliyuncdnexp1234"), At: time.Unix(0x55CE8100, 0)})
	want := "/" + md5Hex("aliyuncdnexp1234/test.flv55ce8100") + "/55ce8100/test.flv"
	if err != nil || got.Path != want || got.Query != "" {
		t.Errorf("got %+v, %v, want %s", got, err, want)
	}
}

// The types A differ in the name of the parameter only.
func TestTencentA(t *testing.T) {
	r := Request{Method: AliyunA, Path: "/a/b", Key: oms.NewSecret("k"), At: time.Unix(1582791032, 0), Nonce: "im1acp76sx9sdqe601v"}
	aliyun, err := Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Method = TencentA
	tencent, err := Sign(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Replace(aliyun.Query, "auth_key=", "sign=", 1) != tencent.Query || aliyun.Path != tencent.Path {
		t.Errorf("got %+v and %+v", aliyun, tencent)
	}
	if want := "sign=1582791032-im1acp76sx9sdqe601v-0-" + md5Hex("/a/b-1582791032-im1acp76sx9sdqe601v-0-k"); tencent.Query != want {
		t.Errorf("got %s, want %s", tencent.Query, want)
	}
}

func TestMethods(t *testing.T) {
	if n := len(Methods()); n != 11 {
		t.Errorf("%d methods, want 11", n)
	}
	keyless := 0
	for _, m := range Methods() {
		if !m.Valid() {
			t.Errorf("%s is not valid", m)
		}
		if !m.NeedsKey() {
			keyless++
		}
	}
	if keyless != 3 || Method("").Valid() || Method("none").Valid() {
		t.Errorf("%d types without a key; want 3", keyless)
	}
}

func TestRefusals(t *testing.T) {
	const secret = "a secret # that is no query"
	for name, r := range map[string]Request{
		"unknown":        {Method: "HMAC", Path: "/", Key: oms.NewSecret(secret)},
		"no method":      {Path: "/", Key: oms.NewSecret(secret)},
		"no SAS token":   {Method: Azure, Path: "/"},
		"only ?":         {Method: Azure, Path: "/", Key: oms.NewSecret("?")},
		"blank in SAS":   {Method: Azure, Path: "/", Key: oms.NewSecret(secret)},
		"newline in SAS": {Method: Azure, Path: "/", Key: oms.NewSecret("sig=1\r\nHost: x")},
		"bad escape":     {Method: Azure, Path: "/", Key: oms.NewSecret("sig=%zz")},
	} {
		got, err := Sign(r)
		if oms.KindOf(err) != oms.Invalid || got != (Target{}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		} else if strings.Contains(err.Error(), r.Key.Reveal()) && !r.Key.IsZero() && r.Key.Reveal() != "?" {
			t.Errorf("%s: the key is shown: %v", name, err)
		}
	}
}

// Whatever is signed, the target is one that a URL can be made of, with the object's path at its end.
func FuzzSign(f *testing.F) {
	f.Add("/a", "key", "AK", int64(0), uint8(0))
	f.Add("/%E4%B8%AD/..//x", "?sv=1&sig=%2B", "A K&", int64(1<<40), uint8(6))
	f.Fuzz(func(t *testing.T, path, key, ak string, sec int64, which uint8) {
		u, err := url.Parse("https://cdn.example.org/" + url.PathEscape(path))
		if err != nil {
			t.Skip()
		}
		methods := Methods()
		r := Request{
			Method: methods[int(which)%len(methods)], Scheme: "https", Host: "cdn.example.org", Path: u.EscapedPath(), Bucket: "b",
			Key: oms.NewSecret(key), Source: oms.Credentials{AccessKey: ak, SecretKey: oms.NewSecret(key)}, At: time.Unix(sec%(1<<37), 0), Nonce: "n",
		}
		got, err := Sign(r)
		if err != nil {
			if r.Method != Azure {
				t.Fatal(err)
			}
			return
		}
		text := "https://cdn.example.org" + got.Path
		if got.Query != "" {
			text += "?" + got.Query
		}
		signed, err := url.Parse(text)
		if err != nil || signed.Host != "cdn.example.org" || !strings.HasSuffix(signed.EscapedPath(), r.Path) || signed.RawQuery != got.Query {
			t.Errorf("%s: %q is no URL: %v", r.Method, text, err)
		}
	})
}
