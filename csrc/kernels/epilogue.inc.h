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
