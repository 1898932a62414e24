/* SPDX-License-Identifier: Apache-2.0
 *
 * Designs of textbooks: 2^(3-1), 2^(5-2), 2^(7-4), 2^(4-1) with their levels, defining relations,
 * aliases and resolutions, as Montgomery, Design and Analysis of Experiments, chapter 8, and Box,
 * Hunter, Hunter, Statistics for Experimenters, chapter 6, print them; orthogonality of all that are
 * tried; and generators that are refused.
 */
#include "sweep/design.h"

#include "check.h"

/* The words of a text, cut in place at the mark. */
static int split(char *text, char mark, char *words[8]) {
    int count = 0;
    for (char *next = text; next != NULL && *next != '\0' && count < 8;) {
        words[count++] = next;
        next = strchr(next, mark);
        if (next != NULL)
            *next++ = '\0';
    }
    return count;
}

static struct design make(int factors, const char *generators) {
    char copy[64], *list[8];
    struct design design;
    snprintf(copy, sizeof copy, "%s", generators);
    CHECK_OK(design_init(&design, factors, list, split(copy, ' ', list)));
    return design;
}

static uint32_t word_of(const char *text) {
    uint32_t letters = 0;
    for (; *text != '\0'; text++)
        letters |= UINT32_C(1) << (strchr("ABCDEFGHJKLMNOPQ", *text) - "ABCDEFGHJKLMNOPQ");
    return letters;
}

/* "A=BC-DE…": the aliases of the first word are these, in any order, and no others of at most `most`
 * letters. */
static void check_aliases(const struct design *design, const char *text, int most) {
    char copy[128], letters[DESIGN_WORD_MAX], *words[8];
    snprintf(copy, sizeof copy, "%s", text);
    const int count = split(copy, '=', words);
    const uint32_t of = word_of(words[0]);
    int found = 0, told = count - 1;
    for (int w = 1; w < count; w++)
        for (int64_t i = 0; i < design_relation_count(design); i++) {
            const bool minus = words[w][0] == '-';
            const struct design_word alias = design_alias(design, of, i);
            found += alias.letters == word_of(words[w] + minus) && alias.sign == (minus ? -1 : 1);
        }
    CHECK_EQ(found, told);
    for (int64_t i = 0; i < design_relation_count(design); i++)
        told -= (int)strlen(design_letters(design_alias(design, of, i).letters, letters)) <= most;
    CHECK_EQ(told, 0);
}

/* Rows of + and -, a run each. */
static void check_levels(const struct design *design, const char *const *rows) {
    for (int run = 0; run < design->runs; run++)
        for (int factor = 0; factor < design->factors; factor++)
            CHECK_EQ(design_level(design, run, factor), rows[run][factor] == '+' ? 1 : -1);
}

static void test_half_of_three(void) {
    const struct design design = make(3, "C=AB");
    CHECK_EQ(design.runs, 4);
    CHECK_EQ(design_resolution(&design), 3);
    check_levels(&design, (const char *const[]){"--+", "+--", "-+-", "+++"});
    check_aliases(&design, "A=BC", 3);
    check_aliases(&design, "B=AC", 3);
    check_aliases(&design, "C=AB", 3);
    const struct design other = make(3, "C=-AB");
    check_levels(&other, (const char *const[]){"---", "+-+", "-++", "++-"});
    check_aliases(&other, "A=-BC", 3);
    CHECK_EQ(design_relation(&other, 0).sign, -1);
}

static void test_half_of_four(void) {
    const struct design design = make(4, "D=ABC");
    CHECK_EQ(design.runs, 8);
    CHECK_EQ(design_resolution(&design), 4);
    check_levels(&design, (const char *const[]){"----", "+--+", "-+-+", "++--", "--++", "+-+-",
                                                "-++-", "++++"});
    check_aliases(&design, "A=BCD", 4);
    check_aliases(&design, "AB=CD", 4);
    check_aliases(&design, "AD=BC", 4);
}

static void test_quarter_of_five(void) {
    const struct design design = make(5, "D=AB E=AC");
    char letters[DESIGN_WORD_MAX];
    CHECK_EQ(design.runs, 8);
    CHECK_EQ(design_resolution(&design), 3);
    CHECK_EQ(design_relation_count(&design), 3);
    CHECK_TEXT(design_letters(design_relation(&design, 0).letters, letters), "ABD");
    CHECK_TEXT(design_letters(design_relation(&design, 1).letters, letters), "ACE");
    CHECK_TEXT(design_letters(design_relation(&design, 2).letters, letters), "BCDE");
    check_aliases(&design, "A=BD=CE=ABCDE", 5);
    check_aliases(&design, "B=AD=CDE=ABCE", 5);
    check_aliases(&design, "C=AE=BDE=ABCD", 5);
    check_aliases(&design, "D=AB=BCE=ACDE", 5);
    check_aliases(&design, "E=AC=BCD=ABDE", 5);
    check_aliases(&design, "BC=DE=ACD=ABE", 5);
    check_aliases(&design, "BE=CD=ABC=ADE", 5);
}

