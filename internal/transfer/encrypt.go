package transfer

import (
	"bytes"
	"context"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// errUnencrypted says that a copy is not encrypted although the task asks for it (OMS v2, 6.5). It is deleted, as any
// copy that is not what it should be.
var errUnencrypted = corrupt("the destination did not encrypt the object with its key service")

// unencrypted reports whether what the destination holds must be replaced, because the task wants it encrypted
// (OMS v2, 6.4).
func (j *Job) unencrypted(dst storage.Object) bool {
	return j.plan.Spec.KMS && !dst.KMS && j.plan.Spec.Overwrite != oms.NoOverwrite
}

// ProbeAttrs finds out whether dst takes objects with each of the attributes: it writes a tiny object under key and
// deletes it. It returns a *Stopped error that says what is refused.
func ProbeAttrs(ctx context.Context, dst storage.Writer, key string, list []storage.Attrs) error {
	for _, attrs := range list {
		var w storage.Written
		err := persist(ctx, func(ctx context.Context) (err error) {
			w, err = dst.Put(ctx, storage.PutRequest{Key: key, Body: bytes.NewReader([]byte(probeBody)), Size: int64(len(probeBody)), Attrs: attrs})
			return err
		})
		switch kind := oms.KindOf(err); {
		case err == nil && attrs.KMS && !w.KMS:
			err = &oms.Error{Op: "probe", Kind: oms.Unsupported, Code: "TRF.0158", Msg: "The destination does not encrypt objects with its key service."}
		case err == nil:
			continue
		case kind != oms.Invalid && kind != oms.Unsupported && kind != oms.Other && (kind != oms.Denied || !attrs.KMS):
		case attrs.KMS:
			err = &oms.Error{Op: "probe", Kind: oms.Invalid, Code: "TRF.0158", Msg: "The destination refuses to encrypt objects with its key service.", Err: err}
		default:
			err = &oms.Error{
				Op: "probe", Kind: oms.Invalid, Code: "TRF.0062", Err: err,
				Msg: "The destination refuses the storage class " + attrs.StorageClass + ". Create a task with another dst_storage_policy.",
			}
		}
		_ = dst.Delete(ctx, key) // what matters is said already
		return &Stopped{Side: oms.Destination, Err: err}
	}
	if len(list) > 0 {
		if err := dst.Delete(ctx, key); err != nil && ctx.Err() != nil { // what stays behind harms nobody
			return context.Cause(ctx)
		}
	}
	return nil
}
