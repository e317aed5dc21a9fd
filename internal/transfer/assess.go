package transfer

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Bounds of an assessment.
const (
	sampleSize       = 200 // objects asked for their metadata
	sampleAtOnce     = 8
	maxClasses       = 64 // storage classes told apart; others count as ""
	usualMetadata    = 2 << 10
	longKey          = 900 // bytes: close to the limit of stores, and beyond that of some tools
	listedPerRequest = 1000
)

// sizeBounds are the upper bounds of the size classes in bytes.
func sizeBounds() []int64 {
	return []int64{0, 4 << 10, 64 << 10, 1 << 20, maxSingle, 64 << 20, 1 << 30, 5 << 30, math.MaxInt64}
}

// Assessor collects what an assessment finds; Report may be called while it works. Make it with NewAssessor.
type Assessor struct {
	mu      sync.Mutex
	report  oms.AssessmentReport
	sizes   []oms.SizeClass
	classes map[string]*oms.StorageCount
	traits  map[string]*oms.KeyTrait
	sample  []string // keys, evenly drawn
	draw    *rand.Rand
}

// NewAssessor returns an assessor that has seen nothing.
func NewAssessor() *Assessor {
	a := &Assessor{draw: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	a.begin()
	return a
}

// Run lists all that the plan's prefixes select and asks for the metadata of a sample. Nothing is written or stored. It
// returns a *Stopped error when the source cannot be listed.
func (a *Assessor) Run(ctx context.Context, plan Plan, res *Resources, opts Options) error {
	if err := Survey(ctx, plan, res, opts, a.begin, a.see); err != nil {
		return err
	}
	return a.askSample(ctx, plan.Src)
}

// begin forgets what was seen.
func (a *Assessor) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report, a.sample = oms.AssessmentReport{}, nil
	a.classes, a.traits = make(map[string]*oms.StorageCount), make(map[string]*oms.KeyTrait)
	a.sizes = nil
	for _, b := range sizeBounds() {
		a.sizes = append(a.sizes, oms.SizeClass{UpTo: b})
	}
}

// see takes a page.
func (a *Assessor) see(page []storage.ListedObject) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range page {
		a.count(&page[i])
	}
	return nil
}

// count takes an object.
func (a *Assessor) count(o *storage.ListedObject) {
	r := &a.report
	r.Objects++
	r.Bytes += o.Size
	r.Largest = max(r.Largest, o.Size)
	if r.Oldest.IsZero() || o.ModTime.Before(r.Oldest) {
		r.Oldest = o.ModTime
	}
	if o.ModTime.After(r.Newest) {
		r.Newest = o.ModTime
	}
	class, _ := slices.BinarySearchFunc(a.sizes, o.Size, func(c oms.SizeClass, size int64) int { return cmp.Compare(c.UpTo, size) })
	a.sizes[class].Objects++
	a.sizes[class].Bytes += o.Size
	a.countClass(o)
	eachTrait(o.Key, func(trait string) {
		t := a.traits[trait]
		if t == nil {
			t = &oms.KeyTrait{Trait: trait, Example: oms.Clean(o.Key)}
			a.traits[trait] = t
		}
		t.Objects++
	})
	reads, writes := requestsFor(o.Size)
	r.Requests.Read += reads
	r.Requests.Write += writes
	if len(a.sample) < sampleSize {
		a.sample = append(a.sample, strings.Clone(o.Key))
	} else if at := a.draw.Int64N(r.Objects); at < sampleSize {
		a.sample[at] = strings.Clone(o.Key)
	}
}

func (a *Assessor) countClass(o *storage.ListedObject) {
	name := o.StorageClass
	if len(a.classes) >= maxClasses && a.classes[name] == nil {
		name = ""
	}
	c := a.classes[name]
	if c == nil {
		c = &oms.StorageCount{Class: oms.Clean(name)}
		a.classes[name] = c
	}
	c.Objects++
	c.Bytes += o.Size
}

// requestsFor returns how many requests an object takes at the source and at the destination.
func requestsFor(size int64) (reads, writes int64) {
	if size <= maxSingle {
		return 1, 1
	}
	part := partSize(size, storage.PartLimits{})
	parts := (size + part - 1) / part
	return parts + 1, parts + 2 // with a look at it; with opening and completing
}

// eachTrait hands the traits of a key to use that some store or tool has trouble with.
func eachTrait(key string, use func(trait string)) {
	if !utf8.ValidString(key) {
		use("not_utf8")
	}
	if strings.IndexFunc(key, func(c rune) bool { return c < 0x20 || c == 0x7f }) >= 0 {
		use("control_characters")
	}
	if len(key) > longKey {
		use("longer_than_900_bytes")
	}
	if strings.HasPrefix(key, "/") {
		use("slash_at_the_start")
	}
	if strings.HasSuffix(key, "/") {
		use("slash_at_the_end")
	}
	if strings.Contains(key, "//") {
		use("double_slash")
	}
	if strings.TrimSpace(key) != key {
		use("blank_at_an_end")
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "." || segment == ".." {
			use("dot_segments")
			break
		}
	}
}

// askSample asks for the metadata of the sample.
func (a *Assessor) askSample(ctx context.Context, src storage.Reader) error {
	a.mu.Lock()
	keys := slices.Clone(a.sample)
	a.mu.Unlock()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(sampleAtOnce)
	for _, key := range keys {
		g.Go(func() error {
			var obj storage.Object
			err := persist(gctx, func(ctx context.Context) (err error) {
				obj, err = src.Stat(ctx, key)
				return err
			})
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			sampleOf(&a.report.Sample, obj, err)
			return nil
		})
	}
	return g.Wait()
}

// sampleOf counts the properties of an object of the sample.
func sampleOf(s *oms.MetadataSample, obj storage.Object, err error) {
	s.Asked++
	switch {
	case oms.KindOf(err) == oms.Archived:
		s.Archived++
		return
	case err != nil:
		s.Failed++
		return
	}
	size, ascii := 0, true
	for name, value := range obj.Attrs.Metadata {
		size += len(name) + len(value)
		ascii = ascii && strings.IndexFunc(value, func(c rune) bool { return c > 0x7e }) < 0
	}
	for _, c := range []struct {
		is bool
		n  *int64
	}{
		{size > 0, &s.WithMetadata},
		{size > usualMetadata, &s.Oversized},
		{!ascii, &s.NotASCII},
		{obj.Attrs.ContentEncoding != "", &s.Encoded},
		{obj.Encrypted, &s.Encrypted},
	} {
		if c.is {
			*c.n++
		}
	}
}

// Report returns what has been found so far.
func (a *Assessor) Report() oms.AssessmentReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.report
	for _, c := range a.sizes {
		if c.Objects > 0 {
			r.Sizes = append(r.Sizes, c)
		}
	}
	for _, c := range a.classes {
		r.Classes = append(r.Classes, *c)
	}
	slices.SortFunc(r.Classes, func(x, y oms.StorageCount) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), strings.Compare(x.Class, y.Class))
	})
	for _, t := range a.traits {
		r.Keys = append(r.Keys, *t)
	}
	slices.SortFunc(r.Keys, func(x, y oms.KeyTrait) int { return strings.Compare(x.Trait, y.Trait) })
	r.Requests.List = r.Objects/listedPerRequest + 2 // the source's pages, and one of an empty destination
	return r
}
