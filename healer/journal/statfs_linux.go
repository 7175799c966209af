package journal

import "golang.org/x/sys/unix"

// fileSystem gives the magic number of a folder's file system, statfs(2).
func fileSystem(folder string) (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(folder, &s)
	return int64(uint32(s.Type)), err
}
