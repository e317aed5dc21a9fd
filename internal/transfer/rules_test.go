package transfer_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/openoms/openoms/internal/oms"
	"github.com/openoms/openoms/internal/testcloud"
	"github.com/openoms/openoms/internal/transfer"
)

// filterCase is a filter beside what it means, said another way.
type filterCase struct {
	filters *oms.Filters
	takes   func(key string, size int) bool
}

func filterCases() []filterCase {
	five := int64(5)
	return []filterCase{
		{nil, func(string, int) bool { return true }},
		{&oms.Filters{IncludeGlobs: []string{"*.jpg"}}, func(k string, _ int) bool { return strings.HasSuffix(k, ".jpg") }},
		{&oms.Filters{IncludeGlobs: []string{"a/**", "b/c/*"}, Within: []string{"a/", "b/c/"}}, func(k string, _ int) bool {
			rest, ok := strings.CutPrefix(k, "b/c/")
			return strings.HasPrefix(k, "a/") || ok && !strings.Contains(rest, "/")
		}},
		{&oms.Filters{ExcludeRegex: []string{"b"}, MinSize: 1}, func(k string, n int) bool { return n > 0 && !strings.Contains(k, "b") }},
		{&oms.Filters{MaxSize: &five}, func(_ string, n int) bool { return n <= 5 }},
	}
}

// renameCase is a list of rename rules beside what they mean.
type renameCase struct {
	rules []oms.RenameRule
	name  func(key string) string
}

func renameCases() []renameCase {
	return []renameCase{
		{nil, func(k string) string { return k }},
		{[]oms.RenameRule{{AddPrefix: "x/"}}, func(k string) string { return "x/" + k }},
		{[]oms.RenameRule{{StripPrefix: "a/"}}, func(k string) string { return strings.TrimPrefix(k, "a/") }},
		{[]oms.RenameRule{{StripPrefix: "b/"}, {AddPrefix: "c/"}}, func(k string) string { return "c/" + strings.TrimPrefix(k, "b/") }},
		{[]oms.RenameRule{{Case: oms.CaseUpper}}, func(k string) string {
			return strings.Map(func(c rune) rune {
				if c < 0x80 {
					return unicode.ToUpper(c)
				}
				return c
			}, k)
		}},
		{[]oms.RenameRule{{Match: "^([abc])/(.*)$", Replace: "$2/$1"}}, func(k string) string {
			if len(k) > 1 && strings.IndexByte("abc", k[0]) >= 0 && k[1] == '/' {
				return k[2:] + "/" + k[:1]
			}
			return k
		}},
		{[]oms.RenameRule{{Match: "[.]jpg$", Replace: ".jpeg"}}, func(k string) string {
			if head, ok := strings.CutSuffix(k, ".jpg"); ok {
				return head + ".jpeg"
			}
			return k
		}},
	}
}

