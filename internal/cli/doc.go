// Package cli holds the commands of the oms program: serve, migrate, task, key, demo, version and completion.
//
// Each command is made by a constructor from an [Env] and has no state of its own; [Run] runs one command line
// and returns the exit status. Nothing here reads the environment, the clock or the terminal except through
// Env, so every command can be run in a test.
package cli
