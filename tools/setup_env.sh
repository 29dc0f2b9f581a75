#!/usr/bin/env bash
# Make .venv in the root of this clone and install everything into it.
set -euo pipefail

usage() {
    cat <<'USAGE'
usage: bash tools/setup_env.sh [--host HOST] [--with-ops | --without-ops]
                               [--python PYTHON]

Makes .venv in the root of the clone with the versions in requirements/ and
this package, editable. Repeat it at any time: it does what is missing.

  --host HOST      mmselfsup (default), or another to run on, in an environment
                   of its own: mmpretrain (.venv-mmpretrain), or onedl, the
                   maintained forks (.venv-onedl)

  --with-ops       mmcv with its compiled operators (detection, segmentation);
                   compiled once, then taken from
                   ${XDG_CACHE_HOME:-~/.cache}/caco_ext/wheels
  --without-ops    back to mmcv-lite, which a new environment gets; with
                   neither option an environment keeps what it has
  --python PYTHON  the Python to use, 3.10 to 3.12; default: the first that
                   fits of python3, python, python3.11, python3.12, python3.10

Environment: MIN_DISK_GB (default 8) is the free space that is asked for.
USAGE
}

fail() {
    echo "setup_env.sh: error: $*" >&2
    exit 1
}

say() {
    echo "[setup] $*"
}

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
host=mmselfsup
ops=keep
python=

while [ $# -gt 0 ]; do
    case $1 in
    --host)
        [ $# -gt 1 ] || fail '--host needs a name; see --help'
        host=$2
        shift
        ;;
    --host=*) host=${1#*=} ;;
    --with-ops) ops=full ;;
    --without-ops) ops=lite ;;
    --python)
        [ $# -gt 1 ] || fail '--python needs the path of a Python'
        python=$2
        shift
        ;;
    --python=*) python=${1#*=} ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown option $1; see --help" ;;
    esac
    shift
done

case $host in
mmselfsup) venv=$root/.venv ;;
mmpretrain | onedl) venv=$root/.venv-$host ;;
*) fail "unknown --host $host: mmselfsup, mmpretrain or onedl" ;;
esac
venv_python=$venv/bin/python
marker=$venv/.made-by-setup-env # this script made the folder
stamp=$venv/.complete           # what is in it, written last
log=$venv/setup.log
lock=$venv.lock

# What a user's shell may carry and what would lead pip or Python elsewhere.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX
export PYTHONNOUSERSITE=1 PIP_USER=0 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
export PIP_DISABLE_PIP_VERSION_CHECK=1

version_of() { # prints MAJOR.MINOR, nothing when it is no Python at all
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null ||
        true
}

supported() {
    case $1 in 3.10 | 3.11 | 3.12) ;; *) return 1 ;; esac
}

choose_python() { # sets $python
    local found='' version candidate
    if [ -n "$python" ]; then
        version=$(version_of "$python")
        [ -n "$version" ] || fail "--python $python does not run"
        supported "$version" ||
            fail "--python $python is Python $version; 3.10 to 3.12 is" \
                "supported (numpy 1.26 and mmcv 2.0.1 need that)"
    else
        for candidate in python3 python python3.11 python3.12 python3.10; do
            version=$(version_of "$candidate")
            [ -n "$version" ] || continue
            if supported "$version"; then
                python=$candidate
                break
            fi
            found="$found $candidate is $version,"
        done
        [ -n "$python" ] ||
            fail "no Python 3.10 to 3.12 here (${found:- no python3,}" \
                "name one with --python PYTHON)"
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python cannot make environments; install its venv package" \
            "(Debian, Ubuntu: apt install python3-venv)"
}

# --- what should be there, and whether it is -------------------------------

field() { # NAME: a line of the stamp
    [ -f "$stamp" ] && sed -n "s/^$1=//p" "$stamp" || true
}

