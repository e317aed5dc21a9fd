// Package engine runs tasks: it plans their ranges, leases them to this process, starts and stops the transfer of
// each task, stores progress in group commits and closes finished tasks. It is also the service that the API
// calls: create, start, stop, change and delete tasks.
package engine
