/* SPDX-License-Identifier: Apache-2.0 */
#include "backends.h"

#ifdef TESTS_CUDA
#include "cuda/backend_cuda.h"
#include "cuda/device.h"

bool backends_have_cuda(void) {
    int count = 0;
    backend_add(&cuda_backend);
    return device_count(&count) == STATUS_OK && count > 0;
}
#else
bool backends_have_cuda(void) {
    return false;
}
#endif

const char *const *backends_list(void) {
    static const char *const all[] = {"cpu", "check", "cuda", NULL}, *const without[] = {
                                                                         "cpu", "check", NULL};
    return backends_have_cuda() ? all : without;
}
