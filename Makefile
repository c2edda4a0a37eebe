# make demo   the main job on a sample image: in napari, or, without a display, as pictures and masks
# make test   everything that CI runs, by two processes at once; ARGS go to pytest ("ARGS=-n0 tests/segments")
# Both do all the set-up, in .venv here; a second call finds it done.
.PHONY: demo test lint screenshots setup libraries
.DEFAULT_GOAL := test

BIN := .venv/bin
READY := .venv/.ready
SCREEN := $(if $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter Darwin,$(shell uname -s))),,xvfb-run -a -s "-screen 0 1400x900x24")
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Without a window there is nothing that a missing library would hinder: the demo then says so and writes pictures.
demo: $(READY)
	@if [ -n "$${DISPLAY:-}$${WAYLAND_DISPLAY:-}" ]; then scripts/system_libraries.sh window || true; fi
	$(BIN)/what-where demo

test: $(READY) libraries lint
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

screenshots: $(READY) libraries
	$(SCREEN) $(BIN)/python scripts/make_screenshots.py

setup: $(READY)

libraries:
	@scripts/system_libraries.sh tests

$(READY): pyproject.toml constraints.txt
	@python="$$(scripts/choose_python.sh)" && echo "Setting up .venv with $$($$python --version) …" && $$python -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[gui,dev]"
	@touch $@
