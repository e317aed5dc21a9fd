// Package omsv2 speaks version 2 of the object storage migration service's REST API: the wire types of its
// version and task operations, and a client for them.
//
// The types follow the contract letter by letter: sizes are bytes, instants are Unix milliseconds except
// CreateTaskRequest.MigrateSince, which is seconds. Optional fields of requests are left out of the JSON when
// they are zero; fields of answers that may be null are pointers.
//
// A [Client] signs every request with an access key (SDK-HMAC-SHA256, OMS v2, 1.4) or sends a token:
//
//	c := &omsv2.Client{Endpoint: "http://127.0.0.1:8480", ProjectID: project, AccessKey: ak, SecretKey: sk}
//	created, err := c.CreateTask(ctx, &omsv2.CreateTaskRequest{ /* … */ })
//
// What the service refuses comes back as an *[Error] with the contract's code.
package omsv2
