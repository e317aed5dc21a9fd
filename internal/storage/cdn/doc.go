// Package cdn reads the objects of a bucket through a CDN host in front of it, while listings and properties come
// from the bucket (OMS v2, 6.8).
//
// The bucket is the truth: every read asks it for the object's properties first and takes the answer of the CDN only
// if size and modification time agree, so that a stale cache or a page of a web server is never taken for the object.
// Metadata and checksums are the bucket's as well, because CDN hosts drop and change headers. Redirects are not
// followed, compression on the way is refused, and a range must be the one asked for.
//
// URLs are signed for every request (package cdnsign); neither they nor what a CDN host says are in errors.
package cdn
