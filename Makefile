# make demo        a virtual environment, the library, and the default model trained on the embedded digits
# make test        a virtual environment, the library, and the whole suite (no PyTorch)
# make help        the other targets
#
# PYTHON chooses the interpreter (make test PYTHON=python3.13); each has a virtual environment of its own.

PYTHON ?= python3
TAG := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV ?= .venv-$(TAG)
BIN := $(VENV)/bin
PYTEST ?= $(BIN)/python -m pytest
LEVELS ?= portable avx2 avx512
TORCH := torch==2.13.0
SOURCES := setup.py pyproject.toml $(shell find csrc fastnn -name '*.c' -o -name '*.h' -o -name '*.def' -o -name '*.px[id]' -o -name '*.pyx')

.PHONY: help demo lab test test-isa test-torch test-all asan neon bench lint format dev wheel clean

help:
	@echo 'make demo         train the default model on the embedded digits'
	@echo 'make lab          the figures of the lecture lab (docs/lab.md), in a few minutes'
	@echo 'make test         the whole test suite'
	@echo 'make test-isa     the suite at every instruction-set level this processor has'
	@echo 'make test-torch   the comparisons with PyTorch (installs $(TORCH); Python 3.11)'
	@echo 'make test-all     the suite with its slow, statistical part'
	@echo 'make asan         the kernels under AddressSanitizer and UBSan'
	@echo 'make neon         compile the kernels for aarch64, where CROSS (aarch64-linux-gnu-gcc) is at hand'
	@echo 'make bench        every kernel against its NumPy definition'
	@echo 'make lint         ruff, mypy --strict, clang-format'
	@echo 'make format       let ruff and clang-format rewrite'
	@echo 'make dev          an editable build in the virtual environment'
	@echo 'make wheel        a wheel in dist/'
	@echo 'make clean        remove what was built'

# One stamp file for each set of extras; sources newer than a stamp rebuild it.
$(VENV)/.python:
	@test -n '$(TAG)' || { echo "make: no Python interpreter '$(PYTHON)'; set PYTHON" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.demo: $(VENV)/.python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[plot]'
	@touch $@

$(VENV)/.lab: $(VENV)/.python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[plot,images,scipy]'
	@touch $@

$(VENV)/.test: $(VENV)/.python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet -e '.[lint]'
	@touch $@

$(VENV)/.torch: $(VENV)/.test
	$(BIN)/python -m pip install --quiet $(TORCH)
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/fastnn train digits

lab: $(VENV)/.lab
	$(BIN)/python examples/lab

test: $(VENV)/.test
	$(PYTEST)

test-isa: $(VENV)/.test
	set -e; for level in $(LEVELS); do FASTNN_CPU=$$level $(PYTEST); done

test-torch: $(VENV)/.torch
	$(PYTEST) -m torch tests/torch

test-all: $(VENV)/.test
	$(PYTEST) -m 'not torch'

# An instrumented build in an environment of its own. The runtime libraries must be loaded before Python's.
asan: VENV := .venv-asan
asan:
	$(PYTHON) -m venv .venv-asan
	.venv-asan/bin/python -m pip install --quiet --upgrade pip
	rm -rf build/asan && mkdir -p build/asan && cp -r csrc fastnn tests setup.py pyproject.toml README.md LICENSE build/asan/
	cd build/asan && FASTNN_SANITIZE=address,undefined ../../.venv-asan/bin/python -m pip install --quiet -e '.[test]'
	cd build/asan && ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    ../../.venv-asan/bin/python -m pytest -p no:cacheprovider tests/test_ops.py tests/test_autocast.py \
	    tests/test_conv.py tests/test_conv_epilogue.py tests/test_conv_joint.py tests/test_copy.py \
	    tests/test_inference.py tests/test_moments.py \
	    tests/test_norm.py tests/test_pending_pool.py tests/test_pool.py tests/test_threads.py

# The library of the kernels alone: Python and NumPy for the other architecture are not at hand.
CROSS ?= aarch64-linux-gnu-gcc
NEON := $(patsubst csrc/%.c,build/neon/%.o,$(wildcard csrc/*.c csrc/ops/*.c csrc/isa/portable_*.c csrc/isa/neon_*.c))
neon:
	@if command -v $(CROSS) >/dev/null; then $(MAKE) --no-print-directory build/neon/libfastnn.a; \
	else echo "make neon: no cross compiler $(CROSS); nothing done"; fi

build/neon/libfastnn.a: $(NEON)
	$(patsubst %gcc,%ar,$(CROSS)) rcs $@ $(NEON)

build/neon/%.o: csrc/%.c $(wildcard csrc/*.h csrc/*.def csrc/*/*.h)
	@mkdir -p $(@D)
	$(CROSS) -std=gnu11 -O3 -DNDEBUG -fPIC -fvisibility=hidden -fno-math-errno -ffp-contract=fast -fopenmp \
	    -Wall -Wextra -Wno-maybe-uninitialized -Werror -Icsrc -c $< -o $@

bench: $(VENV)/.test
	$(BIN)/fastnn bench kernels --against numpy

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $$(git ls-files 'csrc/*.c' 'csrc/*.h')

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files 'csrc/*.c' 'csrc/*.h')

dev: $(VENV)/.test

wheel: $(VENV)/.python
	rm -rf dist
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .
	$(BIN)/python scripts/check_wheel.py dist/*.whl

clean:
	rm -rf build dist *.egg-info .venv* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find fastnn -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
