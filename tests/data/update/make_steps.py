#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Expected steps of the rules gxpo and sfpo for tests/unit/run/test_rules.c, by PyTorch in double precision.

    make_steps.py [OUT_DIR]         (default: the folder of this script)

Written with torch 2.15.0, transformers 5.24.0, peft 0.21.2, safetensors 0.8.0. The rules are written here from the papers' equations
(GXPO, arXiv 2605.06755; SFPO, arXiv 2510.04072), with torch.optim.AdamW as the optimizer; nothing of gradus takes part.

    elements.safetensors   what a rule makes of given gradients: start, exp_avg, exp_avg_sq and the gradients g0, g1, ... of three tensors
                           one behind the other, some of them crafted; for each case of ELEMENT_CASES the reposition, the parameters and
                           both moments after the step
    steps.safetensors      whole steps on a small Qwen2 model (a folder that `gradus init` makes, but for the weights): for each case of
                           STEP_CASES the displacement; of two cases also the parameters and the gradient of each pass
    steps.json             of each case its settings as gradus reads them and the metrics of the step

Weights, tokens and the given numbers are functions of name and index (tests/data/model/make_expected.py), which the test repeats.
"""
import copy, json, math, os, sys
import torch, transformers, peft, safetensors
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

here = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(here, "..", "model"))
from make_expected import hashed, key_of, weights  # noqa: E402

torch.set_default_dtype(torch.float64)


# ------------------------------------------------------------------ the rules

def scale_of(r, K):
    """S_K(r) / S_2(r), S_n = 1 + r + ... + r^(n-1); at r = -1 its limit K / 2 where there is one (K even), else 1."""
    total = sum(r ** k for k in range(K))
    at_pole = (1 + r).abs() <= 1e-8
    s = total / torch.where(at_pole, 1.0, 1 + r)
    return torch.where(at_pole, K / 2 if K % 2 == 0 else 1.0, s)


def clip_factor(norm, most):
    return min(1.0, most / norm) if most > 0 and norm > 0 else 1.0


def norm_of(vectors):
    return math.sqrt(sum(float((v * v).sum()) for v in vectors))


def dot_of(a, b):
    return sum(float((x * y).sum()) for x, y in zip(a, b))


class Problem:
    """Parameters, their gradient in pass k, and AdamW with clipping to the case's norm."""

    def __init__(self, params, gradient, case, moments=None):
        self.params, self.raw, self.most = params, gradient, case.get("max_grad_norm", 0.0)
        decays = [p for p in params if p.ndim == 2]
        plain = [p for p in params if p.ndim == 1]
        adam = dict(lr=case["lr"], betas=case["betas"], eps=case["eps"])
        groups = [dict(params=decays, weight_decay=case["weight_decay"]), dict(params=plain, weight_decay=0.0)]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], **adam)
        self.case, self.passes, self.points, self.gradients = case, 0, [], []
        if moments is not None:
            steps, exp_avg, exp_avg_sq = moments
            for p, m, v in zip(params, exp_avg, exp_avg_sq):
                self.optimizer.state[p] = dict(step=torch.tensor(float(steps)), exp_avg=m.clone(), exp_avg_sq=v.clone())

    def gradient(self, mini_batch=0):
        self.points.append([p.detach().clone() for p in self.params])
        g = self.raw(self.passes, mini_batch)
        self.gradients.append(g)
        self.passes += 1
        return g

    def step(self, g):
        """Takes the optimizer's step along the clipped gradient; returns the factor of the clipping."""
        c = clip_factor(norm_of(g), self.most)
        for p, x in zip(self.params, g):
            p.grad = c * x
        self.optimizer.step()
        return c

    def directions(self):
        """What AdamW has just gone along, without learning rate and decay."""
        b1, b2 = self.case["betas"]
        out = []
        for p in self.params:
            s = self.optimizer.state[p]
            t = float(s["step"])
            out.append(s["exp_avg"] / (1 - b1 ** t) / ((s["exp_avg_sq"] / (1 - b2 ** t)).sqrt() + self.case["eps"]))
        return out


