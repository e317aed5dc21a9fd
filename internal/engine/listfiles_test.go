package engine_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/storage/urllist"
	"github.com/openoms/openoms/internal/testcloud"
)

// plainText is what a list file must be.
func plainText() testcloud.Attrs { return testcloud.Attrs{ContentType: "text/plain"} }

// list stores a list file in a bucket of its own beside the destination.
func (l *lab) list(key, text string) {
	l.dst.CreateBucket("lists").Put(key, []byte(text), plainText())
}

// listed makes a task over list files.
func listed(key string) func(*oms.TaskSpec) {
	return func(s *oms.TaskSpec) {
		s.Type, s.Src.Keys = oms.TypeList, nil
		s.Src.ListFile = &oms.ListFile{Bucket: "lists", Key: key}
	}
}

// names returns the lines of n seeded objects.
func names(n int, prefix string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(prefix + strings.Repeat("0", 5-len(itoa(i))) + itoa(i) + "\n")
	}
	return b.String()
}

// A list task copies what its lines name and nothing else: names decoded, empty lines skipped, a name listed twice once.
func TestList(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(150, 100, "o/")
	for _, key := range []string{"with blank/a+b", "中", "percent%", "large"} {
		l.from.Put(key, []byte(key), testcloud.Attrs{})
	}
	l.from.Put("large", make([]byte, 20<<20), testcloud.Attrs{})
	l.list("a.txt", names(150, "o/")+"\r\nwith%20blank/a+b\r\n%E4%B8%AD\npercent%25\nlarge\nlarge\no/00007\nlarge")
	l.from.Put("not listed", []byte("x"), testcloud.Attrs{})
	p := l.start(l.options("one"))
	id := p.create(listed("a.txt"))
	l.from.Delete("not listed") // no request for it can succeed, and the comparison does not expect it
	task := p.succeed(id)
	if c := task.Counters; c.Listed != 157 || c.Migrated != 154 || c.Skipped != 3 {
		t.Errorf("counted %+v, want 157 listed, 154 migrated and the 3 repeated ones skipped", c)
	}
	if n := l.src.Count(testcloud.ListObjectsV2); n > 2 { // the checks at creation
		t.Errorf("%d listings of the source for a task that names its objects", n)
	}
}

// With FULL_OVERWRITE a name that is listed twice is copied twice, one after the other.
func TestListedTwiceWithOverwrite(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.from.Put("a", make([]byte, 20<<20), testcloud.Attrs{})
	l.list("a.txt", strings.Repeat("a\n", 5))
	p := l.start(l.options("one"))
	task := p.succeed(p.create(func(s *oms.TaskSpec) {
		listed("a.txt")(s)
		s.Overwrite = oms.FullOverwrite
	}))
	if c := task.Counters; c.Listed != 5 || c.Migrated != 5 || c.MovedBytes != 100<<20 {
		t.Errorf("counted %+v, want 5 migrated", c)
	}
	if peak := l.dst.Peak(testcloud.CompleteMultipartUpload); peak > 1 {
		t.Errorf("%d uploads of one name at a time", peak)
	}
}

