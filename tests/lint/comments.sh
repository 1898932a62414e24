#!/bin/sh
# comments.sh ROOT: comments are whole. Torn is one whose end stands alone behind a full line, one that begins behind code and
# goes on below it, and one with a single word in a line between full ones: so a formatter leaves them when they are too long.
set -eu
cd "$1"
files=$(find src mpi cuda tests -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | sort)
# shellcheck disable=SC2086
awk '
    function fail(line, sentence) { print FILENAME ":" line ": " sentence; failed = 1 }
    FNR == 1 { inside = lonely = 0 }
    inside {
        text = $0
        sub(/^[ \t]*\*?[ \t]*/, "", text)
        if (/^[ \t]*\*\/$/) text = ""
        if (text == "" && /\*\/$/ && length(before) >= 90 && head !~ /SPDX/)
            fail(FNR, "the end of a comment stands alone behind a full line")
        if (behind)
            fail(FNR, "a comment behind code goes on below it; put it above")
        if (lonely && text ~ /^[a-z]/ && length($0) >= 60)
            fail(lonely, "a single word stands in a line between full ones")
        lonely = split(text, words, /[ \t]+/) == 1 && text !~ /\*\// && length(before) >= 90 ? FNR : 0
        if (/\*\//) inside = lonely = 0
        before = $0
        next
    }
    {
        code = $0
        gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
        gsub(/\/\*([^*]|\*[^\/])*\*\//, "", code)
        sub(/\/\/.*/, "", code)
        if (code ~ /\/\*/) { inside = 1; head = $0; behind = code !~ /^[ \t]*\/\*/ }
        before = $0
    }
    END { exit failed }' $files
