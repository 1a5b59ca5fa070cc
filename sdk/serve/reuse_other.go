//go:build !linux

package serve

func reusePort(uintptr) error { return nil }
