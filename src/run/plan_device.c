/* SPDX-License-Identifier: Apache-2.0 */
#include "run/plan_device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)

/* Memory as nvidia-smi tells it; peaks from NVIDIA's data sheets of the SXM boards: dense bf16 on
 * tensor cores, fp32 without them. */
static const struct plan_device devices[] = {
    {"a100-40", "NVIDIA A100 40 GB", 40960 * MIB, 2 * GIB, 312e12, 19.5e12, 1.555e12},
    {"a100-80", "NVIDIA A100 80 GB", 81920 * MIB, 2 * GIB, 312e12, 19.5e12, 2.039e12},
    {"h100-80", "NVIDIA H100 80 GB", 81559 * MIB, 2 * GIB, 989.4e12, 67e12, 3.35e12},
    {"h200-141", "NVIDIA H200 141 GB", 143771 * MIB, 2 * GIB, 989.4e12, 67e12, 4.8e12},
    {"cpu", "this machine", 0, 0, 0, 0, 0},
};
enum { DEVICES = sizeof devices / sizeof *devices };

enum status plan_device_find(const char *name, int ranks, struct plan_device *device) {
    char quoted[STATUS_QUOTE_MAX], names[160] = "";
    for (int i = 0; i < DEVICES; i++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", devices[i].name);
        if (strcmp(name, devices[i].name) != 0)
            continue;
        *device = devices[i];
        if (device->memory_bytes == 0) {
            device->memory_bytes = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / ranks;
            device->reserved_bytes = device->memory_bytes / 20; /* the system's own */
        }
        return STATUS_OK;
    }
    return FAIL(STATUS_USAGE, "there is no device '%s'; known are %s",
                status_quote(quoted, name, SIZE_MAX), names);
}

int64_t plan_device_bytes(const struct plan_memory *memory) {
    const int64_t rollout = memory->sums[PLAN_ROLLOUT], training = memory->sums[PLAN_TRAINING];
    return rollout > training ? rollout : training;
}

/* Texts that a rank draws, `share` of them behind the same prompt. */
struct drawn {
    double texts, share, prompt, length;
};

/* Bytes that this reads: for each token of the texts in flight the weights once, and their keys and
 * values, half of the text on average. */
static double bytes_of(const struct plan *plan, const struct drawn *drawn) {
    const struct settings *settings = plan->settings;
    const struct hparams *h = &plan->run.lm.hparams;
    const bool bf16 = settings->model.precision == SETTING_PRECISION_BF16;
    const double given = (double)settings->rollout.answers_in_flight,
                 flight = given > 0 && given < drawn->texts ? given : drawn->texts,
                 position = 2.0 * sizeof(float) * (double)(h->layers * h->K * h->D),
                 weights = (bf16 ? 2.0 : 4.0) * (double)parameters_elements(h);
    return drawn->length *
           (drawn->texts / flight * weights +
            drawn->texts * position * (drawn->prompt / drawn->share + drawn->length / 2));
}

/* On the busiest rank: its answers, and what a discriminator reasons about them. */
static double drawing_bytes(const struct plan *plan, double balance) {
    const struct settings *settings = plan->settings;
    const struct row_lengths *longest = &plan->run.longest;
    const double group_size = (double)settings->rollout.group_size,
                 groups = (double)settings->rollout.prompts_per_step / (plan->ranks * balance);
    const struct drawn answers = {.texts = groups * group_size,
                                  .share = group_size,
                                  .prompt = (double)(longest->both - longest->answer),
                                  .length = (double)longest->answer};
    const struct drawn reasons = {.texts = groups * (1 + group_size),
                                  .share = 1,
                                  .prompt = (double)(longest->judged + longest->answer +
                                                     longest->reasoned -
                                                     settings->adversarial.reason_tokens),
                                  .length = (double)settings->adversarial.reason_tokens};
    return bytes_of(plan, &answers) + (longest->reasoned > 0 ? bytes_of(plan, &reasons) : 0.0);
}

enum status plan_time_of(const struct plan *plan, const struct plan_device *device,
                         struct plan_time *time) {
    const struct plan_work work = plan_work_of(plan);
    const bool bf16 = plan->settings->model.precision == SETTING_PRECISION_BF16;
    const double flops = PLAN_FLOPS_SHARE * (bf16 ? device->bf16_flops : device->fp32_flops),
                 bandwidth = PLAN_BANDWIDTH_SHARE * device->bandwidth;
    double balance;
    *time = (struct plan_time){.drawing_s = 0};
    if (flops == 0)
        return STATUS_OK;
    TRY(plan_balance(plan, plan->ranks, &balance));
    const double each = 1 / (flops * plan->ranks * balance);
    const double drawn = work.rollout + work.reasons;
    time->other_s = (plan_work_sum(&work) - drawn) * each;
    if (drawn > 0) {
        const double computed_s = drawn * each, read_s = drawing_bytes(plan, balance) / bandwidth;
        time->drawing_s = computed_s > read_s ? computed_s : read_s;
    }
    return STATUS_OK;
}
