#!/bin/sh
# packages.sh [--quickstart | --developer | --jobs | --python]: makes sure that what the build needs is there; with --quickstart
# also what analysis/ needs, with --developer what the tests' build needs, with --jobs what the tests of job scripts need. With
# --python it only prints the Python that has what analysis/ needs: of several, the first one.
#
# Each need is looked for as the build looks for it, so that what a module or another package system brought counts. What
# is missing is installed by apt-get, as root or through sudo; where that cannot be, it is named and the script ends with 1.
set -u

has_pkg() { pkg-config --exists "$1" 2>/dev/null; }
has_header() { printf '#include <%s>\n' "$1" | "${CC:-cc}" -E - >/dev/null 2>&1; }

has_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c "import h5py, matplotlib" >/dev/null 2>&1 && echo "$python" && return
    done
    false
}

if [ "${1:-}" = --python ]; then
    has_python
    exit
fi

# need PACKAGES TEST...: unless the test succeeds, the Debian packages are missing.
missing=
need() {
    packages=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $packages"
}

look() {
    missing=
    need "gcc libc6-dev" has_header stdio.h
    [ "${1:-}" != --developer ] || need g++ has_cxx
    [ "${1:-}" != --jobs ] || need "slurm-wlm munge" has_slurm
    [ "${1:-}" != --jobs ] || need slurm-wlm-torque command -v qsub
    [ "${1:-}" != --jobs ] || need shellcheck command -v shellcheck
    need make command -v make
    need cmake command -v cmake
    need pkg-config command -v pkg-config
    need "libopenmpi-dev openmpi-bin" command -v mpicc
    need "libhdf5-dev" has_hdf5
    need libconfig-dev has_pkg libconfig
    need libpcre2-dev has_pkg libpcre2-8
    need libutf8proc-dev has_pkg libutf8proc
    need libjansson-dev has_pkg jansson
    need libgmp-dev has_pkg gmp
    need liblapack-dev has_lapack
    [ "${1:-}" != --quickstart ] || need "python3 python3-h5py python3-matplotlib" has_python
}
has_slurm() { (PATH=$PATH:/usr/sbin:/sbin && command -v slurmctld && command -v slurmd && command -v munged && command -v sbatch); }
has_lapack() {
    object=$(mktemp)
    for libraries in -llapack -lopenblas -lmkl_rt -lsci; do
        printf 'void dsyevr_(void);\nint main(void) { dsyevr_(); return 0; }\n' | "${CC:-cc}" -x c - -o "$object" $libraries && break
    done
    found=$?
    rm -f "$object"
    return $found
}
has_cxx() { command -v "${CXX:-c++}" && printf '#include <tuple>\n' | "${CXX:-c++}" -x c++ -E -; }
has_hdf5() { command -v h5cc || command -v h5pcc || has_pkg hdf5 || has_pkg hdf5-serial; }

look "$@"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "packages.sh: missing, under their Debian names:$missing" >&2
    echo "packages.sh: this machine has no apt-get; load the modules that INSTALL names, then run this again" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    echo "packages.sh: missing; as root run: apt-get install$missing" >&2
    exit 1
fi
echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $root apt-get update && $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "packages.sh: apt-get could not install$missing" >&2
    exit 1
fi
look "$@"
if [ -n "$missing" ]; then
    echo "packages.sh: still missing after the installation:$missing" >&2
    exit 1
fi
