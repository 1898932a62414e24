/* SPDX-License-Identifier: Apache-2.0
 *
 * What supervised fine-tuning reads of a row. A conversation is computed once: its tokens up to the
 * first assistant's turn are the prompt, all that follow up to the end of the last one are the
 * sequence, and the tokens that an assistant wrote, with those that end its turn, are taught.
 *
 *     prompt    system, user, head of the assistant's turn
 *     sequence  [answer, end] user, head [answer, end] …       taught: what stands in brackets
 *
 * The ids are those of the rendered conversation, with one exception: a head ends where a generation
 * prompt ends, also where the tokenizer would join its last newline with one that begins the answer.
 * So an answer is taught behind the very tokens behind which it will be drawn.
 */
#ifndef DATA_SUPERVISED_H
#define DATA_SUPERVISED_H

#include "base/status.h"
#include "base/strbuf.h"
#include "data/prompt.h"

struct supervised {
    struct strbuf prompt_text, answer_text; /* the user's turn; the taught texts, without ends */
    struct token_list prompt, sequence;
    struct token_list begins, ends; /* taught are sequence[begins[i] … ends[i] − 1], by turns */
    int64_t taught;                 /* tokens of all turns */
};

#define SUPERVISED_EMPTY ((struct supervised){.taught = 0})
void supervised_release(struct supervised *row);

/* Encodes a row, with prompt and answer (its reference) or with messages; only the prompt unless
 * `whole`. The last turn ends with form->answer_end, those before it with what the chat form writes.
 * *row is SUPERVISED_EMPTY before, and the caller releases it in any case. STATUS_INPUT for a
 * conversation without an assistant's turn, and as chat_render_places and prompt_encode. */
enum status supervised_encode(const struct prompt_form *form, const struct dataset_item *item,
                              bool whole, struct supervised *row) MUST_USE;

#endif
