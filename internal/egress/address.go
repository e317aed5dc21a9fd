package egress

import "net/netip"

// prefixes are parsed once per Guard.
type prefixes []netip.Prefix

// contains reports whether addr, unmapped and without a zone, is in one of the prefixes.
func (p prefixes) contains(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func parse(texts ...string) prefixes {
	p := make(prefixes, len(texts))
	for i, text := range texts {
		p[i] = netip.MustParsePrefix(text)
	}
	return p
}

// internalNetworks are denied unless Options.AllowPrivate is set: what an organisation uses inside.
func internalNetworks() prefixes {
	return parse(
		"127.0.0.0/8",    // loopback, RFC 1122
		"10.0.0.0/8",     // private, RFC 1918
		"172.16.0.0/12",  // private
		"192.168.0.0/16", // private
		"169.254.0.0/16", // link-local, RFC 3927
		"100.64.0.0/10",  // shared address space, RFC 6598
		"198.18.0.0/15",  // benchmarking, RFC 2544
		"::1/128",        // loopback
		"fe80::/10",      // link-local, RFC 4291
		"fc00::/7",       // unique local, RFC 4193
	)
}

// metadataServices are the addresses at which clouds hand credentials to whoever asks from inside. They stay
// denied when private networks are allowed; only an explicit prefix opens them.
func metadataServices() prefixes {
	return parse(
		"169.254.169.254/32", // AWS, Azure, GCP, HuaweiCloud, Tencent and others
		"169.254.170.0/24",   // AWS containers
		"169.254.0.23/32",    // Tencent
		"100.100.100.200/32", // Aliyun
		"168.63.129.16/32",   // Azure's host agent
		"192.0.0.192/32",     // Oracle
		"fd00:ec2::/32",      // AWS
		"fd20:ce::254/128",   // GCP
	)
}

// neverNetworks are denied in any case but an explicit prefix: nobody's store is there.
func neverNetworks() prefixes {
	return parse(
		"0.0.0.0/8",       // "this network"; connects to the own host on many systems
		"192.0.0.0/24",    // IETF protocol assignments, RFC 6890
		"192.0.2.0/24",    // documentation, RFC 5737
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"192.88.99.0/24",  // 6to4 relays, RFC 7526
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, with the broadcast address
		"2001::/23",       // IETF protocol assignments: Teredo, ORCHID, benchmarking
		"2001:db8::/32",   // documentation, RFC 3849
		"2002::/16",       // 6to4: carries an IPv4 address
		"3fff::/20",       // documentation, RFC 9637
		"64:ff9b::/96",    // NAT64: carries an IPv4 address
		"64:ff9b:1::/48",  // local NAT64, RFC 8215
	)
}

// globalIPv6 is all that IANA has given out as IPv6 unicast. What is neither in it nor listed above is denied:
// unspecified, IPv4-compatible, discard-only, site-local, multicast and whatever comes.
func globalIPv6() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// verdict is what is known of an address before exceptions.
type verdict uint8

const (
	public   verdict = iota // anybody may reach it
	internal                // only where private networks are allowed
	never                   // only by an explicit prefix
)

// classifier sorts addresses.
type classifier struct {
	internal, metadata, never prefixes
	ipv6                      netip.Prefix
}

func newClassifier() classifier {
	return classifier{
		internal: internalNetworks(), metadata: metadataServices(), never: neverNetworks(), ipv6: globalIPv6(),
	}
}

// classify sorts an address that plain has treated.
func (c classifier) classify(addr netip.Addr) verdict {
	switch {
	case !addr.IsValid(), c.metadata.contains(addr), c.never.contains(addr):
		return never
	case c.internal.contains(addr):
		return internal
	case addr.Is6() && !c.ipv6.Contains(addr):
		return never
	}
	return public
}

// plain returns the address that the system will really talk to: IPv4 out of IPv4-mapped IPv6, and without the
// zone, which no prefix would match.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
