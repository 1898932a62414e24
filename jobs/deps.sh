#!/bin/sh
# deps.sh PREFIX [ARCHIVES]: builds libconfig, PCRE2, jansson, utf8proc, GMP and LAPACK, which clusters often lack, and installs
# them in PREFIX; no root is needed. Their archives are taken from the folder ARCHIVES where it has them, whatever they are called
# there, and else from Debian's archive; an archive with another checksum is not touched. For a machine without network:
#
#   sh jobs/deps.sh --fetch ARCHIVES         where there is one: only fetches them
#   sh jobs/deps.sh PREFIX ARCHIVES          after copying the folder; needs compilers for C and Fortran, make, cmake, m4,
#                                            tar, xz, sha256sum
#
# It ends with what the build and the jobs need to know of PREFIX. What stands there already is left as it is.
set -eu
pool=https://deb.debian.org/debian/pool/main

# name, file that says it is installed, archive in Debian's pool, its SHA-256
libraries="
libconfig libconfig.pc   libc/libconfig/libconfig_1.5.orig.tar.gz e31daa390d8e4461c8830512fe2e13ba1a3d6a02a2305a02429eec61e68703f6
pcre2     libpcre2-8.pc  p/pcre2/pcre2_10.42.orig.tar.gz          c33b418e3b936ee3153de2c61cc638e7e4fe3156022a5c77d0711bcbb9d64f1f
jansson   jansson.pc     j/jansson/jansson_2.14.orig.tar.gz       c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b
utf8proc  libutf8proc.pc u/utf8proc/utf8proc_2.8.0.orig.tar.gz    a0a60a79fe6f6d54e7d411facbfcc867a6e198608f2cd992490e46f04b1bcecc
gmp       gmp.pc         g/gmp/gmp_6.2.1+dfsg1.orig.tar.xz        471b9e463e04362a0124f215afc5f0a4b99caedeeb62634c61bbc12988efa64c
lapack    lapack.pc      l/lapack/lapack_3.11.0.orig.tar.gz       4b9ba79bfd4921ca820e83979db76ab3363155709444a787979e81c22285ffa9
"

fail() {
    echo "deps.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2
    exit 1
}

# find_archive SHA256: its path in $archives, by content, or nothing.
find_archive() {
    [ -d "$archives" ] || return 0
    find "$archives" -maxdepth 1 -type f -name '*.tar*' -exec sha256sum {} + | sed -n "s/^$1  //p" | head -n 1
}

# fetch URL-PART SHA256: into $archives; prints the path.
fetch() {
    found=$(find_archive "$2")
    if [ -z "$found" ]; then
        mkdir -p "$archives"
        found=$archives/$(basename "$1")
        if command -v curl >/dev/null 2>&1; then
            curl --fail --silent --show-error --location --output "$found.part" "$pool/$1"
        else
            wget --quiet --output-document="$found.part" "$pool/$1"
        fi || fail "$pool/$1 cannot be fetched: where there is a network run deps.sh --fetch FOLDER, then copy the folder here"
        [ "$(sha256sum <"$found.part" | cut -d ' ' -f 1)" = "$2" ] || fail "$pool/$1 has another checksum than it should: it is left as $found.part"
        mv "$found.part" "$found"
    fi
    echo "$found"
}

# build NAME: in its unpacked folder.
build() {
    case $1 in
    utf8proc) make -s prefix="$prefix" install ;;
    jansson)
        cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib \
            -DJANSSON_BUILD_SHARED_LIBS=ON -DJANSSON_BUILD_DOCS=OFF -DJANSSON_EXAMPLES=OFF -DJANSSON_WITHOUT_TESTS=ON
        cmake --build build --target install
        ;;
    lapack)
        cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=ON
        cmake --build build --parallel "$(nproc 2>/dev/null || echo 2)" --target install
        ;;
    gmp)
        mkdir -p doc # Debian left it out, but the build asks for it
        printf 'all install:\n' >doc/Makefile.in
        ./configure --quiet --prefix="$prefix"
        make -s -j "$(nproc 2>/dev/null || echo 2)"
        make -s install
        ;;
    *)
        # shellcheck disable=SC2046 # three words or none
        ./configure --quiet --prefix="$prefix" $([ "$1" != libconfig ] || echo --disable-cxx --disable-examples --disable-doc)
        make -s -j "$(nproc 2>/dev/null || echo 2)"
        make -s install
        ;;
    esac
}

case $# in 1 | 2) ;; *) usage ;; esac
if [ "$1" = --fetch ]; then
    archives=${2:?deps.sh --fetch takes a folder}
    echo "$libraries" | while read -r name _ part sum; do
        [ -z "$name" ] || fetch "$part" "$sum"
    done
    exit
fi
case $1 in -*) usage ;; esac
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
archives=${2:-$prefix/archives}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig:${PKG_CONFIG_PATH:-}"
echo "$libraries" | while read -r name installed part sum; do
    if [ -z "$name" ] || [ -e "$prefix/lib/pkgconfig/$installed" ]; then
        continue
    fi
    archive=$(fetch "$part" "$sum")
    mkdir "$work/$name"
    tar -xf "$archive" -C "$work/$name" --strip-components=1
    echo "deps.sh: building $name"
    (set -e && cd "$work/$name" && build "$name") >"$work/$name.log" 2>&1 || {
        tail -n 20 "$work/$name.log" >&2
        fail "$name cannot be built; its log ends above"
    }
    [ -e "$prefix/lib/pkgconfig/$installed" ] || fail "$name was built but left no $prefix/lib/pkgconfig/$installed"
done
cat <<END
Before the build, and in site_setup of jobs/site.sh:
    export PKG_CONFIG_PATH=$prefix/lib/pkgconfig:\$PKG_CONFIG_PATH
    export LD_LIBRARY_PATH=$prefix/lib:\$LD_LIBRARY_PATH
END
