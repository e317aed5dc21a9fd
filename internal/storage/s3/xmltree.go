package s3

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
	maxXMLNodes = 200_000
)

var (
	errXMLDeep    = errors.New("more than 32 levels")
	errXMLNodes   = errors.New("too many elements")
	errXMLDoctype = errors.New("a document type is refused")
	errXMLRoot    = errors.New("not one root element")
)

// node is an element with its own text and its children; attributes and namespaces are dropped.
type node struct {
	name     string
	text     []byte
	children []*node
}

// child returns the first child of that name, or nil.
func (n *node) child(name string) *node {
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

// find returns the first element of that name in n's tree, n included.
func (n *node) find(name string) *node {
	if n.name == name {
		return n
	}
	for _, c := range n.children {
		if f := c.find(name); f != nil {
			return f
		}
	}
	return nil
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
	dec := xml.NewDecoder(bytes.NewReader(trimBOM(body)))
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
		return p.start(t.Name.Local)
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

func (p *treeParser) start(name string) error {
	if p.nodes++; p.nodes > maxXMLNodes {
		return errXMLNodes
	}
	n := &node{name: name}
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

// trimBOM removes a UTF-8 byte order mark.
func trimBOM(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }
