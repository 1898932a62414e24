#!/usr/bin/env python3
"""make_pairs.py: pairs of answers whose verdict is known, as they were made, on standard output.

Each rule below writes a value in two ways, or writes two values; numbers come from a generator with a fixed seed, nothing from
a data set. A line is: 1 or 0 (equal or not), the kind, the answer, the reference, separated by tabs. Python 3.8 or newer, no
packages. tests/peer/grade.py adds what other graders say (pairs.peers).
"""
import random
from fractions import Fraction

random.seed(20240611)
R = random.randint
CHOICE = random.choice


def nonzero(low, high):
    value = 0
    while value == 0:
        value = R(low, high)
    return value


def proper():
    bottom = R(2, 40)
    return Fraction(nonzero(-60, 60), bottom)


# --- ways to write one value ---

def frac(x, style=None):
    x = Fraction(x)
    sign = "-" if x < 0 else ""
    top, bottom = abs(x.numerator), x.denominator
    if bottom == 1:
        return f"{sign}{top}"
    style = style or CHOICE(["frac", "dfrac", "tfrac", "slash", "bare", "inside"])
    if style == "slash":
        return f"{sign}{top}/{bottom}"
    if style == "bare" and top < 10 and bottom < 10:
        return sign + CHOICE([f"\\frac{top}{bottom}", f"\\frac {top}{bottom}", f"\\frac{{{top}}}{bottom}"])
    if style == "inside" and sign:
        return f"\\frac{{-{top}}}{{{bottom}}}"
    return f"{sign}\\{style if style in ('frac', 'dfrac', 'tfrac') else 'frac'}{{{top}}}{{{bottom}}}"


def scaled(x):
    """Not in lowest terms."""
    k = R(2, 9)
    return frac_raw(x.numerator * k, x.denominator * k)


def frac_raw(top, bottom):
    return f"\\frac{{{top}}}{{{bottom}}}"


def mixed(x):
    sign, x = ("-", -x) if x < 0 else ("", x)
    whole = x.numerator // x.denominator
    rest = x - whole
    if whole == 0 or rest == 0:
        return sign + frac(x)
    return sign + CHOICE([f"{whole}\\frac{{{rest.numerator}}}{{{rest.denominator}}}",
                          f"{whole} {rest.numerator}/{rest.denominator}",
                          f"{whole}\\,\\dfrac{{{rest.numerator}}}{{{rest.denominator}}}"])


def decimal(x):
    """A number with finite decimals."""
    digits = 0
    while (x * 10**digits).denominator != 1:
        digits += 1
    text = f"{abs(int(x * 10**digits)):0{digits + 1}d}"
    text = text if digits == 0 else f"{text[:-digits]}.{text[-digits:]}"
    if digits and text.startswith("0.") and R(0, 3) == 0:
        text = text[1:]
    if digits and R(0, 3) == 0:
        text += "0" * R(1, 3)
    return ("-" if x < 0 else "") + text


def finite():
    return Fraction(nonzero(-5000, 5000), CHOICE([1, 2, 4, 5, 8, 10, 20, 25, 100, 1000]))


def grouped(n):
    return f"{n:,}".replace(",", CHOICE([",", "{,}", ",\\!", ",\\! ", "\\,"]))


def dressed(text):
    """What changes the look alone."""
    return CHOICE(["{}", "${}$", " {} ", "\\({}\\)", "{}.", "\\displaystyle {}", "\\left({}\\right)", "\\boxed{{{}}}",
                   "{{{}}}", "\\mathrm{{{}}}" if text.isdigit() else "{}"]).format(text)


def term(c, body):
    if body == "":
        return str(c)
    return {1: body, -1: "-" + body}.get(c, f"{c}{body}")


def signed_sum(terms):
    out = ""
    for t in terms:
        out += t if not out or t.startswith("-") else "+" + t
    return out or "0"


def root(a, b):
    """a √b."""
    return term(a, CHOICE([f"\\sqrt{{{b}}}", f"\\sqrt {b}" if b < 10 else f"\\sqrt{{{b}}}"]))


SQUAREFREE = [2, 3, 5, 6, 7, 10, 11, 13, 15]

# --- rules: each gives (equal, answer, reference) ---


def fractions(equal):
    x = proper()
    y = x if equal else x + Fraction(nonzero(-3, 3), x.denominator)
    return CHOICE([frac, scaled, mixed])(x), frac(y)


