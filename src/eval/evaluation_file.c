/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/evaluation_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

enum { PATH_BYTES = 128 };

/* --- writing --- */

/* What is written of a set: its samples, or its problems. */
struct writing {
    struct h5 *h5;
    const struct evaluation *evaluation;
    const struct evaluation_set *set;
};

/* Elements that row i gives to a dataset; `own` is room for one that stands nowhere. */
struct piece {
    const void *data;
    int64_t n;
};
typedef struct piece row_of(const struct writing *w, int64_t i, int64_t *own);

struct field {
    const char *name, *offsets; /* offsets NULL: one element a row */
    enum h5_kind kind;
    bool per_problem;
    row_of *row;
    const char *unit, *sentence;
};

static const struct evaluation_sample *sample_at(const struct writing *w, int64_t i) {
    return &w->set->samples[i];
}

static struct piece number(int64_t *own, int64_t value) {
    *own = value;
    return (struct piece){own, 1};
}

/* On a little-endian machine the first byte of *own is what a byte of that value is. */
static struct piece byte(int64_t *own, int value) {
    *(unsigned char *)own = (unsigned char)value;
    return (struct piece){own, 1};
}

static struct piece row_row(const struct writing *w, int64_t i, int64_t *own) {
    return number(own, w->set->problems[i / w->evaluation->samples].row);
}

static struct piece row_sample(const struct writing *w, int64_t i, int64_t *own) {
    return number(own, i % w->evaluation->samples);
}

static struct piece row_correct(const struct writing *w, int64_t i, int64_t *own) {
    return byte(own, sample_at(w, i)->right);
}

static struct piece row_tokens(const struct writing *w, int64_t i, int64_t *own) {
    return number(own, sample_at(w, i)->length);
}

static struct piece row_finish(const struct writing *w, int64_t i, int64_t *own) {
    return byte(own, (int)sample_at(w, i)->finish);
}

static struct piece row_ids(const struct writing *w, int64_t i, int64_t *own) {
    (void)own;
    return (struct piece){sample_at(w, i)->tokens, sample_at(w, i)->n};
}

static struct piece row_text(const struct writing *w, int64_t i, int64_t *own) {
    const struct strbuf *text = &sample_at(w, i)->text;
    (void)own;
    return (struct piece){strbuf_text(text), (int64_t)text->length};
}

static struct piece row_extracted(const struct writing *w, int64_t i, int64_t *own) {
    const struct strbuf *text = &sample_at(w, i)->extracted;
    (void)own;
    return (struct piece){strbuf_text(text), (int64_t)text->length};
}

static struct piece row_problem(const struct writing *w, int64_t i, int64_t *own) {
    return number(own, w->set->problems[i].row);
}

static struct piece row_right(const struct writing *w, int64_t i, int64_t *own) {
    const struct evaluation_sample *samples = evaluation_samples(w->evaluation, w->set, i);
    int64_t right = 0;
    for (int64_t k = 0; k < w->evaluation->samples; k++)
        right += samples[k].right;
    return number(own, right);
}

static struct piece row_reference(const struct writing *w, int64_t i, int64_t *own) {
    const struct utf8_span reference = w->set->problems[i].reference;
    (void)own;
    return (struct piece){reference.text, (int64_t)reference.length};
}

/* clang-format off */
static const struct field fields[] = {
    {"row", NULL, H5_KIND_I64, false, row_row, "1", "0-based line of the data file"},
    {"sample", NULL, H5_KIND_I64, false, row_sample, "1", "number of the sample among those of its problem"},
    {"correct", NULL, H5_KIND_U8, false, row_correct, "1", "1: the answer is right"},
    {"tokens", NULL, H5_KIND_I64, false, row_tokens, "tokens", "length of the answer, the stop id included, a forced text left out"},
    {"finish_reason", NULL, H5_KIND_U8, false, row_finish, "1", "why the answer ended: 0 stop id, 1 length, 2 stop text, 3 forced"},
    {"token_ids", "offsets", H5_KIND_I32, false, row_ids, "1", "token ids of the answers, the stop id and forced texts included"},
    {"text", "text_offsets", H5_KIND_U8, false, row_text, "1", "UTF-8 bytes of the answers, without special tokens"},
    {"extracted", "extracted_offsets", H5_KIND_U8, false, row_extracted, "1", "UTF-8 bytes of what was judged of each answer, none where it gives nothing"},
    {"problem/row", NULL, H5_KIND_I64, true, row_problem, "1", "0-based line of the data file"},
    {"problem/right", NULL, H5_KIND_I64, true, row_right, "samples", "samples that are right"},
    {"problem/reference", "problem/reference_offsets", H5_KIND_U8, true, row_reference, "1", "UTF-8 bytes of the reference answers"},
};
/* clang-format on */

