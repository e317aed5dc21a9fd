package guard

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
)

// Class is a kind of requests. Stores limit them separately.
type Class string

// The classes.
const (
	List  Class = "list"
	Read  Class = "read"  // GET and HEAD of objects
	Write Class = "write" // PUT, parts, copies, deletes
)

// Key names a lane.
type Key struct {
	Endpoint string // as the provider is configured, e.g. a URL; without secrets
	Bucket   string
	Class    Class
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Endpoint, o.Endpoint), cmp.Compare(k.Bucket, o.Bucket), cmp.Compare(k.Class, o.Class))
}

// Weight returns the weight of a task's flows: 4, 2 and 1 from high to low priority.
func Weight(p oms.Priority) int {
	switch p {
	case oms.PriorityHigh:
		return 4
	case oms.PriorityLow:
		return 1
	case oms.PriorityMedium:
	}
	return 2
}

// Memory keeps operating points between processes.
type Memory interface {
	// OperatingPoints returns the newest points learned since the instant, at most limit.
	OperatingPoints(ctx context.Context, since time.Time, limit int) ([]oms.OperatingPoint, error)
	// SaveOperatingPoints stores points, each in place of the one with the same endpoint, bucket and class.
	SaveOperatingPoints(ctx context.Context, points []oms.OperatingPoint) error
}

// Options tune a Guard; the zero value of each field is a default that works.
type Options struct {
	MaxSlots int              // most requests in flight in a lane; 0 means 512, less than 2 means 2
	MinSlots int              // least that are allowed to be, at most MaxSlots; less than 2 means 2
	Memory   Memory           // nil remembers nothing
	MaxAge   time.Duration    // of what is remembered; 0 means 7 days
	Logger   *slog.Logger     // nil discards
	Clock    func() time.Time // of remembered points; nil means time.Now
}

// Times and bounds of what is remembered.
const (
	defaultMaxAge = 7 * 24 * time.Hour
	saveEvery     = time.Minute
	savePatience  = 5 * time.Second
	mostPoints    = 10_000
	idleLane      = 10 * time.Minute // a lane that nobody has open is dropped after
)

// Guard holds the lanes of a process. Make it with New; all methods are safe for concurrent use.
type Guard struct {
	opts Options

	mu         sync.Mutex
	lanes      map[Key]*lane
	remembered map[Key]oms.OperatingPoint
}

// New returns a guard that has learned nothing; see Load.
func New(opts Options) *Guard {
	if opts.MaxSlots == 0 {
		opts.MaxSlots = defaultSlots
	}
	opts.MaxSlots = max(opts.MaxSlots, minSlots)
	opts.MinSlots = min(max(opts.MinSlots, minSlots), opts.MaxSlots)
	if opts.MaxAge <= 0 {
		opts.MaxAge = defaultMaxAge
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	return &Guard{opts: opts, lanes: make(map[Key]*lane), remembered: make(map[Key]oms.OperatingPoint)}
}

// Load reads what earlier processes learned, for the lanes that are opened from now on.
func (g *Guard) Load(ctx context.Context) error {
	if g.opts.Memory == nil {
		return nil
	}
	points, err := g.opts.Memory.OperatingPoints(ctx, g.opts.Clock().Add(-g.opts.MaxAge), mostPoints)
	if err != nil {
		return fmt.Errorf("load operating points: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range points {
		g.remembered[Key{p.Endpoint, p.Bucket, Class(p.Class)}] = p
	}
	return nil
}

// Open returns the flow of one task through the lane of the key. The caller closes it. A nil *Guard returns a nil
// *Flow, which lets everything pass.
func (g *Guard) Open(key Key, weight int) *Flow {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.lanes[key]
	if l == nil {
		l = g.newLane(key)
		g.lanes[key] = l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flows++
	return &Flow{lane: l, share: share{weight: float64(max(weight, 1)), clock: l.ctl.clock, index: -1}}
}

// newLane starts a lane where an earlier one ended. The guard is locked.
func (g *Guard) newLane(key Key) *lane {
	l := &lane{key: key, epoch: time.Now(), ctl: newControl(g.opts.MinSlots, g.opts.MaxSlots, 0)}
	p, known := g.remembered[key]
	if age := g.opts.Clock().Sub(p.LearnedAt); !known || age > g.opts.MaxAge || age < -g.opts.MaxAge {
		return l
	}
	l.ctl.resume(p)
	return l
}

// resume starts a new control from a remembered point. What makes no sense in it is ignored.
func (c *control) resume(p oms.OperatingPoint) {
	sane := func(v float64) float64 {
		if v > 0 && !math.IsInf(v, 1) {
			return v
		}
		return 0
	}
	p.PerSlot, p.Rate = sane(p.PerSlot), sane(p.Rate)
	if p.Slots > 0 {
		c.climb.resume(p)
	}
	c.pace.resume(p.Rate, c.last)
	c.beginWindow(c.last)
}

// Run stores what was learned every minute and when ctx ends, and drops lanes that nobody has used for long. It
// returns nil; what cannot be stored is logged.
func (g *Guard) Run(ctx context.Context) error {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), savePatience)
			g.save(last)
			cancel()
			return nil
		case <-ticker.C:
			g.save(ctx)
			g.sweep()
		}
	}
}