describe() { # the stamp that a finished environment gets
    # The root is part of it because an environment cannot be moved.
    echo "root=$root"
    echo "python=$1"
    echo "ops=$2"
    echo "files=$(cd "$root" && cat requirements/*.txt requirements/hosts/*.txt setup.py \
        pyproject.toml caco_ext/version.py caco_ext/utils/startup.py \
        tools/setup_env.sh | sha256sum | cut -d ' ' -f 1)"
}

full_version() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3],
             sys.base_prefix)' 2>/dev/null || true
}

is_complete() {
    local wanted_ops=$ops wanted_python
    [ -f "$stamp" ] && [ -x "$venv_python" ] || return 1
    [ "$wanted_ops" != keep ] || wanted_ops=$(field ops)
    wanted_python=$(full_version "$venv_python")
    # Its Python may have been removed or replaced.
    [ -n "$wanted_python" ] || return 1
    if [ -n "$python" ]; then
        wanted_python=$(full_version "$python")
    fi
    [ "$(cat "$stamp")" = "$(describe "$wanted_python" "$wanted_ops")" ]
}

ready() {
    say "ready: $venv ($1)"
    exit 0
}

[ -z "$python" ] || choose_python
if is_complete; then
    ready 'nothing to do'
fi

# --- one at a time ----------------------------------------------------------

if ! (umask 000 && : >>"$lock") 2>/dev/null; then
    fail "cannot write in $root; make it writable or clone elsewhere"
fi
command -v flock >/dev/null ||
    fail 'the command flock is missing (package util-linux)'
# What this script starts inherits the lock. A pip that outlives a killed
# script therefore keeps it, and nobody installs beside it.
exec 9>>"$lock"
if ! flock -n 9; then
    say "another set-up works on $venv; waiting for it"
    flock 9
    if is_complete; then
        ready 'made by the other set-up'
    fi
fi

SECONDS=0
no_network='pip finds no package: no network, or an index without it'
explain() { # what went wrong, from the log's end
    local end
    end=$(tail -n 60 "$log" 2>/dev/null || true)
    case $end in
    *'No space left on device'*) echo 'the disk is full' ;;
    *'No matching distribution'* | *'Could not find a version'* | \
        *'connection error'* | *'Connection'*rror* | *'Max retries'* | \
        *'timed out'* | *'Temporary failure'* | *'Network is unreachable'*)
        echo "$no_network"
        ;;
    *'compatible compiler is required'* | *'unrecognized command'*)
        echo 'the compiler is too old for this torch'
        ;;
    *'Killed'* | *'out of memory'*) echo 'out of memory; set MAX_JOBS=1' ;;
    *) echo 'the step failed' ;;
    esac
}

step() { # MESSAGE COMMAND...: into the log; one line when it fails
    local message=$1
    shift
    say "$message"
    echo "== $* ($(date))" >>"$log"
    "$@" >>"$log" 2>&1 && return
    local why
    why=$(explain)
    if [ "$why" = "$no_network" ] && [ -f "$stamp.before" ]; then
        # pip fetches everything before it changes anything: what was sound
        # still is, and not to be made anew where nothing can be fetched.
        echo unfinished >>"$stamp.before"
        mv "$stamp.before" "$stamp"
    fi
    fail "$message: $why; details: $log"
}

venv_pip() {
    "$venv_python" -m pip "$@"
}

pip_install() {
    # Compiling all of torch takes longer than what imports compile of it.
    venv_pip install --prefer-binary --no-compile "$@"
}

# --- the environment --------------------------------------------------------

if [ -d "$venv" ] && [ ! -f "$marker" ] &&
    [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
    fail "$venv was not made by this script; move it away"
fi

check_disk() {
    local need=${MIN_DISK_GB:-8} tmp=${TMPDIR:-/tmp} free
    case $need in '' | *[!0-9]*)
        fail "MIN_DISK_GB=$need is no whole number" ;;
    esac
    # 6.2 GB unpacked; while pip works, wheels of 1.3 GB at most in its
    # temporary folder, and while there is room, 3.3 GB in its cache.
    free=$(df -Pk "$root" | awk 'NR == 2 {print int($4 / 1000 / 1000)}')
    [ "$free" -ge "$need" ] ||
        fail "$free GB free in $root, $need GB needed" \
            "(MIN_DISK_GB=$free tries all the same)"
    free=$(df -Pk "$tmp" | awk 'NR == 2 {print int($4 / 1000 / 1000)}')
    [ "$free" -ge $((need / 4)) ] ||
        fail "$free GB free in $tmp, $((need / 4)) GB needed;" \
            "set TMPDIR to a folder with more"
    free=$(df -Pk "${HOME:-/}" 2>/dev/null |
        awk 'NR == 2 {print int($4 / 1000 / 1000)}') || true
    if [ "${free:-0}" -lt $((need * 2)) ]; then
        say "${free:-0} GB free for pip's cache: it keeps nothing there"
        export PIP_NO_CACHE_DIR=1
    fi
}

