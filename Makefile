# Ananas needs Go and make. `make help` lists the targets.
export CGO_ENABLED = 0
GO       ?= go
FUZZTIME ?= 10m
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   = -s -w -X main.version=$(VERSION)

.PHONY: help build run test race fuzz bench chaos-store bench-cold bench-validate diff-peers bench-attack bench-hostile bench-memory bench-cached soak lint check gen clean bench-store bench-modules bench-swap

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/ananas
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ananas ./cmd/ananas

run: build ## a node on an internet of its own: dig @127.0.0.1 -p 5335 www.example.com
	./bin/ananas lab

test: ## every test; as root on Debian it installs the peers of the interoperability tests first
	@./test/run

race: ## the tests under the race detector, arenas on the Go heap; needs cgo and a C compiler
	@command -v $${CC:-gcc} >/dev/null || { echo "make race: the race detector needs cgo and a C compiler: apt-get install gcc" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) test -race -tags heaparena ./...

fuzz: ## each fuzz target for FUZZTIME (10m)
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "== $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$package || exit 1; \
		done; \
	done

bench: ## Go benchmarks of all packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-cold: build ## cold resolution beside Unbound on the same lab (root; Debian's unbound)
	$(GO) run ./test/bench/cold

bench-validate: build ## cold validated resolution beside Unbound, zones signed by 13, 15 and 8 (root; Debian's unbound, gcc)
	$(GO) run ./test/bench/cold -validate -seeds 3

diff-peers: build ## 10,000 answers beside Unbound's and PowerDNS Recursor's, all validating (root; Debian's unbound, pdns-recursor, gcc)
	$(GO) run ./test/bench/diff

bench-attack: build ## random names under a zone that drops, beside Unbound (root; Debian's unbound)
	$(GO) run ./test/bench/attack

soak: ## 30 minutes of everything at once, under the race detector and without (gcc)
	CGO_ENABLED=1 $(GO) run -race -tags heaparena ./test/soak -growth=false
	$(GO) run ./test/soak

chaos-store: ## break a store while it is written to: 1,000 seeded runs of its protocol in one process, then 50 of real processes and etcd (root, Linux, iproute2)
	$(GO) test ./test/chaos -run Model -runs 1000 -timeout 60m
	$(GO) run ./test/chaos/process -runs 50

bench-hostile: build ## what zones that are made to cost take a validator, beside Unbound; fails above its bounds (root; Debian's unbound)
	$(GO) run ./test/bench/hostile

bench-memory: build ## octets per cached name, beside Unbound (root; Debian's unbound)
	$(GO) run ./test/bench/memory

bench-cached: ## cached answers beside five of Debian's servers, as tables and docs/bench-cached.svg (root; installs them on Debian)
	./test/install-peers cached
	$(GO) run ./test/bench/cached -chart docs/bench-cached.svg -json bin/bench-cached.json \
	  -spin-set node.listen.spin=200us -spin-set node.listen.loops=1 -two-set node.listen.loops=2 $(BENCHFLAGS)

bench-store: build ## the store: reads, the way of a commit to 100 nodes and to 10,000 simulated ones, cold copies, commits (Linux; 8 minutes)
	$(GO) run ./test/bench/store $(BENCHFLAGS)

bench-modules: ## what modules cost a query, the same policy beside four of Debian's servers and CoreDNS, and what hostile modules come to (root; installs the servers on Debian, and builds CoreDNS; 20 minutes)
	./test/install-peers cached
	./test/install-peers go
	$(GO) run ./test/bench/modules $(BENCHFLAGS)

bench-swap: build ## from a push of a module to its verdict on a root and three followers that are asked all the time (Linux; half a minute)
	$(GO) run ./test/bench/swap $(BENCHFLAGS)

lint: ## gofmt, vet for Linux and macOS, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) tool staticcheck ./...

check: lint test ## what a change has to pass

gen: ## make generated files anew
	$(GO) generate ./...

clean: ## remove what was built
	rm -rf bin dist
