package inquiry

import (
	"context"
	"fmt"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// CheckCDN asks the CDN host for objects of the bucket and compares them with the bucket (OMS v2, 4.33). A key that is
// empty, ends in "/" or is no object stands for the first object below it; without keys the first object of the
// bucket is tried and not listed. Trouble with the bucket is OMS.1014 or OMS.0153, trouble with the host the answer.
func (s *Service) CheckCDN(ctx context.Context, q oms.BucketQuery, host oms.CDN, keys []string) (oms.CDNReport, error) {
	ctx, cancel := context.WithTimeout(ctx, longPatience)
	defer cancel()
	prober, err := s.behind(ctx, q, host)
	if err != nil {
		return oms.CDNReport{}, s.refuse(ctx, "open CDN host", err, cdnCode(err))
	}
	asked := keys
	if len(asked) == 0 {
		asked = []string{""}
	}
	probes := make([]storage.CDNProbe, len(asked))
	errs := each(ctx, len(asked), func(ctx context.Context, i int) (err error) {
		probes[i], err = probe(ctx, prober, asked[i])
		return err
	})
	for _, err := range errs {
		if err != nil {
			return oms.CDNReport{}, s.refuse(ctx, "check CDN host", err, bucketCode(err))
		}
	}
	return s.report(ctx, host, keys, probes), nil
}

// cdnReader is a bucket behind a CDN host.
type cdnReader interface {
	storage.Reader
	storage.CDNProber
}

// behind opens the bucket behind the host.
func (s *Service) behind(ctx context.Context, q oms.BucketQuery, host oms.CDN) (cdnReader, error) {
	b, err := s.opener.Open(ctx, storage.Bucket{
		CloudType: q.CloudType, Endpoint: q.Endpoint, Name: q.StoreBucket(), Credentials: q.Credentials,
		CDN: &storage.CDN{CDN: host, Key: q.Credentials.CDNKey},
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket behind CDN host: %w", err)
	}
	r, ok := b.(cdnReader)
	if !ok {
		return nil, oms.Errorf(oms.Unsupported, "", "objects cannot be read through a CDN host")
	}
	return r, nil
}

// cdnCode is the code for a host that cannot be asked at all.
func cdnCode(err error) string {
	if oms.KindOf(err) == oms.Invalid {
		return "OMS.0081"
	}
	return bucketCode(err)
}

// probe tries the object that key stands for.
func probe(ctx context.Context, r cdnReader, key string) (storage.CDNProbe, error) {
	if key != "" && !strings.HasSuffix(key, "/") {
		p, err := r.ProbeCDN(ctx, key)
		if err != nil || p.InBucket {
			return p, err
		}
	}
	first, found, err := firstObject(ctx, r, key)
	if err != nil {
		return storage.CDNProbe{}, err
	}
	if !found {
		first = key // nothing is there; the probe says what else is known of the host
	}
	if first == "" {
		first = "openoms-probe" // the bucket is empty
	}
	return r.ProbeCDN(ctx, first)
}

// report sums up the probes.
func (s *Service) report(ctx context.Context, host oms.CDN, keys []string, probes []storage.CDNProbe) oms.CDNReport {
	var rep oms.CDNReport
	inBucket, served := 0, 0
	for i, p := range probes {
		rep.SameCloud = rep.SameCloud || p.SameVendor
		if p.InBucket {
			inBucket++
		}
		if p.Served {
			served++
		} else if p.Refusal != nil {
			s.log.InfoContext(ctx, "a CDN host does not serve an object", "host", oms.Clean(host.Domain), "err", p.Refusal)
		}
		if i < len(keys) {
			rep.Keys = append(rep.Keys, oms.CDNKeyReport{Key: keys[i], Exists: p.InBucket && reached(p), ETagMatches: p.ETagMatches})
		}
	}
	rep.Available = inBucket > 0 && served == inBucket
	return rep
}

// reached reports whether the host has the object, in whatever version.
func reached(p storage.CDNProbe) bool {
	return p.Served || p.ETagMatches || oms.KindOf(p.Refusal) == oms.Changed
}
