#!/usr/bin/env bash
# Set up, check the style, run the tests.
#
#   bash tools/run_tests.sh [arguments of pytest, e.g. tests/ops or -k lars]
#
# TEST_WORKERS (default 2) is the number of processes that run tests.
set -uo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

bash tools/setup_env.sh || exit 1
python=$PWD/.venv/bin/python
status=0

# Not what a user's shell may carry: the clone is what is tested.
unset PYTHONPATH
# More threads than cores make everything slower, most of all in two workers.
export OMP_NUM_THREADS=1

sources=(caco_ext configs docs tools tests setup.py)
check() {
    echo "[tests] $1"
    "$python" -m "$@" || {
        echo "[tests] $1 has found something"
        status=1
    }
}
check flake8 "${sources[@]}"
check isort --check-only --quiet "${sources[@]}"
check yapf --diff --recursive --parallel "${sources[@]}"

# Last, so that its closing line is the last one.
# By file, or what the tests of a file share would be made by each worker; in
# the order of tests/conftest.py, and not files of many tests first.
"$python" -m pytest -n "${TEST_WORKERS:-2}" --dist loadfile \
    --no-loadscope-reorder "$@" || status=$?
exit $status
