package transfer

import (
	"context"
	"strconv"
	"strings"

	"github.com/openoms/openoms/internal/oms"
)

// maxLevels is how many levels a name in a parallel file system has at most (OMS v2, 6.11).
const maxLevels = 45

// checkFile returns an error when a parallel file system cannot hold an object of size bytes under its key there.
func checkFile(key string, size int64) error {
	name, directory := strings.CutSuffix(key, "/")
	var msg string
	switch {
	case directory && size != 0:
		msg = "the destination is a file system: a name that ends in a slash is a directory and holds no data"
	case strings.Count(name, "/") >= maxLevels:
		msg = "the destination is a file system: names have at most " + strconv.Itoa(maxLevels) + " levels"
	default:
		for level := range strings.SplitSeq(name, "/") {
			if level == "" || level == "." || level == ".." {
				msg = "the destination is a file system: no level of a name is empty, \".\" or \"..\""
			}
		}
	}
	if msg == "" {
		return nil
	}
	return &oms.Error{Op: "copy", Key: key, Kind: oms.Unsupported, Msg: msg}
}

// fileTree finds the keys of a span that would be files in a directory that is a file as well: a file system cannot hold
// both. Keys must ascend.
type fileTree struct {
	start  string          // the span's keys lie behind it
	above  []string        // keys that the last one starts with, from the shortest on
	asked  map[string]bool // whether keys up to start exist that may be above
	exists func(ctx context.Context, key string) (bool, error)
}

// clashes reports whether a file is above the key, which is the next of the span.
func (f *fileTree) clashes(ctx context.Context, key string) (bool, error) {
	for len(f.above) > 0 && !strings.HasPrefix(key, f.above[len(f.above)-1]) {
		f.above = f.above[:len(f.above)-1]
	}
	clash := false
	for _, file := range f.above {
		clash = clash || !strings.HasSuffix(file, "/") && key[len(file)] == '/'
	}
	f.above = append(f.above, key)
	for i := 1; i < len(key) && !clash && f.start != ""; i++ {
		if key[i] != '/' || !strings.HasPrefix(f.start, key[:i]) {
			continue
		}
		dir := key[:i]
		is, known := f.asked[dir]
		if !known {
			var err error
			if is, err = f.exists(ctx, dir); err != nil {
				return false, err
			}
			if f.asked == nil {
				f.asked = make(map[string]bool)
			}
			f.asked[dir] = is
		}
		clash = is
	}
	return clash, nil
}

// newFileTree returns the tree for a span; nil when the destination takes any names, or when names are not in the order of
// keys: then the destination refuses what clashes.
func (j *Job) newFileTree(s *span) *fileTree {
	if !j.plan.Spec.Dst.FileSystem || j.naming.Changes() {
		return nil
	}
	return &fileTree{start: s.r.Cur, exists: func(ctx context.Context, key string) (bool, error) {
		err := j.retry(ctx, srcRead, func(ctx context.Context, _ *watch) error {
			_, err := j.plan.Src.Stat(ctx, key)
			return err
		})
		if oms.KindOf(err) == oms.NotFound {
			return false, nil
		}
		return err == nil, err
	}}
}

// fits returns an error when the destination cannot hold the object under its name.
func (it *item) fits() error {
	switch {
	case !it.job.plan.Spec.Dst.FileSystem:
		return nil
	case it.clash:
		return &oms.Error{Op: "copy", Key: it.obj.Key, Kind: oms.Unsupported, Msg: "the destination is a file system, and a directory of this name is a file"}
	}
	return checkFile(it.job.destination(it.obj.Key), it.obj.Size)
}
