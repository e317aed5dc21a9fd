// Package auth is the service's own small identity and access management: it answers who sends a request
// and whether that caller may do what it asks.
//
// Callers prove themselves either by signing each request with an access key (SDK-HMAC-SHA256 and
// V11-HMAC-SHA256 of OMS v2, 1.4 and 1.5) or by a token that POST /v3/auth/tokens gives for a password.
// Each credential belongs to one project, the tenant: nothing in a request but its credential chooses the
// tenant (rule S1). Handlers give a [Route] for every path and call [Service.Admit], which authenticates,
// authorises and lets no signature of a writing request count twice (rule S2).
//
// There is one domain, [TheDomain]. Users, projects, access keys and tokens are in a [Store]; secret keys
// are sealed before the store sees them, passwords are kept as Argon2id hashes, tokens as SHA-256.
//
// Every refusal to authenticate is an *oms.Error of kind oms.Denied with [CodeUnauthenticated], which means
// status 401; refusals to authorise carry [CodeReadOnly] or [CodeNoRight] and mean 403.
package auth
