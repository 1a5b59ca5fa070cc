package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/daemon/internal/api"
	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// stopWithin is how long the daemon has to stop; what is not delivered by then is after the next start.
const stopWithin = 4 * time.Second

func run(ctx context.Context, o *options, _ []string) int {
	level := hclog.LevelFromString(o.logLevel)
	if level == hclog.NoLevel || o.logFormat != "text" && o.logFormat != "json" {
		return o.fail(fmt.Errorf("-log-level is one of debug, info, warn, error; -log-format is text or json"))
	}
	colour := hclog.ColorOff
	if o.Colour {
		colour = hclog.ForceColor
	}
	mask := &language.Mask{}
	log := hclog.New(&hclog.LoggerOptions{Name: "magpie", Level: level, Output: mask.Writer(o.Err), JSONFormat: o.logFormat == "json", Color: colour, ColorHeaderOnly: true})
	e, err := engine.Open(ctx, engine.Options{
		Version: Version, Read: o.read, PluginDirs: o.pluginDirs,
		DataDir: o.dataDir, Listen: o.listen, Log: log, Mask: mask,
	})
	debug.SetGCPercent(50) // samples pass through buffers that are used again: what is collected is small, and memory counts
	var invalid *engine.InvalidError
	if errors.As(err, &invalid) {
		o.report(invalid.Built)
		fmt.Fprintf(o.Err, "magpie: %v: nothing was started. magpie check %s checks it again.\n", err, o.config)
		return exitErrors
	}
	if err != nil {
		return o.fail(err)
	}
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
		defer cancel()
		e.Stop(ctx)
	}
	server, address, err := api.Serve(e, log.Named("http"))
	if err == nil {
		err = e.Boot(ctx)
	}
	if err != nil {
		stop()
		return o.fail(err)
	}
	fmt.Fprintf(o.Out, "Magpie %s runs. Look at http://%s/\n", Version, address)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	for {
		select {
		case <-hangup:
			reload(ctx, e, log)
		case <-ctx.Done():
			log.Info("stopping")
			server.Close(context.Background())
			stop()
			log.Info("stopped")
			return exitOK
		}
	}
}

func reload(ctx context.Context, e *engine.Engine, log hclog.Logger) {
	p, err := e.Reload(ctx, "SIGHUP")
	if err != nil {
		log.Error("the configuration was not applied: what ran goes on", "errors", "\n"+err.Error())
		return
	}
	log.Info("the configuration was applied", "unchanged", p.Empty())
}
