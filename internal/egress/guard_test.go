package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func newGuard(t *testing.T, opts Options) *Guard {
	t.Helper()
	if opts.DialTimeout == 0 {
		opts.DialTimeout = 2 * time.Second
	}
	g, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// deniedAddresses are numeric hosts of every class in rule S5, with edges and IPv4 inside IPv6.
var deniedAddresses = []string{
	// loopback
	"127.0.0.1", "127.0.0.0", "127.1.2.3", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "::ffff:7f00:1",
	"0:0:0:0:0:ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
	// this network, unspecified
	"0.0.0.0", "0.0.0.1", "0.255.255.255", "::", "::ffff:0.0.0.0", "::2", "::ffff",
	// private
	"10.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.0", "172.16.0.1", "172.31.255.255", "192.168.0.0", "192.168.1.1",
	"192.168.255.255", "::ffff:10.0.0.1", "::ffff:172.16.0.1", "::ffff:192.168.1.1", "::10.0.0.1",
	// link-local and metadata
	"169.254.0.0", "169.254.169.254", "169.254.170.2", "169.254.255.255", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe",
	"fe80::1", "fe80::1%lo", "fe80::a9fe:a9fe", "febf:ffff::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
	"::ffff:168.63.129.16", "192.0.0.192",
	// unique local, site-local
	"fc00::", "fc00::1", "fd00::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::1", "feff::1",
	// shared address space
	"100.64.0.0", "100.64.0.1", "100.127.255.255", "::ffff:100.64.0.1",
	// protocol assignments, benchmarking
	"192.0.0.0", "192.0.0.1", "192.0.0.255", "198.18.0.0", "198.18.0.1", "198.19.255.255", "::ffff:198.18.0.1",
	// documentation
	"192.0.2.0", "192.0.2.1", "192.0.2.255", "198.51.100.1", "198.51.100.255", "203.0.113.0", "203.0.113.255", "2001:db8::",
	"2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::1", "3fff:fff:ffff::1", "::ffff:203.0.113.1",
	// multicast, reserved, broadcast
	"224.0.0.0", "224.0.0.1", "239.255.255.250", "239.255.255.255", "240.0.0.0", "240.0.0.1", "254.1.2.3", "255.255.255.254",
	"255.255.255.255", "::ffff:224.0.0.1", "::ffff:255.255.255.255", "ff00::", "ff02::1", "ff02::1%lo", "ff05::1:3", "ffff::1",
	// IPv4 carried in IPv6
	"64:ff9b::", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8", "64:ff9b:1::1",
	"64:ff9b:1:ffff::7f00:1", "64:ff9b:2::1", "2002::", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001::", "2001::1",
	"2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.88.99.1", "192.88.99.255",
	// other special purposes
	"100::1", "100:0:0:1::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "5f00::1", "1::1", "4000::1", "8000::1",
}

// publicAddresses must stay reachable, edges of the denied networks among them.
var publicAddresses = []string{
	"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
	"168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255",
	"192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
	"198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "::ffff:8.8.8.8", "2001:200::1",
	"2001:4860:4860::8888", "2001:db7:ffff::1", "2001:db9::1", "2003::1", "2400:cb00::1", "2606:4700:4700::1111", "2a00:1450::1",
	"3ffe:ffff::1", "3fff:1000::1", "3fff:ffff::1",
}

// TestAddresses dials what is denied and looks that the guard, and nothing later, refused; addresses that are
// not denied are only asked for, because tests leave this machine alone.
func TestAddresses(t *testing.T) {
	if n := len(deniedAddresses) + len(publicAddresses); n < 120 {
		t.Errorf("got %d cases, want at least 120", n)
	}
	g := newGuard(t, Options{Ports: []uint16{8080}})
	for _, host := range deniedAddresses {
		for _, port := range []string{"80", "443", "8080"} {
			address := net.JoinHostPort(host, port)
			conn, err := g.DialContext(t.Context(), "tcp", address)
			if conn != nil {
				_ = conn.Close()
			}
			if !errors.Is(err, ErrUnreachable) || !errors.Is(err, ErrBlocked) {
				t.Errorf("dial %s: got %v, want it blocked", address, err)
			}
			if err := g.CheckURL(&url.URL{Scheme: "http", Host: address}); !errors.Is(err, ErrBlocked) {
				t.Errorf("check %s: got %v, want it blocked", address, err)
			}
		}
	}
	for _, host := range publicAddresses {
		for _, port := range []string{"80", "443", "8080"} {
			address := net.JoinHostPort(host, port)
			if err := g.control(t.Context(), "tcp4", address, nil); err != nil {
				t.Errorf("%s: got %v, want it allowed", address, err)
			}
			if err := g.CheckURL(&url.URL{Scheme: "https", Host: address}); err != nil {
				t.Errorf("check %s: got %v, want it allowed", address, err)
			}
		}
		if err := g.control(t.Context(), "tcp4", net.JoinHostPort(host, "22"), nil); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s port 22: got %v, want it blocked", host, err)
		}
	}
}

