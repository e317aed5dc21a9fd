package guard

import (
	"testing"
)

// BenchmarkTicket is what the controller adds to a request that does not wait.
func BenchmarkTicket(b *testing.B) {
	flow := New(Options{}).Open(Key{Endpoint: "https://store.example", Bucket: "b", Class: Read}, 2)
	defer flow.Close()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		t, err := flow.Acquire(ctx, "")
		if err != nil {
			b.Fatal(err)
		}
		t.Progress(4096)
		t.Done(OK())
	}
}
