// Package cloudkeys reads credentials that are more than a pair of keys: the connection string of an Azure storage
// account and the service account file of a Google project. It does no I/O. Errors are oms.Invalid and never quote
// what they are about, which is secret.
package cloudkeys
