# The developer's menu. `make` alone prints it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:

export DOTNET_NOLOGO := 1
export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export TESTINGPLATFORM_TELEMETRY_OPTOUT := 1

CONFIGURATION := Release

.PHONY: help
help: ## Print this menu
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name what; do printf '  make %-13s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: ## Show the agent at work on real sockets, in under a minute; needs no root and no package
	@scripts/build any $(CONFIGURATION)
	out/keepalive-sim demo --report out/demo.html

.PHONY: deps
deps: ## Install what building and running the programs needs, where it is missing
	@scripts/deps programs

.PHONY: deps-test
deps-test: ## Install what only the tests use, where it is missing
	@scripts/deps tests

.PHONY: deps-kernels
deps-kernels: ## Install what only `make kernels` uses, where it is missing
	@scripts/deps kernels

.PHONY: build
build: ## Build both programs into out/ as they are shipped: one executable each
	@scripts/build ships $(CONFIGURATION)

.PHONY: quick
quick: ## Build both programs into out/ quickly; they need the .NET runtime
	@scripts/build quick $(CONFIGURATION)

.PHONY: deb
deb: build ## Make the Debian package of both programs in out/packages
	@scripts/deb

.PHONY: deps-image
deps-image: ## Install what only `make image` uses, where it is missing
	@scripts/deps image

.PHONY: image
image: build ## Build the container images of both programs, keepalive-agent:VERSION and keepalive-sim:VERSION; archives are in out/images
	@scripts/image

.PHONY: release
release: build ## Put all that a release has into out/release: package, images, chart, programs, SBOMs, checksums
	@scripts/release

.PHONY: packages
packages: deps deb ## Make the package and the images twice and compare; install, upgrade, use and purge the package in an empty root; a few minutes
	@scripts/deps image
	@scripts/deps packages
	@tests/Packages/packages

.PHONY: test
test: deps deps-test ## Build both programs as they ship, and run every test; those that need root and network namespaces are skipped without
	@scripts/test $(CONFIGURATION)

.PHONY: bare
bare: ## Run `make demo` and `make test` in an empty Debian root; a quarter of an hour
	@scripts/deps bare
	@scripts/bare

.PHONY: kernels
kernels: deps deps-kernels build ## Run the agent on other kernels, in virtual machines; ARGS are handed on (--quick, 6.1, --package FILE.deb, --help)
	@tests/Kernels/kernels $(ARGS)

.PHONY: lint
lint: ## Check formatting, code style and the tree
	@scripts/lint

.PHONY: graph
graph: ## Print which folder of each project knows which
	@dotnet build tests/EndToEnd -c $(CONFIGURATION) -v q --nologo
	@dotnet exec tests/EndToEnd/bin/$(CONFIGURATION)/net10.0/Keepalive.EndToEnd.dll -noColor -noLogo -showLiveOutput -method '*Namespaces_HaveNoCircle' | grep -E '→|Total'

.PHONY: fuzz
fuzz: deps deps-test build ## Try all random cases of the tests (SEED=N: an earlier run's), then inputs that afl-fuzz makes for each reader, ten minutes each (FUZZ_SECONDS=N)
	@scripts/deps fuzz
	@scripts/fuzz $(CONFIGURATION) $(SEED)
	@scripts/guided-fuzz $(CONFIGURATION) $(FUZZ_SECONDS)

.PHONY: browser
browser: deps deps-test build ## Open each kind of report in Chromium, in both colour schemes; pictures are in TestResults/browser
	@scripts/deps browser
	dotnet build tests/Browser --configuration $(CONFIGURATION) -v quiet --nologo
	KEEPALIVE_REQUIRE_LIVE=1 dotnet exec tests/Browser/bin/$(CONFIGURATION)/net10.0/Keepalive.Browser.dll -noColor -noLogo -showLiveOutput

.PHONY: picture
picture: browser ## Make the README's picture anew: the report of the demo
	cp TestResults/browser/demo-Light.png docs/images/demo.png

.PHONY: siege
siege: deps deps-test build ## Have ten tenants attack the agent at once, for two minutes with each datapath
	dotnet build tests/EndToEnd --configuration $(CONFIGURATION) -v quiet --nologo
	dotnet exec tests/EndToEnd/bin/$(CONFIGURATION)/net10.0/Keepalive.EndToEnd.dll -noColor -noLogo -showLiveOutput -failSkips -trait Siege=yes

.PHONY: verdicts
verdicts: deps deps-test build ## Compare the verdict about a destination with the truth for policies of up to 700 s; half an hour
	dotnet build tests/EndToEnd --configuration $(CONFIGURATION) -v quiet --nologo
	dotnet exec tests/EndToEnd/bin/$(CONFIGURATION)/net10.0/Keepalive.EndToEnd.dll -noColor -noLogo -showLiveOutput -failSkips -trait Verdicts=long

.PHONY: discover
discover: deps deps-test build ## Measure every class of the lab's balancer, timeouts of 3 and 20 s, and balancers of others; half an hour
	@echo "discover: the measurements take about 30 minutes, most of them waiting"
	dotnet build tests/Simulator.Tests --configuration $(CONFIGURATION) -v quiet --nologo
	dotnet exec tests/Simulator.Tests/bin/$(CONFIGURATION)/net10.0/Keepalive.Simulator.Tests.dll -noColor -noLogo -showLiveOutput -failSkips -trait Discover=long

.PHONY: bench
bench: deps deps-test build ## Measure against the targets; ARGS are handed on
	dotnet run --project tests/Benchmarks --configuration $(CONFIGURATION) -- $(ARGS)

.PHONY: clean
clean: ## Remove everything built
	rm -rf out artifacts TestResults tests/Tools/node_modules
	find src tests \( -name bin -o -name obj \) -type d -prune -exec rm -rf {} +
