package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrUnreachable is what every failed connection is: blocked, refused, timed out or not resolved. Its text is
// all that users see, so that the guard cannot be used to map a network (rule S7).
var ErrUnreachable = errors.New("endpoint cannot be reached")

// ErrBlocked is in the chain of errors of connections that the guard itself refused. It is for logs and for
// not trying again, never for users.
var ErrBlocked = errors.New("blocked by the egress rules")

// errNotation refuses hosts that only some resolvers read as an address.
var errNotation = fmt.Errorf("%w: unusual notation of an address", ErrBlocked)

// Error is a connection that could not be made. Its text is that of ErrUnreachable; the cause is in its
// chain, and Detail tells the operator.
type Error struct {
	Address string // host:port as it was asked for
	Err     error  // cause; wraps ErrBlocked when the guard refused
}

// Error returns the text of ErrUnreachable.
func (e *Error) Error() string { return ErrUnreachable.Error() }

// Unwrap lets errors.Is match ErrUnreachable and the cause.
func (e *Error) Unwrap() []error { return []error{ErrUnreachable, e.Err} }

// Detail returns what happened, for the operator's log only.
func (e *Error) Detail() string { return e.Address + ": " + e.Err.Error() }

// Options configure a Guard. The zero value allows public addresses on ports 80 and 443.
type Options struct {
	// AllowPrivate opens loopback, private, link-local and shared networks on every port, but neither the
	// clouds' metadata services nor DenyListeners.
	AllowPrivate bool
	// AnyPort lifts the port rule for public addresses. It is for commands that act as the person who types
	// them.
	AnyPort bool
	// Allow are the operator's exceptions: their addresses may be reached on every port, whatever they are.
	Allow []netip.Prefix
	// AllowEndpoints are the host:port of endpoints that the operator configured. A dial to one of them, or on
	// the same port to a name below a configured name (bucket.endpoint), may reach any address. The host must be
	// under the operator's control as a whole: never put a name here below which strangers can register.
	AllowEndpoints []string
	// DenyListeners are the service's own listeners and its database. An unspecified address stands for every
	// address of this machine. They are denied even when their network is allowed; AllowEndpoints wins.
	DenyListeners []netip.AddrPort
	// Ports are allowed on public addresses in addition to 80 and 443.
	Ports []uint16
	// DialTimeout bounds resolving and connecting; 0 means 10 s.
	DialTimeout time.Duration
	// Resolver resolves names; nil means the system's.
	Resolver *net.Resolver
}

// Guard dials what users name and the rules allow. It is safe for concurrent use and needs no closing.
type Guard struct {
	classifier   classifier
	allowPrivate bool
	anyPort      bool
	allow        prefixes
	endpoints    []endpoint
	listeners    []netip.AddrPort
	ports        []uint16
	local        func() ([]net.Addr, error) // this machine's addresses

	checked   net.Dialer // checks each address
	unchecked net.Dialer // for the operator's endpoints
}

// endpoint is a configured host:port.
type endpoint struct {
	host string // normalised
	ip   bool
	port uint16
}

// New returns a Guard, or an error that names the option which cannot be read.
func New(opts Options) (*Guard, error) {
	g := &Guard{
		classifier: newClassifier(), allowPrivate: opts.AllowPrivate, anyPort: opts.AnyPort,
		ports: append([]uint16{80, 443}, opts.Ports...), local: net.InterfaceAddrs,
	}
	for _, p := range opts.Allow {
		if !p.IsValid() {
			return nil, errors.New("egress: an allowed network is not valid")
		}
		g.allow = append(g.allow, plainPrefix(p))
	}
	for _, text := range opts.AllowEndpoints {
		host, port, err := splitHostPort(text)
		if err != nil {
			return nil, fmt.Errorf("egress: allowed endpoint %q: %w", text, err)
		}
		_, isIP := parseIP(host)
		g.endpoints = append(g.endpoints, endpoint{host: host, ip: isIP, port: port})
	}
	for _, ap := range opts.DenyListeners {
		g.listeners = append(g.listeners, netip.AddrPortFrom(plain(ap.Addr()), ap.Port()))
	}
	timeout := opts.DialTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	g.unchecked = net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Resolver: opts.Resolver}
	g.checked = g.unchecked
	g.checked.ControlContext = g.control
	return g, nil
}

// plainPrefix turns a prefix of IPv4-mapped IPv6 addresses into the IPv4 prefix.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}

// DialContext connects to host:port over TCP if the rules allow the address that it resolves to. Errors are
// *Error; when ctx ended, its error is in the chain. It has the signature that http.Transport wants.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, &Error{Address: address, Err: fmt.Errorf("%w: network %q", ErrBlocked, network)}
	}
	host, port, err := splitHostPort(address)
	if err != nil {
		return nil, &Error{Address: address, Err: fmt.Errorf("%w: %w", ErrBlocked, err)}
	}
	dialer := &g.checked
	if g.configured(host, port) {
		dialer = &g.unchecked
	} else if looksNumeric(host) {
		return nil, &Error{Address: address, Err: errNotation}
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, &Error{Address: address, Err: err}
	}
	return conn, nil
}

