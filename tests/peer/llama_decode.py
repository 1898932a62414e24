#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time decoding here and in llama.cpp, in turn, on the same fp32 weights and machine.

    llama_decode.py GRADUS MODEL_DIR MODEL_F32.gguf [--rounds 2] [--threads 2]

MODEL_F32.gguf holds the weights of MODEL_DIR as F32. llama.cpp (package llama-cpp-python, built on this machine) feeds 1, 8 and 32
sequences one token a step at 64 to 88 positions, without sampling; `gradus bench decode` does the same with sampling. Rates are
tokens/s.
"""
import argparse
import re
import subprocess
import time

BATCHES, BEFORE, STEPS = (1, 8, 32), 64, 24


def llama_rates(path, threads):
    import llama_cpp

    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    rates = {}
    for size in BATCHES:
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_seq_max = size * 128, 512, size
        settings.n_threads = settings.n_threads_batch = threads
        settings.type_k = settings.type_v = 0  # F32
        context = llama_cpp.llama_init_from_model(model, settings)
        batch = llama_cpp.llama_batch_init(size, 0, size)

        def step(position):
            batch.n_tokens = size
            for i in range(size):
                batch.token[i], batch.pos[i] = (i * 7919 + position * 13) % 1000, position
                batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, i, 1
            assert llama_cpp.llama_decode(context, batch) == 0
            llama_cpp.llama_synchronize(context)

        for position in range(BEFORE):
            step(position)
        start = time.monotonic()
        for position in range(BEFORE, BEFORE + STEPS):
            step(position)
        rates[size] = size * STEPS / (time.monotonic() - start)
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return rates


def gradus_rates(arguments):
    out = subprocess.run([arguments.gradus, "bench", "decode", "--model", arguments.model, "--threads", str(arguments.threads)],
                         check=True, capture_output=True, text=True).stdout
    return {int(b): float(r) for b, r in re.findall(r"decode\s+(\d+) answers\s+([\d.]+) tokens/s", out)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradus"), parser.add_argument("model"), parser.add_argument("gguf")
    parser.add_argument("--rounds", type=int, default=2), parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for _ in range(arguments.rounds):
        theirs, ours = llama_rates(arguments.gguf, arguments.threads), gradus_rates(arguments)
        print("   ".join(f"{b}: {ours[b]:.1f} / {theirs[b]:.1f} = {ours[b] / theirs[b]:.2f}" for b in BATCHES), flush=True)


if __name__ == "__main__":
    main()
