package transfer

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// recorder says which object lists a job writes lines for. The lines ride in the checkpoints of the objects they name.
type recorder struct {
	objects  bool // migrated and skipped ones
	metadata bool // those whose metadata was not carried whole
	zone     *time.Location
}

func newRecorder(plan *Plan) recorder {
	r := recorder{zone: plan.Zone}
	if r.zone == nil {
		r.zone = time.UTC
	}
	if !plan.Spec.ReadOnly() {
		r.objects, r.metadata = plan.Spec.RecordObjects, plan.Spec.RecordFailures
	}
	return r
}

// listObject adds the line of an object that was not copied to a list. What was passed before, and is passed again because a
// listing had no order, is in the lists already, as far as it can be told.
func (j *Job) listObject(b *batch, kind oms.ListKind, obj *storage.ListedObject) {
	if j.record.objects && b.span.window.tally == nil {
		j.record.line(b, kind, obj)
	}
}

// line adds a line to a list of the batch, which has room for those of its other objects as well.
func (r *recorder) line(b *batch, kind oms.ListKind, obj *storage.ListedObject) {
	const usual = 128 // bytes of a line
	lines := b.outcomes.Lines(kind)
	if lines.Text == nil {
		lines.Text = make([]byte, 0, usual*max(len(b.items), 1))
	}
	lines.Entries++
	lines.Text = append(listfile.AppendObject(lines.Text, obj.Key, obj.Size, obj.ModTime, r.zone), '\n')
}

// record adds the lines of an object that is done. The batch is locked.
func (it *item) record(o outcome) {
	b, j := it.batch, it.job
	if o.err != nil || j.plan.Spec.ReadOnly() {
		return
	}
	switch {
	case o.action == Copy:
		if j.record.objects {
			j.record.line(b, oms.ListSuccess, &it.obj)
		}
		it.lost.book(b, it)
	case o.action == Own && it.prior != nil:
		if j.record.objects {
			j.record.line(b, oms.ListSuccess, &it.obj)
		}
	case o.action == Own:
		j.listObject(b, oms.ListSuccess, &it.obj)
	case o.action == Skip, o.action == LeaveOut && (it.prior != nil || it.waited != nil): // as they are counted
		j.listObject(b, oms.ListSkip, &it.obj)
	}
}

// longestLoss bounds what the list of metadata says of one object, in bytes.
const longestLoss = 1 << 10

// loss is what of an object's properties does not arrive at the destination. The zero value is nothing.
type loss struct {
	kinds [oms.UncarriedKinds]bool
	text  []byte // kinds, each with the names it is about: "user_metadata=a,b tags"
}

// add notes a kind, and the names of what is lost.
func (l *loss) add(kind oms.Uncarried, names ...string) {
	if l.kinds[kind] && len(names) == 0 {
		return
	}
	l.kinds[kind] = true
	if len(l.text) > longestLoss {
		return
	}
	if len(l.text) > 0 {
		l.text = append(l.text, ' ')
	}
	l.text = append(l.text, kind.String()...)
	for i, name := range names {
		if len(l.text) > longestLoss {
			l.text = append(l.text, ",..."...)
			return
		}
		l.text = append(l.text, "=,"[min(i, 1)])
		l.text = listfile.AppendName(l.text, name)
	}
}

// book counts the loss and lists the object.
func (l *loss) book(b *batch, it *item) {
	if l == nil {
		return
	}
	listed := false
	for kind, lost := range l.kinds {
		if lost {
			b.outcomes.Uncarried[kind]++
			listed = listed || oms.Uncarried(kind) != oms.UncarriedNotAsked
		}
	}
	if !listed {
		return
	}
	b.outcomes.Uncarried[oms.UncarriedObjects]++
	r := &it.job.record
	if !r.metadata {
		return
	}
	lines := &b.outcomes.Metadata
	lines.Entries++
	lines.Text = listfile.AppendObject(lines.Text, it.obj.Key, it.obj.Size, it.obj.ModTime, r.zone)
	lines.Text = append(lines.Text, '\t')
	lines.Text = append(append(lines.Text, l.text...), '\n')
}

