#!/usr/bin/env bash
# Checks a CUDA build on a machine with a GPU, then times it: bench/gpu.sh BINARIES OUT
#
# BINARIES is a folder with `fedbench` and `step` of one build (cargo build --release --workspace --features cuda); OUT gets the raw
# output of everything and the table. In this order, in at most eight minutes, each part cut off when it has had its share: products
# and adapter gradients against the CPU's (nothing is timed if one is wrong), the same small federated run on both devices, then
# training steps at S, M and 7B with bf16 weights beside transformers + peft (torch_step.py), where there is a Python that has them.
#
# Variables: DEVICE (cuda:0; `cpu` tries the script out, without 7B), SECONDS_IN_ALL (480), PYTHON (python3), STEPS (10).
set -uo pipefail

if [[ $# -ne 2 || ! -x "${1:-}/fedbench" || ! -x "${1:-}/step" ]]; then
    echo "usage: bench/gpu.sh BINARIES OUT; BINARIES holds fedbench and step, built with --workspace --features cuda" >&2
    exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binaries=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
device=${DEVICE:-cuda:0}
python=${PYTHON:-python3}
steps=${STEPS:-10}
end=$((SECONDS + ${SECONDS_IN_ALL:-480}))
failed=0
export RUST_BACKTRACE=0

# within SHARE NAME COMMAND..: runs it with what is left of all the time and at most SHARE seconds; output to OUT/NAME.out and .err.
within() {
    local share=$1 name=$2 left=$((end - SECONDS))
    shift 2
    if ((left < 5)); then
        echo "$name: not run, the time is used up" | tee "$out/$name.err"
        return 1
    fi
    timeout $((left < share ? left : share)) "$@" >"$out/$name.out" 2>"$out/$name.err"
    local code=$?
    case $code in
    0) ;;
    124) echo "$name: cut off after $((left < share ? left : share)) s" | tee -a "$out/$name.err" ;;
    *) echo "$name: failed ($code): $(grep -v '^cuda-shim' "$out/$name.err" | head -n 4)" ;;
    esac
    return $code
}

machine() {
    uname -srm
    grep -m1 'model name' /proc/cpuinfo
    "$binaries/fedbench" --version
    ldd "$binaries/fedbench"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "no nvidia-smi"
}
machine >"$out/machine.txt" 2>&1
if grep -q 'libcu' "$out/machine.txt"; then echo "note: the program is linked to CUDA's libraries and starts only where they are"; fi

echo "## checks on $device"
within 120 check "$binaries/step" --check --device "$device" || failed=1
cat "$out/check.out"
if ((failed)); then
    echo "the checks did not pass: nothing is timed; see $out/check.out and check.err"
    exit 1
fi

echo "## a federated run on both devices"
accuracy() { # DEVICE NAME
    cat >"$out/$2.toml" <<END
seed = 1
[backbone]
device = "$1"
[data]
dataset = "icongen"
train_limit = 200
test_limit = 200
[partition]
clients = 3
[method]
name = "fednano"
[federation]
rounds = 2
END
    within 90 "$2" "$binaries/fedbench" run "$out/$2.toml" --out "$out/$2-runs" --quiet || return 1
    "$python" - "$1" "$out/$2-runs" <<'END' || grep -h '"accuracy"' "$out/$2-runs"/*/summary.json
import json, pathlib, sys
summary = json.loads(next(pathlib.Path(sys.argv[2]).glob("*/summary.json")).read_text())
print(f"{sys.argv[1]}: accuracy {summary['accuracy']:.4f}, {summary['wall_seconds']:.1f} s")
END
}
rm -rf "$out/run-there-runs" "$out/run-cpu-runs"
accuracy "$device" run-there || failed=1
accuracy cpu run-cpu || failed=1

echo "## steps with bf16 weights on $device"
if "$python" -c 'import torch, transformers, peft' 2>"$out/python.err"; then torch=1; else
    torch=0
    echo "no PyTorch beside it: $(tail -n 1 "$out/python.err")"
fi
# Memory that the whole device has in use, looked at five times a second.
watch_memory() { while :; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -i "${device#cuda:}" || break; sleep 0.2; done; }
step() { # SHARE NAME COMMAND..: a step's report, with the device's peak memory beside it
    local share=$1 name=$2 watcher=
    shift 2
    if [[ $device != cpu ]] && command -v nvidia-smi >/dev/null; then
        watch_memory >"$out/$name.memory" 2>/dev/null &
        watcher=$!
    fi
    within "$share" "$name" "$@" || failed=1
    if [[ -n $watcher ]]; then kill "$watcher" 2>/dev/null && wait "$watcher" 2>/dev/null; fi
}
shapes=(S M 7B)
[[ $device == cpu ]] && shapes=(S M)
for shape in "${shapes[@]}"; do
    for kind in nano lora; do
        arguments=(--shape "$shape" --kind "$kind" --dtype bf16 --device "$device" --steps "$steps" --warm-up 3)
        step 75 "step-$shape-$kind-fedbench" "$binaries/step" "${arguments[@]}"
        ((torch)) && step 75 "step-$shape-$kind-torch" "$python" "$here/torch_step.py" "${arguments[@]}"
    done
done

report() {
    echo "| shape | adapters | fedbench ms | PyTorch ms | ratio | device MB, fedbench | PyTorch |"
    echo "|---|---|---:|---:|---:|---:|---:|"
    local shape kind
    number() { sed -n "s/.*\"$2\": *\([0-9.]*\).*/\1/p" "$out/step-$1.out" 2>/dev/null | tail -n 1; }
    memory() { sort -n "$out/step-$1.memory" 2>/dev/null | tail -n 1; }
    for shape in "${shapes[@]}"; do
        for kind in nano lora; do
            local ours theirs
            ours=$(number "$shape-$kind-fedbench" median_ms)
            theirs=$(number "$shape-$kind-torch" median_ms)
            printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$shape" "$kind" "${ours:0:7}" "${theirs:0:7}" \
                "$(awk -v a="${ours:-0}" -v b="${theirs:-0}" 'BEGIN { if (a > 0 && b > 0) printf "%.2f", a / b }')" \
                "$(memory "$shape-$kind-fedbench")" "$(memory "$shape-$kind-torch")"
        done
    done
}
report | tee "$out/table.md"
echo "$((SECONDS)) s in all; raw files in $out"
exit $failed