static int64_t row_count(const struct writing *w, const struct field *field) {
    return field->per_problem ? w->set->count : w->set->count * w->evaluation->samples;
}

static const char *path_of(char out[PATH_BYTES], const struct evaluation_set *set,
                           const char *name) {
    snprintf(out, PATH_BYTES, "/set/%s%s%s", set->how->name, name[0] != '\0' ? "/" : "", name);
    return out;
}

static enum status put_list(const struct writing *w, const char *name, enum h5_kind kind, int64_t n,
                            const void *values, const char *unit, const char *sentence) {
    char path[PATH_BYTES];
    path_of(path, w->set, name);
    TRY(h5_put_list(w->h5, path, kind, n, values));
    return h5_describe(w->h5, path, unit, sentence);
}

static enum status put_offsets(const struct writing *w, const struct field *field,
                               const int64_t *offsets) {
    char sentence[PATH_BYTES];
    snprintf(sentence, sizeof sentence, "row i is elements [offsets[i], offsets[i + 1]) of %s",
             field->name);
    return put_list(w, field->offsets, H5_KIND_I64, row_count(w, field) + 1, offsets, "1",
                    sentence);
}

/* `offsets` has room for a number more than there are rows. */
static enum status put_field(const struct writing *w, const struct field *field, int64_t *offsets) {
    const int64_t rows = row_count(w, field);
    const size_t bytes = (size_t)h5_kind_bytes(field->kind);
    char *flat;
    int64_t own;
    offsets[0] = 0;
    for (int64_t i = 0; i < rows; i++)
        offsets[i + 1] = offsets[i] + field->row(w, i, &own).n;
    TRY(memory_allocate(&flat, (size_t)offsets[rows], bytes, field->name));
    for (int64_t i = 0; i < rows; i++) {
        const struct piece piece = field->row(w, i, &own);
        if (piece.n > 0)
            memcpy(flat + (size_t)offsets[i] * bytes, piece.data, (size_t)piece.n * bytes);
    }
    enum status status =
        put_list(w, field->name, field->kind, offsets[rows], flat, field->unit, field->sentence);
    memory_release(&flat);
    if (status == STATUS_OK && field->offsets != NULL)
        status = put_offsets(w, field, offsets);
    return status;
}

static enum status put_fields(const struct writing *w) {
    int64_t *offsets;
    enum status status = STATUS_OK;
    TRY(memory_new(&offsets, w->set->count * w->evaluation->samples + 1, "offsets"));
    for (size_t f = 0; f < sizeof fields / sizeof *fields && status == STATUS_OK; f++)
        status = put_field(w, &fields[f], offsets);
    memory_release(&offsets);
    return status;
}

/* --- figures --- */

static enum status put_number(const struct writing *w, const char *name, double value) {
    char path[PATH_BYTES];
    return h5_put_attribute_real(w->h5, path_of(path, w->set, ""), name, value);
}

static enum status put_estimate(const struct writing *w, const char *kind, int64_t k,
                                enum status (*figure)(const struct evaluation *evaluation,
                                                      const struct evaluation_set *set, int64_t k,
                                                      struct estimate *out)) {
    struct estimate estimate;
    char name[48];
    TRY(figure(w->evaluation, w->set, k, &estimate));
    snprintf(name, sizeof name, "%s_%lld", kind, (long long)k);
    TRY(put_number(w, name, estimate.mean));
    snprintf(name, sizeof name, "%s_%lld_error", kind, (long long)k);
    return put_number(w, name, estimate.error);
}

