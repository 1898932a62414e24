/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double *reference_new(int64_t n) {
    double *values = calloc(n > 0 ? (size_t)n : 1, sizeof *values);
    ASSERT(values != NULL);
    return values;
}

double *reference_widen(const float *values, int64_t n) {
    double *out = reference_new(n);
    for (int64_t i = 0; i < n; i++)
        out[i] = (double)values[i];
    return out;
}

void reference_embed(const double *table, const int32_t *tokens, double *out, int64_t T,
                     int64_t C) {
    for (int64_t t = 0; t < T; t++)
        for (int64_t c = 0; c < C; c++)
            out[t * C + c] = table[tokens[t] * C + c];
}

void reference_gemm(const double *x, const double *w, const double *bias, const double *residual,
                    double *y, int64_t M, int64_t N, int64_t K) {
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            double sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += x[m * K + k] * w[n * K + k];
            y[m * N + n] =
                sum + (bias != NULL ? bias[n] : 0) + (residual != NULL ? residual[m * N + n] : 0);
        }
}

void reference_rmsnorm(const double *x, const double *weight, double *y, int64_t T, int64_t C,
                       double epsilon) {
    for (int64_t t = 0; t < T; t++) {
        double squares = 0;
        for (int64_t c = 0; c < C; c++)
            squares += x[t * C + c] * x[t * C + c];
        const double inverse = 1 / sqrt(squares / (double)C + epsilon);
        for (int64_t c = 0; c < C; c++)
            y[t * C + c] = x[t * C + c] * inverse * weight[c];
    }
}

static void rotate_head(const double *x, const double *angles, int64_t D, double *out) {
    const double *cosines = angles, *sines = angles + D / 2;
    for (int64_t i = 0; i < D / 2; i++) {
        const double low = x[i], high = x[i + D / 2];
        out[i] = low * cosines[i] - high * sines[i];
        out[i + D / 2] = high * cosines[i] + low * sines[i];
    }
}

void reference_rope(const struct reference_rope *args) {
    const int64_t D = args->D, heads = args->H + 2 * args->K;
    double *normed = reference_new(D);
    for (int64_t t = 0; t < args->T; t++)
        for (int64_t h = 0; h < heads; h++) {
            const double *x = args->qkv + (t * heads + h) * D;
            double *out = args->out + (t * heads + h) * D;
            const double *norm = h < args->H ? args->q_norm : args->k_norm;
            memcpy(normed, x, (size_t)D * sizeof *x);
            if (h < args->H + args->K && norm != NULL)
                reference_rmsnorm(x, norm, normed, 1, D, args->epsilon);
            if (h < args->H + args->K)
                rotate_head(normed, args->table + args->positions[t] * D, D, out);
            else
                memcpy(out, x, (size_t)D * sizeof *x);
        }
    free(normed);
}

/* Attention of one head of one row over the rows of `keys` (row numbers). */
static double attend(const struct reference_attention *args, int64_t row, int64_t head,
                     const int64_t *keys, int64_t count, double *scores) {
    const int64_t D = args->D, width = (args->H + 2 * args->K) * D;
    const int64_t group = head / (args->H / args->K);
    const double *query = args->qkv + row * width + head * D;
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < count; j++) {
        const double *key = args->qkv + keys[j] * width + (args->H + group) * D;
        scores[j] = 0;
        for (int64_t d = 0; d < D; d++)
            scores[j] += query[d] * key[d];
        scores[j] /= sqrt((double)D);
        max = fmax(max, scores[j]);
    }
    for (int64_t j = 0; j < count; j++)
        sum += exp(scores[j] - max);
    for (int64_t d = 0; d < D; d++) {
        double value = 0;
        for (int64_t j = 0; j < count; j++)
            value += exp(scores[j] - max) / sum *
                     args->qkv[keys[j] * width + (args->H + args->K + group) * D + d];
        args->out[(row * args->H + head) * D + d] = value;
    }
    return max + log(sum);
}

void reference_attention(const struct reference_attention *args) {
    double *scores = reference_new(args->T);
    int64_t *keys = calloc((size_t)args->T + 1, sizeof *keys);
    ASSERT(keys != NULL);
    for (int64_t s = 0; s < args->segment_count; s++) {
        const struct segment *own = &args->segments[s];
        int64_t count = 0;
        if (own->parent >= 0)
            for (int64_t j = 0; j < args->segments[own->parent].length; j++)
                keys[count++] = args->segments[own->parent].start + j;
        for (int64_t row = own->start; row < own->start + own->length; row++) {
            keys[count++] = row;
            for (int64_t head = 0; head < args->H; head++) {
                const double log_sum = attend(args, row, head, keys, count, scores);
                if (args->log_sum != NULL)
                    args->log_sum[row * args->H + head] = log_sum;
            }
        }
    }
    free(keys);
    free(scores);
}

void reference_swiglu(const double *gate_up, double *out, int64_t T, int64_t F) {
    for (int64_t t = 0; t < T; t++)
        for (int64_t f = 0; f < F; f++) {
            const double gate = gate_up[t * 2 * F + f], up = gate_up[t * 2 * F + F + f];
            out[t * F + f] = gate / (1 + exp(-gate)) * up;
        }
}

/* log softmax(z / temperature) of a row (V); gives the entropy. */
static double log_softmax(const double *z, int64_t V, double temperature, double *log_p) {
    double max = -INFINITY, sum = 0, entropy = 0;
    for (int64_t v = 0; v < V; v++)
        max = fmax(max, z[v]);
    for (int64_t v = 0; v < V; v++)
        sum += exp((z[v] - max) / temperature);
    for (int64_t v = 0; v < V; v++) {
        log_p[v] = (z[v] - max) / temperature - log(sum);
        entropy -= exp(log_p[v]) * log_p[v];
    }
    return entropy;
}

void reference_head(const struct reference_head *args) {
    double *log_p = reference_new(args->V);
    for (int64_t r = 0; r < args->R; r++) {
        args->entropy[r] =
            log_softmax(args->logits + r * args->V, args->V, args->temperature, log_p);
        args->logprob[r] = log_p[args->targets[r]];
    }
    free(log_p);
}

void reference_head_gradient(const double *logits, int64_t V, int64_t target, double temperature,
                             double d_logprob, double d_entropy, double *gradient) {
    double *log_p = reference_new(V);
    const double entropy = log_softmax(logits, V, temperature, log_p);
    for (int64_t v = 0; v < V; v++) {
        const double p = exp(log_p[v]), rise = v == target ? -expm1(log_p[v]) : -p;
        gradient[v] = (d_logprob * rise - d_entropy * p * (log_p[v] + entropy)) / temperature;
    }
    free(log_p);
}

void reference_adamw(const struct adamw_args *settings, double gradient, double *parameter,
                     double *exp_avg, double *exp_avg_sq) {
    const double g = gradient * settings->gradient_scale;
    *parameter *= 1 - settings->learning_rate * settings->weight_decay;
    *exp_avg = settings->beta1 * *exp_avg + (1 - settings->beta1) * g;
    *exp_avg_sq = settings->beta2 * *exp_avg_sq + (1 - settings->beta2) * g * g;
    *parameter -= settings->learning_rate * (*exp_avg / settings->correction1) /
                  (sqrt(*exp_avg_sq / settings->correction2) + settings->epsilon);
}
