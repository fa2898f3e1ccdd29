/* epilogue.inc.h - what follows the sums of a convolution or product, while they are still in the cache. */

/* y = y + residual, then max(0, y) with `relu`, for rows of `cols` that lie `step` apart; residual may be NULL. */
static void KERNEL(epilogue)(int64_t rows, int64_t cols, int64_t step, const real *residual, int relu, real *y)
{
    for (int64_t i = 0; i < rows; i++, y += step) {
        const real *added = residual ? residual + i * step : NULL;
        for (int64_t j = 0; j < cols; j += VL) {
            int64_t n = cols - j < VL ? cols - j : VL;
            vr value = n == VL ? v_load(y + j) : v_load_n(y + j, n);
            if (added)
                value = value + (n == VL ? v_load(added + j) : v_load_n(added + j, n));
            if (relu)
                value = v_max(v_zero(), value);
            if (n == VL)
                v_store(y + j, value);
            else
                v_store_n(y + j, value, n);
        }
    }
}

#define MOMENTS_VECTORS 4
#define MOMENTS_ROWS 256 /* summed up by themselves first, which keeps the rounding of long sums small */

ALWAYS_INLINE void moments_columns(const int vectors, int64_t n, int64_t rows, int64_t step, const real *y, bool begin,
                                   int64_t moment_step, real *moments)
{
#define LOAD(p) (n == VL ? v_load(p) : v_load_n(p, n))
    vr pivot[MOMENTS_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        pivot[v] = LOAD(begin ? y + rows / 2 * step + v * VL : moments + v * VL);
    for (int64_t first = 0; first < rows; first += MOMENTS_ROWS) {
        vr sum[MOMENTS_VECTORS], square[MOMENTS_VECTORS];
        int64_t end = first + MOMENTS_ROWS < rows ? first + MOMENTS_ROWS : rows;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[v] = square[v] = v_zero();
        for (int64_t i = first; i < end; i++, y += step)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) {
                vr d = LOAD(y + v * VL) - pivot[v];
                sum[v] += d;
                square[v] = v_fma(d, d, square[v]);
            }
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            real *to = moments + v * VL;
            bool fresh = begin && first == 0;
            v_store_n(to, pivot[v], n);
            v_store_n(to + moment_step, fresh ? sum[v] : LOAD(to + moment_step) + sum[v], n);
            v_store_n(to + 2 * moment_step, fresh ? square[v] : LOAD(to + 2 * moment_step) + square[v], n);
        }
    }
#undef LOAD
}

/* Adds rows of `cols` that lie `step` apart to moments of their columns, moment_step apart: a pivot, the sum of what
 * differs from it, and the sum of its square. At the beginning the pivot is the row in the middle. */
static void KERNEL(moments_rows)(int64_t rows, int64_t cols, int64_t step, const real *y, bool begin,
                                 int64_t moment_step, real *moments)
{
    int64_t j = 0;
    for (; j + MOMENTS_VECTORS * VL <= cols; j += MOMENTS_VECTORS * VL)
        moments_columns(MOMENTS_VECTORS, VL, rows, step, y + j, begin, moment_step, moments + j);
    for (; j < cols; j += VL)
        moments_columns(1, cols - j < VL ? cols - j : VL, rows, step, y + j, begin, moment_step, moments + j);
}
