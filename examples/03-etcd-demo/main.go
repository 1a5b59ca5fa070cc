// Command etcd-demo runs a cluster of etcd that breaks when it is told to, and Magpie that watches it. The package demo is all of it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/demo"
)

func main() {
	cluster.RunMember()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := demo.Main(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	os.Exit(code)
}
