/* SPDX-License-Identifier: Apache-2.0
 *
 * Every soft gate of the registry has the properties (i)–(iv) of the gate paper; slopes are the
 * finite differences of values for all gates; values at the table points of algorithms.md 3.2.
 */
#include "objective/gate.h"

#include "check.h"

static double value_at(const struct gate *gate, const struct gate_settings *settings, double r,
                       double advantage) {
    double value, slope;
    gate->evaluate(settings, r, advantage, &value, &slope);
    return value;
}

static double slope_at(const struct gate *gate, const struct gate_settings *settings, double r,
                       double advantage) {
    double value, slope;
    gate->evaluate(settings, r, advantage, &value, &slope);
    return slope;
}

/* Central difference of fourth order. */
static double difference(const struct gate *gate, const struct gate_settings *s, double r,
                         double advantage) {
    const double h = 1e-4;
    const double one = value_at(gate, s, r + h, advantage) - value_at(gate, s, r - h, advantage);
    const double two =
        value_at(gate, s, r + 2 * h, advantage) - value_at(gate, s, r - 2 * h, advantage);
    return (8 * one - two) / (12 * h);
}

static struct gate_settings settings_of(double tau) {
    return (struct gate_settings){
        .tau_pos = tau, .tau_neg = tau, .clip_low = 0.1, .clip_high = 0.28, .clip_dual = 3};
}

/* (i): continuously differentiable: the slope is that of the value, and has no jump. */
static void test_smooth(const struct gate *gate, const struct gate_settings *s) {
    for (double r = 0.01; r < 6; r += 0.013) {
        CHECK_NEAR(slope_at(gate, s, r, 1), difference(gate, s, r, 1), 1e-8);
        const double jump = slope_at(gate, s, r + 1e-7, 1) - slope_at(gate, s, r, 1);
        CHECK_NEAR(jump, 0, 1e-7 * s->tau_pos);
    }
}

/* (ii): the largest slope is 1, at r = 1; (iii): it falls on both sides. */
static void test_largest_at_one(const struct gate *gate, const struct gate_settings *s) {
    CHECK_NEAR(slope_at(gate, s, 1, 1), 1, 0);
    double before = 1;
    for (double r = 1.001; r < 20; r *= 1.001) {
        const double now = slope_at(gate, s, r, 1);
        CHECK(now >= 0 && (now < before || now == 0));
        before = now;
    }
    before = 1;
    for (double r = 0.999; r > 0; r -= 0.001) {
        const double now = slope_at(gate, s, r, 1);
        CHECK(now >= 0 && (now < before || now == 0));
        before = now;
    }
}

/* (iv): r f'(r) → 0, also at the largest ratio that the clamp of the log-ratio lets through. */
static void test_vanishes(const struct gate *gate, const struct gate_settings *s) {
    double before = INFINITY;
    for (double r = 10; r < 1e8; r *= 10) {
        const double now = r * slope_at(gate, s, r, 1);
        CHECK(now < before || now == 0);
        before = now;
    }
    CHECK_NEAR(before, 0, 2e-7);
    const double far = exp(20);
    CHECK_NEAR(far * slope_at(gate, s, far, 1), 0, 1e-8);
    CHECK(isfinite(value_at(gate, s, far, 1)) && isfinite(value_at(gate, s, 0, 1)));
}

static void test_soft_properties(void) {
    const double taus[] = {1, 1.05, 5, 10, 12, 15};
    int count, soft = 0;
    const struct gate *const *gates = gate_list(&count);
    for (int g = 0; g < count; g++) {
        soft += gates[g]->soft;
        for (int t = 0; gates[g]->soft && t < 6; t++) {
            const struct gate_settings s = settings_of(taus[t]);
            test_smooth(gates[g], &s);
            test_largest_at_one(gates[g], &s);
            test_vanishes(gates[g], &s);
        }
    }
    CHECK_EQ(soft, 4);
}

/* The hard gates away from their corners, for each sign of the advantage. */
static void test_hard_slopes(void) {
    const struct gate_settings s = settings_of(10);
    const double ratios[] = {0.2, 0.85, 0.95, 1, 1.2, 1.3, 2.9, 3.1, 10};
    const double signs[] = {-1, 0, 1};
    for (int a = 0; a < 3; a++)
        for (int i = 0; i < 9; i++) {
            CHECK_NEAR(slope_at(&gate_clip, &s, ratios[i], signs[a]),
                       difference(&gate_clip, &s, ratios[i], signs[a]), 1e-9);
            CHECK_NEAR(slope_at(&gate_none, &s, ratios[i], signs[a]), 1, 0);
            CHECK_NEAR(value_at(&gate_none, &s, ratios[i], signs[a]), ratios[i], 0);
        }
}

