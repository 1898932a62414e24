#!/bin/sh
# reference.sh ROOT GRADUS: input/reference.cfg is what the program says its parameters are.
set -eu
"$2" params --reference | cmp - "$1/input/reference.cfg" || {
    echo "input/reference.cfg is out of date: run gradus params --reference > input/reference.cfg"
    exit 1
}
