package transfer

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// inspectSource returns the source object that is decided on: as the source has it now, or, where only the destination
// is unknown and nothing but what a listing tells is compared, as it was listed.
func (it *item) inspectSource(ctx context.Context) (storage.Object, error) {
	if it.stat || it.crc64 || it.job.plan.Spec.Overwrite == oms.OverwriteIfCRC64 {
		return it.statSource(ctx)
	}
	return storage.Object{ListedObject: it.obj}, nil
}
