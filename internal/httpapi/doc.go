// Package httpapi serves OMS v2 over HTTP: it reads requests, checks every field against the contract, calls
// the service behind it (Tasks) and writes answers with the contract's codes, units and nulls.
//
// Every operation is one line in the route table (routes.go) that names its method, path, right and size
// limit; New panics on a line without a right (rule S1). A request passes through: id, path, body (bounded),
// Auth.Admit on the raw bytes, rate limit of the project, operation, audit, answer. Only operations decode
// bodies, so nothing of an unknown sender is interpreted (rule S2).
//
// Bodies are read by name through fields, which knows the contract's rules for missing, null and mistyped
// members; nothing is stored unless the whole request is sound. All errors leave through writeError, which
// maps kinds and codes to HTTP and keeps unexpected text inside.
package httpapi
