# Writes OUTPUT, the header that names this build; run at each build, touched only when something changed.
# cmake -D OUTPUT=… -D SOURCE=… -D VERSION=… -D COMPILER=… -D FLAGS=… -P revision.cmake
set(commit "unknown")
set(modified 0)
set(modified_text "")
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE
    RESULT_VARIABLE failed ERROR_QUIET)
if(failed EQUAL 0)
    set(commit ${head})
    execute_process(COMMAND git --no-optional-locks -C ${SOURCE} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes ERROR_QUIET)
    if(NOT changes STREQUAL "")
        set(modified 1)
        set(modified_text ", modified")
    endif()
endif()
string(REPLACE "\\" "\\\\" FLAGS "${FLAGS}")
string(REPLACE "\"" "\\\"" FLAGS "${FLAGS}")
file(WRITE ${OUTPUT}.new "/* SPDX-License-Identifier: Apache-2.0\n *\n * This build; made by src/file/revision.cmake.\n */
#ifndef FILE_REVISION_H
#define FILE_REVISION_H

#define REVISION_VERSION \"${VERSION}\"
#define REVISION_COMMIT \"${commit}\"
#define REVISION_MODIFIED ${modified}
#define REVISION_MODIFIED_TEXT \"${modified_text}\"
#define REVISION_COMPILER \"${COMPILER}\"
#define REVISION_FLAGS \"${FLAGS}\"

#endif
")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUTPUT}.new ${OUTPUT})
file(REMOVE ${OUTPUT}.new)