// save stores the points that were learned since they were stored last.
func (g *Guard) save(ctx context.Context) {
	points := g.learned()
	if len(points) == 0 || g.opts.Memory == nil {
		return
	}
	if err := g.opts.Memory.SaveOperatingPoints(ctx, points); err != nil {
		g.opts.Logger.WarnContext(ctx, "operating points could not be stored", "points", len(points), "err", err)
	}
}

// learned returns the points that changed, and remembers them for lanes to come.
func (g *Guard) learned() []oms.OperatingPoint {
	now := g.opts.Clock().UTC()
	g.mu.Lock()
	defer g.mu.Unlock()
	var points []oms.OperatingPoint
	for key, l := range g.lanes {
		p, known := l.point()
		if !known {
			continue
		}
		p.LearnedAt = now
		old := g.remembered[key]
		if len(g.remembered) < mostPoints || old.Slots > 0 {
			g.remembered[key] = p
		}
		if old.Slots != p.Slots || old.Settled != p.Settled || old.Rate != p.Rate || now.Sub(old.LearnedAt) > time.Hour {
			points = append(points, p)
		}
	}
	return points
}

// point is where a later lane of the key should start; false when nothing was learned yet.
func (l *lane) point() (oms.OperatingPoint, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.ctl
	return oms.OperatingPoint{
		Endpoint: l.key.Endpoint, Bucket: l.key.Bucket, Class: string(l.key.Class),
		Slots: c.climb.base, Settled: c.climb.settled, Rate: c.pace.known, PerSlot: c.climb.perSlot,
	}, c.climb.proved || c.pace.known > 0
}

// sweep drops lanes that nobody has open and nothing went through for long.
func (g *Guard) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, l := range g.lanes {
		l.mu.Lock()
		if l.flows == 0 && l.now()-l.ctl.seen.lastUse > idleLane {
			delete(g.lanes, key)
		}
		l.mu.Unlock()
	}
}

// Status is what the controller of a lane believes and sees.
type Status struct {
	Key      Key
	Mode     string  // what it is doing, in a word or two
	Slots    int     // requests in flight that are allowed
	Rate     float64 // requests per second that are allowed; 0 without a limit
	InFlight int
	Waiting  int
	Flows    int           // tasks that have it open
	Goodput  float64       // bytes per second in the last window
	Requests float64       // requests per second that ended well in the last window
	RTT      time.Duration // smoothed time of a request; 0 unknown
	// Since the lane was made.
	Sent    int64
	Refused int64
	Failed  int64
	Parts   []Part // parts of the bucket with a rate of their own
}

// Snapshot returns all lanes in order of their keys.
func (g *Guard) Snapshot() []Status {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Status, 0, len(g.lanes))
	for _, l := range g.lanes {
		list = append(list, l.status())
	}
	slices.SortFunc(list, func(a, b Status) int { return a.Key.compare(b.Key) })
	return list
}

func (l *lane) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.ctl
	s := Status{
		Key: l.key, Mode: c.climb.mode.String(), Slots: c.climb.slots, Rate: c.rate(), InFlight: c.inflight, Waiting: c.waiting,
		Flows: l.flows, Goodput: c.seen.goodput, Requests: c.seen.rate, RTT: seconds(c.climb.rtt),
		Sent: c.seen.requests, Refused: c.seen.refused, Failed: c.seen.failed,
		Parts: c.hot.list(),
	}
	if c.pace.limited() && c.climb.mode == holding {
		s.Mode = "pacing"
	}
	return s
}