// A name that is missing in the source is a failed object; two lines with it are two failures, so that the books
// balance, and both are gone once a retry finds the object.
func TestListedMissing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(20, 100, "o/")
	l.list("a.txt", names(20, "o/")+"late\nnever\nlate\n")
	p := l.start(l.options("one"))
	id := p.create(listed("a.txt"))
	task := p.fail(id, "TRF.0004")
	if c := task.Counters; c.Listed != 23 || c.Migrated != 20 || c.Failed != 3 || task.FailedList.Result == nil || !*task.FailedList.Result {
		t.Fatalf("counted %+v with list %+v, want 3 failed", c, task.FailedList)
	}
	fs, err := p.Failures(t.Context(), project, id, "", 10)
	if err != nil || len(fs) != 3 || fs[0].Key != "late" || fs[1].Key != "late" || fs[2].Key != "never" || fs[0].Code != oms.FailMissing {
		t.Fatalf("failures %+v, %v", fs, err)
	}
	if fs, err = p.Failures(t.Context(), project, id, "late", 10); err != nil || len(fs) != 1 || fs[0].Key != "never" {
		t.Errorf("failures behind the first name: %+v, %v", fs, err)
	}
	record, ok := l.to.Get(task.FailedList.Key)
	if !ok {
		t.Fatal("no list of failed objects")
	}
	text := string(record.Bytes())
	if strings.Count(text, "\tlate\tlate\t") != 2 || strings.Count(text, "\tnever\tnever\t") != 1 || strings.Contains(text, "%00") {
		t.Errorf("list of failed objects:\n%s", text)
	}
	l.from.Put("late", []byte("here"), testcloud.Attrs{})
	p.resume(id, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	task = p.fail(id, "TRF.0004")
	if c := task.Counters; c.Listed != 23 || c.Failed != 1 || c.Migrated+c.Skipped != 22 || !c.Balanced() {
		t.Errorf("after the first retry: %+v", c)
	}
	l.from.Put("never", []byte("after all"), testcloud.Attrs{})
	p.resume(id, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	if task = p.succeed(id); task.Counters.Listed != 23 || task.Counters.Failed != 0 {
		t.Errorf("after the second retry: %+v", task.Counters)
	}
}

// A mistake in a list file stops the task with its code and line before anything is copied (OMS v2, 6.2 and 6.3).
func TestListRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opener = urlOpener(t)
	l.seed(3, 100, "o/")
	lists := l.dst.CreateBucket("lists")
	put := func(key, text string, attrs testcloud.Attrs) { lists.Put(key, []byte(text), attrs) }
	good := names(3, "o/")
	put("a.csv", good, plainText())
	put("html.txt", good, testcloud.Attrs{ContentType: "text/html"})
	put("gzip.txt", good, testcloud.Attrs{ContentType: "text/plain", ContentEncoding: "gzip"})
	put("empty.txt", "", plainText())
	put("blank.txt", "\n\n", plainText())
	put("bad.txt", strings.Repeat(good, 40_000)+"100%\n", plainText())
	put("long.txt", good+strings.Repeat("x", 65_536), plainText())
	put("bom.txt", "\xef\xbb\xbf"+good, plainText())
	put("first.txt", "missing\n"+good, plainText())
	put("urls.txt", "http://h.example/a\ta\nhttp://h.example/b b\n", plainText())
	put("folder/1.txt", good, plainText())
	put("folder/2.txt", good+"%\n", plainText())
	put("mixed/1.txt", good, plainText())
	put("mixed/read.me", good, plainText())
	put("marker/", "", testcloud.Attrs{})
	for i := range 2001 {
		put("many/"+strconv.Itoa(i)+".txt", good, plainText())
	}
	put("archived.txt", good, plainText())
	put("denied.txt", good, plainText())
	l.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: testcloud.KeyIs("archived.txt"), Fault: testcloud.Fail(http.StatusForbidden, "InvalidObjectState")})
	l.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.HeadObject}, Key: testcloud.KeyIs("denied.txt"), Fault: testcloud.Fail(http.StatusForbidden, "AccessDenied")})
	opts := l.options("one")
	opts.Logger = slog.New(slog.DiscardHandler)
	p := l.start(opts)
	for _, tc := range []struct{ key, code, say string }{
		{"a.csv", "TRF.0014", ".txt"},
		{"missing.txt", "TRF.0013", "does not exist"},
		{"denied.txt", "TRF.0013", "keys"},
		{"html.txt", "TRF.0019", "content type"},
		{"gzip.txt", "TRF.0019", "content encoding"},
		{"empty.txt", "TRF.0017", "empty"},
		{"blank.txt", "TRF.0017", "empty"},
		{"bad.txt", "TRF.0016", "line 120001: "},
		{"long.txt", "TRF.0018", "line 4: "},
		{"bom.txt", "TRF.0016", "byte order mark"},
		{"archived.txt", "TRF.0301", "archived"},
		{"first.txt", "TRF.0156", "first object"},
		{"folder/", "TRF.0016", "folder/2.txt"},
		{"mixed/", "TRF.0014", "read.me"},
		{"marker/", "TRF.0013", "does not exist"},
		{"none/", "TRF.0013", "does not exist"},
		{"many/", "TRF.0014", "2000"},
	} {
		task := p.fail(p.create(listed(tc.key)), tc.code)
		if !strings.Contains(task.Error.Message, tc.say) || !strings.HasSuffix(task.Error.Message, ".") {
			t.Errorf("%s: message %q does not say %q", tc.key, task.Error.Message, tc.say)
		}
	}
	task := p.fail(p.create(urls("urls.txt")), "TRF.0016")
	if !strings.Contains(task.Error.Message, "line 2: ") {
		t.Errorf("message %q", task.Error.Message)
	}
	put("twins/1.txt", "http://h.example/a\ta\nhttp://h.example/b\tb\nhttp://h.example/a\ta\n", plainText()) // one is repeated
	put("twins/2.txt", "http://h.example/c\tc\nhttp://h.example/d\tb\n", plainText())
	task = p.fail(p.create(urls("twins/")), "TRF.0016")
	if !strings.Contains(task.Error.Message, `"twins/2.txt" cannot be used: line 2: its name is that of line 2 of "twins/1.txt"`) {
		t.Errorf("message %q", task.Error.Message)
	}
	for _, key := range l.to.Keys() {
		if !strings.HasPrefix(key, "oms/") {
			t.Errorf("%s was copied", key)
		}
	}
}

