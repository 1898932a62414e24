/* SPDX-License-Identifier: Apache-2.0
 *
 * A reward program (tests/reward/judge.c) asked in good and bad days: batches larger than its pipes,
 * answers in any order, much on standard error; its death, bad lines, late answers, each with its
 * sentence; and nothing of it stays behind.
 */
#include "reward/program.h"

#include <fcntl.h>
#include <signal.h>

#include "base/memory.h"
#include "check.h"
#include "unit/file/folder.h"

enum { ROOM = 3000 };

static struct reward_input inputs[ROOM];
static double scores[ROOM];

/* Answers of 1 kB, of 1 to 13 tokens of 13. */
static void fill_inputs(void) {
    static char text[1025];
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "\"tokens\":7\n", 11); /* a text that looks like a field */
    for (int i = 0; i < ROOM; i++)
        inputs[i] = (struct reward_input){.text = text,
                                          .length = sizeof text - 1,
                                          .reference = "r",
                                          .reference_length = 1,
                                          .prompt = "p",
                                          .prompt_length = 1,
                                          .finish_reason = "stop",
                                          .tokens = i % 13 + 1,
                                          .max_new_tokens = 13,
                                          .step = 1 + i / 1000,
                                          .group = i};
}

static struct reward_program *open_judge(const char *arguments, double deadline_s) {
    struct reward_program *program = NULL;
    const struct reward_program_settings settings = {.path = REWARD_JUDGE,
                                                     .arguments = arguments,
                                                     .deadline_s = deadline_s,
                                                     .rank = 3,
                                                     .ranks = 4};
    CHECK_OK(reward_program_open(&program, &settings));
    return program;
}

/* Two batches, so that the ids go on. */
static void test_good(const char *mode) {
    struct reward_program *program = open_judge(mode, 60);
    for (int begin = 0; begin < ROOM; begin += ROOM / 2) {
        CHECK_OK(reward_program_grade(program, inputs + begin, ROOM / 2, NULL, scores + begin));
        CHECK_OK(reward_program_grade(program, inputs, 0, NULL, scores + begin));
    }
    for (int i = 0; i < ROOM; i++)
        CHECK_NEAR(scores[i], (double)inputs[i].tokens / 13, 0);
    reward_program_close(&program);
    CHECK(program == NULL);
}

/* Files of this process that a program it starts would have. */
static int inheritable(void) {
    int count = 0;
    for (int fd = 3; fd < 1024; fd++) {
        const int flags = fcntl(fd, F_GETFD);
        count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return count;
}

/* It inherits none of the pipes to other programs, and knows its rank. */
static void test_surroundings(void) {
    const int files = inheritable();
    struct reward_program *beside = open_judge("length", 60), *program = open_judge("open", 60);
    CHECK_OK(reward_program_grade(program, inputs, 1, NULL, scores));
    CHECK_NEAR(scores[0], files, 0);
    reward_program_close(&program);
    program = open_judge("rank", 60);
    CHECK_OK(reward_program_grade(program, inputs, 1, NULL, scores));
    CHECK_NEAR(scores[0], 43, 0);
    reward_program_close(&program);
    CHECK_OK(reward_program_grade(beside, inputs, 4, NULL, scores));
    reward_program_close(&beside);
}

/* The sentence of 8 answers asked with these arguments. */
static void fails(const char *arguments, double deadline_s, const char *words) {
    struct reward_program *program = open_judge(arguments, deadline_s);
    CHECK_STATUS(reward_program_grade(program, inputs, 8, NULL, scores), STATUS_REWARD, words);
    CHECK(strstr(status_sentence(), "judge") != NULL);
    status_clear();
    reward_program_close(&program);
}

static void test_failures(void) {
    fails(
        "die 3 'ValueError: \"x\"'", 60,
        "has ended (exit status 3) after 2 of 8 answers; its last words: 'ValueError: \\\"x\\\"'");
    fails("kill 8", 60, "has ended (signal 9) after 7 of 8 answers");
    fails("late 6", 0.5, "has given 5 of 8 answers within 0.5 s, the deadline_s of its part");
    fails("leave", 60, "has closed its output after 0 of 8 answers");
}

static void test_bad_lines(void) {
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"half a { line", "is no answer: '*judge:4: not valid JSON"},
        {"{\"id\": %, \"reward\": NaN}", ":4: the field \"reward\" is not valid JSON"},
        {"{\"id\": %, \"reward\": 1e999}", "\"reward\" is not valid JSON"},
        {"{\"id\": %, \"reward\": \"1\"}", "the field \"reward\" is no number"},
        {"{\"id\": %, \"reward\": true}", "the field \"reward\" is no number"},
        {"{\"id\": %}", "the field \"reward\" is missing"},
        {"{\"reward\": 1}", "the field \"id\" is missing"},
        {"{\"id\": \"%\", \"reward\": 1}", "the field \"id\" is no integer"},
        {"{\"id\": %, \"id\": %, \"reward\": 1}", "stands twice"},
        {"{\"id\": 0, \"reward\": 1}", "id 0 in its line 4, which was answered before"},
        {"{\"id\": 8, \"reward\": 1}", "id 8 in its line 4, which was not asked for"},
        {"{\"id\": -1, \"reward\": 1}", "which was not asked for"},
        {"[%, 1]", "no JSON object"},
        {"", "not valid JSON"},
        {"{\"id\": %, \"error\": \"no answer from the server\"}",
         "ends the run: 'no answer from the server'"},
        {"{\"id\": %, \"error\": 3}", "the field \"error\" is no text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char arguments[256];
        const char *words = strchr(cases[i].words, '*');
        snprintf(arguments, sizeof arguments, "write 4 '%s'", cases[i].text);
        fails(arguments, 60, words != NULL ? words + 1 : cases[i].words);
    }
    /* A comment line, or a second answer, is too much even when all answers are there. */
    fails("write 8 '{\"id\": %, \"reward\": 1}\nmore'", 60, "");
}

