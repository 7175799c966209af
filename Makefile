# onefiveten: `make demo` breaks a real service and heals it, `make test` proves the rest.
# Needs Go 1.26, git and make; `make test` also gcc, and apt-get (Debian) for the older generation
# of Prometheus and Alertmanager, and for iproute2 where it is missing. What is built or fetched lies in .cache/, which git ignores.

SHELL    := /bin/bash
FAULT    ?= crash
KEEP     ?=
STACK    ?=
BIN      := bin
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w \
	-X github.com/prometheus/common/version.Version=$(VERSION) \
	-X github.com/prometheus/common/version.Revision=$(shell git rev-parse HEAD 2>/dev/null) \
	-X github.com/prometheus/common/version.Branch=$(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
FUZZTIME ?= 10s
SPEC     ?= docs/examples/probe-exporter.yml
OUT      ?= .cache/rules

# Go keeps its caches in the home folder. Where there is none, or it cannot be written, they lie
# in .cache/, too; the modules there can be removed like any other file.
writable = $(shell d='$(1)'; [ "$${d:0:1}" = / ] && mkdir -p "$$d" 2>/dev/null && [ -w "$$d" ] && echo yes)
ifneq ($(call writable,$(shell go env GOCACHE 2>/dev/null)),yes)
export GOCACHE := $(CURDIR)/.cache/go-build
export STATICCHECK_CACHE := $(CURDIR)/.cache/staticcheck
endif
ifneq ($(call writable,$(shell go env GOMODCACHE 2>/dev/null)),yes)
export GOMODCACHE := $(CURDIR)/.cache/go-mod
export GOFLAGS := $(shell go env GOFLAGS 2>/dev/null) -modcacherw
endif

.DEFAULT_GOAL := help
.PHONY: help build test unit iproute stack e2e lint rules demo bench fuzz

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo FAULT=crash|all-nodes|observer|all   KEEP=1 leaves the stack up   STACK=build ignores PATH, STACK=debian takes Debian's packages"

build: ## both binaries into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/probe-exporter ./cmd/heal-receiver

test: lint unit stack e2e ## everything: lint, unit tests with the race detector, real Prometheus and Alertmanager
	@echo "make test: all passed"

unit: iproute ## the tests that need no other server
	go test -race ./...

iproute:
	@command -v ip >/dev/null || { echo "tests of pings make network namespaces with ip(8): installing Debian's iproute2"; \
		apt-get install -y --no-install-recommends iproute2 || { apt-get update && apt-get install -y --no-install-recommends iproute2; }; }

stack: ## build or fetch the real Prometheus, Alertmanager, promtool and amtool of both generations, and blackbox_exporter
	cd demo && go run ./stack/cmd --which=build,debian

e2e: stack ## rules through promtool, the route through amtool, the whole way on real servers
	cd demo && go test -race ./...
	cd e2e && go test -count=1 -timeout 20m -p 4 -parallel 8 ./...

lint: .cache/tools/staticcheck ## gofmt, go vet and staticcheck over every module; golangci-lint too where it is on PATH
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	@for m in . demo e2e; do echo "vet and staticcheck: $$m"; (cd $$m && go vet ./... && "$(CURDIR)/.cache/tools/staticcheck" ./...) || exit 1; done
	@if command -v golangci-lint >/dev/null; then golangci-lint run ./...; else echo "golangci-lint is not on PATH: .golangci.yml was not applied"; fi

.cache/tools/staticcheck: tools/staticcheck/go.mod
	cd tools/staticcheck && go build -o ../../$@ honnef.co/go/tools/cmd/staticcheck

rules: build ## write the rules, their tests and the route of SPEC into OUT
	$(BIN)/probe-exporter rules --config.file=$(SPEC) --output.dir=$(OUT)

demo: ## break a real service and watch it heal
	@cd demo && go build -o ../.cache/demo/bin/demo . && cd .. && FAULT='$(FAULT)' KEEP='$(KEEP)' STACK='$(STACK)' exec .cache/demo/bin/demo

bench: ## beside the real blackbox_exporter and Prometheus, what rules cost, faults against their bound, the Numenta benchmark, false faults, replays, then every room by itself
	cd e2e && go run ./bench
	go test -run '^$$' -bench . -skip '^BenchmarkScrape$$' -benchmem -benchtime 100ms ./sigma ./collector ./probe ./promapi ./backtest ./rules ./healer/journal

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
		echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg; done; done