// The objects that arrive, their names, and what a dry run and a verification tell before and after, are those of an
// oracle; names that collide are found before anything is written (rule D3); what writes nothing sends no write.
func TestRulesAgainstOracle(t *testing.T) {
	conflicts := 0
	for seed := range uint64(42) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f := filterCases()[rng.IntN(len(filterCases()))]
		n := renameCases()[int(seed)%len(renameCases())]
		save := []string{"", "s/"}[rng.IntN(2)]
		prefixes := [][]string{{""}, {"a/"}, {"a/", "b/"}}[rng.IntN(3)]
		label := fmt.Sprintf("seed %d: filters %+v, rename %+v, save %q, prefixes %q", seed, f.filters, n.rules, save, prefixes)
		p := newPair(t, testcloud.Options{}, testcloud.Options{})
		want, left := map[string]string{}, int64(0)
		owners := map[string]int{}
		narrowed := func(k string) bool { // not even listed
			w := f.filters
			return w != nil && len(w.Within) > 0 && !slices.ContainsFunc(w.Within, func(x string) bool { return strings.HasPrefix(k, x) })
		}
		for range 60 {
			key := randomKey(rng)
			if _, ok := p.srcBucket.Get(key); ok {
				continue
			}
			data := fillBytes(rng.IntN(12), rng.Uint64())
			p.srcBucket.Put(key, data, testcloud.Attrs{})
			if !slices.ContainsFunc(prefixes, func(x string) bool { return strings.HasPrefix(key, x) }) || narrowed(key) {
				continue
			}
			if !f.takes(key, len(data)) {
				left++
				continue
			}
			name := save + n.name(key)
			owners[name]++
			want[name] = string(data)
		}
		spec := wholeBucket()
		spec.Src.Keys, spec.Dst.SavePrefix, spec.Filters, spec.Rename = prefixes, save, f.filters, n.rules
		clash := slices.Max(slices.Collect(maps.Values(maps.Collect(func(yield func(string, int) bool) {
			yield("", 1)
			for name, times := range owners {
				if !yield(name, times) {
					return
				}
			}
		})))) > 1
		r := newRun(t, p, spec)
		found, err := transfer.FindConflicts(t.Context(), transfer.Plan{TaskID: 1, Spec: spec, Src: open(t, p.srcURL, "src")}, r.res, r.opts)
		if err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		if (len(found) > 0) != clash {
			t.Fatalf("%s: conflicts %+v, owners %v", label, found, owners)
		}
		for _, c := range found {
			if c.Reason != oms.NameTaken || c.Key == c.Other || save+n.name(c.Key) != c.Name || save+n.name(c.Other) != c.Name {
				t.Fatalf("%s: %+v is no conflict", label, c)
			}
		}
		if clash {
			conflicts++
			continue
		}
		// Some objects are at the destination already: equal, of another size, and strange ones that nobody selects.
		there := map[string]string{"zz/strange": "?"}
		equal, other := int64(0), int64(0)
		for name, data := range want {
			switch rng.IntN(4) {
			case 0:
				there[name] = data
				equal++
			case 1:
				there[name] = data + "!"
				other++
			}
		}
		for name, data := range there {
			p.dstBucket.PutAt(name, []byte(data), testcloud.Attrs{}, time.Now().Add(time.Hour))
		}
		in := func(mode oms.TaskMode) (oms.Counters, map[string]oms.Failure) {
			t.Helper()
			spec.Mode = mode
			r := newRun(t, p, spec)
			began := time.Now()
			sum := r.mustFinish(t)
			if sum.Listed != int64(len(want)) || sum.Filtered != left {
				t.Fatalf("%s, mode %q: listed %d of %d, filtered %d of %d", label, mode, sum.Listed, len(want), sum.Filtered, left)
			}
			if r.stats.Found != sum.Listed {
				t.Errorf("%s, mode %q: found %d, listed %d", label, mode, r.stats.Found, sum.Listed)
			}
			for _, q := range p.dst.Requests() {
				if q.At.After(began) && spec.ReadOnly() && q.Method != http.MethodGet && q.Method != http.MethodHead {
					t.Fatalf("%s, mode %q: %s %s", label, mode, q.Method, q.Key)
				}
			}
			return sum, r.journal.failures
		}
		sum, failures := in(oms.ModeDryRun)
		if sum.Differing != other || sum.Absent != int64(len(want))-equal-other || sum.Skipped != sum.Listed || sum.Migrated != 0 || len(failures) > 0 {
			t.Fatalf("%s: dry run found %+v, want %d equal and %d others", label, sum, equal, other)
		}
		sum, failures = in(oms.ModeVerify)
		if sum.Skipped != equal || sum.Differing != other || int64(len(failures)) != int64(len(want))-equal || sum.Failed != int64(len(failures)) {
			t.Fatalf("%s: verification found %+v and %d failures, want %d equal and %d others", label, sum, len(failures), equal, other)
		}
		sum, failures = in(oms.ModeMigrate)
		if sum.Skipped != equal || sum.Migrated != int64(len(want))-equal || len(failures) > 0 {
			t.Fatalf("%s: migration: %+v", label, sum)
		}
		maps.Copy(there, want)
		if got := contents(p.dstBucket); !maps.Equal(got, there) {
			t.Fatalf("%s: the destination has %q, want %q", label, got, there)
		}
		sum, failures = in(oms.ModeVerify)
		if sum.Skipped != int64(len(want)) || sum.Unproved != 0 || len(failures) > 0 {
			t.Fatalf("%s: verification after the migration: %+v, %+v", label, sum, failures)
		}
	}
	if conflicts == 0 || conflicts > 30 {
		t.Errorf("%d of 42 cases had conflicts", conflicts)
	}
}

