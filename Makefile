# make help lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
READY := $(VENV)/.ready
CONTROLPLANE = $(BIN)/ctxscaffold controlplane

export GOFLAGS ?= -buildvcs=false

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-12s %s\n", $$1, $$2 }'

$(READY): pyproject.toml
	@command -v go >/dev/null || { echo "Go 1.26 or later is needed: https://go.dev/dl" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: setup
setup: $(READY) ## make .venv with ctxscaffold in it

.PHONY: demo
demo: $(READY) ## an operator from a CRD, built and run on a real API server
	$(BIN)/ctxscaffold demo

.PHONY: test
test: $(READY) ## every test, Python's and Go's, on a real API server
	$(CONTROLPLANE) build
	$(BIN)/python -m pytest $(PYTEST)

.PHONY: lint
lint: $(READY) ## black, ruff, mypy; gofmt, vet and golangci-lint on the Go
	$(BIN)/black --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m tests.golint

.PHONY: golden
golden: $(READY) ## rewrite examples/*/golden, and keep the skeleton they are made of
	$(BIN)/python -m tests.skeletons
	$(BIN)/python -m tests.golden

.PHONY: mutate
mutate: $(READY) ## remove each guard of the runtime in turn: its test must fail
	$(BIN)/python -m tests.mutate

.PHONY: bench
bench: $(READY) ## beside the peers, in one run; writes docs/generation.md, runtime.md, observability-cost.md and noisy-neighbour.md
	$(BIN)/python -m benchmarks.generate --page docs/generation.md
	$(BIN)/python -m benchmarks.runtime --page docs/runtime.md
	$(BIN)/python -m benchmarks.observation --page docs/observability-cost.md
	$(BIN)/python -m benchmarks.neighbours --page docs/noisy-neighbour.md

.PHONY: soak
soak: $(READY) ## what make test does once, many times over; writes docs/leadership.md and staleness.md
	$(BIN)/python -m benchmarks.leadership --page docs/leadership.md
	$(BIN)/python -m benchmarks.staleness --page docs/staleness.md
	CONFORMANCE_LAG=0s,10ms,50ms,200ms,1s $(BIN)/python -m pytest tests/test_emitted.py -k own_tests_pass_on_a_real_api_server
	WORKFLOW=long UPDATE=long ENVIRONMENT=all NAMES=20 MUTANTS=all $(BIN)/python -m pytest tests/test_workflow.py tests/test_update.py \
		tests/test_environment.py tests/test_names_compile.py tests/crd/test_mutants.py
	WALKS=20 WALK_STEPS=10 WALK_GO=1 $(BIN)/python -m pytest tests/test_walks.py
	cd templates/runtime && go test -count=20 -timeout=1h -run 'TestTenThousandCycles|TestManyRuns' ./reconciler ./manager
	cd templates/runtime && KUBEBUILDER_ASSETS=$$($(CONTROLPLANE) assets) \
		go test -count=10 -timeout=1h -race -tags=integration -run 'Shutdown|SIGTERM|Watch|Superseded' ./integration
	cd templates/runtime && KUBEBUILDER_ASSETS=$$($(CONTROLPLANE) assets) \
		go test -timeout=1h -tags=integration -run TestNotOneOver ./integration/quota -races=1000

.PHONY: corpus
corpus: $(READY) ## every check on CORPUS=<folder or archive>, else on CRDs of public Go modules
	$(BIN)/python -m tests.crd.corpus $(CORPUS) --json $(or $(JSON),corpus.json) $(if $(CORPUS),,--peers --page docs/fidelity.md)

.PHONY: fuzz
fuzz: $(READY) ## every check on random CRDs, for as long as you like: make fuzz COUNT=5000
	$(BIN)/python -m tests.crd.fuzz --count $(or $(COUNT),500)

.PHONY: fuzz-http
fuzz-http: $(READY) ## requests made of the HTTP API's description, SECONDS long while leading and while not
	$(BIN)/python -m tests.httpfuzz --seconds $(or $(SECONDS),300)

.PHONY: clean
clean: ## remove what the targets made here; the caches stay
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
