package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/egress"
	"github.com/openoms/openoms/internal/oms"
)

// Store keeps the messages; package db implements it. Methods return after their change is committed.
type Store interface {
	// ClaimNotices returns at most limit messages whose next attempt is due, counts the attempt, and gives them to
	// nobody else until the lease is over.
	ClaimNotices(ctx context.Context, limit int, lease time.Duration) ([]oms.Notice, error)
	// RetryNotice lets a message be claimed again after the pause; code is why the attempt failed, "" when that is not
	// known.
	RetryNotice(ctx context.Context, ref oms.NoticeRef, code string, pause time.Duration) error
	// SettleNotice says that a message was sent (""), or with a code that it never will be.
	SettleNotice(ctx context.Context, ref oms.NoticeRef, code string) error
	// Projects returns all projects of the service.
	Projects(ctx context.Context) ([]oms.Project, error)
}

// Options configure a Notifier.
type Options struct {
	Store     Store             // required
	Network   *egress.Guard     // required; makes all connections. It must let the targets through, see Addresses
	Topics    map[string]Target // by topic_urn; a message to another topic is settled with OMS.0157
	TLS       *tls.Config       // own certificate authorities; nil means the system's
	UserAgent string
	Logger    *slog.Logger     // nil discards
	Clock     func() time.Time // nil means time.Now
}

// Bounds of a Notifier (rule C4).
const (
	maxInFlight   = 8
	lookEvery     = time.Second
	sendTimeout   = 20 * time.Second
	storeTimeout  = 10 * time.Second
	finalPatience = 2 * time.Second  // for storing what became of attempts that were under way at the end
	lease         = 90 * time.Second // above what an attempt with its storing takes
)

// pauses between attempts. There is one attempt more.
func pauses() []time.Duration {
	return []time.Duration{
		5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour,
	}
}

// Notifier sends messages. Make it with New; Run is called once.
type Notifier struct {
	opts      Options
	log       *slog.Logger
	client    *http.Client
	transport *http.Transport
	pauses    []time.Duration
	every     time.Duration
	timeout   time.Duration // of an attempt
	slots     chan struct{} // one for each attempt under way
	warned    bool          // the store does not answer, and that was logged
}

// New returns a Notifier that sends nothing yet. Missing required options are oms.Invalid.
func New(opts Options) (*Notifier, error) {
	if opts.Store == nil || opts.Network == nil {
		return nil, oms.Errorf(oms.Invalid, "", "notify needs a store and a network")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	transport := opts.Network.Transport(egress.TransportOptions{
		MaxIdleConns: maxInFlight, IdleTimeout: lookEvery, HeaderTimeout: sendTimeout, BufferSize: maxAnswer, TLS: opts.TLS,
	})
	return &Notifier{
		opts: opts, log: opts.Logger, transport: transport, client: egress.Client(transport),
		pauses: pauses(), every: lookEvery, timeout: sendTimeout, slots: make(chan struct{}, maxInFlight),
	}, nil
}

// Run sends what is due until ctx ends. Attempts that are under way then are broken off and made again by the next
// process.
func (n *Notifier) Run(ctx context.Context) {
	var sending sync.WaitGroup
	defer n.transport.CloseIdleConnections()
	defer sending.Wait()
	ticker := time.NewTicker(n.every)
	defer ticker.Stop()
	for {
		for _, notice := range n.claim(ctx) {
			n.slots <- struct{}{} // free: no more were claimed than there are
			sending.Go(func() {
				defer func() { <-n.slots }()
				n.deliver(ctx, notice)
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// claim returns as many due messages as can be sent now.
func (n *Notifier) claim(ctx context.Context) []oms.Notice {
	free := maxInFlight - len(n.slots)
	if free == 0 || ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	list, err := n.opts.Store.ClaimNotices(ctx, free, lease)
	if err != nil && !n.warned && ctx.Err() == nil {
		n.log.WarnContext(ctx, "messages about ends of tasks cannot be read", "err", err)
	}
	n.warned = err != nil
	return list
}

// deliver makes an attempt and stores what became of it.
func (n *Notifier) deliver(ctx context.Context, notice oms.Notice) {
	err := n.attempt(ctx, notice)
	stopped := ctx.Err() != nil
	// What was sent must not be sent again only because the process ends.
	patience := storeTimeout
	if stopped {
		patience = finalPatience
	}
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	attrs := []any{"topic_urn", notice.Content.SMN.TopicURN, "message_id", messageID(notice.NoticeRef), "attempt", notice.Tries}
	var storeErr error
	var f *failure
	switch {
	case err == nil:
		n.log.InfoContext(ctx, "message sent", attrs...)
		storeErr = n.opts.Store.SettleNotice(keep, notice.NoticeRef, "")
	case stopped:
		storeErr = n.opts.Store.RetryNotice(keep, notice.NoticeRef, "", 0)
	case !errors.As(err, &f):
		n.log.ErrorContext(ctx, "message not sent for an internal reason", append(attrs, "err", err)...)
		storeErr = n.opts.Store.SettleNotice(keep, notice.NoticeRef, codeInternal)
	case f.again && notice.Tries <= len(n.pauses):
		n.log.InfoContext(ctx, "message not sent, it will be tried again", append(attrs, "err", err)...)
		storeErr = n.opts.Store.RetryNotice(keep, notice.NoticeRef, f.code, n.pauses[notice.Tries-1])
	default:
		n.log.WarnContext(ctx, "message not sent", append(attrs, "err", err)...)
		storeErr = n.opts.Store.SettleNotice(keep, notice.NoticeRef, f.code)
	}
	if storeErr != nil { // it comes back when the lease is over
		n.log.WarnContext(ctx, "what became of a message was not stored", append(attrs, "err", storeErr)...)
	}
}

// panicked is a panic while a message was sent.
type panicked struct{ stack string }

func (p *panicked) Error() string { return "panic while sending: " + p.stack }

// attempt sends a message once.
func (n *Notifier) attempt(ctx context.Context, notice oms.Notice) (err error) {
	defer func() {
		if recover() != nil { // its value may hold what the target holds
			err = &panicked{stack: string(debug.Stack())}
		}
	}()
	if notice.Tries > len(n.pauses)+1 { // the process died in the last attempt
		code := notice.Code
		if code == "" {
			code = codeInternal
		}
		return &failure{code: code, detail: "all attempts are used up"}
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	target, err := n.target(ctx, notice)
	if err != nil {
		return err
	}
	return n.send(ctx, target, compose(notice))
}

// target returns where a message goes.
func (n *Notifier) target(ctx context.Context, notice oms.Notice) (Target, error) {
	urn := notice.Content.SMN.TopicURN
	known, err := n.Knows(ctx, notice.ProjectID, urn)
	if err != nil {
		return Target{}, &failure{code: codeInternal, detail: "the projects cannot be read", again: true}
	}
	if !known {
		return Target{}, &failure{code: codeNoTopic, detail: "notify.topics has no such topic for this project"}
	}
	return n.opts.Topics[urn], nil
}

// Knows reports whether messages of the project to the topic have somewhere to go. A topic that is named after another
// project of the service answers like one that does not exist (rule S1).
func (n *Notifier) Knows(ctx context.Context, project, urn string) (bool, error) {
	if _, ok := n.opts.Topics[urn]; !ok {
		return false, nil
	}
	owner := projectOf(urn)
	if owner == project {
		return true, nil
	}
	projects, err := n.opts.Store.Projects(ctx)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(projects, func(p oms.Project) bool { return p.ID == owner }), nil
}
