# The developer's menu. `make` alone prints it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

export DOTNET_NOLOGO := 1
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export TESTINGPLATFORM_TELEMETRY_OPTOUT := 1

CONFIGURATION := Release
# What a program is made of: its own project, the two leaves and what both have of the command line.  Directories too: a file that went away changes nothing else.
sources = $(shell find src/Config src/Linux src/CommandLine src/$(1) Directory.*.props global.json \( -name bin -o -name obj \) -prune -o -print) scripts/publish

.PHONY: help
help: ## Print this menu
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: out/keepalive-agent out/keepalive-sim ## Show the agent at work on real sockets, in under a minute; needs no root and no package
	out/keepalive-sim demo

.PHONY: deps
deps: ## Install what the programs use of the system, where it is missing
	@scripts/deps programs

.PHONY: deps-test
deps-test: ## Install what only the tests use, where it is missing
	@scripts/deps tests

.PHONY: build
build: out/keepalive-agent out/keepalive-sim ## Build both programs into out/

out/keepalive-agent: $(call sources,Agent)
	@scripts/publish Agent $(CONFIGURATION)
	@touch $@

out/keepalive-sim: $(call sources,Simulator)
	@scripts/publish Simulator $(CONFIGURATION)
	@touch $@

.PHONY: image
image: ## Build the container image of both programs, keepalive-agent:VERSION
	docker build --tag keepalive-agent:0.1.0 .

.PHONY: test
test: deps deps-test build ## Run every test; those that need root and network namespaces are skipped without
	@scripts/test $(CONFIGURATION)

.PHONY: lint
lint: ## Check formatting, code style and the tree
	@scripts/lint

.PHONY: bench
bench: deps deps-test build ## Measure against the targets; ARGS are handed on
	dotnet run --project tests/Benchmarks --configuration $(CONFIGURATION) -- $(ARGS)

.PHONY: clean
clean: ## Remove everything built
	rm -rf out artifacts TestResults
	find src tests \( -name bin -o -name obj \) -type d -prune -exec rm -rf {} +
