/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"
#include "run/adapter_directory.h"

#define ADAPTER "tests/data/model/adapter/subset/"

/* adapter_model.safetensors beside a good adapter_config.json. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hparams hparams;
    static struct backend backend;
    static int64_t held;
    struct adapter *adapter = NULL;
    if (hparams.layers == 0) {
        if (hparams_read("tests/data/model/qwen2", &hparams) != STATUS_OK ||
            backend_open(&backend, "cpu", 1) != STATUS_OK)
            abort();
        fuzz_copy(ADAPTER ADAPTER_CONFIG_NAME, ADAPTER_CONFIG_NAME);
        held = memory_totals().bytes;
    }
    fuzz_write(ADAPTER_WEIGHTS_NAME, data, size);
    const enum status status =
        adapter_directory_open(&adapter, fuzz_folder(), &backend, &hparams, DTYPE_F32);
    adapter_destroy(&adapter);
    return fuzz_end(status, held);
}
