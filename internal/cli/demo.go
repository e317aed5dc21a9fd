package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/server"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/omsv2"
)

type demoOptions struct {
	exit    bool
	dataDir string
	listen  string
	objects int
}

// newDemoCommand shows a whole service.
func newDemoCommand(env *Env) *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a whole service with two stores and one verified migration",
		Long: `Show a whole service: API and workers with an embedded database, two S3 stores in this process as the regions
lab-a and lab-b, a bucket full of objects, and one migration that is created through the API with signed requests.
Afterwards both buckets are compared byte by byte, without the service. It stays up until Ctrl-C.`,
		Example: `  oms demo
  oms demo --exit   # status 0 only if every object arrived and was verified`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), env, opts) },
	}
	cmd.Flags().BoolVar(&opts.exit, "exit", false, "leave when the migration is verified")
	cmd.Flags().StringVar(&opts.dataDir, "data-dir", "", "keep the service's data in `DIR` (default a temporary one)")
	cmd.Flags().StringVar(&opts.listen, "listen", "127.0.0.1:0", "`ADDR` of the API; port 0 picks one")
	cmd.Flags().IntVar(&opts.objects, "objects", 3000, "migrate `N` small objects besides the special ones")
	return cmd
}

// Names of the demo.
const (
	demoSourceBucket      = "photos"
	demoDestinationBucket = "backup"
)

// demo is a running demo.
type demo struct {
	env      *Env
	opts     demoOptions
	dir      string
	src, dst *demoStore
	server   *server.Server
	client   *omsv2.Client
}

// demoStore is one of the two stores.
type demoStore struct {
	cloud  *testcloud.Cloud
	region string
	url    string
	keys   oms.Credentials
	stop   func()
}

func runDemo(ctx context.Context, env *Env, opts demoOptions) (err error) {
	if opts.objects < 1 || opts.objects > 1_000_000 {
		return usageErrorf("--objects: want a number from 1 to 1000000")
	}
	d := &demo{env: env, opts: opts, dir: opts.dataDir}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "oms-demo-"); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	if d.src, err = newDemoStore(ctx, "lab-a", testcloud.AWS()); err != nil {
		return err
	}
	defer d.src.stop()
	if d.dst, err = newDemoStore(ctx, "lab-b", testcloud.OBS()); err != nil {
		return err
	}
	defer d.dst.stop()
	seed(d.src.cloud.CreateBucket(demoSourceBucket), opts.objects)
	d.dst.cloud.CreateBucket(demoDestinationBucket)
	return d.serve(ctx)
}

