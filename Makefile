# Two commands set everything up by themselves, once: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,xvfb-run -a -s "-screen 0 1600x1000x24")
SYSTEM := xvfb xauth libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libdbus-1-3 libxcb-icccm4 \
	libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-xinerama0 \
	libxcb-xinput0 libxcb-xfixes0 libxcb-cursor0 libxcb-shape0

.PHONY: help demo test coverage lint bench shots clean system

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' Makefile | column -t -s ':'

demo: $(READY) ## run the main job on the MNI152 T1 into demo_output/
	@$(SCREEN) $(BIN)/mrissl demo --out demo_output $(if $(SCREEN),--headless)

test: lint ## lint, types, floors, manifest and all tests
	@SCREEN='$(SCREEN)' BIN=$(BIN) bash .ci/tests

coverage: $(READY) ## all tests traced, at least 90 % outside ui and 75 % in it
	@COVERAGE=yes SCREEN='$(SCREEN)' BIN=$(BIN) bash .ci/tests

lint: $(READY) ## style, types, import floors and the napari manifest
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@QT_QPA_PLATFORM=offscreen $(BIN)/npe2 validate --imports napari_mrissl/napari.yaml

bench: $(READY) ## the measured comparisons, into bench_output/
	@for bench in tests/benchmarks/bench_*.py; do $(SCREEN) $(BIN)/python $$bench; done

shots: $(READY) ## rebuild the README's screenshots in docs/
	@$(SCREEN) $(BIN)/python tutorials/make_screenshots.py docs

clean: ## remove what was made, but not .venv
	@rm -rf build dist demo_output bench_output .coverage .coverage.* .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .import_linter_cache

# torch comes first and alone: where a CPU build lies in a local folder, that one is taken.
$(READY): pyproject.toml constraints.txt | system
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "napari-mrissl needs Python 3.11 or newer, but $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1 || true): say make PYTHON=/path/to/python3.11"; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install --quiet --constraint constraints.txt pip
	@$(PIP) install --constraint constraints.txt torch
	@$(PIP) install --constraint constraints.txt --build-constraint constraints.txt \
		--editable '.[app,train]' --group dev
	@touch $@

system:
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=$$(for package in $(SYSTEM); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
			|| echo $$package; done); \
	case "$$(command -v $(PYTHON) || echo /usr/bin/$(PYTHON))" in /usr/bin/python3) \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
			|| missing="$$missing python3 python3-venv";; \
	esac; \
	test -n "$${missing// /}" || exit 0; \
	install="apt-get install -y --no-install-recommends" ; \
	if test "$$(id -u)" = 0; then \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && $$install $$missing; \
	else \
		echo "Some system packages are missing. Run this once, then make again:"; \
		echo "  sudo $$install" $$missing; \
		exit 1; \
	fi
