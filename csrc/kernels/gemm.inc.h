/* gemm.inc.h - the matrix-product micro-kernels.
 *
 *   C[i, j] (+)= sum_p A[i, p] * B[p, j] (+ bias[j])     i < rows <= GEMM_ROWS, j < cols <= GEMM_VECTORS * VL,
 *                                                      or rows <= GEMM_TALL_ROWS, cols <= VL
 *
 * One tile of C stays in registers while a column of A is broadcast against a row of B. A is read where it lies, in
 * one of two forms: rows contiguous in p (a row-major matrix, the pixels of a channels-last image) or columns
 * contiguous in i (its transpose). p walks through runs (see fnn_tile), so that the same tile computes matrix
 * products and, without an im2col copy, convolutions. B's rows are full vectors: a zero-padded panel, or a matrix
 * whose row holds at least that many. */

/* Three rows share a pointer, so that a row-major A of any row stride needs few enough registers:
 * [p], [p + step] and [p + 2 step] are all plain x86 and Arm addresses. */
#define GEMM_SHARE 3
#define GEMM_SUMS (GEMM_ROWS * GEMM_VECTORS) /* accumulators */

/* `far`: C may lie in distant memory, its lines are fetched while the products are formed. `fetch`: so is one line from
 * `next` on with every step of the inner dimension. */
ALWAYS_INLINE void gemm_block(const int rows, const int vectors, const int by_columns, const int far, const fnn_tile *t,
                              const real *a, const real *b, const real *bias, real *c, int cols, int accumulate,
                              const int fetch, const char *next)
{
    vr sum[GEMM_SUMS];
    const int64_t a_step = t->a_step, b_step = t->b_step;
    const bool fetch_c = far && accumulate != FNN_STREAM;
#pragma GCC unroll 32
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            sum[i * vectors + j] = v_zero();
            if (fetch_c)
                __builtin_prefetch(c + i * t->c_step + j * VL, 1);
        }

    for (int64_t run = 0, tap = 0; run < t->runs; run++) {
        const real *ar = a + tap * t->a_tap, *br = b;
        b += t->b_run;
        if (++tap >= t->taps) {
            tap = 0;
            a += t->a_run;
            b += t->b_skip;
        }
        const real *row[(GEMM_SUMS + GEMM_SHARE - 1) / GEMM_SHARE];
#pragma GCC unroll 8
        for (int i = 0; i < (rows + GEMM_SHARE - 1) / GEMM_SHARE; i++)
            row[i] = ar + i * GEMM_SHARE * a_step;

#pragma GCC unroll 2
        for (int64_t p = t->k; p > 0; p--) {
            vr bp[GEMM_VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                bp[j] = v_load(br + j * VL);
#pragma GCC unroll 32
            for (int i = 0; i < rows; i++) {
                vr ap = v_splat(by_columns ? ar[i] : row[i / GEMM_SHARE][(i % GEMM_SHARE) * a_step]);
#pragma GCC unroll 4
                for (int j = 0; j < vectors; j++)
                    sum[i * vectors + j] = v_fma(ap, bp[j], sum[i * vectors + j]);
            }
            if (fetch) {
                __builtin_prefetch(next, 0, 2);
                next += 64;
            }
            br += b_step;
            ar += a_step;
#pragma GCC unroll 8
            for (int i = 0; i < (rows + GEMM_SHARE - 1) / GEMM_SHARE; i++)
                row[i]++;
        }
    }

#pragma GCC unroll 4
    for (int j = 0; j < vectors; j++) {
        int64_t n = cols - j * VL;
        vr offset = !bias ? v_zero() : n >= VL ? v_load(bias + j * VL) : v_load_n(bias + j * VL, n > 0 ? n : 0);
#pragma GCC unroll 32
        for (int i = 0; i < rows; i++) {
            real *to = c + i * t->c_step + j * VL;
            vr y = bias ? sum[i * vectors + j] + offset : sum[i * vectors + j];
            if (accumulate == FNN_STREAM)
                v_stream(to, y);
            else if (n >= VL)
                v_store(to, accumulate ? v_load(to) + y : y);
            else if (n > 0)
                v_store_n(to, accumulate ? v_load_n(to, n) + y : y, n);
        }
    }
}

#define GEMM_CASE(r)                                                                                 \
    case r:                                                                                          \
        if (cols > VL)                                                                               \
            gemm_block(r, GEMM_VECTORS, by_columns, 1, t, a, b, bias, c, cols, accumulate, 0, NULL); \
        else                                                                                         \
            gemm_block(r, 1, by_columns, 1, t, a, b, bias, c, cols, accumulate, 0, NULL);            \
        break;

#define GEMM_TALL_CASE(r)                                                             \
    case r:                                                                           \
        gemm_block(r, 1, by_columns, 1, t, a, b, bias, c, cols, accumulate, 0, NULL); \
        break;

ALWAYS_INLINE void gemm_any_rows(const int by_columns, const fnn_tile *t, const real *a, const real *b,
                                 const real *bias, real *c, int rows, int cols, int accumulate)
{
    switch (rows) {
        GEMM_CASE(1)
        GEMM_CASE(2)
        GEMM_CASE(3)
        GEMM_CASE(4)
        GEMM_CASE(5)
        GEMM_CASE(6)
#if GEMM_ROWS > 6
        GEMM_CASE(7)
        GEMM_CASE(8)
        GEMM_CASE(9)
        GEMM_CASE(10)
        GEMM_CASE(11)
        GEMM_CASE(12)
#endif
#if GEMM_TALL_ROWS > 12 /* one vector wide */
        GEMM_TALL_CASE(13)
        GEMM_TALL_CASE(14)
        GEMM_TALL_CASE(15)
        GEMM_TALL_CASE(16)
#endif
    }
}

