package auth

import (
	"testing"

	"go.uber.org/goleak"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
