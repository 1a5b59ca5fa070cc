package main

import (
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestItKeepsTheContract(t *testing.T) { plugintest.Verify(t, ".") }
