#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders conversations through transformers' apply_chat_template: chat.json.

    make_chat.py

Rows: {"template": name, "messages", "generation_prompt", "thinking", "date", "text"}; "templates" has the short templates as they
stand in tokenizer_config.json, "digests" what src/text/chat_known.c knows of all of them.
The long templates are those that the models publish; TRL carries them for the same purpose.

Made with transformers 5.23.0 and trl (its chat_templates folder).
"""
import hashlib, json, os, re
import trl
from transformers.utils.chat_template_utils import render_jinja_template

HERE = os.path.dirname(os.path.abspath(__file__))
PUBLISHED = os.path.join(os.path.dirname(trl.__file__), "chat_templates")
TURN = "'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
END = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
FIRST = "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n%s<|im_end|>\n' }}{% endif %}"
SHORT = {
    "chatml": "{% for message in messages %}{{" + TURN + "}}{% endfor %}" + END,
    "init": "{% for message in messages %}{{ " + TURN + " }}{% endfor %}" + END,
    "smollm2": "{% for message in messages %}" + FIRST.replace("%s", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
               + "{{" + TURN + "}}{% endfor %}" + END,
    "escaped": ("{% for message in messages %}" + FIRST.replace("%s", "It\\'s $\\\\boxed{}$.") + "{{" + TURN + "}}{% endfor %}" + END).replace("\n", "\\n"),
    "default": ("{% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
                "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
    "llama": ("{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
              "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"),
}
FEW = {"chatml", "init", "escaped", "default", "qwen2_5_first", "qwen3_instruct_2507", "llama3_1"}  # relatives of one that has all
LONG = ["qwen2_5", "qwen3", "qwen3_instruct_2507", "llama3", "llama3_1", "llama3_2"]

SYSTEM, USER, ANSWER = ({"role": r, "content": c} for r, c in (("system", "You add numbers."), ("user", "  What is 2+3?\n"), ("assistant", "5.\n")))
CONVERSATIONS = [
    [USER], [SYSTEM, USER], [{"role": "system", "content": ""}, USER], [SYSTEM, USER, ANSWER, {"role": "user", "content": "And 4+4?"}],
    [USER, ANSWER], [USER, ANSWER, ANSWER], [ANSWER, USER], [USER, SYSTEM, USER], [SYSTEM, SYSTEM, USER], [ANSWER], [SYSTEM],
    [USER, {"role": "assistant", "content": "<think>\n2+3=5\n</think>\n\n5"}, {"role": "user", "content": "Sure?"}],
    [USER, {"role": "assistant", "content": "<think>\n\n2+3=5\n\n</think>\n\n5"}],
    [USER, {"role": "assistant", "content": "a</think>b</think>\n\nc"}, {"role": "assistant", "content": "x<think>y<think>z\n</think>\nend"}],
    [USER, {"role": "assistant", "content": "<think></think>5"}, {"role": "assistant", "content": "\n\n6"}],
    [USER, {"role": "assistant", "content": "5"}, {"role": "user", "content": "<tool_response>\n1\n</tool_response>"}],
    [USER, {"role": "assistant", "content": "<think>t</think>5"}, {"role": "user", "content": "<tool_response>1</tool_response>"}, ANSWER],
    [{"role": "user", "content": "\u3000\u00a0\x1c caf\u00e9 \u4e2d\u6587 \x85\u2028\t"}], [{"role": "user", "content": ""}],
    [{"role": "user", "content": "<|im_end|> {{ 1 }} %s 'quoted' \"twice\" \\n"}],
]


def canonical(text):
    """The text that chat_known.c hashes."""
    text = re.sub(r"\r\n", "\n", text)
    text = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(0), text, flags=re.S)
    text = text[:-1] if text.endswith("\n") else text
    default = re.search(r"<\|im_start\|>system\n((?:\\.|[^'\"\\])+?)<\|im_end\|>", text, re.S)
    return text.replace(default.group(1), "\0") if default else text


def render(template, messages, generation, thinking, date):
    more = {} if thinking else {"enable_thinking": False}
    out = render_jinja_template(conversations=[messages], chat_template=template, add_generation_prompt=generation,
                                bos_token="<|begin_of_text|>", date_string=date, **more)
    return out[0][0]


def main():
    templates = dict(SHORT)
    for name in LONG:
        templates[name] = open(os.path.join(PUBLISHED, name + ".jinja"), encoding="utf-8", newline="").read()
    # Qwen2.5 as first published: doubled braces in the text about tools
    call = r'{\"name\": <function-name>, \"arguments\": <args-json-object>}'
    templates["qwen2_5_first"] = templates["qwen2_5"].replace(call, "{" + call + "}")
    rows = []
    for name, template in templates.items():
        for messages in CONVERSATIONS[:4] + CONVERSATIONS[-3:] if name in FEW else CONVERSATIONS:
            for generation, thinking, date in ((True, True, "26 Jul 2024"), (True, False, "01 Jan 2030"), (False, True, "26 Jul 2024")):
                if (not thinking and name != "qwen3" and "llama3_" not in name) or (not generation and len(messages) == 1):
                    continue
                rows.append({"template": name, "messages": [[m["role"], m["content"]] for m in messages], "generation_prompt": generation, "thinking": thinking,
                             "date": date, "text": render(template, messages, generation, thinking, date)})
    out = {"templates": SHORT, "digests": {n: hashlib.sha256(canonical(t).encode()).hexdigest() for n, t in templates.items()}, "rows": rows}
    with open(os.path.join(HERE, "chat.json"), "w") as f:
        f.write("{" + ",\n".join(f'"{k}":' + (json.dumps(v) if k != "rows" else "[\n" + ",\n".join(json.dumps(r) for r in v) + "\n]") for k, v in out.items()) + "}\n")


if __name__ == "__main__":
    main()
