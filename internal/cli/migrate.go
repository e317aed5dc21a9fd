package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/server"
)

type migrateOptions struct {
	rules       taskRules
	watch       watchOptions
	concurrency int
	minRequests int
	memory      string
	partSize    string
	dataDir     string
	failedOnly  bool
	restart     bool
	logLevel    string
	cpuProfile  string
	again       string // the command that goes on with this migration
}

// newMigrateCommand is one migration without a server.
func newMigrateCommand(env *Env) *cobra.Command {
	var opts migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate SRC DST",
		Short: "Migrate once, without a server; the same command again goes on where it stopped",
		Long: `Migrate once, without a server. It is the engine of the service with its own checkpoint, so the same command
again goes on where an earlier one was stopped, killed or failed, with the keys of now; after a success it looks
for what is new or different.

SRC and DST are SCHEME://BUCKET/PREFIX?PARAMETERS. The schemes are s3, obs, oss, cos, bos, kodo, ks3, qingstor, us3,
gs, and az as in az://ACCOUNT/CONTAINER/PREFIX; the parameters are region, endpoint, profile and path_style. With an
endpoint any S3 store will do, and private addresses are allowed. SRC can be urls:FILE as well, a list of lines with a
URL, a tab and the name that its object gets.

Objects whose key starts with SRC's prefix are migrated. They keep their whole key, and DST's prefix is put before
it, as it is: s3://a/photos/ and s3://b/old/ make photos/1.jpg to old/photos/1.jpg.

` + keysHelp,
		Example: `  oms migrate 's3://photos?region=eu-west-1' 'obs://backup/aws/?region=cn-north-4'
  oms migrate 's3://a?endpoint=http://127.0.0.1:9000' 's3://b?endpoint=http://127.0.0.1:9001' --json
  OMS_SRC_AK=… OMS_SRC_SK=… oms migrate 'oss://logs/2026/?region=cn-beijing' 's3://logs?region=us-east-1&profile=work'`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.again = againCommand(cmd, args)
			return runMigrate(cmd.Context(), env, args[0], args[1], opts)
		},
	}
	opts.rules.register(cmd, true)
	opts.watch.register(cmd)
	cmd.Flags().StringVar(&opts.memory, "memory", "", "at most `SIZE` of memory for objects in flight (default 64MiB)")
	cmd.Flags().StringVar(&opts.partSize, "part-size", "", "move large objects in parts of `SIZE`, from 1MiB to 64MiB, as far as DST allows it (default automatic)")
	_ = cmd.Flags().MarkHidden("part-size") // for measurements; it exists
	cmd.Flags().IntVar(&opts.concurrency, "concurrency", 0, "at most `N` objects and parts in flight (default automatic)")
	cmd.Flags().IntVar(&opts.minRequests, "min-concurrency", 0,
		"always send a store `N` requests of a kind at the same time, whatever it makes of them (default automatic)")
	cmd.Flags().StringVar(&opts.dataDir, "data-dir", "", "keep checkpoints in `DIR` (default $XDG_STATE_HOME/openoms or ~/.local/state/openoms)")
	cmd.Flags().BoolVar(&opts.failedOnly, "failed-only", false, "after a run with failures: retry only the objects that failed")
	cmd.Flags().BoolVar(&opts.restart, "restart", false, "forget an earlier run and begin anew; existing objects are compared as ever")
	cmd.Flags().StringVar(&opts.logLevel, "log-level", "error", "log on stderr from `LEVEL` on: debug, info, warn or error")
	cmd.Flags().StringVar(&opts.cpuProfile, "cpuprofile", "", "write a CPU profile in the format of pprof to `FILE`")
	return cmd
}

// againCommand returns the command line that goes on with a migration: the same places and rules with the same
// checkpoint, without what is meant for one run.
func againCommand(cmd *cobra.Command, args []string) string {
	words := []string{cmd.CommandPath()}
	for _, arg := range args {
		words = append(words, shellQuote(arg))
	}
	for _, name := range append([]string{"data-dir", "overwrite", "metadata", "lists", "bandwidth", "concurrency", "memory", "part-size"}, extendedFlags()...) {
		if f := cmd.Flags().Lookup(name); f.Changed {
			words = append(words, flagWords(f)...)
		}
	}
	return strings.Join(words, " ")
}

