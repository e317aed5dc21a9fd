package s3_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/testcloud"
)

const (
	cloudAK = "AKTESTCLOUD"
	cloudSK = "secret of the test cloud"
)

// fake is a running testcloud.
type fake struct {
	*testcloud.Cloud
	url string
	n   atomic.Int64
}

func startFake(tb testing.TB, p testcloud.Profile) *fake {
	tb.Helper()
	c := testcloud.New(testcloud.Options{AccessKey: cloudAK, SecretKey: cloudSK, Profile: p, Region: "eu-test-1"})
	url, stop, err := c.Start(tb.Context(), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	return &fake{Cloud: c, url: url}
}

// bucket names a bucket of the fake for an opener.
func (f *fake) bucket(cloud oms.CloudType, name string) storage.Bucket {
	return storage.Bucket{
		CloudType:   cloud,
		Endpoint:    oms.Endpoint{URL: f.url, Region: f.Region(), PathStyle: true, Trusted: true},
		Name:        name,
		Credentials: keys(cloudAK, cloudSK),
	}
}

// fresh opens a new bucket.
func (f *fake) fresh(tb testing.TB, o *s3.Opener, cloud oms.CloudType) (*s3.Bucket, *testcloud.Bucket) {
	tb.Helper()
	name := "bucket-" + strconv.FormatInt(f.n.Add(1), 10)
	inside := f.CreateBucket(name)
	return open(tb, o, f.bucket(cloud, name)), inside
}

// TestClouds runs the suite against the personalities of clouds.
func TestClouds(t *testing.T) { onBoth(t, testClouds) }

func testClouds(t *testing.T, newOpener func(testing.TB) *s3.Opener) {
	profile := func(p testcloud.Profile, change func(*testcloud.Profile)) testcloud.Profile {
		p.MinPartSize = 64 << 10 // so that the suite need not send megabytes
		change(&p)
		return p
	}
	same := func(*testcloud.Profile) {}
	for _, test := range []struct {
		name  string
		cloud oms.CloudType
		p     testcloud.Profile
		more  []storagetest.Ability
	}{
		{"AWS", oms.CloudAWS, profile(testcloud.AWS(), same), []storagetest.Ability{storagetest.ChecksumEnforced}},
		{"HuaweiCloud", oms.CloudHuawei, profile(testcloud.OBS(), same), nil},
		{"HEC", oms.CloudHEC, profile(testcloud.OBS(), same), nil},
		{"Aliyun", oms.CloudAliyun, profile(testcloud.OSS(), func(p *testcloud.Profile) { p.VirtualHostOnly = false }), nil},
		{"Tencent", oms.CloudTencent, profile(testcloud.V1Only(), same), nil},
		{"UCloud", oms.CloudUCloud, profile(testcloud.OpaqueETag(), same), nil},
		{"Kingsoft", oms.CloudKingsoft, profile(testcloud.V1Only(), same), nil},
		{"Clone", oms.CloudAWS, profile(testcloud.Clone(), same), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, o := startFake(t, test.p), newOpener(t)
			names := map[storage.Writer]string{}
			abilities := append([]storagetest.Ability{
				storagetest.Multipart, storagetest.BucketList, storagetest.Metadata, storagetest.MD5Enforced,
				storagetest.Copy(func(w storage.Writer) string { return names[w] }),
				storagetest.MissingBucket(func(t *testing.T) storage.Writer {
					return open(t, o, f.bucket(test.cloud, "no-such-bucket"))
				}),
				storagetest.WrongKeys(func(t *testing.T) storage.Writer {
					f.CreateBucket("private")
					b := f.bucket(test.cloud, "private")
					b.Credentials = keys(cloudAK, "another secret")
					return open(t, o, b)
				}),
			}, test.more...)
			storagetest.Run(t, func(t *testing.T) storage.Writer {
				b, inside := f.fresh(t, o, test.cloud)
				names[b] = inside.Name()
				return b
			}, abilities...)
		})
	}
}