// The bucket of the list must be reached when the task is created.
func TestListBucketMissing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	idle := l.options("api")
	idle.NoWorkers = true
	p := l.start(idle)
	if _, err := p.Create(t.Context(), l.task(listed("a.txt")), keys()); oms.CodeOf(err) != "OMS.0057" {
		t.Errorf("error %v, want OMS.0057", err)
	}
	for _, file := range []*oms.ListFile{nil, {Bucket: "lists"}, {Key: "a.txt"}} {
		task := l.task(listed("a.txt"))
		task.Spec.Src.ListFile = file
		if _, err := p.Create(t.Context(), task, keys()); oms.CodeOf(err) != "OMS.1004" {
			t.Errorf("error %v, want OMS.1004", err)
		}
	}
	if ts, n, err := p.List(t.Context(), oms.TaskFilter{ProjectID: project, Limit: 10}); n != 0 || err != nil {
		t.Errorf("tasks %v, %v, want none", ts, err)
	}
}

// A folder of lists is one task, its files in byte order of their names.
func TestListFolder(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(90, 100, "o/")
	lines := strings.SplitAfter(names(90, "o/"), "\n")
	for i := range 3 {
		l.list("in/"+itoa(i)+".txt", strings.Join(lines[i*30:(i+1)*30], ""))
	}
	l.list("in/", "")
	l.list("input.txt", "not in the folder")
	p := l.start(l.options("one"))
	id := p.create(listed("in/"))
	if task := p.succeed(id); task.Counters.Migrated != 90 {
		t.Errorf("counted %+v, want 90 migrated", task.Counters)
	}
	for i, r := range l.ranges(id) {
		if f, err := oms.ParseListSource(r.Prefix); err != nil || f.Index != i || f.Key != "in/"+itoa(i)+".txt" || f.Lines != 30 {
			t.Errorf("range %d is over %+v, %v", i, f, err)
		}
	}
}

