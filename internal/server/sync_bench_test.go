package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

// The load of BenchmarkSyncEvents.
const (
	namesPerCall  = 10
	eventsClients = 32 // calls under way at a time
	benchObjects  = 2000
)

// BenchmarkSyncEvents sends object names to a whole service: HTTP on loopback, every call signed, checked and protected
// against repeats, every name synced to disk before the answer. "accept" has no workers; "apply" copies the objects
// between two stores in this process at the same time. One iteration is one call with ten names.
func BenchmarkSyncEvents(b *testing.B) {
	b.Run("accept", func(b *testing.B) { benchSyncEvents(b, true) })
	b.Run("apply", func(b *testing.B) { benchSyncEvents(b, false) })
}

func benchSyncEvents(b *testing.B, noWorkers bool) { //nolint:revive // as the configuration has it
	b.Helper()
	const ak, sk = "AKBENCH", "a secret of the benchmark"
	cfg := DefaultConfig()
	cfg.Listen, cfg.DataDir, cfg.NoWorkers = "127.0.0.1:0", filepath.Join(b.TempDir(), "data"), noWorkers
	cfg.Quota.SyncEvents = 100_000_000
	src, srcURL := benchCloud(b, ak, sk, "lab-a")
	dst, dstURL := benchCloud(b, ak, sk, "lab-b")
	cfg.Regions = []region.Override{
		{CloudType: oms.CloudAWS, Region: "lab-a", Endpoint: srcURL, PathStyle: true},
		{CloudType: oms.CloudHuawei, Region: "lab-b", Endpoint: dstURL, PathStyle: true},
	}
	from := src.CreateBucket("source")
	dst.CreateBucket("destination")
	for i := range benchObjects {
		from.Put(strconv.Itoa(i), []byte("object "+strconv.Itoa(i)), testcloud.Attrs{})
	}
	client := serveBench(b, cfg)
	created, err := client.CreateSyncTask(b.Context(), &omsv2.CreateSyncTaskRequest{
		SrcCloudType: "AWS", SrcRegion: "lab-a", SrcBucket: "source", SrcAK: ak, SrcSK: sk,
		DstRegion: "lab-b", DstBucket: "destination", DstAK: ak, DstSK: sk,
	})
	if err != nil {
		b.Fatal(err)
	}
	var calls atomic.Int64
	send := func() error {
		n := calls.Add(1)
		names := make([]string, namesPerCall)
		for i := range names {
			names[i] = strconv.FormatInt((n*namesPerCall+int64(i))%benchObjects, 10)
			if noWorkers { // every name is a new row
				names[i] = fmt.Sprintf("folder/%d/%d", n, i)
			}
		}
		return client.CreateSyncEvents(b.Context(), created.SyncTaskID, names...)
	}
	b.ResetTimer()
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(b.N))
	var senders sync.WaitGroup
	for range eventsClients {
		senders.Go(func() {
			for left.Add(-1) >= 0 {
				if err := send(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	took := time.Since(began).Seconds()
	b.StopTimer()
	b.ReportMetric(float64(b.N*namesPerCall)/took, "names/s")
	shown, err := client.ShowSyncTask(b.Context(), created.SyncTaskID, time.Now().UnixMilli())
	if err != nil {
		b.Fatal(err)
	}
	if want := calls.Load() * namesPerCall; shown.MonthlyAcceptanceRequest != want {
		b.Errorf("%d names were counted, %d were accepted", shown.MonthlyAcceptanceRequest, want)
	}
	if !noWorkers {
		b.ReportMetric(float64(shown.MonthlySuccessObject+shown.MonthlySkipObject)/took, "applied/s")
	}
}

func benchCloud(b *testing.B, ak, sk, id string) (*testcloud.Cloud, string) {
	b.Helper()
	c := testcloud.New(testcloud.Options{AccessKey: ak, SecretKey: sk, Region: id})
	url, stop, err := c.Start(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stop)
	return c, url
}

// serveBench runs a service and returns a client of it.
func serveBench(b *testing.B, cfg Config) *omsv2.Client {
	b.Helper()
	var logs bytes.Buffer
	s, err := New(b.Context(), Options{
		Config: cfg, Version: "bench", Logger: slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelError})), Clock: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	transport := &http.Transport{MaxIdleConnsPerHost: eventsClients, DialContext: (&net.Dialer{}).DialContext}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			b.Error(err)
		}
		if logs.Len() > 0 {
			b.Logf("%s", logs.String())
		}
	})
	first, err := auth.ReadBootstrapEnv(filepath.Join(cfg.DataDir, "bootstrap.env"))
	if err != nil {
		b.Fatal(err)
	}
	return &omsv2.Client{
		Endpoint: s.URL(), ProjectID: first.ProjectID, AccessKey: first.AK, SecretKey: omsv2.Secret(first.SK.Reveal()),
		HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute},
	}
}
