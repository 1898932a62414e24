/* SPDX-License-Identifier: Apache-2.0
 *
 * The backends that this build has, for tests that run over all of them.
 */
#ifndef TESTS_BACKENDS_H
#define TESTS_BACKENDS_H

#include "backend/backend.h"

/* Makes "cuda" known to backend_open; false where it was not built, or there is no GPU to open. */
bool backends_have_cuda(void);

/* "cpu", "check" and, where there is one, "cuda"; ends with NULL. */
const char *const *backends_list(void);

#endif
