package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// load is one of those of etcdctl check perf.
type load struct {
	rate, clients int
}

var loads = map[string]load{"s": {150, 50}, "m": {1000, 200}, "l": {8000, 500}, "xl": {15000, 1000}}

var workloads = []string{"write", "read", "mixed", "watch", "lease"}

// settings are what the flags and the component say.
type settings struct {
	endpoints []string
	tls       *tls.Config
	user      string
	password  string

	workload, load string
	clients        int
	rate           int // requests a second; 0: as many as there can be
	duration       time.Duration
	keys           int
	valueSize      int
	bytes          int64 // written at most
	reads          int   // percent
	serializable   bool
	prefix         string
	compact, json  bool
}

// Bounds of the bounds: what no flag goes beyond.
const (
	maxClients  = 2000
	maxRate     = 100_000
	maxDuration = 10 * time.Minute
	maxKeys     = 1_000_000
	maxValue    = 1 << 20 // etcd takes 1.5 MiB
	maxBytes    = 4 << 30
)

func parse(args []string, say io.Writer) (*settings, error) {
	s := &settings{}
	var at access
	f := flag.NewFlagSet("magpie bench etcd", flag.ContinueOnError)
	f.SetOutput(say)
	f.StringVar(&s.workload, "workload", "write", strings.Join(workloads, ", "))
	f.StringVar(&s.load, "load", "", "s, m, l or xl, as etcdctl check perf has them: sets -rate, -clients and -duration (60s), and gives a verdict; default for writes without any of those: s")
	f.IntVar(&s.clients, "clients", 50, "clients that ask at the same time")
	f.IntVar(&s.rate, "rate", 0, "requests a second in all; 0: as many as the clients can")
	f.DurationVar(&s.duration, "duration", time.Minute, "how long")
	f.IntVar(&s.keys, "keys", 10_000, "keys to write to and to read")
	size := sizeFlag(f, "value-size", 1<<10, "bytes of a value")
	all := sizeFlag(f, "bytes", 2<<30, "bytes to write at most, keys and values: it ends there")
	f.IntVar(&s.reads, "reads", 50, "percent of the requests that read, of the workload mixed")
	f.BoolVar(&s.serializable, "serializable", false, "read what one member has, without asking the others")
	f.StringVar(&s.prefix, "prefix", "/magpie-bench/", "of all keys: nobody else's may begin so")
	f.BoolVar(&s.compact, "compact", false, "compact the history at the end: watches and reads of older revisions end")
	f.BoolVar(&s.json, "json", false, "output for programs")
	f.StringVar(&at.endpoints, "endpoints", "", "client URLs of members, with commas between, instead of a component's")
	f.StringVar(&at.user, "user", "", "user, where the cluster has authentication on")
	f.StringVar(&at.passwordFile, "password-file", "", "file that holds the user's password")
	f.StringVar(&at.tls.CAFile, "ca-file", "", "certificates to verify the members by")
	f.StringVar(&at.tls.CertFile, "cert-file", "", "certificate to show them")
	f.StringVar(&at.tls.KeyFile, "key-file", "", "its key")
	f.StringVar(&at.config, "config", "", "configuration that the component is in; default: what magpie takes, config.hcl")
	f.Usage = func() {
		fmt.Fprint(say, "Usage: magpie bench etcd [-flag value] [source.etcd.NAME]\n\nMeasures how fast an etcd cluster is. It writes under a prefix of its own, and cleans up.\n\n")
		f.PrintDefaults()
	}
	var words []string
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			break
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[g.Name] = true })
	s.valueSize, s.bytes = int(*size), int64(*all)
	if s.load == "" && s.workload == "write" && !given["rate"] && !given["clients"] && !given["duration"] {
		s.load = "s"
	}
	if l, ok := loads[s.load]; ok {
		if given["rate"] || given["clients"] || given["duration"] {
			return nil, errors.New("-load says -rate, -clients and -duration: leave them out, or leave -load out and give -rate")
		}
		s.rate, s.clients, s.duration = l.rate, l.clients, time.Minute
	} else if s.load != "" {
		return nil, fmt.Errorf("-load is s, m, l or xl, not %q", s.load)
	}
	if len(words) > 1 {
		return nil, fmt.Errorf("one component at a time, and these are %d: %s", len(words), strings.Join(words, " "))
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, at.into(s, words)
}

