package transfer

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Part sizes: small enough that a few parts in flight fit in the buffers, large enough that requests are few.
const (
	minPart   = 8 << 20
	fewParts  = 1000    // parts grow up to MaxBuffer while there are more than so many
	mostParts = 9000    // leaves room under the usual limit of 10,000
	leastPart = 5 << 20 // what most stores take
	mebibyte  = 1 << 20
)

// Bounds of requests that move no bytes but take long.
const (
	abortPatience    = 30 * time.Second
	completePatience = 10 * time.Minute
)

// partSize returns the part size for an object of size bytes.
func partSize(size int64, lim storage.PartLimits) int64 {
	most := int64(mostParts)
	if lim.MaxParts > 0 {
		most = min(most, int64(lim.MaxParts)*9/10)
	}
	p := max(minPart, lim.MinPart)
	for p < MaxBuffer && size/p > min(fewParts, most) {
		p *= 2
	}
	if size/p >= most {
		p = (size/most + mebibyte) / mebibyte * mebibyte
	}
	if lim.MaxPart > 0 {
		p = min(p, lim.MaxPart)
	}
	return p
}

// askedPartSize returns the part size that somebody asked for, as far as the store allows it for an object of size bytes.
func askedPartSize(asked, size int64, lim storage.PartLimits) int64 {
	p := max(asked, lim.MinPart)
	if lim.MaxPart > 0 {
		p = min(p, lim.MaxPart)
	}
	most := int64(mostParts)
	if lim.MaxParts > 0 {
		most = min(most, int64(lim.MaxParts)*9/10)
	}
	if size/p >= most {
		return partSize(size, lim)
	}
	return p
}

// partSize returns the part size to use: the source's own where it can be found, because then the destination's ETag
// must be the source's.
func (u *upload) partSize(ctx context.Context, lim storage.PartLimits) int64 {
	j := u.it.job
	if j.opts.PartSize > 0 {
		return askedPartSize(j.opts.PartSize, u.src.Size, lim)
	}
	usual := partSize(u.src.Size, lim)
	want := partsOf(u.src.ETag)
	sizer, ok := j.plan.Src.(storage.PartSizer)
	if !ok || want < 2 || u.src.Encrypted || !j.plan.Abilities.ETagMD5 || j.srcETags.foreign() {
		return usual
	}
	var size int64
	var parts int
	err := j.retry(ctx, srcRead, func(ctx context.Context, _ *watch) (err error) {
		size, parts, err = sizer.PartSize(ctx, u.it.obj.Key, u.src.ETag)
		return err
	})
	usable := size >= max(lim.MinPart, leastPart) && size <= MaxBuffer && (lim.MaxPart == 0 || size <= lim.MaxPart) &&
		(lim.MaxParts == 0 || want <= lim.MaxParts)
	if err != nil || parts != want || !usable || (u.src.Size+size-1)/size != int64(want) {
		return usual
	}
	u.ownParts = true
	return size
}

// partsOf returns the number of parts in the ETag that S3 gives an object made of parts, 0 for any other.
func partsOf(etag string) int {
	sum, number, ok := strings.Cut(etag, "-")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 || !looksLikeMD5(sum) {
		return 0
	}
	return n
}

// upload is a large object in progress.
type upload struct {
	it       *item
	mp       storage.Multiparter
	src      storage.Object
	key      string // at the destination
	row      oms.Upload
	parts    []storage.Part // by number - 1; Number 0: not there yet
	crcs     []uint32       // by number - 1
	crc64s   []uint64       // by number - 1; only when the source reported a CRC64NVME
	held     []heldPart     // by number - 1; those of an earlier run that are read again before they count
	proof    Proof          // weakest proof of a part; ProofKinds: the whole must be read back
	moved    int64
	ownParts bool // the parts are those that the source object was uploaded in
	todo     todo
	tries    []tries // by number - 1
	result   chan partResult
	// inOrder is set when the source reported nothing of the whole object but its MD5.
	inOrder *inOrder
	// before is the CRC32C of what an earlier attempt read whose MD5 was not the source's; nil: none.
	before *uint32
}