// TestNoConnectionArrives looks from the other side: none of the spellings of this machine reaches a listener
// on it, though its port is allowed, and each does when the guard is open. Names and unusual notations are
// answered by a name server as a C library would read them.
func TestNoConnectionArrives(t *testing.T) {
	l := listen(t, "127.0.0.1", 0)
	loopback := [][]netip.Addr{{netip.MustParseAddr("127.0.0.1")}}
	names := map[string][][]netip.Addr{}
	unusual := []string{
		"127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "0x7f.1", "0X7F.1", "0x",
	}
	for _, name := range append([]string{
		"store.example.test", "127.0.0.1.example.test", "0x7f.example.test", "xn--e1afmkfd.example.test",
	}, unusual...) {
		names[strings.ToLower(name)] = loopback
	}
	names["mapped.example.test"] = [][]netip.Addr{{netip.MustParseAddr("::ffff:127.0.0.1")}}
	names["zero.example.test"] = [][]netip.Addr{{netip.MustParseAddr("0.0.0.0")}}
	d := newDNS(t, names)
	hosts := []string{"127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0.0.0.0", "localhost", "LOCALHOST"}
	for name := range names {
		hosts = append(hosts, name, name+".", strings.ToUpper(name))
	}
	g := newGuard(t, Options{Ports: []uint16{l.port}, Resolver: d.resolver()})
	for _, host := range hosts {
		address := net.JoinHostPort(host, portText(l))
		if conn, err := g.DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrBlocked) {
			if conn != nil {
				_ = conn.Close()
			}
			t.Errorf("dial %s: got %v, want it blocked", address, detail(err))
		}
	}
	if n := l.arrived(t); n != 0 {
		t.Errorf("%d connections arrived, want none", n)
	}

	open := newGuard(t, Options{AllowPrivate: true, Resolver: d.resolver()})
	reached := 0
	for _, host := range hosts {
		if name := strings.ToLower(strings.TrimSuffix(host, ".")); name == "0.0.0.0" || name == "zero.example.test" || slices.Contains(unusual, name) {
			continue // never allowed
		}
		conn, err := open.DialContext(t.Context(), "tcp", net.JoinHostPort(host, portText(l)))
		if err != nil {
			t.Errorf("open guard, %s: %v", host, detail(err))
			continue
		}
		_ = conn.Close()
		reached++
	}
	if n := l.arrived(t); n != reached {
		t.Errorf("%d connections arrived through the open guard, want %d", n, reached)
	}
}

func detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail()
	}
	return fmt.Sprint(err)
}

// TestRebinding: a name that was good at the first dial is checked again at the second, and of several
// addresses only the allowed one is used. 127.0.0.2 stands for a public address.
func TestRebinding(t *testing.T) {
	good, bad := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	inside := listen(t, bad.String(), 0)
	probe, err := net.Listen("tcp", netip.AddrPortFrom(good, inside.port).String())
	if err != nil {
		t.Skipf("this machine has no %s: %v", good, err)
	}
	_ = probe.Close()
	outside := listen(t, good.String(), inside.port)
	d := newDNS(t, map[string][][]netip.Addr{
		"rebind.example.test": {{good}, {bad}},
		"mixed.example.test":  {{bad, good}},
	})
	g := newGuard(t, Options{
		Allow: []netip.Prefix{netip.PrefixFrom(good, 32)}, Ports: []uint16{inside.port}, Resolver: d.resolver(),
	})
	dial := func(name string) error {
		conn, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(name, portText(inside)))
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	if err := dial("rebind.example.test"); err != nil {
		t.Errorf("first dial: %v", detail(err))
	}
	if err := dial("rebind.example.test"); !errors.Is(err, ErrBlocked) {
		t.Errorf("second dial: got %v, want it blocked", detail(err))
	}
	if err := dial("mixed.example.test"); err != nil {
		t.Errorf("one good address of two: %v", detail(err))
	}
	if n := inside.arrived(t); n != 0 {
		t.Errorf("%d connections arrived inside, want none", n)
	}
	if n := outside.arrived(t); n != 2 {
		t.Errorf("%d connections arrived outside, want 2", n)
	}
}

