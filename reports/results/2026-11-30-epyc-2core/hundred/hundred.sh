# 24, 48 and 100 clients on 4 workers, and 100 in one process: memory of each process (VmHWM), times.  usage: hundred.sh PROGRAM
B=$1
run() { # CLIENTS WORKERS
  n=$1 w=$2; per=$((n / w)); rm -rf t-$n; mkdir t-$n
  cat > x-$n.toml <<E2
[data]
dataset = "icongen"
train_limit = $((n * 16))
test_limit = 100
[partition]
clients = $n
[federation]
rounds = 2
local_steps = 2
[method]
name = "scaffold"
E2
  pids=(); addrs=
  for i in $(seq 0 $((w - 1))); do
    $B worker x-$n.toml --clients $((i * per))-$((i * per + per - 1)) --listen unix:t-$n/$i.sock --state t-$n/s$i --threads 1 --quiet > t-$n/w$i.log 2>&1 & pids+=($!)
    addrs=${addrs:+$addrs,}unix:t-$n/$i.sock
  done
  for i in $(seq 0 $((w - 1))); do until [ -s t-$n/w$i.log ]; do sleep 0.2; done; done
  start=$(date +%s.%N)
  $B coordinate x-$n.toml --workers $addrs --out t-$n/there --quiet --patience 120 --threads 1 > t-$n/c.log 2>&1 & c=$!
  peak=0; while kill -0 $c 2>/dev/null; do m=$(grep VmHWM /proc/$c/status 2>/dev/null | grep -o '[0-9]*'); [ -n "$m" ] && peak=$m; sleep 0.05; done
  end=$(date +%s.%N); tail -1 t-$n/c.log
  echo "$n clients on $w workers: $(echo "$end - $start" | bc) s, coordinator $((peak / 1024)) MB; workers $(for p in ${pids[@]}; do echo -n "$(($(grep VmHWM /proc/$p/status | grep -o '[0-9]*') / 1024)) MB ($(ps -o cputimes= -p $p | tr -d ' ') CPU s) "; done)"
  kill ${pids[@]}; wait 2>/dev/null
  grep -o '"train_seconds": [0-9.]*' t-$n/there/*/timings.json
}
run 24 4; run 48 4; run 100 4
$B run x-100.toml --out one --quiet
for f in records.parquet predictions.parquet adapters.safetensors; do cmp one/*/$f t-100/there/*/$f && echo same $f; done
grep -o '"peak_memory_bytes": [0-9]*' one/*/summary.json
