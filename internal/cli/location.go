package cli

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
)

// location is a bucket and prefix as written on the command line:
//
//	SCHEME://BUCKET[/PREFIX][?region=ID&endpoint=URL&profile=NAME&path_style=true]
//	az://ACCOUNT/CONTAINER[/PREFIX][?endpoint=URL]
//
// The prefix is percent-decoded once and otherwise opaque.
type location struct {
	vendor    vendor
	account   string // of Azure; "" for other clouds
	bucket    string
	prefix    string
	region    string // as given; "" when not
	endpoint  string // normalised; "" when not given
	profile   string
	pathStyle bool
}

// vendor is an ecosystem: how its locations are written and where its users keep their keys.
type vendor struct {
	scheme string
	cloud  oms.CloudType
	// Environment variables of the ecosystem's own tools, most specific first.
	keys    []keyVariables
	regions []string
	// fixed is the region of stores that have one host for all regions.
	fixed string
}

// keyVariables name the environment variables that hold one set of keys.
type keyVariables struct{ ak, sk, token string }

// vendors returns the ecosystems that a location may belong to.
func vendors() []vendor {
	return []vendor{
		{
			scheme: "s3", cloud: oms.CloudAWS,
			keys:    []keyVariables{{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}},
			regions: []string{"AWS_REGION", "AWS_DEFAULT_REGION"},
		},
		{
			scheme: "obs", cloud: oms.CloudHuawei,
			keys: []keyVariables{
				{"OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", "OBS_SECURITY_TOKEN"},
				{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN"},
			},
			regions: []string{"OBS_REGION", "HW_REGION_NAME"},
		},
		{
			scheme: "oss", cloud: oms.CloudAliyun,
			keys: []keyVariables{
				{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"},
				{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"},
			},
			regions: []string{"OSS_REGION", "ALIBABA_CLOUD_REGION_ID"},
		},
		{
			scheme: "cos", cloud: oms.CloudTencent,
			keys: []keyVariables{
				{"COS_SECRET_ID", "COS_SECRET_KEY", "COS_SESSION_TOKEN"},
				{"TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SESSION_TOKEN"},
			},
			regions: []string{"COS_REGION", "TENCENTCLOUD_REGION"},
		},
		{
			scheme: "bos", cloud: oms.CloudBaidu,
			keys:    []keyVariables{{"BCE_ACCESS_KEY_ID", "BCE_SECRET_ACCESS_KEY", "BCE_SESSION_TOKEN"}},
			regions: []string{"BCE_REGION"},
		},
		{
			scheme: "kodo", cloud: oms.CloudQiniu,
			keys:    []keyVariables{{"QINIU_ACCESS_KEY", "QINIU_SECRET_KEY", ""}},
			regions: []string{"QINIU_REGION"},
		},
		{
			scheme: "ks3", cloud: oms.CloudKingsoft,
			keys:    []keyVariables{{"KS3_ACCESS_KEY_ID", "KS3_ACCESS_KEY_SECRET", "KS3_SESSION_TOKEN"}},
			regions: []string{"KS3_REGION"},
		},
		{
			scheme: "qingstor", cloud: oms.CloudQing,
			keys:    []keyVariables{{"QINGSTOR_ACCESS_KEY_ID", "QINGSTOR_SECRET_ACCESS_KEY", ""}},
			regions: []string{"QINGSTOR_ZONE"},
		},
		{
			scheme: "us3", cloud: oms.CloudUCloud,
			keys:    []keyVariables{{"UCLOUD_PUBLIC_KEY", "UCLOUD_PRIVATE_KEY", ""}},
			regions: []string{"UCLOUD_REGION"},
		},
		{
			scheme: "gs", cloud: oms.CloudGoogle,
			keys:  []keyVariables{{"GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY", ""}},
			fixed: "us",
		},
		{
			scheme: "az", cloud: oms.CloudAzure,
			keys:  []keyVariables{{"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", ""}},
			fixed: "eastus",
		},
	}
}

// vendorOf returns the ecosystem of a cloud type.
func vendorOf(cloud oms.CloudType) (vendor, bool) {
	if cloud == "" || cloud == oms.CloudHEC {
		cloud = oms.CloudHuawei
	}
	for _, v := range vendors() {
		if v.cloud == cloud {
			return v, true
		}
	}
	return vendor{}, false
}

// parseLocation reads a location. Every error is a mistake of the user.
func parseLocation(text string) (location, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, _, _ = strings.Cut(text, ":")
		if scheme != "urls" {
			return location{}, usageErrorf("%q is not a location such as s3://bucket/prefix", oms.Clean(text))
		}
	}
	v, err := vendorByScheme(scheme)
	if err != nil {
		return location{}, err
	}
	path, query, _ := strings.Cut(rest, "?")
	bucket, prefix, _ := strings.Cut(path, "/")
	l := location{vendor: v, bucket: bucket}
	if v.cloud == oms.CloudAzure {
		l.account = bucket
		bucket, prefix, _ = strings.Cut(prefix, "/")
		l.bucket = bucket
		if l.account == "" || bucket == "" || strings.ContainsAny(l.account, "%@: ") {
			return location{}, usageErrorf("%q is not of the form az://account/container/prefix", oms.Clean(text))
		}
	}
	if bucket == "" || strings.ContainsAny(bucket, "%@: ") {
		return location{}, usageErrorf("%q names no bucket; a location is %s://bucket/prefix", oms.Clean(text), scheme)
	}
	if l.prefix, err = url.PathUnescape(prefix); err != nil {
		return location{}, usageErrorf("%q: the prefix has a %% that starts no escape; write it as %%25", oms.Clean(text))
	}
	if err := l.readQuery(query); err != nil {
		return location{}, err
	}
	return l, nil
}

// vendorByScheme returns the ecosystem of a scheme.
func vendorByScheme(scheme string) (vendor, error) {
	known := make([]string, 0, len(vendors()))
	for _, v := range vendors() {
		if v.scheme == scheme {
			return v, nil
		}
		known = append(known, v.scheme)
	}
	switch scheme {
	case "urls":
		return vendor{}, usageErrorf("urls:FILE can only be the source of oms migrate")
	case "file":
		return vendor{}, usageErrorf("%s: locations are not supported in this version; supported are %s", scheme, strings.Join(known, ", "))
	}
	return vendor{}, usageErrorf("unknown kind of location %q; supported are %s", oms.Clean(scheme), strings.Join(known, ", "))
}

// readQuery reads the parameters of a location.
func (l *location) readQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return usageErrorf("the parameters after ? cannot be read; write them as name=value&name=value")
	}
	for name, list := range values {
		value := list[len(list)-1]
		switch name {
		case "region":
			l.region = value
		case "profile":
			l.profile = value
		case "endpoint":
			if l.endpoint, err = region.CheckURL(value); err != nil {
				return usageError(err)
			}
		case "path_style":
			if l.pathStyle, err = strconv.ParseBool(value); err != nil {
				return usageErrorf("path_style is true or false, not %q", oms.Clean(value))
			}
		default:
			return usageErrorf("unknown parameter %q; known are region, endpoint, profile and path_style", oms.Clean(name))
		}
	}
	return nil
}

