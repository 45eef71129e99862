# Greffier: the commands a newcomer needs. `make help` lists them.
SHELL := /bin/bash
GO    ?= go
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/greffier

# Programs that only the tests need live outside the tree, so that a clean checkout does not build them again.
export GREFFIER_MINIO := $(CACHE)/bin/minio
export GREFFIER_VERSITYGW := $(CACHE)/bin/versitygw

# What shares state between goroutines is tested with the race detector.
RACE_PACKAGES := ./siprec/srs/... ./media/... ./storage/... ./audit/... ./catalog/... ./recorder/...

.PHONY: help build demo test test-race bench fuzz lint tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/greffier, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/greffier ./cmd/greffier

demo: build ## record three forked calls on this machine and show what became of them (EXIT=1 stops at the end)
	./bin/greffier demo $(if $(EXIT),--exit)

tools: ## install what the tests need and this machine lacks: Debian packages (Ceph among them), MinIO, versitygw, age
	@scripts/tools.sh

test: tools ## run every test
	@scripts/test.sh $(TESTFLAGS) ./...
	@scripts/test.sh -tags amr -run AMR ./media/codec

test-race: tools ## run the tests of the packages that share state, with the race detector
	@scripts/test.sh -race $(RACE_PACKAGES)
	@scripts/test.sh -race -run 'TwoParty|Impaired|StopEnds|Vanished|KillAnywhere|KillInTheMiddle|TLS|ThreeCalls|LateYes|PauseAndResume|Offerless|R07|R17|R23' ./cmd/greffier

bench: build ## measure the server beside three floors, six minutes (BENCH_SESSIONS=100,400 BENCH_JSON=file BENCH_PROFILE=file)
	$(foreach v,BENCH_JSON BENCH_PROFILE,$(if $($v),$v='$(abspath $($v))')) $(GO) test -tags bench -run '^TestBench$$' -count 1 -v -timeout 20m ./cmd/greffier

fuzz: ## run every fuzz target for FUZZTIME (default 10s)
	@scripts/fuzz.sh

lint: ## gofmt, go mod tidy, go vet, staticcheck
	@scripts/lint.sh

clean: ## remove what was built here
	rm -rf bin demo-data
