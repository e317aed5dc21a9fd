// Package server makes a service out of its parts: it reads the configuration, opens the data directory, wires
// store, engine and HTTP faces together, and starts and stops them in order.
//
// [Load] gives a [Config]; [New] opens everything and [Server.Run] serves until its context ends. [OpenKeys]
// and [OpenLocal] are the same parts without a listener, for the commands that work offline.
package server
