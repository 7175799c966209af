package probe

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxFile bounds what is read of a file that a module names, in bytes.
const maxFile = 32 << 20

// readFile reads a file that a module names, anew for each probe. It does not
// wait for one who writes into a pipe of that name: a probe has a deadline, and
// to read a file has none.
func readFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return text, err
}
