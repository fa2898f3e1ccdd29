/* softmax.inc.h - softmax and log-softmax of the rows of a matrix, and of the columns where the classes do not lie side
 * by side in memory.
 *
 * The maximum is taken off first. A row that holds NaN or inf comes out as NaN. */

ALWAYS_INLINE real row_max(int64_t n, const real *x)
{
    vr top = v_splat(-(real)INFINITY);
    for (int64_t i = 0; i < n; i += VL)
        top = v_max(top, v_load_or(x + i, n - i, top));
    return v_max_lane(top);
}

/* x, y (rows, classes): y = exp(x - max) / sum, or its logarithm (x - max) - log(sum) */
ALWAYS_INLINE void softmax_rows(const int log, int64_t rows, int64_t classes, const real *x, real *y)
{
    for (int64_t r = 0; r < rows; r++, x += classes, y += classes) {
        vr top = v_splat(row_max(classes, x)), sum = v_zero();
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            vr e = v_exp(v_load_or(x + i, n, v_splat(-(real)INFINITY)) - top);
            sum += e;
            if (!log)
                v_store_upto(y + i, e, n);
        }
        vr total = v_splat(v_sum(sum)), last = log ? v_log(total) : 1 / total;
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            v_store_upto(y + i, log ? (v_load_upto(x + i, n) - top) - last : v_load_upto(y + i, n) * last, n);
        }
    }
}

static void KERNEL(softmax_fwd)(int64_t rows, int64_t classes, const real *x, real *y)
{
    softmax_rows(0, rows, classes, x, y);
}

static void KERNEL(log_softmax_fwd)(int64_t rows, int64_t classes, const real *x, real *y)
{
    softmax_rows(1, rows, classes, x, y);
}

/* softmax: dx = y (dy - sum dy y); log-softmax: dx = dy - exp(y) sum dy */
ALWAYS_INLINE void softmax_rows_backward(const int log, int64_t rows, int64_t classes, const real *dy, const real *y,
                                         real *dx)
{
    for (int64_t r = 0; r < rows; r++, dy += classes, y += classes, dx += classes) {
        vr sum = v_zero();
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            vr g = v_load_upto(dy + i, n);
            sum = log ? sum + g : v_fma(g, v_load_upto(y + i, n), sum);
        }
        vr total = v_splat(v_sum(sum));
        for (int64_t i = 0; i < classes; i += VL) {
            int64_t n = classes - i < VL ? classes - i : VL;
            vr g = v_load_upto(dy + i, n), out = v_load_upto(y + i, n);
            v_store_upto(dx + i, log ? g - v_exp(out) * total : out * (g - total), n);
        }
    }
}

static void KERNEL(softmax_bwd)(int64_t rows, int64_t classes, const real *dy, const real *y, real *dx)
{
    softmax_rows_backward(0, rows, classes, dy, y, dx);
}

static void KERNEL(log_softmax_bwd)(int64_t rows, int64_t classes, const real *dy, const real *y, real *dx)
{
    softmax_rows_backward(1, rows, classes, dy, y, dx);
}

/* The same along columns: element (c, j) of x and y at c * step + j, j < width. */
ALWAYS_INLINE void softmax_columns(const int log, int64_t classes, int64_t step, int64_t width, const real *x, real *y)
{
    for (int64_t j = 0; j < width; j += VL, x += VL, y += VL) {
        int64_t n = width - j < VL ? width - j : VL;
        vr top = v_load_upto(x, n), sum = v_zero();
        for (int64_t c = 1; c < classes; c++)
            top = v_max(top, v_load_upto(x + c * step, n));
        for (int64_t c = 0; c < classes; c++) {
            vr e = v_exp(v_load_upto(x + c * step, n) - top);
            sum += e;
            if (!log)
                v_store_upto(y + c * step, e, n);
        }
        vr last = log ? v_log(sum) : 1 / sum;
        for (int64_t c = 0; c < classes; c++)
            v_store_upto(y + c * step,
                         log ? (v_load_upto(x + c * step, n) - top) - last : v_load_upto(y + c * step, n) * last, n);
    }
}

static void KERNEL(softmax_columns_fwd)(int64_t classes, int64_t step, int64_t width, const real *x, real *y)
{
    softmax_columns(0, classes, step, width, x, y);
}

static void KERNEL(log_softmax_columns_fwd)(int64_t classes, int64_t step, int64_t width, const real *x, real *y)
{
    softmax_columns(1, classes, step, width, x, y);
}

ALWAYS_INLINE void softmax_columns_backward(const int log, int64_t classes, int64_t step, int64_t width, const real *dy,
                                            const real *y, real *dx)
{
    for (int64_t j = 0; j < width; j += VL, dy += VL, y += VL, dx += VL) {
        int64_t n = width - j < VL ? width - j : VL;
        vr sum = v_zero();
        for (int64_t c = 0; c < classes; c++) {
            vr g = v_load_upto(dy + c * step, n);
            sum = log ? sum + g : v_fma(g, v_load_upto(y + c * step, n), sum);
        }
        for (int64_t c = 0; c < classes; c++) {
            vr g = v_load_upto(dy + c * step, n), out = v_load_upto(y + c * step, n);
            v_store_upto(dx + c * step, log ? g - v_exp(out) * sum : out * (g - sum), n);
        }
    }
}

static void KERNEL(softmax_columns_bwd)(int64_t classes, int64_t step, int64_t width, const real *dy, const real *y,
                                        real *dx)
{
    softmax_columns_backward(0, classes, step, width, dy, y, dx);
}

static void KERNEL(log_softmax_columns_bwd)(int64_t classes, int64_t step, int64_t width, const real *dy, const real *y,
                                            real *dx)
{
    softmax_columns_backward(1, classes, step, width, dy, y, dx);
}
