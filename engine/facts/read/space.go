package read

import (
	"math"
	"syscall"
)

// Space returns how full the file system of a path is, in bytes. Space that only root may use
// is not free.
func Space(path string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	return blocks(s.Bavail, s.Bsize), blocks(s.Blocks, s.Bsize), nil
}

func blocks(n uint64, size int64) int64 {
	if size > 0 && n > uint64(math.MaxInt64/size) {
		return math.MaxInt64
	}
	return int64(n) * size
}
