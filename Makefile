# All commands for developers. `make run` and `make test` need only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes
ADDRESS ?= 127.0.0.1
PORT ?= 8000
POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/tollgate
MARIADB_URL ?= mysql://root@127.0.0.1:3306/tollgate
PYTEST := $(BIN)/pytest
PY := git ls-files -co --exclude-standard '*.py'

.PHONY: run test test-dates test-databases test-postgresql test-mariadb test-browser proof chaos lint format audit bench shots venv venv-all lock password clean

run: $(VENV)/.run var/secret_key ## Run the service with demo data on http://127.0.0.1:8000
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py seed_demo
	@$(BIN)/python manage.py ensure_admin --address http://$(ADDRESS):$(PORT)
	@$(BIN)/python manage.py run_jobs --loop & jobs=$$!; trap "kill $$jobs 2>/dev/null" EXIT; trap exit INT TERM; \
	  $(BIN)/granian --interface wsgi --host $(ADDRESS) --port $(PORT) --workers 1 --blocking-threads 4 --workers-kill-timeout 5 --no-ws config.wsgi:application

test: venv ## Run the tests on SQLite, in two processes
	$(PYTEST) -q -n 2

# A leap year's last second of February, the last day of a year, and a day of which Europe skips an hour.
DATES ?= 2028-02-29T23:59:59 2026-12-31 2027-03-28
test-dates: venv ## What runs in this process and has no date of its own, at each of DATES, in two processes
	@for date in $(DATES); do echo "== $$date"; $(PYTEST) -q -n 2 -m "not real_clock and not frozen_at and not source" --today $$date || exit 1; done

test-databases: venv-all ## Run the tests on PostgreSQL and MariaDB in parallel; fails if a server is missing
	@$(MAKE) --jobs=2 --output-sync=target test-postgresql test-mariadb

test-postgresql: venv-all
	VAR_DIR=$(or $(VAR_DIR),var)/postgresql DATABASE_URL=$(POSTGRES_URL) $(PYTEST) -q -m "not source and not no_database"

test-mariadb: venv-all
	VAR_DIR=$(or $(VAR_DIR),var)/mariadb DATABASE_URL=$(MARIADB_URL) $(PYTEST) -q -m "not source and not no_database"

test-browser: venv-all ## Run the page tests in Chromium; fails if it is missing
	$(PYTEST) -q -m browser tests/browser

CHAOS_SECONDS ?= 600
CHAOS := CHAOS_SECONDS=$(CHAOS_SECONDS) $(PYTEST) -q -s tests/proof/test_chaos.py

proof: venv-all ## Run tests/proof with 1,000 examples per state machine, then ten minutes of chaos on each database
	PROOF_EXAMPLES=1000 $(PYTEST) -q tests/proof
	$(MAKE) chaos

chaos: venv-all ## Everything at once, killed at random: CHAOS_SECONDS on SQLite, PostgreSQL, PgBouncer and MariaDB
	$(CHAOS)
	DATABASE_URL=$(POSTGRES_URL) $(CHAOS)
	CHAOS_POOLER=transaction DATABASE_URL=$(POSTGRES_URL) $(CHAOS)
	DATABASE_URL=$(MARIADB_URL) $(CHAOS)

lint: venv-all ## Run all linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/typos
	$(PY) | xargs $(BIN)/django-upgrade --target-version 5.2 --check
	git ls-files -co --exclude-standard 'templates/*.html' | xargs -r $(BIN)/djade --target-version 5.2 --check
	SECRET_KEY=lint $(BIN)/python manage.py makemigrations --check --dry-run

format: venv-all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files -co --exclude-standard 'templates/*.html' | xargs -r $(BIN)/djade --target-version 5.2

audit: venv-all ## Check the locked packages for known vulnerabilities; needs the network
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements-all.lock

bench: venv-all ## Measure the ratios of targets.md; CHECK=1 fails if a target is missed
	$(BIN)/python -m bench $(if $(CHECK),--check)

shots: venv-all ## Write a PNG of every page to shots/, at both widths and in both themes
	$(BIN)/python -m bench.shots

password: $(VENV)/.run ## Set a new password for the admin user of `make run`
	@$(BIN)/python manage.py ensure_admin --new-password --address http://$(ADDRESS):$(PORT)

venv: $(VENV)/.dev ## Create .venv with what the tests need
venv-all: $(VENV)/.all ## Create .venv with the browser and database clients as well

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
$(VENV)/.run: requirements.lock | $(BIN)/python
	$(PIP) -r requirements.lock
	@touch $@
$(VENV)/.dev: requirements-dev.lock | $(BIN)/python
	$(PIP) -r requirements-dev.lock
	@touch $@ $(VENV)/.run
$(VENV)/.all: requirements-all.lock | $(BIN)/python
	$(PIP) -r requirements-all.lock
	@touch $@ $(VENV)/.dev $(VENV)/.run

var/secret_key:
	@mkdir -p var && umask 077 && $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(50))' > $@

LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet
lock: ## Rebuild the three lock files (needs uv)
	$(LOCK) -o requirements.lock
	$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock
	$(LOCK) --group dev --group browser --group bench --all-extras -c requirements-dev.lock -o requirements-all.lock

clean:
	rm -rf $(VENV) var/static .mypy_cache .ruff_cache .pytest_cache shots
