#!/bin/sh
# A node: a worker of some of the experiment's clients, and Flower's SuperNode beside it. Both end together.
# usage: sh node.sh CLIENTS SUPERLINK [arguments of flower-supernode, such as --insecure or --port 9095]
# e.g.   sh node.sh 0-2 superlink.example.org:8000 --root-certificates ca.pem
# FEDBENCH names the program, STATE where the clients' state is kept, SEED the run's seed if it is not the file's.
set -eu
app=$(cd "$(dirname "$0")" && pwd)
clients=$1 superlink=$2
shift 2
place=$(mktemp -d)
"${FEDBENCH:-fedbench}" worker "$app/federation.toml" ${SEED:+--seed "$SEED"} --clients "$clients" --listen "unix:$place/worker" \
    --state "${STATE:-state}" &
worker=$! node=
trap 'kill $worker $node 2>/dev/null; rm -rf "$place"' EXIT
trap 'exit 143' INT TERM
until test -S "$place/worker"; do
    kill -0 $worker 2>/dev/null || { echo "the worker ended before it listened" >&2; exit 1; }
    sleep 0.2
done
# It looks for work every 0.2 seconds, instead of every 3.
export FLWR_SUPEREXEC_TASK_POLL_INTERVAL="${FLWR_SUPEREXEC_TASK_POLL_INTERVAL:-0.2}"
flower-supernode --superlink "$superlink" --node-config "worker=\"$place/worker\"" "$@" &
node=$!
# A signal is heard while this waits, and not while another program runs in front.
while kill -0 $worker 2>/dev/null && kill -0 $node 2>/dev/null; do
    sleep 1 &
    wait $!
done
echo "the worker or the SuperNode ended" >&2
exit 1
