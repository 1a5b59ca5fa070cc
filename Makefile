# Magpie. `make run` builds and starts it; `make test` installs what the tests need and runs them.
GO      ?= go
FLAGS   := -trimpath -tags grpcnotrace -ldflags "-s -w"
PLUGINS := $(filter-out internal,$(notdir $(wildcard plugins/*)))
BINS    := $(addprefix bin/plugins/,$(PLUGINS))
ETCDS   := $(addprefix bin/etcd-,$(notdir $(wildcard examples/03-etcd-demo/versions/*)))
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: run build verify test check race fuzz bench soak etcds gen deps demo-etcd clean ui $(BINS) bin/magpie

run: build
	bin/magpie run

build: bin/magpie $(BINS)
	@echo "built bin/magpie and $(words $(PLUGINS)) plugins"

bin/magpie:
	@echo "building the daemon (a first build compiles its dependencies too: some minutes in all)"
	@$(GO) build $(FLAGS) -o $@ ./daemon

$(BINS): bin/plugins/%:
	@echo "building plugin $*"
	@$(GO) build $(FLAGS) -o $@ ./plugins/$*

# The reports of magpie plugin verify, beside the binaries: plugin list and the console show them. Some minutes.
verify: build
	@for p in $(filter-out magpie-%,$(PLUGINS)); do \
		bin/magpie plugin verify -o bin/plugins/$$p.verify.json plugins/$$p >bin/verify.out || { cat bin/verify.out; exit 1; }; \
		grep ' ok, ' bin/verify.out; done

# What the tests run against: real peers and a real browser, from the machine's package manager. None of them is started as a
# service: where nothing forbids that yet, policy-rc.d does while they are installed.
deps:
	@missing=""; \
	command -v prometheus >/dev/null && command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v prometheus-alertmanager >/dev/null || missing="$$missing prometheus-alertmanager"; \
	command -v prometheus-node-exporter >/dev/null || missing="$$missing prometheus-node-exporter"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v etcd >/dev/null || missing="$$missing etcd-server"; \
	command -v etcdctl >/dev/null || missing="$$missing etcd-client"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	command -v carbon-c-relay >/dev/null || missing="$$missing carbon-c-relay"; \
	/usr/bin/python3 -c "import grpc, google.protobuf, venv, ensurepip, setuptools, wheel" 2>/dev/null || \
		missing="$$missing python3 python3-venv python3-grpcio python3-protobuf python3-setuptools python3-wheel"; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; \
	policy=/usr/sbin/policy-rc.d; if [ -e $$policy ]; then policy=; else printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $$policy >/dev/null && $(SUDO) chmod 755 $$policy; fi; \
	trap 'test -z "$$policy" || $(SUDO) rm -f $$policy' EXIT; \
	$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi

test: deps build
	cd sdk && $(GO) test ./...
	$(GO) test -count=1 -timeout 20m ./...

race: deps build
	cd sdk && $(GO) test -race ./...
	$(GO) test -race -count=1 -timeout 40m ./...

check:
	.ci/check

# A cluster of etcd to break and to repair, and Magpie that watches it: make demo-etcd SCRIPT="pause-leader; wait etcdMembersDown; repair"
SCRIPT ?=
demo-etcd: build
	@$(GO) build $(FLAGS) -o bin/etcd-demo ./examples/03-etcd-demo
	@bin/etcd-demo -script "$(SCRIPT)"

# Each fuzz target for a while: make fuzz TIME=5m
TIME ?= 30s
fuzz:
	.ci/fuzz $(TIME)

bench: build
	.ci/bench

# The fault runs at full length: hours.
soak: build etcds
	.ci/soak

# etcd of the versions between the one that is linked in and Debian's, by way of Go's modules: some minutes the first time.
etcds: $(ETCDS)

$(ETCDS): bin/etcd-%: examples/03-etcd-demo/versions/%/go.mod
	@echo "building etcd $*"
	@cd $(<D) && $(GO) build $(FLAGS) -o $(CURDIR)/$@ go.etcd.io/etcd/server/v3

# Generated code and the plugins' manuals.
gen:
	$(GO) run $(FLAGS) ./daemon/internal/gen sdk/wire magpie.proto protoc-gen-go protoc-gen-go-grpc
	$(GO) run $(FLAGS) ./daemon/internal/gen -python sdk/wire magpie.proto sdk/python/magpie/_descriptor.py
	$(GO) run $(FLAGS) ./daemon/internal/gen daemon/internal/api/control control.proto protoc-gen-go protoc-gen-connect-go
	$(GO) run $(FLAGS) ./daemon/internal/gen -readme $(PLUGINS)

# The console's page, for those who change it: needs Node.
ui:
	cd plugins/console/ui && npm ci --no-audit --no-fund && npm run build

clean:
	rm -rf bin
