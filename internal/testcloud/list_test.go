package testcloud

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIndex compares the index with a map under random changes.
func TestIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x index
	want := map[string]bool{}
	for range 20_000 {
		k := strconv.Itoa(rng.IntN(4000))
		if rng.IntN(3) == 0 {
			x.remove(k)
			delete(want, k)
		} else {
			x.put(item{ord: k})
			want[k] = true
		}
		if _, ok := x.find(k); ok != want[k] {
			t.Fatalf("find(%q): got %v, want %v", k, ok, want[k])
		}
	}
	var got []string
	for p := x.seek(""); ; p = x.next(p) {
		it, ok := x.get(p)
		if !ok {
			break
		}
		got = append(got, it.ord)
	}
	if !slices.IsSorted(got) || len(got) != len(want) || x.n != len(want) {
		t.Fatalf("got %d sorted %v keys, n %d, want %d", len(got), slices.IsSorted(got), x.n, len(want))
	}
}

// naiveList is the rule of a listing said in the plainest way.
func naiveList(keys []string, prefix, delimiter, after string) (objects, prefixes []string) {
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) || k <= after && after != "" {
			continue
		}
		if i := strings.Index(k[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			p := k[:len(prefix)+i+len(delimiter)]
			if p != after && !slices.Contains(prefixes, p) {
				prefixes = append(prefixes, p)
			}
			continue
		}
		objects = append(objects, k)
	}
	return objects, prefixes
}

// randomKeys makes keys from few characters, so that prefixes and delimiters meet.
func randomKeys(rng *rand.Rand, n int) []string {
	const letters = "ab/\xff\x01c+"
	set := map[string]bool{}
	for range n {
		k := make([]byte, 1+rng.IntN(6))
		for i := range k {
			k[i] = letters[rng.IntN(len(letters))]
		}
		set[string(k)] = true
	}
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestListProperty compares listings of both versions, page by page, with naiveList: over real buckets and
// over generated ones with writes and deletes on top.
func TestListProperty(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			cloud, c := start(t, Options{})
			keys := fillRandom(rng, cloud)
			if got := cloud.Bucket("b").Keys(); !slices.Equal(got, keys) {
				t.Fatalf("keys: got %q, want %q", got, keys)
			}
			if got := cloud.Bucket("b").Len(); got != int64(len(keys)) {
				t.Fatalf("len: got %d, want %d", got, len(keys))
			}
			for range 25 {
				q := url.Values{"encoding-type": {"url"}}
				prefix := pick(rng, "", "", "a", "b/", "/", "a/\xff", "zz", "\xff")
				delimiter := pick(rng, "", "/", "/", "ab", "\xff", "+")
				after := pick(rng, "", "", "a", "a/", "b/c", "\xff", keys[rng.IntN(len(keys))])
				q.Set("prefix", prefix)
				if delimiter != "" {
					q.Set("delimiter", delimiter)
				}
				q.Set("max-keys", pick(rng, "1", "2", "7", "1000", "5000"))
				wantKeys, wantPrefixes := naiveList(keys, prefix, delimiter, after)
				for _, version := range []string{"1", "2"} {
					gotKeys, gotPrefixes := pageThrough(t, c, q, version, after)
					if !slices.Equal(gotKeys, wantKeys) || !slices.Equal(gotPrefixes, wantPrefixes) {
						t.Fatalf("version %s prefix %q delimiter %q after %q max %s:\ngot  %q %q\nwant %q %q",
							version, prefix, delimiter, after, q.Get("max-keys"), gotKeys, gotPrefixes, wantKeys, wantPrefixes)
					}
				}
			}
		})
	}
}

func pick(rng *rand.Rand, of ...string) string { return of[rng.IntN(len(of))] }

// listed is a space of given sorted keys.
type listed []string

func (l listed) Len() int64                           { return int64(len(l)) }
func (l listed) AppendKey(dst []byte, i int64) []byte { return append(dst, l[i]...) }
func (l listed) Size(i int64) int64                   { return i }
func (l listed) ModTime(int64) time.Time              { return time.Unix(1e9, 0) }

