package engine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/listfile"
	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
	"github.com/openoms/openoms/internal/transfer"
)

// Bounds of list files.
const (
	surveyPiece   = 4 << 20 // bytes of a file read at once while it is checked
	listRangeSize = 4 << 20 // bytes of a file in one range at least
	rangesPerList = 64      // ranges of one file at most
	rangesOfLists = 4096    // ranges of all files of a task, as far as a range per file allows
	firstTries    = 3       // requests for the first object of a list, when a web server does not answer

	listFilePatience = 5 * time.Minute // one request for a list file
)

// openLists opens the bucket of the task's list files, which lies in the destination's region (OMS v2, 3.2); nil for
// tasks without.
func (e *Engine) openLists(ctx context.Context, spec oms.TaskSpec, keys oms.Credentials) (storage.Reader, error) {
	if !spec.Type.Lists() {
		return nil, nil //nolint:nilnil // there are none
	}
	return e.opts.Opener.Open(ctx, storage.Bucket{
		CloudType: cmp.Or(spec.Dst.CloudType, oms.CloudHEC), Endpoint: spec.Dst.Endpoint, Name: spec.Src.ListFile.Bucket, Credentials: keys,
	})
}

// checkListBucket returns nil when the bucket of the task's list files, if there are any, can be reached in the
// destination's region with the destination's keys (OMS.0057).
func (e *Engine) checkListBucket(ctx context.Context, spec oms.TaskSpec, keys oms.Credentials) error {
	if !spec.Type.Lists() || spec.Src.ListFile.Bucket == spec.Dst.Bucket {
		return nil
	}
	lists, err := e.openLists(ctx, spec, keys)
	if err == nil {
		err = checkDestination(ctx, lists)
	}
	if err == nil {
		return nil
	}
	return &oms.Error{
		Op: "check list bucket", Kind: oms.Invalid, Code: "OMS.0057", Err: err,
		Msg: "the bucket of the list file cannot be reached in the destination's region with the destination's keys",
	}
}

// checkListFile refuses specs without a usable list file.
func checkListFile(spec oms.TaskSpec) error {
	if l := spec.Src.ListFile; l == nil || l.Bucket == "" || l.Key == "" {
		return oms.Errorf(oms.Invalid, "OMS.1004", "no list file is named")
	}
	return nil
}

// survey is the look at a task's list files before anything is copied.
type survey struct {
	engine *Engine
	task   oms.Task
	src    storage.Reader
	lists  storage.Reader
	twins  *listfile.Twins // of lists of URLs
}

// surveyLists reads all list files of the task from the first to the last line and checks that the first object exists
// (OMS v2, 6.2 and 6.3). A *transfer.Stopped error says what is wrong with them.
func (e *Engine) surveyLists(ctx context.Context, t oms.Task, b buckets) ([]oms.ListSource, error) {
	s := survey{engine: e, task: t, src: b.src, lists: b.lists}
	if t.Spec.Type == oms.TypeURLList {
		s.twins = listfile.NewTwins()
	}
	keys, err := s.keys(ctx)
	if err != nil {
		return nil, err
	}
	files := make([]oms.ListSource, 0, len(keys))
	for i, key := range keys {
		f, first, err := s.check(ctx, key)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if err := s.checkFirst(ctx, key, first); err != nil {
				return nil, err
			}
		}
		f.Index = i
		files = append(files, f)
	}
	return files, s.checkTwins(ctx, files)
}

// checkTwins refuses lists that give one name to different URLs (rule D3).
func (s survey) checkTwins(ctx context.Context, files []oms.ListSource) error {
	if s.twins == nil {
		return nil
	}
	for s.twins.More() {
		for _, f := range files {
			if _, err := listfile.Check(ctx, s.open(ctx, f), listfile.URLs, s.twins.Add); err != nil {
				return s.refuse(ctx, f.Key, err)
			}
		}
	}
	if !s.twins.Suspects() {
		return nil
	}
	type place struct {
		url, list string
		line      int64
	}
	seen := make(map[string]place)
	for _, f := range files {
		scanner := listfile.NewScanner(s.open(ctx, f), listfile.Options{Form: listfile.URLs})
		for {
			e, err := scanner.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return s.refuse(ctx, f.Key, err)
			}
			if !s.twins.Suspect([]byte(e.Name)) {
				continue
			}
			first, ok := seen[e.Name]
			if ok && first.url != e.URL {
				return s.refuse(ctx, f.Key, oms.Errorf(oms.Invalid, listfile.CodeFormat,
					"line %d: its name is that of line %d of %q, which has another URL", scanner.Line(), first.line, oms.Clean(first.list)))
			}
			seen[e.Name] = place{url: e.URL, list: f.Key, line: scanner.Line()}
		}
	}
	return nil
}

