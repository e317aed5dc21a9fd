// Package storageclass knows the storage classes of the clouds: which policy of OMS v2 (6.6) a source's class stands
// for, whether its objects must be restored before they can be read, and what a policy is called at a destination.
//
// The built-in table (classes.yaml) is the one place that names classes. An operator overrides it in the configuration
// file. A [Table] does no I/O and is safe for concurrent use.
package storageclass

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openoms/openoms/internal/oms"
)

//go:embed classes.yaml
var builtin string

// maxClass is the longest name of a class, in bytes.
const maxClass = 64

// Overrides are an operator's entries; they win over the built-in table.
type Overrides struct {
	// Map says which policy SRC_STORAGE_MAPPING takes a source's class for, by cloud type and class.
	Map map[oms.CloudType]map[string]oms.StoragePolicy
	// Write says which class is sent for a policy, by cloud type of the destination; "" sends none.
	Write map[oms.CloudType]map[oms.StoragePolicy]string
}

// Table maps classes. Make it with [New]; the nil table is the built-in one with nothing in it: every class is STANDARD
// and readable, and no policy can be written.
type Table struct {
	clouds map[oms.CloudType]*cloud
}

// cloud is a cloud type as the data file writes it.
type cloud struct {
	Type     oms.CloudType                  `yaml:"cloud_type"`
	Classes  map[oms.StoragePolicy][]string `yaml:"classes"`
	Restored []string                       `yaml:"restored"`
	Write    map[oms.StoragePolicy]string   `yaml:"write"`
	Days     int                            `yaml:"days"`
	policies map[string]oms.StoragePolicy   // by class in upper case
	archived map[string]bool                // by class in upper case
}

// New returns the built-in table with the overrides over it. An override that names no cloud, no policy or no class is
// oms.Invalid.
func New(o Overrides) (*Table, error) {
	var list []*cloud
	if err := yaml.Unmarshal([]byte(builtin), &list); err != nil {
		return nil, fmt.Errorf("storage classes: read built-in table: %w", err)
	}
	t := &Table{clouds: make(map[oms.CloudType]*cloud, len(list))}
	for _, c := range list {
		c.index()
		t.clouds[c.Type] = c
	}
	if err := t.overrideMap(o.Map); err != nil {
		return nil, err
	}
	return t, t.overrideWrite(o.Write)
}

// index fills in what is looked up by class.
func (c *cloud) index() {
	c.policies, c.archived = make(map[string]oms.StoragePolicy), make(map[string]bool)
	for policy, names := range c.Classes {
		for _, name := range names {
			c.policies[strings.ToUpper(name)] = policy
		}
	}
	for _, name := range c.Restored {
		c.archived[strings.ToUpper(name)] = true
	}
}

func (t *Table) overrideMap(byCloud map[oms.CloudType]map[string]oms.StoragePolicy) error {
	for ct, classes := range byCloud {
		c, err := t.known("map", ct)
		if err != nil {
			return err
		}
		for class, policy := range classes {
			if class == "" || !usable(class) || !slices.Contains(Policies(), policy) {
				return oms.Errorf(oms.Invalid, "", "storage_classes.map.%s: %q: want a class and one of %s", ct, class, policyNames())
			}
			c.policies[strings.ToUpper(class)] = policy
		}
	}
	return nil
}

func (t *Table) overrideWrite(byCloud map[oms.CloudType]map[oms.StoragePolicy]string) error {
	for ct, policies := range byCloud {
		c, err := t.known("write", ct)
		if err != nil {
			return err
		}
		c.Write = maps.Clone(c.Write)
		for policy, class := range policies {
			if !usable(class) || !slices.Contains(Policies(), policy) {
				return oms.Errorf(oms.Invalid, "", "storage_classes.write.%s: %q: want one of %s and the name of a class", ct, string(policy), policyNames())
			}
			c.Write[policy] = class
		}
	}
	return nil
}

