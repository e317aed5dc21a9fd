//go:build !race

package guard

const thinned = false
