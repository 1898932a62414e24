/* SPDX-License-Identifier: Apache-2.0
 *
 * Cosines and sines of the rotary embedding (Su et al., arXiv 2104.09864), with the scaling of
 * Llama 3.1 where asked for. Frequencies and angles are fp32, in transformers' order of operations:
 * at position 4096 the rounding of the angle is larger than anything the model could not see.
 */
#include "model/model_state.h"

#include <math.h>

#define TWO_PI 6.283185307179586

static float frequency(const struct hparams *h, int64_t pair) {
    const float exponent = (float)(2 * pair) / (float)h->D;
    return 1.0f / (float)pow((double)(float)h->rope_theta, (double)exponent);
}

/* Long waves are slowed by the factor, short ones kept, those between interpolated. */
static float scaled_llama3(const struct hparams *h, float inv_freq) {
    const double original = (double)h->rope_original_positions;
    const float wavelength = (float)TWO_PI / inv_freq;
    const float factor = (float)h->rope_factor;
    if (wavelength > (float)(original / h->rope_low_freq_factor))
        return inv_freq / factor;
    if (wavelength < (float)(original / h->rope_high_freq_factor))
        return inv_freq;
    const float low = (float)h->rope_low_freq_factor;
    const float smooth = ((float)original / wavelength - low) /
                         (float)(h->rope_high_freq_factor - h->rope_low_freq_factor);
    return (1.0f - smooth) * inv_freq / factor + smooth * inv_freq;
}

void rope_table_fill(const struct hparams *h, int64_t positions, float *table) {
    const int64_t half = h->D / 2;
    for (int64_t i = 0; i < half; i++) {
        const float plain = frequency(h, i);
        const float inv_freq = h->rope_llama3 ? scaled_llama3(h, plain) : plain;
        for (int64_t p = 0; p < positions; p++) {
            const double angle = (double)((float)p * inv_freq);
            table[p * h->D + i] = (float)cos(angle);
            table[p * h->D + half + i] = (float)sin(angle);
        }
    }
}
