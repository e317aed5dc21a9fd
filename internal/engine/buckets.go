package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// checkPatience bounds the check of both buckets when a task is created.
const checkPatience = 10 * time.Second

// buckets are the open ends of a task.
type buckets struct {
	src storage.Reader
	dst destination
	// lists is the bucket with the task's list files, nil for tasks without.
	lists storage.Reader
}

// destination is what a task needs to write.
type destination interface {
	storage.Writer
	storage.Multiparter
}

// openSource opens the source bucket of the task, behind its CDN host if it names one.
func (e *Engine) openSource(ctx context.Context, spec oms.TaskSpec, keys oms.Credentials) (storage.Reader, error) {
	b := storage.Bucket{
		CloudType: spec.Src.CloudType, Endpoint: spec.Src.Endpoint, Name: sourceBucket(spec.Src), Credentials: keys,
		RequesterPays: spec.RequesterPays, FileSystem: spec.Src.FileSystem,
	}
	if spec.CDN != nil {
		b.CDN = &storage.CDN{CDN: *spec.CDN, Key: keys.CDNKey}
	}
	src, err := e.opts.Opener.Open(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("open source bucket: %w", err)
	}
	return src, nil
}

// openDestination opens the destination bucket of the task.
func (e *Engine) openDestination(ctx context.Context, spec oms.TaskSpec, keys oms.Credentials) (destination, error) {
	cloud := spec.Dst.CloudType
	if cloud == "" {
		cloud = oms.CloudHEC
	}
	b, err := e.opts.Opener.Open(ctx, storage.Bucket{
		CloudType: cloud, Endpoint: spec.Dst.Endpoint, Name: spec.Dst.Bucket, Credentials: keys, FileSystem: spec.Dst.FileSystem,
	})
	if err != nil {
		return nil, fmt.Errorf("open destination bucket: %w", err)
	}
	dst, ok := b.(destination)
	if !ok {
		return nil, oms.Errorf(oms.Unsupported, "", "the destination cannot be written in parts")
	}
	return dst, nil
}

// sourceBucket returns the name that the store knows the bucket by: Tencent COS puts the APPID behind it.
func sourceBucket(n oms.SourceNode) string {
	if n.CloudType == oms.CloudTencent && n.AppID != "" && !strings.HasSuffix(n.Bucket, "-"+n.AppID) {
		return n.Bucket + "-" + n.AppID
	}
	return n.Bucket
}

// checkBuckets returns nil when both buckets can be reached with the keys: OMS.1014 for the source, OMS.0081 for its
// CDN host, OMS.1020 for the destination.
func (e *Engine) checkBuckets(ctx context.Context, spec oms.TaskSpec, keys oms.TaskCredentials) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	var srcErr, dstErr error
	var both sync.WaitGroup
	both.Go(func() {
		src, err := e.openSource(ctx, spec, keys.Src)
		var first storage.Page
		if err == nil {
			first, err = src.List(ctx, storage.ListOptions{Prefix: firstSelected(spec), Limit: 1})
		}
		srcErr = unreachable(err, "OMS.1014", "source")
		if err == nil {
			srcErr = checkCDN(ctx, src, first)
		}
	})
	both.Go(func() {
		dst, err := e.openDestination(ctx, spec, keys.Dst)
		if err == nil {
			err = checkDestination(ctx, dst)
		}
		if dstErr = unreachable(err, "OMS.1020", "destination"); dstErr == nil {
			dstErr = e.checkListBucket(ctx, spec, keys.Dst)
		}
	})
	both.Wait()
	if srcErr != nil {
		return srcErr
	}
	return dstErr
}

// checkCDN returns nil when the CDN host of the source, if there is one, serves the first object (OMS.0081). Without
// an object nothing can be said about the host. An archived object cannot be read in any case.
func checkCDN(ctx context.Context, src storage.Reader, first storage.Page) error {
	prober, ok := src.(storage.CDNProber)
	if !ok || len(first.Objects) == 0 {
		return nil
	}
	probe, err := prober.ProbeCDN(ctx, first.Objects[0].Key)
	if err != nil {
		return unreachable(err, "OMS.1014", "source")
	}
	if probe.Served || !probe.InBucket || oms.KindOf(probe.Refusal) == oms.Archived {
		return nil
	}
	return &oms.Error{
		Op: "check CDN host", Kind: oms.Invalid, Code: "OMS.0081", Err: probe.Refusal,
		Msg: "the CDN host does not serve the objects of the source bucket: check domain, authentication type and key",
	}
}

// checkCDNKey refuses to start a task without the key that its CDN host needs (OMS.1032): keys are not kept.
func checkCDNKey(spec oms.TaskSpec, keys oms.TaskCredentials) error {
	if spec.CDN != nil && cdnsign.Method(spec.CDN.AuthenticationType).NeedsKey() && keys.Src.CDNKey.IsZero() {
		return oms.Errorf(oms.Invalid, "OMS.1032", "the CDN host of the task needs its key: give source_cdn_authentication_key")
	}
	return nil
}

// firstSelected is a prefix that the source keys must be able to list.
func firstSelected(spec oms.TaskSpec) string {
	prefixes, names := spec.Selection()
	switch {
	case len(prefixes) > 0:
		return prefixes[0]
	case len(names) > 0:
		return names[0]
	}
	return ""
}

func checkDestination(ctx context.Context, dst storage.Reader) error {
	if b, ok := dst.(storage.BucketLister); ok {
		return b.CheckBucket(ctx)
	}
	_, err := dst.List(ctx, storage.ListOptions{Limit: 1})
	return err
}

// unreachable turns the error of a check into the answer. Blocked, refused and silent endpoints look the same
// (rule S7); the cause is for the log.
func unreachable(err error, code, side string) error {
	if err == nil {
		return nil
	}
	msg := "the " + side + " bucket cannot be reached"
	switch oms.KindOf(err) {
	case oms.Denied:
		msg = "the " + side + " keys are not valid or lack rights on the bucket"
	case oms.NoBucket:
		msg = "the " + side + " bucket does not exist"
	default:
	}
	return &oms.Error{Op: "check " + side, Kind: oms.Invalid, Code: code, Msg: msg, Err: err}
}
