package keyspace

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// A shape is a key space of n keys of which only those asked for are made: key(i) ascends strictly with i.
type shape struct {
	n   int
	key func(i int) string
}

// rank returns how many keys are at or below k.
func (s shape) rank(k string) int {
	return sort.Search(s.n, func(i int) bool { return s.key(i) > k })
}

// children answers a listing of dir with the delimiter "/": the common prefixes among the first 1,000 entries.
func (s shape) children(dir string) (found []string) {
	at, entries := s.rank(dir), 0
	if at > 0 && s.key(at-1) == dir {
		at--
	}
	for ; at < s.n && entries < simPage; entries++ {
		k := s.key(at)
		if !strings.HasPrefix(k, dir) {
			break
		}
		slash := strings.IndexByte(k[len(dir):], '/')
		if slash < 0 {
			at++
			continue
		}
		child := k[:len(dir)+slash+1]
		found = append(found, child)
		at += sort.Search(s.n-at, func(i int) bool { c := s.key(at + i); return c > child && !strings.HasPrefix(c, child) })
	}
	return found
}

const (
	simPage    = 1000
	simLatency = .1 // seconds
)

// request is one in flight.
type request struct {
	due   float64
	r     *Range // nil for a probe
	after int    // rank of the range's position when it was sent
	dir   string
}

type requests []request

func (q requests) Len() int           { return len(q) }
func (q requests) Less(i, j int) bool { return q[i].due < q[j].due }
func (q requests) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *requests) Push(x any)        { *q = append(*q, x.(request)) } //nolint:errcheck // only requests are pushed
func (q *requests) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// outcome is what listing a whole shape took.
type outcome struct {
	figure
	sent  int
	space *Space
}

func (o outcome) String() string {
	return fmt.Sprintf("%5.1f/%.2f (%d empty, %d probes)", o.speedUp, o.requests, o.space.empties, o.space.probes)
}

// simulate lists the shape by walkers in virtual time and fails the test unless the delivered intervals tile it.
func simulate(tb testing.TB, sh shape, walkers int, known []string) outcome {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(1, 7))
	space := New(walkers, known)
	var queue requests
	var tiles [][2]int
	now, sent := 0., 0
	latency := func() float64 { return now + simLatency*(.8+.4*rnd.Float64()) }
	list := func(r *Range, after int) {
		sent++
		heap.Push(&queue, request{due: latency(), r: r, after: after})
	}
	dispatch := func() {
		for len(queue) < walkers {
			if dir, ok := space.NextProbe(); ok {
				sent++
				heap.Push(&queue, request{due: latency(), dir: dir})
				continue
			}
			v, at, ok := space.Steal()
			if !ok {
				return
			}
			thief := space.Cut(v, at)
			if thief == nil {
				tb.Fatalf("Steal gave a point that Cut refuses: %q in (%q, %q]", at, v.Lo, v.Hi)
			}
			list(thief, sh.rank(at))
		}
	}
	list(space.Start(Interval{}), 0)
	for len(queue) > 0 {
		q, ok := heap.Pop(&queue).(request)
		if !ok {
			tb.Fatal("the queue holds something else")
		}
		now = q.due
		if q.r == nil {
			space.Probed(q.dir, sh.children(q.dir))
			dispatch()
			continue
		}
		size := min(simPage, sh.n-q.after)
		n, ended := space.Page(q.r, Page{
			N: size, Key: func(i int) string { return sh.key(q.after + i) }, Truncated: q.after+size < sh.n,
		})
		if n > 0 {
			tiles = append(tiles, [2]int{q.after, q.after + n})
		}
		if !ended {
			list(q.r, q.after+n)
		}
		dispatch()
	}
	slices.SortFunc(tiles, func(a, b [2]int) int { return a[0] - b[0] })
	at := 0
	for _, tile := range tiles {
		if tile[0] != at {
			tb.Fatalf("delivered up to %d, then from %d", at, tile[0])
		}
		at = tile[1]
	}
	if at != sh.n || len(space.live) != 0 {
		tb.Fatalf("delivered %d of %d keys, %d ranges still live", at, sh.n, len(space.live))
	}
	fewest := float64(max(1, (sh.n+simPage-1)/simPage))
	return outcome{figure{fewest * simLatency / now, float64(sent) / fewest}, sent, space}
}

