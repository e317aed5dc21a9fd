package engine

import (
	"bytes"
	"errors"
	"testing"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/seal"
)

// Credentials open only for the project, task and side that they were sealed for (rule S4).
func TestSealedCredentials(t *testing.T) {
	t.Parallel()
	s, err := seal.New(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	keys := oms.TaskCredentials{
		Src: oms.Credentials{AccessKey: "AK1", SecretKey: oms.NewSecret("one"), SecurityToken: oms.NewSecret("token"), CDNKey: oms.NewSecret("cdn")},
		Dst: oms.Credentials{AccessKey: "AK2", SecretKey: oms.NewSecret("two")},
	}
	sealed, err := sealAll(s, "p", 17, keys)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unseal(s, "p", 17, sealed); err != nil || got != keys {
		t.Errorf("got other credentials, %v", err)
	}
	swapped := map[string][]byte{fieldSrc: sealed[fieldDst], fieldDst: sealed[fieldSrc]}
	for _, c := range []struct {
		name    string
		project string
		id      int64
		sealed  map[string][]byte
		side    oms.Side
	}{
		{"other project", "q", 17, sealed, oms.Source},
		{"other task", "p", 18, sealed, oms.Source},
		{"swapped", "p", 17, swapped, oms.Source},
		{"none", "p", 17, nil, oms.Source},
		{"no destination", "p", 17, map[string][]byte{fieldSrc: sealed[fieldSrc]}, oms.Destination},
	} {
		_, err := unseal(s, c.project, c.id, c.sealed)
		if gone, ok := errors.AsType[*keysGone](err); !ok || gone.side != c.side {
			t.Errorf("%s: got %v, want the keys of side %d to be gone", c.name, err, c.side)
		}
	}
}
