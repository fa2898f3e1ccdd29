/* bf16.h - products of operands rounded to bfloat16, summed in float32: the table of one unit's kernels.
 *
 * A unit is an instruction that forms such products: `avx512` (vdpbf16ps) or `amx` (tdpbf16ps on tile registers). It
 * belongs to the avx512 level. Without one, drivers round the operands and multiply in float32 (`rounding`). */
#ifndef FNN_BF16_H
#define FNN_BF16_H

#include <stdbool.h>
#include <stdint.h>

/* C[i, j] (+)= sum_p A[i, p] * B[p, j] (+ bias[j]); p walks through `runs` runs of k, an even number that `depth`, the
 * step of tile registers, divides. Steps are in elements.
 *   A: run q of row i starts at a + i * a_step + q * a_run. Rows up to the next multiple of 16 are read, not used.
 *   B: a panel of `width` (16 or 32) columns whose rows lie in pairs, panel[p / 2][j][p % 2]; run q at b + q * b_run.
 */
typedef struct {
    int64_t k, runs, depth;
    int64_t a_step, a_run, b_run, c_step;
    int width;
} fnn_bf16_tile;

/* begin and end frame a task's products of one depth;
 * product: see fnn_bf16_tile; any number of rows, cols <= width;
 * round_rows: y[i, p] = x[i, p], zero for k <= p < depth;
 * turn_rows: y[i, p] = x[p, i], i < rows, p < k; zero for p = k if k is odd;
 * turn_pairs: y[i, p] = panel[p / 2][i][p % 2], i < width (a multiple of 16), p < k (of 32);
 * pair_rows: panel[p / 2][j][p % 2] = x[p, j] for first <= p < last, zero for other p < k (k even) and for j >= cols;
 * pair_columns: panel[p / 2][j][p % 2] = x[j, p] for p < k, j < cols, zero for other p < depth (even) and j < width. */
#define FNN_BF16_KERNEL(name, params) void(*name) params;
typedef struct {
    bool tiles; /* products on tile registers: many times float32's rate */
#include "bf16.def"
} fnn_bf16_kernels;
#undef FNN_BF16_KERNEL

/* The table of the unit in use; NULL for rounding. Set by dispatch.c. */
extern const fnn_bf16_kernels *fnn_active_bf16;

#endif
