/* reduce.inc.h - sums: of everything, of squares, along rows, down columns.
 *
 * Within SUM_RUN elements four vectors of partial sums are kept, which bounds the rounding error like pairwise
 * summation does; runs are added in double. The order depends on the number of elements alone. */

#define SUM_RUN 2048

ALWAYS_INLINE double sum_run(const int squares, int64_t n, const real *x)
{
    vr sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) {
            vr a = v_load(x + i + k * VL);
            sum[k] = squares ? v_fma(a, a, sum[k]) : sum[k] + a;
        }
    for (; i < n; i += VL) {
        vr a = v_load_upto(x + i, n - i < VL ? n - i : VL);
        sum[0] = squares ? v_fma(a, a, sum[0]) : sum[0] + a;
    }
    return v_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void KERNEL(sum)(int64_t n, const real *x, double *total)
{
    *total = 0;
    for (int64_t i = 0; i < n; i += SUM_RUN)
        *total += sum_run(0, n - i < SUM_RUN ? n - i : SUM_RUN, x + i);
}

static void KERNEL(sum_squares)(int64_t n, const real *x, double *total)
{
    *total = 0;
    for (int64_t i = 0; i < n; i += SUM_RUN)
        *total += sum_run(1, n - i < SUM_RUN ? n - i : SUM_RUN, x + i);
}

/* y[r] = scale * sum_j x[r, j] */
static void KERNEL(row_sums)(int64_t rows, int64_t columns, const real *x, double scale, real *y)
{
    for (int64_t r = 0; r < rows; r++, x += columns) {
        double total = 0;
        for (int64_t i = 0; i < columns; i += SUM_RUN)
            total += sum_run(0, columns - i < SUM_RUN ? columns - i : SUM_RUN, x + i);
        y[r] = (real)(total * scale);
    }
}

/* sum[j] = sum_r x[r * step + j]: strips of four vectors stay in registers while their rows go by. */
static void KERNEL(column_sums)(int64_t rows, int64_t columns, int64_t step, const real *x, real *sum)
{
    int64_t j = 0;
    for (; j + 4 * VL <= columns; j += 4 * VL) {
        vr s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int64_t r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++)
                s[k] += v_load(x + r * step + j + k * VL);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            v_store(sum + j + k * VL, s[k]);
    }
    for (; j < columns; j += VL) {
        int64_t n = columns - j < VL ? columns - j : VL, r = 0;
        vr even = v_zero(), odd = v_zero();
        for (; r + 2 <= rows; r += 2) {
            even += v_load_upto(x + r * step + j, n);
            odd += v_load_upto(x + (r + 1) * step + j, n);
        }
        if (r < rows)
            even += v_load_upto(x + r * step + j, n);
        v_store_upto(sum + j, even + odd, n);
    }
}
