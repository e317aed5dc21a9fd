//go:build !linux

package http1

// Moves says that the kernel can move a body from one plain connection to another.
const Moves = false

// splice leaves the body to the general way: here the kernel does not move it.
func (*Response) splice(*bodyWriter, int64) (int64, bool, error) { return 0, false, nil }
