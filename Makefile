# The product's commands. `make help` lists them.

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
REVERB := $(VENV)/reverb
AUDIT := $(VENV)/audit
SCHEMATHESIS := $(VENV)/schemathesis
RUN ?=
SEED ?= 1
ARGS ?=
LOG ?=
POLICY ?=
CAR ?=
export SIMULATOR_HOST REDIS_URL MONITOR_TOKEN

.DEFAULT_GOAL := help
.PHONY: help setup train_ddpg train_td3 train_sac train_rdpg train_rdpg_large train_full_speed train_tracks \
	train_tracks_full_speed report run_debug_policy run_trained_policy demo zoo start_simulator start_redis \
	start_tensorboard status logs test test_faults lint audit format bench_time_to_lap bench_simulator bench_pipeline bench_report \
	bench_learning bench_learning_report bench_survival soak bench_replay bench_replay_report bench_monitor \
	replay_race track drive start_monitor record test_schema clean

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

train_sac: setup ## train SAC, which explores by its own entropy (default run: sac)
	@exec $(PYTHON) -m scripts.train configs/sac.yml --run $(or $(RUN),sac) $(ARGS)

train_rdpg: setup ## train RDPG, which remembers instead of seeing several pictures (default run: rdpg)
	@exec $(PYTHON) -m scripts.train configs/rdpg.yml --run $(or $(RUN),rdpg) $(ARGS)

train_rdpg_large: setup ## the same with the first system's networks (default run: rdpg_large)
	@exec $(PYTHON) -m scripts.train configs/rdpg_large.yml --run $(or $(RUN),rdpg_large) $(ARGS)

train_full_speed: setup ## train SAC with all of the throttle (default run: full_speed)
	@exec $(PYTHON) -m scripts.train configs/full_speed.yml --run $(or $(RUN),full_speed) $(ARGS)

train_tracks: setup ## train TD3 on many random tracks at once, score it on others (default run: tracks)
	@exec $(PYTHON) -m scripts.train configs/tracks.yml --run $(or $(RUN),tracks) $(ARGS)

train_tracks_full_speed: setup ## the same with SAC, all of the throttle and tighter bends
	@exec $(PYTHON) -m scripts.train configs/tracks_full_speed.yml --run $(or $(RUN),tracks_full_speed) $(ARGS)

report: setup ## learning curves of a run, or of several side by side: RUN=a,b,c
	@exec $(PYTHON) -m scripts.report $(or $(RUN),ddpg) $(ARGS)

status: setup ## how a run is: its processes, what they complain of, how far it is (RUN=ddpg)
	@exec $(PYTHON) -m scripts.status $(or $(RUN),ddpg) $(ARGS)

logs: setup ## what the processes of a run logged, as one (RUN=ddpg ARGS="--follow --level warning")
	@exec $(PYTHON) -m scripts.logs $(or $(RUN),ddpg) $(ARGS)

start_monitor: setup ## the live page of a run, at http://127.0.0.1:8080/ (RUN=ddpg ARGS="--port 8081 --control")
	@exec $(PYTHON) -m scripts.monitor $(if $(RUN),--run $(RUN)) $(ARGS)

record: setup ## film a car of a run that is under way, an MP4 (RUN=ddpg CAR=robo-eval1 ARGS="--seconds 60")
	@exec $(PYTHON) -m scripts.record $(or $(RUN),ddpg) $(CAR) $(ARGS)

run_debug_policy: setup ## drive the whole chain with the hand-written policy and print laps
	@exec $(PYTHON) -m scripts.debug_policy --run $(or $(RUN),debug_policy) $(ARGS)

run_trained_policy: setup ## drive an exported policy: POLICY=runs/ddpg/policies/best (ARGS="--laps 5 --cars 3")
	@exec $(PYTHON) -m scripts.run_policy "$(POLICY)" --run $(or $(RUN),run_policy) $(ARGS)

demo: setup ## watch a trained policy drive two laps of a track new to it, and get the film of it
	@exec $(PYTHON) -m scripts.run_policy policies/tracks_full_speed --run $(or $(RUN),demo) --laps 2 --record \
		--set track=configs/tracks/meander.json $(ARGS)

