# What the launch scripts share. Sourced by them; sets $root and $python.
# shellcheck shell=bash disable=SC2034

# Physical, because an editable installation links to this folder.
root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# OpenMP's threads spin while they wait. Where anything else wants the cores, a
# loader's worker or another job, that costs ten times what it saves.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

fail() {
    echo "$(basename "$0"): error: $*" >&2
    exit 1
}

choose_python() {
    local active=${VIRTUAL_ENV:-}
    # Conda's base environment is active in every shell of its users.
    [ "${CONDA_DEFAULT_ENV:-base}" = base ] || active=${CONDA_PREFIX:-}
    if [ -n "${PYTHON:-}" ]; then
        python=$PYTHON
    elif [ -x "$root/.venv/bin/python" ] &&
        { [ -z "$active" ] || [ "$active" = "$root/.venv" ]; }; then
        python=$root/.venv/bin/python
    else
        python=python
    fi
    # A clone works without being installed.
    if [ -d "$root/caco_ext" ]; then
        export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
    fi
}

whole_number() { # NAME VALUE LEAST
    case $2 in '' | *[!0-9]*) fail "$1=$2 is no whole number" ;; esac
    [ "$2" -ge "$3" ] || fail "$1=$2 must be at least $3"
}

script_path() { # SCRIPT: in tools, unless its path is whole
    case $1 in /*) echo "$1" ;; *) echo "$root/tools/$1" ;; esac
}

free_port() { # PORT: prints it when this machine can listen there; 0: any
    "$python" -c 'import socket, sys
with socket.socket() as s:
    # One that a job has just left will do, as it does for torchrun.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("", int(sys.argv[1])))
    print(s.getsockname()[1])' "$1"
}

launch() { # PROCESSES SCRIPT ARGUMENTS...: torchrun, on this or more nodes
    local processes=$1 script=$2 nodes=${NNODES:-1} rank=${NODE_RANK:-0}
    local port=${PORT:-} threads
    shift 2
    whole_number GPUS "$processes" 1
    whole_number NNODES "$nodes" 1
    whole_number NODE_RANK "$rank" 0
    [ "$rank" -lt "$nodes" ] ||
        fail "NODE_RANK=$rank, but NNODES=$nodes: ranks begin with 0"
    if [ "$nodes" -gt 1 ]; then
        [ -n "${MASTER_ADDR:-}" ] ||
            fail "NNODES=$nodes needs MASTER_ADDR, the address of node 0"
        port=${port:-29500}
    fi
    whole_number PORT "${port:-1}" 1
    if [ -z "$port" ]; then
        # Two jobs on one machine must not meet.
        port=$(free_port 0)
    elif [ "$rank" -eq 0 ] && ! free_port "$port" >/dev/null 2>&1; then
        fail "PORT=$port is in use on this machine, or no port: name another" \
            "(the same on all nodes), or none on one node for a free one"
    fi
    if [ -z "${OMP_NUM_THREADS:-}" ]; then
        threads=1
        # Without a GPU the processes share the cores.
        if ! nvidia-smi -L >/dev/null 2>&1; then
            threads=$(($(nproc) / processes))
            [ "$threads" -ge 1 ] || threads=1
        fi
        export OMP_NUM_THREADS=$threads
    fi
    exec "$python" -m torch.distributed.run \
        --nnodes="$nodes" \
        --node_rank="$rank" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="$port" \
        --nproc_per_node="$processes" \
        "$(script_path "$script")" "$@" --launcher pytorch
}

cpus_of() { # CONFIG ARGUMENTS...: prints its workers + 1
    "$python" -c 'import sys
from caco_ext.utils.launch import cpus_per_process
try:
    print(cpus_per_process(sys.argv[1:]))
except ValueError as error:
    sys.exit(f"slurm: error: {error}; CPUS_PER_TASK=N needs no config")' "$@"
}

launch_slurm() { # PARTITION JOB SCRIPT ARGUMENTS...: srun
    local partition=$1 job=$2 script=$3 gpus=${GPUS:-8} per_node cpus
    local resources=() more
    shift 3
    whole_number GPUS "$gpus" 1
    per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
    whole_number GPUS_PER_NODE "$per_node" 0
    command -v srun >/dev/null || fail 'srun is not there; is this a slurm node?'
    cpus=${CPUS_PER_TASK:-$(cpus_of "$@")}
    whole_number CPUS_PER_TASK "$cpus" 1
    if [ "$per_node" -gt 0 ]; then
        resources=(--gres="gpu:$per_node" --ntasks-per-node="$per_node")
    fi
    read -r -a more <<<"${SRUN_ARGS:-}"
    # Two jobs may share a node, and mmengine gives each the port 29500.
    export MASTER_PORT=${PORT:-${MASTER_PORT:-$((15000 + RANDOM % 15000))}}
    whole_number PORT "$MASTER_PORT" 1
    exec srun -p "$partition" \
        --job-name="$job" \
        --ntasks="$gpus" \
        "${resources[@]}" \
        --cpus-per-task="$cpus" \
        --kill-on-bad-exit=1 \
        "${more[@]}" \
        "$python" -u "$(script_path "$script")" "$@" --launcher slurm
}
