package engine_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openoms/openoms/internal/cdnsign"
	"github.com/openoms/openoms/internal/engine"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage/cdn"
	"github.com/openoms/openoms/internal/storage/s3"
	"github.com/openoms/openoms/internal/testcloud"
)

const cdnKey = "a key of the CDN host"

// front starts a CDN host before the source and returns its domain.
func (l *lab) front(opts testcloud.CDNOptions) (string, *testcloud.CDN) {
	l.t.Helper()
	host := l.from.CDN(opts)
	s := httptest.NewServer(host)
	l.t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), host
}

// withCDN is the options of an engine whose opener knows CDN hosts.
func (l *lab) withCDN() engine.Options {
	tr := s3.NewTransport(s3.TransportOptions{Dial: (&net.Dialer{}).DialContext})
	l.t.Cleanup(tr.CloseIdleConnections)
	opts := l.options("a")
	opts.Opener = cdn.NewOpener(l.opener, cdn.Options{Transport: tr})
	return opts
}

func throughCDN(domain string, method cdnsign.Method) func(*oms.TaskSpec) {
	return func(s *oms.TaskSpec) {
		s.CDN = &oms.CDN{Domain: domain, Protocol: "http", AuthenticationType: string(method)}
	}
}

func cdnKeys() oms.TaskCredentials {
	k := keys()
	k.Src.CDNKey = oms.NewSecret(cdnKey)
	return k
}

// TestCDN moves a bucket through its CDN host: every byte comes from there, large objects in parts, properties from the
// bucket; after a pause the key is needed again.
func TestCDN(t *testing.T) {
	l := newLab(t)
	l.seed(40, 3000, "small/")
	l.from.Put("large", make([]byte, 40<<20), testcloud.Attrs{ContentType: "image/x", Meta: map[string]string{"a": "b"}})
	l.from.Put("empty", nil, testcloud.Attrs{})
	domain, host := l.front(testcloud.CDNOptions{Method: string(cdnsign.TencentD), Key: cdnKey})
	p := l.start(l.withCDN())
	change := throughCDN(domain, cdnsign.TencentD)
	task, err := p.Create(t.Context(), l.task(func(s *oms.TaskSpec) { change(s); slow(s) }), cdnKeys())
	if err != nil {
		t.Fatal(err)
	}
	p.until(task.ID, "it runs", is(oms.StatusRunning), oms.StatusWaiting, oms.StatusRunning)
	p.pause(task.ID)
	if err := p.SetBandwidth(t.Context(), project, task.ID, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context(), project, task.ID, oms.StartRequest{Credentials: keys()}); oms.CodeOf(err) != "OMS.1032" {
		t.Fatalf("start without the key: got %v, want OMS.1032", err)
	}
	p.resume(task.ID, oms.StartRequest{Credentials: cdnKeys()})
	p.succeed(task.ID)
	if n := l.src.Count(testcloud.GetObject); n != 0 {
		t.Errorf("%d objects were read from the bucket", n)
	}
	if host.Refused.Load() != 0 || host.Served.Load() < 42 {
		t.Errorf("%d served, %d refused", host.Served.Load(), host.Refused.Load())
	}
}

// TestCDNIsChecked: a host that does not serve the objects is refused when the task is made.
func TestCDNIsChecked(t *testing.T) {
	l := newLab(t)
	domain, _ := l.front(testcloud.CDNOptions{Method: string(cdnsign.AliyunA), Key: cdnKey})
	p := l.start(l.withCDN())
	create := func(domain string, method cdnsign.Method) error {
		_, err := p.Create(t.Context(), l.task(throughCDN(domain, method)), cdnKeys())
		return err
	}
	if err := create(domain, cdnsign.AliyunB); err != nil {
		t.Errorf("without objects there is nothing to check: %v", err)
	}
	l.seed(1, 10, "a/")
	for name, err := range map[string]error{
		"other type": create(domain, cdnsign.AliyunB), "nobody there": create("127.0.0.1:1", cdnsign.AliyunA),
	} {
		if oms.CodeOf(err) != "OMS.0081" || strings.Contains(err.Error(), cdnKey) {
			t.Errorf("%s: got %v, want OMS.0081", name, err)
		}
	}
	if err := create(domain, cdnsign.AliyunA); err != nil {
		t.Error(err)
	}
}

// TestStaleCDN: an object whose cached version is old fails, the others arrive.
func TestStaleCDN(t *testing.T) {
	l := newLab(t)
	l.seed(5, 1000, "a/")
	var stale atomic.Bool
	domain, _ := l.front(testcloud.CDNOptions{Before: func(w http.ResponseWriter, _ *http.Request, o *testcloud.Object) bool {
		if o == nil || o.Key != "a/00003" || !stale.Load() {
			return false
		}
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		_, _ = w.Write(make([]byte, 1000))
		return true
	}})
	stale.Store(true)
	p := l.start(l.withCDN())
	task, err := p.Create(t.Context(), l.task(throughCDN(domain, cdnsign.None)), keys())
	if err != nil {
		t.Fatal(err)
	}
	got := p.fail(task.ID, "TRF.0004")
	if got.Counters.Failed != 1 || got.Counters.Migrated != 4 {
		t.Errorf("counters %+v", got.Counters)
	}
	stale.Store(false)
	p.resume(task.ID, oms.StartRequest{Credentials: keys(), FailedOnly: true})
	p.succeed(task.ID)
}
