// Command magpie is the daemon and its command line.
package main

import (
	_ "connectrpc.com/connect"
	_ "github.com/chromedp/chromedp"
	_ "github.com/hashicorp/hcl/v2/hcldec"
	_ "github.com/prometheus/client_golang/api/prometheus/v1"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/procfs/blockdevice"
	_ "github.com/prometheus/prometheus/promql/parser"
	_ "github.com/prometheus/prometheus/web/api/v1"
	_ "go.etcd.io/etcd/client/v3"
	_ "go.etcd.io/etcd/server/v3/embed"
)

func main() {}
