#!/bin/bash
# A suite on a real Slurm: one node, one user, in a folder that is removed afterwards; nothing is installed, no network but loopback.
#
#   tests/slurm.sh [FEDBENCH]         FEDBENCH: the program, target/release/fedbench without it
#
# An array with a task that fails and a report that names it; resumed; a task that is put back into the queue; each run compared with a
# local one. Debian's packages are downloaded (apt-get download) and unpacked; where that cannot be done, it says so and skips.
set -euo pipefail

fedbench=$(realpath "${1:-$(dirname "$0")/../target/release/fedbench}")
place=$(mktemp -d)
daemons=()
# What it started is asked to end, and waited for.
leave() { [ ${#daemons[@]} = 0 ] || { kill "${daemons[@]}" 2>/dev/null; wait "${daemons[@]}" 2>/dev/null; }; rm -rf "$place"; }
trap 'leave || true' EXIT
say() { echo "== $*"; }
fail() { echo "FAILED: $*"; tail -n 30 "$place"/log/* 2>/dev/null; exit 1; }

# The packages, unpacked.
packages="libdbus-1-3 libhwloc15 libjson-c5 libltdl7 liblua5.1-0 liblz4-1 libmunge2 libnuma1 libpam0g libyaml-0-2
  slurm-client slurm-wlm-basic-plugins slurmctld slurmd"
mkdir -p "$place"/{debs,root,state,spool,log,desk}
cd "$place/debs"
if ! apt-get download -qq $packages >"$place/log/apt" 2>&1; then
  echo "skipped: Debian's Slurm packages are not at hand (apt-get download: $(tail -n 1 "$place/log/apt"))"
  exit 0
fi
for deb in *.deb; do dpkg -x "$deb" "$place/root"; done
plugins=$(dirname "$(find "$place/root" -name auth_none.so | head -n 1)")
export PATH="$place/root/usr/bin:$place/root/usr/sbin:$PATH" SLURM_CONF="$place/slurm.conf"
export LD_LIBRARY_PATH="$plugins:$(dirname "$plugins"):$place/root/lib/$(uname -m)-linux-gnu"

cat >"$SLURM_CONF" <<END
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/none
CredType=cred/none
PluginDir=$plugins
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldPort=26817
SlurmdPort=26818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
slurmctld-wlm -D >"$place/log/slurmctld" 2>&1 & daemons+=($!)
slurmd-wlm -D -d "$place/root/usr/sbin/slurmstepd-wlm" >"$place/log/slurmd" 2>&1 & daemons+=($!)
for _ in $(seq 60); do sinfo -h -o %T 2>/dev/null | grep -q idle && break; sleep 1; done
sinfo -h -o %T | grep -q idle || fail "the node did not come up"
say "$(sinfo --version), one node of $(nproc) cores"

cd "$place/desk"
cat >s.toml <<END
name = "slurm"
seeds = [1, 2]
[base.data]
dataset = "icongen"
train_limit = 40
test_limit = 20
[base.partition]
clients = 2
[base.federation]
rounds = 2
[[experiments]]
method.name = "zero-shot"
[[experiments]]
method.name = "fedavg-nano"
END
submit() { "$fedbench" suite "$@" --engine slurm --submit --parallel 2 --quiet | tee "$place/log/submitted"; }
ids() { sed -n 's/^job \([0-9]*\): .*/\1/p' "$place/log/submitted"; }
# Until nothing is in the queue.
drain() { for _ in $(seq 600); do [ -z "$(squeue -h)" ] && return; sleep 1; done; fail "jobs do not end: $(squeue)"; }
# What became of a job: its state and exit code, of an array's each task.
became() { scontrol show job "$1" | grep -oE '(ArrayTaskId|JobState|ExitCode|Restarts)=[^ ]*' | paste -sd' '; }

say "an array with a task that fails: another process is at member 2"
"$fedbench" suite s.toml --engine slurm --out runs --quiet >/dev/null
run=$(python3 -c 'import json; print(json.load(open("runs/slurm/members.json"))["members"][2]["run"])')
mkdir -p "runs/$run"
exec 9>"runs/$run/.lock"
flock 9
submit s.toml --out runs
drain
exec 9>&-
read -r array report <<<"$(ids | paste -sd' ')"
became "$array"
became "$report" | tee "$place/log/report"
grep -q 'ExitCode=1:0' "$place/log/report" || fail "the report did not fail"
grep -h missing "runs/slurm/logs/report-$report.log"
grep -q "missing: $run (member 2)" "runs/slurm/logs/report-$report.log" || fail "the report did not name what is missing"
grep -hq 'another process is writing this run' "runs/slurm/logs/${array}_2.log" || fail "member 2 did not fail for its lock"

say "resumed: what is left is one task"
submit s.toml --out runs
grep '^#SBATCH --array' runs/slurm/array.sbatch | tee "$place/log/array"
grep -q 'array=2%2' "$place/log/array" || fail "it submitted more than is left"
drain
became "$(ids | tail -n 1)" | tee "$place/log/report"
grep -q 'ExitCode=0:0' "$place/log/report" || fail "the report failed"

say "put back into the queue while it runs"
sed 's/train_limit = 40/train_limit = 200/; s/rounds = 2/rounds = 4/; s/seeds = .*/seeds = [3]/' s.toml >long.toml
submit long.toml --out long
array=$(ids | head -n 1)
for _ in $(seq 60); do squeue -h -r -t R -o %K -j "$array" | grep -qx 1 && ls long/icongen-fedavg-nano-*/partition.json >/dev/null 2>&1 && break; sleep 0.2; done
scontrol requeue "${array}_1"
drain
became "$array" | tee "$place/log/requeued"
grep -q 'Restarts=1' "$place/log/requeued" || fail "it was not put back"
became "$(ids | tail -n 1)" | tee "$place/log/report"
grep -q 'ExitCode=0:0' "$place/log/report" || fail "the report failed"

say "the same bytes as in one process"
"$fedbench" suite s.toml --out local --quiet >/dev/null
"$fedbench" suite long.toml --out local-long --quiet >/dev/null
same=0
for there in runs local long local-long; do [ -d "$there" ] || fail "no $there"; done
for pair in runs:local long:local-long; do
  for run in "${pair#*:}"/icongen-*/; do
    for file in records.parquet predictions.parquet adapters.safetensors partition.json experiment.toml; do
      cmp "$run$file" "${pair%:*}/$(basename "$run")/$file" || fail "$run$file differs"
      same=$((same + 1))
    done
  done
done
say "$same files of $(ls -d runs/icongen-* long/icongen-* | wc -l) runs are the same; all is well"