def move(params, start, factor):
    with torch.no_grad():
        for p, p0, f in zip(params, start, factor):
            p.copy_(p0 + f * (p - p0))


def gxpo(problem):
    case, params = problem.case, problem.params
    K, alpha, delta = case["K"], case["alpha"], case["activity"]
    low, high = case.get("ratio_limit", (-2.0, 3.0))
    least, most = case.get("scale_limit", (1.0, K / 2 + 1))
    start = [p.detach().clone() for p in params]
    saved = copy.deepcopy(problem.optimizer.state_dict())
    g0 = problem.gradient()
    c0 = problem.step(g0)
    d0 = problem.directions()
    g1 = problem.gradient()
    c1 = problem.step(g1)
    d1 = problem.directions()
    if case["retention"] == "adamw":
        below, above, judged = d0, d1, d0
    else:
        below, above, judged = [c0 * g for g in g0], [c1 * g for g in g1], g0
    relative = case["activity_kind"] == "relative" or case["retention"] == "adamw"
    r_all, s_all, active_all, clamped, moved = [], [], [], [], []
    for b, a, j, p, p0 in zip(below, above, judged, params, start):
        active = j.abs() > (delta * float((j * j).mean()) ** 0.5 if relative else delta)
        raw = a / torch.where(active, b, 1.0)
        r = torch.nan_to_num(raw, nan=1.0).clamp(low, high)
        s = torch.where(active, scale_of(r, K).nan_to_num(1.0, 1.0, 1.0).clamp(least, most), 1.0)
        r_all.append(r[active]), s_all.append(s.flatten()), active_all.append(active.flatten())
        clamped.append(((raw < low) | (raw > high))[active])
        moved.append(s * (p.detach() - p0))
    problem.foretold = moved  # displacement over K steps
    two = norm_of([p.detach() - p0 for p, p0 in zip(params, start)])
    s_list = [s.reshape(p.shape) for s, p in zip(s_all, params)]
    move(params, start, [alpha * s for s in s_list])
    there = [p.detach().clone() for p in params]
    if case["optimizer_state"] == "transactional":
        problem.optimizer.load_state_dict(saved)
    gs = problem.gradient()
    problem.step(gs)
    r, s, active = torch.cat(r_all), torch.cat(s_all), torch.cat(active_all)
    return there, {
        "gxpo/norm_g0": norm_of(g0), "gxpo/norm_g1": norm_of(g1), "gxpo/norm_gslow": norm_of(gs),
        "gxpo/cos_g0_g1": dot_of(g0, g1) / norm_of(g0) / norm_of(g1), "gxpo/cos_g0_gslow": dot_of(g0, gs) / norm_of(g0) / norm_of(gs),
        "gxpo/retention_mean": float(r.mean()), "gxpo/retention_std": float(r.std(unbiased=False)),
        "gxpo/scale_mean": float(s.mean()), "gxpo/scale_max": float(s.max()), "gxpo/displacement_2": two,
        "gxpo/displacement_k": norm_of(moved), "gxpo/displacement_ratio": norm_of(moved) / two,
        "gxpo/inactive_fraction": 1 - float(active.double().mean()), "gxpo/clamped_fraction": float(torch.cat(clamped).double().mean())}


def errors_of(foretold, problem):
    """Of the foretold displacement against K steps of `problem`."""
    start = [p.detach().clone() for p in problem.params]
    for _ in range(problem.case["K"]):
        problem.step(problem.gradient())
    reached = torch.cat([(p.detach() - p0).flatten() for p, p0 in zip(problem.params, start)])
    told = torch.cat([x.flatten() for x in foretold])
    error = told - reached
    return {"gxpo/error_median": float(error.abs().median()), "gxpo/error_repositioned": problem.case["alpha"] * float(error.abs().median()),
            "gxpo/error_relative": float(error.norm() / reached.norm()), "gxpo/error_cosine": 1 - float(told @ reached / told.norm() / reached.norm()),
            "gxpo/displacement_true": float(reached.norm())}


