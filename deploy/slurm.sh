#!/usr/bin/env bash
# A study on a Slurm cluster: Ray's head and the search on the job's first node, Ray's workers on the others; latency is
# measured on the last one, which runs no trials.
#
#   sbatch deploy/slurm.sh demo --budget 20cpu-hours
#
# takes the arguments of `autocomp search` but --ray and --out. Two minutes before the time limit, or when the job is
# preempted, it ends what runs and puts itself back into the queue; it then goes on where it was. `autocomp status` of the
# run directory works from the login node meanwhile. Variables, all optional:
#   AUTOCOMP_RUN      the run directory, which all of the job's attempts see (default: runs/slurm-JOB)
#   AUTOCOMP_ENV      virtual environment with autocomp and ray, which all nodes see (default: .venv)
#   AUTOCOMP_DEVICE   the study's device profile, which the last node is (default: cpu_1_thread)
#SBATCH --job-name=autocomp
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --exclusive
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --signal=B:TERM@120
#SBATCH --open-mode=append
#SBATCH --output=autocomp-%j.log
set -euo pipefail

run=${AUTOCOMP_RUN:-runs/slurm-$SLURM_JOB_ID}
PATH=$(realpath "${AUTOCOMP_ENV:-.venv}")/bin:$PATH
export PATH OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0
# Other users reach these ports too: only who has the token, in your home folder, may run code as you.
export RAY_AUTH_MODE=token
ray get-auth-token --generate > /dev/null

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts[0]}
# Several jobs may share a node's ports and its /tmp.
port=$((20000 + SLURM_JOB_ID % 10000))
address=$(getent ahostsv4 "$head" | awk 'NR == 1 {print $1}'):$port
scratch=/tmp/ray-$SLURM_JOB_ID
cores=${SLURM_CPUS_PER_TASK:-$(nproc)}

steps=()
on() { # HOST COMMAND...: a step on one node, in the background
    local host=$1
    shift
    srun --nodes=1 --ntasks=1 --cpus-per-task="$cores" --overlap --nodelist="$host" "$@" &
    steps+=($!)
}

# shellcheck disable=SC2329  # called by the traps
stop() { # PROCESS...: not with INT, which bash has its background processes ignore
    for process in "$@"; do kill "$process" 2>/dev/null || true; done
    for process in "$@"; do timeout 30 tail --pid="$process" -f /dev/null || kill -KILL "$process" 2>/dev/null || true; done
}
study=
# shellcheck disable=SC2329
end() {
    trap - TERM EXIT
    [ -z "$study" ] || stop "$study"
    stop "${steps[@]}"
}
# shellcheck disable=SC2329
again() {
    echo "autocomp: out of time; the job goes back into the queue and goes on with $run" >&2
    end
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
}
trap again TERM
trap end EXIT

on "$head" ray start --head --node-ip-address="${address%:*}" --port="$port" --temp-dir="$scratch" --num-cpus="$cores" --block
until ray health-check --address "$address" 2>/dev/null; do
    kill -0 "${steps[0]}" || { echo "autocomp: Ray's head did not start on $head" >&2; exit 1; }
    sleep 1
done
joining=()
join() { # NUMBER: one of the other nodes joins in; the last one is the device
    local host=${hosts[$1]}
    if [ $(($1 + 1)) -eq "${#hosts[@]}" ]; then
        on "$host" autocomp device join "$address" --device "${AUTOCOMP_DEVICE:-cpu_1_thread}"
    else
        on "$host" ray start --address="$address" --temp-dir="$scratch" --num-cpus="$cores" --block
    fi
    joining[$1]=${steps[-1]}
}
for ((i = 1; i < ${#hosts[@]}; i++)); do join "$i"; done

# A study begins with the nodes that are there, and later ones join in; only the measuring node has to be there at once.
python - "$address" "${#hosts[@]}" <<'END' &
import sys, time
import ray

address, wanted = sys.argv[1], int(sys.argv[2])
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
until = time.time() + 180
while (there := sum(node["Alive"] for node in ray.nodes())) < wanted and time.time() < until:
    time.sleep(1)
print(f"autocomp: {there} of {wanted} nodes are there", file=sys.stderr)
END
waiting=$!
steps+=("$waiting")
# Ray gives a node half a minute to start, and a busy one needs more: it is started again, twice at most.
tries=()
while kill -0 "$waiting" 2>/dev/null; do
    for i in "${!joining[@]}"; do
        if ! kill -0 "${joining[$i]}" 2>/dev/null && [ "${tries[$i]:=0}" -lt 2 ]; then
            tries[i]=$((tries[i] + 1))
            echo "autocomp: ${hosts[$i]} did not start; it is started again" >&2
            join "$i"
        fi
    done
    sleep 1
done

# In the background, for bash hears a signal only while it waits.
if [ -e "$run/journal.jsonl" ]; then
    autocomp resume "$run" --ray "$address" --log &
else
    autocomp search "$@" --out "$run" --ray "$address" --log &
fi
study=$!
wait "$study" && status=0 || status=$?
study=
exit "$status"