// TestOptions: what each exception opens and leaves closed.
func TestOptions(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := []struct {
		name    string
		opts    Options
		address string
		allowed bool
	}{
		{"private off", Options{}, "10.20.0.1:80", false},
		{"private on", Options{AllowPrivate: true}, "10.20.0.1:80", true},
		{"private on, any port", Options{AllowPrivate: true}, "10.20.0.1:9000", true},
		{"private on, public port", Options{AllowPrivate: true}, "8.8.8.8:22", false},
		{"private on, ULA", Options{AllowPrivate: true}, "[fd12::1]:9000", true},
		{"private on, link-local zone", Options{AllowPrivate: true}, "[fe80::1%lo]:9000", true},
		{"private on, shared", Options{AllowPrivate: true}, "100.64.0.1:80", true},
		{"private on, metadata", Options{AllowPrivate: true}, "169.254.169.254:80", false},
		{"private on, mapped metadata", Options{AllowPrivate: true}, "[::ffff:169.254.169.254]:80", false},
		{"private on, AWS metadata", Options{AllowPrivate: true}, "[fd00:ec2::254]:80", false},
		{"private on, Aliyun metadata", Options{AllowPrivate: true}, "100.100.100.200:80", false},
		{"private on, Azure host", Options{AllowPrivate: true}, "168.63.129.16:80", false},
		{"private on, multicast", Options{AllowPrivate: true}, "224.0.0.1:80", false},
		{"private on, unspecified", Options{AllowPrivate: true}, "0.0.0.0:80", false},
		{"private on, NAT64", Options{AllowPrivate: true}, "[64:ff9b::a00:1]:80", false},
		{"any port", Options{AnyPort: true}, "8.8.8.8:22", true},
		{"any port, private", Options{AnyPort: true}, "10.0.0.1:80", false},
		{"network", Options{Allow: []netip.Prefix{prefix("10.20.0.0/16")}}, "10.20.255.255:9000", true},
		{"network, mapped", Options{Allow: []netip.Prefix{prefix("10.20.0.0/16")}}, "[::ffff:10.20.0.1]:9000", true},
		{"network written mapped", Options{Allow: []netip.Prefix{prefix("::ffff:10.20.0.0/112")}}, "10.20.0.1:9000", true},
		{"network with host bits", Options{Allow: []netip.Prefix{prefix("10.20.3.4/16")}}, "10.20.0.1:9000", true},
		{"beside the network", Options{Allow: []netip.Prefix{prefix("10.20.0.0/16")}}, "10.21.0.0:9000", false},
		{"network of metadata", Options{Allow: []netip.Prefix{prefix("169.254.169.254/32")}}, "169.254.169.254:80", true},
		{"network, zone", Options{Allow: []netip.Prefix{prefix("fe80::/10")}}, "[fe80::1%lo]:80", true},
		{"all IPv4 opens no IPv6", Options{Allow: []netip.Prefix{prefix("0.0.0.0/0")}}, "[::1]:80", false},
		{"own listener", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8480")}}, "10.0.0.1:8480", false},
		{"own listener, mapped", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8480")}}, "[::ffff:10.0.0.1]:8480", false},
		{"own host, other port", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8480")}}, "10.0.0.1:9000", true},
		{"own listener in a network", Options{Allow: []netip.Prefix{prefix("10.0.0.0/8")}, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8480")}}, "10.0.0.1:8480", false},
		{"own listener, public", Options{AnyPort: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("8.8.8.8:443")}}, "8.8.8.8:443", false},
		{"wildcard, loopback", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8480")}}, "127.9.9.9:8480", false},
		{"wildcard, loopback IPv6", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("[::]:8480")}}, "[::1]:8480", false},
		{"wildcard, own address", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("[::]:8480")}}, "10.9.9.9:8480", false},
		{"wildcard, other host", Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("[::]:8480")}}, "10.9.9.8:8480", true},
	}
	for _, tt := range tests {
		g := newGuard(t, tt.opts)
		g.local = func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.IPv4(10, 9, 9, 9), Mask: net.CIDRMask(24, 32)}}, nil
		}
		err := g.control(t.Context(), "tcp4", tt.address, nil)
		if tt.allowed != (err == nil) || err != nil && !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: got %v, want allowed %v", tt.name, err, tt.allowed)
		}
	}
	g := newGuard(t, Options{AllowPrivate: true, DenyListeners: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:8480")}})
	g.local = func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }
	if err := g.control(t.Context(), "tcp4", "10.0.0.1:8480", nil); !errors.Is(err, ErrBlocked) {
		t.Errorf("own addresses unknown: got %v, want it blocked", err)
	}
	for _, bad := range []string{"no address", "host:80", "10.0.0.1", ""} {
		if err := g.control(t.Context(), "tcp4", bad, nil); !errors.Is(err, ErrBlocked) {
			t.Errorf("address %q: got %v, want it blocked", bad, err)
		}
	}
	if err := g.control(t.Context(), "udp4", "8.8.8.8:443", nil); !errors.Is(err, ErrBlocked) {
		t.Errorf("udp: got %v, want it blocked", err)
	}
}