// fillRandom makes bucket b, real for half of all seeds, and returns its keys.
func fillRandom(rng *rand.Rand, cloud *Cloud) []string {
	keys := randomKeys(rng, 150)
	b := cloud.CreateBucket("b")
	if rng.IntN(2) == 0 {
		b = cloud.Generated("b", listed(keys), GeneratedOptions{})
	} else {
		for _, i := range rng.Perm(len(keys)) {
			b.Put(keys[i], []byte(keys[i]), Attrs{})
		}
	}
	set := map[string]bool{}
	for _, k := range keys {
		set[k] = true
	}
	for _, k := range randomKeys(rng, 60) {
		if rng.IntN(2) == 0 {
			b.Put(k, nil, Attrs{})
			set[k] = true
		} else {
			b.Delete(k)
			delete(set, k)
		}
	}
	b.Delete("not there")
	left := make([]string, 0, len(set))
	for k := range set {
		left = append(left, k)
	}
	slices.Sort(left)
	return left
}

// pageThrough lists with many pages and checks the form of each.
func pageThrough(t *testing.T, c *client, q url.Values, version, after string) (keys, prefixes []string) {
	t.Helper()
	params := maps.Clone(q)
	if version == "2" {
		params.Set("list-type", "2")
		params.Set("start-after", after)
	} else {
		params.Set("marker", after)
	}
	most, _ := strconv.Atoi(q.Get("max-keys"))
	most = min(most, 1000)
	for range 10_000 {
		doc := c.list("b", params)
		n := len(doc.Contents) + len(doc.CommonPrefixes)
		if n > most || doc.IsTruncated && n != most || version == "2" && doc.KeyCount != n {
			t.Fatalf("page of %d entries, max %d, truncated %v, KeyCount %d", n, most, doc.IsTruncated, doc.KeyCount)
		}
		for _, o := range doc.Contents {
			keys = append(keys, o.Key)
		}
		for _, p := range doc.CommonPrefixes {
			prefixes = append(prefixes, p.Prefix)
		}
		switch {
		case !doc.IsTruncated:
			return keys, prefixes
		case version == "2":
			params.Set("continuation-token", doc.NextContinuationToken)
		case params.Has("delimiter"):
			params.Set("marker", doc.NextMarker)
		case doc.NextMarker != "":
			t.Fatal("NextMarker without a delimiter")
		default:
			params.Set("marker", keys[len(keys)-1])
		}
	}
	t.Fatal("listing does not end")
	return nil, nil
}

func TestListArguments(t *testing.T) {
	cloud, c := start(t, Options{})
	b := cloud.CreateBucket("b")
	b.Put("a\x03<&>\r", nil, Attrs{})
	b.Put("sp ace+/é", nil, Attrs{StorageClass: "GLACIER"})
	for _, q := range []string{
		"max-keys=-1", "max-keys=x", "encoding-type=base64", "list-type=2&continuation-token=", "list-type=2&continuation-token=YQ",
		"list-type=2&max-keys=99999999999",
	} {
		c.do("GET", "b", "", q, nil, nil).want(t, 400, "InvalidArgument")
	}
	c.do("GET", "none", "", "list-type=2", nil, nil).want(t, 404, "NoSuchBucket")
	c.do("GET", "b", "", "versions", nil, nil).want(t, 501, "NotImplemented")
	if doc := c.list("b", url.Values{"max-keys": {"0"}}); doc.IsTruncated || len(doc.Contents) != 0 {
		t.Errorf("max-keys=0: got %+v", doc)
	}
	plain := c.do("GET", "b", "", "list-type=2", nil, nil).body
	for _, want := range []string{"<Key>a\x03&lt;&amp;&gt;&#13;</Key>", "<Key>sp ace+/é</Key>", "<StorageClass>GLACIER</StorageClass>"} {
		if !bytes.Contains(plain, []byte(want)) {
			t.Errorf("plain listing lacks %q:\n%s", want, plain)
		}
	}
	encoded := c.do("GET", "b", "", "list-type=2&encoding-type=url&start-after=a", nil, nil).body
	for _, want := range []string{"<Key>a%03%3C%26%3E%0D</Key>", "<Key>sp+ace%2B/%C3%A9</Key>", "<StartAfter>a</StartAfter>"} {
		if !bytes.Contains(encoded, []byte(want)) {
			t.Errorf("encoded listing lacks %q:\n%s", want, encoded)
		}
	}
}

