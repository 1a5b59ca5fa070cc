// Command magpie is the daemon and its command line.
package main

import (
	"os"

	"github.com/magpie-monitoring/magpie/daemon/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Terminal()))
}