// attrs returns what travels with an object, and notes what of it does not.
func (it *item) attrs(obj storage.Object) storage.Attrs {
	j := it.job
	a := j.attrs(obj)
	it.lost = nil
	if !j.plan.Spec.MigrateMetadata {
		if hasMore(obj) {
			it.lose().add(oms.UncarriedNotAsked)
		}
		return a
	}
	if fitter, ok := j.plan.Dst.(storage.AttrFitter); ok {
		var left []storage.LeftOut
		if a, left = fitter.FitAttrs(a, 0); len(left) > 0 {
			it.leave(left)
		}
	}
	for _, extra := range [...]struct {
		has  storage.Extras
		kind oms.Uncarried
	}{
		{storage.ExtraTags, oms.UncarriedTags},
		{storage.ExtraRedirect, oms.UncarriedRedirect},
		{storage.ExtraLock, oms.UncarriedLock},
		{storage.ExtraHiddenMeta, oms.UncarriedUserMetadata},
	} {
		if obj.Extras&extra.has != 0 {
			it.lose().add(extra.kind)
		}
	}
	return a
}

// hasMore reports whether an object has properties beyond those that every task carries.
func hasMore(obj storage.Object) bool {
	a := &obj.Attrs
	return len(a.Metadata) > 0 || obj.Extras != 0 || a.ContentDisposition != "" || a.ContentLanguage != "" ||
		a.CacheControl != "" || a.Expires != ""
}

func (it *item) lose() *loss {
	if it.lost == nil {
		it.lost = &loss{}
	}
	return it.lost
}

func (it *item) leave(left []storage.LeftOut) {
	var headers, user []string
	for _, l := range left {
		if l.User {
			user = append(user, l.Name)
		} else {
			headers = append(headers, l.Name)
		}
	}
	if len(headers) > 0 {
		it.lose().add(oms.UncarriedHeader, headers...)
	}
	if len(user) > 0 {
		it.lose().add(oms.UncarriedUserMetadata, user...)
	}
}

// leastMetaLimit is what every store takes of user metadata, in bytes of names and values.
const leastMetaLimit = 2 << 10

// shed takes user metadata out of attrs after the destination has refused the object because of it: first what is
// beyond what every store takes, then all. It reports whether there is something to try again with.
func (it *item) shed(attrs *storage.Attrs, err error) bool {
	if len(attrs.Metadata) == 0 || !refusesMetadata(err) {
		return false
	}
	fitted := *attrs
	var left []storage.LeftOut
	if fitter, ok := it.job.plan.Dst.(storage.AttrFitter); ok {
		fitted, left = fitter.FitAttrs(*attrs, leastMetaLimit)
	}
	if len(left) == 0 {
		for name := range attrs.Metadata {
			left = append(left, storage.LeftOut{Name: name, User: true})
		}
		fitted.Metadata = nil
	}
	it.leave(left)
	*attrs = fitted
	return true
}

// refusesMetadata reports whether a store says that it does not take the metadata of an object.
func refusesMetadata(err error) bool {
	var e *oms.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "MetadataTooLarge", "MetadataTooLong", "RequestHeaderSectionTooLarge", "InvalidMetadata", "UnsupportedUserMetadata",
		"UserMetadataTooLarge", "HTTP 431":
		return true
	}
	return false
}

// withoutOwn returns the objects of a page but for those that the service keeps in the bucket itself.
func (j *Job) withoutOwn(page []storage.ListedObject) []storage.ListedObject {
	if len(j.plan.Own) == 0 {
		return page
	}
	var kept []storage.ListedObject
	for i := range page {
		if !slices.ContainsFunc(j.plan.Own, func(prefix string) bool { return strings.HasPrefix(page[i].Key, prefix) }) {
			kept = append(kept, page[i])
		}
	}
	return kept
}
