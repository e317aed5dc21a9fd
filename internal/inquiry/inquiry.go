package inquiry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/region"
	"github.com/openoms/openoms/internal/storage"
)

// How long a question may take in all, and one place that is asked among several.
const (
	patience      = 25 * time.Second
	placePatience = 10 * time.Second
	longPatience  = 45 * time.Second // many objects, or a long list
)

// atOnce bounds the requests of one question that are under way.
const atOnce = 8

// Regions is the table of endpoints; package region implements it.
type Regions interface {
	Resolve(ct oms.CloudType, id string) (oms.Endpoint, bool)
	Describe(ct oms.CloudType, id string) (region.Region, bool)
	Listing(ct oms.CloudType) []region.Place
	Locating(ct oms.CloudType) []region.Place
	Clouds() []region.Cloud
}

// Options are what a Service needs.
type Options struct {
	Opener  storage.Opener // required; opens CDN hosts as well
	Regions Regions        // required
	Logger  *slog.Logger   // nil: nothing is logged
	// ListBytes is how much of a list of URLs is checked; 0 means 64 MiB.
	ListBytes int64
}

// Service answers questions. It is safe for concurrent use and holds nothing between two questions.
type Service struct {
	opener  storage.Opener
	regions Regions
	log     *slog.Logger
	checked int64 // bytes of a list
}

// New returns a Service.
func New(opts Options) *Service {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.ListBytes <= 0 {
		opts.ListBytes = maxChecked
	}
	return &Service{opener: opts.Opener, regions: opts.Regions, log: opts.Logger, checked: opts.ListBytes}
}

// Clouds returns every cloud with its regions, for showing.
func (s *Service) Clouds() []region.Cloud { return s.regions.Clouds() }

// ListBuckets returns the names of the account's buckets in order. Places that do not answer are left out as long as one
// does. OMS.1016 when the keys are refused or there is no bucket, OMS.1014 when they lack rights, OMS.0153 otherwise.
func (s *Service) ListBuckets(ctx context.Context, q oms.BucketQuery) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	places := s.regions.Listing(q.CloudType)
	if len(places) == 0 {
		return nil, noPlaces(q)
	}
	found := make([][]string, len(places))
	errs := each(ctx, len(places), func(ctx context.Context, i int) (err error) {
		ctx, cancel := context.WithTimeout(ctx, placePatience)
		defer cancel()
		account := q
		account.Endpoint, account.Bucket = places[i].Endpoint, ""
		b, err := s.account(ctx, account)
		if err == nil {
			found[i], err = b.ListBuckets(ctx)
		}
		return err
	})
	if !slices.Contains(errs, nil) {
		return nil, s.refuse(ctx, "list buckets", errs[0], listCode(errs[0]))
	}
	for i, err := range errs {
		if err != nil {
			s.log.InfoContext(ctx, "a region did not list its buckets", "cloud_type", string(q.CloudType), "region", places[i].ID, "err", err)
		}
	}
	names := bucketNames(q, slices.Concat(found...))
	if len(names) == 0 {
		return nil, oms.Errorf(oms.Invalid, "OMS.1016", "The account has no buckets, or the keys are not valid.")
	}
	return names, nil
}

// maxName is the longest name of a bucket that is shown, in bytes.
const maxName = 255

// bucketNames returns what can be the name of a bucket, in order and without duplicates, as tasks take it.
func bucketNames(q oms.BucketQuery, names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == "" || len(name) > maxName || oms.Clean(name) != name
	})
	if q.CloudType == oms.CloudTencent && q.AppID != "" {
		for i, name := range names {
			names[i] = strings.TrimSuffix(name, "-"+q.AppID)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// each calls f for 0 to n-1, some at the same time, and returns the errors in order.
func each(ctx context.Context, n int, f func(ctx context.Context, i int) error) []error {
	errs := make([]error, n)
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				errs[i] = f(ctx, i)
			case <-ctx.Done():
				errs[i] = ctx.Err()
			}
		})
	}
	all.Wait()
	return errs
}

// errElsewhere ends what is asked at other places once one has answered.
var errElsewhere = errors.New("another place has answered")

// Region returns where the bucket is. OMS.0155 when no place knows it, or the keys may not use it.
func (s *Service) Region(ctx context.Context, q oms.BucketQuery) (oms.BucketRegion, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	places := s.regions.Locating(q.CloudType)
	if len(places) == 0 {
		return oms.BucketRegion{}, noPlaces(q)
	}
	found := make([]oms.BucketRegion, len(places))
	asking, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	errs := each(asking, len(places), func(ctx context.Context, i int) (err error) {
		ctx, cancel := context.WithTimeout(ctx, placePatience)
		defer cancel()
		if found[i], err = s.locate(ctx, q, places[i]); err == nil {
			enough(errElsewhere)
		}
		return err
	})
	if i := slices.Index(errs, nil); i >= 0 {
		return found[i], nil
	}
	return oms.BucketRegion{}, s.refuse(ctx, "locate bucket", telling(errs), "OMS.0155")
}

