#!/usr/bin/env python3
"""Expected hidden states of tests/unit/mauve/test_features.c and their gradients of tests/unit/model/test_states.c: last_hidden_state
of transformers, in double, at the last token of the sequences of make_expected.py, each run alone.

    make_states.py [OUT_DIR]         (default: the folder of this script)

Written with torch 2.15.0, transformers 5.24.0. A line of states.tsv: model, sequence, the numbers of the state. A line of
states_gradient.tsv: model, parameter, and of the gradient of sum(a state), a = hashed("d_states"), by it: norm, and product with a
fixed vector.
"""
import os, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from make_expected import SHAPE, SHAPES, hashed, key_of, projection, sequences, weights


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "states.tsv"), "w") as out, open(os.path.join(folder, "states_gradient.tsv"), "w") as gradients:
        for name, shape in SHAPES.items():
            config = AutoConfig.for_model(**{**SHAPE, **shape})
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
            for key, p in model.named_parameters():
                p.data = torch.from_numpy(weights(key, p.numel())).double().reshape(p.shape)
            states = [model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1] for ids, _ in sequences()]
            for i, state in enumerate(states):
                out.write("\t".join([name, str(i)] + [f"{float(x):.9g}" for x in state]) + "\n")
            a = torch.from_numpy(hashed(key_of("d_states"), len(states) * config.hidden_size)).double()
            (a * torch.cat(states)).sum().backward()
            for key, p in model.named_parameters():
                pair = (float(p.grad.norm()), projection(key, p.grad)) if p.grad is not None else (0.0, 0.0)
                gradients.write("\t".join([name, key, *(f"{x:.9g}" for x in pair)]) + "\n")


main()
