# Compiles mmcv with its operators, once for each combination of versions.
# Sourced by setup_env.sh, whose variables and functions it uses.
# shellcheck shell=bash disable=SC2154

mmcv_package=mmcv
mmcv_version=2.0.1
if [ "$host" = onedl ]; then
    mmcv_package=onedl-mmcv
    mmcv_version=$(sed -n 's/^onedl-mmcv==//p' \
        "$root/requirements/hosts/onedl.txt")
fi
wheels=${XDG_CACHE_HOME:-${HOME:-~}/.cache}/caco_ext/wheels

# Prints what a compiled wheel depends on, and the C++ that torch's headers
# are written in.
describe_torch='
import sys, torch
release = torch.__version__.replace("+", ".")
tag = "cp%d%d" % sys.version_info[:2]
if torch.cuda.is_available():
    archs = sorted({"%d.%d" % torch.cuda.get_device_capability(i)
                    for i in range(torch.cuda.device_count())})
    cuda = "cu" + torch.version.cuda.replace(".", "")
else:
    archs, cuda = [], "cpu"
numbers = tuple(int(n) for n in release.split(".")[:2])
print(release, tag, cuda, ";".join(archs) or "-",
      "c++20" if numbers >= (2, 14) else "c++17")
'

find_nvcc() { # prints the toolkit's folder, nothing when there is none
    local home=${CUDA_HOME:-${CUDA_PATH:-}} nvcc
    if [ -n "$home" ] && [ -x "$home/bin/nvcc" ]; then
        echo "$home"
    elif nvcc=$(command -v nvcc); then
        dirname "$(dirname "$(readlink -f "$nvcc")")"
    elif [ -x /usr/local/cuda/bin/nvcc ]; then
        echo /usr/local/cuda
    fi
}

check_compiler() { # PYTHON
    local compiler=${CXX:-} header
    if [ -z "$compiler" ]; then
        compiler=$(command -v g++ || command -v c++ || true)
        [ -n "$compiler" ] ||
            fail '--with-ops needs a C++ compiler and there is no g++' \
                '(Debian, Ubuntu: apt install g++)'
    else
        command -v "${compiler%% *}" >/dev/null ||
            fail "--with-ops: the compiler CXX=$compiler is not there"
    fi
    header=$("$1" -c 'import sysconfig
print(sysconfig.get_path("include"))')/Python.h
    [ -f "$header" ] ||
        fail "--with-ops needs $header" \
            '(Debian, Ubuntu: apt install python3-dev)'
}

check_compiler_early() { # PYTHON: before minutes of installing
    # Which wheel will do is known only when torch is there.
    compgen -G "$wheels/*/*mmcv-*.whl" >/dev/null || check_compiler "$1"
}

install_mmcv_with_ops() {
    local release tag cuda archs std folder wheel toolkit=''
    read -r release tag cuda archs std < <("$venv_python" -c \
        "$describe_torch")
    if [ "$cuda" != cpu ]; then
        toolkit=$(find_nvcc)
        if [ -z "$toolkit" ]; then
            say "a GPU is here but no nvcc: the operators will be the CPU's"
            cuda=cpu archs=-
        fi
    fi
    local key=$mmcv_package$mmcv_version-torch$release-$tag-$cuda
    [ "$archs" = - ] || key=$key-sm${archs//[.;]/}
    folder=$wheels/$key
    mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ] ||
        fail "cannot write in $folder; set XDG_CACHE_HOME"
    # Two clones may want the same wheel: the second waits and finds it.
    exec 8>>"$folder/lock"
    flock -n 8 || {
        say "another set-up compiles mmcv into $folder; waiting for it"
        flock 8
    }
    wheel=$(find "$folder" -name '*mmcv-*.whl' | head -n 1)
    if [ -z "$wheel" ]; then
        compile_mmcv
        wheel=$(find "$folder" -name '*mmcv-*.whl' | head -n 1)
    fi
    exec 8>&-
    step "mmcv with operators, $key" \
        pip_install --no-deps --force-reinstall "$wheel"
    step 'trying an operator' "$venv_python" -c '
import sys, torch
from mmcv.ops import nms
boxes = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 8], [20, 20, 30, 30]])
scores = torch.tensor([.9, .8, .7])
device = "cpu" if sys.argv[1] == "cpu" else "cuda"
kept = nms(boxes.to(device), scores.to(device), 0.5)[1]
assert kept.tolist() == [0, 2], kept
' "$cuda"
}

jobs_here() { # as many as there are cores, and 2 GB of memory for each
    local cores gigabytes
    cores=$(nproc)
    gigabytes=$(awk '/^MemAvailable/ {print int($2 / 2000000)}' /proc/meminfo)
    [ "$gigabytes" -ge 1 ] || gigabytes=1
    echo $((cores < gigabytes ? cores : gigabytes))
}

compile_mmcv() { # leaves a wheel in $folder
    check_compiler "$venv_python"
    local build=$venv/build-mmcv include source
    rm -rf "$build"
    mkdir "$build"
    step 'ninja' pip_install ninja psutil
    step "source of mmcv $mmcv_version" venv_pip download --no-deps \
        --no-build-isolation --no-binary "$mmcv_package" -d "$build" \
        "$mmcv_package==$mmcv_version"
    source=$build/${mmcv_package//-/_}-$mmcv_version
    tar -xf "$source.tar.gz" -C "$build"
    # torch's headers ask for a newer C++ than mmcv's setup.py names.
    sed -i "s/-std=c++1[47]/-std=$std/g" "$source/setup.py"
    (
        cd "$source" || exit 1
        export MMCV_WITH_OPS=1 FORCE_CUDA=0 MAX_JOBS=${MAX_JOBS:-$(jobs_here)}
        if [ "$cuda" != cpu ]; then
            export FORCE_CUDA=1 CUDA_HOME=$toolkit
            export TORCH_CUDA_ARCH_LIST=$archs
            # A toolkit may come without cusparse.h and others; the wheels
            # beside torch have them.
            for include in "$venv"/lib/python*/site-packages/nvidia/*/include
            do
                export CPATH=${CPATH:+$CPATH:}$include
            done
        else
            # Else mmcv takes nvcc for a GPU to compile for.
            export CUDA_VISIBLE_DEVICES=
        fi
        step "compiling $mmcv_package $mmcv_version for $cuda (77 files: \
long on few cores, longer with CUDA)" \
            "$venv_python" setup.py bdist_wheel -d "$build/dist"
    ) || exit 1
    # Renamed into place, so that nobody finds half a wheel.
    local made
    made=$(find "$build/dist" -name '*mmcv-*.whl')
    cp "$made" "$folder/unfinished.$$"
    mv "$folder/unfinished.$$" "$folder/$(basename "$made")"
    rm -rf "$build"
}
