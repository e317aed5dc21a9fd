package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/testcloud"
)

// A restore, from the archived object to the readable one and back.
func TestRestore(t *testing.T) {
	f := startFake(t, testcloud.AWS())
	f.SetRestoreDuration(time.Hour)
	b, inside := f.fresh(t, newOpener(t), oms.CloudAWS)
	inside.Put("k", []byte("cold"), testcloud.Attrs{StorageClass: "GLACIER"})
	inside.Put("warm", []byte("warm"), testcloud.Attrs{})
	want := func(state storage.RestoreState, readable bool) storage.Restore {
		t.Helper()
		o, err := b.Stat(t.Context(), "k")
		if err != nil || o.Restore.State != state || o.StorageClass != "GLACIER" {
			t.Fatalf("got %+v, %v, want state %d", o, err, state)
		}
		c, err := b.Open(t.Context(), "k", storage.OpenOptions{Size: 4})
		if readable != (err == nil) || !readable && oms.KindOf(err) != oms.Archived {
			t.Fatalf("read: %v, want readable %v", err, readable)
		}
		if err == nil {
			_ = c.Body.Close()
		}
		return o.Restore
	}
	req := storage.RestoreRequest{Key: "k", Days: 3, Tier: storage.TierBulk}
	want(storage.RestoreNone, false)
	for range 2 { // a second request, while one is under way, is as good as the first
		if err := b.RequestRestore(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		want(storage.RestoreOngoing, false)
	}
	f.PassRestoreTime(time.Hour)
	r := want(storage.RestoreDone, true)
	if in := time.Until(r.Expires); in < 71*time.Hour || in > 74*time.Hour {
		t.Errorf("expires in %v", in)
	}
	if err := b.RequestRestore(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	f.PassRestoreTime(72 * time.Hour)
	want(storage.RestoreNone, false)

	if err := b.RequestRestore(t.Context(), storage.RestoreRequest{Key: "warm", Days: 1}); oms.KindOf(err) != oms.Invalid {
		t.Errorf("an object that is not archived: %v", err)
	}
	if err := b.RequestRestore(t.Context(), storage.RestoreRequest{Key: "none", Days: 1}); oms.KindOf(err) != oms.NotFound {
		t.Errorf("a missing object: %v", err)
	}
}

// TestPayer: without the header a bucket whose requester pays refuses everything, with it nothing.
func TestPayer(t *testing.T) {
	f := startFake(t, testcloud.AWS())
	_, inside := f.fresh(t, newOpener(t), oms.CloudAWS)
	inside.Put("k", []byte("paid"), testcloud.Attrs{StorageClass: "GLACIER"})
	inside.RequirePayer()
	named := f.bucket(oms.CloudAWS, inside.Name())
	for _, pays := range []bool{false, true} {
		named.RequesterPays = pays
		b := open(t, newOpener(t), named)
		_, list := b.List(t.Context(), storage.ListOptions{})
		_, stat := b.Stat(t.Context(), "k")
		restore := b.RequestRestore(t.Context(), storage.RestoreRequest{Key: "k", Days: 1})
		inside.FinishRestores()
		c, read := b.Open(t.Context(), "k", storage.OpenOptions{Size: 4})
		if read == nil {
			_ = c.Body.Close()
		}
		for op, err := range map[string]error{"list": list, "stat": stat, "restore": restore, "open": read} {
			if pays != (err == nil) || !pays && oms.KindOf(err) != oms.Denied {
				t.Errorf("pays %v: %s: %v", pays, op, err)
			}
		}
	}
}

// A parallel file system says that it is one, and lists to its end although it knows neither version 2 nor encoded keys.
func TestFileSystem(t *testing.T) {
	p := testcloud.PFS()
	p.MaxKeys = 2
	f := startFake(t, p)
	b, inside := f.fresh(t, newOpener(t), oms.CloudHuawei)
	want := []string{"a", "b/", "b/c d", "e&ü", "f"}
	for _, key := range want {
		inside.Put(key, nil, testcloud.Attrs{})
	}
	is, err := b.FileSystem(t.Context())
	if err != nil || !is {
		t.Fatalf("got %v, %v", is, err)
	}
	named := f.bucket(oms.CloudHuawei, inside.Name())
	named.FileSystem = true
	b = open(t, newOpener(t), named)
	var got []string
	for opts := (storage.ListOptions{}); ; opts.After = got[len(got)-1] {
		page, err := b.List(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Objects {
			got = append(got, page.Objects[i].Key)
		}
		if !page.Truncated {
			break
		}
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
	plain := startFake(t, testcloud.OBS())
	ordinary, _ := plain.fresh(t, newOpener(t), oms.CloudHuawei)
	if is, err := ordinary.FileSystem(t.Context()); err != nil || is {
		t.Errorf("an ordinary bucket: %v, %v", is, err)
	}
}
