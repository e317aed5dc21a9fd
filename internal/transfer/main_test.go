package transfer_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the package when a test leaves a goroutine behind (rule C5).
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
