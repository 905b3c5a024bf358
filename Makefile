# hindcast. `make help` lists the targets. Building and testing need Go alone: the
# kernel objects are committed. Only `make generate` needs clang.

GO            ?= go
STATICCHECK   := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# staticcheck's defaults, but a sentinel may be called Stop, as fs.SkipAll is.
CHECKS        := all,-ST1000,-ST1003,-ST1012,-ST1016,-ST1020,-ST1021,-ST1022
CLANG_VERSION := 19
VERSION       := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BUILDFLAGS    := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
FUZZTIME      ?= 20s
# Stock kernels that the kernel tests run on under QEMU, and where they and their logs are kept.
KERNELS       ?= 5.10 6.1 6.12 sid
VMLOGS        := $(or $(HINDCAST_VM_CACHE),.cache/vm)
# Packages whose tests record this kernel: one at a time, a flood in one is a flood for all.
KERNEL        := ^hindcast/(bpf|recorder|cmd)(/|$$)
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := build

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## static bin/hindcast with the version from git
	$(GO) build $(BUILDFLAGS) -o bin/hindcast ./cmd/hindcast

.PHONY: demo
demo: build ## record a harmless incident live and ask what happened (root)
	testdata/demo/show.sh bin/hindcast

.PHONY: demo-capture
demo-capture: build ## record testdata/demo.hind anew (root)
	testdata/demo/capture.sh bin/hindcast testdata/demo.hind

.PHONY: test
test: ## every test that can run here; kernel tests need root and say so
	@[ "$$(id -u)" = 0 ] || echo 'not root: tests that load kernel programs or record are skipped'
	$(GO) test -timeout 20m $$($(GO) list ./... | grep -vE '$(KERNEL)')
	$(GO) test -timeout 20m -p 1 $$($(GO) list ./... | grep -E '$(KERNEL)')

.PHONY: race
race: ## the offline half under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./format/... ./replay/... ./query/...

.PHONY: bench
bench: build ## what recording costs, hindcast beside its rivals (root, about half an hour; BENCH='-only open,auditd' for a part)
	recorder/bench/install.sh
	$(GO) build -o .cache/bench ./recorder/bench
	.cache/bench -hindcast bin/hindcast -results recorder/bench/results $(BENCH)

.PHONY: bench-quick
bench-quick: build ## the same in four minutes: fewer windows, main rows (root)
	recorder/bench/install.sh
	$(GO) build -o .cache/bench ./recorder/bench
	.cache/bench -quick -hindcast bin/hindcast $(BENCH)

.PHONY: evasion
evasion: build ## evasions under hindcast and, where it is installed, auditd: who saw what (root)
	$(GO) build -o .cache/evasion/ ./testdata/evasion/...
	.cache/evasion/compare bin/hindcast .cache/evasion/tricks >.cache/evasion/RESULTS.md; e=$$?; \
		cat .cache/evasion/RESULTS.md; cp .cache/evasion/RESULTS.md testdata/evasion/RESULTS.md; exit $$e

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, import rules
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted" >&2; exit 1; }
	$(GO) vet ./... ./testdata/demo/... ./testdata/storm ./testdata/oracle ./testdata/evasion/...
	$(GO) run $(STATICCHECK) -checks $(CHECKS) ./... ./testdata/demo/... ./testdata/storm ./testdata/oracle ./testdata/evasion/...
	$(GO) test -count=1 -run 'TestImports' ./cmd/hindcast

.PHONY: clang
clang: # installs the pinned compiler on Debian when it is missing and we may
	@command -v clang-$(CLANG_VERSION) >/dev/null && command -v llvm-strip-$(CLANG_VERSION) >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
			echo 'clang-$(CLANG_VERSION) and llvm-$(CLANG_VERSION) are needed to generate kernel objects' >&2; exit 1; }; \
		apt-get -qq update && apt-get -qq install -y --no-install-recommends clang-$(CLANG_VERSION) llvm-$(CLANG_VERSION) libbpf-dev; }

.PHONY: generate
generate: clang ## kernel objects (clang), headers, decoders and docs anew
	$(GO) generate ./...
	CLANG=clang-$(CLANG_VERSION) STRIP=llvm-strip-$(CLANG_VERSION) bpf/generate.sh

.PHONY: generate-check
generate-check: generate ## fail when generated files are not current
	@changed=$$(git status --porcelain -- '*_gen.go' '*_gen.h' '*.o' format/event/schema.lock format/docs); \
		[ -z "$$changed" ] || { echo "generated files are not current:" >&2; echo "$$changed" >&2; exit 1; }

.PHONY: cross
cross: ## the analysis half for darwin and windows
	for t in darwin/amd64 darwin/arm64 windows/amd64 linux/arm64; do \
		echo $$t; GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -o .cache/cross/ ./format/... ./replay/... ./query/... ./cmd/hindcast || exit 1; done

.PHONY: interop
interop: build ## record, and read the store with independent Arrow readers from npm (root)
	rm -rf .cache/interop && mkdir -p .cache/interop
	bin/hindcast record -w .cache/interop/store -- testdata/demo/run.sh .cache/interop/run
	format/testkit/interop/run.sh .cache/interop/store

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

.PHONY: vmtest
vmtest: ## kernel tests on stock Debian kernels in QEMU and here, and the table of them (root, Debian, hours of emulation)
	bpf/kerntest/vm/run.sh $(KERNELS)
	{ echo "kernel $$(uname -r | cut -d. -f1,2)-native"; $(GO) test -count=1 -v ./bpf/kerntest; } >$(VMLOGS)/native.log || { tail -30 $(VMLOGS)/native.log; exit 1; }
	$(GO) run ./recorder/probe/kernels $(KERNELS:%=$(VMLOGS)/%.log) $(VMLOGS)/native.log >bpf/docs/kernels.md.new
	mv bpf/docs/kernels.md.new bpf/docs/kernels.md

.PHONY: nightly
nightly: ## hours: long fuzzing, kernel tests and the storm again and again
	$(MAKE) fuzz FUZZTIME=10m
	$(GO) test -timeout 2h -count=10 -run 'TestStorm|TestDemo' ./cmd/hindcast
	for s in 1 2 3 4 5 6 7 8 9 10; do HINDCAST_ORACLE_SEED=$$s $(GO) test -timeout 2h -count=1 -run TestRandomProgram ./cmd/hindcast || exit 1; done
	$(GO) test -timeout 2h -count=10 ./bpf/... ./recorder/...
	HINDCAST_NIGHTLY=1 $(GO) test -timeout 2h -count=1 -run "Killed|Gaps|Stopped|Flood|Tampering" ./recorder
	$(MAKE) race
	$(MAKE) vmtest

.PHONY: clean
clean: ## remove what make made
	rm -rf bin .cache
