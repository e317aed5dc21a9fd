package guard

// The endpoints that the constants were chosen with.

const (
	kb = 1e3
	mb = 1e6
)

// goals are the four shapes that the controller must find by itself.
func goals() []profile {
	return []profile{
		{name: "1 latency 50 ms", size: 4 << 10, latency: .05},
		{name: "2 limit 3500/s", size: 64 << 10, latency: .04, limit: always(3500)},
		{name: "3 5 MB/s a connection", size: 8 * mib, latency: .05, perConn: 5 * mb, total: bandwidth(800 * mb)},
		{name: "4 collapses beyond 12", size: 256 << 10, latency: .01, perConn: 15 * mb, total: func(_, n float64) float64 {
			return 150 * mb * clamp(144/n/n, .03, 1)
		}},
	}
}

// table are the endpoints of the table in docs/adr/0012-adaptive-concurrency.md.
func table() []profile {
	step := func(v ...float64) func(float64) float64 { // a value every 40 s
		return func(t float64) float64 { return v[min(int(t/40), len(v)-1)] }
	}
	steps := []float64{40, 80}
	total := func(f func(float64) float64) func(t, n float64) float64 {
		return func(t, _ float64) float64 { return f(t) }
	}
	return []profile{
		{name: "A 10 Gb/s, 8 MiB", size: 8 * mib, latency: .05, perConn: 60 * mb, total: func(_, n float64) float64 {
			return 1250 * mb * (1 - .002*max(n-64, 0)/(1+.002*max(n-64, 0)))
		}},
		{name: "B WAN 5 MB/s, 250 ms", size: 8 * mib, latency: .25, perConn: 5 * mb, total: bandwidth(1250 * mb)},
		{name: "C 503 above 3500/s", size: 64 << 10, latency: .05, perConn: 20 * mb, limit: always(3500)},
		{name: "D 503 above 1500, 300, 1500/s", size: 64 << 10, latency: .05, perConn: 20 * mb, limit: step(1500, 300, 1500)},
		{name: "E 1250, 200, 1250 MB/s", size: 8 * mib, latency: .05, perConn: 60 * mb, total: total(step(1250*mb, 200*mb, 1250*mb)), steps: steps},
		{name: "F weak server, knee 12, 503 over 200", size: mib, latency: .01, perConn: 15 * mb, conns: 200, total: func(_, n float64) float64 {
			return 150 * mb / (1 + .02*max(n-12, 0))
		}},
		{name: "G 16 KiB, 60 MB/s", size: 16 << 10, latency: .033, total: bandwidth(60 * mb)},
		{name: "I 200, 200, 1250 MB/s", size: 8 * mib, latency: .05, perConn: 60 * mb, total: total(step(200*mb, 200*mb, 1250*mb)), steps: steps},
	}
}
