"""Prints evaluation questions, none of whose operand pairs was trained on, as JSON lines: {"question", "answer", "language"}.

The same seed prints the same questions.
"""

import argparse
import json
import random

from arithmetic import CHINESE, ENGLISH, random_problem
from wordings import question

COUNT, SEED = 500, 20240607


def held_out_questions(count: int = COUNT, seed: int = SEED) -> list[dict]:
    rng, seen, rows = random.Random(seed), set(), []
    while len(rows) < count:
        problem, language = random_problem(rng, held_out=True), rng.choice((ENGLISH, CHINESE))
        text = question(problem, language, rng)
        if text not in seen:
            seen.add(text)
            rows.append(dict(question=text, answer=problem.answer, language=language))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    for row in held_out_questions(arguments.count, arguments.seed):
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
