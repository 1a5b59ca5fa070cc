//go:build !linux

package main

import (
	"errors"
	"fmt"
	"runtime"
)

// Only Linux is watched; elsewhere the plugin can be built and described.

var errElsewhere = fmt.Errorf("the host source watches Linux, and not %s: %w", runtime.GOOS, errors.ErrUnsupported)

func statfs(string) (usage, error)  { return usage{}, errElsewhere }
func uname() ([6]string, error)     { return [6]string{}, errElsewhere }
func adjtimex() (clockState, error) { return clockState{}, errElsewhere }

func dumpLinks([]byte, func([]byte) (bool, error)) error          { return errElsewhere }
func parseLinks([]byte, func(*link) error) (done bool, err error) { return false, errElsewhere }