share_packages() { # those of .venv, when that has the same Python
    # Most of the room and of the time. Hard links: no file is written twice,
    # and pip, which only replaces files, leaves the other environment alone.
    local packages there
    packages=lib/python$(version_of "$venv_python")/site-packages
    there=$venv/$packages
    [ "$host" != mmselfsup ] && [ -d "$root/.venv/$packages/torch" ] &&
        grep -qx "python=$want" "$root/.venv/.complete" 2>/dev/null || return 1
    # While no set-up changes them.
    if ! flock -n "$root/.venv.lock" \
        cp -al "$root/.venv/$packages" "$there.shared" 2>>"$log"; then
        rm -rf "$there.shared"
        return 1
    fi
    rm -rf "$there"
    mv "$there.shared" "$there"
    step 'packages are those of .venv' "$venv_python" -c '
import os, sys
from importlib.metadata import entry_points
from pip._vendor.distlib.scripts import ScriptMaker
maker = ScriptMaker(None, os.path.dirname(sys.executable))
maker.executable, maker.variants = sys.executable, {""}
for program in entry_points(group="console_scripts"):
    maker.make(f"{program.name} = {program.value}")'
    step "removing what $host replaces" \
        venv_pip uninstall -y "${replaced[@]}" mmcv mmcv-lite
}

# One file a host says what it has in the place of what.
requirements=$venv/requirements.txt
of_host=$root/requirements/hosts/$host.txt
read -r -a replaced < <(sed -n 's/^# in place of: //p' "$of_host") || true

old_ops=$(field ops)
[ "$ops" != keep ] || ops=${old_ops:-lite}
have=$(full_version "$venv_python")
want=$have
[ -z "$python" ] || want=$(full_version "$python")
if [ "$ops" = full ]; then
    # shellcheck source=tools/build_mmcv.sh
    . "$root/tools/build_mmcv.sh"
fi
if [ ! -f "$stamp" ] || [ -z "$have" ] || [ "$have" != "$want" ] ||
    [ "$(field root)" != "$root" ]; then
    # Never begun, interrupted, moved, or of another Python: pip takes what
    # it finds half installed for installed, so begin anew.
    [ -n "$python" ] || choose_python
    [ "$ops" != full ] || check_compiler_early "$python"
    rm -rf "$venv"
    check_disk
    mkdir "$venv"
    : >"$marker"
    step "1/4 environment of Python $(version_of "$python")" \
        "$python" -m venv "$venv"
    want=$(full_version "$venv_python")
    # The pip that comes with Python takes half as long again. Also, this
    # finds out within seconds whether there is a network.
    share_packages || step 'a recent pip' pip_install 'pip>=25'
else
    [ "$ops" != full ] || check_compiler_early "$venv_python"
    say '1/4 environment is there, bringing it up to date'
    mv "$stamp" "$stamp.before"
fi

