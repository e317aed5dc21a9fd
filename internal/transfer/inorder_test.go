package transfer

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestInOrder: parts that are read in any order, and given back at any time, are hashed in theirs.
func TestInOrder(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			whole := make([]byte, 40+rng.IntN(40))
			for i := range whole {
				whole[i] = byte(rng.Uint32())
			}
			const size = 7
			n := (len(whole) + size - 1) / size
			o := newInOrder(n)
			var left todo
			for i := range n {
				left.numbers = append(left.numbers, i+1)
			}
			var given atomic.Int64
			results := make(chan error, n)
			var pauses []time.Duration
			for range 200 {
				pauses = append(pauses, time.Duration(rng.IntN(1000))*time.Millisecond)
			}
			slots := make(chan struct{}, 3) // fewer than parts: those that wait must not keep the others out
			for range n {
				go func() {
					results <- func() error {
						for {
							slots <- struct{}{}
							number := left.take()
							turn := o.enter()
							time.Sleep(pauses[(number*7+int(given.Load()))%len(pauses)])
							var err error
							if away := pauses[(number+int(given.Load()))%len(pauses)]%3 == 0 && given.Load() < 20; away {
								given.Add(1)
								err = errAway
							} else {
								err = o.add(t.Context(), turn, number, whole[(number-1)*size:min(number*size, len(whole))])
							}
							if !errors.Is(err, errAway) {
								<-slots
								return err
							}
							left.giveBack(number)
							if !errors.Is(err, errOvertaken) {
								o.leave()
							}
							<-slots
						}
					}()
				}()
			}
			for range n {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			sum := md5.Sum(whole)
			if !o.is(hex.EncodeToString(sum[:])) {
				t.Fatalf("seed %d: another MD5, or not all parts", seed)
			}
			if o.is("00000000000000000000000000000000") {
				t.Fatal("any ETag is the MD5")
			}
		})
	}
}

func TestETagsBecomeForeign(t *testing.T) {
	var e etags
	for range manyForeign {
		if e.foreign() {
			t.Fatal("too early")
		}
		if !e.differ() {
			t.Fatal("another object's ETag was its MD5, it is said")
		}
	}
	if !e.foreign() {
		t.Error("still compared")
	}
	e.match()
	if e.foreign() || e.differ() {
		t.Error("a true MD5 was seen: the others are damaged")
	}
}
