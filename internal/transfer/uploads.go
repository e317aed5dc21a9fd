package transfer

import (
	"context"
	"errors"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/rules"
	"github.com/openoms/openoms/internal/storage"
)

// AbortUploads aborts uploads of a task, whose spec tells their destination keys: those with an id by it, mere
// intents by asking the store which uploads of that key are open. It goes on after an error and returns what is
// closed, with the errors joined.
func AbortUploads(ctx context.Context, dst storage.Writer, spec oms.TaskSpec, uploads []oms.Upload) (closed []oms.UploadRef, err error) {
	mp, ok := dst.(storage.Multiparter)
	if !ok {
		return nil, nil
	}
	names, err := rules.NewNames(spec.Dst.SavePrefix, spec.Rename)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, u := range uploads {
		if err := abortUpload(ctx, mp, names.Of(u.Key), u); err != nil {
			errs = append(errs, err)
			continue
		}
		closed = append(closed, u.Ref())
	}
	return closed, errors.Join(errs...)
}

// abortUpload aborts one upload; one without id was perhaps opened just before a crash, so all open uploads of
// exactly its key are aborted.
func abortUpload(ctx context.Context, mp storage.Multiparter, key string, u oms.Upload) error {
	if u.UploadID != "" {
		return persist(ctx, func(ctx context.Context) error { return mp.AbortUpload(ctx, key, u.UploadID) })
	}
	return abortOpen(ctx, mp, key, "")
}

// abortOpen aborts all open uploads of exactly key but keep: nobody else may write the names of a task (OMS v2,
// TRF.0062).
func abortOpen(ctx context.Context, mp storage.Multiparter, key, keep string) error {
	var open []storage.OpenUpload
	err := persist(ctx, func(ctx context.Context) (err error) {
		open, err = mp.ListUploads(ctx, key, 0)
		return err
	})
	if err != nil {
		return err
	}
	for _, o := range open {
		if o.Key != key || o.UploadID == keep {
			continue
		}
		if err := persist(ctx, func(ctx context.Context) error { return mp.AbortUpload(ctx, key, o.UploadID) }); err != nil {
			return err
		}
	}
	return nil
}

// abandon aborts an upload of an earlier run that no longer fits.
func (j *Job) abandon(ctx context.Context, mp storage.Multiparter, key string, u oms.Upload) error {
	if err := abortUpload(ctx, mp, key, u); err != nil {
		return err
	}
	return j.journal.CloseUpload(ctx, u.Ref())
}

// abort drops the upload of an object that failed. What cannot be aborted now keeps its row: the engine tries again
// when the task ends.
func (j *Job) abort(ctx context.Context, mp storage.Multiparter, key string, u oms.Upload) {
	ctx, cancel := context.WithTimeout(ctx, abortPatience)
	defer cancel()
	if err := j.abandon(ctx, mp, key, u); err != nil {
		j.opts.Logger.WarnContext(ctx, "upload could not be aborted yet", "task_id", u.TaskID, "key", oms.Clean(u.Key), "err", err)
	}
}

// takeUpload returns the upload that an earlier run left open for the key, once.
func (j *Job) takeUpload(key string) (oms.Upload, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	u, ok := j.uploads[key]
	delete(j.uploads, key)
	return u, ok
}