static enum status put_figures(const struct writing *w) {
    const struct settings_eval *eval = &w->evaluation->sampling.eval;
    const struct evaluation_lengths lengths = evaluation_lengths(w->evaluation, w->set);
    char path[PATH_BYTES];
    bool first = false;
    path_of(path, w->set, "");
    TRY(put_number(w, "problems", (double)w->set->count));
    TRY(put_number(w, "samples", (double)w->evaluation->samples));
    for (int64_t i = 0; i < eval->pass_at_count; i++) {
        first = first || eval->pass_at[i] == 1;
        TRY(put_estimate(w, "pass_at", eval->pass_at[i], evaluation_pass_at));
        TRY(put_estimate(w, "maj_at", eval->pass_at[i], evaluation_majority));
    }
    if (!first)
        TRY(put_estimate(w, "pass_at", 1, evaluation_pass_at));
    TRY(put_number(w, "mean_length", lengths.mean));
    TRY(put_number(w, "clipped_ratio", lengths.clipped_ratio));
    TRY(h5_put_attribute(w->h5, path, "rule", w->set->how->rule));
    return h5_put_attribute(w->h5, path, "path", w->set->how->path);
}

static enum status fill_file(struct h5 *h5, const struct evaluation *evaluation,
                             const struct strbuf *identity, const struct provenance *provenance) {
    for (int64_t s = 0; s < evaluation->set_count; s++) {
        const struct writing w = {h5, evaluation, &evaluation->sets[s]};
        TRY(put_fields(&w));
        TRY(put_figures(&w));
    }
    TRY(h5_put_text(h5, "/identity", strbuf_text(identity)));
    return provenance_write(h5, provenance);
}

enum status evaluation_file_write(const char *path, const struct evaluation *evaluation,
                                  const struct strbuf *identity,
                                  const struct provenance *provenance) {
    struct h5 *h5;
    TRY(h5_create(&h5, H5_FORMAT_CHECKED));
    const enum status status = fill_file(h5, evaluation, identity, provenance);
    if (status == STATUS_OK)
        return h5_save_sealed(&h5, path);
    (void)h5_close(&h5);
    return status;
}

/* --- reading --- */

enum status evaluation_file_find(const char *path, bool *found, struct strbuf *identity) {
    struct h5 *h5;
    char sentence[STATUS_SENTENCE_MAX / 2];
    *found = false;
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    enum status status = h5_open_sealed(&h5, path);
    if (status == STATUS_OK) {
        status = h5_get_text(h5, "/identity", identity);
        (void)h5_close(&h5);
    }
    *found = status == STATUS_OK;
    if (status != STATUS_INPUT)
        return status;
    snprintf(sentence, sizeof sentence, "%s", status_sentence());
    return FAIL(STATUS_INPUT,
                "where the results go stands a damaged file, or none of gradus eval (%s): move it "
                "away, choose another run.directory, or start over with --fresh",
                sentence);
}

/* The columns of a set that say what its samples are. */
struct samples_read {
    int64_t *rows, *samples, *lengths, *offsets, count;
    unsigned char *finish;
    int32_t *ids;
    int64_t id_count;
};

static void samples_release(struct samples_read *read) {
    memory_release(&read->rows);
    memory_release(&read->samples);
    memory_release(&read->lengths);
    memory_release(&read->offsets);
    memory_release(&read->finish);
    memory_release(&read->ids);
}

static enum status read_column(const struct h5 *h5, const struct evaluation_set *set,
                               const char *name, enum h5_kind kind, void *values, int64_t count) {
    char path[PATH_BYTES];
    int64_t n;
    TRY(h5_get_list(h5, path_of(path, set, name), kind, values, &n));
    return n == count ? STATUS_OK
                      : FAIL(STATUS_INPUT, "%s has %lld elements in place of %lld", path,
                             (long long)n, (long long)count);
}

