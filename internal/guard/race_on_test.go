//go:build race

package guard

// thinned says that simulations, which have one goroutine, run fewer cases: the race detector has nothing to find in
// them and makes them many times slower.
const thinned = true
