#!/usr/bin/env python3
"""grade.py: gradus grade beside Math-Verify, on the pairs of tests/data/answer, from the root of the repository.

    grade.py time [--gradus build/gradus]     gradings a second of both on every tenth pair, one process each
    grade.py verdicts >FILE                   Math-Verify's verdict of each pair, 1 or 0 a line
    grade.py report                           the table of tests/data/answer/README, from verdicts.tsv

`time` and `verdicts` need pip install 'math-verify[antlr4-13-2]'; tried with math-verify 0.9.0, sympy 1.14.0,
latex2sympy2-extended 1.11.0, Python 3.11. Each answer is given to Math-Verify as one formula between $ signs, as its
documentation asks; what takes longer than 3 s counts as not equal.
"""
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings

FOLDER = "tests/data/answer/"


def pairs():
    with open(FOLDER + "pairs.tsv", encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def math_verify():
    from math_verify import parse, verify
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)

    def grade(answer, reference):
        try:
            formulas = [parse("$" + text.replace("$", "") + "$", parsing_timeout=3) for text in (reference, answer)]
            return verify(*formulas, timeout_seconds=3)
        except Exception:
            return False
    return grade


def verdicts():
    grade = math_verify()
    for _, _, answer, reference in pairs():
        print(int(grade(answer, reference)), flush=True)


def compare_times(gradus):
    grade = math_verify()
    rows = pairs()[::10]
    start = time.perf_counter()
    for _, _, answer, reference in rows:
        grade(answer, reference)
    taken = time.perf_counter() - start
    print(f"Math-Verify: {len(rows) / taken:.0f} gradings/s, {1e6 * taken / len(rows):.0f} us each")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        for _, _, answer, reference in rows:
            print(json.dumps({"prediction": "\\boxed{" + answer + "}", "answer": reference}), file=file)
        file.flush()
        print("gradus bench", subprocess.run([gradus, "bench", "grade", "--pairs", file.name], check=True,
                                             capture_output=True, text=True).stdout, end="")


def report():
    with open(FOLDER + "verdicts.tsv", encoding="utf-8") as file:
        peers = [line.split() for line in file]
    kinds = {}
    for (truth, kind, _, _), said in zip(pairs(), peers):
        count = kinds.setdefault(kind, [0, 0, 0, 0, 0])
        count[0] += 1
        for i, verdict in enumerate(said):
            count[1 + 2 * i + (verdict == "1")] += verdict != truth
    total = [sum(column) for column in zip(*kinds.values())]
    for kind, count in [*kinds.items(), ("all", total)]:
        print(f"    {kind:18} {count[0]:5} {count[1]:8} {count[2]:8} {count[3]:10} {count[4]:8}")


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "time":
        compare_times(sys.argv[3] if sys.argv[2:3] == ["--gradus"] else "build/gradus")
    elif command == "verdicts":
        verdicts()
    elif command == "report":
        report()
    else:
        sys.exit(__doc__)