static enum status read_samples(const struct h5 *h5, const struct evaluation_set *set,
                                struct samples_read *read) {
    char path[PATH_BYTES];
    TRY(h5_get_list(h5, path_of(path, set, "row"), H5_KIND_I64, &read->rows, &read->count));
    TRY(read_column(h5, set, "sample", H5_KIND_I64, &read->samples, read->count));
    TRY(read_column(h5, set, "tokens", H5_KIND_I64, &read->lengths, read->count));
    TRY(read_column(h5, set, "finish_reason", H5_KIND_U8, &read->finish, read->count));
    TRY(read_column(h5, set, "offsets", H5_KIND_I64, &read->offsets, read->count + 1));
    TRY(h5_get_list(h5, path_of(path, set, "token_ids"), H5_KIND_I32, &read->ids, &read->id_count));
    for (int64_t i = 0; i < read->count; i++)
        if (read->offsets[i] < 0 || read->offsets[i] > read->offsets[i + 1] ||
            read->offsets[i + 1] > read->id_count)
            return FAIL(STATUS_INPUT, "%s: its offsets do not fit", path);
    return STATUS_OK;
}

static enum status take_set(const struct h5 *h5, struct evaluation *evaluation,
                            const struct evaluation_set *set, struct tokenizer *tokenizer) {
    struct samples_read read = {.count = 0};
    enum status status = read_samples(h5, set, &read);
    for (int64_t i = 0; i < read.count && status == STATUS_OK; i++)
        status =
            evaluation_take(evaluation, tokenizer,
                            &(struct evaluation_entry){.set = set->how->name,
                                                       .row = read.rows[i],
                                                       .sample = read.samples[i],
                                                       .finish = (enum finish_reason)read.finish[i],
                                                       .tokens = read.ids + read.offsets[i],
                                                       .n = read.offsets[i + 1] - read.offsets[i],
                                                       .length = read.lengths[i]});
    samples_release(&read);
    return status;
}

static bool has_figures(const struct h5 *h5, const struct evaluation *evaluation,
                        const struct evaluation_set *set) {
    const struct settings_eval *eval = &evaluation->sampling.eval;
    char path[PATH_BYTES], name[48];
    double value;
    path_of(path, set, "");
    for (int64_t i = 0; i < eval->pass_at_count; i++) {
        snprintf(name, sizeof name, "pass_at_%lld", (long long)eval->pass_at[i]);
        if (h5_get_attribute_real(h5, path, name, &value) != STATUS_OK) {
            status_clear();
            return false;
        }
    }
    return true;
}

enum status evaluation_file_read(const char *path, struct evaluation *evaluation,
                                 struct tokenizer *tokenizer, bool *figures) {
    struct h5 *h5;
    enum status status = STATUS_OK;
    *figures = true;
    TRY(h5_open_sealed(&h5, path));
    for (int64_t s = 0; s < evaluation->set_count && status == STATUS_OK; s++) {
        status = take_set(h5, evaluation, &evaluation->sets[s], tokenizer);
        *figures = *figures && has_figures(h5, evaluation, &evaluation->sets[s]);
    }
    (void)h5_close(&h5);
    return status;
}

/* --- inspection --- */

struct describing {
    const struct h5 *h5;
    struct strbuf *out;
};

static enum status describe_set(void *context, const char *path, bool is_group) {
    const struct describing *d = context;
    double problems, samples, mean, error, length, cut;
    if (!is_group)
        return STATUS_OK;
    TRY(h5_get_attribute_real(d->h5, path, "problems", &problems));
    TRY(h5_get_attribute_real(d->h5, path, "samples", &samples));
    TRY(h5_get_attribute_real(d->h5, path, "pass_at_1", &mean));
    TRY(h5_get_attribute_real(d->h5, path, "pass_at_1_error", &error));
    TRY(h5_get_attribute_real(d->h5, path, "mean_length", &length));
    TRY(h5_get_attribute_real(d->h5, path, "clipped_ratio", &cut));
    return strbuf_append_format(
        d->out,
        "  %-24s %.0f problems, %.0f samples of each: pass@1 %.2f ± %.2f %%, %.1f tokens, "
        "%.2f %% cut\n",
        path + sizeof "/set/" - 1, problems, samples, 100.0 * mean, 100.0 * error, length,
        100.0 * cut);
}

enum status evaluation_file_describe(const struct h5 *h5, struct strbuf *out) {
    struct describing describing = {h5, out};
    TRY(strbuf_append_text(out, "evaluation\n"));
    return h5_list(h5, "/set", describe_set, &describing);
}
