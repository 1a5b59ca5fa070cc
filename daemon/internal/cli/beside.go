package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Commands that are programs of their own: magpie NAME runs the executable magpie-NAME beside the plugins, as git and kubectl do. It
// gets the arguments as they are, and in MAGPIE_BINARY the path of this program, which it asks for what the configuration says.

const besidePrefix = "magpie-"

// beside becomes the program of a command. It returns only where there is none, or where it cannot be run.
func beside(args []string, to IO) (code int, ran bool) {
	name := args[0]
	if strings.ContainsAny(name, "/\\") || !slices.Contains(commandsBeside(), name) {
		return 0, false
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(to.Err, "magpie: %v\n", err)
		return exitErrors, true
	}
	for _, dir := range defaultPluginDirs() {
		path := filepath.Join(dir, besidePrefix+name)
		if !isProgram(path) {
			continue
		}
		err := syscall.Exec(path, append([]string{path}, args[1:]...), append(os.Environ(), "MAGPIE_BINARY="+self))
		fmt.Fprintf(to.Err, "magpie: %s cannot be run: %v\n", path, err)
		return exitErrors, true
	}
	return 0, false
}

// commandsBeside are the names of those that there are.
func commandsBeside() (names []string) {
	for _, dir := range defaultPluginDirs() {
		found, _ := filepath.Glob(filepath.Join(dir, besidePrefix+"*"))
		for _, path := range found {
			name := strings.TrimPrefix(filepath.Base(path), besidePrefix)
			if isProgram(path) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
