package testcloud

import (
	"encoding/xml"
	"net/http"
	"slices"
	"time"
)

// restored is what became of the requests to restore an object. The zero value is none.
type restored struct {
	asked bool
	days  int       // that the readable copy is kept for
	ready time.Time // when there is one; zero: when [Bucket.FinishRestores] says so
	until time.Time // when it expires; zero until it is ready
}

// restoreState says how far the restore of an archived object is.
type restoreState uint8

const (
	restoreNone restoreState = iota
	restorePending
	restoreDone
)

// state returns how far the restore is at an instant, and when its copy expires.
func (r restored) state(now time.Time) (restoreState, time.Time) {
	until := r.until
	if until.IsZero() && !r.ready.IsZero() {
		until = r.ready.AddDate(0, 0, r.days)
	}
	switch {
	case !r.asked || !until.IsZero() && !now.Before(until):
		return restoreNone, time.Time{}
	case r.ready.IsZero() && r.until.IsZero(), now.Before(r.ready):
		return restorePending, time.Time{}
	}
	return restoreDone, until
}

// restoreTime is the clock of restores: that of the cloud, and what was added to it.
func (c *Cloud) restoreTime() time.Time {
	return c.clock().Add(time.Duration(c.restoreAhead.Load()))
}

// PassRestoreTime lets d go by for restores alone: those that take less are done, and readable copies that were kept for
// less have expired. Nothing else notices, signatures and modification times least of all.
func (c *Cloud) PassRestoreTime(d time.Duration) { c.restoreAhead.Add(int64(d)) }

// SetRestoreDuration says how long restores take that are asked for from now on, by the clock of restores; 0, as at
// first, lets them wait for [Bucket.FinishRestores].
func (c *Cloud) SetRestoreDuration(d time.Duration) { c.restoreTakes.Store(int64(d)) }

// archived says whether o must be restored before it can be read.
func (c *Cloud) archived(o *Object) bool {
	if !slices.Contains(c.profile.ArchiveClasses, o.StorageClass) {
		return false
	}
	state, _ := o.restore.state(c.restoreTime())
	return state != restoreDone
}

// FinishRestores makes every archived object whose restore was asked for readable.
func (b *Bucket) FinishRestores() {
	now := b.cloud.restoreTime()
	b.changeRestores(func(r restored) restored {
		if state, _ := r.state(now); state == restorePending {
			r.ready, r.until = now, now.AddDate(0, 0, r.days)
		}
		return r
	})
}

// ExpireRestores takes all readable copies of archived objects away: they must be restored again.
func (b *Bucket) ExpireRestores() {
	now := b.cloud.restoreTime()
	b.changeRestores(func(r restored) restored {
		if state, _ := r.state(now); state == restoreDone {
			r = restored{}
		}
		return r
	})
}

// changeRestores changes what became of the restores of all real objects.
func (b *Bucket) changeRestores(change func(restored) restored) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ch := range b.idx.chunks {
		for i, it := range ch {
			if it.obj == nil || !it.obj.restore.asked {
				continue
			}
			o := *it.obj
			o.restore = change(o.restore)
			ch[i].obj = &o
		}
	}
}

// restoreRequest is the body of RestoreObject.
type restoreRequest struct {
	XMLName xml.Name `xml:"RestoreRequest"`
	Days    int      `xml:"Days"`
}

// restoreObject answers RestoreObject.
func (c *call) restoreObject(b *Bucket) (answer, error) {
	body, _, err := c.readBody(1 << 20)
	if err != nil {
		return answer{}, err
	}
	now := c.cloud.restoreTime()
	b.mu.Lock()
	defer b.mu.Unlock()
	old, ok := b.find(c.key)
	if !ok {
		return answer{}, errNoSuchKey
	}
	req := restoreRequest{Days: 1}
	if err := xml.Unmarshal(body, &req); err != nil || req.Days < 1 {
		return answer{}, errMalformedXML
	}
	if !slices.Contains(c.cloud.profile.ArchiveClasses, old.StorageClass) {
		return answer{}, errInvalidObjectState.because("Restore is not allowed for the object's current storage class")
	}
	switch state, _ := old.restore.state(now); state {
	case restorePending:
		return answer{}, errRestoring
	case restoreDone:
		return answer{status: http.StatusOK}, nil
	case restoreNone:
	}
	o := *old
	o.restore = restored{asked: true, days: req.Days}
	if d := time.Duration(c.cloud.restoreTakes.Load()); d > 0 {
		o.restore.ready = now.Add(d)
	}
	b.store(&o)
	return answer{status: http.StatusAccepted}, nil
}
