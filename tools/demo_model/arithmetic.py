"""The arithmetic that the demo model learns: problems, their worked steps, and which problems are never trained on."""

import functools
import hashlib
import random
from dataclasses import dataclass

ENGLISH, CHINESE = "en", "zh"
HELD_OUT_ONE_IN = 10  # every tenth operand pair is kept for evaluation


@dataclass(frozen=True)
class Problem:
    left: int
    operator: str  # "+", "-" or "×"
    right: int

    @property
    def answer(self) -> int:
        if self.operator == "+":
            return self.left + self.right
        if self.operator == "-":
            return self.left - self.right
        return self.left * self.right

    @property
    def held_out(self) -> bool:
        """Never trained on. All that single steps need is trained on: one-digit problems, and each product with its carry."""
        if max(self.left, self.right) < 10 or not _drawn_for_evaluation(self.left, self.operator, self.right):
            return False
        return self.operator != "×" or _carry_step(self.left, self.right) in _taught_carry_steps()

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


def _drawn_for_evaluation(left: int, operator: str, right: int) -> bool:
    """By hash of the operands in order of size, so that a + b and b + a, or a - b and b - a, fall on the same side."""
    low, high = sorted((left, right))
    digest = hashlib.sha256(f"{low}{operator}{high}".encode()).digest()
    return digest[0] * 256 + digest[1] < 65536 // HELD_OUT_ONE_IN


def _carry_step(left: int, right: int) -> tuple[int, int]:
    """Of two digits by one: the product of the tens, and what the ones carry into it."""
    big, small = max(left, right), min(left, right)
    return big // 10 * small, big % 10 * small // 10


@functools.cache
def _taught_carry_steps() -> frozenset[tuple[int, int]]:
    return frozenset(_carry_step(big, small) for big in range(10, 100) for small in range(10)
                     if not _drawn_for_evaluation(big, "×", small))


def random_number(rng: random.Random) -> int:
    digits = rng.choices((1, 2, 3), weights=(2, 4, 6))[0]
    return rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)


def random_problem(rng: random.Random, held_out: bool = False, operator: str | None = None) -> Problem:
    while True:
        chosen = operator or rng.choices(("+", "-", "×"), weights=(4, 4, 2))[0]
        if chosen == "×":
            left, right = rng.randrange(10, 100) if rng.random() < 0.9 else rng.randrange(10), rng.randrange(10)
            if rng.random() < 0.25:
                left, right = right, left
        else:
            left, right = random_number(rng), random_number(rng)
        problem = Problem(left, chosen, right)
        if problem.held_out == held_out:
            return problem


_PLACES = {ENGLISH: ("ones", "tens", "hundreds"), CHINESE: ("个位", "十位", "百位")}
_WORDS = {
    ENGLISH: dict(colon=": ", comma=", ", carry="carry {}", borrow="borrow {}", write="write {}", result="result: {}",
                  swap="{} < {}, so work out {} and negate"),
    CHINESE: dict(colon="：", comma="，", carry="进 {}", borrow="借 {}", write="写 {}", result="结果：{}",
                  swap="{} < {}，先算 {} 再取负"),
}


def worked_steps(problem: Problem, language: str) -> str:
    """The lines between <think> and </think>: the problem restated, one line a decimal place, the result."""
    words, lines = _WORDS[language], [f"{problem}"]
    if problem.operator == "+":
        lines += _addition(problem.left, problem.right, language)
    elif problem.operator == "-":
        big, small = problem.left, problem.right
        if big < small:
            big, small = small, big
            lines.append(words["swap"].format(problem.left, problem.right, f"{big} - {small}"))
        lines += _subtraction(big, small, language)
    else:
        big, small = max(problem.left, problem.right), min(problem.left, problem.right)
        lines += _multiplication(big, small, language)
    lines.append(words["result"].format(problem.answer))
    return "\n".join(lines)


def _digits(number: int, count: int) -> list[int]:
    return [number // 10**place % 10 for place in range(count)]


def _addition(left: int, right: int, language: str) -> list[str]:
    words, lines, carry = _WORDS[language], [], 0
    count = max(len(str(left)), len(str(right)))
    for place, (a, b) in enumerate(zip(_digits(left, count), _digits(right, count))):
        total = a + b + carry
        terms = f"{a} + {b} + {carry}" if carry else f"{a} + {b}"
        line = f"{_PLACES[language][place]}{words['colon']}{terms} = {total}"
        carry, digit = divmod(total, 10)
        lines.append(line + words["comma"] + words["write"].format(digit) + words["comma"] + words["carry"].format(carry))
    return lines


def _subtraction(big: int, small: int, language: str) -> list[str]:
    words, lines, borrow = _WORDS[language], [], 0
    count = len(str(big))
    for place, (a, b) in enumerate(zip(_digits(big, count), _digits(small, count))):
        owed, borrow = borrow, int(a < b + borrow)
        tail = f" - {owed}" if owed else ""
        line = f"{_PLACES[language][place]}{words['colon']}{a} - {b}{tail}"
        if borrow:
            line += words["comma"] + words["borrow"].format(10) + words["comma"] + f"{a + 10} - {b}{tail}"
        lines.append(f"{line} = {a + 10 * borrow - b - owed}")
    return lines


def _multiplication(big: int, small: int, language: str) -> list[str]:
    words, lines, carry = _WORDS[language], [], 0
    for place, digit in enumerate(_digits(big, len(str(big)))):
        product = digit * small
        line = f"{_PLACES[language][place]}{words['colon']}{digit} × {small} = {product}"
        if carry:
            line += words["comma"] + f"{product} + {carry} = {product + carry}"
        carry, written = divmod(product + carry, 10)
        lines.append(line + words["comma"] + words["write"].format(written) + words["comma"] + words["carry"].format(carry))
    return lines
