package transfer

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/storage"
)

// Abilities are what a destination's answers prove; see Probe.
type Abilities struct {
	CRC32C  bool      // refuses a write whose x-amz-checksum-crc32c is wrong
	MD5     bool      // refuses a write whose Content-MD5 is wrong
	ETagMD5 bool      // the ETag of a single write is the MD5 of its bytes
	Now     time.Time // the store's clock at the probe, whole seconds
}

// Proof is the evidence that a copy is right (rule D1).
type Proof uint8

// The kinds of proof, from the store's own checks to reading the copy back.
const (
	ProvedCRC32C Proof = iota
	ProvedMD5
	ProvedReadBack
	ProofKinds // number of kinds
)

// String returns the name used in reports and metrics.
func (p Proof) String() string {
	return [...]string{"crc32c", "md5", "read_back", "none"}[min(p, ProofKinds)]
}

// probeBody is what a probe writes for an instant.
const probeBody = "openoms: tells whether this store checks what it is sent\n"

// Probe finds out what proves a write to dst: it offers a tiny object under key with a wrong checksum (a store that
// checks refuses it), then writes it rightly and deletes it. It returns a *Stopped error when the destination cannot
// be written to.
func Probe(ctx context.Context, dst storage.Writer, key string) (Abilities, error) {
	var ab Abilities
	body := []byte(probeBody)
	good := storage.Sums{Has: storage.SumCRC32C | storage.SumMD5, CRC32C: crc32.Checksum(body, castagnoli), MD5: md5.Sum(body)}
	var err error
	if ab.CRC32C, err = refuses(ctx, dst, key, storage.Sums{Has: storage.SumCRC32C, CRC32C: ^good.CRC32C}); err != nil {
		return ab, &Stopped{Side: oms.Destination, Err: err}
	}
	if ab.MD5, err = refuses(ctx, dst, key, storage.Sums{Has: storage.SumMD5}); err != nil {
		return ab, &Stopped{Side: oms.Destination, Err: err}
	}
	var w storage.Written
	err = persist(ctx, func(ctx context.Context) error {
		w, err = dst.Put(ctx, storage.PutRequest{Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
		return err
	})
	if err != nil {
		return ab, &Stopped{Side: oms.Destination, Err: err}
	}
	ab.ETagMD5 = !w.Encrypted && strings.EqualFold(w.ETag, hex.EncodeToString(good.MD5[:]))
	ab.Now = w.Date.Truncate(time.Second)
	// Keys that may write but not delete are enough for a migration: a probe that stays behind harms nobody.
	if err := dst.Delete(ctx, key); err != nil && ctx.Err() != nil {
		return ab, context.Cause(ctx)
	}
	return ab, nil
}

// refuses reports whether dst refuses the probe when it is sent with the wrong checksum. A store that does not
// understand the header at all counts as not checking.
func refuses(ctx context.Context, dst storage.Writer, key string, wrong storage.Sums) (refused bool, err error) {
	body := []byte(probeBody)
	err = persist(ctx, func(ctx context.Context) error {
		_, err := dst.Put(ctx, storage.PutRequest{Key: key, Body: bytes.NewReader(body), Size: int64(len(body)), Sums: wrong})
		return err
	})
	switch oms.KindOf(err) {
	case oms.Corrupt:
		return true, nil
	case oms.Invalid, oms.Unsupported:
		return false, nil
	case oms.Other, oms.NotFound, oms.Conflict, oms.Denied, oms.Throttled, oms.Transient, oms.Archived, oms.Changed,
		oms.NoBucket, oms.Full, oms.Listing:
	}
	return false, err
}

// persist tries a request that belongs to no job a few times.
func persist(ctx context.Context, f func(context.Context) error) error {
	const tries = 6
	for try := 1; ; {
		opCtx, cancel := context.WithTimeout(ctx, time.Minute)
		err := f(opCtx)
		cancel()
		try++
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if !oms.KindOf(err).Retryable() && !oms.Canceled(err) || try > tries {
			return err
		}
		if err := sleep(ctx, backoff(try, err)); err != nil {
			return err
		}
	}
}

// evidence is what is known about bytes that were read from the source and are, or were, written.
type evidence struct {
	crc     uint32
	bytes   []byte // the bytes themselves; nil when they streamed, then md5 is set
	md5     *[md5.Size]byte
	srcETag string // ETag of the source object if these bytes are the whole object; may be an MD5
}

func (e *evidence) sum() *[md5.Size]byte {
	if e.md5 == nil {
		sum := md5.Sum(e.bytes)
		e.md5 = &sum
	}
	return e.md5
}

// sums returns the checksums to send with a write so that the destination checks it: not only for the proof, which an
// ETag gives as well, but so that it refuses what arrives in part. A write that was cut off may be stored late, after
// the one that took its place, by a store that takes the end of a connection for the end of the body. known, if not nil,
// is what is known of the source's ETags: where they are MD5s nothing needs to be computed.
func (e *evidence) sums(ab Abilities, known *etags) storage.Sums {
	switch {
	case e.bytes == nil: // not known before the bytes have passed
		return storage.Sums{}
	case ab.CRC32C:
		return storage.Sums{Has: storage.SumCRC32C, CRC32C: e.crc}
	case !ab.MD5:
		return storage.Sums{}
	}
	sent := storage.Sums{Has: storage.SumMD5}
	if e.srcETag == "" || known == nil || !known.matched.Load() {
		sent.MD5 = *e.sum()
	} else if n, err := hex.Decode(sent.MD5[:], []byte(e.srcETag)); err != nil || n != len(sent.MD5) {
		sent.MD5 = *e.sum()
	}
	return sent
}

// judge says what the answer to a write proves. Without proof it returns ProofKinds: the copy must be read back. An
// answer that contradicts the evidence is oms.Corrupt.
func (e *evidence) judge(ab Abilities, w storage.Written, sent storage.Sums) (Proof, error) {
	isMD5 := ab.ETagMD5 && !w.Encrypted && looksLikeMD5(w.ETag)
	// A checksum that was only echoed proves nothing about what was stored: two ETags that should be equal are
	// compared for nothing, and the MD5 is computed only when they differ.
	if isMD5 && e.srcETag != "" && !strings.EqualFold(w.ETag, e.srcETag) && !e.isMD5(w.ETag) {
		return ProofKinds, errETag
	}
	if w.Sums.Has&storage.SumCRC32C != 0 {
		if w.Sums.CRC32C != e.crc {
			return ProofKinds, corrupt("the store reports another CRC32C than that of the bytes sent")
		}
		return ProvedCRC32C, nil
	}
	switch {
	case sent.Has&storage.SumCRC32C != 0:
		return ProvedCRC32C, nil
	case sent.Has&storage.SumMD5 != 0:
		if isMD5 && !strings.EqualFold(w.ETag, hex.EncodeToString(sent.MD5[:])) {
			return ProofKinds, errETag
		}
		return ProvedMD5, nil
	case !isMD5:
		return ProofKinds, nil
	case strings.EqualFold(w.ETag, e.srcETag), e.isMD5(w.ETag):
		return ProvedMD5, nil
	}
	return ProofKinds, errETag
}

// errETag says that the destination stored other bytes than it was sent.
var errETag = corrupt("the store's ETag is not the MD5 of the bytes sent")

// errSourceETag says that the bytes that were read are not those that the source wrote.
var errSourceETag = corrupt("the bytes read are not those of the source's ETag")

// isMD5 reports whether an ETag is the MD5 of the bytes.
func (e *evidence) isMD5(etag string) bool {
	return strings.EqualFold(etag, hex.EncodeToString(e.sum()[:]))
}

// checkSource compares the bytes with the checksums that the source reported of the whole object.
func (e *evidence) checkSource(of storage.Sums) error {
	if of.Has&storage.SumCRC32C != 0 && of.CRC32C != e.crc {
		return corrupt("the bytes read differ from the source's own CRC32C")
	}
	if of.Has&storage.SumCRC64NVME != 0 && of.CRC64NVME != crc64nvme.Checksum(e.bytes) {
		return corrupt("the bytes read differ from the source's own CRC64NVME")
	}
	return nil
}

// damaged reports whether the bytes, proved to be at the destination, are not those of the source's ETag, an MD5. A
// destination whose ETag is the MD5 as well answers for nothing.
func (e *evidence) damaged(w storage.Written, known *etags) bool {
	if e.srcETag == "" {
		return false
	}
	same := strings.EqualFold(w.ETag, e.srcETag) || e.isMD5(e.srcETag)
	if same {
		known.match()
	}
	return !same
}

func corrupt(msg string) error {
	return &oms.Error{Op: "verify", Kind: oms.Corrupt, Msg: msg}
}

// looksLikeMD5 reports whether an ETag has the form of an MD5 in hex.
func looksLikeMD5(etag string) bool {
	if len(etag) != 2*md5.Size {
		return false
	}
	_, err := hex.DecodeString(etag)
	return err == nil
}

// multipartETag returns the ETag that S3 gives an object made of these parts, "" when a part's ETag is no MD5.
func multipartETag(parts []storage.Part) string {
	h := md5.New()
	for _, p := range parts {
		if !looksLikeMD5(p.ETag) {
			return ""
		}
		sum, err := hex.DecodeString(p.ETag)
		if err != nil {
			return ""
		}
		h.Write(sum)
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + itoa(int64(len(parts)))
}

// readBack reads an object of the destination and compares its size and CRC32C; errAway when the destination is away.
func (j *Job) readBack(ctx context.Context, key string, size int64, crc uint32, t *tries) error {
	there, err := j.digest(ctx, dstRead, j.plan.Dst, key, size, t)
	if oms.KindOf(err) == oms.Changed || err == nil && there.crc != crc {
		return corrupt("what the destination holds differs from what was sent")
	}
	return err
}
