// Package region knows where a region of a cloud is reached: cloud type and region id to endpoint.
//
// The built-in table (regions.yaml) is the one place that names clouds, their regions and their endpoints, mostly S3
// faces: what users are shown and what resolves are the same. An operator adds to it or overrides it in the
// configuration file. A [Table] does no I/O and is safe for concurrent use.
package region

import (
	"cmp"
	_ "embed"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openoms/openoms/internal/oms"
)

//go:embed regions.yaml
var builtin string

// maxID is the longest region id that is accepted without being listed.
const maxID = 40

// Override is an operator's entry: a region that is added to the table, or replaces one.
type Override struct {
	CloudType oms.CloudType
	Region    string
	Name      string // for people; "" means the region id
	Endpoint  string // scheme://host[:port]
	PathStyle bool
}

// Region is one region of a cloud, for showing.
type Region struct {
	ID   string
	Name string
}

// Cloud is one cloud type with its regions, for showing.
type Cloud struct {
	Type    oms.CloudType
	Name    string
	Regions []Region
}

// Table resolves regions. Make it with [New].
type Table struct {
	clouds    []cloud
	overrides []Override
}

// cloud is a cloud type as the data file writes it.
type cloud struct {
	Type      oms.CloudType `yaml:"cloud_type"`
	Name      string        `yaml:"name"`
	Endpoint  string        `yaml:"endpoint"`
	IDPrefix  string        `yaml:"id_prefix"`
	Sign      string        `yaml:"sign"`
	PathStyle bool          `yaml:"path_style"`
	Any       bool          `yaml:"any"`
	Lists     []string      `yaml:"lists"`
	Locates   []string      `yaml:"locates"`
	Regions   []entry       `yaml:"regions"`
}

// entry is a region as the data file writes it.
type entry struct {
	ID       string   `yaml:"id"`
	Name     string   `yaml:"name"`
	S3       string   `yaml:"s3"`
	Aliases  []string `yaml:"aliases"`
	Endpoint string   `yaml:"endpoint"`
}

// New returns the built-in table with the overrides over it; a later override of the same region wins.
// An override with an unknown cloud type, a bad endpoint or no region gives oms.Invalid.
func New(overrides []Override) (*Table, error) {
	t := &Table{}
	if err := yaml.Unmarshal([]byte(builtin), &t.clouds); err != nil {
		return nil, fmt.Errorf("region: read built-in table: %w", err)
	}
	for i, o := range overrides {
		o.CloudType = source(o.CloudType)
		if !slices.ContainsFunc(t.clouds, func(c cloud) bool { return c.Type == o.CloudType }) {
			return nil, oms.Errorf(oms.Invalid, "", "region %d: cloud_type %q is not one of %s", i+1, o.CloudType, t.types())
		}
		if o.Region == "" || strings.ContainsAny(o.Region, "/ \t\r\n") {
			return nil, oms.Errorf(oms.Invalid, "", "region %d: a region id is needed, without blanks and slashes", i+1)
		}
		endpoint, err := CheckURL(o.Endpoint)
		if err != nil {
			return nil, fmt.Errorf("region %d (%s %s): %w", i+1, o.CloudType, o.Region, err)
		}
		o.Endpoint = endpoint
		t.overrides = append(t.overrides, o)
	}
	return t, nil
}

// Resolve returns where the region of the cloud is reached, and whether it is known. "" and oms.CloudHEC are
// the destination side's names of Huawei Cloud (OMS v2, 7). Operators' entries are trusted.
func (t *Table) Resolve(ct oms.CloudType, id string) (oms.Endpoint, bool) {
	ct = source(ct)
	for _, o := range slices.Backward(t.overrides) {
		if o.CloudType == ct && o.Region == id {
			return oms.Endpoint{URL: o.Endpoint, Region: o.Region, PathStyle: o.PathStyle, Trusted: true}, true
		}
	}
	for _, c := range t.clouds {
		if c.Type == ct {
			return c.resolve(id)
		}
	}
	return oms.Endpoint{}, false
}

