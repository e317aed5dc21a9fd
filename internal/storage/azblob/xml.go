package azblob

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
)

// The bounds of XML answers (reliability.md section 3).
const (
	maxXMLBody  = 16 * mib
	maxXMLDepth = 32
	maxXMLNodes = 400_000 // 5,000 blobs with some thirty properties each, and room
)

var (
	errXMLDeep    = errors.New("more than 32 levels")
	errXMLNodes   = errors.New("too many elements")
	errXMLDoctype = errors.New("a document type is refused")
	errXMLRoot    = errors.New("not one root element")
)

// node is an element with its own text and its children; of the attributes only Encoded counts.
type node struct {
	name     string
	encoded  bool
	text     []byte
	children []*node
}

// child returns the first child of that name, or nil.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// textOf returns the text of the first child of that name.
func (n *node) textOf(name string) string {
	if c := n.child(name); c != nil {
		return string(c.text)
	}
	return ""
}

// treeParser collects tokens into a tree.
type treeParser struct {
	root  *node
	open  []*node
	nodes int
}

// parseTree reads a document within the bounds. Anything but one root element, comments and white space is an
// error, and so is a document type.
func parseTree(body []byte) (*node, error) {
	dec := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	var p treeParser
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := p.token(tok); err != nil {
			return nil, err
		}
	}
	if p.root == nil || len(p.open) > 0 {
		return nil, errXMLRoot
	}
	return p.root, nil
}

func (p *treeParser) token(tok xml.Token) error {
	switch t := tok.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		p.open = p.open[:len(p.open)-1]
	case xml.CharData:
		if len(p.open) > 0 {
			n := p.open[len(p.open)-1]
			n.text = append(n.text, t...)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return errXMLRoot
		}
	case xml.Directive:
		return errXMLDoctype
	}
	return nil
}

func (p *treeParser) start(t xml.StartElement) error {
	if p.nodes++; p.nodes > maxXMLNodes {
		return errXMLNodes
	}
	n := &node{name: t.Name.Local}
	for _, a := range t.Attr {
		n.encoded = n.encoded || a.Name.Local == "Encoded" && a.Value == "true"
	}
	switch depth := len(p.open); {
	case depth >= maxXMLDepth:
		return errXMLDeep
	case depth > 0:
		parent := p.open[depth-1]
		parent.children = append(parent.children, n)
	case p.root != nil:
		return errXMLRoot
	default:
		p.root = n
	}
	p.open = append(p.open, n)
	return nil
}
