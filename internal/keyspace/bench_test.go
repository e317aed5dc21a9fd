package keyspace

import (
	"fmt"
	"testing"
)

func BenchmarkLearn(b *testing.B) {
	sh := dateDirs(1_000_000)
	var m Model
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = sh.key(i * sh.n / len(keys))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Learn(keys[i%len(keys)])
	}
}

func BenchmarkMid(b *testing.B) {
	for _, name := range []string{"uuid-hex", "unicode", "200-byte-prefix"} {
		b.Run(name, func(b *testing.B) {
			for _, s := range shapes {
				if s.name != name {
					continue
				}
				sh := s.make(1_000_000)
				var m Model
				for i := range 1000 {
					m.Learn(sh.key(i * sh.n / 1000))
				}
				iv := Interval{Lo: sh.key(sh.n / 3), Hi: sh.key(sh.n / 2)}
				b.ReportAllocs()
				for b.Loop() {
					m.Mid(iv)
				}
			}
		})
	}
}

// BenchmarkSteal takes one cut among 256 ranges, and undoes it.
func BenchmarkSteal(b *testing.B) {
	sh := dateDirs(1_000_000)
	s := New(256, nil)
	for i := range 256 {
		from, to := i*sh.n/256, (i+1)*sh.n/256
		r := s.Start(Interval{Lo: sh.key(from), Hi: sh.key(to - 1)})
		s.Page(r, Page{N: 1000, Key: func(i int) string { return sh.key(from + 1 + i) }, Truncated: true})
	}
	b.ReportAllocs()
	for b.Loop() {
		v, at, ok := s.Steal()
		if !ok {
			b.Fatal("nothing to steal")
		}
		score, hi := v.score, v.Hi
		s.Stop(s.Cut(v, at))
		v.score, v.Hi, v.cuts, v.trust = score, hi, 0, 1
	}
}

func BenchmarkPage(b *testing.B) {
	sh := dateDirs(1_000_000)
	keys := make([]string, 2000)
	for i := range keys {
		keys[i] = sh.key(i)
	}
	s := New(256, nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := s.Start(Interval{Hi: fmt.Sprint("2022/", i)})
		s.Page(r, Page{N: 1000, Key: func(i int) string { return keys[i] }, Truncated: true})
		s.Stop(r)
	}
}
