package engine_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storageclass"
	"github.com/openoms/openoms/internal/testcloud"
)

// destination replaces the destination of the lab by a store with the personality.
func (l *lab) destination(p testcloud.Profile) {
	l.t.Helper()
	l.dst = testcloud.New(testcloud.Options{AccessKey: dstAK, SecretKey: secret, Profile: p})
	url, stop, err := l.dst.Start(context.Background(), "")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(stop)
	l.dstURL, l.to = url, l.dst.CreateBucket("backup")
}

// mixed puts objects of some classes and one large object into the source.
func (l *lab) mixed() {
	for key, class := range map[string]string{"a": "", "b": "STANDARD_IA", "c": "GLACIER_IR", "d": "INTELLIGENT_TIERING"} {
		l.from.Put(key, []byte("object "+key), testcloud.Attrs{StorageClass: class})
	}
	l.from.Put("large", bytes.Repeat([]byte("0123456789abcdef"), 600<<10), testcloud.Attrs{StorageClass: "ONEZONE_IA"})
}

func policy(p oms.StoragePolicy) func(*oms.TaskSpec) {
	return func(s *oms.TaskSpec) { s.StoragePolicy, s.StorageClassSent = p, true }
}

// The classes that objects get at the destination, by policy, table and size.
func TestStorageClasses(t *testing.T) {
	l := newLab(t)
	l.mixed()
	opts := l.options("w1")
	var err error
	opts.Classes, err = storageclass.New(storageclass.Overrides{
		Map: map[oms.CloudType]map[string]oms.StoragePolicy{oms.CloudAWS: {"INTELLIGENT_TIERING": oms.StorageArchive}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := l.start(opts)
	for _, tt := range []struct {
		policy oms.StoragePolicy
		want   string // of a, b, c, d and large
	}{
		{oms.StorageMapped, "STANDARD STANDARD_IA STANDARD_IA GLACIER STANDARD_IA"},
		{oms.StorageDeepArchive, "DEEP_ARCHIVE DEEP_ARCHIVE DEEP_ARCHIVE DEEP_ARCHIVE DEEP_ARCHIVE"},
		{oms.StorageIA, "STANDARD_IA STANDARD_IA STANDARD_IA STANDARD_IA STANDARD_IA"},
	} {
		id := p.create(func(s *oms.TaskSpec) {
			policy(tt.policy)(s)
			s.Overwrite = oms.FullOverwrite
		})
		p.succeed(id)
		var got []string
		for _, key := range []string{"a", "b", "c", "d", "large"} {
			o, _ := l.to.Get(key)
			got = append(got, o.StorageClass)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: got %s, want %s", tt.policy, s, tt.want)
		}
	}
}

// A class that the destination refuses ends the task before any object, with the class in its reason; one that its cloud
// does not have is refused when the task is created.
func TestStorageClassRefused(t *testing.T) {
	l := newLab(t)
	profile := testcloud.AWS()
	profile.StorageClasses = []string{"STANDARD", "STANDARD_IA"}
	l.destination(profile)
	l.mixed()
	p := l.start(l.options("w1"))
	for _, pol := range []oms.StoragePolicy{oms.StorageArchive, oms.StorageMapped} {
		id := p.create(policy(pol))
		task := p.fail(id, "TRF.0062")
		if !strings.Contains(task.Error.Message, "GLACIER") || task.Counters.Listed != 0 {
			t.Errorf("%s: got %+v, %+v", pol, task.Error, task.Counters)
		}
	}
	_, err := p.Create(t.Context(), l.task(func(s *oms.TaskSpec) {
		policy(oms.StorageArchive)(s)
		s.Dst.CloudType = oms.CloudQing
	}), keys())
	if oms.KindOf(err) != oms.Invalid || oms.CodeOf(err) != "OMS.1003" {
		t.Errorf("a cloud without archive: %v", err)
	}
}

// With KMS the ETags of the destination are no MD5s; copies are proved all the same, nothing is sent twice, and what is
// there unencrypted is replaced.
func TestKMS(t *testing.T) {
	plain := testcloud.Plain()
	plain.ETag = testcloud.ETagMD5
	for _, profile := range []testcloud.Profile{testcloud.AWS(), plain} {
		t.Run(profile.Name, func(t *testing.T) {
			l := newLab(t)
			l.destination(profile)
			l.mixed()
			l.to.Put("a", []byte("object a"), testcloud.Attrs{}) // equal, but not encrypted
			p := l.start(l.options("w1"))
			kms := func(s *oms.TaskSpec) { s.KMS = true }
			if task := p.succeed(p.create(kms)); task.Counters.Migrated != 5 {
				t.Errorf("got %+v", task.Counters)
			}
			for o := range l.to.All() {
				if !o.KMS && !strings.HasPrefix(o.Key, "oms/") {
					t.Errorf("%q is not encrypted", o.Key)
				}
				if src, ok := l.from.Get(o.Key); ok && o.Key != "a" && l.to.Received(o.Key) != src.Size {
					t.Errorf("%q: %d bytes were sent for %d", o.Key, l.to.Received(o.Key), src.Size)
				}
			}
			if task := p.succeed(p.create(kms)); task.Counters.Skipped != 5 {
				t.Errorf("again: got %+v", task.Counters)
			}
		})
	}
}

// A destination that ignores the wish for encryption gets no object.
func TestKMSIgnored(t *testing.T) {
	l := newLab(t)
	profile := testcloud.Plain()
	profile.NoKMS = true
	l.destination(profile)
	l.mixed()
	p := l.start(l.options("w1"))
	task := p.fail(p.create(func(s *oms.TaskSpec) { s.KMS = true }), "TRF.0158")
	if task.Counters.Listed != 0 {
		t.Errorf("got %+v", task.Counters)
	}
	for _, key := range l.to.Keys() {
		if !strings.HasPrefix(key, "oms/") {
			t.Errorf("%q was written", key)
		}
	}
}

// A source whose requester pays can be migrated only by tasks that say so.
func TestRequesterPays(t *testing.T) {
	l := newLab(t)
	l.mixed()
	l.from.RequirePayer()
	p := l.start(l.options("w1"))
	_, err := p.Create(t.Context(), l.task(nil), keys())
	if oms.CodeOf(err) != "OMS.1014" {
		t.Errorf("without: %v", err)
	}
	p.succeed(p.create(func(s *oms.TaskSpec) { s.RequesterPays = true }))
}

// What a parallel file system cannot hold fails by name before it is sent; the rest arrives.
func TestFileSystemDestination(t *testing.T) {
	l := newLab(t)
	l.destination(testcloud.PFS())
	deep := strings.Repeat("d/", 44) + "f"
	good := []string{"a", "b/", "b/c", "e-", "e/f", deep, "ü ö"}
	bad := []string{"/x", "a/b", "a//b", "g/../h", "h/", "d/" + deep}
	for _, key := range good {
		l.from.Put(key, []byte(map[bool]string{false: "data"}[strings.HasSuffix(key, "/")]), testcloud.Attrs{})
	}
	for _, key := range bad {
		l.from.Put(key, []byte("data"), testcloud.Attrs{})
	}
	p := l.start(l.options("w1"))
	for _, change := range []func(*oms.TaskSpec){policy(oms.StorageIA), func(s *oms.TaskSpec) { s.KMS = true }} {
		if _, err := p.Create(t.Context(), l.task(change), keys()); oms.CodeOf(err) != "OMS.1003" {
			t.Errorf("got %v, want a refusal", err)
		}
	}
	id := p.create(policy(oms.StorageStandard))
	if !p.show(id).Spec.Dst.FileSystem {
		t.Error("the task does not know that its destination is a file system")
	}
	p.fail(id, "TRF.0004")
	fs, err := p.Failures(t.Context(), project, id, "", 100)
	if err != nil || len(fs) != len(bad) {
		t.Fatalf("got %d failures, %v, want %d", len(fs), err, len(bad))
	}
	for _, f := range fs {
		if f.Code != oms.FailName || l.to.Received(f.Key) != 0 {
			t.Errorf("%q: %s, %d bytes sent: %s", f.Key, f.Code, l.to.Received(f.Key), f.Message)
		}
	}
	for _, key := range good {
		if _, ok := l.to.Get(key); !ok {
			t.Errorf("%q is missing", key)
		}
	}
}