// control is called with the final address of each socket before it connects.
func (g *Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %q", ErrBlocked, network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: address is not numeric", ErrBlocked)
	}
	return g.checkAddr(ap)
}

// checkAddr is the rule for one numeric address.
func (g *Guard) checkAddr(ap netip.AddrPort) error {
	addr, port := plain(ap.Addr()), ap.Port()
	if g.own(addr, port) {
		return fmt.Errorf("%w: %s is the service itself", ErrBlocked, ap)
	}
	if g.allow.contains(addr) {
		return nil
	}
	switch g.classifier.classify(addr) {
	case public:
		if g.anyPort || slices.Contains(g.ports, port) {
			return nil
		}
		return fmt.Errorf("%w: port %d", ErrBlocked, port)
	case internal:
		if g.allowPrivate {
			return nil
		}
	case never:
	}
	return fmt.Errorf("%w: address %s", ErrBlocked, addr)
}

// own reports whether the address is one of the listeners in Options.DenyListeners. When this machine's
// addresses cannot be read, every address is taken for its own.
func (g *Guard) own(addr netip.Addr, port uint16) bool {
	for _, l := range g.listeners {
		if l.Port() != port {
			continue
		}
		if l.Addr() == addr || l.Addr().IsUnspecified() && g.isLocal(addr) {
			return true
		}
	}
	return false
}

func (g *Guard) isLocal(addr netip.Addr) bool {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	addrs, err := g.local()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && plain(p.Addr()) == addr {
			return true
		}
	}
	return false
}

// configured reports whether host:port, normalised, is one of the operator's endpoints or below one.
func (g *Guard) configured(host string, port uint16) bool {
	return slices.ContainsFunc(g.endpoints, func(e endpoint) bool {
		if e.port != port {
			return false
		}
		return e.host == host || !e.ip && strings.HasSuffix(host, "."+e.host)
	})
}

// CheckURL refuses early what could not be dialed anyway, so that a user learns of a mistake when the URL is
// entered: another scheme than http and https, user information, a bad port and numeric hosts that the rules
// deny. Names are not resolved; only the dial decides. Errors for denied hosts are *Error, the others say what
// is wrong with the URL.
func (g *Guard) CheckURL(u *url.URL) error {
	var port string
	switch strings.ToLower(u.Scheme) {
	case "http":
		port = "80"
	case "https":
		port = "443"
	default:
		return errors.New("the URL must begin with http:// or https://")
	}
	if u.User != nil {
		return errors.New("the URL must not contain a user name or password")
	}
	if u.Opaque != "" || u.Hostname() == "" {
		return errors.New("the URL has no host")
	}
	if p := u.Port(); p != "" {
		port = p
	} else if strings.HasSuffix(u.Host, ":") {
		return errors.New("the URL has an empty port")
	}
	address := net.JoinHostPort(u.Hostname(), port)
	host, number, err := splitHostPort(address)
	if err != nil {
		return err
	}
	if g.configured(host, number) {
		return nil
	}
	if err := g.checkHost(host, number); err != nil {
		return &Error{Address: address, Err: err}
	}
	return nil
}

// checkHost applies the rules to a host that is numeric or stands for this machine.
func (g *Guard) checkHost(host string, port uint16) error {
	if addr, ok := parseIP(host); ok {
		return g.checkAddr(netip.AddrPortFrom(addr, port))
	}
	if looksNumeric(host) {
		return errNotation
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return g.checkAddr(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	}
	return nil
}

// maxHost is the longest host name in bytes.
const maxHost = 253

// splitHostPort splits and normalises: the host in lower case without a final dot, numeric hosts in their
// shortest form, the port as a number.
func splitHostPort(address string) (string, uint16, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New("the address is not host:port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || portText != strconv.FormatUint(port, 10) {
		return "", 0, errors.New("the port is not a number from 1 to 65535")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if addr, ok := parseIP(host); ok {
		return addr.Unmap().String(), uint16(port), nil
	}
	if host == "" || len(host) > maxHost || strings.ContainsFunc(host, badInHost) {
		return "", 0, errors.New("the host is not valid")
	}
	return host, uint16(port), nil
}

func badInHost(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`:/\?#@%[]<>"{}|^`+"`", r)
}

// parseIP reads a numeric host, without brackets.
func parseIP(host string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(host)
	return addr, err == nil
}

// looksNumeric reports whether some resolvers would read a host that is no proper address as one all the same:
// "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1". No top-level domain is a number.
func looksNumeric(host string) bool {
	if _, ok := parseIP(host); ok {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return true
	}
	if _, err := strconv.ParseUint(last, 10, 64); err == nil {
		return true
	}
	hex, ok := strings.CutPrefix(last, "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}
