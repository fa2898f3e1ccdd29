"""Derives the matrices of Winograd's minimal filtering F(m, r) from its points, in exact fractions.

    python scripts/winograd_matrices.py [--m 4] [--r 3] [--points 0 2/3 -2/3 3/2 -3/2]

prints A^T, G and B^T, checks `A^T [(G g) * (B^T d)] = correlation of d with g` symbolically on the unit vectors, and
measures the rounding error of the two-dimensional form in float32. The derivation is in docs/kernels/winograd.md.
"""

from __future__ import annotations

import argparse
from fractions import Fraction

import numpy as np

Matrix = list[list[Fraction]]


def polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients of prod (x - root), lowest power first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [-root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a + b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def matrices(m: int, r: int, points: list[Fraction]) -> tuple[Matrix, Matrix, Matrix]:
    """A^T (m x n), G (n x r) and B^T (n x n) of F(m, r), n = m + r - 1, for n - 1 points and infinity."""
    n = m + r - 1
    if len(points) != n - 1 or len(set(points)) != n - 1:
        raise ValueError(f"F({m}, {r}) needs {n - 1} different points besides infinity, got {len(points)}")
    a_t = [[p**i for p in points] + [Fraction(int(i == m - 1))] for i in range(m)]
    g: Matrix = []
    b_t: Matrix = []
    for j, point in enumerate(points):
        others = [p for i, p in enumerate(points) if i != j]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        g.append([point**k / scale for k in range(r)])
        b_t.append([*polynomial(others), Fraction(0)])
    g.append([Fraction(int(k == r - 1)) for k in range(r)])
    b_t.append(polynomial(points))
    return a_t, g, b_t


def check(m: int, r: int, a_t: Matrix, g: Matrix, b_t: Matrix) -> None:
    """The identity on every pair of unit vectors: exact, so it holds for all."""
    n = m + r - 1
    for d in range(n):
        for k in range(r):
            product = [g[i][k] * b_t[i][d] for i in range(n)]
            got = [sum(a_t[i][j] * product[j] for j in range(n)) for i in range(m)]
            assert got == [Fraction(int(d == i + k)) for i in range(m)], (d, k, got)


def error(m: int, r: int, a_t: Matrix, g: Matrix, b_t: Matrix, channels: int) -> float:
    """Relative L2 error of the two-dimensional form in float32, inputs as after a ReLU, summed over channels."""
    rng = np.random.default_rng(0)
    a32, g32, b32 = (np.array(x, dtype=float).astype(np.float32) for x in (a_t, g, b_t))
    n, tiles = m + r - 1, 200
    d = np.maximum(rng.standard_normal((tiles, channels, n, n)), 0).astype(np.float32)
    w = (rng.standard_normal((channels, r, r)) * np.sqrt(2 / (channels * r * r))).astype(np.float32)
    u, v = g32 @ w @ g32.T, b32 @ d @ b32.T
    y = a32 @ np.einsum("cij,tcij->tij", u, v, dtype=np.float32) @ a32.T
    windows = np.lib.stride_tricks.sliding_window_view(d.astype(float), (r, r), axis=(2, 3))
    exact = np.einsum("tcijkl,ckl->tij", windows, w.astype(float))
    return float(np.linalg.norm(y - exact) / np.linalg.norm(exact))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--m", type=int, default=4, help="outputs of a tile along an axis")
    parser.add_argument("--r", type=int, default=3, help="taps of the filter along an axis")
    parser.add_argument("--points", nargs="+", default=["0", "2/3", "-2/3", "3/2", "-3/2"], type=str)
    args = parser.parse_args()
    a_t, g, b_t = matrices(args.m, args.r, [Fraction(p) for p in args.points])
    check(args.m, args.r, a_t, g, b_t)
    for name, matrix in (("A^T", a_t), ("G", g), ("B^T", b_t)):
        print(name)
        for row in matrix:
            print("   ", "  ".join(f"{value!s:>8}" for value in row))
    for channels in (16, 64, 256):
        print(f"relative error in float32, {channels:3d} channels: {error(args.m, args.r, a_t, g, b_t, channels):.2e}")


if __name__ == "__main__":
    main()