// A list task goes on where it was after a pause and after the end of its process: nothing that had arrived is sent
// again (rules P1, P8). All that is listed is known from the beginning.
func TestListGoesOn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(60, 128<<10, "o/")
	l.list("a.txt", names(60, "o/"))
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) {
		listed("a.txt")(s)
		slow(s)
	})
	running := p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 10 })
	if running.Found != 60 {
		t.Errorf("found %d while running, want all 60", running.Found)
	}
	p.pause(id)
	reads := l.dst.Count(testcloud.GetObject)
	p.resume(id, oms.StartRequest{Credentials: keys()})
	p.until(id, "more have arrived", func(oms.Task) bool { return l.to.Len() >= 25 })
	p.stop()
	there := l.arrived()
	p = l.start(l.options("two"))
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	if task := p.succeed(id); task.Counters.Migrated != 60 || task.Counters.Skipped != 0 {
		t.Errorf("counted %+v, want 60 migrated", task.Counters)
	}
	l.sentOnce(there)
	if n := l.dst.Count(testcloud.GetObject) - reads; n > 4 {
		t.Errorf("%d reads of the list to go on twice", n)
	}
}

// A list that is replaced while its task is paused stops the task: its offsets mean nothing any more.
func TestListChanges(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(40, 128<<10, "o/")
	text := names(40, "o/")
	l.list("a.txt", text)
	p := l.start(l.options("one"))
	id := p.create(func(s *oms.TaskSpec) {
		listed("a.txt")(s)
		slow(s)
	})
	p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 5 })
	p.pause(id)
	l.list("a.txt", strings.ToUpper(text))
	p.resume(id, oms.StartRequest{Credentials: keys()})
	if task := p.fail(id, "TRF.0013"); !strings.Contains(task.Error.Message, "changed") {
		t.Errorf("message %q", task.Error.Message)
	}
	l.list("a.txt", text) // as it was
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	p.resume(id, oms.StartRequest{Credentials: keys()})
	if task := p.succeed(id); task.Counters.Migrated != 40 {
		t.Errorf("counted %+v, want 40 migrated", task.Counters)
	}
}

// A bucket of lists that is away for a while holds the task back and does not fail it.
func TestListBucketAway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.seed(10, 100, "o/")
	l.list("a.txt", names(10, "o/"))
	var n atomic.Int64
	l.dst.Faults.Add(testcloud.Rule{Ops: []testcloud.Op{testcloud.GetObject}, Key: func(key string) bool { return key == "a.txt" && n.Add(1) <= 3 }, Fault: testcloud.InternalError()})
	opts := l.options("one")
	opts.Logger = slog.New(slog.DiscardHandler)
	p := l.start(opts)
	if task := p.succeed(p.create(listed("a.txt"))); task.Counters.Migrated != 10 {
		t.Errorf("counted %+v, want 10 migrated", task.Counters)
	}
}

// urlOpener opens URL lists beside buckets.
func urlOpener(t *testing.T) *urllist.Opener {
	t.Helper()
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	t.Cleanup(tr.CloseIdleConnections)
	return urllist.NewOpener(s3.NewOpener(s3.Options{Transport: tr}), urllist.Options{Transport: tr})
}

// urls makes a task over a list of URLs.
func urls(key string) func(*oms.TaskSpec) {
	return func(s *oms.TaskSpec) {
		s.Type = oms.TypeURLList
		s.Src = oms.SourceNode{CloudType: oms.CloudURL, ListFile: &oms.ListFile{Bucket: "lists", Key: key}}
	}
}

