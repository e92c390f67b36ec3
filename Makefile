# Each door runs one script; the scripts do the work. `make` alone lists the doors.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help up down shell test check e2e schemathesis bench chaos build package

help: ## list the doors
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## set up, build, start the server and three demo hosts; Ctrl-C stops (DETACH=1 returns, VOLTAXE_PORT=8080)
	@scripts/setup.sh run
	@scripts/build.sh
	@scripts/demo.sh up

down: ## stop what `make up` started and remove its network (PURGE=1 deletes its data too)
	@scripts/demo.sh down

shell: ## open a shell on a demo host: make shell HOST=web-01 [CMD='nft list ruleset']
	@scripts/demo.sh shell '$(or $(HOST),web-01)' $(if $(CMD),'$(subst ','\'',$(CMD))')

test: ## run every test, with real agents in network namespaces and a real browser
	@scripts/test.sh

check: ## formatting, lints, and the arrows between crates
	@scripts/check.sh

e2e: ## only the browser tests: make e2e [ARGS='-g isolate']
	@scripts/setup.sh test
	@scripts/build.sh
	@scripts/e2e.sh $(ARGS)

schemathesis: ## over 10,000 requests made from the API's description, with a token of each role (ARGS=short: half of them)
	@scripts/setup.sh test
	@scripts/build.sh
	@scripts/schemathesis.sh $(ARGS)

bench: ## delivery's figures and the click, beside floors of the same run, about 25 minutes (ARGS='click polls': only these)
	@scripts/bench.sh $(ARGS)

chaos: ## kill, cut, fill and replay everything that can be, about 15 minutes; prints a table
	@scripts/chaos.sh

build: ## release build of the server with its pages, and of the agent
	@scripts/setup.sh run
	@scripts/build.sh

package: ## the agent as deb, rpm and tar for x86_64 and aarch64, into target/packages (static; about 5 minutes the first time)
	@scripts/package.sh