// known returns the cloud of an override.
func (t *Table) known(part string, ct oms.CloudType) (*cloud, error) {
	if c := t.cloud(ct); c != nil {
		return c, nil
	}
	names := make([]string, 0, len(t.clouds))
	for _, name := range slices.Sorted(maps.Keys(t.clouds)) {
		names = append(names, string(name))
	}
	return nil, oms.Errorf(oms.Invalid, "", "storage_classes.%s: cloud type %q is not one of %s", part, ct, strings.Join(names, ", "))
}

// usable refuses what cannot be a header's value.
func usable(class string) bool {
	return len(class) <= maxClass && !strings.ContainsFunc(class, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func policyNames() string {
	var names []string
	for _, p := range Policies() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// Policies returns the policies that stand for one class, from the one for frequent access on.
func Policies() []oms.StoragePolicy {
	return []oms.StoragePolicy{oms.StorageStandard, oms.StorageIA, oms.StorageArchive, oms.StorageDeepArchive}
}

// cloud returns what is known of a cloud, nil for nothing. "" and oms.CloudHEC are the destination side's names of
// Huawei Cloud.
func (t *Table) cloud(ct oms.CloudType) *cloud {
	if t == nil {
		return nil
	}
	if ct == "" || ct == oms.CloudHEC {
		ct = oms.CloudHuawei
	}
	return t.clouds[ct]
}

// Policy returns the policy that a source's class stands for; unknown ones are STANDARD.
func (t *Table) Policy(ct oms.CloudType, class string) oms.StoragePolicy {
	if c := t.cloud(ct); c != nil {
		if p, ok := c.policies[strings.ToUpper(class)]; ok {
			return p
		}
	}
	return oms.StorageStandard
}

// Archived reports whether objects of the class must be restored before they can be read.
func (t *Table) Archived(ct oms.CloudType, class string) bool {
	c := t.cloud(ct)
	return c != nil && class != "" && c.archived[strings.ToUpper(class)]
}

// Restores reports whether the cloud has classes that must be restored.
func (t *Table) Restores(ct oms.CloudType) bool {
	c := t.cloud(ct)
	return c != nil && len(c.archived) > 0
}

// Days returns how many days a restored copy may be asked for, at most want.
func (t *Table) Days(ct oms.CloudType, want int) int {
	if c := t.cloud(ct); c != nil && c.Days > 0 {
		return min(want, c.Days)
	}
	return want
}

// Write returns the class to send to a destination for a policy, "" for none, given the source's cloud and class, which
// count for SRC_STORAGE_MAPPING only. A policy that the destination does not have is written as the next one that is
// read more often.
func (t *Table) Write(dst oms.CloudType, policy oms.StoragePolicy, src oms.CloudType, class string) string {
	if policy == oms.StorageMapped {
		policy = t.Policy(src, class)
	}
	c := t.cloud(dst)
	if c == nil {
		return ""
	}
	order := Policies()
	for i := slices.Index(order, policy); i >= 0; i-- {
		if name, ok := c.Write[order[i]]; ok {
			return name
		}
	}
	return ""
}

// Has reports whether the destination has a class for the policy; SRC_STORAGE_MAPPING and no policy always have one.
func (t *Table) Has(dst oms.CloudType, policy oms.StoragePolicy) bool {
	if policy == "" || policy == oms.StorageMapped {
		return true
	}
	c := t.cloud(dst)
	if c == nil {
		return false
	}
	_, ok := c.Write[policy]
	return ok
}

// Written returns all classes that a task with the policy may send to the destination, without repetition.
func (t *Table) Written(dst oms.CloudType, policy oms.StoragePolicy) []string {
	policies := []oms.StoragePolicy{policy}
	if policy == oms.StorageMapped {
		policies = Policies()
	}
	var classes []string
	for _, p := range policies {
		if class := t.Write(dst, p, "", ""); class != "" && !slices.Contains(classes, class) {
			classes = append(classes, class)
		}
	}
	return classes
}
