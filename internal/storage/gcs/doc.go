// Package gcs opens buckets of Google Cloud Storage with the key of a service account: an OAuth bearer token in place of
// the signatures that HMAC keys make. The store is spoken to through its XML face by a client of the S3 family, which the
// caller hands in; what differs for bearer tokens is done to the requests and answers on their way: headers are called
// x-goog- instead of x-amz-, and lists of buckets name the project.
//
// Tokens are asked for as RFC 7523 says: a statement signed with the account's RSA key, valid for an hour, against a token
// that lives as long. They are kept in memory by the open bucket and nowhere else.
package gcs
