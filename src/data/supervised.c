/* SPDX-License-Identifier: Apache-2.0 */
#include "data/supervised.h"

#include <string.h>

#include "base/memory.h"

void supervised_release(struct supervised *row) {
    strbuf_release(&row->prompt_text);
    strbuf_release(&row->answer_text);
    memory_release(&row->prompt.ids);
    memory_release(&row->sequence.ids);
    memory_release(&row->begins.ids);
    memory_release(&row->ends.ids);
    *row = SUPERVISED_EMPTY;
}

/* Marks the tokens of the sequence from `begin` to `end` as taught. */
static enum status teach(struct supervised *row, int64_t begin, int64_t end) {
    const int32_t ends[2] = {(int32_t)begin, (int32_t)end};
    TRY(token_list_append(&row->begins, &ends[0], 1));
    TRY(token_list_append(&row->ends, &ends[1], 1));
    row->taught += end - begin;
    return STATUS_OK;
}

static enum status encode_pair(const struct prompt_form *form, const struct dataset_item *item,
                               bool whole, struct supervised *row) {
    TRY(prompt_encode_item(form, item, &row->prompt_text, &row->prompt));
    if (!whole)
        return STATUS_OK;
    TRY(prompt_encode_answer(form, (struct utf8_span){item->reference, item->reference_length},
                             &row->answer_text, &row->sequence));
    return teach(row, 0, row->sequence.count);
}

/* --- conversations --- */

/* A rendered conversation and the assistant's turns in it. */
struct rendered {
    struct chat_message *messages;
    struct chat_place *places; /* (n) of the messages, then of the answers alone */
    int64_t n, answers;
    struct strbuf text;
};

static void rendered_release(struct rendered *rendered) {
    memory_release(&rendered->messages);
    memory_release(&rendered->places);
    strbuf_release(&rendered->text);
}

static enum status render(const struct prompt_form *form, const struct conversation *conversation,
                          struct rendered *out) {
    TRY(prompt_messages(form, conversation, conversation->count, &out->messages, &out->n));
    TRY(memory_new(&out->places, out->n, "conversation"));
    TRY(chat_render_places(form->style, out->messages, out->n, form->thinking, form->date,
                           &out->text, out->places));
    for (int64_t i = 0; i < out->n; i++)
        if (strcmp(out->messages[i].role, "assistant") == 0)
            out->places[out->answers++] = out->places[i];
    if (out->answers == 0)
        return FAIL(STATUS_INPUT, "the conversation has no assistant's turn to learn from");
    return STATUS_OK;
}

static enum status encode(const struct prompt_form *form, const struct rendered *rendered,
                          size_t begin, size_t end, struct token_list *ids) {
    return tokenizer_encode(form->tokenizer, rendered->text.text + begin, end - begin, false, ids);
}

static enum status count_end(const struct prompt_form *form, int64_t *count) {
    struct token_list ids = {.ids = NULL};
    const char *end = chat_turn_end(form->style);
    const enum status status = tokenizer_encode(form->tokenizer, end, strlen(end), false, &ids);
    *count = ids.count;
    memory_release(&ids.ids);
    return status;
}

/* One answer, what ends its turn, and what stands before the next one. */
static enum status encode_turn(const struct prompt_form *form, const struct rendered *rendered,
                               int64_t i, int64_t end_count, struct supervised *row) {
    const struct chat_place *place = &rendered->places[i];
    const int64_t begin = row->sequence.count;
    TRY(strbuf_append(&row->answer_text, rendered->text.text + place->begin,
                      place->end - place->begin));
    TRY(encode(form, rendered, place->begin, place->end, &row->sequence));
    const int64_t end = row->sequence.count;
    if (i + 1 < rendered->answers) {
        TRY(encode(form, rendered, place->end, rendered->places[i + 1].begin, &row->sequence));
        return teach(row, begin, end + end_count);
    }
    if (form->answer_end != NULL)
        TRY(token_list_append(&row->sequence, form->answer_end->ids, form->answer_end->count));
    return teach(row, begin, row->sequence.count);
}

static enum status encode_rendered(const struct prompt_form *form, const struct rendered *rendered,
                                   bool whole, struct supervised *row) {
    int64_t end_count;
    TRY(count_end(form, &end_count));
    TRY(encode(form, rendered, 0, rendered->places[0].begin, &row->prompt));
    for (int64_t i = 0; whole && i < rendered->answers; i++)
        TRY(encode_turn(form, rendered, i, end_count, row));
    return STATUS_OK;
}

/* The last user's turn before the first answer. */
static enum status keep_prompt_text(const struct conversation *conversation,
                                    struct supervised *row) {
    int64_t first = 0;
    while (first < conversation->count && conversation->turns[first].role != TURN_ASSISTANT)
        first++;
    const struct utf8_span user = conversation_last(conversation, first, TURN_USER);
    return strbuf_append(&row->prompt_text, user.text, user.length);
}

static enum status encode_conversation(const struct prompt_form *form,
                                       const struct conversation *conversation, bool whole,
                                       struct supervised *row) {
    struct rendered rendered = {.n = 0, .text = STRBUF_EMPTY};
    enum status status = render(form, conversation, &rendered);
    if (status == STATUS_OK)
        status = encode_rendered(form, &rendered, whole, row);
    if (status == STATUS_OK)
        status = keep_prompt_text(conversation, row);
    rendered_release(&rendered);
    return status;
}

enum status supervised_encode(const struct prompt_form *form, const struct dataset_item *item,
                              bool whole, struct supervised *row) {
    if (item->conversation.count > 0)
        return encode_conversation(form, &item->conversation, whole, row);
    return encode_pair(form, item, whole, row);
}