// copyLarge moves an object in parts.
func (it *item) copyLarge(ctx context.Context) outcome {
	mp, ok := it.job.plan.Dst.(storage.Multiparter)
	if !ok {
		return failed(oms.FailInitUpload, &oms.Error{Op: "copy", Key: it.obj.Key, Kind: oms.Unsupported, Msg: "the destination takes no multipart uploads"})
	}
	var before *uint32
	for restart := 1; ; restart++ {
		src, err := it.statSource(ctx)
		if err != nil {
			return failed(sourceCode(err, oms.FailGetMeta), err)
		}
		it.obj = src.ListedObject
		if it.obj.Size <= maxSingle {
			return it.copySmall(ctx)
		}
		u := &upload{
			it: it, mp: mp, src: src, key: it.job.destination(it.obj.Key), proof: ProvedCRC32C, before: before,
		}
		o := u.run(ctx)
		before = u.before
		// NotFound on the way means that the upload is gone: somebody cleaned up. Start over, as after bytes that turned
		// out wrong in the end.
		kind := oms.KindOf(o.err)
		again := kind == oms.Changed || kind == oms.NotFound && o.code != oms.FailMissing || kind == oms.Corrupt
		if !again || restart >= maxRestarts {
			return o
		}
	}
}

// run takes the upload from opening to proof. When the object fails the upload is aborted; when the job is stopped
// it stays open and is taken up again on resume.
func (u *upload) run(ctx context.Context) outcome {
	j := u.it.job
	defer func() { j.partial.Add(-u.moved) }()
	o := u.open(ctx)
	if o.err == nil {
		o = u.moveParts(ctx)
	}
	if o.err == nil {
		if err := u.checkSource(); err != nil { // before anybody can see it
			o = failed(oms.FailConsistency, err)
		}
	}
	if o.err == nil {
		o = u.complete(ctx)
	}
	switch {
	case u.row.Key == "":
	case o.err == nil: // reported like all finished work, even while the job is being stopped
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalPatience)
		defer cancel()
		j.noteErr(j.journal.CloseUpload(ctx, u.row.Ref()))
	case ctx.Err() == nil && !j.stopping():
		j.abort(ctx, u.mp, u.key, u.row)
	}
	return o
}

// open takes up the upload of an earlier run if it still fits, else opens a new one. The intent is durable before
// the store is asked, and the id before the first part is sent (rule C2).
func (u *upload) open(ctx context.Context) outcome {
	j := u.it.job
	if prior, ok := j.takeUpload(u.it.obj.Key); ok {
		u.row = prior
		u.it.attrs(u.src) // the run that opened the upload may have sent less
		if prior.UploadID != "" && prior.ETag == u.src.ETag && prior.Size == u.src.Size && prior.PartSize > 0 {
			resumed, o := u.resume(ctx)
			if resumed || o.err != nil {
				return o
			}
			if err := j.journal.CloseUpload(ctx, prior.Ref()); err != nil {
				return failed(oms.FailInitUpload, err)
			}
		} else if err := j.abandon(ctx, u.mp, u.key, prior); err != nil {
			return failed(oms.FailInitUpload, err)
		}
	}
	lim := u.mp.PartLimits()
	u.row = oms.Upload{
		TaskID: j.plan.TaskID, Key: u.it.obj.Key, Size: u.src.Size, ETag: u.src.ETag, PartSize: u.partSize(ctx, lim),
	}
	if most := int64(lim.MaxParts); most > 0 && u.row.Size > most*u.row.PartSize {
		return failed(oms.FailInitUpload, &oms.Error{
			Op: "copy", Key: u.it.obj.Key, Kind: oms.Unsupported, Msg: "the object is larger than the destination can take",
		})
	}
	if err := j.journal.OpenUpload(ctx, u.row); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	attrs := u.it.attrs(u.src)
	if j.plan.Abilities.CRC32C && u.row.PartSize <= MaxBuffer { // parts that stream have no checksum to send
		attrs.PartSums = storage.SumCRC32C
	}
	id, err := u.create(ctx, attrs)
	if err != nil {
		return failed(oms.FailInitUpload, err)
	}
	intent := u.row.Ref()
	u.row.UploadID = id
	if err := j.journal.OpenUpload(ctx, u.row); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	if err := j.journal.CloseUpload(ctx, intent); err != nil {
		return failed(oms.FailInitUpload, err)
	}
	u.layout()
	return outcome{}
}

