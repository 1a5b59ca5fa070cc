package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// magpieEnv is the path of the magpie that runs us.
const magpieEnv = "MAGPIE_BINARY"

// block is what magpie show -json says of a block.
type block struct {
	Address, Type string
	Attributes    map[string]struct{ Value any }
	Blocks        []block
}

func (b block) text(name string) string {
	text, _ := b.Attributes[name].Value.(string)
	return text
}

// component reads a component of the configuration: magpie itself understands the files.
func (a *access) component(address string) error {
	magpie := os.Getenv(magpieEnv)
	if magpie == "" {
		magpie = "magpie"
	}
	args := []string{"show", "-json"}
	if a.config != "" {
		args = append(args, "-config", a.config)
	}
	cmd := exec.Command(magpie, append(args, address)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if said.Len() > 0 {
			return fmt.Errorf("%s is not understood\n%s", address, strings.TrimSpace(said.String()))
		}
		return err
	}
	return a.shown(address, out.Bytes())
}

func (a *access) shown(address string, text []byte) error {
	var shown struct {
		Blocks []block `json:"blocks"`
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		return fmt.Errorf("what magpie shows is not understood: %w", err)
	}
	for _, b := range shown.Blocks {
		endpoints, _ := b.Attributes["endpoints"].Value.([]any)
		if b.Address != address || len(endpoints) == 0 {
			continue
		}
		if a.endpoints == "" {
			var all []string
			for _, e := range endpoints {
				all = append(all, fmt.Sprint(e))
			}
			a.endpoints = strings.Join(all, ",")
		}
		if a.user == "" {
			a.user = b.text("username")
		}
		for _, t := range b.Blocks {
			if t.Type == "tls" && a.tls.CAFile == "" && a.tls.CertFile == "" {
				a.tls.CAFile, a.tls.CertFile, a.tls.KeyFile, a.tls.ServerName = t.text("ca_file"), t.text("cert_file"), t.text("key_file"), t.text("server_name")
			}
		}
		return nil
	}
	return fmt.Errorf("%s has no endpoints: name a component of etcd", address)
}
