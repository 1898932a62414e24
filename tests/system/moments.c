/* SPDX-License-Identifier: Apache-2.0
 *
 *     moments step BEFORE AFTER [group.name=value ...]
 *     moments slope START ONE TWO LOSS_1 LOSS_2
 *     moments equal A B
 *
 * step: two checkpoints with one optimizer step between them. The gradient is read back from the
 * first moments; it must have the norm of grad_norm (given as a setting, before clipping), fit the
 * second moments, and move every parameter as AdamW with decoupled weight decay of the matrices
 * does. learning_rate is that of the step, steps the number of steps taken with it.
 *
 * slope: checkpoints of runs with beta1 = 0, so that the first moments are the gradient: at the
 * start, after one pass and after two over the same batch, and the losses of both passes. The loss
 * must change as the gradients say: L2 − L1 = ½ (g1 + g2)·(θ1 − θ0), up to the third order.
 *
 * equal: the parameters of two checkpoints have the same bits.
 */
#include "numbers.h"

struct sides {
    struct h5 *before, *after;
    double norm, change, sizes; /* Σ g², Σ (g1 + g2) Δ / 2, Σ |g Δ| */
    bool equal;
    struct h5 *two;
};

static struct list tensor(const struct h5 *h5, const char *section, const char *path) {
    char name[512];
    snprintf(name, sizeof name, "%s%s", section, path + sizeof "/parameters" - 1);
    return read_list(h5, name);
}

/* What AdamW makes of one element. */
struct element {
    double theta, m, v, theta_after, m_after, v_after;
    bool decays;
};

static void check_element(const struct element *e, struct sides *sides) {
    const double lr = setting_number("learning_rate", 0),
                 beta1 = setting_number("optimizer.beta1", 0.9),
                 beta2 = setting_number("optimizer.beta2", 0.999),
                 epsilon = setting_number("optimizer.epsilon", 1e-8),
                 decay = setting_number("optimizer.weight_decay", 0),
                 steps = setting_number("steps", 1);
    const double g = (e->m_after - beta1 * e->m) / (1 - beta1);
    const double v = beta2 * e->v + (1 - beta2) * g * g;
    const double slack = (1 - beta2) * fabs(g) * (fabs(e->m) + fabs(e->m_after)) / (1 - beta1);
    const double m_hat = e->m_after / (1 - pow(beta1, steps)),
                 v_hat = e->v_after / (1 - pow(beta2, steps));
    const double move = lr * m_hat / (sqrt(v_hat) + epsilon);
    sides->norm += g * g;
    expect_near("exp_avg_sq", e->v_after, v, 1e-6 * v + 1e-6 * slack + 1e-38);
    expect_near("exp_avg_sq is not negative", e->v_after < 0, 0, 0);
    expect_near("parameter", e->theta_after, e->theta * (1 - (e->decays ? lr * decay : 0)) - move,
                2e-7 * fabs(e->theta) + 2e-6 * fabs(move) + 1e-12);
}

static enum status check_tensor(void *context, const char *path) {
    struct sides *sides = context;
    struct list theta = read_list(sides->before, path), theta_after = read_list(sides->after, path);
    struct list m = tensor(sides->before, "/optimizer/exp_avg", path),
                m_after = tensor(sides->after, "/optimizer/exp_avg", path),
                v = tensor(sides->before, "/optimizer/exp_avg_sq", path),
                v_after = tensor(sides->after, "/optimizer/exp_avg_sq", path);
    const bool start = setting_number("steps", 1) == 1; /* the moments are 0 then */
    for (int64_t i = 0; i < theta.n; i++)
        check_element(&(struct element){.theta = theta.at[i],
                                        .m = start ? 0 : m.at[i],
                                        .v = start ? 0 : v.at[i],
                                        .theta_after = theta_after.at[i],
                                        .m_after = m_after.at[i],
                                        .v_after = v_after.at[i],
                                        .decays = theta.rank == 2},
                      sides);
    struct list *all[] = {&theta, &theta_after, &m, &m_after, &v, &v_after};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        list_free(all[i]);
    return STATUS_OK;
}

static int step(char **files) {
    struct sides sides = {.before = open_file(files[0]), .after = open_file(files[1])};
    require(h5_walk(sides.after, "/parameters", check_tensor, &sides));
    const double norm = setting_number("grad_norm", (double)NAN),
                 most = setting_number("optimizer.max_grad_norm", 1);
    expect_near("norm of the gradient in the moments", sqrt(sides.norm),
                most > 0 ? fmin(norm, most) : norm, 2e-6 * norm);
    (void)h5_close(&sides.before);
    (void)h5_close(&sides.after);
    return verdict();
}

static enum status add_slope(void *context, const char *path) {
    struct sides *sides = context;
    struct list theta = read_list(sides->before, path), theta_after = read_list(sides->after, path),
                g1 = tensor(sides->after, "/optimizer/exp_avg", path),
                g2 = tensor(sides->two, "/optimizer/exp_avg", path);
    for (int64_t i = 0; i < theta.n; i++) {
        const double moved = theta_after.at[i] - theta.at[i];
        sides->change += (g1.at[i] + g2.at[i]) / 2 * moved;
        sides->sizes += fabs(g1.at[i] * moved);
    }
    list_free(&theta);
    list_free(&theta_after);
    list_free(&g1);
    list_free(&g2);
    return STATUS_OK;
}

static int slope(char **words) {
    struct sides sides = {
        .before = open_file(words[0]), .after = open_file(words[1]), .two = open_file(words[2])};
    require(h5_walk(sides.after, "/parameters", add_slope, &sides));
    const double change = strtod(words[4], NULL) - strtod(words[3], NULL);
    expect_near("change of the loss", change, sides.change, 0.01 * sides.sizes);
    if (sides.sizes < 1e-6)
        expect_near("the parameters move", sides.sizes, 1e-6, 0);
    (void)h5_close(&sides.before);
    (void)h5_close(&sides.after);
    (void)h5_close(&sides.two);
    return verdict();
}

static enum status compare(void *context, const char *path) {
    const struct sides *sides = context;
    struct list a = read_list(sides->before, path), b = read_list(sides->after, path);
    expect_near("size of a tensor", (double)a.n, (double)b.n, 0);
    for (int64_t i = 0; i < a.n && i < b.n; i++)
        expect_near(path, a.at[i], b.at[i], 0);
    list_free(&a);
    list_free(&b);
    return STATUS_OK;
}

static int equal(char **files) {
    struct sides sides = {.before = open_file(files[0]), .after = open_file(files[1])};
    require(h5_walk(sides.after, "/parameters", compare, &sides));
    (void)h5_close(&sides.before);
    (void)h5_close(&sides.after);
    return verdict();
}

int main(int argc, char **argv) {
    if (argc >= 4) {
        setting_words = argv + 4;
        setting_count = argc - 4;
        if (strcmp(argv[1], "step") == 0)
            return step(argv + 2);
        if (strcmp(argv[1], "equal") == 0)
            return equal(argv + 2);
        if (strcmp(argv[1], "slope") == 0 && argc == 7)
            return slope(argv + 2);
    }
    printf("usage: moments step|slope|equal FILE FILE ...\n");
    return 2;
}
