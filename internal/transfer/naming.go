package transfer

import (
	"strconv"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/internal/storage"
)

// compile makes the task's filters and rename rules ready. They were checked when the task was created.
func (j *Job) compile() (err error) {
	if j.filter, err = rules.NewFilter(j.plan.Spec.Filters); err != nil {
		return err
	}
	j.naming, err = rules.NewNames(j.plan.Spec.Dst.SavePrefix, j.plan.Spec.Rename)
	return err
}

// destination returns the key that an object gets at the destination.
func (j *Job) destination(key string) string {
	if j.naming.Changes() {
		return j.naming.Of(key)
	}
	return j.plan.Spec.Dst.DestinationKey(key)
}

// checkName returns the failure of an object whose name no destination takes.
func (j *Job) checkName(key string) error {
	switch rules.Fault(j.destination(key)) {
	case oms.NameEmpty:
		return &oms.Error{Op: "copy", Key: key, Kind: oms.Unsupported, Msg: "the destination key would be empty"}
	case oms.NameTooLong:
		return &oms.Error{
			Op: "copy", Key: key, Kind: oms.Unsupported,
			Msg: "the destination key would be longer than " + strconv.Itoa(maxKey) + " bytes",
		}
	case oms.NameTaken:
	}
	return nil
}

// leaveOut counts an object that the filters leave out.
func (b *batch) leaveOut(src *storage.ListedObject) {
	b.delta.Filtered++
	b.delta.FilteredBytes += src.Size
	b.span.leftOut++
	b.span.leftOutBytes += src.Size
}

// translation tells how the keys of a span are joined with their names: a key is looked for as to, followed by what it
// has behind from. ok is false when names are not in the order of keys.
func (j *Job) translation(s *span) (from, to string, ok bool) {
	if !j.naming.Changes() {
		return "", j.plan.Spec.Dst.SavePrefix, true
	}
	to, ok = j.naming.Below(s.r.Prefix)
	return s.r.Prefix, to, ok
}
