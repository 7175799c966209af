// Package program gives the tests of this module the two programs as they are shipped,
// made with the root module's own versions. They lie in one place below .cache: where
// nothing has changed since another package of tests made them nothing is linked again.
package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Build makes one of the commands of the root module and gives its absolute path.
// The working folder is two below the repository's.
func Build(ctx context.Context, name string) (path string, err error) {
	dir, err := filepath.Abs("../../.cache/e2e/bin")
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	// Packages are tested at once, and the linker does not expect another one.
	lock, err := os.OpenFile(filepath.Join(dir, "."+name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("building %s: locking %s: %w", name, lock.Name(), err)
	}
	path = filepath.Join(dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/"+name)
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}
