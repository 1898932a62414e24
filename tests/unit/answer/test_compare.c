/* SPDX-License-Identifier: Apache-2.0
 *
 * What is equal to what: each kind of answer, by pairs whose verdict is plain to see.
 */
#include "answer/answer.h"

#include "base/strbuf.h"
#include "check.h"

static struct span span_of(const char *text) {
    return (struct span){text, strlen(text)};
}

/* clang-format off */
static const struct {
    bool right;
    const char *answer, *reference;
} pairs[] = {
    /* integers, decimals, fractions, mixed numbers */
    {true, "5", "5.0"},
    {true, "0.5", "\\frac{1}{2}"},
    {true, "\\dfrac12", "1/2"},
    {true, "\\frac{3}{4}", "0.75"},
    {false, "\\frac{3}{4}", "0.74"},
    {true, "1\\frac{1}{2}", "3/2"},
    {true, "1 1/2", "1.5"},
    {true, "-1\\frac12", "-3/2"},
    /* percentages */
    {true, "50\\%", "0.5"},
    {true, "50\\%", "50"},
    {true, "50%", "\\frac12"},
    {false, "50\\%", "5"},
    /* thousands */
    {false, "1,23", "123"},
    {false, "12,3456", "123456"},
    {true, "1,234", "1234"},
    {true, "1{,}234", "1234"},
    {true, "3,\\!250", "3250"},
    {true, "11,\\! 111,\\! 111,\\! 100", "11111111100"},
    /* scientific notation */
    {true, "1.5e3", "1500"},
    {true, "1.5\\times 10^3", "1500"},
    {true, "1.24e-8", "1.24\\times10^{-8}"},
    /* roots */
    {true, "\\sqrt{8}", "2\\sqrt{2}"},
    {true, "2\\sqrt2", "\\sqrt8"},
    {true, "\\sqrt[3]{27}", "3"},
    {true, "\\sqrt[3]{-8}", "-2"},
    /* π and e, and decimals of them */
    {true, "\\pi", "π"},
    {true, "2\\pi", "6.283185"},
    {true, "3.14159", "\\pi"},
    {false, "3.14", "\\pi"},
    {true, "e^2", "7.389056"},
    /* powers, polynomials, rational expressions */
    {true, "2^{10}", "1024"},
    {true, "x^2+2x+1", "(x+1)^2"},
    {true, "\\frac{1}{x}+\\frac{1}{y}", "\\frac{x+y}{xy}"},
    {false, "(x+1)^{100}", "(x+1)^{101}"},
    {false, "x^{100}+1", "x^{100}"},
    {false, "10^{40}x+1", "10^{40}x"},
    {true, "(x-2)^6", "64-192x+240x^2-160x^3+60x^4-12x^5+x^6"},
    /* ± pairs */
    {true, "1\\pm\\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"},
    {true, "\\{1\\pm\\sqrt{5},-2\\}", "\\{-2,1+\\sqrt5,1-\\sqrt5\\}"},
    /* lists, sets, tuples */
    {true, "1,2,3", "3, 2, 1"},
    {true, "\\{1,2\\}", "2,1"},
    {false, "(1,2)", "(2,1)"},
    {true, "(1,2)", "(1.0, \\frac42)"},
    {false, "5", "(1,2)"},
    {false, "(1,2)", "5"},
    {false, "\\{5\\}", "(1,2)"},
    {true, "\\{5\\}", "5"},
    {false, "1\\pm2", "(3,-1)"},
    {true, "1, 1, 2", "2, 1"},
    {true, "\\boxed{x+11} or \\boxed{11+x}", "11+x"},
    {false, "1, 1, 2", "1, 2, 3"},
    /* intervals and unions */
    {false, "[1,2]", "(1,2)"},
    {true, "[1,2)", "\\left[1,2\\right)"},
    {true, "(-\\infty,2)\\cup(2,\\infty)", "(-\\infty, 2) \\cup (2, \\infty)"},
    {true, "(2,3)\\cup(0,1)", "(0,1)\\cup(2,3)"},
    {true, "(0,2]\\cup(1,3)", "(0,3)"},
    {true, "\\mathbb{R}", "(-\\infty,\\infty)"},
    {true, "\\mathbb{R}\\setminus\\{2\\}", "(-\\infty,2)\\cup(2,\\infty)"},
    {true, "\\emptyset", "\\{\\}"},
    /* matrices */
    {true, "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\\\ \\end{bmatrix}"},
    {false, "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix} 1 & 2 \\\\ 3 & 5 \\end{bmatrix}"},
    {true, "\\frac15\\begin{pmatrix}1\\\\-18\\end{pmatrix}", "\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}"},
    {true, "(-3,11,7)", "\\begin{pmatrix} -3 \\\\ 11 \\\\ 7 \\end{pmatrix}"},
    /* equations and inequalities */
    {true, "x+y<1", "2 > 2y+2x"},
    {false, "x+y<1", "-x-y<-1"},
    {false, "x+y<1", "x+y\\le1"},
    {false, "1\\le x<2", "(1,2)"},
    {false, "x>3", "y>3"},
    {true, "x=5", "5"},
    {true, "5", "x = 5"},
    {false, "x=5", "y=5"},
    {true, "x>3", "(3,\\infty)"},
    {true, "1\\le x<2", "[1,2)"},
    {true, "x < 1 \\text{ or } x > 2", "(-\\infty,1)\\cup(2,\\infty)"},
    {true, "x\\in[0,1]", "[0,1]"},
    {true, "3<x", "x>3"},
    {true, "2x<4", "x<2"},
    {true, "x\\neq 2", "x \\ne 2"},
    {true, "5x - 7y + 11z + 4 = 0", "-10x+14y-22z-8=0"},
    {false, "5x - 7y + 11z + 4 = 0", "5x-7y+11z-4=0"},
    {true, "y = -2x", "-2x"},
    /* degrees */
    {true, "90^\\circ", "90"},
    {true, "90^{\\circ}", "90 degrees"},
    {true, "90°", "\\frac{\\pi}{2}"},
    {true, "2\\cos 15^{\\circ}", "\\frac{\\sqrt6+\\sqrt2}{2}"},
    /* units and money */
    {true, "5\\text{ cm}", "5"},
    {true, "15\\mbox{ cm}^2", "15 cm^2"},
    {true, "15\\mbox{ cm}^2", "15"},
    {true, "\\$36", "36"},
    {true, "3.25\\text{ dollars}", "\\$3.25"},
    {true, "18\\text{ ways.}", "18"},
    {true, "45\\text{ mph}", "45"},
    {true, "12 apples", "12"},
    {true, "5 m", "5"},
    {false, "5x", "5"},
    {false, "2k", "2"},
    {true, "100 \\text{ cm}", "1 \\text{ meter}"},
    {true, "200 cm", "2 meters"},
    {false, "200 cm", "200 meters"},
    /* words and letters of choices */
    {true, "\\text{Sunday}", "Sunday"},
    {true, "sunday", "\\text{Sunday}"},
    {false, "\\text{Monday}", "\\text{Sunday}"},
    {true, "C", "\\text{(C)}"},
    {true, "(C)", "C"},
    {true, "C) 12", "C"},
    {false, "B", "C"},
    {true, "\\text{east}", "east"},
    /* other numbers */
    {true, "\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\pi/2)"},
    {true, "11010_2", "11010_{2}"},
    {true, "4210_{7}", "4210"},
    {false, "1477", "4210_7"},
    {true, "0.\\overline{3}", "1/3"},
    {true, "0.1\\overline{36}", "\\frac{3}{22}"},
    /* functions and expressions */
    {true, "\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt3}"},
    {true, "\\cot x", "\\frac{\\cos x}{\\sin x}"},
    {true, "\\sin^2 x+\\cos^2 x", "1"},
    {true, "8-i", "-i+8"},
    {true, "e^{i\\pi}", "-1"},
    {true, "6!", "720"},
    {true, "\\binom{5}{2}", "10"},
    {true, "|{-3}|", "3"},
    {true, "\\lfloor 3.7 \\rfloor", "3"},
    {true, "\\log_2 8", "3"},
    {true, "\\ln e^3", "3"},
    {true, "\\frac{\\log 2}{\\log 2-\\log 3}", "\\frac{\\ln 2}{\\ln 2-\\ln 3}"},
    {true, "\\frac 97", "9/7"},
    {true, "\\frac \\pi4 + 2 - \\sqrt2", "2+\\frac{\\pi}{4}-\\sqrt{2}"},
    {true, "x^{2/3}", "\\sqrt[3]{x^2}"},
    {true, "2^{100}", "1267650600228229401496703205376"},
    {false, "2^{100}+1", "1267650600228229401496703205376"},
    {true, "3:2", "\\frac32"},
    {true, "f(x)=x^2", "x^2"},
    {true, "f(n)=n, g(n)=1", "g(n)=1,f(n)=n"},
    {true, "k\\left(4 k^{2}+k-1\\right) / 2", "2k^3+\\frac{k^2-k}{2}"},
    {true, "-1./3", "-\\frac13"},
    {true, "\\frac{d !}{2 k(d-k) !}", "\\frac{1}{2k}\\cdot\\frac{d!}{(d-k)!}"},
    {true, "I(0) e^{-\\frac{t}{R C}}", "I(0)e^{-t/(RC)}"},
    {false, "I(0) e^{-\\frac{t}{R C}}", "I(1)e^{-t/(RC)}"},
    {true, "x \\in (1,2)", "1<x<2"},
    {true, "(1,2)", "x=1, y=2"},
    {true, "C_1 e^t", "C_{1}e^{t}"},
    {true, "\\frac{1}{2}\\exp(x)", "0.5e^x"},
    {true, "\\sqrt{13}", "\\sqrt13"},
    {true, "x=1, x=2", "1,2"},
    {true, "x = 2 \\pm 3", "5,-1"},
    {true, "10^{100}", "1e100"},
    {true, "\\boxed{5}", "5"},
    {true, "5 \\text{ and } 6", "6,5"},
    {true, "2 \\frac{1}{2}", "2.5"},
    {true, "\\tan^{-1}(1)", "\\frac{\\pi}{4}"},
    {true, "\\arctan 1", "\\pi/4"},
    {false, "0.33", "\\frac13"},
    {true, "0.333333", "\\frac13"},
    {false, "12345.01", "12345"},
    {false, "1/0", "5"},
    {true, "\\frac{x^2-1}{x-1}", "x+1"},
    {true, "\\sqrt{x^2+2x+1}", "\\sqrt{(x+1)^2}"},
    {false, "x+1", "x+2"},
    {true, "3 - 2 f{\\left(x \\right)}", "3-2f(x)"},
    {false, "3 - 2f(y)", "3-2f(x)"},
    /* commas that group or divide */
    {true, "100,200", "100, 200"},
    {true, "200,100", "100,200"},
    {true, "(2,251,252)", "(2, 251, 252)"},
    /* characters of Unicode, and more units */
    {true, "½", "0.5"},
    {true, "x²", "x^2"},
    {true, "-5", "−5"},
    {true, "9\\text{ a.m.}", "9"},
    {true, "72 \\text{ inches}", "6 \\text{ feet}"},
    {true, "10 min", "10"},
    {true, "3\\sqrt{2}\\text{ cm}", "3\\sqrt2"},
    {true, "\\frac{2 \\pi c^{2} R^{2}}{\\lambda^{5}\\left[e^{h c /(\\lambda k T)}-1\\right] d^{2}}", "\\frac{2 \\pi c^2 R^2}{d^2 \\lambda^5 (\\exp(\\frac{hc}{\\lambda k T})-1)}"},
    {true, "m l \\ddot{\\theta}(t)-m g \\sin \\theta(t)=f(t) \\cos \\theta(t)", "m l \\ddot{\\theta}(t)=f(t) \\cos \\theta(t)+m g \\sin \\theta(t)"},
    {true, "5^{10^{3}}", "5^{1000}"},
    {true, "9^{9^{9}}", "3^{774840978}"},
    {false, "9^{9^{9^9}}", "9^{9^{9^8}}"},
    {true, "9^{9^{9^9}}", "9^{9^{9^{9}}}"},
    {true, "[P_0^{2/5}-\\frac25 g K^{-3/5}z]^{5/2}", "\\left[P_{0}^{2 / 5}-\\frac{2}{5} g K^{-3 / 5} z\\right]^{5 / 2}"},
    {true, "\\frac{\\cos (2 t)}{15}", "\\frac{1}{15}\\cos 2t"},
};
/* clang-format on */

