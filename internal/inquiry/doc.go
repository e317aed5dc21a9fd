// Package inquiry answers questions about accounts and buckets that people ask before they create a task: which
// buckets there are, what is in them, where they are, whether a CDN host or a list of URLs is of use (OMS v2, 4.29 to
// 4.34).
//
// Keys live as long as the question. Every answer of a store is bounded in size, every question in time, and errors
// have the codes of the contract with texts of our own: blocked, refused and silent endpoints look the same (rule
// S7); the cause is in the chain, for the log.
package inquiry
