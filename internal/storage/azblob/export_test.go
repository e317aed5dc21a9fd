package azblob

// For tests of what cannot be seen from outside.
var (
	CompareNames = compareNames
	EncodeName   = encodeName
	DecodeName   = decodeName
	EncodeValue  = encodeValue
	DecodeValue  = decodeValue
)

// ReadPage returns the names of a page and where it goes on.
func ReadPage(body []byte) (names []string, next string, err error) {
	p, err := readPage(body)
	for _, e := range p.entries {
		names = append(names, e.Key)
	}
	return names, p.next, err
}

// ReadParts returns how many blocks of an upload are in a list of blocks.
func ReadParts(body []byte) (int, error) {
	parts, err := upload{}.readParts(body)
	return len(parts), err
}

// ParseUpload reads an upload id and returns it made anew.
func ParseUpload(id string) (string, error) {
	u, err := new(call).parseUpload(id)
	if err != nil {
		return "", err
	}
	return u.id()
}
