/* SPDX-License-Identifier: Apache-2.0
 *
 * A reward program for tests, good and bad. Its first argument says what it does, or is a file that
 * says so. The reward is tokens / max_new_tokens.
 *
 *     length            one answer for each line
 *     reverse           the answers of a batch from the last to the first
 *     flood             much on standard error, and answers of many bytes, before the next line is read
 *     open              the number of files it has inherited, in place of the reward
 *     rank              10 GRADUS_RANKS + GRADUS_RANK
 *     die N WORDS       says WORDS and ends with exit status 3 at the N-th line
 *     die_step N        ends at the first line of step N; likewise write_step and late_step
 *     die_alone N       the same, on rank 1 alone
 *     kill N            ends by SIGKILL at the N-th line
 *     write N TEXT      TEXT in place of the N-th answer; % in it is the id
 *     late N            no answer from the N-th line on
 *     leave             closes its output and stays
 *     stubborn FILE     writes its process id to FILE and ends by nothing but SIGKILL
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *mode, *first = "", *second = "";
static long long lines; /* so far, this one included */

/* A number of a line; quotes inside its texts are escaped, so a name is found where it is one. */
static long long field(const char *line, const char *name) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", name);
    const char *at = strstr(line, quoted);
    return at != NULL ? strtoll(at + strlen(quoted), NULL, 10) : -1;
}

static int inherited(void) {
    int count = 0;
    for (int fd = 3; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static double reward_of(const char *line) {
    if (strcmp(mode, "open") == 0)
        return inherited();
    if (strcmp(mode, "rank") == 0)
        return 10 * atof(getenv("GRADUS_RANKS")) + atof(getenv("GRADUS_RANK"));
    return (double)field(line, "tokens") / (double)field(line, "max_new_tokens");
}

static void answer(const char *line) {
    printf("{\"id\": %lld, \"reward\": %.17g}\n", field(line, "id"), reward_of(line));
    fflush(stdout);
}

static void write_text(const char *line) {
    for (const char *at = second; *at != '\0'; at++)
        if (*at == '%')
            printf("%lld", field(line, "id"));
        else
            putchar(*at);
    putchar('\n');
    fflush(stdout);
}

static void flood(const char *line) {
    static char junk[8000];
    memset(junk, 'x', sizeof junk - 1);
    fprintf(stderr, "%.3000s\n", junk);
    printf("{\"comment\": \"%s\", \"id\": %lld, \"reward\": %.17g, \"more\": [1, NaN, {}]}\n", junk,
           field(line, "id"), reward_of(line));
    fflush(stdout);
}

static void reverse(const char *line) {
    static char *kept[100000];
    static int count;
    kept[count++] = strdup(line);
    if (strstr(line, "\"last\":true") == NULL)
        return;
    while (count > 0) {
        answer(kept[--count]);
        free(kept[count]);
    }
}

static void hold_on(void) {
    for (;;)
        pause();
}

static void stay(void) {
    FILE *file = fopen(first, "w");
    if (file == NULL)
        exit(4);
    fprintf(file, "%ld\n", (long)getpid());
    fclose(file);
    signal(SIGTERM, SIG_IGN);
    hold_on();
}

/* Does what the mode has for this line, if it is the one. */
static bool strange(const char *line) {
    const bool here = lines == atoll(first), in_step = field(line, "step") == atoll(first);
    if (strcmp(mode, "die") == 0 && here) {
        fprintf(stderr, "one line\n%s\n", second);
        exit(3);
    }
    if (strcmp(mode, "die_step") == 0 && in_step)
        exit(3);
    if (strcmp(mode, "die_alone") == 0 && in_step && strcmp(getenv("GRADUS_RANK"), "1") == 0)
        exit(3);
    if (strcmp(mode, "kill") == 0 && here)
        raise(SIGKILL);
    if ((strcmp(mode, "late") == 0 && lines >= atoll(first)) ||
        (strcmp(mode, "late_step") == 0 && in_step))
        return true;
    if ((strcmp(mode, "write") == 0 && here) || (strcmp(mode, "write_step") == 0 && in_step)) {
        write_text(line);
        return true;
    }
    if (strcmp(mode, "leave") == 0) {
        fclose(stdout);
        hold_on();
    }
    if (strcmp(mode, "stubborn") == 0)
        stay();
    return false;
}

static void read_mode(const char *path) {
    static char text[4096];
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL)
        exit(4);
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    mode = strtok(text, " ");
    const char *word = strtok(NULL, " ");
    first = word != NULL ? word : first;
    word = strtok(NULL, "");
    second = word != NULL ? word : second;
}

int main(int argc, char **argv) {
    char *line = NULL;
    size_t room = 0;
    mode = argc > 1 ? argv[1] : "length";
    first = argc > 2 ? argv[2] : first;
    second = argc > 3 ? argv[3] : second;
    if (strchr(mode, '/') != NULL)
        read_mode(mode);
    while (getline(&line, &room, stdin) > 0) {
        lines++;
        if (strange(line))
            continue;
        if (strcmp(mode, "reverse") == 0)
            reverse(line);
        else if (strcmp(mode, "flood") == 0)
            flood(line);
        else
            answer(line);
    }
    free(line);
    return 0;
}
