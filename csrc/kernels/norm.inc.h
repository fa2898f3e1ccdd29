/* norm.inc.h - normalisation.
 *
 * Batch, group and instance norm treat an array as rows of `period` columns (fnn_norm_span), a column being a channel
 * or, for few channels, one of several neighbouring rows' copies of it, so that columns fill whole vectors. What a
 * column needs comes from a table of rows of `period` reals:
 *
 *   y = [relu](scale (x - mean) + shift [+ residual])             table: mean, scale, shift
 *   dx = scale dz + along (x - mean) + offset                      further rows: along, offset
 *
 * `shift` also corrects for the rounding of `mean`, so a large mean costs no accuracy. Four vectors of columns have
 * their part of the table in registers. */

#define NORM_VECTORS 4
#define NORM_BLOCK 4096    /* reals read twice in a row: they stay in the first-level cache */
#define NORM_BLOCK_ROWS 16 /* but at least so many rows, to share the cost of a block's end */
#define NORM_ROWS 4        /* rows that share what is read of the table when it does not fit registers */

enum { NORM_MEAN, NORM_SCALE, NORM_SHIFT, NORM_ALONG, NORM_OFFSET };
enum { NORM_LINEAR, NORM_RELU, NORM_RELU_OUTPUT }; /* how the ReLU's mask is found: none, from x, from y */

ALWAYS_INLINE vr norm_load(const int masked, const real *p, int64_t n) { return masked ? v_load_n(p, n) : v_load(p); }

ALWAYS_INLINE void norm_store(const int masked, real *p, vr a, int64_t n)
{
    if (masked)
        v_store_n(p, a, n);
    else
        v_store(p, a);
}

ALWAYS_INLINE void norm_result(const bool stream, const int masked, real *to, vr a, int64_t n)
{
    if (stream && !masked)
        v_stream(to, a);
    else
        norm_store(masked, to, a, n);
}

/* One row of the table, for `vectors` vectors of columns. */
#define NORM_TABLE(name, row)         \
    vr name[NORM_VECTORS];            \
    for (int v = 0; v < vectors; v++) \
    name[v] = norm_load(masked, table + (row) * period + v * VL, n)

/* Calls columns(vectors, masked, n, first column) for all `width` columns. */
#define NORM_COLUMNS(width, columns)                                   \
    do {                                                               \
        int64_t j = 0;                                                 \
        for (; j + NORM_VECTORS * VL <= width; j += NORM_VECTORS * VL) \
            columns(NORM_VECTORS, 0, VL, j);                           \
        for (; j + VL <= width; j += VL)                               \
            columns(1, 0, VL, j);                                      \
        if (j < width)                                                 \
            columns(1, 1, width - j, j);                               \
    } while (0)

/* ---- moments --------------------------------------------------------------------------------------------------- */

/* Adds a block's rows to each column's sum and sum of squares of (x - pivot), in float64; the pivot is the mean of
 * the first block. Within the block the same sums are taken about the block's own mean, after a first pass that
 * found it: nothing cancels, whatever the mean. */
ALWAYS_INLINE void norm_moments_columns(const int vectors, const int masked, int64_t n, int64_t rows, int64_t period,
                                        const real *x, int begin, double *pivot, double *sum, double *square)
{
    vr mean[NORM_VECTORS], total[NORM_VECTORS], squares[NORM_VECTORS];
    vr inverse = v_splat((real)1 / (real)rows);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        total[v] = v_zero();
    for (int64_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            total[v] += norm_load(masked, x + i * period + v * VL, n);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        mean[v] = total[v] * inverse;
        total[v] = squares[v] = v_zero();
    }
    for (int64_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            vr d = norm_load(masked, x + i * period + v * VL, n) - mean[v];
            total[v] += d;
            squares[v] = v_fma(d, d, squares[v]);
        }

    real m[NORM_VECTORS * VL], t[NORM_VECTORS * VL], s[NORM_VECTORS * VL];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        v_store(m + v * VL, mean[v]);
        v_store(t + v * VL, total[v]);
        v_store(s + v * VL, squares[v]);
    }
    int lanes = masked ? (int)n : vectors * VL;
    if (begin) {
        for (int i = 0; i < lanes; i++) {
            pivot[i] = (double)m[i];
            sum[i] = (double)t[i];
            square[i] = (double)s[i];
        }
    } else {
        for (int i = 0; i < lanes; i++) {
            double d = (double)m[i] - pivot[i], shifted = (double)rows * d;
            sum[i] += (double)t[i] + shifted;
            square[i] += (double)s[i] + d * (2 * (double)t[i] + shifted);
        }
    }
}

/* Rows of a block. */
ALWAYS_INLINE int64_t norm_block_rows(int64_t period)
{
    int64_t rows = NORM_BLOCK / period;
    return rows > NORM_BLOCK_ROWS ? rows : NORM_BLOCK_ROWS;
}

