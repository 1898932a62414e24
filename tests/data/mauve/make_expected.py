#!/usr/bin/env python3
"""Expected numbers of tests/unit/mauve, from mauve-text, scikit-learn and numpy.

    make_expected.py [OUT_DIR]         (default: the folder of this script)
    make_expected.py --real P.h5 Q.h5  makes real.tsv anew from files that `gradus mauve --p-features --q-features` wrote

Written with mauve-text 0.4.0, faiss-cpu 1.15.1, scikit-learn 1.9.1, numpy 2.4.6. histograms.tsv: pairs of counts, scaling, and
MAUVE, frontier integral and their smoothed forms. spread.tsv: of feature sets that tests/unit/mauve/sets.h repeats bit for bit, and
of real.tsv, mean and standard deviation of mauve-text's numbers over 100 seeds. pca.tsv: of the
same sets, normalised, how many components hold a share of the variance, and the squares along the first four. real.tsv: features of
answers that SmolLM2-135M-Instruct gave to problems of GSM8K before (p) and after (q) 200 steps of reinforcement learning, 120 of
each, in the coordinates of their 16 largest singular vectors, rounded.
"""
import os, sys
import numpy as np
from mauve import compute_mauve
from mauve.compute_mauve import get_divergence_curve_for_multinomials, get_fronter_integral

OUT = sys.argv[1] if len(sys.argv) == 2 else os.path.dirname(os.path.abspath(__file__))
SEEDS = 100
HEAD = "# made by make_expected.py with mauve-text 0.4.0; "


def area(x, y):
    """The trapezoids of mauve-text, with ties sorted along the curve, where its own order is left to chance."""
    a, b = np.lexsort((-y, x)), np.lexsort((-x, y))
    return 0.5 * (np.trapezoid(y[a], x[a]) + np.trapezoid(x[b], y[b]))


def score(p, q, c):
    weights = np.linspace(1e-6, 1 - 1e-6, 25)
    out = []
    for more in (0.0, 0.5):
        a, b = (np.asarray(h, float) + more for h in (p, q))
        a, b = a / a.sum(), b / b.sum()
        x, y = get_divergence_curve_for_multinomials(a, b, weights, c).T
        out += [area(x, y), get_fronter_integral(a, b)]
    return out


def histograms():
    rng = np.random.default_rng(7)
    yield [1, 0], [0, 1], 5.0
    yield [1, 0], [0, 1], 1.0
    yield [1, 2, 3, 4], [4, 3, 2, 1], 5.0
    yield [1, 2, 3, 4], [4, 3, 2, 1], 1.0
    yield [1, 1, 0], [0, 1, 1], 5.0
    yield [30, 30, 40], [25, 35, 40], 5.0
    yield [10, 20, 30, 40, 0], [40, 30, 20, 10, 0], 5.0
    yield [7], [11], 5.0
    for k, n, c in ((6, 40, 5.0), (20, 200, 5.0), (20, 200, 2.0), (200, 2000, 5.0)):
        p, q = rng.dirichlet(np.ones(k)), rng.dirichlet(np.full(k, 0.7))
        yield rng.multinomial(n, p), rng.multinomial(n + 13, q), c
    counts = rng.multinomial(1000, rng.dirichlet(np.ones(30)))
    near = counts.copy()
    near[0] += 1
    yield counts, near, 5.0


def hashed(key, n):
    """n floats in [-0.5, 0.5): 24 bits of splitmix64(key + index), exact in fp32."""
    m = np.uint64(0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        z = (np.uint64(key) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) & m
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)).astype(np.float32)


# name, width, texts of p and of q, kinds of texts of each, size of the noise
SETS = (("same", 24, 160, 160, 8, 8, 1.0), ("shifted", 24, 150, 210, 8, 5, 1.0), ("wide", 200, 90, 70, 6, 4, 2.0),
        ("apart", 16, 60, 60, 4, -4, 0.5))


def features(d, n, kinds, noise, key):
    """Text i is of kind i mod |kinds|; negative kinds are other ones. All sums are exact to one rounding."""
    first = 100 if kinds < 0 else 0
    centres = np.stack([hashed(1000 + first + k, d) for k in range(abs(kinds))])
    rows = [np.float32(3) * centres[i % abs(kinds)] + np.float32(noise) * hashed(key + i, d) for i in range(n)]
    return np.stack(rows).astype(np.float32)


def spread(name, p, q):
    found = [compute_mauve(p_features=p, q_features=q, seed=s) for s in range(SEEDS)]
    row = [name, str(found[0].num_buckets)]
    for field in ("mauve", "frontier_integral", "mauve_star", "frontier_integral_star"):
        values = [getattr(f, field) for f in found]
        row += numbers([np.mean(values), np.std(values, ddof=1)])
    return row


def make_real(p_path, q_path):
    import h5py
    x = np.vstack([h5py.File(path)["features"][:120] for path in (p_path, q_path)]).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    y = np.rint(u[:, :16] * s[:16] * 500).astype(int)
    write("real.tsv", "features of a real model, p above q", ([str(v) for v in row] for row in y))


def real():
    x = np.loadtxt(os.path.join(OUT, "real.tsv"), dtype=np.float32)
    return x[:120], x[120:]


def write(name, head, rows):
    with open(os.path.join(OUT, name), "w") as file:
        file.write(HEAD + head + "\n")
        for row in rows:
            file.write("\t".join(row) + "\n")


def numbers(values):
    return [repr(float(v)) for v in values]


def main():
    write("histograms.tsv", "scaling, mauve, frontier_integral, mauve_star, frontier_integral_star, counts of p, counts of q",
          (numbers([c]) + numbers(score(p, q, c)) + [" ".join(map(str, p)), " ".join(map(str, q))] for p, q, c in histograms()))
    spreads, pca = [], []
    for name, d, p_n, q_n, p_kinds, q_kinds, noise in SETS:
        p = features(d, p_n, p_kinds, noise, 1 << 20)
        q = features(d, q_n, q_kinds, noise, 1 << 21)
        spreads.append(spread(name, p, q))
        x = np.vstack([q, p]).astype(np.float64)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x -= x.mean(0)
        square = np.linalg.svd(x, compute_uv=False) ** 2
        share = np.cumsum(square) / square.sum()
        pca.append([name] + [str(int(np.argmax(share >= s)) + 1) for s in (0.5, 0.9, 0.99)] + numbers(square[:4]))
    write("spread.tsv", f"set, buckets, mean and standard deviation of each number over {SEEDS} seeds", spreads + [spread("real", *real())])
    write("pca.tsv", "set, components for 0.5, 0.9, 0.99 of the variance, sums of squares along the first four", pca)


if sys.argv[1:2] == ["--real"]:
    make_real(*sys.argv[2:])
else:
    main()
