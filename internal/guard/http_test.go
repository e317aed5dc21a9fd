package guard

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// server is a real server on the loopback interface of one of the four shapes.
type server struct {
	name    string
	size    int
	latency time.Duration
	perConn float64                      // bytes per second
	limit   float64                      // requests per second
	slower  func(inflight int64) float64 // times latency
}

func servers() []server {
	return []server{
		{name: "latency", size: 4 << 10, latency: 50 * time.Millisecond},
		{name: "limit", size: 4 << 10, latency: 20 * time.Millisecond, limit: 1500},
		{name: "connection", size: mib, latency: 5 * time.Millisecond, perConn: 5 * mb},
		{name: "collapse", size: 64 << 10, latency: 20 * time.Millisecond, slower: func(n int64) float64 {
			return max(1, math.Pow(float64(n)/12, 3))
		}},
	}
}

func (s server) start(tb testing.TB) string {
	tb.Helper()
	body := make([]byte, s.size)
	var inflight atomic.Int64
	var mu sync.Mutex
	tokens, at := s.limit/10, time.Now()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.limit > 0 {
			mu.Lock()
			now := time.Now()
			tokens, at = min(tokens+now.Sub(at).Seconds()*s.limit, s.limit/10), now
			refuse := tokens < 1
			if !refuse {
				tokens--
			}
			mu.Unlock()
			if refuse {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		n := inflight.Add(1)
		defer inflight.Add(-1)
		pause := s.latency
		if s.slower != nil {
			pause = time.Duration(float64(pause) * s.slower(n))
		}
		time.Sleep(pause)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		chunk := len(body)
		if s.perConn > 0 {
			chunk = 64 << 10
		}
		for left := body; len(left) > 0; left = left[min(chunk, len(left)):] {
			_, _ = w.Write(left[:min(chunk, len(left))])
			if s.perConn > 0 {
				time.Sleep(time.Duration(float64(chunk) / s.perConn * 1e9))
			}
		}
	}))
	tb.Cleanup(srv.Close)
	return srv.URL
}

// load sends requests with many goroutines for the time, and returns how many bodies came per second in the second
// half of it, and refusals per 100 of them.
func load(b *testing.B, url string, flow *Flow, client *http.Client, callers int, span time.Duration) (rate, refusals float64) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), span)
	defer cancel()
	var oks, refused atomic.Int64
	late := time.Now().Add(span / 2)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for {
				ticket, err := flow.Acquire(ctx, "")
				if err != nil {
					return
				}
				err = fetch(ctx, client, url, &ticket)
				ticket.Done(OutcomeOf(err, 0))
				switch {
				case oms.KindOf(err) == oms.Throttled:
					if time.Now().After(late) {
						refused.Add(1)
					}
					time.Sleep(100 * time.Millisecond)
				case err == nil && time.Now().After(late):
					oks.Add(1)
				}
			}
		})
	}
	all.Wait()
	return float64(oks.Load()) / (span / 2).Seconds(), 100 * float64(refused.Load()) / float64(max(oks.Load(), 1))
}

func fetch(ctx context.Context, client *http.Client, url string, ticket *Ticket) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return oms.Errorf(oms.Throttled, "SlowDown", "")
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := res.Body.Read(buf)
		ticket.Progress(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// BenchmarkServers runs the controller against real servers of the four shapes, each once and for eight seconds:
//
//	go test ./internal/guard -run xxx -bench Servers -benchtime 1x
//
// It reports requests per second and refusals per 100 requests of the last four seconds, and slots at the end.
func BenchmarkServers(b *testing.B) {
	for _, s := range servers() {
		b.Run(s.name, func(b *testing.B) {
			transport := &http.Transport{MaxIdleConnsPerHost: 600, MaxIdleConns: 600, DisableCompression: true}
			defer transport.CloseIdleConnections()
			url := s.start(b)
			for b.Loop() {
				g := New(Options{})
				flow := g.Open(testKey, 1)
				rate, refusals := load(b, url, flow, &http.Client{Transport: transport}, 600, 8*time.Second)
				flow.Close()
				b.ReportMetric(rate, "requests/s")
				b.ReportMetric(refusals, "refusals/100")
				b.ReportMetric(float64(g.Snapshot()[0].Slots), "slots")
			}
		})
	}
}
