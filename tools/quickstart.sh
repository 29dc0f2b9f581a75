#!/usr/bin/env bash
# Set up, pre-train with CaCo on bundled photographs, draw what came out.
#
#   bash tools/quickstart.sh [--work-dir DIR] [--host HOST]
#       [arguments of tools/train.py]
#
# HOST is one of tools/setup_env.sh: mmselfsup (default), mmpretrain or onedl.
# Run again after an interruption, it continues.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$root"
work_dir=
host=mmselfsup
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --work-dir)
        [ $# -gt 1 ] || fail '--work-dir needs a folder'
        work_dir=$2
        shift
        ;;
    --work-dir=*) work_dir=${1#*=} ;;
    --host)
        [ $# -gt 1 ] || fail '--host needs a name'
        host=$2
        shift
        ;;
    --host=*) host=${1#*=} ;;
    *) arguments+=("$1") ;;
    esac
    shift
done
config=configs/selfsup/caco/caco_resnet18_1xb64-sym-coslr-15e_photopatches.py

venv=.venv
default_dir=work_dirs/quickstart
if [ "$host" != mmselfsup ]; then
    venv=.venv-$host
    default_dir=work_dirs/quickstart-$host
fi
work_dir=${work_dir:-$default_dir}
bash tools/setup_env.sh --host "$host"
python=$root/$venv/bin/python
unset PYTHONPATH

cache=${CACO_EXT_CACHE:-${XDG_CACHE_HOME:-${HOME:-~}/.cache}/caco_ext}
if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
    export CACO_EXT_CACHE=$root/$venv/cache
    echo "[quickstart] cannot write in $cache: the pictures are in" \
        "$CACO_EXT_CACHE; other commands find them with this variable," \
        "CACO_EXT_CACHE, set to that"
fi

mkdir -p "$work_dir" || fail "cannot write in $work_dir; name another --work-dir"
exec 9>>"$work_dir/.quickstart.lock"
flock -n 9 || fail "another quick start works in $work_dir; wait for its end," \
    "or name another --work-dir"
# A run is continued only with the arguments that it was begun with.
begun=$work_dir/quickstart-arguments
finished=$work_dir/quickstart-finished
given=$(printf '%s\n' "${arguments[@]}")
if [ -f "$begun" ] && [ "$(cat "$begun")" != "$given" ]; then
    fail "$work_dir holds a run with other arguments; name another --work-dir"
fi
if [ -f "$finished" ]; then
    echo "[quickstart] $work_dir holds a finished run, which is kept;" \
        "for a new one name another --work-dir"
else
    if [ -f "$work_dir/last_checkpoint" ]; then
        echo "[quickstart] $work_dir holds an unfinished run: continuing"
    else
        echo "[quickstart] training into $work_dir (four to six minutes on two cores)"
    fi
    printf '%s\n' "$given" >"$begun"
    "$python" tools/train.py "$config" --work-dir "$work_dir" --resume \
        --report "${arguments[@]}"
    date >"$finished"
fi

checkpoint=$work_dir/$(basename "$(cat "$work_dir/last_checkpoint")")
backbone=$work_dir/backbone_$(basename "$checkpoint")
if ! [ -f "$backbone" ] || ! [ -f "$work_dir/report.html" ]; then
    # The log of the training says why they were not made at its end.
    "$python" tools/model_converters/extract_backbone.py "$checkpoint" \
        "$backbone"
    "$python" tools/analysis_tools/plot_run.py "$work_dir" --report
fi

# As they are to be typed: a folder's name may hold a space.
checkpoint=$(printf %q "$checkpoint")
backbone=$(printf %q "$backbone")
work_dir=$(printf %q "$work_dir")
cat <<EOT

[quickstart] done. Look at
  $work_dir/report.html      everything about the run, for a browser
  $work_dir/curves.png       loss and kNN accuracy by epoch
  $work_dir/neighbours.png   pictures and their nearest training pictures
  $checkpoint   everything, to continue from
  $backbone   the backbone alone, for other tasks
[quickstart] next, for example
  $venv/bin/python tools/test.py $config $checkpoint
  $venv/bin/python tools/train.py CONFIG    any other config in configs/selfsup
  bash tools/dist_train.sh $config 2
  bash tools/run_tests.sh
EOT