// telling returns the error that says most: a refusal rather than "not here", else the first.
func telling(errs []error) error {
	for _, err := range errs {
		if k := oms.KindOf(err); k != oms.NoBucket && k != oms.NotFound && k != oms.Other {
			return err
		}
	}
	return errs[0]
}

// locate asks one place for the region of the bucket, and the region whether the bucket is there: only keys that may
// use a bucket learn where it is.
func (s *Service) locate(ctx context.Context, q oms.BucketQuery, at region.Place) (oms.BucketRegion, error) {
	q.Endpoint = at.Endpoint
	b, err := s.account(ctx, q)
	if err != nil {
		return oms.BucketRegion{}, err
	}
	id, err := b.Location(ctx)
	if err != nil {
		return oms.BucketRegion{}, err
	}
	endpoint, known := s.regions.Resolve(q.CloudType, id)
	switch {
	case id == "" || at.Endpoint.Trusted && (!known || !endpoint.Trusted):
		id = at.ID // the store does not tell, or has a name of its own for the operator's region
	case !known:
		return oms.BucketRegion{ID: oms.Clean(id), Name: oms.Clean(id)}, nil
	case endpoint != at.Endpoint:
		q.Endpoint = endpoint
		if b, err = s.account(ctx, q); err != nil {
			return oms.BucketRegion{}, err
		}
	}
	if err := b.CheckBucket(ctx); err != nil {
		return oms.BucketRegion{}, err
	}
	shown, ok := s.regions.Describe(q.CloudType, id)
	return oms.BucketRegion{ID: shown.ID, Name: shown.Name, Supported: ok}, nil
}

// Browse returns the page of the level below folder that follows the name after. OMS.1014 when keys or bucket are not
// right, OMS.0153 otherwise.
func (s *Service) Browse(ctx context.Context, q oms.BucketQuery, folder, after string, limit int) (oms.FolderPage, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := s.open(ctx, q)
	if err != nil {
		return oms.FolderPage{}, s.refuse(ctx, "browse bucket", err, bucketCode(err))
	}
	browser, ok := b.(storage.Browser)
	if !ok {
		return oms.FolderPage{}, noPlaces(q)
	}
	level, err := browser.Browse(ctx, storage.ListOptions{Prefix: folder, After: after, Limit: limit})
	if err != nil {
		return oms.FolderPage{}, s.refuse(ctx, "browse bucket", err, bucketCode(err))
	}
	page := oms.FolderPage{More: level.Truncated}
	for _, e := range level.Entries {
		page.Entries = append(page.Entries, oms.FolderEntry(e))
	}
	return page, nil
}

// maxEmptyPages is how many pages without an object are read before a listing counts as endless.
const maxEmptyPages = 20

// HasPrefix reports whether the bucket holds an object whose name starts with prefix. Errors are those of Browse.
func (s *Service) HasPrefix(ctx context.Context, q oms.BucketQuery, prefix string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := s.open(ctx, q)
	var key string
	var found bool
	if err == nil {
		key, found, err = firstObject(ctx, b, prefix)
	}
	if err != nil {
		return false, s.refuse(ctx, "check prefix", err, bucketCode(err))
	}
	return found && strings.HasPrefix(key, prefix), nil
}

// firstObject returns the first key with the prefix, if there is one.
func firstObject(ctx context.Context, b storage.Reader, prefix string) (key string, found bool, err error) {
	opts := storage.ListOptions{Prefix: prefix, Limit: 1}
	for range maxEmptyPages {
		page, err := b.List(ctx, opts)
		if err != nil {
			return "", false, err
		}
		if len(page.Objects) > 0 {
			return page.Objects[0].Key, true, nil
		}
		if !page.Truncated {
			return "", false, nil
		}
		opts.Token = page.Next
	}
	return "", false, oms.Errorf(oms.Listing, "LISTING_LOOP", "pages without objects say that more follow")
}

// open opens the bucket of the question.
func (s *Service) open(ctx context.Context, q oms.BucketQuery) (storage.Reader, error) {
	b, err := s.opener.Open(ctx, storage.Bucket{
		CloudType: q.CloudType, Endpoint: q.Endpoint, Name: q.StoreBucket(), Credentials: q.Credentials,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	return b, nil
}

// account opens a bucket, or an account without one, for questions about it.
func (s *Service) account(ctx context.Context, q oms.BucketQuery) (storage.BucketLister, error) {
	b, err := s.open(ctx, q)
	if err != nil {
		return nil, err
	}
	lister, ok := b.(storage.BucketLister)
	if !ok {
		return nil, noPlaces(q)
	}
	return lister, nil
}
