/* SPDX-License-Identifier: Apache-2.0
 *
 * What the samples of `gradus eval` depend on, as text, a line for each thing: by it an evaluation that
 * goes on knows that what it finds is its own. The machine is not in it, nor what matters to no
 * sample.
 */
#ifndef RUN_EVALUATION_IDENTITY_H
#define RUN_EVALUATION_IDENTITY_H

#include "base/status.h"
#include "base/strbuf.h"
#include "config/settings.h"
#include "eval/evaluation.h"

/* `weights`: their checksum (model/fingerprint.h). `checkpoint`: a file whose parameters took their
 * place, or NULL. */
enum status evaluation_identity(const struct settings *settings,
                                const struct evaluation *evaluation, const char *weights,
                                const char *checkpoint, struct strbuf *out) MUST_USE;

/* STATUS_INPUT with the first line that differs; `where` holds what was found. */
enum status evaluation_identity_compare(const char *where, const struct strbuf *found,
                                        const struct strbuf *now) MUST_USE;

#endif
