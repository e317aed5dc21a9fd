package oms

// KeySpace names what a listing of a source covers, for what is remembered of it until the next one. Keys are the
// business of one project only.
type KeySpace struct {
	ProjectID string
	Endpoint  string // URL of the store
	Bucket    string
	Prefix    string // every key of the space starts with it
}