def decimals(equal):
    x = finite()
    y = x if equal else x + CHOICE([Fraction(1, 10), Fraction(1, 1000), 1, -x * 2, x * 9])
    return CHOICE([decimal, frac])(x), CHOICE([decimal, frac])(y)


def rounded(equal):
    """A decimal with many digits stands for a number without finite ones; with one it does not."""
    x = Fraction(nonzero(-60, 60) * 3 + 1, 3 * CHOICE([1, 3, 7, 11]))
    digits = R(7, 10) if equal else 1
    return f"{float(x):.{digits}f}", frac(x)


def mixed_numbers(equal):
    x = Fraction(R(1, 20)) + Fraction(R(1, 11), 12)
    y = x if equal else x + 1
    return mixed(x), frac(y) if R(0, 1) else mixed(y)


def percentages(equal):
    x = Fraction(R(1, 400), CHOICE([1, 2, 4, 10]))
    y = x if equal else x + 1
    sign = CHOICE(["\\%", "%", " \\%", "\\text{ percent}", " percent"])
    return decimal(x) + sign, CHOICE([lambda v: decimal(v), lambda v: decimal(v / 100), lambda v: decimal(v) + "\\%",
                                      lambda v: frac(v / 100)])(y)


def thousands(equal):
    n = R(1000, 99999999)
    m = n if equal else n + CHOICE([1, 1000, 9 * n])
    return grouped(n), CHOICE([str, grouped])(m)


def scientific(equal):
    m, e = Fraction(R(101, 999), 100), nonzero(-12, 15)
    other = e if equal else e + CHOICE([1, -1])
    ways = [f"{decimal(m)}e{e}", f"{decimal(m)} \\times 10^{{{e}}}", f"{decimal(m)}\\cdot 10^{{{e}}}", f"{decimal(m)}E{e:+d}",
            f"{decimal(m)} * 10^({e})", f"{decimal(m)} \u00d7 10^{{{e}}}"]
    return CHOICE(ways), f"{decimal(m * 10)}\\times10^{{{other - 1}}}"


def roots(equal):
    a, b = nonzero(-12, 12), CHOICE(SQUAREFREE)
    c = R(2, 9)
    ways = [root(a, b), ("-" if a < 0 else "") + f"\\sqrt{{{a * a * b}}}", frac_raw(term(a * b, ""), f"\\sqrt{{{b}}}"),
            f"\\frac{{{term(a * c, f'{chr(92)}sqrt{{{b}}}')}}}{{{c}}}"]
    other = a if equal else a + CHOICE([-13, 1 if a != -1 else 2])
    return CHOICE(ways), root(other, b)


def nested_roots(equal):
    a, b = random.sample(SQUAREFREE[:6], 2)
    inner = f"\\sqrt{{{a + b}+2\\sqrt{{{a * b}}}}}" if equal else f"\\sqrt{{{a + b + 1}+2\\sqrt{{{a * b}}}}}"
    return inner, f"\\sqrt{{{a}}}+\\sqrt{{{b}}}"


def higher_roots(equal):
    n, k = R(2, 7), R(3, 5)
    value = n**k if equal else n**k + 1
    sign = "-" if k % 2 and R(0, 1) else ""
    return f"\\sqrt[{k}]{{{sign}{value}}}", f"{sign}{n}"


def surds(equal):
    p, q, d = nonzero(-9, 9), nonzero(-6, 6), R(2, 9)
    b = CHOICE(SQUAREFREE)
    x = f"\\frac{{{p}{'+' if q > 0 else ''}{root(q, b)}}}{{{d}}}"
    wrong = 0 if equal else CHOICE([1, -1])
    y = signed_sum([frac(Fraction(p + wrong, d)), ("-" if q < 0 else "") + f"\\frac{{{root(abs(q), b)}}}{{{d}}}"])
    return x, y


def circles(equal):
    x = proper()
    y = x if equal else -x
    pi = CHOICE(["\\pi", "\u03c0", "\\pi "])
    top = term(x.numerator, pi)
    ways = [f"\\frac{{{top}}}{{{x.denominator}}}", frac(x, "frac") + pi, f"{top}/{x.denominator}", f"{pi} \\cdot {frac(x, 'frac')}"
            if x > 0 else frac(x, "frac") + pi]
    return CHOICE(ways), frac(y, "frac") + "\\pi"


