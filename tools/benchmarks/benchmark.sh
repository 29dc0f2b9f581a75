# What the benchmarks' run.sh share. Sourced by them:
#
#   run.sh CONFIG CHECKPOINT GPUS [options of the trainer]
#
# CHECKPOINT is a file, or 'random' for an untrained backbone. In front, for
# several nodes: NNODES, NODE_RANK, MASTER_ADDR, PORT, on each of them; for
# slurm: PARTITION, and what tools/slurm_train.sh takes. The work folder is
# work_dirs/benchmarks/CONFIG/CHECKPOINT unless --work-dir names another.
# shellcheck shell=bash disable=SC2154
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

read_arguments() { # "$@" of run.sh: sets config, checkpoint, gpus, more, options
    [ $# -ge 3 ] || fail 'usage: run.sh CONFIG CHECKPOINT GPUS [options]'
    config=$1 checkpoint=$2 gpus=$3 more=() options=()
    shift 3
    whole_number GPUS "$gpus" 1
    [ -f "$config" ] || fail "no such config: $config"
    [ "$checkpoint" = random ] || [ -f "$checkpoint" ] ||
        fail "no such checkpoint: $checkpoint"
    local stem=${config##*/} weights=${checkpoint##*/} folder=
    # Of two --cfg-options the trainers would drop the first: unite them.
    while [ $# -gt 0 ]; do
        case $1 in
        --cfg-options)
            while [ $# -gt 1 ] && [ "${2#--}" = "$2" ]; do
                options+=("$2")
                shift
            done
            ;;
        --work-dir | --work-dir=*)
            folder=given
            more+=("$1")
            ;;
        *) more+=("$1") ;;
        esac
        shift
    done
    [ -n "$folder" ] || more+=(--work-dir
        "work_dirs/benchmarks/${stem%.py}/${weights%.*}")
}

start() { # JOB SCRIPT ARGUMENTS...: here, on several processes, or by slurm
    local job=$1 script=$2
    shift 2
    if [ -n "${PARTITION:-}" ]; then
        GPUS=$gpus launch_slurm "$PARTITION" "$job" "$script" "$@"
    elif [ "$gpus" -gt 1 ] || [ "${NNODES:-1}" -gt 1 ]; then
        launch "$gpus" "$script" "$@"
    fi
    exec "$python" "$(script_path "$script")" "$@"
}

stock() { # PACKAGE "$@" of run.sh: the trainer that this package ships
    local package=$1 trainer
    shift
    read_arguments "$@"
    choose_python
    trainer=$("$python" -c 'import importlib.util as u, sys
found = u.find_spec(sys.argv[1])
print(found and found.submodule_search_locations[0] or "")' "$package")
    trainer=$trainer/.mim/tools/train.py
    [ -f "$trainer" ] ||
        fail "$package is not installed: pip install \"caco_ext[mmselfsup]\""
    if [ "$checkpoint" = random ]; then
        options+=(default_hooks.pretrained=None)
    else
        # In quotes of its own, or commas would make a list of it.
        case $checkpoint in *[,\(\[]*) checkpoint=\"$checkpoint\" ;; esac
        options+=("default_hooks.pretrained.checkpoint=$checkpoint")
    fi
    start "$package" "$trainer" "$config" "${more[@]}" \
        --cfg-options "${options[@]}"
}

own() { # SCRIPT "$@" of run.sh: a tool of this package
    local script=$1
    shift
    read_arguments "$@"
    choose_python
    [ "$checkpoint" != random ] ||
        fail "'random' is for benchmarks with a config of the model; this one takes the depth from a checkpoint"
    [ ${#options[@]} -eq 0 ] || more+=(--cfg-options "${options[@]}")
    start benchmark "$script" "$config" "$checkpoint" "${more[@]}"
}
