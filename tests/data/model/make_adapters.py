#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adapters as peft writes them, and what it computes with them, for tests/unit/run/test_adapter_directory.c.

    make_adapters.py [OUT_DIR]         (default: the folder `adapter` beside this script)

Written with torch 2.15.0, transformers 5.24.0, peft 0.21.2. For each case, over the model `qwen2` of make_expected.py:
NAME/adapter_config.json and NAME/adapter_model.safetensors by save_pretrained, and NAME/expected.json: the log-probabilities of
make_expected.py's sequences, in double precision from the factors in single, with the adapter on and off.
"""
import json, os, shutil, sys
import torch, transformers, peft
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from make_expected import SHAPE, SHAPES, score, weights

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "plain": dict(r=3, lora_alpha=6, target_modules=ALL),
    "rslora": dict(r=4, lora_alpha=3, use_rslora=True, target_modules="all-linear"),
    "subset": dict(r=2, lora_alpha=5, target_modules=["o_proj", "q_proj", "down_proj"]),
    "pattern": dict(r=2, lora_alpha=4, target_modules=r".*layers\.\d+\.(self_attn\.v_proj|mlp\.up_proj)"),
}


def base():
    config = AutoConfig.for_model(**{**SHAPE, **SHAPES["qwen2"]})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    for key, p in model.named_parameters():
        p.data = torch.from_numpy(weights(key, p.numel())).reshape(p.shape)
    return model


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "adapter")
    torch.set_num_threads(1)
    for name, case in CASES.items():
        folder = os.path.join(out, name)
        shutil.rmtree(folder, ignore_errors=True)
        torch.manual_seed(7)
        model = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", base_model_name_or_path="qwen2", **case))
        for key, p in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(p, std=0.2)
        model.save_pretrained(folder)
        read = PeftModel.from_pretrained(base(), folder).double().eval()
        with torch.no_grad():
            on = score(read)[0]
            with read.disable_adapter():
                off = score(read)[0]
        with open(os.path.join(folder, "expected.json"), "w") as f:
            json.dump(dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__,
                           logprob=on.tolist(), logprob_off=off.tolist()), f, indent=1)
            f.write("\n")
        os.remove(os.path.join(folder, "README.md"))


if __name__ == "__main__":
    main()
