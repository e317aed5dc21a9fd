package testcloud

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strconv"
	"strings"
)

const (
	sumPrefix  = "X-Amz-Checksum-"
	defaultSum = "crc64nvme" // what AWS computes when the client sends none

	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// The tables are constants in all but syntax.
var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	nvme       = crc64.MakeTable(0x9a6c9329ac4bc9b5)
	ecma       = crc64.MakeTable(crc64.ECMA)
)

// checksum is a value of an x-amz-checksum header; the zero value is none.
type checksum struct {
	algo  string // crc32, crc32c, crc64nvme, sha1, sha256
	value string // base64 of the big-endian sum, "-parts" behind a composite one
	kind  string // fullObject or composite
}

func (s checksum) header() string  { return sumPrefix + s.algo }
func (s checksum) element() string { return "Checksum" + strings.ToUpper(s.algo) }

// set puts the checksum into the headers of an answer.
func (s checksum) set(h http.Header) {
	if s.algo != "" {
		h.Set(s.header(), s.value)
		h.Set("X-Amz-Checksum-Type", s.kind)
	}
}

// newSum returns the hash of an algorithm, or nil.
func newSum(algo string) hash.Hash {
	switch algo {
	case "crc32":
		return crc32.NewIEEE()
	case "crc32c":
		return crc32.New(castagnoli)
	case "crc64nvme":
		return crc64.New(nvme)
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	default:
		return nil
	}
}

// sumContent computes the full-object checksum of c.
func sumContent(algo string, c content) checksum {
	h := newSum(algo)
	copyContent(h, c)
	return checksum{algo: algo, value: base64.StdEncoding.EncodeToString(h.Sum(nil)), kind: fullObject}
}

// sumParts computes the composite checksum over the checksums of parts.
func sumParts(algo string, parts []*part) checksum {
	h := newSum(algo)
	for _, p := range parts {
		raw, err := base64.StdEncoding.DecodeString(p.sum.value)
		if err != nil {
			return checksum{}
		}
		_, _ = h.Write(raw)
	}
	value := base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	return checksum{algo: algo, value: value, kind: composite}
}

// crc64XZ is the checksum that Chinese providers show as a decimal number.
func crc64XZ(c content) uint64 {
	h := crc64.New(ecma)
	copyContent(h, c)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// sentSum returns the checksum that the headers of a write carry; a zero one when there is none.
func sentSum(h http.Header) (checksum, error) {
	var sent checksum
	for name, values := range h {
		algo, ok := strings.CutPrefix(name, sumPrefix)
		if !ok || algo == "Algorithm" || algo == "Type" || algo == "Mode" {
			continue
		}
		if sent.algo != "" {
			return checksum{}, errInvalidRequest.because("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		sent = checksum{algo: strings.ToLower(algo), value: values[0], kind: fullObject}
	}
	if sent.algo == "" {
		return sent, nil
	}
	sum := newSum(sent.algo)
	if sum == nil {
		return checksum{}, errInvalidRequest.because("The algorithm type you specified in x-amz-checksum- header is invalid.")
	}
	raw, err := base64.StdEncoding.DecodeString(sent.value)
	if err != nil || len(raw) != sum.Size() {
		return checksum{}, errInvalidRequest.because("Value for " + strings.ToLower(sent.header()) + " header is invalid.")
	}
	return sent, nil
}
