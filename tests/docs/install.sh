#!/bin/sh
# install.sh ROOT GRADUS: what INSTALL says of packages, options and commands is what the scripts and the build do.
. "$(dirname "$0")/lib.sh"
names_exist INSTALL
parameters_exist INSTALL
commands_exist INSTALL

# The packages of the table are those that jobs/packages.sh installs.
sed -n 's/^ *need "\{0,1\}\([a-z0-9 -]*\)"\{0,1\} \(has_\|command\).*/\1/p; s/.*|| need "\([^"]*\)".*/\1/p' "$root/jobs/packages.sh" |
    tr ' ' '\n' | grep . | sort -u >"$work/installed"
[ "$(wc -l <"$work/installed")" -gt 8 ] || fail "the packages of jobs/packages.sh were not found"
while read -r package; do
    grep -qE "(^|[ (])$package([ ),]|$)" "$root/INSTALL" || fail "INSTALL does not name the package $package"
done <"$work/installed"

# Options of ours, in the table and in CMakeLists.txt, are the same.
sed -n 's/^option(\(GRADUS_[A-Z_]*\) .* \(ON\|OFF\))$/\1 \2/p' "$root/CMakeLists.txt" | sort >"$work/options"
sed -n 's/^    \(GRADUS_[A-Z_]*\)  *\(ON\|OFF\) .*/\1 \2/p' "$root/INSTALL" | sort >"$work/told"
diff "$work/options" "$work/told" || fail "the table of options is not that of CMakeLists.txt"
[ -s "$work/options" ] || fail "no option was found in CMakeLists.txt"

# Each library that the build asks for is in the table; sections are numbered without a gap.
for library in $(sed -n 's/^pkg_check_modules(\([A-Z0-9]*\) .*/\1/p; s/^find_package(\([A-Za-z0-9]*\) .*/\1/p' "$root/CMakeLists.txt"); do
    grep -qiE "^    $(echo "$library" | sed 's/PkgConfig/pkg-config/')" "$root/INSTALL" || fail "INSTALL's table lacks $library"
done
sed -n 's/^\([0-9]*\)\. .*/\1/p' "$root/INSTALL" | awk '$1 != NR { exit 1 }' || fail "the sections of INSTALL are not numbered 1, 2, 3 ..."
least=$(sed -n 's/^cmake_minimum_required(VERSION \(.*\))/\1/p' "$root/CMakeLists.txt")
grep -q "^    CMake  *$least " "$root/INSTALL" || fail "INSTALL does not ask for CMake $least"
finish