static enum status give_up(void *context) {
    int *calls = context;
    return ++*calls < 3 ? STATUS_OK : FAIL(STATUS_STOPPED, "the user");
}

/* Who waits may give up; then a program that ends by nothing is killed. */
static void test_stubborn(void) {
    char arguments[600];
    int calls = 0;
    long pid = 0;
    const struct pulse pulse = {.beat = give_up, .context = &calls};
    folder_make();
    snprintf(arguments, sizeof arguments, "stubborn '%s'", folder_file("pid"));
    struct reward_program *program = open_judge(arguments, 600);
    for (FILE *file = NULL; pid == 0;) { /* until it is what it is */
        calls = 0;
        if (file == NULL) {
            CHECK_STATUS(reward_program_grade(program, inputs, 1, &pulse, scores), STATUS_STOPPED,
                         "the user");
            status_clear();
        }
        while (file == NULL)
            file = fopen(folder_file("pid"), "r");
        if (fscanf(file, "%ld", &pid) != 1) {
            pid = 0;
            rewind(file);
            continue;
        }
        fclose(file);
    }
    CHECK_EQ(kill((pid_t)pid, 0), 0);
    reward_program_close(&program);
    CHECK_EQ(kill((pid_t)pid, 0), -1);
    folder_remove();
}

static void test_check(void) {
    CHECK_STATUS(reward_program_check("no/such"), STATUS_INPUT, "'no/such' cannot be found");
    CHECK_STATUS(reward_program_check("CMakeLists.txt"), STATUS_INPUT, "chmod +x");
    CHECK_STATUS(reward_program_check("src"), STATUS_INPUT, "chmod +x");
    struct reward_program *program;
    const struct reward_program_settings settings = {.path = "no/such", .arguments = ""};
    CHECK_STATUS(reward_program_open(&program, &settings), STATUS_INPUT, "cannot be found");
}

static int open_files(void) {
    return folder_entries("/proc/self/fd");
}

int main(void) {
    const int files = open_files();
    fill_inputs();
    test_good("length");
    test_good("reverse");
    test_good("flood");
    test_surroundings();
    test_failures();
    test_bad_lines();
    test_stubborn();
    test_check();
    CHECK_EQ(open_files(), files);
    CHECK_EQ(memory_totals().bytes, 0);
    return CHECK_END();
}
