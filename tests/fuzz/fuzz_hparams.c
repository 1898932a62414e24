/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"
#include "model/parameters.h"

enum { PARAMETERS_MAX = 100000 };

/* config.json, and the list of parameters of the model that it describes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hparams hparams;
    struct parameter *list = NULL;
    int64_t count;
    fuzz_write("config.json", data, size);
    enum status status = hparams_read(fuzz_folder(), &hparams);
    if (status == STATUS_OK && hparams.layers < PARAMETERS_MAX / 16) {
        status = parameters_list(&hparams, &list, &count);
        if (status == STATUS_OK && parameters_elements(&hparams) <= 0)
            abort();
        memory_release(&list);
    }
    return fuzz_end(status, 0);
}