zoo: setup ## train the policies of policies/ anew, 22 min (ARGS="ddpg td3" picks some)
	@exec $(PYTHON) -m scripts.zoo $(ARGS)

start_simulator: setup ## start the embedded simulator alone, on ports 11000 and 11001
	@exec $(PYTHON) -m scripts.simulator $(ARGS)

start_redis: setup ## start a Redis on 127.0.0.1:6379 that keeps nothing on disk
	@exec $(PYTHON) -m scripts.redis $(ARGS)

start_tensorboard: setup ## show the curves of all runs (or of RUN) at http://127.0.0.1:6006
	@exec $(VENV)/bin/tensorboard --logdir runs/$(RUN) --host 127.0.0.1 $(ARGS)

test: setup ## run the tests (ARGS="-k name" picks some)
	@sh scripts/get_browser.sh
	@exec $(PYTHON) -m pytest $(ARGS)

test_faults: setup ## break runs in every way and see that they go on (17 min); figures in runs/faults.jsonl
	@mkdir -p runs && rm -f runs/faults.jsonl && \
	FAULT_FIGURES=runs/faults.jsonl exec $(PYTHON) -m pytest -n 0 -m 'slow or not slow' tests/faults $(ARGS)

# Not a requirement, and its own requirements are others than ours: a folder of its own.
$(SCHEMATHESIS)/.ready: | setup
	@echo 'fetching schemathesis into $(SCHEMATHESIS)' && $(PYTHON) -m venv $(SCHEMATHESIS) && \
	$(SCHEMATHESIS)/bin/python -m pip install --quiet --disable-pip-version-check schemathesis==4.32.5 && touch $@

test_schema: setup $(SCHEMATHESIS)/.ready ## have schemathesis try every endpoint of the live page (2 min)
	@exec $(PYTHON) -m tests.schema $(abspath $(SCHEMATHESIS)/bin/schemathesis)

lint: setup ## check style and types of mistakes
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

audit: setup $(AUDIT)/.ready ## which pinned packages have known vulnerabilities; tells so when it can't find out
	@exec $(PYTHON) -m scripts.audit $(ARGS)

# Not a requirement, and its own requirements are others than ours: a folder of its own.
$(AUDIT)/.ready: | setup
	@echo 'fetching pip-audit into $(AUDIT)' && $(PYTHON) -m venv $(AUDIT) && \
	{ $(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1 || \
	{ echo 'not audited: pip-audit could not be fetched' >&2; exit 3; }; } && touch $@

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

bench_learning: setup ## how soon and how well agents learn: CASES=ddpg,td3 SEEDS=1 pick some; a JSON line each
	@$(PYTHON) -m bench.learning $(if $(CASES),--cases $(CASES)) $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

bench_learning_report: setup ## docs/LEARNING.md and its curves from what make bench_learning ARGS=--keep measured
	@$(PYTHON) -m bench.learning_report

bench_survival: setup ## kill and resume a run beside one left alone; a JSON line each (ARGS="--kills 1 --seed 3")
	@$(PYTHON) -m bench.survival $(ARGS)

bench_monitor: setup ## how fresh the live page is and what it costs, for 1, 10 and 50 viewers; a JSON line each (5 min)
	@$(PYTHON) -m bench.monitor $(ARGS)

soak: setup ## kill a random process of a run every 15 s for 20 min; one JSON line (ARGS="--minutes 5 --keep")
	@$(PYTHON) -m bench.soak $(ARGS)

bench_replay: setup $(REVERB)/.ready ## replay beside dm-reverb, fetched for this alone; a JSON line each (6 min)
	@$(PYTHON) -m bench.replay $(ARGS)

# Not a requirement: nothing but this benchmark looks into that folder.
$(REVERB)/.ready: | setup
	@echo 'fetching dm-reverb into $(REVERB)' && \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --target $(REVERB) \
		dm-reverb==0.14.0 portpicker==1.6.0 && touch $@

bench_replay_report: setup ## docs/REPLAY.md's figures from what make bench_replay ARGS=--keep measured
	@$(PYTHON) -m bench.replay --report

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