// mix returns pseudo-random bits of i.
func mix(i uint64) uint64 {
	i += 0x9e3779b97f4a7c15
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return i ^ i>>31
}

// spread returns the i-th of n numbers that are spread at random over the 64-bit numbers, ascending.
func spread(i, n int) uint64 {
	cell := math.MaxUint64 / uint64(n)
	return uint64(i)*cell + mix(uint64(i))%cell
}

// digits writes the first characters of v as a fraction in the base of the letters, which must ascend.
func digits(v uint64, letters []rune, count int) string {
	var b strings.Builder
	f := float64(v) / math.MaxUint64
	for range count {
		f *= float64(len(letters))
		d := min(int(f), len(letters)-1)
		b.WriteRune(letters[d])
		f -= float64(d)
	}
	return b.String()
}

// A dir is a directory, or any group of neighbours, of a shape.
type dir struct {
	name string
	size int
	leaf func(i, n int) string
}

// tree returns the shape made of the directories, which are sorted here.
func tree(dirs []dir) shape {
	slices.SortFunc(dirs, func(a, b dir) int { return strings.Compare(a.name, b.name) })
	ends := make([]int, len(dirs))
	total := 0
	for i, d := range dirs {
		total += d.size
		ends[i] = total
	}
	return shape{total, func(i int) string {
		d := sort.SearchInts(ends, i+1)
		return dirs[d].name + dirs[d].leaf(i-(ends[d]-dirs[d].size), dirs[d].size)
	}}
}

func hexLeaf(i, n int) string    { return fmt.Sprintf("%016x", spread(i, n)) }
func numberLeaf(i, _ int) string { return fmt.Sprintf("%08d.jpg", i) }

