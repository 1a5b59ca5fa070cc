package main

import "github.com/magpie-monitoring/magpie/sdk/serve"

func main() { serve.Main("console", "0.1.0", capability) }