// shellWord quotes a text for a shell where it has to be.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return shellQuote(text)
}

// shellQuote puts a text into single quotes for a shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// migration is what the command line asks for, checked.
type migration struct {
	spec      oms.TaskSpec
	keys      oms.TaskCredentials
	endpoints []oms.Endpoint
	urlList   string // path of the list of URLs that is the source; "" when it is a bucket
	id        string // the same for the same source and destination
}

// newMigration reads the command line and the environment.
func newMigration(env *Env, srcText, dstText string, rules taskRules) (*migration, error) {
	table, err := region.New(nil)
	if err != nil {
		return nil, err
	}
	m := &migration{}
	srcID, err := m.from(env, table, srcText)
	if err != nil {
		return nil, err
	}
	dst, dstEnd, err := resolveLocation(env, table, dstText)
	if err != nil {
		return nil, err
	}
	mode, err := rules.overwriteMode()
	if err != nil {
		return nil, err
	}
	windows, err := rules.windows()
	if err != nil {
		return nil, err
	}
	if m.keys.Dst, err = dst.credentials(env, destination); err != nil {
		return nil, err
	}
	if dstEnd, err = dst.locate(dstEnd, m.keys.Dst); err != nil {
		return nil, err
	}
	m.endpoints, m.id = append(m.endpoints, dstEnd), migrationID(srcID, dst.identity(dstEnd))
	m.spec = oms.TaskSpec{
		Type: m.spec.Type,
		Src:  m.spec.Src,
		Dst: oms.DestinationNode{
			CloudType: dst.vendor.cloud, Region: dstEnd.Region, Bucket: dst.bucket, SavePrefix: dst.prefix, Endpoint: dstEnd,
		},
		Bandwidth: windows, MigrateMetadata: rules.metadata, RecordFailures: true, RecordObjects: rules.lists,
		Overwrite: mode, Consistency: oms.CheckSizeModified, Priority: oms.PriorityMedium,
	}
	if err := rules.extended.apply(&m.spec, env.Now()); err != nil {
		return nil, err
	}
	if m.spec.Mode != oms.ModeMigrate { // a state of its own: what it did is no progress of a migration
		m.id += "-" + string(m.spec.Mode)
	}
	return m, nil
}

func resolveLocation(env *Env, table *region.Table, text string) (location, oms.Endpoint, error) {
	l, err := parseLocation(text)
	if err != nil {
		return location{}, oms.Endpoint{}, err
	}
	end, err := l.resolve(env, table)
	return l, end, err
}

// urlScheme begins a source that is a list of URLs in a file: urls:FILE.
const urlScheme = "urls:"

// from reads the source and returns what tells it from others.
func (m *migration) from(env *Env, table *region.Table, text string) (identity []string, err error) {
	if path, ok := strings.CutPrefix(text, urlScheme); ok {
		return m.fromURLs(path)
	}
	l, end, err := resolveLocation(env, table, text)
	if err != nil {
		return nil, err
	}
	if m.keys.Src, err = l.credentials(env, source); err != nil {
		return nil, err
	}
	if end, err = l.locate(end, m.keys.Src); err != nil {
		return nil, err
	}
	m.endpoints, m.spec.Type = append(m.endpoints, end), oms.TypePrefix
	m.spec.Src = oms.SourceNode{CloudType: l.vendor.cloud, Region: end.Region, Bucket: l.bucket, Keys: []string{l.prefix}, Endpoint: end}
	return l.identity(end), nil
}

