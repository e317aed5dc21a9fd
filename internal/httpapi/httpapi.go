package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/openoms/openoms/internal/auth"
	"github.com/openoms/openoms/internal/oms"
)

// Tasks is the service behind the task operations; package engine implements it. Methods return after their
// change is committed (rule P6). Unknown tasks and those of another project are oms.NotFound with OMS.1009;
// refusals carry the code of OMS v2, 5.2.
type Tasks interface {
	Connections
	Schedules

	// Create stores and queues a task: ProjectID, GroupType and Spec are given, endpoints resolved. It checks that
	// both buckets can be reached (OMS.1014, OMS.1020) and the project's quota (OMS.0077, OMS.1021).
	Create(ctx context.Context, t oms.Task, keys oms.TaskCredentials) (oms.Task, error)
	// Task returns one task.
	Task(ctx context.Context, project string, id int64) (oms.Task, error)
	// List returns a page, newest first, and the number of tasks that match.
	List(ctx context.Context, f oms.TaskFilter) ([]oms.Task, int64, error)
	// Start resumes a paused or restarts a failed task.
	Start(ctx context.Context, project string, id int64, req oms.StartRequest) error
	// Stop pauses a running task.
	Stop(ctx context.Context, project string, id int64) error
	// Delete removes a task that is not running.
	Delete(ctx context.Context, project string, id int64) error
	// SetBandwidth replaces the task's traffic limits.
	SetBandwidth(ctx context.Context, project string, id int64, ws []oms.BandwidthWindow) error
	// BatchUpdate changes several tasks, all or nothing.
	BatchUpdate(ctx context.Context, project string, u oms.BatchUpdate) error
	// Changed returns the tasks that are under way and those that changed since the instant, with their progress.
	Changed(ctx context.Context, project string, since time.Time) ([]oms.Task, error)
	// FindFailures returns the failed objects that the filter selects, in byte order.
	FindFailures(ctx context.Context, project string, id int64, f oms.FailureFilter) ([]oms.Failure, error)
	// Causes sums up the failed objects that the filter selects by their codes, the most frequent first.
	Causes(ctx context.Context, project string, id int64, f oms.FailureFilter) ([]oms.Cause, error)
	// Retry starts a failed task over its failures with one of the codes of req; none means all.
	Retry(ctx context.Context, project string, id int64, req oms.StartRequest) error
	// NameConflicts returns the source keys that the task could not name.
	NameConflicts(ctx context.Context, project string, id int64) ([]oms.NameConflict, error)
	// Assess begins to look at what a bucket holds (OMS.1014, OMS.0077); Assessment returns what is known of it.
	Assess(ctx context.Context, project string, src oms.SourceNode, keys oms.Credentials) (oms.Assessment, error)
	Assessment(ctx context.Context, project, id string) (oms.Assessment, error)
}

// Regions is the table of endpoints.
type Regions interface {
	// Resolve returns the endpoint of a vendor's region, or false when the table has none.
	Resolve(cloud oms.CloudType, region string) (oms.Endpoint, bool)
}

// Auth lets requests in and serves the IAM calls; *auth.Service implements it.
type Auth interface {
	// Admit authenticates and authorises r, whose raw body is body, for the route and the project of the path.
	// The identity is set on refusals as well when it is known.
	Admit(ctx context.Context, r *http.Request, body []byte, route auth.Route, project string) (auth.Identity, error)
	ServeTokens(w http.ResponseWriter, r *http.Request)
	ServeProjects(w http.ResponseWriter, r *http.Request)
	ServeDomains(w http.ResponseWriter, r *http.Request)
}

// Audit is the audit log (rule S12).
type Audit interface {
	// Append adds an entry; it is durable when Append returns nil.
	Append(ctx context.Context, e oms.AuditEntry) error
}

// Topics says where messages can go; *notify.Notifier implements it.
type Topics interface {
	// Knows reports whether messages of the project to the topic have somewhere to go.
	Knows(ctx context.Context, project, urn string) (bool, error)
}

// RateLimit bounds the requests of each project. The zero value is the default.
type RateLimit struct {
	PerSecond float64 // sustained requests per second; 0 means 100, below 0 means no limit
	Burst     int     // requests at once; 0 means 500
}

// Options are what New needs. Fields without a note are required.
type Options struct {
	Tasks   Tasks
	Syncs   Syncs
	Groups  Groups
	Regions Regions
	Buckets Buckets
	Auth    Auth
	Audit   Audit
	Logger  *slog.Logger
	Clock   func() time.Time                // nil means time.Now
	Ready   func(ctx context.Context) error // what /readyz asks; nil means always ready
	Lanes   Lanes                           // what ListLanes shows; nil means none
	Metrics http.Handler                    // /metrics; nil means none
	Console http.Handler                    // /console/…; nil means none
	Rate    RateLimit
	Version string // of the program, shown in /openapi.json; may be empty
	Objects Objects
	// NoObjectLists creates tasks without lists of migrated and skipped objects, unless they ask for them.
	NoObjectLists bool
	// Topics refuses tasks whose messages would have nowhere to go; nil refuses none.
	Topics Topics
	// Stopping is closed when the service begins to stop, so that streams end; nil means never.
	Stopping <-chan struct{}
}

// New returns the handler of the whole listener. It panics when a required option is missing or a route does
// not say who may call it: both are mistakes of the program, and serving without would be unsafe.
func New(opts Options) http.Handler {
	if opts.Tasks == nil || opts.Syncs == nil || opts.Groups == nil || opts.Regions == nil || opts.Buckets == nil || opts.Auth == nil || opts.Audit == nil || opts.Logger == nil {
		panic("httpapi: a required option is missing")
	}
	s := newService(opts)
	return s.guard(s.mux(opts, routes()))
}

func newService(opts Options) *service {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &service{
		objects: opts.Objects, noObjectLists: opts.NoObjectLists,
		lanes: opts.Lanes, tasks: opts.Tasks, syncs: opts.Syncs, groups: opts.Groups, regions: opts.Regions, buckets: opts.Buckets, auth: opts.Auth, audit: newAuditor(opts.Audit, opts.Clock),
		log: opts.Logger, clock: opts.Clock, limiter: newLimiter(opts.Rate, opts.Clock),
		eventLimiter: newEventLimiter(opts.Rate, opts.Clock),
		streams:      newHub(opts.Tasks, opts.Clock, opts.Logger), stopping: opts.Stopping, topics: opts.Topics,
	}
}

// service holds what operations use. It is safe for concurrent use.
type service struct {
	objects       Objects
	noObjectLists bool

	lanes   Lanes
	tasks   Tasks
	syncs   Syncs
	groups  Groups
	regions Regions
	buckets Buckets
	auth    Auth
	audit   *auditor
	log     *slog.Logger
	clock   func() time.Time
	limiter *limiter
	// eventLimiter bounds calls with events.
	eventLimiter *limiter
	streams      *hub
	stopping     <-chan struct{}
	topics       Topics
}
