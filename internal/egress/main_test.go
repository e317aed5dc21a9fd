package egress

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// A server of net/http lingers for half a second over a connection that it closes while its client still writes.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// listener accepts on a loopback address and counts the connections that arrive.
type listener struct {
	net.Listener
	port uint16

	mu sync.Mutex
	n  int
	wg sync.WaitGroup
}

// listen accepts on host, port 0 meaning any, until the test ends.
func listen(t *testing.T, host string, port uint16) *listener {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: ln, port: netip.MustParseAddrPort(ln.Addr().String()).Port()}
	l.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			l.mu.Lock()
			l.n++
			l.mu.Unlock()
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		l.wg.Wait()
	})
	return l
}

func portText(l *listener) string { return strconv.Itoa(int(l.port)) }

// arrived returns how many connections have arrived. Those still in the queue are counted, because a last
// connection of its own, which is not, waits behind them.
func (l *listener) arrived(t *testing.T) int {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, _ = conn.Read(b[:]) // returns when the listener has accepted and closed it
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	return l.n
}

// dns is a name server on loopback. Each name has answers, one per question for A; the last stays.
type dns struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers map[string][][]netip.Addr
	wg      sync.WaitGroup
}

func newDNS(t *testing.T, answers map[string][][]netip.Addr) *dns {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dns{conn: conn, answers: answers}
	d.wg.Go(d.serve)
	t.Cleanup(func() {
		_ = conn.Close()
		d.wg.Wait()
	})
	return d
}

func (d *dns) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}

func (d *dns) serve() {
	buf := make([]byte, 1500)
	for {
		n, peer, err := d.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := d.reply(buf[:n]); reply != nil {
			_, _ = d.conn.WriteTo(reply, peer)
		}
	}
}

// reply answers a query with one question (RFC 1035, 4.1).
func (d *dns) reply(query []byte) []byte {
	if len(query) < 12 {
		return nil
	}
	var labels []string
	i := 12
	for i < len(query) && query[i] != 0 {
		end := i + 1 + int(query[i])
		if end >= len(query) {
			return nil
		}
		labels = append(labels, string(query[i+1:end]))
		i = end
	}
	if i+5 > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[i+1:])
	addrs := d.next(strings.ToLower(strings.Join(labels, ".")), kind)
	out := append([]byte{}, query[:i+5]...)
	binary.BigEndian.PutUint16(out[2:], 0x8180) // answer, recursion desired and available
	binary.BigEndian.PutUint16(out[6:], uint16(len(addrs)))
	binary.BigEndian.PutUint32(out[8:], 0)
	for _, a := range addrs {
		out = append(out, 0xc0, 12)
		out = binary.BigEndian.AppendUint16(out, kind)
		out = append(out, 0, 1, 0, 0, 0, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(len(a.AsSlice())))
		out = append(out, a.AsSlice()...)
	}
	return out
}

// next returns the addresses of the kind (1: A, 28: AAAA) and moves a name on after a question for A.
func (d *dns) next(name string, kind uint16) []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.answers[name]
	if len(list) == 0 {
		return nil
	}
	var out []netip.Addr
	for _, a := range list[0] {
		if a.Is4() && kind == 1 || a.Is6() && kind == 28 {
			out = append(out, a)
		}
	}
	if kind == 1 && len(list) > 1 {
		d.answers[name] = list[1:]
	}
	return out
}
