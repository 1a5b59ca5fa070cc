// Command idle is a plugin that does nothing: what any plugin costs. Its copies offer types of their own names.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

type config struct{}

type idle struct{}

func (idle) Notify(context.Context, sdk.Notification) (sdk.Receipt, error) {
	return sdk.Receipt{}, nil
}

func main() {
	open := func(context.Context, *config, sdk.Host) (idle, error) { return idle{}, nil }
	serve.Main(filepath.Base(os.Args[0]), "0.0.0", sdk.Notifier(open, sdk.Doc("Does nothing.")))
}