// newDemoStore starts a store with a random key of its own on a free loopback port.
func newDemoStore(ctx context.Context, id string, profile testcloud.Profile) (*demoStore, error) {
	s := &demoStore{region: id, keys: oms.Credentials{AccessKey: "demo-" + id, SecretKey: oms.NewSecret(randomHex(20))}}
	s.cloud = testcloud.New(testcloud.Options{
		AccessKey: s.keys.AccessKey, SecretKey: s.keys.SecretKey.Reveal(), Region: id, Profile: profile, RecordLimit: -1,
	})
	// The store outlives ctx until the service has stopped.
	url, stop, err := s.cloud.Start(context.WithoutCancel(ctx), "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url, s.stop = url, stop
	return s, nil
}

// serve runs the service around the migration.
func (d *demo) serve(ctx context.Context) (err error) {
	cfg := server.DefaultConfig()
	cfg.Listen, cfg.DataDir = d.opts.listen, filepath.Join(d.dir, "oms-data")
	cfg.Regions = []region.Override{
		{CloudType: oms.CloudAWS, Region: d.src.region, Name: "Demo source", Endpoint: d.src.url, PathStyle: true},
		{CloudType: oms.CloudHuawei, Region: d.dst.region, Name: "Demo destination", Endpoint: d.dst.url, PathStyle: true},
	}
	log, err := newLogger(d.env, "text", "error")
	if err != nil {
		return err
	}
	d.server, err = server.New(ctx, server.Options{
		Config: cfg, Initial: initialCredentials(d.env), Version: buildVersion(), Logger: log, Clock: d.env.Now,
	})
	if err != nil {
		return startError(err)
	}
	defer func() { err = errors.Join(err, d.server.Close()) }()
	if d.client, err = d.newClient(); err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.server.Run(work) }()
	err = d.play(ctx)
	if err == nil && !d.opts.exit {
		select {
		case <-ctx.Done():
		case err = <-ended:
			ended <- nil
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

// newClient signs with the first access key of the service.
func (d *demo) newClient() (*omsv2.Client, error) {
	_, file := d.server.FirstStart()
	first, err := auth.ReadBootstrapEnv(file)
	if err != nil {
		return nil, err
	}
	return &omsv2.Client{
		Endpoint: d.server.URL(), ProjectID: first.ProjectID, AccessKey: first.AK, SecretKey: wire(first.SK), Now: d.env.Now,
	}, nil
}

// play migrates, verifies and says what happened.
func (d *demo) play(ctx context.Context) error {
	bucket := d.src.cloud.Bucket(demoSourceBucket)
	d.say("OpenOMS demo: a service, two S3 stores and one migration, all in this process.\n\n")
	d.say("  API          %s\n  source       AWS lab-a, bucket %s: %s objects\n  destination  HuaweiCloud lab-b, bucket %s: empty\n\n",
		d.server.URL(), demoSourceBucket, formatCount(bucket.Len()), demoDestinationBucket)
	created, err := d.client.CreateTask(ctx, d.request())
	if err != nil {
		return err
	}
	d.say("POST /v2/%s/tasks -> task %d\n\n", d.client.ProjectID, created.ID)
	if err := d.follow(ctx, created.ID); err != nil {
		return err
	}
	differences := testcloud.Compare(bucket, d.dst.cloud.Bucket(demoDestinationBucket), testcloud.CompareOptions{Ignore: []string{"oms/"}})
	for _, line := range differences {
		d.say("  %s\n", line)
	}
	if len(differences) > 0 {
		d.say("\nNOT VERIFIED: the buckets differ.\n")
		return silent(statusIncomplete)
	}
	d.say("\nVERIFIED: keys, bytes, content headers and metadata of %s objects are equal in both buckets.\n", formatCount(bucket.Len()))
	if d.opts.exit {
		return nil
	}
	return d.invite()
}

// request is the task of the demo.
func (d *demo) request() *omsv2.CreateTaskRequest {
	return &omsv2.CreateTaskRequest{
		TaskType: string(oms.TypePrefix),
		SrcNode: &omsv2.SourceNodeRequest{
			CloudType: string(oms.CloudAWS), Region: d.src.region, Bucket: demoSourceBucket, ObjectKey: []string{""},
			AK: omsv2.Secret(d.src.keys.AccessKey), SK: wire(d.src.keys.SecretKey),
		},
		DstNode: &omsv2.DestinationNodeRequest{
			Region: d.dst.region, Bucket: demoDestinationBucket,
			AK: omsv2.Secret(d.dst.keys.AccessKey), SK: wire(d.dst.keys.SecretKey),
		},
		Description: "The migration of the demo", EnableMetadataMigration: true,
	}
}

// follow shows the progress of the task on stdout.
func (d *demo) follow(ctx context.Context, id int64) error {
	var last *omsv2.Task
	p, err := follow(ctx, d.env, newReporter(d.env, d.env.Stdout, demoSourceBucket+" -> "+demoDestinationBucket),
		func(ctx context.Context) (progress, bool, error) {
			t, err := d.client.ShowTask(ctx, id)
			if err != nil {
				return progress{}, false, err
			}
			last = t
			return progressOf(t), restsAt(oms.Status(t.Status)), nil
		})
	if err != nil {
		return err
	}
	d.say("\n")
	s := summary{TaskID: id, Status: p.Status, progress: p, Next: fmt.Sprintf("oms task start %d --failed-only", id)}
	if last.ErrorReason != nil {
		s.ErrorCode, s.ErrorMessage = last.ErrorReason.ErrorCode, last.ErrorReason.ErrorMsg
	}
	return conclude(ctx, d.env, watchOptions{}, s, apiFailures(d.client, id, omsv2.ListFailuresOptions{}))
}

// invite writes the keys to a file and says what can be tried with them.
func (d *demo) invite() error {
	file := filepath.Join(d.dir, "demo.env")
	text := fmt.Sprintf("export OMS_ENDPOINT=%s OMS_AK=%s OMS_SK=%s OMS_PROJECT=%s\n"+
		"export OMS_SRC_AK=%s OMS_SRC_SK=%s OMS_DST_AK=%s OMS_DST_SK=%s\n",
		d.server.URL(), d.client.AccessKey, string(d.client.SecretKey), d.client.ProjectID,
		d.src.keys.AccessKey, d.src.keys.SecretKey.Reveal(), d.dst.keys.AccessKey, d.dst.keys.SecretKey.Reveal())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.say(`
Try in another terminal:
  . %s
  oms task list
  oms task create 's3://%s/2024/03/?region=lab-a' 'obs://%s/again/?region=lab-b' --wait
  oms migrate 's3://%s?region=lab-a&endpoint=%s' 'obs://%s/cli/?region=lab-b&endpoint=%s'
  curl %s/metrics

Ctrl-C ends the demo.
`, file, demoSourceBucket, demoDestinationBucket,
		demoSourceBucket, d.src.url, demoDestinationBucket, d.dst.url, d.server.URL())
	return nil
}

// say prints for the person who watches.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.env.Stdout, format, args...) }
