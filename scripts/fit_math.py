"""Fits the polynomials of csrc/simd/math.h: minimax (Remez exchange) in 60-digit decimal arithmetic.

Run it without arguments; it prints one C initialiser for each polynomial, lowest power first, and the largest relative
error that the fit leaves before rounding. Nothing but the standard library is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, getcontext

getcontext().prec = 60
D = Decimal
Function = Callable[[Decimal], Decimal]
CENTRE = D("2.5")
PI = D("3.14159265358979323846264338327950288419716939937510582097494459")


def solve(matrix: list[list[Decimal]], right: list[Decimal]) -> list[Decimal]:
    """Gaussian elimination with partial pivoting."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, size):
            factor = rows[r][i] / rows[i][i]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    result = [D(0)] * size
    for i in reversed(range(size)):
        known = sum((rows[i][j] * result[j] for j in range(i + 1, size)), D(0))
        result[i] = (rows[i][size] - known) / rows[i][i]
    return result


def cosine(x: Decimal) -> Decimal:
    term = total = D(1)
    for k in range(1, 60):
        term *= -x * x / ((2 * k - 1) * (2 * k))
        total += term
    return total


def horner(coefficients: list[Decimal], x: Decimal) -> Decimal:
    total = D(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def powers(x: Decimal, degree: int) -> list[Decimal]:
    return [D(1), *(x**k for k in range(1, degree + 1))]


def remez(f: Function, weight: Function, low: Decimal, high: Decimal, degree: int) -> tuple[list[Decimal], Decimal]:
    """Coefficients p that minimise the maximum of weight(x) |p(x) - f(x)| over [low, high], and that maximum."""
    count = degree + 2
    nodes = [(low + high) / 2 - (high - low) / 2 * cosine(PI * i / (count - 1)) for i in range(count)]
    grid = [low + (high - low) * i / 1500 for i in range(1501)]
    exact = [(x, f(x), weight(x)) for x in grid]
    coefficients: list[Decimal] = []
    worst = D(0)
    for _ in range(8):
        matrix = [[*powers(x, degree), (-1) ** i / weight(x)] for i, x in enumerate(nodes)]
        coefficients = solve(matrix, [f(x) for x in nodes])[:-1]
        errors = [w * (horner(coefficients, x) - y) for x, y, w in exact]
        worst = max(abs(e) for e in errors)
        nodes = extrema(grid, errors, count) or nodes
    return coefficients, worst


def extrema(grid: list[Decimal], errors: list[Decimal], count: int) -> list[Decimal] | None:
    """The largest error of each stretch of one sign; None if there are fewer stretches than needed."""
    best: list[tuple[Decimal, Decimal]] = []
    for x, e in zip(grid, errors, strict=True):
        if best and (best[-1][1] > 0) == (e > 0):
            if abs(e) > abs(best[-1][1]):
                best[-1] = (x, e)
        else:
            best.append((x, e))
    while len(best) > count:
        best.pop(0 if abs(best[0][1]) < abs(best[-1][1]) else -1)
    return [x for x, _ in best] if len(best) == count else None


def exp_tail(r: Decimal) -> Decimal:
    """(exp(r) - 1 - r) / r^2, from its series where the formula would cancel."""
    term, total = D("0.5"), D(0)
    for k in range(3, 60):
        total += term
        term = term * r / k
    return total


def log_tail(z: Decimal) -> Decimal:
    """(ln((1 + s) / (1 - s)) - 2 s) / s^3 with z = s^2: sum of 2 z^k / (2 k + 3)."""
    return horner([D(2) / (2 * k + 3) for k in range(60)], z)


def erf_ratio(z: Decimal) -> Decimal:
    """erf(x) / x with z = x^2."""
    term, total = D(1), D(0)
    for k in range(400):
        total += term / (2 * k + 1)
        term *= -z / (k + 1)
    return 2 / PI.sqrt() * total


def erfcx(a: Decimal) -> Decimal:
    """exp(a^2) erfc(a): the series up to 5 (in more digits, because it cancels), then the continued fraction."""
    getcontext().prec = 110
    try:
        if a < 5:
            return (a * a).exp() * (1 - a * erf_ratio(a * a))
        tail = a
        for k in range(400, 0, -1):
            tail = a + D(k) / 2 / tail
        return 1 / (PI.sqrt() * tail)
    finally:
        getcontext().prec = 60


def erfcx_of(t: Decimal) -> Decimal:
    """erfcx as a function of t = (a - CENTRE) / (a + CENTRE)."""
    return erfcx(CENTRE * (1 + t) / (1 - t))


def show(name: str, fit: tuple[list[Decimal], Decimal]) -> None:
    coefficients, worst = fit
    print(f"{name}: relative error {float(worst):.2g}")
    print("    " + ", ".join(f"{float(c):.17g}" for c in coefficients))


def main() -> None:
    half_ln2 = D(2).ln() / 2 * D("1.0005")
    z_top = ((D(2).sqrt() - 1) / (D(2).sqrt() + 1)) ** 2 * D("1.0005")
    for name, exp_degree, log_degree, erf_degree, erfcx_degree, top in (
        ("float", 4, 2, 6, 8, 4), ("double", 9, 6, 11, 18, 6),
    ):  # fmt: skip
        # Relative to exp(r) - 1, which is about r.
        show(f"{name} EXP_TAIL", remez(exp_tail, lambda r: max(abs(r), D("0.001")), -half_ln2, half_ln2, exp_degree))
        show(f"{name} LOG_TAIL", remez(log_tail, lambda z: z / 2, D("1e-9"), z_top, log_degree))
        show(f"{name} ERF", remez(erf_ratio, lambda z: 1 / erf_ratio(z), D(0), D(1), erf_degree))
        low, high = ((a - CENTRE) / (a + CENTRE) for a in (D(0), D(top)))
        # 1 - erfc is rounded to the precision of 1: only the product exp(-a^2) erfcx(a) counts.
        show(f"{name} ERFCX", remez(erfcx_of, lambda t: 1 / erfcx_of(t), low, high, erfcx_degree))


if __name__ == "__main__":
    main()
