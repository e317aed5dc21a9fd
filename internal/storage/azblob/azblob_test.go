package azblob_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/minio/crc64nvme"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/storage/azblob"
	"github.com/openoms/openoms/internal/storage/storagetest"
	"github.com/openoms/openoms/internal/storage/storagetest/azurite"
)

// serve returns a container at a server that answers as told.
func serve(t *testing.T, h http.HandlerFunc) *azblob.Container {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	b := (&azurite.Server{URL: s.URL}).Bucket("box")
	return open(t, newOpener(t), b)
}

// page writes a page of blobs.
func page(next string, names ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>`)
	for _, n := range names {
		b.WriteString(`<Blob><Name>` + n + `</Name><Properties><Content-Length>1</Content-Length><Etag>"0x8D"</Etag>` +
			`<Last-Modified>Fri, 01 Jan 2100 00:00:00 GMT</Last-Modified><AccessTier>Cool</AccessTier></Properties></Blob>`)
	}
	return b.String() + `</Blobs><NextMarker>` + next + `</NextMarker></EnumerationResults>`
}

// TestListWithoutSeeks covers services that cannot begin a listing at a name: the caller is told, and lists by markers.
func TestListWithoutSeeks(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		order  bool
		want   oms.Kind
	}{
		"ignored": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, page("m", "a", "b", "c")) }, true, oms.Listing},
		"refused": {func(w http.ResponseWriter) {
			w.Header().Set("x-ms-error-code", "InvalidHeaderValue")
			w.WriteHeader(http.StatusBadRequest)
		}, false, oms.Invalid},
		"another order": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, page("", "c", "d/x", "d-x")) }, true, oms.Listing},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.URL.Query().Get("startFrom"); got != "b" || r.Header.Get("x-ms-version") != "2026-02-06" {
				t.Errorf("%s: asked to begin at %q with version %s", name, got, r.Header.Get("x-ms-version"))
			}
			test.answer(w)
		})
		_, err := c.List(t.Context(), storage.ListOptions{After: "b"})
		if !errors.Is(err, test.want) || errors.Is(err, storage.ErrOrder) != test.order {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestListAnyOrder lists by markers alone, through pages that are short, empty or out of order.
func TestListAnyOrder(t *testing.T) {
	pages := map[string]string{"": page("1", "b", "a"), "1": page("2"), "2": page("", "c", "a")}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("startFrom") {
			t.Error("a position was asked for")
		}
		_, _ = io.WriteString(w, pages[r.URL.Query().Get("marker")])
	})
	var got []string
	opts := storage.ListOptions{AnyOrder: true}
	for {
		p, err := c.List(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Objects {
			got = append(got, o.Key)
		}
		if !p.Truncated {
			break
		}
		opts.Token = p.Next
	}
	if want := []string{"b", "a", "c", "a"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestSeekText lists behind positions that the service cannot take: it begins before them, and what lies between is
// left out.
func TestSeekText(t *testing.T) {
	asked := ""
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("startFrom")
		_, _ = io.WriteString(w, page("", "b", "b!", "c"))
	})
	p, err := c.List(t.Context(), storage.ListOptions{After: "b\x01é"})
	if err != nil || asked != "b" || len(p.Objects) != 2 || p.Objects[0].Key != "b!" {
		t.Errorf("asked for %q, got %+v, %v", asked, p.Objects, err)
	}
}

// TestListLoop covers markers that lead nowhere, and pages that are none.
func TestListLoop(t *testing.T) {
	for name, body := range map[string]string{
		"same marker":   page("m", "b"),
		"no XML":        "nonsense",
		"other":         "<Error><Code>x</Code></Error>",
		"document type": `<!DOCTYPE x [<!ENTITY e "x">]>` + page("", "b"),
		"no size":       `<EnumerationResults><Blobs><Blob><Name>b</Name></Blob></Blobs></EnumerationResults>`,
		"no name":       `<EnumerationResults><Blobs><Blob><Properties/></Blob></Blobs></EnumerationResults>`,
		"bad escape":    `<EnumerationResults><Blobs><Blob><Name Encoded="true">%zz</Name><Properties><Content-Length>1</Content-Length></Properties></Blob></Blobs></EnumerationResults>`,
		"deep":          strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40),
		"endless":       strings.Repeat(" ", 17<<20),
		"other prefix":  page("", "z"),
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		for _, any := range []bool{false, true} {
			_, err := c.List(t.Context(), storage.ListOptions{Prefix: "b", Token: "m", AnyOrder: any})
			if !errors.Is(err, oms.Listing) {
				t.Errorf("%s, any order %v: got %v, want oms.Listing", name, any, err)
			}
		}
	}
}

// TestLargePage asks for fewer blobs when a page does not fit.
func TestLargePage(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("maxresults") == "5000" {
			_, _ = io.WriteString(w, strings.Repeat(" ", 17<<20))
			return
		}
		_, _ = io.WriteString(w, page("", "a"))
	})
	if p, err := c.List(t.Context(), storage.ListOptions{}); err != nil || len(p.Objects) != 1 || p.Objects[0].StorageClass != "Cool" {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestDirectories leaves out what an account with a hierarchical namespace lists beside its files.
func TestDirectories(t *testing.T) {
	body := strings.Replace(page("", "d", "d/x"), "<Content-Length>", "<ResourceType>directory</ResourceType><Content-Length>", 1)
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	if p, err := c.List(t.Context(), storage.ListOptions{}); err != nil || len(p.Objects) != 1 || p.Objects[0].Key != "d/x" {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestErrors covers the answers that decide what becomes of a task or an object, and that no answer shows a secret.
func TestErrors(t *testing.T) {
	const canary = "canary-signature"
	for _, test := range []struct {
		status int
		code   string
		want   oms.Kind
	}{
		{404, "ContainerNotFound", oms.NoBucket},
		{404, "BlobNotFound", oms.NotFound},
		{404, "", oms.NotFound},
		{403, "AuthenticationFailed", oms.Denied},
		{403, "AuthorizationPermissionMismatch", oms.Denied},
		{409, "BlobArchived", oms.Archived},
		{409, "BlobBeingRehydrated", oms.Archived},
		{412, "ConditionNotMet", oms.Changed},
		{503, "ServerBusy", oms.Throttled},
		{500, "OperationTimedOut", oms.Transient},
		{400, "Md5Mismatch", oms.Corrupt},
		{409, "BlobImmutableDueToPolicy", oms.Unsupported},
		{302, "", oms.Invalid},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if test.code != "" {
				w.Header().Set("x-ms-error-code", test.code)
			}
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, "<Error><Code>"+test.code+"</Code><Message>The MAC signature "+canary+" is not the same</Message></Error>")
		})
		_, err := c.Open(t.Context(), "k", storage.OpenOptions{Size: -1})
		if !errors.Is(err, test.want) || strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
			t.Errorf("%d %s: got %v, want %v", test.status, test.code, err, test.want)
		}
		if _, ok := errors.AsType[storage.Pause](err); ok != test.want.Retryable() {
			t.Errorf("%d %s: asks for a pause: %v", test.status, test.code, ok)
		}
	}
}

// TestSecretsUnseen looks for keys in what is formatted and in errors.
func TestSecretsUnseen(t *testing.T) {
	const canary = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
	o := newOpener(t)
	for name, keys := range map[string]oms.Credentials{
		"key":       {AccessKey: "acct", SecretKey: oms.NewSecret(canary)},
		"string":    {ConnectionString: oms.NewSecret("AccountName=acct;AccountKey=" + canary)},
		"signature": {ConnectionString: oms.NewSecret("AccountName=acct;SharedAccessSignature=sv=1&sig=" + canary)},
	} {
		b := (&azurite.Server{URL: "http://127.0.0.1:1"}).Bucket("box") // nobody listens
		b.Credentials = keys
		c := open(t, o, b)
		_, err := c.List(t.Context(), storage.ListOptions{})
		if !errors.Is(err, oms.Transient) {
			t.Errorf("%s: got %v", name, err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %v %+v", c, c, c, err, b); strings.Contains(shown, canary) {
			t.Errorf("%s: a secret is shown: %s", name, shown)
		}
	}
	b := (&azurite.Server{URL: "http://127.0.0.1:1"}).Bucket("box")
	b.CloudType = oms.CloudAWS
	b.Credentials = oms.Credentials{ConnectionString: oms.NewSecret("x")}
	if _, err := o.Open(t.Context(), b); !errors.Is(err, oms.Denied) {
		t.Errorf("a connection string for another cloud: got %v, want oms.Denied", err)
	}
}

// TestSignatureAccess reads with a shared access signature, which travels in the query.
func TestSignatureAccess(t *testing.T) {
	c := func() *azblob.Container {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("sig") != "a+b/c=" || q.Get("sv") != "2021" || r.Header.Get("Authorization") != "" || r.URL.Path != "/openomstest/box/k" {
				t.Errorf("asked for %s", r.URL)
			}
			_, _ = io.WriteString(w, "data")
		}))
		t.Cleanup(s.Close)
		b := (&azurite.Server{URL: s.URL}).Bucket("box")
		b.Credentials = oms.Credentials{ConnectionString: oms.NewSecret("AccountName=openomstest;SharedAccessSignature=?sv=2021&sig=a%2Bb%2Fc%3D")}
		return open(t, newOpener(t), b)
	}()
	r, err := c.Open(t.Context(), "k", storage.OpenOptions{Size: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if data, err := io.ReadAll(r.Body); err != nil || string(data) != "data" {
		t.Errorf("got %q, %v", data, err)
	}
}

// testChecksums proves against the emulator that it checks what it is sent, and which CRC-64 it means.
func testChecksums(t *testing.T, srv *azurite.Server) {
	name := srv.MakeContainer(t)
	c := open(t, newOpener(t), srv.Bucket(name))
	data := storagetest.Data(1, 10_000)
	right := storage.Sums{Has: storage.SumMD5, MD5: md5.Sum(data)}
	wrong := storage.Sums{Has: storage.SumMD5, MD5: md5.Sum(nil)}
	put := func(s storage.Sums) (storage.Written, error) {
		return c.Put(t.Context(), storage.PutRequest{Key: "k", Body: bytes.NewReader(data), Size: int64(len(data)), Sums: s})
	}
	if _, err := put(wrong); !errors.Is(err, oms.Corrupt) {
		t.Errorf("a wrong MD5: got %v, want oms.Corrupt", err)
	}
	if _, err := put(right); err != nil {
		t.Errorf("the right MD5: %v", err)
	}
	id, err := c.CreateUpload(t.Context(), "k2", storage.Attrs{StorageClass: "STANDARD_IA"})
	if err != nil {
		t.Fatal(err)
	}
	part := func(s storage.Sums) (storage.Written, error) {
		return c.PutPart(t.Context(), storage.PartRequest{Key: "k2", UploadID: id, Number: 1, Body: bytes.NewReader(data), Size: int64(len(data)), Sums: s})
	}
	if _, err := part(wrong); !errors.Is(err, oms.Corrupt) {
		t.Errorf("a block with a wrong MD5: got %v, want oms.Corrupt", err)
	}
	w, err := part(storage.Sums{Has: storage.SumCRC64NVME, CRC64NVME: crc64nvme.Checksum(data)})
	if err != nil {
		t.Fatal(err)
	}
	if w.Sums.Has&storage.SumCRC64NVME != 0 && w.Sums.CRC64NVME != crc64nvme.Checksum(data) {
		t.Errorf("the service's CRC-64 is %x, not %x", w.Sums.CRC64NVME, crc64nvme.Checksum(data))
	}
	if _, err := c.CompleteUpload(t.Context(), "k2", id, []storage.Part{{Number: 1, ETag: w.ETag, Size: 10_000}}); err != nil {
		t.Fatal(err)
	}
	if o, err := c.Stat(t.Context(), "k2"); err != nil || o.StorageClass != "Cool" {
		t.Errorf("got class %q, %v, want Cool", o.StorageClass, err)
	}
	srv.SetTier(t, name, "k", "Archive")
	if _, err := c.Open(t.Context(), "k", storage.OpenOptions{Size: -1}); !errors.Is(err, oms.Archived) {
		t.Errorf("an archived blob: got %v, want oms.Archived", err)
	}
}

// testBrowse pages through a level, also where the service cannot begin at a name.
func testBrowse(t *testing.T, srv *azurite.Server) {
	c := open(t, newOpener(t), srv.Bucket(srv.MakeContainer(t)))
	for _, key := range []string{"a/1", "a/2", "b", "c/x/y", "d", "e/1"} {
		if _, err := c.Put(t.Context(), storage.PutRequest{Key: key, Body: strings.NewReader("x"), Size: 1}); err != nil {
			t.Fatal(err)
		}
	}
	old := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("startFrom") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body := page("", "b", "d")
		for _, p := range []string{"a/", "c/", "e/"} {
			body = strings.Replace(body, "</Blobs>", "<BlobPrefix><Name>"+p+"</Name></BlobPrefix></Blobs>", 1)
		}
		_, _ = io.WriteString(w, body)
	})
	for what, b := range map[string]storage.Browser{"emulator": c, "old service": old} {
		var got []string
		after := ""
		for range 10 {
			l, err := b.Browse(t.Context(), storage.ListOptions{After: after, Limit: 2})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, e := range l.Entries {
				got = append(got, e.Name)
				after = e.Name
				if e.Folder != strings.HasSuffix(e.Name, "/") {
					t.Errorf("%s: %+v", what, e)
				}
			}
			if !l.Truncated {
				break
			}
		}
		if want := []string{"a/", "b", "c/", "d", "e/"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	if got, err := c.Branches(t.Context(), ""); err != nil || !slices.Equal(got, []string{"a/", "c/", "e/"}) {
		t.Errorf("branches: got %v, %v", got, err)
	}
}

// TestCompareNames covers the order of headers in signatures, which is that of English text.
func TestCompareNames(t *testing.T) {
	want := []string{"x-ms-access-tier", "x-ms-date", "x-ms-meta-a", "x-ms-meta-a_b", "x-ms-meta-a0", "x-ms-meta-a1", "x-ms-meta-ab", "x-ms-version"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, azblob.CompareNames)
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestUploadIDs checks that ids of others are refused before anything is sent.
func TestUploadIDs(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made") })
	for _, id := range []string{"", "x", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA.!!", "AAAAAAAAAAAAAAAAAAAAAA.e30"} {
		_, err := c.PutPart(t.Context(), storage.PartRequest{Key: "k", UploadID: id, Number: 1, Body: strings.NewReader("x"), Size: 1})
		if !errors.Is(err, oms.Invalid) {
			t.Errorf("%q: got %v, want oms.Invalid", id, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.CreateUpload(ctx, "k", storage.Attrs{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// FuzzNames checks that metadata names and values survive their encoding.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"plain", "dash-name", "9digit", "oms_x_a", "oms_expires", "ünï", "a_b", "", "=?UTF-8?B?eA==?=", " x "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s != "" && s == strings.ToLower(s) {
			enc := azblob.EncodeName(s)
			for i := range len(enc) {
				if c := enc[i]; (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9' || i == 0) {
					t.Errorf("%q is written as %q", s, enc)
				}
			}
			if got := azblob.DecodeName(enc); got != s {
				t.Errorf("%q comes back as %q", s, got)
			}
		}
		azblob.DecodeName(s)
		enc := azblob.EncodeValue(s)
		if got := azblob.DecodeValue(enc); got != s && strings.ToValidUTF8(s, "\ufffd") == s {
			t.Errorf("value %q comes back as %q", s, got)
		}
	})
}

// FuzzPage checks that no answer to a listing is more than an error.
func FuzzPage(f *testing.F) {
	f.Add([]byte(page("m", "a", "b/c")))
	f.Add([]byte(`<EnumerationResults><Blobs><BlobPrefix><Name Encoded="true">a%2F</Name></BlobPrefix></Blobs></EnumerationResults>`))
	f.Add([]byte("<!DOCTYPE x><EnumerationResults/>"))
	f.Add([]byte("\xef\xbb\xbf" + page("", "x")))
	f.Add([]byte(`<?xml version="1.0"?><BlockList><UncommittedBlocks><Block><Name>AAAA</Name><Size>1</Size></Block></UncommittedBlocks></BlockList>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		names, _, err := azblob.ReadPage(body)
		if err != nil && len(names) > 0 {
			t.Error("names beside an error")
		}
		if slices.Contains(names, "") {
			t.Error("an empty name")
		}
		_, _ = azblob.ReadParts(body)
	})
}

// FuzzUploadID checks that an id that is taken is one that would be made.
func FuzzUploadID(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAA.W10")
	f.Add("AAAAAAAAAAAAAAAAAAAAAA.W1sieC1tcy1tZXRhLWEiLCJiIl1d")
	f.Fuzz(func(t *testing.T, id string) {
		again, err := azblob.ParseUpload(id)
		if err != nil {
			return
		}
		if third, err := azblob.ParseUpload(again); err != nil || third != again {
			t.Errorf("%q: %q, %q, %v", id, again, third, err)
		}
	})
}
