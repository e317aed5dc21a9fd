// Package seal encrypts the credentials that the service stores (rule S4).
//
// Each sealed text has a random data key of its own, which is wrapped by a master key; both layers are AES-256-GCM
// and bound to additional data that says what the text is for (tenant, task, field), so that a sealed text cannot
// be put in another's place. The master key lives in a file that only the service's user may read. A file may hold
// several keys, one a line, the newest last: the newest seals, all open.
package seal
