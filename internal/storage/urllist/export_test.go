package urllist

// ParseContentRange is for the fuzzer.
var ParseContentRange = parseContentRange
