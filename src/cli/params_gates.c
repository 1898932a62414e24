/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/params_gates.h"

#include <string.h>

#include "config/settings.h"
#include "objective/gate.h"

enum { RATIOS = 201, RATIOS_PER_UNIT = 100 };

/* The numbers of one gate over the ratios. */
struct curve {
    double ratio[RATIOS], value[RATIOS], slope[RATIOS];
};

static enum status append_numbers(const char *name, const double *numbers, struct strbuf *out) {
    TRY(strbuf_append_format(out, ", \"%s\": ", name));
    for (int i = 0; i < RATIOS; i++)
        TRY(strbuf_append_format(out, "%s%.17g", i == 0 ? "[" : ", ", numbers[i]));
    return strbuf_append_text(out, "]");
}

static enum status append_gate(const struct gate *gate, const struct gate_settings *settings,
                               int advantage, struct strbuf *out) {
    struct curve curve;
    for (int i = 0; i < RATIOS; i++) {
        curve.ratio[i] = (double)i / RATIOS_PER_UNIT;
        gate->evaluate(settings, curve.ratio[i], advantage, &curve.value[i], &curve.slope[i]);
    }
    TRY(strbuf_append_format(out, "{\"gate\": \"%s\", \"advantage\": %d", gate->name, advantage));
    TRY(append_numbers("ratio", curve.ratio, out));
    TRY(append_numbers("value", curve.value, out));
    TRY(append_numbers("slope", curve.slope, out));
    return strbuf_append_text(out, "}\n");
}

static enum status append_gates(const struct settings_objective *objective, struct strbuf *out) {
    const struct gate_settings settings = {.tau_pos = objective->tau_pos,
                                           .tau_neg = objective->tau_neg,
                                           .clip_low = objective->clip_low,
                                           .clip_high = objective->clip_high,
                                           .clip_dual = objective->clip_dual};
    int count;
    const struct gate *const *gates = gate_list(&count);
    for (int i = 0; i < count; i++)
        for (int advantage = 1; advantage >= -1; advantage -= 2)
            TRY(append_gate(gates[i], &settings, advantage, out));
    return STATUS_OK;
}

enum status params_gates(const char *path, char *const *overrides, int override_count,
                         struct strbuf *out) {
    /* what every input file must have, and a gate has no need of */
    const char *const least = "model : { path = \".\"; };";
    struct settings settings;
    TRY(path != NULL
            ? settings_read(path, overrides, override_count, SETTINGS_FOR_GENERATION, &settings)
            : settings_read_text(NULL, least, strlen(least), overrides, override_count,
                                 SETTINGS_FOR_GENERATION, &settings));
    const enum status status = append_gates(&settings.objective, out);
    settings_release(&settings);
    return status;
}
