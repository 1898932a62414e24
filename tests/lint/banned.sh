#!/bin/sh
# banned.sh ROOT: functions that hide their bounds, their errors or a state are not called; the process is not ended but
# where a whole job, a second interrupt, a guard or a forked child asks for it (`enders`); GRADUS_WITH_ stands in src/main.c alone.
set -eu
cd "$1"
enders="src/base/status.c src/base/guard.c src/base/stop.c src/comm/comm_self.c mpi/comm_mpi.c src/cli/cmd_inspect.c cuda/host/fiber.cpp"
files=$(find src mpi cuda -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' | grep -v '^cuda/lab/' | sort)
# shellcheck disable=SC2086
awk -v enders=" $enders " '
    function fail(sentence) { print FILENAME ":" FNR ": " sentence; failed = 1 }
    FNR == 1 { comment = 0 }
    {
        line = $0
        gsub(/\\./, "", line)
        gsub(/"[^"]*"/, "\"\"", line)
        gsub(/\/\*([^*]|\*[^\/])*\*\//, "", line)
        if (comment && line ~ /\*\//) { sub(/^.*\*\//, "", line); comment = 0 }
        if (comment) next
        if (line ~ /\/\*/) { sub(/\/\*.*/, "", line); comment = 1 }
        sub(/\/\/.*/, "", line)
        code = " " line
        if (match(code, /[^A-Za-z0-9_](strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|rand|srand|gets|setjmp|longjmp|alloca)[ \t]*\(/))
            fail(substr(code, RSTART + 1, RLENGTH - 1) ") is banned")
        if (match(code, /[^A-Za-z0-9_.>](exit|_exit|_Exit|quick_exit|abort)[ \t]*\(/) && index(enders, " " FILENAME " ") == 0)
            fail(substr(code, RSTART + 1, RLENGTH - 1) ") ends the process; return a status")
        if (code ~ /GRADUS_WITH_/ && FILENAME != "src/main.c")
            fail("GRADUS_WITH_ belongs into src/main.c")
    }
    END { exit failed }' $files
