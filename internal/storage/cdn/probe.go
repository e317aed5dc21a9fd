package cdn

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// ProbeCDN implements storage.CDNProber. It asks for the object and does not read its body. Only trouble with the
// bucket is an error: what the host does is the answer.
func (r *Reader) ProbeCDN(ctx context.Context, key string) (storage.CDNProbe, error) {
	p := storage.CDNProbe{SameVendor: vendorHost(r.cloud, r.host)}
	o, err := r.origin.Stat(ctx, key)
	if oms.KindOf(err) == oms.NotFound {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.InBucket = true
	resp, err := r.get(ctx, key, nil)
	if err != nil {
		p.Refusal = err
		return p, ctx.Err()
	}
	_ = resp.Body.Close() // the head of the answer tells all
	p.SameVendor = p.SameVendor || vendorHeader(r.cloud, resp.Header)
	if _, err := check(o, resp, nil); err != nil {
		p.Refusal = err
	} else {
		p.Served = true
	}
	p.ETagMatches = matches(o, resp)
	return p, nil
}

// matches compares the entity tags; where the host sends none, size and time stand in.
func matches(o storage.Object, resp *http.Response) bool {
	tag := strings.Trim(strings.TrimPrefix(resp.Header.Get("Etag"), "W/"), `"`)
	if tag != "" && o.ETag != "" {
		return strings.EqualFold(tag, o.ETag)
	}
	return resp.ContentLength == o.Size && sameVersion(o, resp.Header) == nil
}

// marks are by what a vendor's hosts are known: names that only the vendor gives out, and headers that its store or
// its CDN adds.
type marks struct {
	domains []string // suffixes
	headers []string // prefixes, in canonical form
	servers []string // parts of the Server or Via header, in lower case
}

// marksOf returns the marks of a vendor.
func marksOf(cloud oms.CloudType) marks {
	switch cloud {
	case oms.CloudAWS:
		return marks{[]string{".cloudfront.net", ".amazonaws.com", ".amazonaws.com.cn"}, []string{"X-Amz-"}, []string{"amazons3", "cloudfront"}}
	case oms.CloudAliyun:
		return marks{
			[]string{".aliyuncs.com", ".kunlunca.com", ".kunlunsl.com", ".kunlunaq.com", ".alikunlun.com", ".alicdn.com"},
			[]string{"X-Oss-", "Ali-Swift-", "Eagleid"},
			[]string{"aliyunoss", "kunlun"},
		}
	case oms.CloudTencent:
		return marks{
			[]string{".myqcloud.com", ".tencentcos.cn", ".cdntip.com", ".dnsv1.com", ".tdnsv5.com", ".qcloud.com"},
			[]string{"X-Cos-", "X-Nws-Log-Uuid"},
			[]string{"tencent-cos", "nws"},
		}
	case oms.CloudHuawei, oms.CloudHEC:
		return marks{
			[]string{".myhuaweicloud.com", ".myhuaweicloud.eu", ".cdnhwc1.com", ".cdnhwc2.com", ".cdnhwc3.com", ".hwcdn.net"},
			[]string{"X-Obs-", "X-Hcs-Proxy-Type"},
			[]string{"huaweicloud"},
		}
	case oms.CloudQing:
		return marks{[]string{".qingstor.com", ".qsstor.com"}, []string{"X-Qs-"}, []string{"qingstor"}}
	case oms.CloudKingsoft:
		return marks{[]string{".ksyuncs.com", ".ksyun.com", ".ksyuncdn.com", ".ks-cdn.com"}, []string{"X-Kss-"}, []string{"ks3"}}
	case oms.CloudBaidu:
		return marks{[]string{".bcebos.com", ".jomodns.com", ".bdydns.com"}, []string{"X-Bce-"}, []string{"bcebos"}}
	case oms.CloudQiniu:
		return marks{
			[]string{".qiniucs.com", ".qiniucdn.com", ".qbox.me", ".clouddn.com", ".qiniudns.com", ".qiniudn.com"},
			[]string{"X-Qnm-Cache", "X-Qiniu-", "X-M-Log"},
			[]string{"qiniu"},
		}
	case oms.CloudUCloud:
		return marks{[]string{".ufileos.com", ".ucloud.cn", ".ucloud.com.cn", ".ucloudgda.com"}, []string{"X-Ufile-", "X-Ucloud-"}, []string{"ufile"}}
	case oms.CloudAzure:
		return marks{[]string{".azureedge.net", ".azurefd.net", ".windows.net", ".chinacloudapi.cn", ".azure.net"}, []string{"X-Ms-"}, []string{"windows-azure-blob"}}
	case oms.CloudGoogle:
		return marks{[]string{".googleapis.com", ".googleusercontent.com"}, []string{"X-Goog-", "X-Guploader-"}, []string{"uploadserver", "google"}}
	case oms.CloudURL:
	}
	return marks{}
}

// vendorHost reports whether only the vendor gives out such a name.
func vendorHost(cloud oms.CloudType, host string) bool {
	name, _, _ := strings.Cut(host, ":")
	return slices.ContainsFunc(marksOf(cloud).domains, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// vendorHeader reports whether the vendor's store or CDN had a hand in an answer.
func vendorHeader(cloud oms.CloudType, hdr http.Header) bool {
	m := marksOf(cloud)
	for name := range hdr {
		if slices.ContainsFunc(m.headers, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			return true
		}
	}
	by := strings.ToLower(hdr.Get("Server") + " " + hdr.Get("Via"))
	return slices.ContainsFunc(m.servers, func(part string) bool { return strings.Contains(by, part) })
}
