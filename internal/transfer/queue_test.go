package transfer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func smallItem() *item { return &item{} }

func largeItem() *item {
	it := &item{}
	it.obj.Size = maxSingle + 1
	return it
}

func mustPush(t *testing.T, q *queue, items ...*item) {
	t.Helper()
	for _, it := range items {
		if err := q.push(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueuePartsLeaveHalfOfTheWorkersToObjects(t *testing.T) {
	q := newQueue(4, 1<<30)
	for range 5 {
		q.pushPart(&partUnit{})
	}
	mustPush(t, q, smallItem(), smallItem())
	var kinds []byte
	for range 6 {
		u, _ := q.pop()
		if _, ok := u.(*partUnit); ok {
			kinds = append(kinds, 'p')
		} else {
			kinds = append(kinds, 'o')
		}
	}
	if string(kinds) != "ppoopp" { // half of four to parts, then all objects, then parts without bound
		t.Fatalf("got %q", kinds)
	}
	mustPush(t, q, smallItem())
	if u, _ := q.pop(); u == nil {
		t.Fatal("no object")
	} else if _, ok := u.(*item); !ok {
		t.Fatal("a part goes before the object though more than half of the workers move parts")
	}
	for range 4 {
		q.partDone()
	}
	mustPush(t, q, smallItem())
	if u, _ := q.pop(); u == nil {
		t.Fatal("no part")
	} else if _, ok := u.(*partUnit); !ok {
		t.Fatal("the object goes first though few parts are moving")
	}
}

func TestQueueBoundsOpenUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 1<<30)
		for range maxOpenUploads + 1 {
			mustPush(t, q, largeItem())
		}
		for range maxOpenUploads {
			if _, large := q.pop(); large == nil {
				t.Fatal("no large object")
			}
		}
		got := make(chan *item)
		go func() {
			_, large := q.pop()
			got <- large
		}()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("too many uploads at once")
		default:
		}
		q.uploadDone()
		if large := <-got; large == nil {
			t.Fatal("no large object after one ended")
		}
	})
}

func TestQueueWaitsForRoomAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(2, 1<<30)
		for range mostQueued(2) {
			mustPush(t, q, smallItem())
		}
		pushed := make(chan error, 2)
		ended, cancel := context.WithCancelCause(t.Context())
		go func() { pushed <- q.push(t.Context(), smallItem()) }()
		synctest.Wait()
		if len(pushed) > 0 {
			t.Fatal("the queue has no bound")
		}
		q.pop()
		if err := <-pushed; err != nil {
			t.Fatal(err)
		}
		cause := errors.New("stopped")
		go func() { pushed <- q.push(ended, smallItem()) }()
		synctest.Wait()
		cancel(cause)
		if err := <-pushed; !errors.Is(err, cause) {
			t.Fatalf("got %v, want the cause", err)
		}

		var popping sync.WaitGroup
		go func() { pushed <- q.push(t.Context(), smallItem()) }()
		synctest.Wait()
		if dropped := q.close(); dropped != mostQueued(2) {
			t.Fatalf("%d dropped, want %d", dropped, mostQueued(2))
		}
		if err := <-pushed; !errors.Is(err, errClosed) {
			t.Fatalf("got %v, want closed", err)
		}
		for range 3 {
			popping.Go(func() {
				if u, large := q.pop(); u != nil || large != nil {
					t.Error("a closed queue gives something out")
				}
			})
		}
		popping.Wait()
		if q.requeue(smallItem()) || q.close() != 0 {
			t.Fatal("a closed queue takes something in")
		}
	})
}

// TestWorkersComeAndGo: there are as many workers as there is work for and as can be busy, and never none.
func TestWorkersComeAndGo(t *testing.T) {
	q := newQueue(100, 1<<30)
	if q.enlist(10) {
		t.Error("enlisted without work")
	}
	mustPush(t, q, smallItem(), smallItem())
	n := 1
	for q.enlist(10) {
		n++
	}
	if n != 10 {
		t.Errorf("%d workers, want as many as are useful", n)
	}
	for q.dismiss(4) {
		n--
	}
	if n != 5 {
		t.Errorf("%d workers stay, want a few more than are useful", n)
	}
	for q.dismiss(0) {
		n--
	}
	if n != 1 {
		t.Errorf("%d workers stay, want one", n)
	}
	for q.enlist(1000) {
		n++
	}
	if n != 100 {
		t.Errorf("%d workers, want at most 100", n)
	}
}