// site is a web server with objects; tests take some away.
type site struct {
	url string

	mu      sync.Mutex
	objects map[string][]byte
	gets    map[string]int // requests for the whole content
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{objects: make(map[string][]byte), gets: make(map[string]int)}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *site) put(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[path] = data
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, ok := s.objects[r.URL.Path]
	if r.Method == http.MethodGet && r.Header.Get("Range") == "" {
		s.gets[r.URL.Path]++
	}
	n := s.gets[r.URL.Path]
	s.mu.Unlock()
	switch {
	case !ok:
		http.NotFound(w, r)
	case strings.HasPrefix(r.URL.Path, "/head/") && r.Method == http.MethodHead:
		w.WriteHeader(http.StatusForbidden)
	case strings.HasPrefix(r.URL.Path, "/unsized/"):
		w.WriteHeader(http.StatusOK)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		if strings.HasSuffix(r.URL.Path, "/torn") && n == 1 { // the first read of the content
			_, _ = w.Write(data[:len(data)*2/3])
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodGet {
			_, _ = w.Write(data)
		}
	case strings.HasPrefix(r.URL.Path, "/plain/"):
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Header().Set("Last-Modified", "Mon, 02 Mar 2020 03:04:05 GMT")
		_, _ = w.Write(data)
	default:
		w.Header().Set("ETag", fmt.Sprintf(`"v%d"`, len(data)))
		http.ServeContent(w, r, "", time.Unix(1_600_000_000, 0), bytes.NewReader(data))
	}
}

// A task over URLs stores what they name under the names given, whatever the web server can and cannot do; what it
// never shows is a URL. Failed ones are found again in the list when they are retried.
func TestURLList(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opener = urlOpener(t)
	s := newSite(t)
	want := map[string][]byte{
		"small": []byte("hello"), "empty": {}, "dir/中": []byte("x"), "large": pattern(20 << 20), "plain large": pattern(18 << 20),
		"head": []byte("no HEAD"), "query": []byte("with query"),
	}
	s.put("/small", want["small"])
	s.put("/empty", want["empty"])
	s.put("/中", want["dir/中"])
	s.put("/large", want["large"])
	s.put("/plain/large", want["plain large"])
	s.put("/head/x", want["head"])
	s.put("/query", want["query"])
	var b strings.Builder
	for _, line := range []string{
		"/small\tsmall", "/empty\tempty", "/%E4%B8%AD\tdir/%E4%B8%AD", "/large\tlarge", "/plain/large\tplain%20large",
		"/head/x\thead", "/query?token=canary-0815\tquery", "/late?token=canary-0815\tlate",
	} {
		b.WriteString(s.url + line + "\n")
	}
	l.list("u.txt", b.String())
	var logs lockedLog
	opts := l.options("one")
	opts.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := l.start(opts)
	task, err := p.Create(t.Context(), l.task(func(spec *oms.TaskSpec) {
		urls("u.txt")(spec)
		spec.Dst.SavePrefix = "site/"
	}), oms.TaskCredentials{Dst: keys().Dst})
	if err != nil {
		t.Fatal(err)
	}
	id := task.ID
	if !strings.HasPrefix(task.Name, "lists-backup-") {
		t.Errorf("task name %q", task.Name)
	}
	task = p.fail(id, "TRF.0004")
	if c := task.Counters; c.Listed != 8 || c.Migrated != 7 || c.Failed != 1 {
		t.Fatalf("counted %+v, want 7 migrated and 1 failed", c)
	}
	l.holds("site/", want)
	if o, ok := l.to.Get("site/small"); !ok || o.ContentType != "text/plain; charset=utf-8" {
		t.Errorf("content type %+v", o)
	}
	fs, err := p.Failures(t.Context(), project, id, "", 10)
	if err != nil || len(fs) != 1 || fs[0].Key != "late" || fs[0].Code != oms.FailMissing {
		t.Fatalf("failures %+v, %v", fs, err)
	}
	s.put("/late", []byte("now"))
	want["late"] = []byte("now")
	p.resume(id, oms.StartRequest{Credentials: oms.TaskCredentials{Dst: keys().Dst}, FailedOnly: true})
	task = p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
	if c := task.Counters; c.Listed != 8 || c.Failed != 0 || c.Migrated != 8 {
		t.Errorf("after the retry: %+v", c)
	}
	l.holds("site/", want)
	list, _ := l.to.Get(task.FailedList.Key)
	for _, shown := range []string{logs.String(), fmt.Sprintf("%+v", fs), fmt.Sprintf("%+v", list)} {
		if strings.Contains(shown, "canary-0815") {
			t.Errorf("a URL is shown: %s", shown)
		}
	}
}

// holds checks objects of the destination.
func (l *lab) holds(prefix string, want map[string][]byte) {
	l.t.Helper()
	for key, data := range want {
		if o, ok := l.to.Get(prefix + key); !ok || !bytes.Equal(o.Bytes(), data) {
			l.t.Errorf("%q is not what the source has", key)
		}
	}
	if open := l.to.Uploads(); len(open) > 0 {
		l.t.Errorf("%d uploads are left open", len(open))
	}
}

func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	return data
}

