package region

import (
	"slices"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// Place is a region with its endpoint.
type Place struct {
	ID       string // as it is shown
	Endpoint oms.Endpoint
}

// Listing returns the places that have to be asked to learn all buckets of an account. For a cloud of which the
// operator wrote regions these are all; keys are not shown to the vendor then. It is empty for an unknown cloud.
func (t *Table) Listing(ct oms.CloudType) []Place {
	return t.places(ct, func(c cloud) []string { return c.Lists })
}

// Locating returns the places of which one knows where a bucket is, by the rule of Listing.
func (t *Table) Locating(ct oms.CloudType) []Place {
	return t.places(ct, func(c cloud) []string { return c.Locates })
}

// places returns the operator's regions of the cloud, else the ones that chosen names, else all.
func (t *Table) places(ct oms.CloudType, chosen func(cloud) []string) []Place {
	ct = source(ct)
	var list []Place
	for _, o := range t.overrides {
		if o.CloudType == ct && !slices.ContainsFunc(list, func(p Place) bool { return p.ID == o.Region }) {
			list = append(list, t.place(ct, o.Region))
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, c := range t.clouds {
		if c.Type != ct {
			continue
		}
		ids := chosen(c)
		if len(ids) == 0 {
			for _, e := range c.Regions {
				ids = append(ids, e.ID)
			}
		}
		for _, id := range ids {
			list = append(list, t.place(ct, c.IDPrefix+id))
		}
	}
	return list
}

// place resolves a region that the table is known to have.
func (t *Table) place(ct oms.CloudType, id string) Place {
	e, _ := t.Resolve(ct, id)
	return Place{ID: id, Endpoint: e}
}

// Describe returns the region as it is shown, whichever spelling id is, and whether tasks can use it. A region that
// resolves without being listed is named by its id.
func (t *Table) Describe(ct oms.CloudType, id string) (Region, bool) {
	ct = source(ct)
	for _, o := range slices.Backward(t.overrides) {
		if o.CloudType == ct && o.Region == id {
			r := Region{ID: o.Region, Name: o.Name}
			if r.Name == "" {
				r.Name = r.ID
			}
			return r, true
		}
	}
	_, ok := t.Resolve(ct, id)
	for _, c := range t.clouds {
		if c.Type != ct {
			continue
		}
		plain := strings.TrimPrefix(id, c.IDPrefix)
		for _, e := range c.Regions {
			if e.is(plain) {
				return Region{ID: c.IDPrefix + e.ID, Name: e.Name}, ok
			}
		}
		if ok {
			id = c.IDPrefix + plain
		}
	}
	return Region{ID: id, Name: id}, ok
}