def approximations(equal):
    value, text = CHOICE([(3.14159265358979, "\\pi"), (2.71828182845905, "e"), (1.41421356237310, "\\sqrt{2}"),
                          (1.61803398874989, "\\frac{1+\\sqrt5}{2}"), (0.69314718055995, "\\ln 2")])
    k = R(1, 30)
    return f"{value * k:.{R(6, 9) if equal else 1}f}", term(k, text if k == 1 or text[0] != "\\" or "frac" not in text else text)


def powers(equal):
    n, k = R(2, 9), R(2, 12)
    m = n**k if equal else n**k + CHOICE([1, -1, n])
    return CHOICE([f"{n}^{{{k}}}", f"{n}^{k}", f"{n}**{k}"]) if k < 10 else f"{n}^{{{k}}}", CHOICE([str(m), f"{m:,}"])


def large_powers(equal):
    n, k = R(2, 12), R(20, 90)
    ways = [f"{n}^{{{2 * k}}}", f"({n}^{{2}})^{{{k}}}", f"{n}^{{{k}}} \\cdot {n}^{{{k}}}", f"({n}^{{{k}}})^2"]
    return CHOICE(ways), f"{n * n}^{{{k if equal else k + 1}}}"


def plus_minus(equal):
    a, b, c = R(-9, 9), R(1, 9), CHOICE(SQUAREFREE)
    up, down = f"{a}+{root(b, c)}", f"{a}-{root(b, c)}"
    if not equal:
        down = f"{a}-{root(b + 1, c)}"
    return f"{a} \\pm {root(b, c)}", CHOICE([f"{up}, {down}", f"{down},{up}", f"\\{{{up},{down}\\}}", f"{up} \\text{{ and }} {down}"])


def distinct(n):
    values = set()
    while len(values) < n:
        values.add(CHOICE([Fraction(R(-15, 15)), Fraction(R(-30, 30), R(2, 5))]))
    return list(values)


def sets(equal):
    values = distinct(R(2, 5))
    other = values[:]
    random.shuffle(other)
    if not equal:
        other[0] += Fraction(1, 7)
    a, b = ", ".join(map(frac, values)), ", ".join(frac(v, "frac") for v in other)
    return CHOICE([a, f"\\{{{a}\\}}", f"\\left\\{{{a}\\right\\}}", ", ".join(map(frac, values[:-1])) + " \\text{ and } " + frac(values[-1])
                   ]), CHOICE([b, f"\\{{{b}\\}}"])


def tuples(equal):
    values = distinct(R(2, 4))
    other = values[:] if equal else values[1:] + values[:1]
    a, b = ", ".join(map(frac, values)), ",".join(frac(v, "frac") for v in other)
    return CHOICE([f"({a})", f"\\left({a}\\right)", f"\\left( {a} \\right)", a]), f"({b})"


def interval_ends():
    a, b = sorted(distinct(2))
    return a, b


def intervals(equal):
    a, b = interval_ends()
    left, right = CHOICE("(["), CHOICE(")]")
    other = (left, right) if equal else CHOICE([("[" if left == "(" else "(", right), (left, "]" if right == ")" else ")")])
    x = f"\\left{left}{frac(a, 'frac')}, {frac(b, 'frac')}\\right{right}" if R(0, 1) else f"{left}{frac(a)},{frac(b)}{right}"
    return CHOICE([x, "x \\in " + x]), f"{other[0]}{frac(a, 'frac')},{frac(b, 'frac')}{other[1]}"


def unions(equal):
    a, b, c = sorted(distinct(3))
    wrong = 0 if equal else Fraction(1, 3)
    first, second = f"(-\\infty, {frac(a, 'frac')}]", f"({frac(b, 'frac')},{frac(c + wrong, 'frac')})"
    return CHOICE([f"{first} \\cup {second}", f"{second}\\cup{first}"]), \
        f"(-\\infty,{frac(a, 'slash')}] \\cup \\left({frac(b, 'slash')}, {frac(c, 'slash')}\\right)"


def inequalities(equal):
    a, b = interval_ends()
    low, high = CHOICE([("<", "("), ("\\le ", "["), ("\\leq ", "[")]), CHOICE([("<", ")"), ("\\le ", "]")])
    top = b if equal else b + 1
    x = f"{frac(a, 'frac')} {low[0]} x {high[0]} {frac(b, 'frac')}"
    return x, CHOICE([f"{low[1]}{frac(a, 'frac')},{frac(top, 'frac')}{high[1]}",
                      f"{frac(a, 'slash')}{low[0]}x{high[0]}{frac(top, 'slash')}"])