/* A[i, p] = a[i * a_step + p] */
static void KERNEL(gemm_rows)(const fnn_tile *t, const real *a, const real *b, const real *bias, real *c, int rows,
                              int cols, int accumulate)
{
    gemm_any_rows(0, t, a, b, bias, c, rows, cols, accumulate);
}

/* A[i, p] = a[i + p * a_step] */
static void KERNEL(gemm_cols)(const fnn_tile *t, const real *a, const real *b, const real *bias, real *c, int rows,
                              int cols, int accumulate)
{
    gemm_any_rows(1, t, a, b, bias, c, rows, cols, accumulate);
}

/* y[j] = sum_p x[p] * b[j * b_step + p] (+ bias[j]), j < n: a product with few rows, for which packing B^T would
 * not pay. */
static void KERNEL(gemm_dot)(int64_t n, int64_t k, const real *x, const real *b, int64_t b_step, const real *bias,
                             real *y)
{
    for (int64_t j = 0; j < n; j++, b += b_step) {
        vr s0 = v_zero(), s1 = v_zero();
        int64_t p = 0;
        for (; p + 2 * VL <= k; p += 2 * VL) {
            s0 = v_fma(v_load(x + p), v_load(b + p), s0);
            s1 = v_fma(v_load(x + p + VL), v_load(b + p + VL), s1);
        }
        for (; p < k; p += VL) {
            int64_t rest = k - p < VL ? k - p : VL;
            s0 = v_fma(v_load_n(x + p, rest), v_load_n(b + p, rest), s0);
        }
        real sum = v_sum(s0 + s1);
        y[j] = bias ? sum + bias[j] : sum;
    }
}

/* panel[p, 0..width) = b[p * b_step + j], zero for j >= cols: B's rows as the tile kernels read them. */
static void KERNEL(gemm_pack)(int64_t k, const real *b, int64_t b_step, int cols, int width, real *panel)
{
    for (int64_t p = 0; p < k; p++, b += b_step, panel += width)
        for (int j = 0; j < width; j += VL) {
            int n = cols - j;
            v_store(panel + j, n >= VL ? v_load(b + j) : n > 0 ? v_load_n(b + j, n) : v_zero());
        }
}

/* One VL x VL block: out[i * out_step + j] = in[j * in_step + i] for i < out_rows, by log2(VL) rounds of interleaving
 * halves; zero where `in` has no row or column. */
ALWAYS_INLINE void transpose_block(const real *in, int64_t in_step, int in_rows, int in_cols, real *out,
                                   int64_t out_step, int out_rows)
{
    vr row[VL], next[VL];
    vi low, high;
    for (int i = 0; i < VL; i++) {
        low[i] = i / 2 + (i % 2) * VL;
        high[i] = i / 2 + (i % 2) * VL + VL / 2;
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        row[i] = i >= in_rows    ? v_zero()
                 : in_cols >= VL ? v_load(in + i * in_step)
                                 : v_load_n(in + i * in_step, in_cols);
#pragma GCC unroll 4
    for (int round = 1; round < VL; round *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < VL / 2; i++) {
            next[2 * i] = __builtin_shuffle(row[i], row[i + VL / 2], low);
            next[2 * i + 1] = __builtin_shuffle(row[i], row[i + VL / 2], high);
        }
#pragma GCC unroll 16
        for (int i = 0; i < VL; i++)
            row[i] = next[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        if (i < out_rows)
            v_store(out + i * out_step, row[i]);
}

/* panel[p, j] = b[j * b_step + p], zero for j >= cols; `panel` has room for k rounded up to whole vectors. */
static void KERNEL(gemm_pack_transposed)(int64_t k, const real *b, int64_t b_step, int cols, int width, real *panel)
{
    for (int j = 0; j < width; j += VL)
        for (int64_t p = 0; p < k; p += VL) {
            int in_rows = cols - j < VL ? (cols - j > 0 ? cols - j : 0) : VL;
            transpose_block(b + j * b_step + p, b_step, in_rows, k - p < VL ? (int)(k - p) : VL, panel + p * width + j,
                            width, VL);
        }
}

/* out[i][j] = in[j * in_step + i] for i, j < VL, zero where `in` has no row j or column i. */
static void KERNEL(transpose_tile)(const real *in, int64_t in_step, int in_rows, int in_cols, real *out)
{
    transpose_block(in, in_step, in_rows < VL ? in_rows : VL, in_cols < VL ? in_cols : VL, out, VL, VL);
}

/* sum[i] += a[i] */
static void KERNEL(add_to)(int64_t n, const real *a, real *sum)
{
    int64_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(sum + i, v_load(sum + i) + v_load(a + i));
    if (i < n)
        v_store_n(sum + i, v_load_n(sum + i, n - i) + v_load_n(a + i, n - i), n - i);
}

/* Rows of n that lie x_step and y_step apart: y = x or, with `add`, y += x. */
static void KERNEL(copy_rows)(int64_t rows, int64_t n, const real *x, int64_t x_step, real *y, int64_t y_step, bool add)
{
    for (int64_t i = 0; i < rows; i++, x += x_step, y += y_step) {
        int64_t j = 0;
        for (; j + VL <= n; j += VL)
            v_store(y + j, add ? v_load(y + j) + v_load(x + j) : v_load(x + j));
        if (j < n)
            v_store_n(y + j, add ? v_load_n(y + j, n - j) + v_load_n(x + j, n - j) : v_load_n(x + j, n - j), n - j);
    }
}
