package rules

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openoms/openoms/internal/oms"
)

// Filter decides which objects a task takes. A nil Filter takes all. Safe for concurrent use.
type Filter struct {
	include, exclude           []*glob
	includeRegex, excludeRegex []*regexp.Regexp
	minSize, maxSize           int64 // maxSize < 0: no bound
	after, before              time.Time
}

// NewFilter compiles filters; nil for none, or for filters that take all. What is wrong is oms.Invalid with OMS.1003.
func NewFilter(f *oms.Filters) (*Filter, error) {
	if f == nil {
		return nil, nil //nolint:nilnil // no filter is a filter
	}
	left := budget(maxProgram)
	c := &Filter{minSize: f.MinSize, maxSize: -1, after: f.ModifiedAfter, before: f.ModifiedBefore}
	var err error
	if c.include, err = left.globs(f.IncludeGlobs); err != nil {
		return nil, err
	}
	if c.exclude, err = left.globs(f.ExcludeGlobs); err != nil {
		return nil, err
	}
	if c.includeRegex, err = left.regexes(f.IncludeRegex); err != nil {
		return nil, err
	}
	if c.excludeRegex, err = left.regexes(f.ExcludeRegex); err != nil {
		return nil, err
	}
	if f.MaxSize != nil {
		c.maxSize = *f.MaxSize
	}
	switch {
	case f.MinSize < 0 || f.MaxSize != nil && *f.MaxSize < f.MinSize:
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The sizes of the filters leave nothing: min_size must be 0 to max_size.")
	case !c.after.IsZero() && !c.before.IsZero() && !c.after.Before(c.before):
		return nil, oms.Errorf(oms.Invalid, "OMS.1003", "The times of the filters leave nothing: modified_after must lie before modified_before.")
	case !c.keyed() && c.minSize == 0 && c.maxSize < 0 && c.after.IsZero() && c.before.IsZero():
		return nil, nil //nolint:nilnil // no filter is a filter
	}
	return c, nil
}

func (b *budget) globs(texts []string) ([]*glob, error) {
	if err := checkPatterns(texts); err != nil {
		return nil, err
	}
	var list []*glob
	for _, text := range texts {
		g, err := compileGlob(text, b)
		if err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, nil
}

func (b *budget) regexes(texts []string) ([]*regexp.Regexp, error) {
	if err := checkPatterns(texts); err != nil {
		return nil, err
	}
	var list []*regexp.Regexp
	for _, text := range texts {
		re, err := b.compile(text, text)
		if err != nil {
			return nil, err
		}
		list = append(list, re)
	}
	return list, nil
}

func checkPatterns(texts []string) error {
	if len(texts) > MaxPatterns {
		return oms.Errorf(oms.Invalid, "OMS.1003", "At most %d patterns of a kind are allowed.", MaxPatterns)
	}
	for _, text := range texts {
		if text == "" || utf8.RuneCountInString(text) > MaxPattern || !utf8.ValidString(text) {
			return oms.Errorf(oms.Invalid, "OMS.1003", "A pattern must have 1 to %d characters.", MaxPattern)
		}
	}
	return nil
}

// keyed reports whether the filter looks at keys.
func (f *Filter) keyed() bool {
	return len(f.include)+len(f.exclude)+len(f.includeRegex)+len(f.excludeRegex) > 0
}

// Key reports whether the patterns take the key.
func (f *Filter) Key(key string) bool {
	if f == nil {
		return true
	}
	if len(f.include)+len(f.includeRegex) > 0 && !anyMatch(f.include, f.includeRegex, key) {
		return false
	}
	return len(f.exclude)+len(f.excludeRegex) == 0 || !anyMatch(f.exclude, f.excludeRegex, key)
}

func anyMatch(globs []*glob, regexes []*regexp.Regexp, key string) bool {
	for _, g := range globs {
		if g.matches(key) {
			return true
		}
	}
	for _, re := range regexes {
		if re.MatchString(key) {
			return true
		}
	}
	return false
}

// Object reports whether the bounds take an object of the size, which is negative when it is not known and then within
// every bound, and the time of its last change.
func (f *Filter) Object(size int64, modified time.Time) bool {
	switch {
	case f == nil:
		return true
	case size >= 0 && (size < f.minSize || f.maxSize >= 0 && size > f.maxSize):
		return false
	case !f.after.IsZero() && !modified.After(f.after):
		return false
	}
	return f.before.IsZero() || modified.Before(f.before)
}

// Takes reports whether the filter takes an object.
func (f *Filter) Takes(key string, size int64, modified time.Time) bool {
	return f == nil || f.Object(size, modified) && f.Key(key)
}

// Within returns prefixes of which every key that the filter takes has one, for oms.Filters.Within; none when any key
// may be taken.
func (f *Filter) Within() []string {
	if f == nil || len(f.include) == 0 || len(f.includeRegex) > 0 {
		return nil
	}
	var list []string
	for _, g := range f.include {
		if g.prefix == "" {
			return nil
		}
		list = append(list, g.prefix)
	}
	slices.Sort(list)
	kept := list[:1]
	for _, p := range list[1:] {
		if !strings.HasPrefix(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}
