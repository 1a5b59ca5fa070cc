//go:build !linux

package datagram

func enlarge(_, size int) int { return size }

func stepAside(int) {}

func socketInode(int) uint64 { return noInode }

// Drops is known on Linux only.
func (s *Socket) Drops() (uint64, bool) { return 0, false }
