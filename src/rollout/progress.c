/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/progress.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { LOG_EVERY_S = 10 };

struct progress progress_of(const char *module, int64_t answers) {
    const double now_s = clock_now_s();
    return (struct progress){.module = module,
                             .start_s = now_s,
                             .told_s = now_s,
                             .answers = answers,
                             .live = isatty(STDERR_FILENO)};
}

void progress_hear(void *context, int64_t answers, int64_t tokens) {
    struct progress *progress = context;
    const double now_s = clock_now_s(), elapsed_s = now_s - progress->start_s;
    if (now_s - progress->told_s < (progress->live ? 0.2 : LOG_EVERY_S) || answers == 0)
        return;
    progress->told_s = now_s;
    const double left_s = elapsed_s / (double)answers * (double)(progress->answers - answers);
    if (progress->live)
        log_live("answers = %lld/%lld, tokens_per_s = %.0f, left_s = %.0f", (long long)answers,
                 (long long)progress->answers, (double)tokens / elapsed_s, left_s);
    else
        log_info(progress->module, "answers = %lld/%lld, tokens_per_s = %.0f, left_s = %.0f",
                 (long long)answers, (long long)progress->answers, (double)tokens / elapsed_s,
                 left_s);
}
