/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz.h"
#include "run/adapter_directory.h"

#define ADAPTER "tests/data/model/adapter/subset/"

/* adapter_config.json beside the factors of a good adapter. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hparams hparams;
    struct adapter_settings settings;
    struct strbuf out = STRBUF_EMPTY;
    if (hparams.layers == 0) {
        if (hparams_read("tests/data/model/qwen2", &hparams) != STATUS_OK)
            abort();
        fuzz_copy(ADAPTER ADAPTER_WEIGHTS_NAME, ADAPTER_WEIGHTS_NAME);
    }
    fuzz_write(ADAPTER_CONFIG_NAME, data, size);
    enum status status = adapter_directory_settings(fuzz_folder(), &hparams, &settings);
    if (status == STATUS_OK)
        status = adapter_config_text(&settings, "base", &out);
    if (status == STATUS_OK)
        status = adapter_directory_describe(fuzz_folder(), &out);
    strbuf_release(&out);
    return fuzz_end(status, 0);
}