// fromURLs takes a list of URLs in a file, which is read by the engine.
func (m *migration) fromURLs(path string) (identity []string, err error) {
	if path == "" || strings.HasPrefix(path, "//") {
		return nil, usageErrorf("a list of URLs is written urls:FILE")
	}
	if m.urlList, err = filepath.Abs(path); err != nil {
		return nil, usageError(err)
	}
	info, err := os.Stat(m.urlList)
	if err != nil {
		return nil, usageError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, usageErrorf("%s is no file", m.urlList)
	}
	list := server.LocalList()
	m.spec.Type, m.spec.Src = oms.TypeURLList, oms.SourceNode{CloudType: oms.CloudURL, ListFile: &list}
	return []string{urlScheme, m.urlList}, nil
}

// identity is what tells a place from others. Keys, profiles and rules do not count.
func (l location) identity(end oms.Endpoint) []string {
	return []string{string(l.vendor.cloud), end.URL, end.Region, l.path(), l.prefix}
}

// migrationID names a pair of places.
func migrationID(src, dst []string) string {
	h := sha256.New()
	for _, part := range slices.Concat(src, dst) {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// stateDir returns where checkpoints are kept.
func stateDir(env *Env, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	if dir := env.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "openoms"), nil
	}
	home, err := env.Home()
	if err != nil {
		return "", usageErrorf("no home directory for the checkpoint: give --data-dir")
	}
	return filepath.Join(home, ".local", "state", "openoms"), nil
}

