package s3_test

import (
	"testing"

	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/storage/storagetest/versitygw"
)

// TestVersitygw runs the suite against a strict server by others.
func TestVersitygw(t *testing.T) {
	srv := versitygw.Start(t)
	o := newOpener(t)
	names := map[storage.Writer]string{}
	openFresh := func(t *testing.T) storage.Writer {
		name := srv.MakeBucket(t)
		b := open(t, o, srv.Bucket(name))
		names[b] = name
		return b
	}
	storagetest.Run(t, openFresh,
		storagetest.Multipart, storagetest.BucketList, storagetest.Metadata,
		storagetest.ChecksumEnforced, storagetest.MD5Enforced, storagetest.KeepsTruncated,
		storagetest.Refuses(versitygw.Refuses), storagetest.Mangles(versitygw.Mangles),
		storagetest.Copy(func(w storage.Writer) string { return names[w] }),
		storagetest.MissingBucket(func(t *testing.T) storage.Writer { return open(t, o, srv.Bucket("no-such-bucket")) }),
		storagetest.WrongKeys(func(t *testing.T) storage.Writer {
			b := srv.Bucket(srv.MakeBucket(t))
			b.Credentials = keys(versitygw.AccessKey, "another secret")
			return open(t, o, b)
		}),
	)
}
