package engine

import (
	"context"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// attrsOf returns what a run of the task sends with objects that a destination may refuse.
func (e *Engine) attrsOf(spec oms.TaskSpec) []storage.Attrs {
	var list []storage.Attrs
	if spec.StorageClassSent && !spec.Dst.FileSystem {
		for _, class := range e.opts.Classes.Written(spec.Dst.CloudType, spec.StoragePolicy) {
			list = append(list, storage.Attrs{StorageClass: class, KMS: spec.KMS})
		}
	}
	if spec.KMS && len(list) == 0 {
		list = append(list, storage.Attrs{KMS: true})
	}
	return list
}

// checkAbilities refuses what source or destination of a task can never do.
func (e *Engine) checkAbilities(spec oms.TaskSpec) error {
	switch {
	case spec.StorageClassSent && !e.opts.Classes.Has(spec.Dst.CloudType, spec.StoragePolicy):
		return oms.Errorf(oms.Invalid, "OMS.1003", "the destination has no storage class for dst_storage_policy %s", spec.StoragePolicy)
	case spec.Dst.FileSystem && spec.StorageClassSent && spec.StoragePolicy != oms.StorageStandard && spec.StoragePolicy != oms.StorageMapped:
		return oms.Errorf(oms.Invalid, "OMS.1003", "the destination is a parallel file system, which has no storage class for dst_storage_policy %s", spec.StoragePolicy)
	case spec.Dst.FileSystem && spec.KMS:
		return oms.Errorf(oms.Invalid, "OMS.1003", "the destination is a parallel file system, which does not encrypt: leave enable_kms out")
	case spec.Restore && spec.Type == oms.TypeURLList:
		return oms.Errorf(oms.Invalid, "OMS.1003", "URLs cannot be restored: leave enable_restore out")
	}
	return nil
}

// learnBuckets notes what kind of buckets the task is about, as far as that can be told: an error shows when they are used.
func (e *Engine) learnBuckets(ctx context.Context, spec oms.TaskSpec, keys oms.TaskCredentials) (oms.TaskSpec, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	src, err := e.openSource(ctx, spec, keys.Src)
	if err == nil {
		if _, ok := src.(storage.Restorer); spec.Restore && !ok && e.opts.Classes.Restores(spec.Src.CloudType) {
			return spec, oms.Errorf(oms.Invalid, "OMS.1003", "archived objects of cloud type %s cannot be restored by this service: leave enable_restore out", spec.Src.CloudType)
		}
		spec.Src.FileSystem = isFileSystem(ctx, src, spec.Src.CloudType)
	}
	if dst, err := e.openDestination(ctx, spec, keys.Dst); err == nil {
		spec.Dst.FileSystem = isFileSystem(ctx, dst, spec.Dst.CloudType)
	}
	return spec, e.checkAbilities(spec)
}

// isFileSystem asks a bucket of Huawei Cloud whether it is a parallel file system.
func isFileSystem(ctx context.Context, b storage.Reader, cloud oms.CloudType) bool {
	teller, ok := b.(storage.FileSystemTeller)
	if !ok || cloud != "" && cloud != oms.CloudHEC && cloud != oms.CloudHuawei {
		return false
	}
	is, err := teller.FileSystem(ctx)
	return err == nil && is
}
