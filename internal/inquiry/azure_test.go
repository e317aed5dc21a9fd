package inquiry_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/openoms/openoms/internal/inquiry"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/azblob"
	"github.com/openoms/openoms/internal/storage/storagetest/azurite"
)

// TestAzure asks the vendor's emulator, with the account's key and with a connection string.
func TestAzure(t *testing.T) {
	srv := azurite.Start(t)
	table, err := region.New([]region.Override{{CloudType: oms.CloudAzure, Region: "lab", Endpoint: srv.URL, PathStyle: true}})
	if err != nil {
		t.Fatal(err)
	}
	tr := azblob.NewTransport(azblob.TransportOptions{Dial: new(net.Dialer).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	opener := azblob.NewOpener(nil, azblob.Options{Transport: tr})
	s := inquiry.New(inquiry.Options{Opener: opener, Regions: table})
	name := srv.MakeContainer(t)
	r, err := opener.Open(t.Context(), srv.Bucket(name))
	if err != nil {
		t.Fatal(err)
	}
	w, ok := r.(storage.Writer)
	if !ok {
		t.Fatalf("got a %T", r)
	}
	for _, key := range []string{"2024/a", "2024/b", "c"} {
		if _, err := w.Put(t.Context(), storage.PutRequest{Key: key, Body: strings.NewReader("x"), Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	at, _ := table.Resolve(oms.CloudAzure, "lab")
	for what, keys := range map[string]oms.Credentials{
		"key": srv.Bucket(name).Credentials,
		"string": {ConnectionString: oms.NewSecret(
			"AccountName=" + azurite.Account + ";AccountKey=" + azurite.Key + ";BlobEndpoint=" + srv.URL + "/" + azurite.Account)},
	} {
		q := oms.BucketQuery{CloudType: oms.CloudAzure, Endpoint: at, Bucket: name, Credentials: keys}
		if got, err := s.ListBuckets(t.Context(), q); err != nil || !slices.Equal(got, []string{name}) {
			t.Errorf("%s: containers %v, %v", what, got, err)
		}
		if got, err := s.Region(t.Context(), q); err != nil || got.ID != "lab" || !got.Supported {
			t.Errorf("%s: region %+v, %v", what, got, err)
		}
		page, err := s.Browse(t.Context(), q, "", "", 1)
		if err != nil || len(page.Entries) != 1 || page.Entries[0].Name != "2024/" || !page.More {
			t.Errorf("%s: %+v, %v", what, page, err)
		}
		if page, err = s.Browse(t.Context(), q, "", "2024/", 10); err != nil || len(page.Entries) != 1 || page.Entries[0].Name != "c" || page.More {
			t.Errorf("%s: %+v, %v", what, page, err)
		}
		for prefix, want := range map[string]bool{"2024/b": true, "2025": false} {
			if got, err := s.HasPrefix(t.Context(), q, prefix); err != nil || got != want {
				t.Errorf("%s: prefix %s: %v, %v", what, prefix, got, err)
			}
		}
		q.Bucket = "no-such-container"
		_, err = s.Browse(t.Context(), q, "", "", 10)
		code(t, what+": no such container", err, "OMS.1014")
		_, err = s.Region(t.Context(), q)
		code(t, what+": no such container", err, "OMS.0155")
		q.Bucket, q.Credentials = name, oms.Credentials{AccessKey: azurite.Account, SecretKey: oms.NewSecret("d3Jvbmc=")}
		_, err = s.ListBuckets(t.Context(), q)
		code(t, what+": wrong keys", err, "OMS.1014") // the emulator's refusal does not tell whether keys or rights are wrong
	}
}