// keys returns the keys of the list files: the one that is named, or all in the folder that is, in byte order.
func (s survey) keys(ctx context.Context) ([]string, error) {
	named := s.task.Spec.Src.ListFile.Key
	if !strings.HasSuffix(named, "/") {
		return []string{named}, nil
	}
	var keys []string
	for opts := (storage.ListOptions{Prefix: named}); ; {
		var page storage.Page
		err := s.patiently(ctx, func(ctx context.Context) (err error) {
			page, err = s.lists.List(ctx, opts)
			return err
		})
		if err != nil {
			return nil, s.refuse(ctx, named, err)
		}
		for _, o := range page.Objects {
			if o.Key != named { // the marker of the folder itself
				keys = append(keys, o.Key)
			}
		}
		switch {
		case len(keys) > listfile.MaxFiles:
			return nil, s.refuse(ctx, named, oms.Errorf(oms.Invalid, listfile.CodeFile, "the folder has more than 2000 files"))
		case !page.Truncated && len(keys) == 0:
			return nil, s.refuse(ctx, named, oms.Errorf(oms.NotFound, "", "no list file"))
		case !page.Truncated:
			return keys, nil
		case len(page.Objects) > 0:
			opts.After, opts.Token = page.Objects[len(page.Objects)-1].Key, ""
		case page.Next == "" || page.Next == opts.Token:
			return nil, s.refuse(ctx, named, oms.Errorf(oms.Listing, "LISTING_LOOP", "the store sends empty pages without end"))
		default:
			opts.Token = page.Next
		}
	}
}

// check reads one file as a whole.
func (s survey) check(ctx context.Context, key string) (oms.ListSource, listfile.Entry, error) {
	var o storage.Object
	err := s.patiently(ctx, func(ctx context.Context) (err error) {
		o, err = s.lists.Stat(ctx, key)
		return err
	})
	if err == nil {
		err = listfile.CheckObject(listfile.Object{
			Key: key, Size: o.Size, ContentType: o.Attrs.ContentType, ContentEncoding: o.Attrs.ContentEncoding,
		})
	}
	if err != nil {
		return oms.ListSource{}, listfile.Entry{}, s.refuse(ctx, key, err)
	}
	f := oms.ListSource{Key: key, ETag: o.ETag, Size: o.Size}
	var each func([]byte, string)
	if s.twins != nil {
		each = s.twins.Add
	}
	sum, err := listfile.Check(ctx, s.open(ctx, f), formOf(s.task.Spec), each)
	if err != nil {
		return oms.ListSource{}, listfile.Entry{}, s.refuse(ctx, key, err)
	}
	f.Lines = sum.Entries
	return f, sum.First, nil
}

func formOf(spec oms.TaskSpec) listfile.Form {
	if spec.Type == oms.TypeURLList {
		return listfile.URLs
	}
	return listfile.Names
}

// open returns a reader of a whole file, in the version that f names.
func (s survey) open(ctx context.Context, f oms.ListSource) io.Reader {
	return storage.NewPieces(0, f.Size, surveyPiece, func(r storage.ByteRange, buf []byte) error {
		return s.patiently(ctx, func(ctx context.Context) error {
			c, err := s.lists.Open(ctx, f.Key, storage.OpenOptions{Range: &r, IfMatch: f.ETag, Size: f.Size})
			if err != nil {
				return err
			}
			defer c.Body.Close()
			if _, err = io.ReadFull(c.Body, buf); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return &oms.Error{Op: "read list file", Key: f.Key, Kind: oms.Transient, Err: err}
			}
			return err
		})
	})
}