// Trusted returns the endpoints that the operator wrote, which the egress guard lets through.
func (t *Table) Trusted() []oms.Endpoint {
	list := make([]oms.Endpoint, len(t.overrides))
	for i, o := range t.overrides {
		list[i] = oms.Endpoint{URL: o.Endpoint, Region: o.Region, PathStyle: o.PathStyle, Trusted: true}
	}
	return list
}

// Clouds returns every cloud type with its regions, operators' entries after the built-in ones.
func (t *Table) Clouds() []Cloud {
	list := make([]Cloud, 0, len(t.clouds))
	for _, c := range t.clouds {
		shown := Cloud{Type: c.Type, Name: c.Name}
		for _, e := range c.Regions {
			shown.Regions = append(shown.Regions, Region{ID: c.IDPrefix + e.ID, Name: e.Name})
		}
		for _, o := range t.overrides {
			if o.CloudType == c.Type {
				shown.add(o)
			}
		}
		list = append(list, shown)
	}
	return list
}

// add appends the override's region, or renames the one that it replaces.
func (c *Cloud) add(o Override) {
	r := Region{ID: o.Region, Name: o.Name}
	if r.Name == "" {
		r.Name = o.Region
	}
	if i := slices.IndexFunc(c.Regions, func(have Region) bool { return have.ID == r.ID }); i >= 0 {
		c.Regions[i] = r
		return
	}
	c.Regions = append(c.Regions, r)
}

// resolve finds a region of a built-in cloud.
func (c cloud) resolve(id string) (oms.Endpoint, bool) {
	id = strings.TrimPrefix(id, c.IDPrefix)
	i := slices.IndexFunc(c.Regions, func(e entry) bool { return e.is(id) })
	pattern := c.Endpoint
	switch {
	case i >= 0:
		id = cmp.Or(c.Regions[i].S3, c.Regions[i].ID)
		if c.Regions[i].Endpoint != "" {
			pattern = c.Regions[i].Endpoint
		}
	case !c.Any || !plausible(id):
		return oms.Endpoint{}, false
	}
	signed := id
	if c.Sign != "" {
		signed = c.Sign
	}
	return oms.Endpoint{
		URL:       strings.ReplaceAll(pattern, "{region}", id),
		Region:    signed,
		PathStyle: c.PathStyle,
	}, true
}

// is reports whether id is a spelling of the region.
func (e entry) is(id string) bool { return e.ID == id || slices.Contains(e.Aliases, id) }

// types lists the cloud types for messages.
func (t *Table) types() string {
	names := make([]string, len(t.clouds))
	for i, c := range t.clouds {
		names[i] = string(c.Type)
	}
	return strings.Join(names, ", ")
}

// source maps the destination side's names of Huawei Cloud to the one of the table.
func source(ct oms.CloudType) oms.CloudType {
	if ct == "" || ct == oms.CloudHEC {
		return oms.CloudHuawei
	}
	return ct
}

// plausible reports whether id, which is not listed, has the form of a region id: it becomes a label of a host
// name, so nothing but lower-case letters, digits and inner hyphens may pass.
func plausible(id string) bool {
	if id == "" || len(id) > maxID || id[0] == '-' || id[len(id)-1] == '-' {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// CheckURL returns the endpoint in its normal form, scheme://host[:port]; oms.Invalid for anything else, such as
// a URL with user, path or query.
func CheckURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", oms.Errorf(oms.Invalid, "", "endpoint is not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", oms.Errorf(oms.Invalid, "", "endpoint %q does not start with http:// or https://", oms.Clean(endpoint))
	}
	if u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", oms.Errorf(oms.Invalid, "", "endpoint must be scheme://host[:port] and nothing else")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// BareHost reports whether the endpoint is an IP address or localhost, where a bucket cannot be put before
// the host name.
func BareHost(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}