// TestEndpoints: the operator's endpoints may be anywhere, and only they.
func TestEndpoints(t *testing.T) {
	l := listen(t, "127.0.0.1", 0)
	port := portText(l)
	loopback := [][]netip.Addr{{netip.MustParseAddr("127.0.0.1")}}
	d := newDNS(t, map[string][][]netip.Addr{
		"store.lab.test": loopback, "bucket.store.lab.test": loopback, "a.b.store.lab.test": loopback,
		"evilstore.lab.test": loopback, "lab.test": loopback, "store.lab.test.evil.test": loopback, "x.127.0.0.1": loopback,
	})
	g := newGuard(t, Options{
		AllowEndpoints: []string{"Store.lab.test.:" + port, "127.0.0.1:" + port}, Resolver: d.resolver(), Ports: []uint16{l.port},
	})
	for host, allowed := range map[string]bool{
		"store.lab.test": true, "STORE.lab.test": true, "store.lab.test.": true, "bucket.store.lab.test": true,
		"a.b.store.lab.test": true, "127.0.0.1": true, "::ffff:127.0.0.1": true,
		"evilstore.lab.test": false, "lab.test": false, "store.lab.test.evil.test": false, "x.127.0.0.1": false, "localhost": false,
	} {
		address := net.JoinHostPort(host, port)
		conn, err := g.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		if allowed != (err == nil) || err != nil && !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: got %v, want allowed %v", address, detail(err), allowed)
		}
		if err := g.CheckURL(&url.URL{Scheme: "http", Host: address}); allowed && err != nil {
			t.Errorf("check %s: %v", address, err)
		}
	}
	if err := g.CheckURL(&url.URL{Scheme: "http", Host: "127.0.0.1:80"}); !errors.Is(err, ErrBlocked) {
		t.Errorf("other port of an endpoint: got %v, want it blocked", err)
	}
	for _, bad := range []string{"", "host", "host:", ":80", "host:0", "host:65536", "host:http", "host:+80", "host:080", "a b:80", "::1:80"} {
		if _, err := New(Options{AllowEndpoints: []string{bad}}); err == nil {
			t.Errorf("endpoint %q was accepted", bad)
		}
	}
	if _, err := New(Options{Allow: []netip.Prefix{{}}}); err == nil {
		t.Error("an invalid network was accepted")
	}
}