def sfpo(problem):
    case, params = problem.case, problem.params
    start = [p.detach().clone() for p in params]

    def whole_pass():
        for i in range(case.get("mini_batches", 1)):
            problem.step(problem.gradient(i))

    for _ in range(case["K"]):
        whole_pass()
    move(params, start, [case["alpha"]] * len(params))
    there = [p.detach().clone() for p in params]
    whole_pass()
    return there, {}


RULES = {"gxpo": gxpo, "sfpo": sfpo}


def settings_of(case):
    """The case in the words of an input file."""
    words = {
        "update.rule": case["rule"], "update.virtual_steps": case["K"], "update.reposition": case["alpha"], "update.shutoff_threshold": 0,
        "update.mini_batches": case.get("mini_batches", 1), "optimizer.learning_rate": case["lr"], "optimizer.beta1": case["betas"][0],
        "optimizer.beta2": case["betas"][1], "optimizer.epsilon": case["eps"], "optimizer.weight_decay": case["weight_decay"],
        "optimizer.max_grad_norm": case["max_grad_norm"]}
    if case["rule"] == "gxpo":
        words.update({f"update.{name}": case[name] for name in ("retention", "activity", "activity_kind", "optimizer_state")})
        words.update({f"update.{name}": "[%r,%r]" % case[name] for name in ("ratio_limit", "scale_limit") if name in case})
    return " ".join(f"{name}={value}" for name, value in words.items())


# ------------------------------------------------------------------ given gradients

SHAPES = [("a", (12, 8)), ("b", (9,)), ("c", (5, 7))]
ADAM = dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-6, weight_decay=0.1, max_grad_norm=0.7)
GXPO = dict(rule="gxpo", K=3, alpha=0.5, activity=1e-8, activity_kind="absolute", retention="gradient", optimizer_state="fast_state")
RELATIVE = dict(activity=1e-3, activity_kind="relative")
ELEMENT_CASES = {
    "gradient_fast": {},
    "gradient_transactional": dict(K=5, alpha=1.0, optimizer_state="transactional"),
    "adamw_fast": dict(K=4, alpha=0.75, retention="adamw", **RELATIVE),
    "adamw_transactional": dict(retention="adamw", optimizer_state="transactional", **RELATIVE),
    "unclipped": dict(K=10, max_grad_norm=0.0),  # ratios of exactly 1, -1, 0
    "unclipped_odd": dict(K=5, max_grad_norm=0.0),
    "relative": dict(K=2, activity=0.5, activity_kind="relative"),
    "limits": dict(K=7, ratio_limit=(-0.5, 1.25), scale_limit=(1.1, 2.0)),
    "sfpo": dict(rule="sfpo", K=3, alpha=0.8),
}
STEPS_BEFORE = 3


def vector(name, factor, add=0.0):
    """One behind the other, as fp32 numbers."""
    out = []
    for part, shape in SHAPES:
        n = math.prod(shape)
        x = torch.from_numpy(hashed(key_of(f"{name} {part}"), n)).float() * factor + add
        out.append(x.double().reshape(shape))
    return out


def given():
    """Gradients of the passes; the first entries of the second are ratios that are special."""
    g = [vector(f"g{k}", 0.5) for k in range(4)]
    g = [[(0.6 * x0 + 0.4 * x).float().double() for x0, x in zip(g[0], gk)] if k > 0 else gk for k, gk in enumerate(g)]
    g0, g1 = g[0][0].flatten(), g[1][0].flatten()
    for i, ratio in enumerate([1.0, -1.0, 0.0, 0.5, -0.5, 2.0, -1.5, 4.0, -3.0, 1.0 - 2.0**-20, -1.0 + 2.0**-10, 1.0 + 2.0**-20]):
        g0[i] = 0.25
        g1[i] = 0.25 * ratio
    for i, (a, b) in enumerate([(0.0, 0.125), (0.0, 0.0), (2.0**-30, 0.125), (-(2.0**-30), 2.0**-30), (2.0**-26, 2.0**-27)]):
        g0[20 + i], g1[20 + i] = a, b
    return g


