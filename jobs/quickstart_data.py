#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the data of the quickstart to FOLDER: sums of two numbers of two digits.

    quickstart_data.py FOLDER

    worked.jsonl  questions with a worked answer, for sft
    train.jsonl   the same questions with the right result alone, for rl
    test.jsonl    one question in eight, kept apart: in neither of the others

The worked answers are those of a careless pupil: six in ten carries are forgotten, one in ten sums of units is wrong by one,
and two thirds of the answers break the template. A model that copies them well is wrong most of the time; which of its habits
are good, rewards are to find out. The same files come out everywhere: Python promises the numbers of random() for a seed.
"""
import json
import os
import random
import sys

COPIES = 4  # worked answers to each question


def worked_answer(a, b, draw):
    """One careless answer: units first, then tens, then the result."""
    units, tens = a % 10 + b % 10, a // 10 + b // 10
    if draw.random() < 0.1:
        units += -1 if units > 0 and draw.random() < 0.5 else 1
    carry = units > 9 and draw.random() < 0.4
    work = f"{a % 10}+{b % 10}={units}, {a // 10}+{b // 10}{'+1' if carry else ''}={tens + carry}"
    result = f"{tens + carry}{units % 10}"
    shape = draw.random()
    if shape < 0.22:
        return f"<think>{work}</think><answer>{result}"
    if shape < 0.44:
        return f"{work} <answer>{result}</answer>"
    if shape < 0.66:
        return f"{work}: {result}"
    return f"<think>{work}</think><answer>{result}</answer>"


def main(folder):
    draw = random.Random(7)
    names = ("worked", "train", "test")
    worked, train, test = (open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") for name in names)
    for a in range(10, 50):
        for b in range(10, 50):
            question = f"{a}+{b}=\n"
            if draw.random() < 1 / 8:
                print(json.dumps({"prompt": question, "answer": str(a + b)}), file=test)
                continue
            print(json.dumps({"question": question, "answer": str(a + b)}), file=train)
            for _ in range(COPIES):
                print(json.dumps({"question": question, "worked": worked_answer(a, b, draw)}), file=worked)
    for file in (worked, train, test):
        file.close()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__.strip())
    main(sys.argv[1])