// create opens an upload at the store. When it took more than one request, a lost answer may have left another upload
// open: it is aborted while the intent still stands.
func (u *upload) create(ctx context.Context, attrs storage.Attrs) (id string, err error) {
	j := u.it.job
	tries := 0
	for again := true; again; again = u.it.shed(&attrs, err) {
		err = j.retry(ctx, dstWrite, func(ctx context.Context, _ *watch) (err error) {
			tries++
			id, err = u.mp.CreateUpload(ctx, u.key, attrs)
			return err
		})
	}
	if err == nil && tries > 1 {
		if err := abortOpen(ctx, u.mp, u.key, id); err != nil {
			j.opts.Logger.WarnContext(ctx, "open uploads could not be looked up", "task_id", j.plan.TaskID, "key", oms.Clean(u.key), "err", err)
		}
	}
	return id, err
}

func (u *upload) layout() {
	n := (u.row.Size + u.row.PartSize - 1) / u.row.PartSize
	u.parts, u.crcs, u.tries, u.held = make([]storage.Part, n), make([]uint32, n), make([]tries, n), make([]heldPart, n)
	if u.src.Sums.Has&storage.SumCRC64NVME != 0 && u.row.PartSize <= MaxBuffer {
		u.crc64s = make([]uint64, n)
	}
	if u.onlyMD5() {
		u.inOrder = newInOrder(int(n))
	}
}

// onlyMD5 reports whether the MD5 of the whole is all that the source tells of the object's bytes.
func (u *upload) onlyMD5() bool {
	return u.src.Sums.Has&(storage.SumCRC32C|storage.SumCRC64NVME) == 0 && !u.src.Encrypted && looksLikeMD5(u.src.ETag) &&
		u.row.PartSize <= MaxBuffer && !u.it.job.srcETags.foreign()
}

// heldPart is a part that the store holds from an earlier run, whose bytes are compared with the source's once more.
type heldPart struct {
	there bool
	known bool // its crc is
	crc   uint32
}

// resume takes over the parts that the store holds; false when the upload is gone. A part counts when its proof was
// stored, or when the store would have refused wrong bytes, which it cannot for parts that stream. What was read of it
// then is known by its CRC32C alone: where the source tells another checksum of the whole, or that CRC is lost, the part
// is read again, and sent again only if it turns out to be another one (rule D1).
func (u *upload) resume(ctx context.Context) (bool, outcome) {
	j := u.it.job
	var listed []storage.Part
	err := j.retry(ctx, dstRead, func(ctx context.Context, _ *watch) (err error) {
		listed, err = u.mp.ListParts(ctx, u.key, u.row.UploadID)
		return err
	})
	if oms.KindOf(err) == oms.NotFound {
		return false, outcome{}
	}
	if err != nil {
		return false, failed(oms.FailInitUpload, err)
	}
	u.layout()
	whole := u.crc64s != nil || u.inOrder != nil
	proved := make(map[int]oms.UploadedPart, len(u.row.Parts))
	for _, p := range u.row.Parts {
		proved[p.Number] = p
	}
	for _, p := range listed {
		if p.Number < 1 || p.Number > len(u.parts) || p.Size != u.span(p.Number).Size {
			continue
		}
		known, ok := proved[p.Number]
		checked := j.plan.Abilities.CRC32C && u.row.PartSize <= MaxBuffer
		held := heldPart{there: true, known: true}
		switch {
		case ok && known.ETag == p.ETag:
			held.crc = known.CRC32C
		case checked && p.Sums.Has&storage.SumCRC32C != 0:
			held.crc = p.Sums.CRC32C
		case checked:
			held.known = false
		default:
			continue
		}
		if whole || !held.known {
			u.held[p.Number-1] = held
		}
		u.parts[p.Number-1], u.crcs[p.Number-1] = p, held.crc
		u.arrived(p.Size) // it was sent before the crash or pause
	}
	return true, outcome{}
}

// span returns the byte range of a part.
func (u *upload) span(number int) storage.ByteRange {
	off := int64(number-1) * u.row.PartSize
	return storage.ByteRange{Offset: off, Size: min(u.row.PartSize, u.row.Size-off)}
}