// checkFirst refuses a list whose first object does not exist: most probably all of it is wrong. Other trouble with one
// object says nothing about the others.
func (s survey) checkFirst(ctx context.Context, list string, first listfile.Entry) error {
	key := cmp.Or(first.URL, first.Name)
	var err error
	for range firstTries {
		call, cancel := context.WithTimeout(ctx, storeTimeout)
		_, err = s.src.Stat(call, key)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !oms.KindOf(err).Retryable() {
			break
		}
	}
	if oms.KindOf(err) != oms.NotFound {
		return nil //nolint:nilerr // see above
	}
	return &transfer.Stopped{Side: oms.Source, Err: &oms.Error{
		Op: "check list file", Kind: oms.NotFound, Code: "TRF.0156", Err: err,
		Msg: `The first object of the list file "` + oms.Clean(list) + `" does not exist in the source.`,
	}}
}

// refuse turns trouble with a list file into the reason that stops the task.
func (s survey) refuse(ctx context.Context, key string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &transfer.Stopped{Side: oms.Destination, Err: listfile.Trouble(key, err)}
}

// patiently makes a request to the bucket of the lists, which is waited for while it is away, as a job would.
func (s survey) patiently(ctx context.Context, request func(context.Context) error) error {
	e := s.engine
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		call, cancel := context.WithTimeout(ctx, listFilePatience)
		err := request(call)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		away := oms.KindOf(err).Retryable() || oms.Canceled(err)
		if err == nil || !away || time.Since(began) > e.opts.Transfer.Patience {
			return err
		}
		e.log.WarnContext(ctx, "the bucket of the list file does not answer, trying again", "task_id", s.task.ID, "err", err)
		if asked, ok := storage.RetryAfter(err); ok {
			pause = max(pause, asked)
		}
		if err := rest(ctx, pause); err != nil {
			return err
		}
	}
}

// listRanges returns the ranges over list files, cut so that other workers can take some.
func listRanges(files []oms.ListSource) []oms.Range {
	pieces := min(rangesPerList, max(1, rangesOfLists/max(1, len(files))))
	var rs []oms.Range
	for _, f := range files {
		r := oms.Range{Kind: oms.RangeLines, Prefix: f.Prefix()}
		for _, cut := range listfile.Cut(f.Size, pieces, listRangeSize) {
			r.End = oms.LinePosition(cut)
			rs = append(rs, r)
			r.Start, r.Cur, r.End = r.End, r.End, ""
		}
		rs = append(rs, r)
	}
	return rs
}

// listedLines returns how many objects the files name.
func listedLines(files []oms.ListSource) (n int64) {
	for _, f := range files {
		n += f.Lines
	}
	return n
}

// checkListBooks returns an error unless the ranges over list files cover each file once and every line of it has an
// outcome.
func checkListBooks(rs []oms.Range) error {
	files := make(map[string][]oms.Range)
	for _, r := range rs {
		if r.Kind == oms.RangeLines {
			files[r.Prefix] = append(files[r.Prefix], r)
		}
	}
	if len(files) == 0 {
		return oms.Errorf(oms.Corrupt, "", "the task has no range over a list file")
	}
	seen := make([]bool, len(files))
	for prefix, tiles := range files {
		f, err := oms.ParseListSource(prefix)
		if err != nil {
			return err
		}
		if err := checkTiles(oms.Range{Kind: oms.RangeLines}, tiles); err != nil {
			return err
		}
		var listed int64
		for _, r := range tiles {
			listed += r.Counters.Listed + r.Counters.Filtered
		}
		if f.Index >= len(seen) || seen[f.Index] || listed != f.Lines {
			return oms.Errorf(oms.Corrupt, "", "list file %d names %d objects, of which %d have an outcome", f.Index, f.Lines, listed)
		}
		seen[f.Index] = true
	}
	if slices.Contains(seen, false) {
		return oms.Errorf(oms.Corrupt, "", "a list file of the task has no range")
	}
	return nil
}