func sizeFlag(f *flag.FlagSet, name string, value sdk.Bytes, usage string) *sdk.Bytes {
	f.Func(name, fmt.Sprintf("%s (default %s)", usage, value), func(text string) (err error) {
		value, err = sdk.ParseBytes(text)
		return err
	})
	return &value
}

func (s *settings) check() error {
	switch {
	case !slices.Contains(workloads, s.workload):
		return fmt.Errorf("-workload is one of %s, not %q", strings.Join(workloads, ", "), s.workload)
	case s.load != "" && s.workload != "write":
		return errors.New("-load is for writes, as etcdctl check perf has it: give -rate and -clients for other workloads")
	case s.clients < 1 || s.clients > maxClients:
		return fmt.Errorf("-clients is 1 to %d", maxClients)
	case s.rate < 0 || s.rate > maxRate:
		return fmt.Errorf("-rate is 0 to %d", maxRate)
	case s.duration < time.Second || s.duration > maxDuration:
		return fmt.Errorf("-duration is 1s to %s", maxDuration)
	case s.keys < 1 || s.keys > maxKeys:
		return fmt.Errorf("-keys is 1 to %d", maxKeys)
	case s.valueSize < 0 || s.valueSize > maxValue:
		return fmt.Errorf("-value-size is at most %s", sdk.Bytes(maxValue))
	case s.bytes < 1 || s.bytes > maxBytes:
		return fmt.Errorf("-bytes is 1 to %s", sdk.Bytes(maxBytes))
	case s.reads < 0 || s.reads > 100:
		return errors.New("-reads is a percentage")
	case len(s.prefix) < 4:
		return errors.New("-prefix has four characters at least: all that begins so is deleted")
	}
	return nil
}

// perPut is what a put adds to the history: key and value, and what etcd keeps beside them.
func (s *settings) perPut() int64 { return int64(len(s.prefix) + 20 + s.valueSize + 80) }

// atMost is how much it will write if all goes well.
func (s *settings) atMost() int64 {
	writes := int64(0)
	switch {
	case s.workload == "lease":
		return 1 << 20
	case s.workload == "read":
		writes = int64(s.keys)
	case s.rate == 0:
		return s.bytes
	default:
		writes = int64(s.rate) * int64(s.duration.Seconds()+1)
		if s.workload == "mixed" {
			writes = writes*int64(100-s.reads)/100 + int64(s.keys)
		}
	}
	return min(writes*s.perPut(), s.bytes)
}

// access is how to reach the cluster as the flags have it.
type access struct {
	endpoints, user, passwordFile, config string
	tls                                   sdk.TLS
}

// into fills in what is not given from the component, if one is named.
func (a *access) into(s *settings, words []string) (err error) {
	if len(words) == 1 {
		if err := a.component(words[0]); err != nil {
			return err
		}
	}
	if a.endpoints == "" {
		return errors.New("say which cluster: the address of a component, such as source.etcd.main, or -endpoints")
	}
	secure := false
	for _, e := range strings.Split(a.endpoints, ",") {
		e = strings.TrimRight(strings.TrimSpace(e), "/")
		if !strings.HasPrefix(e, "http://") && !strings.HasPrefix(e, "https://") {
			return fmt.Errorf("%q is no URL: write http://host:port or https://host:port", e)
		}
		secure = secure || strings.HasPrefix(e, "https://")
		s.endpoints = append(s.endpoints, e)
	}
	if secure {
		if s.tls, err = a.tls.Config(); err != nil {
			return err
		}
	}
	if s.user = a.user; s.user != "" {
		if a.passwordFile == "" {
			return fmt.Errorf("user %q needs a password: give the file that holds it with -password-file", s.user)
		}
		text, err := os.ReadFile(a.passwordFile)
		if err != nil {
			return err
		}
		s.password = strings.TrimRight(string(text), "\r\n")
	}
	return nil
}
