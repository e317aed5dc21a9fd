package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal is Env.Terminal for the real system.
func Terminal(w io.Writer) (columns int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 {
		return 80, true
	}
	return columns, true
}
