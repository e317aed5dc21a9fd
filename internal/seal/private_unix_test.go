//go:build unix

package seal

import (
	"io/fs"
	"testing"
)

func TestPrivate(t *testing.T) {
	const root, me, you = 0, 1000, 1001
	for _, tt := range []struct {
		mode        fs.FileMode
		owner, self int
		want        bool
	}{
		{0o600, me, me, true},
		{0o400, me, me, true},
		{0o640, me, me, false},
		{0o604, me, me, false},
		{0o640, root, root, false},
		{0o440, root, me, true}, // as Kubernetes mounts a secret for a group
		{0o640, root, me, true},
		{0o660, root, me, false},
		{0o444, root, me, false},
		{0o640, you, me, false},
	} {
		if got := private(tt.mode, tt.owner, tt.self); got != tt.want {
			t.Errorf("mode %o of user %d for user %d: %v", tt.mode, tt.owner, tt.self, got)
		}
	}
}