// TestSameLook: blocked, refused, timed out and unknown names have one text (rule S7).
func TestSameLook(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := closed.Addr().String()
	_ = closed.Close()
	d := newDNS(t, nil)
	g := newGuard(t, Options{AllowEndpoints: []string{refused}, Resolver: d.resolver()})
	ended, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	tests := []struct {
		name, address string
	}{
		{"blocked", "10.0.0.1:80"},
		{"blocked port", "8.8.8.8:22"},
		{"refused", refused},
		{"timed out", refused},
		{"unknown name", "nowhere.example.test:80"},
		{"no port", "nowhere.example.test"},
	}
	for _, tt := range tests {
		ctx := t.Context()
		if tt.name == "timed out" {
			ctx = ended
		}
		_, err := g.DialContext(ctx, "tcp", tt.address)
		if err == nil || err.Error() != "endpoint cannot be reached" || !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if d := detail(err); !strings.Contains(d, tt.address) || strings.Contains(d, "endpoint cannot be reached") {
			t.Errorf("%s: the operator reads %q", tt.name, d)
		}
		if got, want := errors.Is(err, ErrBlocked), strings.HasPrefix(tt.name, "blocked") || tt.name == "no port"; got != want {
			t.Errorf("%s: ErrBlocked in the chain: %v, want %v", tt.name, got, want)
		}
	}
	if _, err := g.DialContext(ended, "tcp", refused); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error in the chain", detail(err))
	}
	for _, network := range []string{"", "udp", "unix", "ip"} {
		if _, err := g.DialContext(t.Context(), network, "8.8.8.8:80"); !errors.Is(err, ErrBlocked) {
			t.Errorf("network %q: got %v, want it blocked", network, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	tests := []struct {
		url     string
		ok      bool
		blocked bool
	}{
		{"http://example.com/", true, false},
		{"https://example.com:443/a?b=c", true, false},
		{"HTTPS://example.com", true, false},
		{"https://8.8.8.8/", true, false},
		{"https://[2606:4700:4700::1111]/", true, false},
		{"https://example.com:9000/", true, false}, // only the dial knows the address
		{"https://1e100.net/", true, false},
		{"https://0x7f.example.com/", true, false},
		{"https://8.8.8.8:22/", false, true},
		{"ftp://example.com/", false, false},
		{"file:///etc/passwd", false, false},
		{"gopher://127.0.0.1/", false, false},
		{"//example.com/", false, false},
		{"http:example.com", false, false},
		{"http://", false, false},
		{"http:///path", false, false},
		{"http://user@example.com/", false, false},
		{"http://user:password@example.com/", false, false},
		{"http://@example.com/", false, false},
		{"http://example.com:/", false, false},
		{"http://example.com:0/", false, false},
		{"http://example.com:65536/", false, false},
		{"http://example.com:0080/", false, false},
		{"http://127.0.0.1/", false, true},
		{"http://127.1/", false, true},
		{"http://2130706433/", false, true},
		{"http://0x7f000001/", false, true},
		{"http://0x7f.1/", false, true},
		{"http://0177.0.0.1/", false, true},
		{"http://127.0.0.1./", false, true},
		{"http://1.1.1/", false, true},
		{"http://256.256.256.256/", false, true},
		{"http://[::1]/", false, true},
		{"http://[::ffff:127.0.0.1]/", false, true},
		{"http://[fe80::1%25lo]/", false, true},
		{"http://localhost/", false, true},
		{"http://LOCALHOST./", false, true},
		{"http://a.localhost/", false, true},
		{"http://169.254.169.254/latest/meta-data/", false, true},
		{"http://" + strings.Repeat("a.", 200) + "com/", false, false},
	}
	g := newGuard(t, Options{})
	for _, tt := range tests {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Errorf("parse %s: %v", tt.url, err)
			continue
		}
		err = g.CheckURL(u)
		if tt.ok != (err == nil) || tt.blocked != errors.Is(err, ErrBlocked) {
			t.Errorf("%s: got %v, want ok %v, blocked %v", tt.url, err, tt.ok, tt.blocked)
		}
		if err != nil && strings.Contains(err.Error(), "password@") {
			t.Errorf("%s: the error shows the user information: %v", tt.url, err)
		}
	}
	open := newGuard(t, Options{AllowPrivate: true, AnyPort: true})
	for _, ok := range []string{"http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]:9000", "http://8.8.8.8:22/"} {
		u, err := url.Parse(ok)
		if err != nil {
			t.Fatal(err)
		}
		if err := open.CheckURL(u); err != nil {
			t.Errorf("%s through the open guard: %v", ok, err)
		}
	}
}

// FuzzAddress: whatever a host looks like, the guard does not panic, and no address that it lets pass is inside.
func FuzzAddress(f *testing.F) {
	for _, a := range slices.Concat(deniedAddresses[:20], publicAddresses[:5]) {
		f.Add(a, "80")
	}
	f.Add("127.1", "443")
	f.Add("0.0.0.0", "A")
	f.Add("[::1]", "+1")
	f.Add("", "")
	f.Add("a.localhost.", "99999")
	g, err := New(Options{AllowEndpoints: []string{"store.lab.test:9000"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host, port string) {
		u := &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
		errURL := g.CheckURL(u)
		_, _, _ = splitHostPort(host + ":" + port)
		errDial := g.control(t.Context(), "tcp6", net.JoinHostPort(host, port), nil)
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return
		}
		real := addr.Unmap().WithZone("")
		inside := real.IsLoopback() || real.IsPrivate() || real.IsLinkLocalUnicast() || real.IsMulticast() || real.IsUnspecified()
		if inside && (errURL == nil || errDial == nil) {
			t.Errorf("%s port %s passes: URL %v, dial %v", host, port, errURL, errDial)
		}
	})
}
