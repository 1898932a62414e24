#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compute a step of the adversarial game again, in torch and in double, from what a run has left.

    torch_adversarial.py RUN [--step 2]

RUN is a run.directory with settings.cfg, rollouts/step-T.h5 and checkpoints of the steps T - 1 and T (checkpoint.every = 1, keep = 2 or
more), of a model in model.path with an adapter or without (fp32, update.rule = "single", one pass over the batch). From the parameters of
checkpoint T - 1 and the tokens of the rollout file it works out log-probabilities, the discriminator's logits, rewards, advantages, both
losses, of the second also what a discriminator's reasoning learns by, the gradient of their sum, clipping and AdamW with the head's own
learning rate, and compares each with what the run has written; of the parameters the difference over the largest step that torch made.
With adversarial.d_step = "own" it makes two steps: AdamW on the generator's loss without the head, and, at the parameters that it leaves,
AdamW with the discriminator's moments on its loss. Exit status 1 where something is further off than fp32 explains.
Needs torch, transformers, h5py.
"""
import argparse, json, math, os, re, sys
import h5py, numpy as np, torch
from torch.nn import functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
HEAD = "discriminator."


def read_settings(path):
    """{"group.name": value} of a dump; lists and records are left out"""
    found, group = {}, ""
    for line in open(path):
        if m := re.match(r"(\w+) : \{", line):
            group = m.group(1)
        elif m := re.match(r'    (\w+) = ("[^"]*"|[-+.\w]+);', line):
            text = m.group(2)
            found[f"{group}.{m.group(1)}"] = json.loads(text) if text[0] == '"' or text in ("true", "false") else float(text)
    return found


def tensors(file, group):
    out = {}
    file[group].visititems(lambda name, o: out.update({name: torch.tensor(np.asarray(o[()], np.float64))}) if isinstance(o, h5py.Dataset) else None)
    return out


def rows(file, path, offsets):
    flat, at = file[path][()], file[offsets][()]
    return [flat[a:b].tolist() for a, b in zip(at, at[1:])]


class Low(torch.nn.Module):
    """W x + scale B (A x)"""

    def __init__(self, linear, a, b, scale):
        super().__init__()
        self.linear, self.a, self.b, self.scale, self.on = linear, a, b, scale, True

    def forward(self, x):
        y = self.linear(x)
        return y + self.scale * ((x @ self.a.T) @ self.b.T) if self.on else y


def load(settings):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(settings["model.path"], dtype=torch.float64, attn_implementation="eager").eval().requires_grad_(False)


class Game:
    def __init__(self, settings, parameters):
        self.s, self.net = settings, load(settings)
        self.p = {n: torch.nn.Parameter(v.clone()) for n, v in parameters.items()}
        self.low, own = [], dict(self.net.named_parameters())
        scale = settings["lora.alpha"] / (math.sqrt(settings["lora.rank"]) if settings["lora.rank_stabilized"] else settings["lora.rank"]) if settings["lora.rank"] else 0
        for n in self.p:
            if n.endswith(".lora_A.weight"):
                path = n.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                parent, leaf = self.net.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
                self.low.append(Low(getattr(parent, leaf), self.p[n], self.p[n.replace("lora_A", "lora_B")], scale))
                setattr(parent, leaf, self.low[-1])
            elif n in own:
                parent = self.net.get_submodule(n.rpartition(".")[0])
                setattr(parent, n.rpartition(".")[2], self.p[n])
        if not self.low:
            self.net.tie_weights()
        self.start = self.net if self.low or not settings["objective.kl_coef"] else load(settings)

    def hidden(self, ids):
        return self.net.model(input_ids=torch.tensor([ids])).last_hidden_state[0]

    def logprobs(self, prompt, answer, net=None):
        net = net or self.net
        h = net.model(input_ids=torch.tensor([prompt + answer])).last_hidden_state[0][len(prompt) - 1:-1]
        z = torch.log_softmax(net.lm_head(h) / self.s["rollout.temperature"], -1)
        return z[torch.arange(len(answer)), torch.tensor(answer)]

    def reference(self, prompt, answer):
        """of the model without its adapter, or as it was at the start"""
        for low in self.low:
            low.on = False
        with torch.no_grad():
            out = self.logprobs(prompt, answer, self.start)
        for low in self.low:
            low.on = True
        return out

    def judge(self, ids, begin, reason):
        """logits, value, and log-probabilities of the tokens [reason] that were drawn before"""
        h = self.hidden(ids)
        x = h[min(begin, len(ids) - 1):].mean(0) if self.s["adversarial.pooling"] == "mean" else h[-1]
        norm = lambda x: F.layer_norm(x, x.shape, self.p[HEAD + "norm.weight"], self.p[HEAD + "norm.bias"], 1e-5)
        y, told_before = norm(x), norm(h[reason[0] - 1] if reason else x)
        value = told_before @ self.p[HEAD + "value.weight"][0] + self.p[HEAD + "value.bias"][0] if HEAD + "value.weight" in self.p else torch.tensor(0.0)
        logits = F.linear(y, self.p[HEAD + "linear.weight"], self.p[HEAD + "linear.bias"])
        if not reason:
            return logits, value, torch.zeros(0)
        begin, end = reason
        z = torch.log_softmax(self.net.lm_head(h[begin - 1:end - 1]) / self.s["rollout.temperature"], -1)
        return logits, value, z[torch.arange(end - begin), torch.tensor(ids[begin:end])]


def reward(s, logits, value, n):
    wanted = s["adversarial.completion_tokens"]
    factor = {"exact": float(n == wanted), "penalty": max(0.0, 1 - abs(n - wanted) / wanted), "none": 1.0}[s["adversarial.length_rule"]]
    p = factor * torch.softmax(logits, -1)[1].item()
    q = min(max(p, 1e-6), 1 - 1e-6)
    scale = s["adversarial.d_scale"] if s["adversarial.d_scale_in"] == "reward" else 1.0
    return scale * {"probability": p, "log_probability": math.log(q), "logit": math.log(q / (1 - q)),
                    "value": factor * (1 - value.item()) if value.item() > s["adversarial.value_threshold"] else 0.0}[s["adversarial.reward"]]


def divergence(kind, logprob, reference):
    d = logprob - reference
    return {"k1": d, "k2": d * d / 2, "k3": torch.expm1(-d) + d}[kind]


def aggregate(s, terms, most):
    """of the tokens of all sequences, by objective.aggregation"""
    n, tokens = len(terms), sum(len(t) for t in terms)
    share = {"sequence_mean": lambda t: 1 / (n * len(t)), "token_mean": lambda t: 1 / tokens, "constant": lambda t: 1 / (n * most)}
    return sum(share[s["objective.aggregation"]](t) * t.sum() for t in terms)


class Step:
    """The batch of a step and what follows from it."""

    def __init__(self, game, file):
        s = game.s
        self.game, self.file = game, file
        prompts, ids = rows(file, "prompt/token_ids", "prompt/offsets"), rows(file, "answer/token_ids", "answer/offsets")
        forced = [np.array(f, bool) for f in rows(file, "token/forced", "answer/offsets")] if "token/forced" in file else [np.zeros(len(a), bool) for a in ids]
        group = file["answer/group"][()]
        self.logprob = [game.logprobs(prompts[g], a)[torch.tensor(~f)] for g, a, f in zip(group, ids, forced)]
        self.reference = [game.reference(prompts[g], a)[torch.tensor(~f)] for g, a, f in zip(group, ids, forced)] if s["objective.kl_coef"] else None
        read, begin = rows(file, "discriminator/token_ids", "discriminator/offsets"), file["discriminator/completion"][()]
        self.reasons = "discriminator/reason_begin" in file
        reason = list(zip(file["discriminator/reason_begin"][()], file["discriminator/reason_end"][()])) if self.reasons else [None] * len(read)
        end = file["discriminator/completion_end"][()] if self.reasons else [len(r) for r in read]
        judged = [game.judge(r, b, w) for r, b, w in zip(read, begin, reason)]
        self.logits, self.value = (torch.stack([j[i] for j in judged]) for i in (0, 1))
        self.reason_logprob = [j[2] for j in judged]
        self.label, self.answer = torch.tensor(file["discriminator/label"][()].astype(np.int64)), file["discriminator/answer"][()]
        at = {a: i for i, a in enumerate(self.answer) if a >= 0}
        self.reward = np.array([reward(s, self.logits[at[k]], self.value[at[k]], end[at[k]] - begin[at[k]]) for k in range(len(ids))])

    def penalised(self):
        s = self.game.s
        if not s["objective.kl_coef"] or s["objective.kl_in"] == "loss":
            return self.reward
        k = [divergence(s["objective.kl_estimator"], a.detach(), b).sum().item() for a, b in zip(self.logprob, self.reference)]
        return self.reward - s["objective.kl_coef"] * np.array(k)

    def generator(self, advantage):
        """one pass: every ratio is 1"""
        s, terms_of = self.game.s, []
        for i, lp in enumerate(self.logprob):
            terms = -(lp - lp.detach()).exp() * advantage[i]
            if self.reference is not None and s["objective.kl_in"] == "loss":
                terms = terms + s["objective.kl_coef"] * divergence(s["objective.kl_estimator"], lp, self.reference[i])
            terms_of.append(terms)
        return aggregate(s, terms_of, s["rollout.max_new_tokens"])

    def discriminator(self, told=None):
        """what reasons learns from what was told when it wrote, which is this step, or `told`, by other parameters"""
        s, cross = self.game.s, F.cross_entropy(self.logits, self.label)
        told = told if told and self.reasons else self
        right = (told.logits.argmax(-1) == self.label).double()
        valued = cross + ((self.value - right) ** 2).mean()
        if not self.reasons:
            return cross, valued if s["adversarial.reward"] == "value" else cross
        self.advantage = (right - told.value).detach()
        self.reason_loss = aggregate(s, [-a * lp for a, lp in zip(self.advantage, self.reason_logprob)], s["adversarial.reason_tokens"])
        return cross, valued + self.reason_loss


def rate(s, largest, step):
    if step <= s["optimizer.warmup_steps"]:
        return largest * step / s["optimizer.warmup_steps"]
    left = 1 - (step - 1) / s["run.steps"]
    return largest * {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 + math.cos(math.pi * (1 - left)))}[s["optimizer.schedule"]]


def adamw(s, step, parameters, gradient, avg, square, taken, norm, rate_of):
    """the parameters behind a step; of those without a gradient nothing but decay, and that by their rate"""
    scale = min(1.0, s["optimizer.max_grad_norm"] / norm) if s["optimizer.max_grad_norm"] else 1.0
    b1, b2, out = s["optimizer.beta1"], s["optimizer.beta2"], {}
    for n, p in parameters.items():
        g = gradient[n] * scale if n in gradient else torch.zeros_like(p)
        lr = rate(s, rate_of(n), step)
        m, v = b1 * avg[n] + (1 - b1) * g, b2 * square[n] + (1 - b2) * g * g
        d = (m / (1 - b1**taken)) / ((v / (1 - b2**taken)).sqrt() + s["optimizer.epsilon"])
        out[n] = p.detach() * (1 - lr * (s["optimizer.weight_decay"] if p.dim() > 1 else 0.0)) - lr * d
    return out


def norm_of(gradient):
    return math.sqrt(sum(float((g**2).sum()) for g in gradient.values()))


def gradient_of(game, loss):
    for p in game.p.values():
        p.grad = None
    loss.backward(retain_graph=True)
    return {n: p.grad.clone() for n, p in game.p.items() if p.grad is not None}


def shared_step(s, t, game, gradient, before, taken):
    largest = lambda n: s["adversarial.head_learning_rate"] if n.startswith(HEAD) else s["optimizer.learning_rate"]
    return adamw(s, t, game.p, gradient, tensors(before, "optimizer/exp_avg"), tensors(before, "optimizer/exp_avg_sq"), taken, norm_of(gradient), largest)


def own_steps(s, t, game, gradient, before, after, file, told):
    """The rule's step on the generator's gradient, and the discriminator's behind it: parameters, what it read, its cross-entropy, loss
    and norm."""
    left = lambda n: 0.0 if n.startswith(HEAD) else s["optimizer.learning_rate"]
    middle = adamw(s, t, game.p, gradient, tensors(before, "optimizer/exp_avg"), tensors(before, "optimizer/exp_avg_sq"),
                   int(after["state/optimizer_steps"][0]), norm_of(gradient), left)
    there = Game(s, middle)
    read = Step(there, file)
    cross, loss = read.discriminator(told)
    loss = (s["adversarial.d_scale"] if s["adversarial.d_scale_in"] == "loss" else 1.0) * loss
    own, group = gradient_of(there, loss), "discriminator/optimizer/"
    return adamw(s, t, there.p, own, tensors(before, group + "exp_avg"), tensors(before, group + "exp_avg_sq"),
                 int(after["state/discriminator/optimizer_steps"][0]), norm_of(own), lambda n: s["adversarial.head_learning_rate"]), read, cross, loss, norm_of(own)


class Comparison:
    def __init__(self):
        self.failed = 0

    def __call__(self, name, theirs, ours, tolerance):
        theirs, ours = np.asarray(theirs, float), np.asarray(ours, float)
        far = float(np.max(np.abs(theirs - ours))) if theirs.shape == ours.shape else math.inf
        good = far <= tolerance
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name:34s} largest difference {far:.3g}, allowed {tolerance:g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run"), parser.add_argument("--step", type=int, default=2)
    a = parser.parse_args()
    s, compare = read_settings(os.path.join(a.run, "settings.cfg")), Comparison()
    before, after = (h5py.File(os.path.join(a.run, "checkpoints", f"step-{t:06d}.h5")) for t in (a.step - 1, a.step))
    file, metric = h5py.File(os.path.join(a.run, "rollouts", f"step-{a.step:06d}.h5")), h5py.File(os.path.join(a.run, "diagnostics.h5"))["step"]
    game = Game(s, tensors(before, "parameters"))
    step = Step(game, file)
    baseline = float(before["state/baseline"][0])
    advantage = step.penalised() - baseline
    cross, d_loss = step.discriminator()
    g_loss = step.generator(advantage)
    weighed = (s["adversarial.d_scale"] if s["adversarial.d_scale_in"] == "loss" else 1.0) * d_loss
    read, g_gradient, taken = step, gradient_of(game, g_loss), int(after["state/optimizer_steps"][0])
    if s["adversarial.d_step"] == "own":
        new, read, cross, weighed, d_norm = own_steps(s, a.step, game, g_gradient, before, after, file, step)
        norm = norm_of(g_gradient)
    else:
        all_of, d_norm = gradient_of(game, g_loss + weighed), norm_of(gradient_of(game, weighed))
        new, norm = shared_step(s, a.step, game, all_of, before, taken), norm_of(all_of)
    loss, g_norm = g_loss + weighed, norm_of(g_gradient)
    compare("discriminator/logits", file["discriminator/logits"][()], step.logits.detach(), 2e-6)
    if step.reasons:
        compare("discriminator/value", file["discriminator/value"][()], step.value.detach(), 2e-6)
        compare("discriminator/advantage", file["discriminator/advantage"][()], step.advantage, 2e-6)
        compare("discriminator/reason_logprob", file["discriminator/reason_logprob"][()], torch.cat(read.reason_logprob).detach(), 5e-6)
        compare("adversarial/reason_loss", metric["adversarial/reason_loss"][a.step - 1], read.reason_loss.item(), 5e-6)
    numbers = file["token/logprob"][()]
    compare("token/logprob", numbers[~np.isnan(numbers)], torch.cat(step.logprob).detach(), 5e-6)
    compare("answer/reward", file["answer/reward"][()], step.reward, 5e-6)
    compare("answer/advantage", file["answer/advantage"][()], advantage, 5e-6)
    at = a.step - 1
    compare("adversarial/d_loss", metric["adversarial/d_loss"][at], cross.item(), 2e-6)
    compare("loss", metric["loss"][at], loss.item(), 5e-6 * max(1.0, s["adversarial.d_scale"]))
    compare("grad_norm / its size", metric["grad_norm"][at] / norm, 1.0, 1e-5)
    if s["adversarial.grad_norms"] or s["adversarial.d_step"] == "own":
        compare("grad_norm_generator / its size", metric["adversarial/grad_norm_generator"][at] / g_norm, 1.0, 1e-4)
        compare("grad_norm_discriminator / its size", metric["adversarial/grad_norm_discriminator"][at] / d_norm, 1.0, 1e-4)
    follow = s["objective.ema_decay"] * baseline + (1 - s["objective.ema_decay"]) * step.penalised().mean()
    compare("state/baseline", after["state/baseline"][0], follow, 2e-6)
    theirs = tensors(after, "parameters")
    for part in (False, True):
        names = [n for n in new if n.startswith(HEAD) == part]
        largest = max(float((new[n] - game.p[n].detach()).abs().max()) for n in names)
        far = max(float((new[n] - theirs[n]).abs().max()) for n in names)
        compare("step of the head" if part else "step of the model", far / largest, 0.0, 5e-4)
    return 1 if compare.failed else 0


if __name__ == "__main__":
    sys.exit(main())