// String returns the location without its parameters.
func (l location) String() string {
	s := l.vendor.scheme + "://"
	if l.account != "" {
		s += l.account + "/"
	}
	s += l.bucket
	if l.prefix != "" {
		s += "/" + (&url.URL{Path: l.prefix}).EscapedPath()
	}
	return s
}

// path returns the bucket, behind the account where there is one.
func (l location) path() string {
	if l.account != "" {
		return l.account + "/" + l.bucket
	}
	return l.bucket
}

// regionID returns the region: as given, from the ecosystem's environment or profile, or the only one.
func (l location) regionID(env *Env) (string, error) {
	if l.region != "" {
		return l.region, nil
	}
	for _, name := range l.vendor.regions {
		if v := env.Getenv(name); v != "" {
			return v, nil
		}
	}
	if l.vendor.fixed != "" {
		return l.vendor.fixed, nil
	}
	if l.vendor.cloud == oms.CloudAWS || l.profile != "" {
		return l.profileRegion(env)
	}
	return "", nil
}

// resolve returns where the bucket is reached. What a person types on the own command line is trusted.
func (l location) resolve(env *Env, table *region.Table) (oms.Endpoint, error) {
	id, err := l.regionID(env)
	if err != nil {
		return oms.Endpoint{}, err
	}
	if l.endpoint != "" {
		if id == "" {
			id = "us-east-1"
		}
		return oms.Endpoint{
			URL: l.endpoint, Region: id, PathStyle: l.pathStyle || region.BareHost(l.endpoint), Trusted: true,
		}, nil
	}
	if id == "" {
		return oms.Endpoint{}, usageErrorf("%s: no region; add ?region=ID, or ?endpoint=URL", l)
	}
	endpoint, ok := table.Resolve(l.vendor.cloud, id)
	if !ok {
		return oms.Endpoint{}, usageErrorf("%s: unknown region %q; add ?endpoint=URL", l, oms.Clean(id))
	}
	endpoint.PathStyle = endpoint.PathStyle || l.pathStyle
	endpoint.Trusted = true
	return endpoint, nil
}