var (
	base64Letters = []rune("-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
	edgeLetters   = []rune("\x01\x1f !~\x7f\u0080\u00ff\u07ff\u0800\ud7ff\ue000\ufffc\uffff\U00010000\U0001f600\U0010fffe\U0010ffff")
)

// unpadded is the numbers from 1 to n without leading zeros, in the order of their text.
func unpadded(n int) shape {
	under := func(prefix int) (count int) { // numbers whose text begins with that of prefix
		for lo, hi := prefix, prefix+1; lo <= n; lo, hi = lo*10, hi*10 {
			count += min(hi, n+1) - lo
		}
		return count
	}
	return shape{n, func(i int) string {
		at := 1
		for i > 0 {
			if c := under(at); i >= c {
				i -= c
				at++
				continue
			}
			i--
			at *= 10
		}
		return strconv.Itoa(at)
	}}
}

func dateDirs(n int) shape {
	var dirs []dir
	for day := range 900 {
		y, m, d := 2021+day/360, day%360/30+1, day%30+1
		dirs = append(dirs, dir{fmt.Sprintf("%04d/%02d/%02d/", y, m, d), n / 900, hexLeaf})
	}
	return tree(dirs)
}

func hive(n int) shape {
	var dirs []dir
	for t := range 4 {
		for day := range 250 {
			for hour := range 24 {
				name := fmt.Sprintf("warehouse/table_%c/dt=%04d-%02d-%02d/hour=%02d/", 'a'+t, 2023+day/240, day%240/20+1, day%20+1, hour)
				dirs = append(dirs, dir{name, max(1, n/24000), func(i, n int) string {
					return fmt.Sprintf("part-%05d-%08x.parquet", i, uint32(mix(uint64(i))))
				}})
			}
		}
	}
	return tree(dirs)
}

func giantDir(n int) shape {
	dirs := []dir{{"data/giant/", n * 9 / 10, hexLeaf}}
	for i := range 1000 {
		dirs = append(dirs, dir{fmt.Sprintf("data/small%04d/", i), n / 10000, numberLeaf})
	}
	return tree(dirs)
}

func zipf(n int) shape {
	const tenants = 20000
	sum := 0.
	for i := range tenants {
		sum += 1 / float64(i+1)
	}
	var dirs []dir
	for i := range tenants {
		size := int(float64(n) / sum / float64(i+1))
		dirs = append(dirs, dir{fmt.Sprintf("tenant-%08x/", uint32(mix(uint64(i)))), max(1, size), numberLeaf})
	}
	return tree(dirs)
}

func unicode(n int) shape {
	var dirs []dir
	for i := range 400 {
		cjk := string([]rune{rune(0x4e00 + mix(uint64(i))%0x5000), rune(0x4e00 + mix(uint64(i)+999)%0x5000)})
		dirs = append(dirs, dir{cjk + "/", n / 800, func(i, n int) string {
			return string(rune(0x4e00+i*0x5000/n)) + fmt.Sprintf("%08x", i)
		}})
		emoji := string(rune(0x1f300 + i))
		dirs = append(dirs, dir{emoji + "/", n / 800, func(i, n int) string {
			return string(rune(0x1f300+i*0x300/n)) + fmt.Sprintf("é%08x", i)
		}})
	}
	return tree(dirs)
}

// A figure is a speed-up over one walker, and requests over the fewest possible.
type figure struct{ speedUp, requests float64 }

// shapes are the key spaces of the table; n is about how many keys they get. The figures, at 10^6 and 10^7 keys with
// 64 walkers, are those of the simulation that the rules and their constants come from, or, for key spaces that had
// no part in choosing them, a first measurement.
var shapes = []struct {
	name     string
	make     func(n int) shape
	at6, at7 figure
}{
	{"uuid-hex", uuidHex, figure{42.0, 1.19}, figure{60.5, 1.03}},
	{"seq-number", func(n int) shape {
		return shape{n, func(i int) string { return fmt.Sprintf("img%012d.jpg", i) }}
	}, figure{35.1, 1.36}, figure{59.3, 1.04}},
	{"date-dirs", dateDirs, figure{33.2, 1.50}, figure{53.9, 1.16}},
	{"hive", hive, figure{33.7, 1.52}, figure{54.2, 1.15}},
	{"giant-dir", giantDir, figure{27.0, 1.41}, figure{55.0, 1.09}},
	{"zipf", zipf, figure{25.5, 1.76}, figure{51.5, 1.19}},
	{"unicode", unicode, figure{37.7, 1.37}, figure{56.4, 1.08}},
	{"200-byte-prefix", func(n int) shape {
		p := strings.Repeat("very-long-directory/", 10)
		return shape{n, func(i int) string { return p + fmt.Sprintf("%010d", i) }}
	}, figure{25.9, 1.31}, figure{58.8, 1.03}},
	{"edge-code-points", func(n int) shape {
		return shape{n, func(i int) string { return digits(spread(i, n), edgeLetters, 10) }}
	}, figure{39.2, 1.28}, figure{60.4, 1.03}},
	{"base64-names", func(n int) shape {
		return shape{n, func(i int) string { return digits(spread(i, n), base64Letters, 10) }}
	}, figure{45, 1.1}, figure{60, 1.03}},
	{"sha-shards", func(n int) shape {
		return shape{n, func(i int) string { h := hexLeaf(i, n); return "objects/" + h[:2] + "/" + h[2:4] + "/" + h }}
	}, figure{38, 1.3}, figure{57, 1.1}},
	{"reversed-time", func(n int) shape {
		return shape{n, func(i int) string { return fmt.Sprintf("log-%013d.gz", 8_299_999_999_999-(n-i)*4000) }}
	}, figure{41, 1.2}, figure{60, 1.05}},
	{"unpadded", unpadded, figure{45, 1.15}, figure{61, 1.05}},
	{"mixed", mixed, figure{33, 1.4}, figure{57, 1.1}},
}

func uuidHex(n int) shape {
	return shape{n, func(i int) string { return hexLeaf(i, n) + "-4a5b-9c" }}
}

func mixed(n int) shape {
	dirs := []dir{
		{"IMG_", n / 5, numberLeaf},
		{"a", n / 50, numberLeaf},
		{"backup/2024/db/", n / 10, hexLeaf},
		{"zz/" + strings.Repeat("deep/", 20), n / 8, numberLeaf},
		{"ünïcode/", n / 20, hexLeaf},
	}
	for i := range 300 {
		dirs = append(dirs, dir{fmt.Sprintf("users/%x/photos/", mix(uint64(i))>>40), n / 600, numberLeaf})
	}
	return tree(dirs)
}

// TestSpeed lists every shape in virtual time. The floors leave room for luck: a quarter of the speed, a fifth more
// requests at 10^6 keys, where every walker has some 15 pages, and a tenth at 10^7.
func TestSpeed(t *testing.T) {
	for _, sh := range shapes {
		t.Run(sh.name, func(t *testing.T) {
			t.Parallel()
			small, large := sh.make(1_000_000), sh.make(10_000_000)
			few := simulate(t, small, 16, nil)
			million := simulate(t, small, 64, nil)
			again := simulate(t, small, 64, million.space.Boundaries())
			ten := simulate(t, large, 64, nil)
			t.Logf("%-16s  10^6: W 16 %v  W 64 %v  again %v  10^7: W 64 %v", sh.name, few, million, again, ten)
			if million.speedUp < .75*sh.at6.speedUp || million.requests > 1.2*sh.at6.requests {
				t.Errorf("10^6 keys: %v, want about %v", million, sh.at6)
			}
			if ten.speedUp < .75*sh.at7.speedUp || ten.requests > 1.1*sh.at7.requests {
				t.Errorf("10^7 keys: %v, want about %v", ten, sh.at7)
			}
			if ten.speedUp < 30 || ten.requests > 1.3 { // what is promised
				t.Errorf("10^7 keys: %v", ten)
			}
			if few.speedUp < 11 || few.requests > 1.3 {
				t.Errorf("16 walkers: %v", few)
			}
			if again.speedUp < .85*million.speedUp {
				t.Errorf("%v with the boundaries of the run before, %v without", again, million)
			}
		})
	}
}

// TestManyWalkers: 256 walkers on 10^7 keys, for the shapes that are hard to share among so many.
func TestManyWalkers(t *testing.T) {
	want := map[string]float64{"hive": 142, "giant-dir": 145, "zipf": 149, "200-byte-prefix": 183} // as in shapes
	for _, sh := range shapes {
		want, ok := want[sh.name]
		if !ok {
			continue
		}
		t.Run(sh.name, func(t *testing.T) {
			t.Parallel()
			got := simulate(t, sh.make(10_000_000), 256, nil)
			t.Logf("%-16s %v", sh.name, got)
			if got.speedUp < .75*want || got.requests > 1.6 {
				t.Errorf("got %v, want about %v", got, want)
			}
		})
	}
}

// TestSmallSpaces: a handful of pages, and none, cost hardly a request more than one walker needs.
func TestSmallSpaces(t *testing.T) {
	for _, n := range []int{0, 1, 999, 1000, 1001, 5000} {
		if got := simulate(t, uuidHex(n), 64, nil); got.sent > 16+2*n/simPage {
			t.Errorf("%d keys: %d requests", n, got.sent)
		}
	}
}

// TestWrongBoundaries: boundaries of an earlier run that are all wrong cost some requests, not the parallelism.
func TestWrongBoundaries(t *testing.T) {
	var wrong []string
	for i := range 1024 {
		wrong = append(wrong, "\x01"+strconv.Itoa(i), "zzz"+strconv.Itoa(i), "\xff")
	}
	if got := simulate(t, uuidHex(1_000_000), 64, wrong); got.speedUp < 25 {
		t.Errorf("got %v", got)
	}
}