// TestGenerated checks the ready-made spaces: order, sizes, content, and reads through the protocol.
func TestGenerated(t *testing.T) {
	shape := Shape{Prefix: "p/", Suffix: ".bin", Size: func(i int64) int64 { return i % 3000 }}
	spaces := map[string]Space{
		"numbers":     Numbers(1234, shape),
		"directories": Directories(shape, 3, 11, 20),
		"dated":       Dated(time.Date(2024, 2, 27, 5, 0, 0, 0, time.UTC), 40, 12, shape),
		"present":     Present(Numbers(100, shape), time.Hour),
		"every":       Every(Numbers(1000, shape), 3, 7),
		"empty":       Numbers(0, shape),
		"one":         Directories(Shape{}, 1),
	}
	for name, s := range spaces {
		t.Run(name, func(t *testing.T) {
			cloud, c := start(t, Options{})
			cloud.Generated("g", s, GeneratedOptions{})
			var last []byte
			want := make([]string, 0, s.Len())
			for i := range s.Len() {
				k := s.AppendKey(nil, i)
				if bytes.Compare(k, last) <= 0 {
					t.Fatalf("key %d %q is not behind %q", i, k, last)
				}
				if got := searchSpace(s, k); got != i {
					t.Fatalf("search %q: got %d, want %d", k, got, i)
				}
				last = k
				want = append(want, string(k))
			}
			if got, _ := c.listAll("g", nil); !slices.Equal(got, want) {
				t.Fatalf("listed %d keys, want %d", len(got), len(want))
			}
		})
	}
	if got := string(spaces["directories"].AppendKey(nil, 659)); got != "p/d2/d10/f19.bin" {
		t.Errorf("last key %q", got)
	}
	if got := string(spaces["dated"].AppendKey(nil, 2*12+3)); got != "p/2024/02/29/03.bin" {
		t.Errorf("dated key %q", got)
	}
	if got := spaces["present"].ModTime(0).Sub(spaces["numbers"].ModTime(0)); got != time.Hour {
		t.Errorf("present is %v later", got)
	}
}

func TestGeneratedContent(t *testing.T) {
	cloud, c := start(t, Options{})
	space := Numbers(100_000_000, Shape{Size: func(i int64) int64 { return i % 4000 }})
	b := cloud.Generated("g", space, GeneratedOptions{})
	cloud.Generated("h", Present(space, time.Hour), GeneratedOptions{Seed: 1})
	small, large := "00000777", "00003999"
	r := c.get("g", small).want(t, 200, "")
	if len(r.body) != 777 || r.header.Get("Etag") != `"`+md5hex(r.body)+`"` {
		t.Errorf("%d bytes, ETag %s, MD5 %s", len(r.body), r.header.Get("Etag"), md5hex(r.body))
	}
	r = c.get("g", large).want(t, 200, "")
	if tag := r.header.Get("Etag"); len(r.body) != 3999 || !strings.HasSuffix(tag, `-1"`) || len(tag) != 36 {
		t.Errorf("%d bytes, ETag %s", len(r.body), tag)
	}
	for off := range 20 {
		part := c.do("GET", "g", large, "", http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, off+50)}}, nil).want(t, 206, "")
		if !bytes.Equal(part.body, r.body[off:off+51]) {
			t.Errorf("range from %d differs from the whole", off)
		}
	}
	if other := c.get("g", "00007999").body; bytes.Equal(other, r.body) || len(other) != 3999 {
		t.Error("two keys have the same content")
	}
	if other := c.get("h", large).body; bytes.Equal(other, r.body) || len(other) != 3999 {
		t.Error("two seeds have the same content")
	}
	doc := c.list("g", url.Values{"list-type": {"2"}, "start-after": {"00000776"}, "max-keys": {"1"}})
	if o := doc.Contents[0]; o.Key != small || o.ETag != c.get("g", small).header.Get("Etag") || o.Size != 777 {
		t.Errorf("listed %+v", o)
	}
	c.get("g", "100000000").want(t, 404, "NoSuchKey")

	// real objects over the space
	c.put("g", small, []byte("new"))
	c.put("g", "00000777a", []byte("more"))
	c.do("DELETE", "g", "00000778", "", nil, nil).want(t, 204, "")
	c.get("g", "00000778").want(t, 404, "NoSuchKey")
	if got := string(c.get("g", small).body); got != "new" {
		t.Errorf("overwritten object reads %q", got)
	}
	if got := b.Len(); got != 100_000_000 {
		t.Errorf("Len: got %d", got)
	}
	keys, _ := c.listAll("g", url.Values{"prefix": {"0000077"}})
	want := []string{"00000770", "00000771", "00000772", "00000773", "00000774", "00000775", "00000776", "00000777", "00000777a", "00000779"}
	if !slices.Equal(keys, want) {
		t.Errorf("got %q, want %q", keys, want)
	}
}

