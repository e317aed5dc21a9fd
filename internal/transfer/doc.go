// Package transfer moves the objects of ranges in one process: it lists the source, joins it with the listing of
// the destination, decides, copies, proves each copy and reports progress to a Journal. It knows neither SQL nor
// HTTP nor task states.
//
// A Job works on the leased ranges of one task. Walkers list ranges and hand objects to a bounded queue; workers
// take objects and parts from the queue, each holding one of the process's slots. What a walker hands out is
// grouped in batches; a range's checkpoint moves over the contiguous prefix of finished batches only (rule P2).
// Memory is bounded by the queue, the window and the buffer budget, never by the number of keys.
//
// Requests are retried here and nowhere else. Trouble that is no object's fault (keys refused, bucket gone, a store
// that is away beyond patience, a listing that cannot be trusted) ends the job with a *Stopped error.
package transfer