def half_lines(equal):
    a = proper()
    sign, flipped, text = CHOICE([(">", "<", "({}, \\infty)"), ("\\ge", "\\le", "[{},\\infty)"), ("<", ">", "(-\\infty,{})")])
    b = a if equal else a + 1
    return CHOICE([f"x {sign} {frac(a, 'frac')}", f"{frac(a, 'frac')} {flipped} x"]), \
        CHOICE([text.format(frac(b, "frac")), f"x{sign} {frac(b, 'frac')}"])


def matrices(equal):
    rows, columns = R(1, 3), R(1, 3)
    rows = max(rows, 2) if columns == 1 else rows
    values = [[proper() if R(0, 1) else Fraction(R(-20, 20)) for _ in range(columns)] for _ in range(rows)]
    other = [r[:] for r in values]
    if not equal:
        other[R(0, rows - 1)][R(0, columns - 1)] += 1
    kind = CHOICE(["pmatrix", "bmatrix"])
    body = " \\\\ ".join(" & ".join(map(frac, r)) for r in values)
    return f"\\begin{{{kind}}} {body} \\end{{{kind}}}", \
        "\\begin{pmatrix}" + "\\\\".join("&".join(frac(v, "frac") for v in r) for r in other) + "\\end{pmatrix}"


def assignments(equal):
    x = proper()
    y = x if equal else -x
    name = CHOICE("xyznkab")
    return CHOICE([f"{name} = {frac(x)}", f"{name}={decimal(Fraction(x.numerator))}/{x.denominator}"]), CHOICE([frac(y), f"{name}={frac(y)}"])


def lines(equal):
    a, b, c, k = nonzero(-9, 9), nonzero(-9, 9), R(-20, 20), nonzero(-4, 4)
    d = c * k if equal else c * k + 1
    return f"{signed_sum([term(a, 'x'), term(b, 'y'), str(c)])} = 0", \
        f"{signed_sum([term(a * k, 'x'), term(b * k, 'y')])} = {-d}"


def functions(equal):
    a, b = nonzero(-9, 9), nonzero(-9, 9)
    c = b if equal else b + 1
    name = CHOICE(["f(x)", "y", "g(x)"])
    return f"{name} = {signed_sum([term(a, 'x'), str(b)])}", CHOICE([signed_sum([str(c), term(a, "x")]),
                                                                      f"{name}={signed_sum([term(a, 'x'), str(c)])}"])


def degrees(equal):
    x = R(1, 359)
    y = x if equal else x + 1
    return CHOICE([f"{x}^\\circ", f"{x}^{{\\circ}}", f"{x}\u00b0", f"{x}\\text{{ degrees}}", f"{x} degrees"]), \
        CHOICE([str(y), f"{y}^\\circ"])


def units(equal):
    x = CHOICE([Fraction(R(1, 900)), finite()])
    x = abs(x)
    y = x if equal else x + 1
    unit = CHOICE(["cm", "meters", "miles", "hours", "apples", "square units", "students", "inches", "cm^2", "ways", "mph"])
    return CHOICE([f"{decimal(x)} \\text{{ {unit}}}" if "^" not in unit else f"{decimal(x)}\\text{{ cm}}^2", f"{decimal(x)} {unit}",
                   f"{decimal(x)}\\mbox{{ {unit}}}" if "^" not in unit else f"{decimal(x)} \\mbox{{cm}}^2"]), \
        CHOICE([decimal(y), f"{decimal(y)}\\text{{ {unit}}}" if "^" not in unit else f"{decimal(y)}\\text{{ cm}}^2"])


def conversions(equal):
    n, (big, small, k) = R(1, 40), CHOICE([("meters", "cm", 100), ("feet", "inches", 12), ("hours", "minutes", 60),
                                          ("km", "meters", 1000), ("minutes", "seconds", 60)])
    return f"{n * k} \\text{{ {small}}}", f"{n if equal else n * k} \\text{{ {big}}}"


def money(equal):
    x = abs(finite())
    y = x if equal else x + 1
    return CHOICE([f"\\${decimal(x)}", f"${decimal(x)}", f"{decimal(x)}\\text{{ dollars}}", f"{decimal(x)} dollars"]), \
        CHOICE([decimal(y), f"\\${decimal(y)}"])


WORDS = ["Sunday", "east", "Alice", "even", "yes", "hyperbola", "triangle", "north", "Friday", "circle", "parabola", "odd", "no"]


