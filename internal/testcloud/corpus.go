package testcloud

import "strings"

// KeyCorpus returns the keys that every copy must carry byte for byte: reliability rule H2. Nothing in it
// is a duplicate; some are not valid UTF-8, and some cannot stand in XML without encoding-type=url.
func KeyCorpus() []string {
	keys := make([]string, 0, 320)
	for b := range 256 {
		keys = append(keys, string([]byte{byte(b)}))
	}
	return append(
		keys,
		"/x", "//", "///", "a//b", "a/", "a/b", "/a/", "a///b",
		"d/", "d/x", "e/x", // beside "d"; e/ has no marker of its own
		"..", "../x", "./x", "x/.", "x/..", "x/../y", "x/./y", "..//..", "...",
		"a+b", "a b", "%2F", "a%2Fb", "%%", "%zz", "%00", "a%20b",
		" lead", "trail ", " both ", "  ", "tab\tinside",
		"line\nfeed", "carriage\rreturn", "crlf\r\n", "ctl\x01\x1f\x7f", "nul\x00inside",
		"caf\u00e9", "cafe\u0301", // NFC and NFD of the same word
		"Case", "case", "CASE", "\u0130stanbul", "stra\u00dfe",
		"emoji \U0001F600", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\u4e2d\u6587/\u5bf9\u8c61.txt",
		"rtl \u202egpj.exe", "\ufeffbom", "\ufffd", "\ufffe", "\u2028line",
		"\xff\xfe", "bad\xc3(utf8", "\xed\xa0\x80", "\xf5\x80\x80\x80", "half\xe2\x82",
		"q?x=1&y=2", "h#frag", "semi;colon", "a&b<c>d\"e'f", "<Key>", "]]>", "&amp;", "back\\slash",
		"C:\\dir\\file", "CON", "nul.txt", "~user", "$HOME", "`id`", "a*b?", "{x,y}", "[x]",
		"?uploads", "?list-type=2", "x?uploadId=1", "oms", "oms.txt",
		strings.Repeat("k", 1024), strings.Repeat("n/", 512), strings.Repeat("\u00e9", 512),
		"long/"+strings.Repeat("x", 255)+"/"+strings.Repeat("y", 256),
	)
}
