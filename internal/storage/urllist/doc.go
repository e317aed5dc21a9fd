// Package urllist reads objects by their URL: the source of url_list tasks (OMS v2, 6.3). Keys are absolute http and
// https URLs; there is no bucket, so listings are empty.
//
// Web servers promise less than stores do. A server that refuses HEAD, or does not tell the size with it, is asked with
// a GET of one byte. A size that nobody tells is -1. Ranges are read apart only from servers that have shown a strong
// entity tag and answered a range with it; for all others the entity tag is given in its weak form, so that nobody mixes
// two versions of an object (rule D2). Without Last-Modified an object counts as modified when it was asked for: it is
// copied rather than taken for unchanged.
//
// At most three redirects are followed, to the same host only and never from https to http (rule S6). Requests carry no
// credentials. Errors name the host and never the URL, which may be signed.
package urllist
