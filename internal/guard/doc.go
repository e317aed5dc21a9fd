// Package guard decides how many requests a process has in flight to a store, and how many it sends per second.
//
// Nobody tells us what an endpoint can do, and it changes: more connections help until the line, the server or its
// request limit is full, and hurt beyond. Each lane, which is one class of requests to one bucket of one endpoint,
// therefore has two outputs of its own: slots, found by a climber that watches the goodput while it varies them, and
// a rate, which is none until the store refuses requests and then follows what it delivers. A part of the bucket that
// alone is refused gets a rate of its own, so that the others go on. Tasks of a process share a lane by weight.
//
// A caller opens a Flow for each task and lane, takes a Ticket before every attempt of a request and gives it back when
// the attempt ends, waiting for nothing else meanwhile:
//
//	flow := g.Open(guard.Key{Endpoint: "https://s3.example", Bucket: "photos", Class: guard.Read}, 2)
//	defer flow.Close()
//	ticket, err := flow.Acquire(ctx, key)
//	if err != nil {
//		return err
//	}
//	n, err := send(ctx) // calls ticket.Progress while bytes move
//	ticket.Done(guard.OutcomeOf(err, retryAfter))
//
// The deciding parts (climber, pacer, control) are pure: they are told the time and read no clock. There are no
// goroutines but Guard.Run, which stores what was learned, and a timer per lane while somebody waits.
package guard