static void test_saturated(void) {
    const struct design design = make(7, "D=AB E=AC F=BC G=ABC");
    CHECK_EQ(design.runs, 8);
    CHECK_EQ(design_resolution(&design), 3);
    CHECK_EQ(design_relation_count(&design), 15);
    check_levels(&design, (const char *const[]){"---+++-", "+----++", "-+--+-+", "++-+---",
                                                "--++--+", "+-+-+--", "-++--+-", "+++++++"});
    check_aliases(&design, "A=BD=CE=FG", 2);
    check_aliases(&design, "B=AD=CF=EG", 2);
    check_aliases(&design, "C=AE=BF=DG", 2);
    check_aliases(&design, "D=AB=CG=EF", 2);
    check_aliases(&design, "E=AC=BG=DF", 2);
    check_aliases(&design, "F=AG=BC=DE", 2);
    check_aliases(&design, "G=AF=BE=CD", 2);
}

/* Signs multiply: with D = -AB and E = AC, BCDE is -1. */
static void test_signs(void) {
    const struct design design = make(5, "D=-AB E=AC");
    check_aliases(&design, "A=-BD=CE=-ABCDE", 5);
    for (int run = 0; run < design.runs; run++)
        for (int64_t i = 0; i < design_relation_count(&design); i++) {
            const struct design_word word = design_relation(&design, i);
            CHECK_EQ(design_product(&design, run, word.letters), word.sign);
        }
}

/* Each factor is high as often as low, and each pair of factors in all four ways equally often. */
static void test_orthogonal(const struct design *design) {
    for (int a = 0; a < design->factors; a++) {
        int sum = 0;
        for (int run = 0; run < design->runs; run++)
            sum += design_level(design, run, a);
        CHECK_EQ(sum, 0);
        for (int b = a + 1; b < design->factors; b++) {
            int product = 0;
            for (int run = 0; run < design->runs; run++)
                product += design_level(design, run, a) * design_level(design, run, b);
            CHECK_EQ(product, 0);
        }
    }
}

static void test_full(void) {
    const struct design design = make(3, "");
    CHECK_EQ(design.runs, 8);
    CHECK_EQ(design_resolution(&design), 0);
    CHECK_EQ(design_relation_count(&design), 0);
    check_levels(&design,
                 (const char *const[]){"---", "+--", "-+-", "++-", "--+", "+-+", "-++", "+++"});
    CHECK(design_comes_first(&design, word_of("ABC")));
}

/* Of aliases the shortest comes first, of equally long ones that of the earlier letter. */
static void test_first(void) {
    const struct design design = make(5, "D=AB E=AC");
    const char *const first[] = {"A", "B", "C", "D", "E", "BC", "BE"};
    const char *const later[] = {"BD", "AD", "AE", "AB", "AC", "DE", "CD", "ABC"};
    for (int i = 0; i < 7; i++)
        CHECK(design_comes_first(&design, word_of(first[i])));
    for (int i = 0; i < 8; i++)
        CHECK(!design_comes_first(&design, word_of(later[i])));
}

static void test_letters(void) {
    char letters[DESIGN_WORD_MAX];
    CHECK_TEXT(design_letters(0, letters), "I");
    CHECK_TEXT(design_letters(0xffff, letters), "ABCDEFGHJKLMNOPQ");
    const struct design design = make(9, "J=ABCDEFGH");
    CHECK_EQ(design_resolution(&design), 9);
    test_orthogonal(&design);
}

static void refuse(int factors, const char *first, const char *second, const char *words) {
    char one[32], two[32];
    char *list[2] = {one, two};
    struct design design;
    snprintf(one, sizeof one, "%s", first);
    snprintf(two, sizeof two, "%s", second);
    CHECK_STATUS(design_init(&design, factors, list, second[0] != '\0' ? 2 : 1), STATUS_INPUT,
                 words);
}

static void test_refused(void) {
    struct design design;
    char blanks[] = " C = - A B ", *list[1] = {blanks};
    CHECK_OK(design_init(&design, 3, list, 1));
    CHECK_EQ(design_level(&design, 0, 2), -1);
    refuse(3, "C", "", "the generator C is none");
    refuse(3, "C=", "", "the generator C= is none");
    refuse(3, "C=AD", "", "of the letters ABC");
    refuse(3, "C=AA", "", "the generator C=AA is none");
    refuse(3, "C=AB=AB", "", "is none");
    refuse(3, "CA=B", "", "is none");
    refuse(3, "=AB", "", "is none");
    refuse(3, "C=A-B", "", "is none");
    refuse(3, "C=ab", "", "is none");
    refuse(3, "C=A", "", "the generators make I = AC");
    refuse(4, "D=AB", "D=ABC", "the factor D has two generators");
    refuse(4, "C=AB", "D=AC", "the generator of D names C, which has a generator itself");
    refuse(5, "D=ABC", "E=-ABC", "the generators make I = -DE");
    refuse(3, "C=AC", "", "the generator of C names C");
    CHECK_STATUS(design_init(&design, 17, NULL, 0), STATUS_INPUT, "1 to 16 factors");
    CHECK_STATUS(design_init(&design, 0, NULL, 0), STATUS_INPUT, "1 to 16 factors");
    CHECK_STATUS(design_init(&design, 12, NULL, 0), STATUS_INPUT,
                 "4096 runs; at most 1024 are made: give 2 more factors a generator");
}

int main(void) {
    test_half_of_three();
    test_half_of_four();
    test_quarter_of_five();
    test_saturated();
    test_signs();
    test_full();
    test_first();
    test_letters();
    const struct design designs[] = {make(3, "C=AB"), make(5, "D=AB E=AC"),
                                     make(7, "D=AB E=AC F=BC G=ABC"), make(6, "E=ABC F=-BCD"),
                                     make(1, "")};
    for (int i = 0; i < 5; i++)
        test_orthogonal(&designs[i]);
    test_refused();
    return CHECK_END();
}