/* f A against min(r A, clip(r) A), and with the dual bound max(…, c A) where A < 0. */
static void test_clip_is_ppo(void) {
    const struct gate_settings s = settings_of(10);
    for (double r = 0.05; r < 5; r += 0.07)
        for (double a = -1.5; a < 2; a += 1) {
            const double clipped = fmin(fmax(r, 0.9), 1.28);
            const double ppo = fmin(r * a, clipped * a);
            CHECK_NEAR(value_at(&gate_clip, &s, r, a) * a, a < 0 ? fmax(ppo, 3 * a) : ppo, 1e-15);
        }
    CHECK_NEAR(slope_at(&gate_clip, &s, 1 + s.clip_high, 1), 1, 0);
    CHECK_NEAR(slope_at(&gate_clip, &s, 1 - s.clip_low, -1), 1, 0);
    CHECK_NEAR(slope_at(&gate_clip, &s, 0.5, 0), 0, 0);
    CHECK_NEAR(slope_at(&gate_clip, &s, 2, 0), 1, 0);
}

/* w = τ f (1 − τ f / 4) of the sigmoid gate, and f(1) = 2/τ. */
static void test_sigmoid_identity(void) {
    for (double tau = 1; tau < 16; tau += 3.5) {
        const struct gate_settings s = settings_of(tau);
        for (double r = 0; r < 4; r += 0.03) {
            const double f = value_at(&gate_sigmoid, &s, r, 1);
            CHECK_NEAR(slope_at(&gate_sigmoid, &s, r, 1), tau * f * (1 - tau * f / 4), 1e-14);
        }
        CHECK_NEAR(value_at(&gate_sigmoid, &s, 1, 1), 2 / tau, 1e-16);
    }
}

/* f'(1.2) at τ = 10; f(1); the ratio at which f' = ½; an f known in closed form. */
static void test_table(void) {
    static const struct {
        const char *name;
        double slope, at_one, half_width;
    } table[] = {
        {"sigmoid", 0.419974, 0.2, 1.7627471740},
        {"erf", 0.135335, 1, 1.1774100226},
        {"arctan", 0.2, 1, 1},
        {"softsign", 0.089443, 1, 0.7664209365},
    };
    const struct gate_settings s = settings_of(10);
    for (int i = 0; i < 4; i++) {
        const struct gate *gate = gate_find(table[i].name);
        CHECK(gate != NULL);
        CHECK_NEAR(slope_at(gate, &s, 1.2, 1), table[i].slope, 5e-7);
        CHECK_NEAR(slope_at(gate, &s, 0.8, 1), table[i].slope, 5e-7);
        CHECK_NEAR(value_at(gate, &s, 1, 1), table[i].at_one, 1e-15);
        CHECK_NEAR(slope_at(gate, &s, 1 + table[i].half_width / 10, 1), 0.5, 1e-9);
    }
    CHECK_NEAR(value_at(&gate_arctan, &s, 1.1, 1), 1 + 0.07853981633974483, 1e-15);
    CHECK_NEAR(value_at(&gate_softsign, &s, 1.1, 1), 1 + 0.1 / sqrt(2), 1e-15);
    CHECK_NEAR(value_at(&gate_erf, &s, 1.1, 1), 1 + 0.12533141373155003 * 0.6826894921370859,
               1e-15);
}

/* τ is chosen by the sign; 0 goes with the negative. */
static void test_sign(void) {
    const struct gate_settings s = {.tau_pos = 10, .tau_neg = 12};
    const struct gate_settings ten = settings_of(10), twelve = settings_of(12);
    int count;
    const struct gate *const *gates = gate_list(&count);
    for (int g = 0; g < count; g++) {
        if (!gates[g]->soft)
            continue;
        CHECK_NEAR(slope_at(gates[g], &s, 1.1, 0.5), slope_at(gates[g], &ten, 1.1, 0.5), 0);
        CHECK_NEAR(slope_at(gates[g], &s, 1.1, -0.5), slope_at(gates[g], &twelve, 1.1, -0.5), 0);
        CHECK_NEAR(slope_at(gates[g], &s, 1.1, 0), slope_at(gates[g], &twelve, 1.1, -0.5), 0);
    }
}

static void test_registry(void) {
    static const char *const order[] = {"clip", "sigmoid", "erf", "arctan", "softsign", "none"};
    int count;
    const struct gate *const *gates = gate_list(&count);
    CHECK_EQ(count, 6);
    for (int g = 0; g < count; g++) {
        CHECK_TEXT(gates[g]->name, order[g]);
        CHECK(gates[g]->text[0] != '\0' && gate_find(order[g]) == gates[g]);
    }
    CHECK(gate_find("clip ") == NULL && gate_find("") == NULL);
}

int main(void) {
    test_registry();
    test_soft_properties();
    test_hard_slopes();
    test_clip_is_ppo();
    test_sigmoid_identity();
    test_table();
    test_sign();
    return CHECK_END();
}
