# Evenhand. `make run` starts everything; `make help` lists the rest.

PY ?= python3
# Used when it is there and works, never downloaded; asked for in recipes only, so that a warm start does not wait for it.
UV ?= $(shell uv --version >/dev/null 2>&1 && echo uv)
ARGS ?=
BIN := .venv/bin

# So that "first page after … s" can count the installation too.
export EVENHAND_STARTED_AT := $(shell date +%s)

.DEFAULT_GOAL := help
.PHONY: run test check bench bench-peer calibrate simulate levels metamorphic sequences fuzz words migrations lock clean-data help

run: .venv/.ok  ## start Evenhand with demonstration data (ARGS="--port 9000" for another port)
	@exec $(BIN)/python manage.py up $(ARGS)

test: .venv/.ok-test  ## run the tests on throw-away servers (ARGS="-k promise" for some of them)
	$(BIN)/python -m pytest $(ARGS)

check: .venv/.ok-test  ## style, types, import contracts, missing migrations, Django's own checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check

bench: .venv/.ok-test  ## measure; the results go to bench.json
	$(BIN)/python -m tests.bench $(ARGS)

bench-peer:  ## install django-helpdesk 2.6 into .peer, an environment of its own, so that make bench measures it too
	$(PY) -m venv .peer
	.peer/bin/python -m pip install --quiet "django-helpdesk==2.6.0" "psycopg[binary]"

calibrate: .venv/.ok-test  ## simulate how often the parity report is wrong (ARGS="--help" says what can be chosen)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.calibrate $(ARGS)

simulate: .venv/.ok-test  ## play the same people through several orders of the queue; renews its section in docs/policy.md
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.simulate $(ARGS)

levels: .venv/.ok-test  ## play half-years in which somebody favours a channel; renews its section in docs/parity.md
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.simulate.levels $(ARGS)

metamorphic: .venv/.ok-test  ## 100,000 random stories per promise: the channel, the audience and the tone change nothing
	EVENHAND_STORIES=100000 $(BIN)/python -m pytest --timeout=7200 -m metamorphic $(ARGS)

sequences: .venv/.ok-test  ## 10,000 random stories of records made one, taken apart and parted: nothing is lost or earned
	EVENHAND_SEQUENCES=10000 $(BIN)/python -m pytest --timeout=7200 -n 2 -s tests/recovery/test_sequences.py $(ARGS)

words: .venv/.ok-test  ## bring the catalogues of what customers read in line with the source, and compile them
	$(BIN)/python -m tests.words

fuzz: .venv/.ok-test  ## read 100,000 spoilt mails and say whether one crashed, got stuck or was lost (ARGS="--seed 2")
	$(BIN)/python -m tests.fuzz $(ARGS)

migrations: .venv/.ok  ## write migrations for changed models
	$(BIN)/python manage.py makemigrations

lock:  ## renew requirements.txt and requirements-dev.txt from the .in files (needs uv)
	@uv --version >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements.in -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes -q requirements-dev.in -o requirements-dev.txt

clean-data: .venv/.ok  ## delete the database and everything else under .data
	@$(BIN)/python -m evenhand.embedded.clean

help:  ## list what make can do here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A stamp is written last, so that an interrupted installation is taken up again.
.venv/.ok: requirements.txt | .venv/bin/python
	@echo "Installing what Evenhand runs on …"
	@$(call install,requirements.txt)
	@touch $@

.venv/.ok-test: requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "Installing what the tests and checks need …"
	@$(call install,requirements-dev.txt)
	@touch .venv/.ok $@

.venv/bin/python:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Evenhand needs Python 3.11 or newer; name one, for example: make run PY=python3.12" >&2; exit 1; }
	@uv="$(UV)"; if [ -n "$$uv" ]; then \
		$$uv venv --quiet --allow-existing --no-python-downloads .venv \
			--python "$$($(PY) -c 'import sys; print(sys.executable)')"; \
	elif $(PY) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(PY) -m venv .venv; \
	else \
		echo "This Python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; \
	fi

# uv leaves byte code to the first start unless told, and then every start pays where writing it is switched off.
install = uv="$(UV)"; if [ -n "$$uv" ]; then \
		$$uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r $(1); \
	else \
		{ $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; } && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r $(1); \
	fi