func runMigrate(ctx context.Context, env *Env, src, dst string, opts migrateOptions) (err error) {
	m, err := newMigration(env, src, dst, opts.rules)
	if err != nil {
		return err
	}
	if opts.concurrency < 0 || opts.concurrency > server.MaxConcurrency {
		return usageErrorf("--concurrency: want a number from 0 to %d", server.MaxConcurrency)
	}
	if opts.minRequests < 0 || opts.minRequests > server.MaxConcurrency {
		return usageErrorf("--min-concurrency: want a number from 0 to %d", server.MaxConcurrency)
	}
	var memory int64
	if opts.memory != "" {
		if memory, err = server.ParseMemory(opts.memory); err != nil {
			return usageErrorf("--memory %q: %s", opts.memory, err)
		}
	}
	var partSize int64
	if opts.partSize != "" {
		if partSize, err = server.ParsePartSize(opts.partSize); err != nil {
			return usageErrorf("--part-size %q: %s", opts.partSize, err)
		}
	}
	dir, err := stateDir(env, opts.dataDir)
	if err != nil {
		return err
	}
	log, err := newLogger(env, "text", opts.logLevel)
	if err != nil {
		return usageError(err)
	}
	if opts.cpuProfile != "" {
		stop, err := startProfile(opts.cpuProfile)
		if err != nil {
			return usageError(err)
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	local, err := server.OpenLocal(ctx, server.LocalOptions{
		DataDir: filepath.Join(dir, "migrate-"+m.id), Concurrency: opts.concurrency, MinRequests: opts.minRequests, Memory: memory, PartSize: partSize, Endpoints: m.endpoints, URLList: m.urlList,
		Version: buildVersion(), Logger: log, Clock: env.Now,
	})
	if err != nil {
		return startError(err)
	}
	defer func() { err = errors.Join(err, local.Close()) }()
	r := &migrateRun{env: env, engine: local, migration: m, opts: opts}
	r.title = src + " -> " + dst
	return r.run(ctx)
}

// startProfile profiles the CPU until stop is called.
func startProfile(path string) (stop func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// localProject is the tenant of all tasks in a checkpoint of its own.
const localProject = "local"

// pausePatience bounds the orderly end after Ctrl-C.
const pausePatience = 7 * time.Second

// migrateRun is one run of oms migrate.
type migrateRun struct {
	*migration
	env    *Env
	engine *server.Local
	opts   migrateOptions
	title  string
	before time.Duration // running time of earlier runs over everything, which this one does not count
}

// run starts or resumes the task, follows it and says what became of it. When ctx ends the task is paused, which
// destroys its stored keys.
func (r *migrateRun) run(ctx context.Context) error {
	earlier, err := r.earlier(ctx)
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- r.engine.Run(work) }()
	last, err := r.migrate(ctx, earlier)
	if errors.Is(err, context.Canceled) && last.ID != 0 {
		last, err = r.pause(work, last)
	}
	if err == nil {
		err = r.conclude(work, last)
	}
	stop()
	return errors.Join(err, <-ended)
}

// earlier returns the task that this run goes on with, nil when it begins anew. One that a killed process left
// running is told to pause, so that it gives up the keys of then.
func (r *migrateRun) earlier(ctx context.Context) (*oms.Task, error) {
	tasks, _, err := r.engine.List(ctx, oms.TaskFilter{ProjectID: localProject, Limit: 1})
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	t := tasks[0]
	switch {
	case t.Status == oms.StatusRunning || t.Status == oms.StatusRetrying:
		if err := r.engine.Stop(ctx, localProject, t.ID); err != nil {
			return nil, err
		}
		t.Status = oms.StatusPausing
	case t.Status == oms.StatusSucceeded, r.opts.restart && t.Status != oms.StatusPausing, r.pointless(t):
		return nil, r.engine.Delete(ctx, localProject, t.ID)
	}
	return &t, nil
}

// pointless reports whether nothing is lost when a failed task gives way to a new one: it wrote nothing.
func (r *migrateRun) pointless(t oms.Task) bool {
	unnamed := t.Error != nil && t.Error.Code == oms.CodeNames
	return t.Status == oms.StatusFailed && !r.opts.failedOnly && (t.Spec.ReadOnly() || unnamed)
}

// migrate runs the task to its rest and returns its last state.
func (r *migrateRun) migrate(ctx context.Context, earlier *oms.Task) (oms.Task, error) {
	t, err := r.begin(ctx, earlier)
	if err != nil {
		return oms.Task{}, err
	}
	if t, err = r.engine.Task(ctx, localProject, t.ID); err != nil {
		return oms.Task{}, err
	}
	if doneOf(t.Counters) == 0 {
		r.before = t.RunFor
	}
	return r.follow(ctx, t, r.opts.watch.reporter(r.env, r.title))
}

// begin resumes the earlier task or creates one.
func (r *migrateRun) begin(ctx context.Context, earlier *oms.Task) (oms.Task, error) {
	if earlier == nil {
		return r.create(ctx)
	}
	t := *earlier
	if t.Status == oms.StatusPausing {
		var err error
		if t, err = r.follow(ctx, t, quietReporter{}); err != nil {
			return oms.Task{}, err
		}
		if r.opts.restart {
			if err := r.engine.Delete(ctx, localProject, t.ID); err != nil {
				return oms.Task{}, err
			}
			return r.create(ctx)
		}
	}
	if t.Spec.Overwrite != r.spec.Overwrite || t.Spec.MigrateMetadata != r.spec.MigrateMetadata || !sameRules(t.Spec, r.spec) {
		return oms.Task{}, usageErrorf("an unfinished migration of these places has other rules (--overwrite, --metadata, filters, --rename): " +
			"finish it with those, or give --restart to begin anew")
	}
	if err := r.engine.SetBandwidth(ctx, localProject, t.ID, r.spec.Bandwidth); err != nil {
		return oms.Task{}, err
	}
	if t.Status == oms.StatusWaiting { // killed before it began: it does now
		return t, nil
	}
	err := r.engine.Start(ctx, localProject, t.ID, oms.StartRequest{Credentials: r.keys, FailedOnly: r.opts.failedOnly})
	return t, err
}

// create makes the task.
func (r *migrateRun) create(ctx context.Context) (oms.Task, error) {
	if r.opts.failedOnly {
		return oms.Task{}, usageErrorf("--failed-only: no earlier run of this migration has failed objects")
	}
	return r.engine.Create(ctx, oms.Task{ProjectID: localProject, GroupType: oms.GroupNormal, Spec: r.spec}, r.keys)
}

// follow waits until the task rests and returns it.
func (r *migrateRun) follow(ctx context.Context, t oms.Task, rep reporter) (oms.Task, error) {
	last := t
	_, err := followHinted(ctx, r.env, rep, func(ctx context.Context) (progress, bool, error) {
		t, err := r.engine.Task(ctx, localProject, last.ID)
		if err != nil {
			return progress{}, false, err
		}
		last = t
		return r.progress(t), restsAt(t.Status), nil
	}, func() <-chan struct{} { return r.engine.RunEnded(t.ID) })
	return last, err
}

// pause stops the task in order and waits for its checkpoint. What has not paused in time is checkpointed all
// the same when the engine ends.
func (r *migrateRun) pause(ctx context.Context, t oms.Task) (oms.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, pausePatience)
	defer cancel()
	last := t
	_, err := follow(ctx, r.env, quietReporter{}, func(ctx context.Context) (progress, bool, error) {
		t, err := r.engine.Task(ctx, localProject, last.ID)
		if err != nil {
			return progress{}, false, err
		}
		last = t
		if t.Status == oms.StatusRunning || t.Status == oms.StatusRetrying {
			err = r.engine.Stop(ctx, localProject, t.ID)
			if errors.Is(err, oms.Conflict) { // it has ended meanwhile
				err = nil
			}
		}
		return progress{}, restsAt(t.Status), err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return last, err
}

// conclude says what became of the task.
func (r *migrateRun) conclude(ctx context.Context, t oms.Task) error {
	s := summary{
		Type: "summary", TaskID: t.ID, Status: t.Status.String(), progress: r.progress(t),
		FailedList: t.FailedList.Key, Next: r.opts.again + " --failed-only", findings: findingsOf(t),
	}
	if lists, err := r.engine.Lists(ctx, localProject, t.ID); err == nil { // a summary without it is better than none
		s.uncarried = uncarriedOf(lists)
	}
	if t.Status == oms.StatusFailed && len(t.Spec.Rename) > 0 {
		conflicts, err := r.engine.NameConflicts(ctx, localProject, t.ID)
		if err == nil {
			err = showConflicts(r.env, r.opts.watch.json, conflicts)
		}
		if err != nil {
			return err
		}
	}
	if t.Error != nil {
		s.ErrorCode, s.ErrorMessage = t.Error.Code, t.Error.Message
	}
	if !restsAt(t.Status) || t.Status == oms.StatusPaused {
		fmt.Fprintf(r.env.Stderr, "interrupted; to go on: %s\n", r.opts.again)
	}
	return conclude(ctx, r.env, r.opts.watch, s, r.failures(t.ID))
}

// failures reads the failed objects from the checkpoint.
func (r *migrateRun) failures(id int64) failurePage {
	return func(ctx context.Context, after string, limit int) ([]failure, string, error) {
		page, err := r.engine.Failures(ctx, localProject, id, after, limit)
		if err != nil {
			return nil, "", err
		}
		list := make([]failure, len(page))
		next := ""
		for i, f := range page {
			list[i] = failure{Type: "failure", Key: f.Key, Encoded: encodedKey(f.Key), Size: f.Size, Code: f.Code, Message: f.Message}
			next = f.Key
		}
		if len(page) < limit {
			next = ""
		}
		return list, next, nil
	}
}

// doneOf counts the objects with an outcome.
func doneOf(c oms.Counters) int64 { return c.Migrated + c.Skipped + c.Failed }

// progress is the progress of the task in this run.
func (r *migrateRun) progress(t oms.Task) progress {
	c := t.Counters
	return progress{
		Status: t.Status.String(), Listing: !t.QueryOver,
		Found: max(t.Found, doneOf(c)), FoundBytes: max(t.FoundBytes, c.MigratedBytes+c.SkippedBytes+c.FailedBytes),
		Done: doneOf(c), DoneBytes: c.MigratedBytes + c.SkippedBytes + c.FailedBytes + t.PartialBytes,
		Migrated: c.Migrated, Skipped: c.Skipped, Failed: c.Failed, MovedBytes: c.MovedBytes + t.PartialBytes, Elapsed: t.Elapsed(r.env.Now()) - r.before,
	}
}