func TestProfilesList(t *testing.T) {
	keys := []string{"a", "b/1", "b/2", "c", "d", "e", "f\uff21", "f\U0001f600"}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			p.MaxKeys = 3
			cloud, c := start(t, Options{Profile: p})
			for _, k := range keys {
				cloud.CreateBucket("b").Put(k, []byte(k), Attrs{})
			}
			bucket := "b"
			if p.VirtualHostOnly {
				c.do("GET", "b", "", "", nil, nil).want(t, 403, "SecondLevelDomainForbidden")
				c.host, bucket = "b.localhost", ""
			}
			if p.ListV2 == ListV2Supported {
				got, _ := c.listAll(bucket, nil)
				if slices.IsSorted(got) != (p.Order == ByteOrder) {
					t.Errorf("order %q", got)
				}
				slices.Sort(got)
				if !slices.Equal(got, keys) {
					t.Errorf("got %q", got)
				}
				if part, _ := c.listAll(bucket, url.Values{"prefix": {"b/"}}); len(part) != 2 {
					t.Errorf("prefix: got %q", part)
				}
			} else if doc := c.list(bucket, url.Values{"list-type": {"2"}}); doc.NextContinuationToken != "" || doc.KeyCount != 0 {
				t.Errorf("version 2 answered: %+v", doc)
			}
			if p.Order == HashOrder {
				c.do("GET", bucket, "", "delimiter=/", nil, nil).want(t, 400, "InvalidArgument")
			}
			if got := cloud.Bucket("b").Keys(); !slices.Equal(got, keys) {
				t.Errorf("Keys() is not in byte order: %q", got)
			}
			location := c.do("GET", bucket, "", "location", nil, nil).body
			if !bytes.Contains(location, []byte("<"+p.LocationElement+" ")) {
				t.Errorf("location %s", location)
			}
		})
	}
	cloud, c := start(t, Options{Profile: Profile{Name: "refuses", ListV2: ListV2Refused, MaxKeys: 10}})
	cloud.CreateBucket("b")
	c.do("GET", "b", "", "list-type=2", nil, nil).want(t, 501, "NotImplemented")
}

// TestStartAfter: what stores do with a position, one that is a key and one that is none.
func TestStartAfter(t *testing.T) {
	keys := []string{"a", "b", "c", "d", "\uff21", "\U0001f600"}
	for _, tt := range []struct {
		mode           StartAfter
		atKey, between string
	}{
		{StartAfterExclusive, "c", "c"}, {StartAfterInclusive, "b", "c"}, {StartAfterIgnored, "a", "a"}, {StartAfterSkips, "c", "d"},
	} {
		p := Plain()
		p.StartAfter, p.MaxKeys = tt.mode, 2
		cloud, c := start(t, Options{Profile: p})
		for _, k := range keys {
			cloud.CreateBucket("b").Put(k, nil, Attrs{})
		}
		for after, want := range map[string]string{"b": tt.atKey, "b!": tt.between} {
			if doc := c.list("b", url.Values{"list-type": {"2"}, "start-after": {after}}); len(doc.Contents) == 0 || doc.Contents[0].Key != want {
				t.Errorf("mode %d: behind %q got %+v, want %q first", tt.mode, after, doc.Contents, want)
			}
		}
		if got, _ := c.listAll("b", nil); !slices.Equal(got, keys) {
			t.Errorf("mode %d: tokens lead to %q", tt.mode, got)
		}
	}
	cloud, c := start(t, Options{Profile: Directory()})
	cloud.CreateBucket("b")
	c.do("GET", "b", "", "list-type=2&start-after=a", nil, nil).want(t, 400, "InvalidArgument")

	cloud, c = start(t, Options{Profile: UTF16()})
	for _, k := range append(keys, "d/1", "d/2") {
		cloud.CreateBucket("b").Put(k, nil, Attrs{})
	}
	doc := c.list("b", url.Values{"list-type": {"2"}, "start-after": {"d"}, "delimiter": {"/"}})
	if len(doc.CommonPrefixes) != 1 || len(doc.Contents) != 2 || doc.Contents[0].Key != "\U0001f600" || doc.Contents[1].Key != "\uff21" {
		t.Errorf("UTF-16: got %+v", doc)
	}
}