def write_elements(out):
    start, exp_avg, exp_avg_sq = vector("start", 2.0), vector("exp_avg", 0.2), [x * x for x in vector("exp_avg_sq", 0.2, 0.15)]
    exp_avg_sq = [x.float().double() for x in exp_avg_sq]
    g = given()
    tensors, numbers = {}, {}

    def keep(name, vectors):
        tensors[name] = torch.cat([v.flatten() for v in vectors]).float()

    for name, vectors in (("start", start), ("exp_avg", exp_avg), ("exp_avg_sq", exp_avg_sq)):
        keep(name, vectors)
    for k, vectors in enumerate(g):
        keep(f"g{k}", vectors)
    for name, change in ELEMENT_CASES.items():
        case = {**ADAM, **GXPO, **change}
        params = [torch.nn.Parameter(p.clone()) for p in start]
        problem = Problem(params, lambda k, _: g[k], case, (STEPS_BEFORE, exp_avg, exp_avg_sq))
        there, metrics = RULES[case["rule"]](problem)
        numbers[name] = {"settings": settings_of(case), "metrics": metrics}
        keep(f"{name}/repositioned", there)
        keep(f"{name}/parameters", [p.detach() for p in params])
        for moment in ("exp_avg", "exp_avg_sq"):
            keep(f"{name}/{moment}", [problem.optimizer.state[p][moment] for p in params])
        numbers[name]["optimizer_steps"] = int(problem.optimizer.state[params[0]]["step"])
    save_file(tensors, os.path.join(out, "elements.safetensors"))
    return numbers


# ------------------------------------------------------------------ whole steps

CONFIG = dict(model_type="qwen2", num_hidden_layers=1, hidden_size=8, intermediate_size=12, num_attention_heads=2, num_key_value_heads=1,
              vocab_size=259, max_position_embeddings=64, hidden_act="silu", rms_norm_eps=1e-6, tie_word_embeddings=True)
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK, LORA_ALPHA = 2, 4
TEMPERATURE, TAU_POS, TAU_NEG, ENTROPY_COEF = 0.7, 10.0, 12.0, 0.01
GROUPS, GROUP_SIZE = 4, 3
STEP_ADAM = dict(lr=2e-2, betas=(0.9, 0.95), eps=1e-2, weight_decay=0.1, max_grad_norm=0.5)
STEP_GXPO = {**STEP_ADAM, **GXPO, **RELATIVE}
STEP_CASES = {
    "full/gradient_fast": {},
    "full/gradient_transactional": dict(K=4, alpha=1.0, optimizer_state="transactional"),
    "full/adamw_fast": dict(retention="adamw"),
    "full/adamw_transactional": dict(K=4, retention="adamw", optimizer_state="transactional"),
    "full/sfpo": dict(rule="sfpo", K=3, alpha=0.8, mini_batches=2),
    "lora/gradient_fast": dict(K=5),
    "lora/gradient_transactional": dict(optimizer_state="transactional"),
    "lora/adamw_fast": dict(K=10, retention="adamw"),
    "lora/adamw_transactional": dict(retention="adamw", optimizer_state="transactional"),
    "lora/sfpo": dict(rule="sfpo", K=2, alpha=0.5),
    "new/gradient_fast": {},  # lora with B = 0: A has no gradient in the first pass
}
WHOLE = ("full/gradient_fast", "lora/gradient_fast")  # parameters and gradients of each pass are stored


def tokens(name, n):
    return [int((float(h) + 0.5) * 256) for h in hashed(key_of(name), n)]


def batch():
    """(prompt, answer, advantage) of each answer."""
    for g in range(GROUPS):
        prompt = tokens(f"prompt {g}", 3 + g)
        for i in range(GROUP_SIZE):
            k = g * GROUP_SIZE + i
            yield prompt, tokens(f"answer {k}", 1 + (5 * k) % 7), (i - 1) * 1.25 + (0.25 if i == 2 else 0.0)


