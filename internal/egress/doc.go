// Package egress guards everything that leaves the service (rules S5 to S7).
//
// Users name hosts: endpoints, URL lists, callbacks. A [Guard] dials them and refuses addresses that a user of
// a shared service must not reach: loopback, private and link-local networks, cloud metadata services,
// transition mechanisms that lead back to such networks, and the service's own listeners. The check is made on
// the address that the socket is about to connect to, after name resolution, so neither a name that resolves
// differently the second time nor an unusual notation passes it.
//
// [Guard.Transport] builds the HTTP transports of all storage clients and notifiers: HTTP/1.1, TLS 1.2 or
// newer, no proxy, no transparent decompression. [Client] adds that redirects are not followed.
package egress
