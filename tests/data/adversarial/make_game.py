#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Expected gradients of the adversarial game for tests/unit/run/test_game.c, by PyTorch in double precision.

    make_game.py [OUT_DIR]         (default: the folder of this script)

Written with torch 2.15.0, transformers 5.24.0, peft 0.21.2. The models, the answers and the generator's loss are those of
tests/data/update/make_steps.py in a first pass; the discriminator reads each sequence alone. Where it reasons, a question, drawn tokens and
what closes them follow each completion, logits are read behind these, the value before the first drawn token, and the drawn tokens have the
loss of REINFORCE by given verdicts. game.tsv, a line each: case, name and

    of a parameter      norm of the gradient of the whole loss by it, and product with the fixed vector of its name
    of a metric         its value, and 0

That the gradient is the loss's is checked on the way by a central difference along the fixed vectors.
"""
import os, sys
import torch
from torch.nn import functional as F

here = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(here, "..", "model"), os.path.join(here, "..", "update")]
from make_expected import hashed, key_of, projection, weights  # noqa: E402
from make_steps import CONFIG, GROUPS, GROUP_SIZE, batch, loss_of, make_model, score, tokens  # noqa: E402

torch.float32 = torch.float64  # which transformers takes for norms and the softmax of attention whatever the model's numbers are
C, EPSILON, REAL = CONFIG["hidden_size"], 1e-5, 5
CASES = {
    "full/reason": dict(kind="full", mean=False, value=True, d_scale=2.5, reason=True),
    "lora/reason": dict(kind="lora", mean=False, value=True, d_scale=0.5, reason=True),
    "full/last": dict(kind="full", mean=False, value=False, d_scale=2.5),
    "full/mean/value": dict(kind="full", mean=True, value=True, d_scale=0.5),
    "lora/mean": dict(kind="lora", mean=True, value=False, d_scale=2.5),
    "lora/last/value": dict(kind="lora", mean=False, value=True, d_scale=1.0),
}


def sequences():
    """(prefix, completion, label): of a group the real one, then what was written, which is here the end of an answer, or nothing."""
    rows = list(batch())
    for g in range(GROUPS):
        prefix = tokens(f"prefix {g}", 4 + g)
        yield prefix, tokens(f"real {g}", REAL), 1
        for k in range(g * GROUP_SIZE, (g + 1) * GROUP_SIZE):
            yield prefix, rows[k][1][k % 2:], 0


def reasons():
    """(behind, drawn, close, real, logits, value) of each sequence: what follows its completion, and the verdict that was before the step."""
    for k, (_, _, label) in enumerate(sequences()):
        logits = (0.125, 0.125 + (0.5 if k % 3 == 0 else -0.5))
        yield tokens("behind", 3), tokens(f"reason {k}", 1 + k % 4), tokens("close", 2) if k % 2 else [], label, logits, 0.25 + 0.125 * (k % 5)


def make_head(value):
    shapes = {"norm.weight": (C,), "norm.bias": (C,), "linear.weight": (2, C), "linear.bias": (2,)}
    if value:
        shapes |= {"value.weight": (1, C), "value.bias": (1,)}
    named = {f"discriminator.{name}": shape for name, shape in shapes.items()}
    return {name: torch.nn.Parameter(torch.from_numpy(weights(name, torch.Size(shape).numel())).double().reshape(shape)) for name, shape in named.items()}


def judge(model, head, case):
    """Logits and values of all sequences."""
    body = model.get_base_model().model if case["kind"] != "full" else model.model
    states, before = [], []
    for (prefix, completion, _), (behind, drawn, close, *_) in zip(sequences(), reasons()):
        question = prefix + completion + behind if "reason" in case else prefix + completion
        h = body(input_ids=torch.tensor([question + drawn + close if "reason" in case else question])).last_hidden_state[0]
        states.append(h[len(prefix):].mean(0) if case["mean"] and completion else h[-1])
        before.append(h[len(question) - 1] if "reason" in case else states[-1])
    y, y_before = (F.layer_norm(torch.stack(x), (C,), head["discriminator.norm.weight"], head["discriminator.norm.bias"], EPSILON) for x in (states, before))
    value = F.linear(y_before, head["discriminator.value.weight"], head["discriminator.value.bias"])[:, 0] if case["value"] else None
    return F.linear(y, head["discriminator.linear.weight"], head["discriminator.linear.bias"]), value


def reinforce(model):
    """- mean over sequences of token means of (success - value) log pi, by the given verdicts; the mean entropy; and the successes."""
    loss, entropies, success = 0.0, [], []
    for (prefix, completion, _), (behind, drawn, _, real, logits, value) in zip(sequences(), reasons()):
        logprob, entropy = score(model, prefix + completion + behind, drawn)
        success.append(float((logits[1] > logits[0]) == real))
        loss = loss - (success[-1] - value) * logprob.mean()
        entropies.append(entropy)
    return loss / len(success), torch.cat(entropies).mean(), torch.tensor(success)


def play(model, head, case, old):
    rows = list(enumerate(batch()))
    logits, value = judge(model, head, case)
    label = torch.tensor([l for _, _, l in sequences()])
    right = (logits.argmax(-1) == label).double()
    d_loss, reason_loss, success, more = F.cross_entropy(logits, label), 0, right, {}
    if "reason" in case:
        reason_loss, entropy, success = reinforce(model)
        more = {"adversarial/reason_loss": reason_loss, "adversarial/reason_entropy": entropy}
    error = ((value - success) ** 2).mean() if case["value"] else 0
    if case["value"]:
        more |= {"adversarial/value": value.mean(), "adversarial/value_error": error, "adversarial/success": success.mean()}
    loss = loss_of(model, rows, old) + case["d_scale"] * (d_loss + error + reason_loss)
    metrics = {"loss": loss, "adversarial/d_loss": d_loss, "adversarial/accuracy_real": right[label == 1].mean(),
               "adversarial/accuracy_written": right[label == 0].mean(), "adversarial/probability_written": logits.softmax(-1)[label == 0, 1].mean(), **more}
    return loss, {name: x.item() for name, x in metrics.items()}


def check_difference(named, loss):
    """The derivative along the fixed vectors, in both ways."""
    along = {name: torch.from_numpy(hashed(key_of(name), p.numel())).double().reshape(p.shape) for name, p in named.items()}
    told, step, ends = sum(float((p.grad * along[name]).sum()) for name, p in named.items()), 1e-5, []
    with torch.no_grad():
        for sign in (1, -2, 1):
            for name, p in named.items():
                p += sign * step * along[name]
            ends.append(float(loss()))
    found = (ends[0] - ends[1]) / (2 * step)
    assert abs(found - told) < 1e-6 * abs(told), (found, told)


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1] if len(sys.argv) > 1 else here
    with open(os.path.join(folder, "game.tsv"), "w") as out:
        for name, case in CASES.items():
            model, trained = make_model(case["kind"])
            head = make_head(case["value"])
            with torch.no_grad():
                old = [score(model, prompt, answer)[0] for prompt, answer, _ in batch()]
            named = {**dict(trained), **head}
            loss, metrics = play(model, head, case, old)
            loss.backward()
            check_difference(named, lambda: play(model, head, case, old)[0])
            for key, p in named.items():
                out.write("\t".join([name, key, f"{p.grad.norm().item():.10g}", f"{projection(key, p.grad):.10g}"]) + "\n")
            for key, x in metrics.items():
                out.write("\t".join([name, key, f"{x:.10g}", "0"]) + "\n")


main()