def words(equal):
    a, b = random.sample(WORDS, 2)
    b = a if equal else b
    return CHOICE([a, f"\\text{{{a}}}", f"\\textbf{{{a}}}", a.lower(), f"\\text{{{a}}}.", f"\\mbox{{{a}}}"]), CHOICE([b, f"\\text{{{b}}}"])


def letters(equal):
    a, b = random.sample("ABCDE", 2)
    b = a if equal else b
    return CHOICE([a, f"({a})", f"\\text{{({a})}}", f"\\text{{{a}}}", f"\\textbf{{({a})}}", f"{a}.", f"\\mathrm{{{a}}}"]), \
        CHOICE([b, f"\\text{{({b})}}", f"({b})", f"\\text{{{b}}}"])


def multiply(p, q):
    out = [0] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for k, b in enumerate(q):
            out[i + k] += a * b
    return out


def polynomial(p, x="x"):
    terms = [term(c, "" if i == 0 else x if i == 1 else f"{x}^{i}" if i < 10 else f"{x}^{{{i}}}")
             for i, c in reversed(list(enumerate(p))) if c]
    return signed_sum(terms)


def linear():
    return [nonzero(-9, 9), nonzero(1, 5)]


def polynomials(equal):
    x = CHOICE("xyznt")
    factors = [linear() for _ in range(R(2, 4))]
    p = [1]
    for f in factors:
        p = multiply(p, f)
    q = p[:]
    if not equal:
        q[R(0, len(q) - 1)] += CHOICE([1, -1])
    if R(0, 1):
        random.shuffle(factors)
    return CHOICE(["", "\\cdot "]).join(f"({polynomial(f, x)})" for f in factors), polynomial(q, x)


def binomials(equal):
    a, n = nonzero(-4, 4), R(2, 7)
    p = [1]
    for _ in range(n):
        p = multiply(p, [a, 1])
    if not equal:
        p[R(0, n - 1)] += 1
    terms = [term(c, "" if i == 0 else "x" if i == 1 else f"x^{{{i}}}") for i, c in enumerate(p) if c]
    return f"(x{a:+d})^{{{n}}}" if n > 9 or R(0, 1) else f"(x{a:+d})^{n}", signed_sum(terms)


def several_variables(equal):
    a, b = nonzero(-5, 5), nonzero(-5, 5)
    c = 2 * a * b if equal else 2 * a * b + 1
    return f"({signed_sum([term(a, 'a'), term(b, 'b')])})^2", \
        CHOICE([signed_sum([term(a * a, "a^2"), term(c, "ab"), term(b * b, "b^2")]),
                signed_sum([term(b * b, "b^{2}"), term(c, "b a"), term(a * a, "a^{2}")])])


def rational_functions(equal):
    p, q, r = linear(), linear(), linear()
    top = multiply(p, r)
    bottom = multiply(q, r)
    if not equal:
        top[0] += 1
    return f"\\frac{{{polynomial(top)}}}{{{polynomial(bottom)}}}", \
        CHOICE([f"\\frac{{{polynomial(p)}}}{{{polynomial(q)}}}", f"({polynomial(p)})/({polynomial(q)})"])


def partial_fractions(equal):
    a, b = random.sample(range(1, 9), 2)
    c = b - a if equal else b - a + 1
    return f"\\frac{{1}}{{x+{a}}}-\\frac{{1}}{{x+{b}}}", f"\\frac{{{c}}}{{(x+{a})(x+{b})}}"


def complex_numbers(equal):
    a, b = nonzero(-9, 9), nonzero(-9, 9)
    c, d = nonzero(-5, 5), nonzero(-5, 5)
    re, im = a * c - b * d, a * d + b * c
    wrong = 0 if equal else 1
    return f"({a}{term(b, 'i') if b < 0 else '+' + term(b, 'i')})({c}{term(d, 'i') if d < 0 else '+' + term(d, 'i')})", \
        signed_sum([str(re + wrong)] + ([term(im, "i")] if im else []))


def bases(equal):
    base = R(2, 9)
    n = R(base, 5000)
    digits, m = "", n
    while m:
        digits, m = str(m % base) + digits, m // base
    other = digits if equal else digits[:-1] + str((int(digits[-1]) + 1) % base)
    return CHOICE([f"{digits}_{base}", f"{digits}_{{{base}}}"]), CHOICE([f"{other}_{{{base}}}", f"{other}_{base}"])