// lockedLog collects a log.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A task over URLs goes on after the end of its process.
func TestURLListGoesOn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opener = urlOpener(t)
	s := newSite(t)
	var b strings.Builder
	want := make(map[string][]byte)
	for i := range 40 {
		key := "o" + itoa(i)
		want[key] = pattern(128<<10 + i)
		s.put("/"+key, want[key])
		b.WriteString(s.url + "/" + key + "\t" + key + "\n")
	}
	l.list("u.txt", b.String())
	p := l.start(l.options("one"))
	id := p.create(func(spec *oms.TaskSpec) {
		urls("u.txt")(spec)
		slow(spec)
	})
	p.until(id, "objects have arrived", func(oms.Task) bool { return l.to.Len() >= 10 })
	p.stop()
	there := l.to.Keys()
	p = l.start(l.options("two"))
	if err := p.SetBandwidth(t.Context(), project, id, nil); err != nil {
		t.Fatal(err)
	}
	task := p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
	if c := task.Counters; c.Migrated != 40 || c.Skipped != 0 || !c.Balanced() {
		t.Errorf("counted %+v, want 40 migrated", c)
	}
	l.holds("", want)
	for _, key := range there {
		if n := l.to.Received(key); want[key] != nil && n != int64(len(want[key])) {
			t.Errorf("%q had arrived, but %d bytes were sent in all", key, n)
		}
	}
}

// What a server does not tell the size of is copied only without a consistency check, and then to the last byte of the
// stream, however long (OMS v2, 6.5).
func TestURLsWithoutSize(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opener = urlOpener(t)
	s := newSite(t)
	want := map[string][]byte{
		"empty": {}, "small": []byte("hello"), "piece": pattern(8 << 20), "pieces": pattern(16 << 20), "large": pattern(20<<20 + 1), "torn": pattern(17 << 20),
	}
	var b strings.Builder
	for key, data := range want {
		s.put("/unsized/"+key, data)
		b.WriteString(s.url + "/unsized/" + key + "\t" + key + "\n")
	}
	l.list("u.txt", b.String())
	opts := l.options("one")
	opts.Logger = slog.New(slog.DiscardHandler)
	p := l.start(opts)
	id := p.create(urls("u.txt"))
	if c := p.fail(id, "TRF.0004").Counters; c.Failed != 6 || c.FailedBytes != 0 {
		t.Errorf("counted %+v, want all failed", c)
	}
	if fs, err := p.Failures(t.Context(), project, id, "", 10); err != nil || len(fs) != 6 || fs[0].Code != oms.FailConsistency || !strings.Contains(fs[0].Message, "no_check") {
		t.Errorf("failures %+v, %v", fs, err)
	}
	id = p.create(func(spec *oms.TaskSpec) {
		urls("u.txt")(spec)
		spec.Consistency = oms.CheckNone
	})
	task := p.until(id, "it succeeds", is(oms.StatusSucceeded), oms.StatusWaiting, oms.StatusRunning, oms.StatusSucceeded)
	if c := task.Counters; c.Migrated != 6 || c.MigratedBytes != 61<<20+6 || c.MovedBytes != c.MigratedBytes {
		t.Errorf("counted %+v, want all migrated", c)
	}
	l.holds("", want)
	if n := s.reads("/unsized/torn"); n != 2 {
		t.Errorf("%d reads of what broke off once", n)
	}
}

// reads returns how often the whole content was asked for.
func (s *site) reads(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets[path]
}
