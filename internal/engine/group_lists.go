package engine

import (
	"context"
	"strings"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// maxListFiles is how many list files a group may have (OMS v2, 3.2).
const maxListFiles = 2000

// badLists says why the list files of a group cannot be used.
type badLists struct{ reason oms.ErrorReason }

func (b *badLists) Error() string { return b.reason.Message }

// splitLists makes a task of each list file of the group, all in one step.
func (r *groupRun) splitLists(ctx context.Context) error {
	names, err := r.listFiles(ctx)
	if err != nil {
		return err
	}
	c := oms.SplitCommit{GroupID: r.group.ID, Generation: r.group.Generation, Step: r.step, Over: true}
	for _, name := range names {
		c.Pieces = append(c.Pieces, oms.GroupPiece{ListKey: name})
	}
	if err := r.commit(ctx, c); err != nil {
		return err
	}
	r.engine.wake()
	return nil
}

// listFiles returns the names of the group's list files: the one that is named, or all in the folder that is.
func (r *groupRun) listFiles(ctx context.Context) ([]string, error) {
	list := r.group.Spec.Src.ListFile
	if !strings.HasSuffix(list.Key, "/") {
		return []string{list.Key}, nil
	}
	spec := r.group.Spec
	spec.Dst.Bucket = list.Bucket // lists lie in the destination's region and are read with its keys
	bucket, err := r.engine.openDestination(ctx, spec, r.keys.Dst)
	if err != nil {
		return nil, &transfer.Stopped{Side: oms.Destination, Err: err}
	}
	var names []string
	opts := storage.ListOptions{Prefix: list.Key}
	for empty := 0; empty <= maxEmptyPages; empty++ {
		page, err := r.listSide(ctx, oms.Destination, bucket, opts)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			if strings.HasSuffix(o.Key, "/") {
				continue // the mark of a folder
			}
			names = append(names, o.Key)
			opts.After, opts.Token, empty = o.Key, "", 0
		}
		switch {
		case len(names) > maxListFiles:
			return nil, &badLists{oms.ErrorReason{Code: "TRF.0014", Message: "The folder holds more than 2,000 list files."}}
		case !page.Truncated:
			return checkLists(names)
		case len(page.Objects) == 0:
			opts.Token = page.Next
		default:
			opts.After = page.Objects[len(page.Objects)-1].Key
		}
	}
	return nil, &transfer.Stopped{Side: oms.Destination, Err: &oms.Error{Op: "list", Key: list.Key, Kind: oms.Listing, Code: "LISTING_LOOP"}}
}

// checkLists refuses a folder without list files, and one with other files (OMS v2, 6.2).
func checkLists(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, &badLists{oms.ErrorReason{Code: "TRF.0013", Message: "The folder holds no list file, or it cannot be read with the destination keys."}}
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".txt") {
			return nil, &badLists{oms.ErrorReason{Code: "TRF.0014", Message: "The folder holds files whose name does not end in .txt."}}
		}
	}
	return names, nil
}