/* moments: pivot, sum and sum of squares of (x - pivot), each of `period`. */
static void KERNEL(norm_moments)(const fnn_norm_span *span, const real *x, double *moments)
{
    int64_t period = span->period, step = norm_block_rows(period);
    double *pivot = moments, *sum = moments + period, *square = moments + 2 * period;
    for (int64_t i = 0; i < span->rows; i += step) {
        int64_t rows = span->rows - i < step ? span->rows - i : step, at = i * period;
#define COLUMNS(vectors, masked, n, j) \
    norm_moments_columns(vectors, masked, n, rows, period, x + at + j, i == 0, pivot + j, sum + j, square + j)
        NORM_COLUMNS(period, COLUMNS);
#undef COLUMNS
    }
    int64_t at = span->rows * period;
#define COLUMNS(vectors, masked, n, j) \
    norm_moments_columns(vectors, masked, n, 1, period, x + at + j, at == 0, pivot + j, sum + j, square + j)
    NORM_COLUMNS(span->tail, COLUMNS);
#undef COLUMNS
}

/* ---- y = [relu](scale (x - mean) + shift [+ residual]) ----------------------------------------------------------- */

ALWAYS_INLINE void norm_apply_columns(const int vectors, const int masked, int64_t n, const int add, const int relu,
                                      int64_t rows, int64_t period, const real *table, const real *x,
                                      const real *residual, real *y)
{
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
    for (int64_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int64_t at = i * period + v * VL;
            vr z = v_fma(norm_load(masked, x + at, n) - mean[v], scale[v], shift[v]);
            if (add)
                z += norm_load(masked, residual + at, n);
            if (relu)
                z = v_max(v_zero(), z); /* a NaN stays */
            norm_store(masked, y + at, z, n);
        }
}

ALWAYS_INLINE void norm_apply_span(const fnn_norm_span *span, const int add, const int relu, const real *table,
                                   const real *x, const real *residual, real *y)
{
    int64_t period = span->period, step = period == NORM_VECTORS * VL ? span->rows : NORM_ROWS;
    for (int64_t i = 0; i < span->rows; i += step) {
        int64_t rows = span->rows - i < step ? span->rows - i : step, at = i * period;
#define COLUMNS(vectors, masked, n, j)                                                                        \
    norm_apply_columns(vectors, masked, n, add, relu, rows, period, table + j, x + at + j, residual + at + j, \
                       y + at + j)
        NORM_COLUMNS(period, COLUMNS);
#undef COLUMNS
    }
    int64_t at = span->rows * period;
#define COLUMNS(vectors, masked, n, j) \
    norm_apply_columns(vectors, masked, n, add, relu, 1, period, table + j, x + at + j, residual + at + j, y + at + j)
    NORM_COLUMNS(span->tail, COLUMNS);
#undef COLUMNS
}

static void KERNEL(norm_apply)(const fnn_norm_span *span, const real *table, const real *x, const real *residual,
                               int relu, real *y)
{
    if (residual && relu)
        norm_apply_span(span, 1, 1, table, x, residual, y);
    else if (residual)
        norm_apply_span(span, 1, 0, table, x, residual, y);
    else if (relu)
        norm_apply_span(span, 0, 1, table, x, x, y);
    else
        norm_apply_span(span, 0, 0, table, x, x, y);
}

/* ---- backward, first pass: sums of dz and dz (x - mean) ------------------------------------------------------------
 */

/* dz: what the ReLU lets through of dy. The mask is that of the forward pass, from the same operations; where the
 * output was NaN the gradient passes. */
ALWAYS_INLINE vr norm_through_relu(const int relu, vr dy, vr d, vr scale, vr shift, vr y)
{
    if (relu == NORM_LINEAR)
        return dy;
    if (relu == NORM_RELU)
        y = v_fma(d, scale, shift);
    return v_and(~(y <= v_zero()), dy);
}

ALWAYS_INLINE void norm_sums_columns(const int vectors, const int masked, int64_t n, const int relu, int64_t rows,
                                     int64_t period, const real *table, const real *dy, const real *x, const real *y,
                                     real *dz, double *sum, double *product)
{
    vr total[NORM_VECTORS], products[NORM_VECTORS];
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        total[v] = products[v] = v_zero();
    for (int64_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int64_t at = i * period + v * VL;
            vr d = norm_load(masked, x + at, n) - mean[v];
            vr out = relu == NORM_RELU_OUTPUT ? norm_load(masked, y + at, n) : v_zero();
            vr g = norm_through_relu(relu, norm_load(masked, dy + at, n), d, scale[v], shift[v], out);
            if (relu == NORM_RELU_OUTPUT)
                norm_store(masked, dz + at, g, n);
            total[v] += g;
            products[v] = v_fma(g, d, products[v]);
        }
    real t[NORM_VECTORS * VL], p[NORM_VECTORS * VL];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        v_store(t + v * VL, total[v]);
        v_store(p + v * VL, products[v]);
    }
    int lanes = masked ? (int)n : vectors * VL;
    for (int i = 0; i < lanes; i++) {
        sum[i] += (double)t[i];
        product[i] += (double)p[i];
    }
}