// TestPauses: short pages, and empty ones, lead on to all keys.
func TestPauses(t *testing.T) {
	cloud, c := start(t, Options{Profile: AWS()})
	for i := range 40 {
		cloud.CreateBucket("b").Put(key3(i), nil, Attrs{})
	}
	cloud.Faults.Add(Rule{Ops: []Op{ListObjectsV2}, Probability: .4, Fault: EmptyPage()})
	cloud.Faults.On(ListObjectsV2, ShortPage(3))
	if got, _ := c.listAll("b", nil); len(got) != 40 || !slices.IsSorted(got) {
		t.Errorf("got %d keys: %q", len(got), got)
	}
}

func key3(i int) string { return fmt.Sprintf("%03d", i) }

// TestManyKeys inserts in random order and lists: neither may be quadratic, which a time limit would have
// to show; here it is enough that the result is right at a size where a quadratic one would hang.
func TestManyKeys(t *testing.T) {
	cloud := New(Options{Profile: OpaqueETag()})
	b := cloud.CreateBucket("b")
	const n = 50_000
	for _, i := range rand.New(rand.NewPCG(3, 3)).Perm(n) {
		b.Put(fmt.Sprintf("%07d", i), nil, Attrs{})
	}
	keys := b.Keys()
	if len(keys) != n || !slices.IsSorted(keys) || keys[n-1] != "0049999" {
		t.Errorf("%d keys, sorted %v", len(keys), slices.IsSorted(keys))
	}
}

func BenchmarkListGenerated(bm *testing.B) {
	cloud := New(Options{})
	b := cloud.Generated("g", Directories(Shape{}, 100, 1000, 1000), GeneratedOptions{})
	pg := cloud.newPage()
	l := listing{q: listQuery{max: 1000, after: []byte("d50")}, enc: keyEncoder{url: true}}
	c := &call{cloud: cloud, bucket: "g"}
	var doc []byte
	for bm.Loop() {
		pg.arena, pg.entries = pg.arena[:0], pg.entries[:0]
		b.fill(pg, l.q)
		l.q.after = append(l.q.after[:0], pg.last...)
		doc = l.head(doc[:0], c)
		for _, e := range pg.entries {
			doc = b.appendContents(doc, pg.key(e), e, l.enc, "")
		}
		if !pg.truncated {
			l.q.after = l.q.after[:0]
		}
	}
	bm.ReportMetric(1000*float64(bm.N)/bm.Elapsed().Seconds(), "keys/s")
}

func BenchmarkListGeneratedHTTP(bm *testing.B) {
	cloud, c := start(bm, Options{RecordLimit: -1})
	cloud.Generated("g", Directories(Shape{}, 100, 1000, 1000), GeneratedOptions{})
	for bm.Loop() {
		r := c.do("GET", "g", "", "list-type=2&encoding-type=url&start-after=d50", nil, nil)
		if r.status != 200 {
			bm.Fatal(r.status)
		}
	}
	bm.ReportMetric(1000*float64(bm.N)/bm.Elapsed().Seconds(), "keys/s")
}

func BenchmarkGet4KiB(bm *testing.B) {
	cloud, c := start(bm, Options{})
	cloud.CreateBucket("b").Put("k", make([]byte, 4096), Attrs{})
	for bm.Loop() {
		c.get("b", "k")
	}
}

func BenchmarkPut4KiB(bm *testing.B) {
	cloud, c := start(bm, Options{})
	cloud.CreateBucket("b")
	data := make([]byte, 4096)
	for bm.Loop() {
		c.put("b", "k", data)
	}
}