// randomKey returns a key of few different pieces, so that names meet now and then.
func randomKey(rng *rand.Rand) string {
	pieces := []string{"a/", "b/", "c/", "x", "X", "y", "é", "\U0001F600", "1", "2", "3", "4", "5", "6", "7"}
	var key strings.Builder
	key.WriteString([]string{"", "a/", "b/", "a/b/", "b/c/"}[rng.IntN(5)])
	for range 1 + rng.IntN(3) {
		key.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return key.String() + []string{"", ".jpg", ".txt"}[rng.IntN(3)]
}

// contents returns what a bucket holds, without what the service keeps there.
func contents(b *testcloud.Bucket) map[string]string {
	got := map[string]string{}
	for o := range b.All() {
		if !strings.HasPrefix(o.Key, "oms/") {
			got[o.Key] = string(o.Bytes())
		}
	}
	return got
}

// Objects that a task names are filtered and renamed as well, those of which only the size tells after they were asked for.
func TestRulesOfNamedObjects(t *testing.T) {
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	for _, k := range []string{"a.jpg", "b.txt", "big.jpg"} {
		p.srcBucket.Put(k, fillBytes(len(k), 1), testcloud.Attrs{})
	}
	most := int64(6)
	spec := wholeBucket()
	spec.Type, spec.Src.Keys = oms.TypeObject, []string{"a.jpg", "b.txt", "big.jpg", "gone.jpg"}
	spec.Filters = &oms.Filters{IncludeGlobs: []string{"*.jpg"}, MaxSize: &most}
	spec.Rename = []oms.RenameRule{{Match: "[.]jpg$", Replace: ""}}
	r := newRun(t, p, spec)
	sum := r.mustFinish(t)
	if sum.Listed != 2 || sum.Migrated != 1 || sum.Failed != 1 || sum.Filtered != 2 || r.journal.failures["gone.jpg"].Code != oms.FailMissing {
		t.Errorf("got %+v, failures %+v", sum, r.journal.failures)
	}
	if got := contents(p.dstBucket); len(got) != 1 || got["a"] == "" {
		t.Errorf("the destination has %q", got)
	}
}

// Equal sizes are not enough for a verification: differing bytes are found, whatever the sides tell (rule H3).
func TestVerifyFindsDamage(t *testing.T) {
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	for i := range 20 {
		p.srcBucket.Put(key(i), fillBytes(100, uint64(i)), testcloud.Attrs{})
		p.dstBucket.Put(key(i), fillBytes(100, uint64(i)), testcloud.Attrs{})
	}
	p.dstBucket.Put(key(7), fillBytes(100, 99), testcloud.Attrs{})
	p.dstBucket.Delete(key(9))
	spec := wholeBucket()
	spec.Mode = oms.ModeVerify
	r := newRun(t, p, spec)
	sum := r.mustFinish(t)
	f := r.journal.failures
	if sum.Failed != 2 || sum.Skipped != 18 || f[key(7)].Code != oms.FailDiffers || f[key(9)].Code != oms.FailAbsent || sum.Absent != 1 || sum.Differing != 1 {
		t.Errorf("got %+v, failures %+v", sum, f)
	}
}

// Names that no store takes are reported before anything is written.
func TestNamesThatCannotBe(t *testing.T) {
	p := newPair(t, testcloud.Options{}, testcloud.Options{})
	long := strings.Repeat("x", 1000)
	for _, k := range []string{"drop", long, "fine"} {
		p.srcBucket.Put(k, []byte("1"), testcloud.Attrs{})
	}
	spec := wholeBucket()
	spec.Rename = []oms.RenameRule{{Match: "^drop$"}, {Match: "^x", Replace: strings.Repeat("yy", 20)}}
	r := newRun(t, p, spec)
	found, err := transfer.FindConflicts(t.Context(), transfer.Plan{TaskID: 1, Spec: spec, Src: open(t, p.srcURL, "src")}, r.res, r.opts)
	if err != nil || len(found) != 2 || found[0].Reason != oms.NameEmpty || found[0].Key != "drop" || found[1].Reason != oms.NameTooLong || found[1].Key != long {
		t.Errorf("got %+v, %v", found, err)
	}
}

// The comparison of names does not depend on memory: it is the same when everything goes through files, and on a source
// without order, which is listed in another way.
func TestConflictsOnDisk(t *testing.T) {
	for name, opts := range map[string]testcloud.Options{"ordered": {}, "unordered": {Profile: testcloud.Unordered()}} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, opts, testcloud.Options{})
			for i := range 3000 {
				p.srcBucket.Put(fmt.Sprintf("k/%04d", i), nil, testcloud.Attrs{})
			}
			p.srcBucket.Put("K/0123", nil, testcloud.Attrs{})
			p.srcBucket.Put("K/0999", nil, testcloud.Attrs{})
			spec := wholeBucket()
			spec.Rename = []oms.RenameRule{{Case: oms.CaseLower}}
			r := newRun(t, p, spec)
			r.opts.Spool = transfer.Spool{Dir: t.TempDir(), Memory: 4 << 10}
			found, err := transfer.FindConflicts(t.Context(), transfer.Plan{TaskID: 1, Spec: spec, Src: open(t, p.srcURL, "src")}, r.res, r.opts)
			want := []oms.NameConflict{
				{Reason: oms.NameTaken, Key: "k/0123", Other: "K/0123", Name: "k/0123"}, {Reason: oms.NameTaken, Key: "k/0999", Other: "K/0999", Name: "k/0999"},
			}
			if err != nil || !slices.Equal(found, want) {
				t.Errorf("got %+v, %v", found, err)
			}
		})
	}
}
