/* SPDX-License-Identifier: Apache-2.0
 *
 * What one entry of the vocabulary adds to the divergence between a student S and a teacher T, and
 * how it pulls at the student's logits (algorithms.md, section 4). With δ = log p_S − log p_T:
 *
 *     forward KL   h = p_T (log p_T − log p_S)
 *     reverse KL   h = p_S (log p_S − log p_T)
 *     JSD          h = β p_T log(p_T/m) + (1 − β) p_S log(p_S/m),   m = β p_T + (1 − β) p_S
 *
 * The loss of a token is Σ min(h, c), or min(Σ h, c). For a_v = 1[h_v < c] ∂h_v/∂log p_S(v) its
 * gradient is (a_v − p_S(v) Σ a) / T, in which a_v may be replaced by a_v + const · p_S(v). So
 *
 *     gradient_v = (pull_v − p_S(v) Σ pull) / T
 *     forward KL   pull = p_S − p_T,               p_S where clipped
 *     reverse KL   pull = p_S δ,                  −p_S where clipped
 *     JSD          pull = (1 − β) p_S log(p_S/m),    0 where clipped
 *
 * with pulls that vanish where both distributions are equal, so that the gradient does too, exactly.
 * p_S − p_T comes from expm1, and logarithms of mixtures from log1p, of the distance |δ|, and of the
 * smaller in units of the larger: nothing overflows, no digits are lost where δ is small.
 *
 * The one place of it: the kernels of each backend include this file with a number type of theirs (a
 * vector, a float of a GPU), by the macros below.
 */
#ifndef BACKEND_DIVERGENCE_H
#define BACKEND_DIVERGENCE_H

enum divergence { DIVERGENCE_FORWARD_KL, DIVERGENCE_REVERSE_KL, DIVERGENCE_JSD };

/* A rule for entries; `clip` is infinite where they are not clipped. */
struct divergence_rule {
    enum divergence divergence;
    float beta, clip;
};

#endif

/* Kernels define DIVERGENCE_ENTRY before they include this file; then it gives, with
 *     DIVERGENCE_FUNCTION          in front of each function
 *     DIVERGENCE_NUMBER            the number type, with + − * and comparisons
 *     DIVERGENCE_TRUTH             what a comparison gives
 *     DIVERGENCE_SET(x)            a number from a float
 *     DIVERGENCE_CHOOSE(w, a, b)   a where w holds, else b
 *     DIVERGENCE_EXP(x) for x ≤ 0, DIVERGENCE_LOG1P(x) for −1 < x ≤ 0
 *     DIVERGENCE_EXP_BOTH(x, e, m) for x ≤ 0: sets e to exp(x) and m to exp(x) − 1, each to its own digits
 * struct divergence_entry and divergence_entry_of. */
#if defined(DIVERGENCE_ENTRY) && !defined(BACKEND_DIVERGENCE_ENTRY)
#define BACKEND_DIVERGENCE_ENTRY

struct divergence_entry {
    DIVERGENCE_NUMBER value;   /* h */
    DIVERGENCE_NUMBER student; /* p_S */
    DIVERGENCE_NUMBER pull;
    DIVERGENCE_TRUTH clipped; /* h ≥ c; a NaN is not */
};

/* log(p_S/m) and log(p_T/m). Of the two the one that is not smaller, x = S or T, has
 * m = p_x (1 + share · expm1(−|δ|)) with the other's share in the mixture. */
struct divergence_mixture {
    DIVERGENCE_NUMBER student, teacher;
};

DIVERGENCE_FUNCTION struct divergence_mixture divergence_mixture_of(DIVERGENCE_NUMBER delta,
                                                                    DIVERGENCE_NUMBER distance,
                                                                    DIVERGENCE_NUMBER fall,
                                                                    float beta) {
    const DIVERGENCE_TRUTH larger = delta > DIVERGENCE_SET(0.0f);
    const DIVERGENCE_NUMBER share =
        DIVERGENCE_CHOOSE(larger, DIVERGENCE_SET(beta), DIVERGENCE_SET(1.0f - beta));
    const DIVERGENCE_NUMBER high = -DIVERGENCE_LOG1P(share * fall), low = high - distance;
    const struct divergence_mixture mixture = {DIVERGENCE_CHOOSE(larger, high, low),
                                               DIVERGENCE_CHOOSE(larger, low, high)};
    return mixture;
}

/* From log p_S and log p_T, both finite. */
DIVERGENCE_FUNCTION struct divergence_entry divergence_entry_of(const struct divergence_rule *rule,
                                                                DIVERGENCE_NUMBER log_student,
                                                                DIVERGENCE_NUMBER log_teacher) {
    const DIVERGENCE_NUMBER delta = log_student - log_teacher, zero = DIVERGENCE_SET(0.0f);
    const DIVERGENCE_TRUTH larger = delta > zero;
    const DIVERGENCE_NUMBER distance = DIVERGENCE_CHOOSE(larger, delta, -delta);
    DIVERGENCE_NUMBER student, value, pull, clipped_pull = zero;
    if (rule->divergence == DIVERGENCE_REVERSE_KL) {
        student = DIVERGENCE_EXP(log_student);
        value = pull = student * delta;
        clipped_pull = -student;
    } else {
        DIVERGENCE_NUMBER ratio, fall; /* low / high, and that − 1 */
        DIVERGENCE_EXP_BOTH(-distance, ratio, fall);
        const DIVERGENCE_NUMBER high =
            DIVERGENCE_EXP(DIVERGENCE_CHOOSE(larger, log_student, log_teacher));
        const DIVERGENCE_NUMBER low = high * ratio;
        const DIVERGENCE_NUMBER teacher = DIVERGENCE_CHOOSE(larger, low, high);
        student = DIVERGENCE_CHOOSE(larger, high, low);
        if (rule->divergence == DIVERGENCE_FORWARD_KL) {
            value = -teacher * delta;
            pull = high * DIVERGENCE_CHOOSE(larger, -fall, fall);
            clipped_pull = student;
        } else {
            const struct divergence_mixture mixture =
                divergence_mixture_of(delta, distance, fall, rule->beta);
            pull = DIVERGENCE_SET(1.0f - rule->beta) * student * mixture.student;
            value = DIVERGENCE_SET(rule->beta) * teacher * mixture.teacher + pull;
        }
    }
    const DIVERGENCE_TRUTH clipped = value >= DIVERGENCE_SET(rule->clip);
    const struct divergence_entry entry = {value, student,
                                           DIVERGENCE_CHOOSE(clipped, clipped_pull, pull), clipped};
    return entry;
}

#endif
