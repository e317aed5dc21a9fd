// Package azblob reads and writes containers of Azure Blob Storage.
//
// It is a thin client over connections of package http1: one request per method (listings of containers and levels
// page), no retries, no redirects, plain bodies with an exact Content-Length. Requests are signed with the account's
// key, or carry a shared access signature. Page and append blobs are read like others; what is written are block blobs.
//
// Listing. The marker of a listing is opaque. Where a page does not begin at the start, the service is asked to begin
// at a name, which it can since version 2026-02-06 of its protocol. Accounts and servers that refuse that, or ignore it,
// give oms.Invalid or storage.ErrOrder, and the caller lists by markers in whatever order.
//
// Uploads. The service has no uploads, only blocks of a blob that is not, or not yet, made of them: they vanish with the
// next write of the blob or after a week. An upload's id carries a random name, which begins the names of its blocks,
// and the properties of the object, which the service wants at the end. Uploads can be neither listed nor dropped.
//
// Metadata. Names must be C# identifiers and values ASCII: other names are written as "oms_x_" and the name with "_"
// and two hexadecimal digits for each byte that is no lower-case letter or digit, other values as RFC 2047 words. The
// service has no Expires; it is kept as metadata "oms_expires". What was written so is read back as it was.
//
// Every answer is distrusted as in package s3.
package azblob
