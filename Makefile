# Everything a newcomer needs: `make run` shows the engine at work, `make test` is the whole gate.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
EXTRAS ?= test,check
RUN_ARGS ?= --config-file etc/congress-dse.conf --watch host:processes

.PHONY: run test lint types floors tests test-portable test-openstack bench sample clean browser

$(BIN)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "congress_dse needs Python 3.11 or later; name it: make PYTHON=python3.12 run"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@

run: $(BIN)/installed
	@# At a terminal the engine gets a process group of its own: Ctrl-C is for it alone, and its
	@# exit code is that of `make`, which would else die of the signal before the engine has stopped.
	@if [ -t 0 ]; then set -m; fi; $(BIN)/congress-dse serve $(RUN_ARGS)

test: lint types floors tests

lint: $(BIN)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/installed
	$(BIN)/mypy

floors: $(BIN)/installed
	$(BIN)/lint-imports

tests: $(BIN)/installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The dashboard's tests need a Chromium: that of the distribution for root, else Playwright's own.
browser: $(BIN)/installed
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		chromium fonts-dejavu-core >/dev/null; } || \
		$(BIN)/playwright install chromium || \
		echo "there is no Chromium to be had: the tests of the dashboard are skipped" >&2

test-portable: $(BIN)/installed
	CONGRESS_DSE_PORTABLE=1 $(BIN)/python -m pytest tests/process $(PYTEST_ARGS)

test-openstack: $(BIN)/installed
	CONGRESS_DSE_OPENSTACK_ALL=1 \
	$(BIN)/python -m pytest tests/openstack tests/datasources/test_openstack_drivers.py $(PYTEST_ARGS)

bench: $(BIN)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

sample: $(BIN)/installed
	$(BIN)/oslo-config-generator --namespace congress_dse --output-file etc/congress-dse.conf.sample

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