pattern='^$'
lists=("$root"/requirements/*.txt)
if [ ${#replaced[@]} -gt 0 ]; then
    pattern=$(printf '|^%s==' "${replaced[@]}")
    pattern=${pattern#|}
fi
grep -v '^#' "$of_host" >"$requirements"
cat "${lists[@]}" | grep -Ev "$pattern" >>"$requirements"
if [ "$ops" = full ]; then
    # The compiled one follows.
    sed -i -E '/^(onedl-)?mmcv/d' "$requirements"
fi

installed() {
    "$venv_python" -c "from importlib.metadata import version
version('$1')" 2>/dev/null
}

# The two hold the same files: the other goes before the one comes. Of the
# fork there is one; pip must not take the compiled one for that without.
case $host:$ops in
onedl:full) other= ;;
onedl:lite) [ "$old_ops" = full ] && other=onedl-mmcv || other= ;;
*:full) other=mmcv-lite ;;
*) other=mmcv ;;
esac
if [ -n "$other" ] && installed "$other"; then
    step "removing $other" venv_pip uninstall -y "$other"
fi

if installed opencv-python-headless; then
    # From the step below, of an earlier set-up; pip would put the other one
    # into the same folder.
    step 'removing opencv-python-headless' \
        venv_pip uninstall -y opencv-python-headless opencv-python
fi

install_torch() {
    # Part by part: pip keeps all wheels of a call until its end, and those of
    # torch together are 3 GB.
    local part
    grep -E '^torch(vision)?==' "$requirements" >"$venv/torch.txt"
    pip_install --no-deps -r "$venv/torch.txt" || return
    "$venv_python" -c '
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
for part in map(Requirement, requires("torch")):
    if (part.name.startswith(("cuda-", "nvidia-", "triton")) and
            (part.marker is None or part.marker.evaluate({"extra": ""}))):
        part.marker = None
        print(part)
' >"$venv/parts.txt" || return
    while read -r part; do
        pip_install "$part" </dev/null || return
    done <"$venv/parts.txt"
}

install_first() {
    # Unpacking takes one core. No package is in both halves: what torch needs
    # besides its own libraries comes in the step after this.
    install_torch &
    local torch=$! failed=0
    grep -Ev '^torch(vision)?==' "$requirements" >"$venv/others.txt"
    pip_install -r "$venv/others.txt" || failed=1
    wait $torch && return $failed
}

if ! installed torch; then
    step '2/4 packages (torch alone is 3 GB; two minutes where it is near)' \
        install_first
fi
step '3/4 what packages need besides' pip_install -r "$requirements"
# Two of openmim's requirements downgrade setuptools; it works without them.
step 'openmim' pip_install --no-deps openmim==0.3.9
if ! "$venv_python" -c 'import cv2' 2>>"$log"; then
    # opencv-python wants a desktop's libraries (libGL).
    step 'opencv without its windows: this machine has no libGL' \
        venv_pip uninstall -y opencv-python
    step 'opencv-python-headless' \
        pip_install --no-deps "opencv-python-headless==$(sed -n \
            's/^opencv-python==\([0-9.]*\).*/\1/p' "$requirements")"
fi
if [ "$ops" = full ]; then
    install_mmcv_with_ops
fi
step '4/4 this package' pip_install -e "$root" --no-deps --no-build-isolation
# Python keeps what it compiles here, even where the shell forbids that: or
# every start of a tool would spend ten seconds on compiling the same again.
home=${HOME:-}
[ -w "$home" ] || home=$venv # mim makes a folder in it when it is imported
step 'trying the imports' env PYTHONDONTWRITEBYTECODE= HOME="$home" \
    "$venv_python" -c '
import sys
import caco_ext, caco_ext.apis, caco_ext.converters, caco_ext.visualization
if sys.argv[1] == "mmselfsup":
    import mmcls.models, mmdet, mmseg, mmselfsup.datasets
    import mmselfsup.engine, mmselfsup.models, mmselfsup.visualization
else:
    import mmpretrain.datasets, mmpretrain.engine, mmpretrain.models
    import mmdet, mmseg
import matplotlib.pyplot, mim, onnxruntime, pytest, skimage.data, sklearn.svm
import torch._dynamo, torch.distributed.run, torch.onnx
import torch.utils.tensorboard, torchvision
' "$host"
describe "$want" "$ops" >"$stamp.new"
mv "$stamp.new" "$stamp"
rm -f "$stamp.before"
say "ready: $venv ($host, Python $want, mmcv $ops; $SECONDS s)"