ALWAYS_INLINE void norm_sums_span(const fnn_norm_span *span, const int relu, const real *table, const real *dy,
                                  const real *x, const real *y, real *dz, double *sums)
{
    int64_t period = span->period, step = norm_block_rows(period);
    for (int64_t i = 0; i < span->rows; i += step) {
        int64_t rows = span->rows - i < step ? span->rows - i : step, at = i * period;
#define COLUMNS(vectors, masked, n, j)                                                                        \
    norm_sums_columns(vectors, masked, n, relu, rows, period, table + j, dy + at + j, x + at + j, y + at + j, \
                      relu == NORM_RELU_OUTPUT ? dz + at + j : NULL, sums + j, sums + period + j)
        NORM_COLUMNS(period, COLUMNS);
#undef COLUMNS
    }
    int64_t at = span->rows * period;
#define COLUMNS(vectors, masked, n, j)                                                                     \
    norm_sums_columns(vectors, masked, n, relu, 1, period, table + j, dy + at + j, x + at + j, y + at + j, \
                      relu == NORM_RELU_OUTPUT ? dz + at + j : NULL, sums + j, sums + period + j)
    NORM_COLUMNS(span->tail, COLUMNS);
#undef COLUMNS
}

/* Adds to sums, of dz and of dz (x - mean), each of `period`. With `y` (the output, where a residual was added before
 * the ReLU) dz is stored too. */
static void KERNEL(norm_sums)(const fnn_norm_span *span, const real *table, int relu, const real *dy, const real *x,
                              const real *y, real *dz, double *sums)
{
    if (relu && y)
        norm_sums_span(span, NORM_RELU_OUTPUT, table, dy, x, y, dz, sums);
    else if (relu)
        norm_sums_span(span, NORM_RELU, table, dy, x, x, NULL, sums);
    else
        norm_sums_span(span, NORM_LINEAR, table, dy, x, x, NULL, sums);
}

/* ---- backward, second pass: dx = scale dz + along (x - mean) + offset ----------------------------------------------
 */

ALWAYS_INLINE void norm_bwd_x_columns(const int vectors, const int masked, int64_t n, const int relu, const bool stream,
                                      int64_t rows, int64_t period, const real *table, const real *dz, const real *x,
                                      real *dx)
{
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
    NORM_TABLE(along, NORM_ALONG);
    NORM_TABLE(offset, NORM_OFFSET);
    for (int64_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            int64_t at = i * period + v * VL;
            vr d = norm_load(masked, x + at, n) - mean[v];
            vr g = norm_through_relu(relu, norm_load(masked, dz + at, n), d, scale[v], shift[v], v_zero());
            norm_result(stream, masked, dx + at, v_fma(g, scale[v], v_fma(d, along[v], offset[v])), n);
        }
}

ALWAYS_INLINE void norm_bwd_x_span(const fnn_norm_span *span, const int relu, const real *table, const real *dz,
                                   const real *x, real *dx)
{
    int64_t period = span->period, step = period == NORM_VECTORS * VL ? span->rows : NORM_ROWS;
    for (int64_t i = 0; i < span->rows; i += step) {
        int64_t rows = span->rows - i < step ? span->rows - i : step, at = i * period;
#define COLUMNS(vectors, masked, n, j)                                                                           \
    norm_bwd_x_columns(vectors, masked, n, relu, span->stream, rows, period, table + j, dz + at + j, x + at + j, \
                       dx + at + j)
        NORM_COLUMNS(period, COLUMNS);
#undef COLUMNS
    }
    int64_t at = span->rows * period;
#define COLUMNS(vectors, masked, n, j) \
    norm_bwd_x_columns(vectors, masked, n, relu, false, 1, period, table + j, dz + at + j, x + at + j, dx + at + j)
    NORM_COLUMNS(span->tail, COLUMNS);
#undef COLUMNS
}

/* relu: take the mask from x; 0 where dz has passed the ReLU already. */
static void KERNEL(norm_bwd_x)(const fnn_norm_span *span, const real *table, int relu, const real *dz, const real *x,
                               real *dx)
{
    if (relu)
        norm_bwd_x_span(span, NORM_RELU, table, dz, x, dx);
    else
        norm_bwd_x_span(span, NORM_LINEAR, table, dz, x, dx);
}

#include "layer_norm.inc.h"
