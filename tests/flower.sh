#!/usr/bin/env bash
# Over the real Flower, on this machine: two SuperNodes with a worker each give the bytes of `fedbench run`, for a method with state at its
# clients and one with two adapters; a SuperNode that is killed in a run costs its clients' updates and no more.
#
# usage: tests/flower.sh PROGRAM [FOLDER]     (PROGRAM: fedbench as it was built; FOLDER: where to work, a temporary one without it)
# Needs Python 3.11 or newer and flwr 1.42 from PyPI, which it installs into a virtual environment; says so and exits 0 where it cannot.
set -euo pipefail
program=$(realpath "$1") app=$(realpath "$(dirname "$0")/../src/flower/app")
work=${2:-$(mktemp -d)}
mkdir -p "$work" && cd "$work"

if ! test -x flwr/bin/flwr; then
    python3 -m venv flwr && flwr/bin/pip install --quiet 'flwr==1.42.*' mypy ruff >pip.log 2>&1 \
        || { echo "skipped: flwr 1.42 is not to be had here ($(tail -n 1 pip.log 2>/dev/null))"; exit 0; }
fi
mkdir -p bin && ln -sf "$program" bin/fedbench
export PATH="$work/bin:$work/flwr/bin:$PATH" FLWR_HOME="$work/home" FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
export FLWR_SUPEREXEC_TASK_POLL_INTERVAL=0.2 FEDBENCH_DATA="${FEDBENCH_DATA:-$work/data}" FEDBENCH_CACHE="${FEDBENCH_CACHE:-$work/cache}"

echo "== the app's Python: formatted, typed"
(cd "$app" && ruff format --line-length 130 --check . && ruff check --line-length 130 . && mypy --strict --cache-dir "$work/mypy" fedbench_flower)

mkdir -p "$FLWR_HOME"
printf '[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:8000"\ninsecure = true\n' >"$FLWR_HOME/config.toml"

node() { # NAME CLIENTS PORT EXPERIMENT
    STATE="$work/state-$4-$1" setsid sh "app-$4/node.sh" "$2" 127.0.0.1:8000 --insecure --port "$3" >"node-$4-$1.log" 2>&1 &
    nodes+=($!)
}
end_nodes() {
    for node in "${nodes[@]}"; do kill -- "-$node" 2>/dev/null || true; done
    nodes=()
}
nodes=()
flower-superlink --insecure --disable-runtime-dependency-installation >superlink.log 2>&1 &
superlink=$!
trap 'end_nodes; kill $superlink 2>/dev/null || true' EXIT

experiment() { # METHOD ROUNDS
    cat <<END
[data]
dataset = "icongen"
train_limit = 200
test_limit = 60
[partition]
clients = 5
[federation]
rounds = $2
local_steps = ${STEPS:-4}
[method]
name = "$1"
END
}
same() { # EXPERIMENT
    for file in records.parquet predictions.parquet adapters.safetensors partition.json experiment.toml; do
        cmp "here-$1"/*/$file "there-$1"/*/$file
    done
    echo "   the same bytes"
}

for method in scaffold feddat; do
    echo "== $method over two SuperNodes"
    experiment $method 3 >$method.toml
    rm -rf "here-$method" "there-$method" state-$method-*
    start=$(date +%s.%N)
    fedbench run $method.toml --quiet --out "here-$method"
    middle=$(date +%s.%N)
    fedbench flower-app $method.toml --out app-$method >/dev/null
    node a 0-2 9094 $method
    node b 3,4 9095 $method
    submitted=$(date +%s.%N)
    fedbench run $method.toml --engine flower --superlink here --out "there-$method"
    awk "BEGIN { printf \"   in one process %.1f s, over Flower %.1f s, from submission to run folder\\n\", $middle - $start, $(date +%s.%N) - $submitted }"
    for where in here there; do
        echo "   training of each round, ${where}: $(grep -o '"train_seconds": [0-9.]*' $where-$method/*/timings.json | grep -o '[0-9.]*$' | xargs) s"
    done
    same $method
    end_nodes
    sleep 2
done

echo "== a SuperNode is killed in the run, and its worker with it"
experiment fedavg-lora 4 >killed.toml
rm -rf there-killed state-killed-*
fedbench flower-app killed.toml --out app-killed >/dev/null
node a 0-2 9094 killed
node b 3,4 9095 killed
(until grep -q "round   1" node-killed-b.log; do sleep 0.1; done; kill -KILL -- "-${nodes[1]}"; date +"   killed at %T") &
fedbench run killed.toml --engine flower --superlink here --out there-killed
date +"   over at %T"
lost=$(grep -o '"updates_lost": [0-9]*' there-killed/*/summary.json | grep -o '[0-9]*')
echo "   updates lost: $lost"
test "$lost" -ge 2
end_nodes
echo "1 passed, 0 failed"