def score(model, prompt, answer):
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1:-1]
    lp = torch.log_softmax(logits / TEMPERATURE, -1)
    return lp.gather(-1, torch.tensor(answer)[:, None])[:, 0], -(lp.exp() * lp).sum(-1)


def loss_of(model, rows, old):
    """- mean over answers of token means of f(r) A, less the entropy's share; f the erf gate."""
    total = 0.0
    for i, (prompt, answer, advantage) in rows:
        logprob, entropy = score(model, prompt, answer)
        tau = TAU_POS if advantage > 0 else TAU_NEG
        f = 1 + math.sqrt(math.pi / 2) / tau * torch.erf(tau * ((logprob - old[i]).exp() - 1) / math.sqrt(2))
        total = total - (f * advantage + ENTROPY_COEF * entropy).mean() / len(rows)
    return total


def make_model(kind):
    config = AutoConfig.for_model(**CONFIG)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
    for key, p in model.named_parameters():
        p.data = torch.from_numpy(weights(key, p.numel())).double().reshape(p.shape)
    if kind != "full":
        model = peft.get_peft_model(model, peft.LoraConfig(r=RANK, lora_alpha=LORA_ALPHA, target_modules=MODULES, task_type="CAUSAL_LM")).double().eval()
        for key, p in model.named_parameters():
            if "lora_" in key:
                name = key.replace(".default", "")
                p.data = torch.from_numpy(weights(name, p.numel())).double().reshape(p.shape) * (0.0 if kind == "new" and "lora_B" in key else 1.0)
    return model, [(key.replace(".default", ""), p) for key, p in model.named_parameters() if p.requires_grad]


def write_steps(out):
    tensors, numbers = {}, {}
    for name, change in STEP_CASES.items():
        case = {**STEP_GXPO, **change}
        model, named = make_model(name.split("/")[0])
        params = [p for _, p in named]
        rows = list(enumerate(batch()))
        with torch.no_grad():
            old = [score(model, prompt, answer)[0] for _, (prompt, answer, _) in rows]
        half = len(rows) // 2
        parts = [rows] if case.get("mini_batches", 1) == 1 else [rows[:half], rows[half:]]

        def gradient(_, mini_batch):
            model.zero_grad()
            loss_of(model, parts[mini_batch], old).backward()
            return [p.grad.clone() for p in params]

        start = [p.detach().clone() for p in params]
        problem = Problem(params, gradient, case)
        _, metrics = RULES[case["rule"]](problem)
        numbers[name] = {"settings": settings_of(case), "metrics": metrics}
        for (key, p), p0 in zip(named, start):
            tensors[f"{name}/displacement/{key}"] = (p.detach() - p0).float().contiguous()
        if case["rule"] == "gxpo":
            with torch.no_grad():
                for p, p0 in zip(params, start):
                    p.copy_(p0)
            numbers[name]["metrics"].update(errors_of(problem.foretold, Problem(params, gradient, case)))
        if name in WHOLE:
            for k in range(problem.passes):
                for i, (key, _) in enumerate(named):
                    tensors[f"{name}/point{k}/{key}"] = problem.points[k][i].float().contiguous()
                    # of the stored point, which is rounded to fp32
                with torch.no_grad():
                    for p, x in zip(params, problem.points[k]):
                        p.copy_(x.float().double())
                for (key, _), g in zip(named, gradient(k, 0)):
                    tensors[f"{name}/gradient{k}/{key}"] = g.float().contiguous()
    save_file(tensors, os.path.join(out, "steps.safetensors"))
    return numbers


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else here
    torch.set_num_threads(1)
    versions = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, safetensors=safetensors.__version__)
    with open(os.path.join(out, "steps.json"), "w") as f:
        json.dump({"versions": versions, "elements": write_elements(out), "steps": write_steps(out)}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
