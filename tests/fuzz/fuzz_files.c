/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for libFuzzer: runs a target once on each file named on the command line.
 */
#include "fuzz/fuzz.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        size_t n;
        char *bytes = folder_read(argv[i], &n);
        LLVMFuzzerTestOneInput((const uint8_t *)bytes, n);
        free(bytes);
    }
    printf("%d files\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
