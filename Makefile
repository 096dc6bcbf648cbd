# The product's commands. `make help` lists them.

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
RUN ?=
SEED ?= 1
ARGS ?=
LOG ?=
export SIMULATOR_HOST REDIS_URL

.DEFAULT_GOAL := help
.PHONY: help setup train_ddpg train_td3 run_debug_policy start_simulator start_redis start_tensorboard \
	test lint format bench_time_to_lap bench_simulator bench_pipeline bench_report replay_race track drive clean

help: ## list the targets
	@echo 'make TARGET [RUN=name] [ARGS="..."]; SIMULATOR_HOST=host and REDIS_URL=url name what runs elsewhere'
	@awk -F ':.*## ' '/^[a-z0-9_]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv and install everything (quick when there is nothing to do)

$(READY): requirements.txt constraints.txt
	@python=$$(sh scripts/find_python.sh) && \
	echo "setting up $(VENV) with $$python (a minute or two, 2 GB)" && \
	{ [ -x $(PYTHON) ] || "$$python" -m venv $(VENV); } && \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt && \
	$(PYTHON) -m scripts.warm_up && touch $(READY)

train_ddpg: setup ## train DDPG in the simulator; resumes runs/$RUN (default: ddpg)
	@exec $(PYTHON) -m scripts.train configs/ddpg.yml --run $(or $(RUN),ddpg) $(ARGS)

train_td3: setup ## train TD3, which takes longer a step and ends faster; resumes runs/$RUN (default: td3)
	@exec $(PYTHON) -m scripts.train configs/td3.yml --run $(or $(RUN),td3) $(ARGS)

run_debug_policy: setup ## drive the whole chain with the hand-written policy and print laps
	@exec $(PYTHON) -m scripts.debug_policy --run $(or $(RUN),debug_policy) $(ARGS)

start_simulator: setup ## start the embedded simulator alone, on ports 11000 and 11001
	@exec $(PYTHON) -m scripts.simulator $(ARGS)

start_redis: setup ## start a Redis on 127.0.0.1:6379 that keeps nothing on disk
	@exec $(PYTHON) -m scripts.redis $(ARGS)

start_tensorboard: setup ## show the curves of all runs (or of RUN) at http://127.0.0.1:6006
	@exec $(VENV)/bin/tensorboard --logdir runs/$(RUN) --host 127.0.0.1 $(ARGS)

test: setup ## run the tests (ARGS="-k name" picks some)
	@exec $(PYTHON) -m pytest $(ARGS)

lint: setup ## check style and types of mistakes
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

format: setup ## format the code
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

bench_time_to_lap: setup ## measure a fresh run to its first and third clean lap; prints one JSON line
	@exec $(PYTHON) -m scripts.bench_time_to_lap $(ARGS)

clean: ## remove .venv and caches; runs/ is kept
	@rm -rf $(VENV) .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo 'runs/ is kept; remove what you no longer need there by hand'

bench_pipeline: setup ## the chain's latency and throughput beside naive designs; a JSON line a case (10 min)
	@$(PYTHON) -m bench.pipeline $(ARGS)

bench_report: setup ## docs/PERFORMANCE.md and its plots from what make bench_pipeline ARGS=--keep measured
	@$(PYTHON) -m bench.report

replay_race: setup ## stream a race log on port 11001 (LOG=race.log ARGS="--speed 4 --loop")
	@exec $(PYTHON) -m scripts.replay_race "$(LOG)" $(ARGS)

bench_simulator: setup ## measure the embedded simulator's speed and steadiness; prints one JSON line
	@exec $(PYTHON) -m scripts.bench_simulator $(ARGS)

track: setup ## write a random track and its map: tracks/$SEED.json and .png (SEED=7 ARGS="--obstacles 5")
	@exec $(PYTHON) -m scripts.make_track $(SEED) $(ARGS)

drive: setup ## drive a car yourself, in this terminal (ARGS="--track configs/tracks/loop.json --throttle 0.3")
	@exec $(PYTHON) -m scripts.drive $(ARGS)
