#!/usr/bin/env bash
# Set up, check the style, run the tests.
#
#   bash tools/run_tests.sh [--fast | --host HOST]
#       [arguments of pytest, e.g. tests/ops or -k lars]
#
# With --fast, neither the tests that are marked as slow nor the style.
# Without arguments, some tests run on the maintained forks too (onedl). With
# --host those tests run on that host, or what the arguments name.
# TEST_WORKERS (default 2) is the number of processes that run tests.
set -uo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# What depends on the host, in less than two minutes.
host_tests=(tests/hosts tests/compat/test_checkpoints.py
    tests/test_tools/test_check_parity.py::test_all_stored_numbers_are_met)
host=mmselfsup
others=()
fast=
[ $# -gt 0 ] || others=(onedl)
case ${1:-} in
--fast) fast=1 && shift && set -- -m 'not slow' "$@" ;;
--host=*) host=${1#*=} && shift ;;
--host) host=${2:-} && shift 2 ;;
esac
if [ "$host" != mmselfsup ]; then
    others=("$host")
    [ $# -eq 0 ] || host_tests=("$@")
fi

bash tools/setup_env.sh || exit 1
python=$PWD/.venv/bin/python
status=0

# Not what a user's shell may carry: the clone is what is tested.
unset PYTHONPATH
# More threads than cores make everything slower, most of all in two workers.
export OMP_NUM_THREADS=1
# Hundreds of processes are started: none is to compile what one before it has.
export PYTHONDONTWRITEBYTECODE=

run_pytest() { # PYTHON ARGUMENTS...
    # By file, or what the tests of a file share would be made by each worker;
    # in the order of tests/conftest.py, slow ones first.
    "$1" -m pytest -n "${TEST_WORKERS:-2}" --dist loadfile \
        --no-loadscope-reorder "${@:2}" || status=$?
}

sources=(caco_ext configs docs tools tests setup.py)
check() {
    echo "[tests] $1"
    "$python" -m "$@" || {
        echo "[tests] $1 has found something"
        status=1
    }
}
check_style() {
    check flake8 "${sources[@]}"
    check isort --check-only --quiet "${sources[@]}"
    check yapf --diff --recursive --parallel "${sources[@]}"
    check mypy
}

for other in "${others[@]}"; do
    bash tools/setup_env.sh --host "$other" &
    # To unpack packages takes one core.
    [ "$host" != mmselfsup ] || check_style
    wait $! || exit 1
    echo "[tests] on the host $other"
    MMSELFSUP_PYTHON=$python run_pytest "$PWD/.venv-$other/bin/python" \
        "${host_tests[@]}"
done
[ "$host" = mmselfsup ] || exit $status
[ ${#others[@]} -gt 0 ] || [ "$fast" ] || check_style

# Last, so that its closing line is the last one.
run_pytest "$python" "$@"
exit $status
