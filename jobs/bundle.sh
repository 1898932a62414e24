#!/bin/sh
# bundle.sh PROGRAM DIRECTORY: a folder that runs where neither MPI nor HDF5 is installed: a machine with nothing but a GPU
# driver and CUDA, a node whose modules are not yours. In it are the program, the libraries that it needs besides those of
# the system and of CUDA, and the components of Open MPI, if that is its MPI. DIRECTORY/gradus starts it, as one process.
#
#   cmake --build build --target bundle      makes build/bundle
set -eu
[ $# = 2 ] || {
    echo "usage: bundle.sh PROGRAM DIRECTORY" >&2
    exit 1
}
program=$1
directory=$2
[ -x "$program" ] || {
    echo "bundle.sh: $program is no program; build it first" >&2
    exit 2
}

# What every Linux has, and what must be the other machine's own: the C library, the driver, CUDA.
left_behind='^(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libresolv|libutil|libcuda|libcudart|libcublas|libcublasLt|libnccl|libnvidia.*)\.so'

part="$directory.part"
rm -rf "$part"
mkdir -p "$part/lib" "$part/openmpi"
cp "$program" "$part/lib/gradus.bin"

# copy_libraries FILE: what the loader would take for it, each once
copy_libraries() {
    ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | while read -r name path; do
        printf '%s\n' "$name" | grep -Eq "$left_behind" || [ -e "$part/lib/$name" ] || cp -L "$path" "$part/lib/$name"
    done
}
copy_libraries "$program"

# Open MPI opens its components by name, at MPI_Init.
components=$(ldd "$program" | awk '/libmpi\.so/ { print $3 }')
components=$([ -z "$components" ] || ompi_info --path pkglibdir --parsable 2>/dev/null | sed 's/.*://')
if [ -d "$components" ]; then
    cp -L "$components"/*.so "$part/openmpi/"
    for component in "$part"/openmpi/*.so; do
        copy_libraries "$component"
    done
fi

cat >"$part/gradus" <<'EOF'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# Open MPI alone: its components from here, no daemon beside it, no network.
export OMPI_MCA_mca_base_component_path="$here/openmpi" OMPI_MCA_ess_singleton_isolated=1
export OMPI_MCA_btl=self OMPI_MCA_pml=ob1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
exec "$here/lib/gradus.bin" "$@"
EOF
chmod +x "$part/gradus"
rm -rf "$directory"
mv "$part" "$directory"
echo "bundle.sh: $directory, $(du -sh "$directory" | cut -f1)"