static void test_pairs(void) {
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const enum answer_verdict have =
            answer_compare(1e-5, span_of(pairs[i].answer), span_of(pairs[i].reference));
        if (have != (pairs[i].right ? ANSWER_RIGHT : ANSWER_WRONG))
            CHECK_FAILED("\"%s\" beside \"%s\" is %s", pairs[i].answer, pairs[i].reference,
                         answer_verdict_word(have));
    }
}

/* The tolerance is of decimals alone. */
static void test_tolerance(void) {
    static const struct {
        double tolerance;
        const char *answer, *reference;
        enum answer_verdict want;
    } cases[] = {
        {1e-5, "0.33333", "\\frac13", ANSWER_RIGHT},
        {1e-5, "0.3333", "\\frac13", ANSWER_WRONG},
        {1e-3, "0.3333", "\\frac13", ANSWER_RIGHT},
        {0.0, "0.33333333", "\\frac13", ANSWER_WRONG},
        {1e-2, "12.01", "12", ANSWER_WRONG},
        {1e-2, "12.01", "12.0", ANSWER_WRONG},
        {1e-2, "\\frac{1201}{100}", "12.0", ANSWER_WRONG},
        {1e-2, "\\frac{1}{3}", "\\frac{100}{301}", ANSWER_WRONG},
        {1e-5, "1.41421", "\\sqrt2", ANSWER_RIGHT},
        {1e-6, "1.41421", "\\sqrt2", ANSWER_WRONG},
        {1e-5, "0.33333x", "\\frac{x}{3}", ANSWER_RIGHT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const enum answer_verdict have = answer_compare(
            cases[i].tolerance, span_of(cases[i].answer), span_of(cases[i].reference));
        if (have != cases[i].want)
            CHECK_FAILED("\"%s\" beside \"%s\" within %g is %s", cases[i].answer,
                         cases[i].reference, cases[i].tolerance, answer_verdict_word(have));
    }
}

/* A verdict is a function of the two texts: the same every time, and at any address. */
static void test_deterministic(void) {
    struct strbuf copy = STRBUF_EMPTY;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        strbuf_clear(&copy);
        CHECK_OK(strbuf_append_text(&copy, pairs[i].answer));
        const struct span reference = span_of(pairs[i].reference);
        CHECK_EQ(answer_compare(1e-5, (struct span){copy.text, copy.length}, reference),
                 answer_compare(1e-5, span_of(pairs[i].answer), reference));
    }
    strbuf_release(&copy);
}

int main(void) {
    test_pairs();
    test_tolerance();
    test_deterministic();
    return CHECK_END();
}