def repeating(equal):
    whole, head, tail = R(0, 9), "".join(CHOICE("0123456789") for _ in range(R(0, 2))), str(R(1, 98))
    x = Fraction(int(f"{whole}{head}{tail}") - int(f"{whole}{head}"), 10**len(head) * (10**len(tail) - 1))
    return f"{whole}.{head}\\overline{{{tail}}}", frac(x if equal else x + Fraction(1, 7), "frac")


def trigonometry(equal):
    x, y = CHOICE([("\\sin 30^\\circ", "\\frac12"), ("\\cos\\frac{\\pi}{6}", "\\frac{\\sqrt3}{2}"), ("\\tan 60^{\\circ}", "\\sqrt{3}"),
                   ("2\\sin x\\cos x", "\\sin 2x"), ("\\cos^2 x-\\sin^2 x", "\\cos(2x)"), ("\\sec^2 y", "1+\\tan^2 y"),
                   ("\\cos 15^\\circ", "\\frac{\\sqrt6+\\sqrt2}{4}"), ("\\arcsin 1", "\\frac{\\pi}{2}"),
                   ("\\tan^{-1} 1", "\\frac{\\pi}{4}"), ("\\cot x", "\\frac{\\cos x}{\\sin x}")])
    k = R(2, 9)
    return f"{k}\\left({x}\\right)", f"{k if equal else k + 1}\\left({y}\\right)"


def logarithms(equal):
    n, k = R(2, 9), R(2, 6)
    return CHOICE([f"\\log_{{{n}}} {n**k}", f"\\log_{n} {n**k}", f"\\frac{{\\ln {n**k}}}{{\\ln {n}}}", f"\\log_{{{n}}}({n**k})"]), \
        str(k if equal else k + 1)


def exponentials(equal):
    a, b = nonzero(-5, 5), nonzero(-5, 5)
    return CHOICE([f"e^{{{term(a, 'x')}}} e^{{{term(b, 'x')}}}", f"\\exp({term(a + b, 'x') if a + b else 0})",
                   f"e^{{{term(a, 'x')}{'+' if b > 0 else ''}{term(b, 'x')}}}"]), \
        f"e^{{{term((a + b) if equal else (a + b + 1), 'x') if (a + b + (not equal)) else 0}}}"


def counting(equal):
    n, k = R(4, 12), R(1, 3)
    value = 1
    for i in range(k):
        value = value * (n - i) // (i + 1)
    return CHOICE([f"\\binom{{{n}}}{{{k}}}", f"\\frac{{{n}!}}{{{k}!{n - k}!}}", f"\\dbinom{{{n}}}{{{k}}}"]), \
        str(value if equal else value + 1)


def parts(equal):
    x = proper() * 5
    down = x.numerator // x.denominator
    kind, value = CHOICE([("floor", down), ("ceil", -(-x.numerator // x.denominator))])
    return f"\\left\\l{kind} {frac(x, 'frac')} \\right\\r{kind}", str(value if equal else value + 1)


def absolute(equal):
    x = proper()
    return CHOICE([f"|{frac(x, 'frac')}|", f"\\left|{frac(x, 'frac')}\\right|", f"\\lvert {frac(x, 'frac')} \\rvert"]), \
        frac(abs(x) if equal else -abs(x), "frac")


def looks(equal):
    """Dressed the same value, in ways that change nothing."""
    text = CHOICE([frac(proper()), decimal(finite()), root(R(2, 9), 7), f"{R(2, 9)}\\pi", f"({R(1, 9)}, {R(1, 9)})", polynomial(linear())])
    other = text if equal else CHOICE([frac(proper() + 100), "11\\sqrt{7}", "(1,2,3)"])
    return dressed(dressed(text)), other


RULES = [fractions, decimals, rounded, mixed_numbers, percentages, thousands, scientific, roots, nested_roots, higher_roots, surds,
         circles, approximations, powers, large_powers, plus_minus, sets, tuples, intervals, unions, inequalities, half_lines,
         matrices, assignments, lines, functions, degrees, units, conversions, money, words, letters, polynomials, binomials,
         several_variables, rational_functions, partial_fractions, complex_numbers, bases, repeating, trigonometry, logarithms,
         exponentials, counting, parts, absolute, looks]

if __name__ == "__main__":
    for rule in RULES:
        seen = set()
        for i in range(400):
            equal = i % 2 == 0
            answer, reference = rule(equal)
            if (answer, reference) in seen or len(seen) >= 64 or answer == reference and not equal:
                continue
            seen.add((answer, reference))
            print(int(equal), rule.__name__, answer, reference, sep="\t")
