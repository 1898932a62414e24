#!/usr/bin/env python3
"""Expected hidden states of tests/unit/mauve/test_features.c: last_hidden_state of transformers, in double, at the last token of the
sequences of make_expected.py, each run alone.

    make_states.py [OUT_FILE]         (default: states.tsv beside this script)

Written with torch 2.15.0, transformers 5.23.0. A line: model, sequence, the numbers of the state.
"""
import os, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from make_expected import SHAPE, SHAPES, sequences, weights


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "states.tsv")
    with open(path, "w") as out, torch.no_grad():
        for name, shape in SHAPES.items():
            config = AutoConfig.for_model(**{**SHAPE, **shape})
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").double().eval()
            for key, p in model.named_parameters():
                p.data = torch.from_numpy(weights(key, p.numel())).double().reshape(p.shape)
            for i, (ids, _) in enumerate(sequences()):
                state = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
                out.write("\t".join([name, str(i)] + [f"{float(x):.9g}" for x in state]) + "\n")


main()
