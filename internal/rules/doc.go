// Package rules compiles what the user of a task wrote about keys: which objects the task takes (filters) and what they
// are called at the destination (rename rules).
//
// A Filter and Names are made once per task, are safe for concurrent use and do no I/O. Keys are opaque bytes: a
// pattern sees a byte that is no UTF-8 as one character that it cannot name, and nothing but what a rule says changes
// in a key. Patterns take time linear in the length of a key, and their size is bounded, so that no user can make a
// process that others share slow (rule C4).
package rules
