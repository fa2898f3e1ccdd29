/* norm_pool.inc.h - batch norm, ReLU and maximum pooling in one pass each way, for windows that do not overlap.
 *
 *   z = scale (x - mean) + shift        y = max(0, z of the window's taps)        table as in norm.inc.h, of c columns
 *   dx = scale dz + along (x - mean) + offset, dz = dy at the tap that the maximum came from, else 0
 *
 * Neither z nor the position of the maximum is stored: both are found again from x. The maximum is the first of
 * equals; where there is a NaN it is the last NaN, whose gradient passes, as in the separate operations. */

#define NORM_POOL_VECTORS 2

/* Calls columns(vectors, masked, n, first column) for all c columns. */
#define NORM_POOL_COLUMNS(c, columns)                                        \
    do {                                                                     \
        int64_t j = 0;                                                       \
        for (; j + NORM_POOL_VECTORS * VL <= c; j += NORM_POOL_VECTORS * VL) \
            columns(NORM_POOL_VECTORS, 0, VL, j);                            \
        for (; j + VL <= c; j += VL)                                         \
            columns(1, 0, VL, j);                                            \
        if (j < c)                                                           \
            columns(1, 1, c - j, j);                                         \
    } while (0)

/* The specialisations: 2 x 2 windows, and any others. */
#define NORM_POOL_BY_WINDOW(s, function, ...)              \
    do {                                                   \
        if (s->height == 2 && s->width == 2)               \
            function(2, 2, s, __VA_ARGS__);                \
        else                                               \
            function(s->height, s->width, s, __VA_ARGS__); \
    } while (0)

/* Runs `body` for every tap of a window in order, `at` being its offset and `tap` its number from 1. */
#define NORM_POOL_TAPS(s, height, width, body)                      \
    _Pragma("GCC unroll 2") for (int64_t h = 0; h < height; h++)    \
        _Pragma("GCC unroll 2") for (int64_t w = 0; w < width; w++) \
    {                                                               \
        const int64_t at = (h * s->w + w) * s->c;                   \
        const real_int tap = (real_int)(h * width + w + 1);         \
        body                                                        \
    }

ALWAYS_INLINE void norm_pool_fwd_columns(const int vectors, const int masked, int64_t n, const int64_t height,
                                         const int64_t width, const fnn_norm_windows *s, const real *table,
                                         const real *x, real *y)
{
    const int64_t period = s->c;
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
    for (int64_t i = 0; i < s->rows; i++, x += height * s->w * s->c)
        for (int64_t o = 0; o < s->windows; o++, y += s->c) {
            const real *window = x + o * width * s->c;
            vr best[NORM_POOL_VECTORS];
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                best[v] = v_zero();
            NORM_POOL_TAPS(s, height, width, {
                (void)tap;
                _Pragma("GCC unroll 2") for (int v = 0; v < vectors; v++)
                {
                    vr d = norm_load(masked, window + at + v * VL, n) - mean[v];
                    best[v] = pool_larger(best[v], v_fma(d, scale[v], shift[v]));
                }
            })
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                norm_store(masked, y + v * VL, best[v], n);
        }
}

ALWAYS_INLINE void norm_pool_fwd_rows(const int64_t height, const int64_t width, const fnn_norm_windows *s,
                                      const real *table, const real *x, real *y)
{
#define COLUMNS(vectors, masked, n, j) \
    norm_pool_fwd_columns(vectors, masked, n, height, width, s, table + j, x + j, y + j)
    NORM_POOL_COLUMNS(s->c, COLUMNS);
#undef COLUMNS
}

static void KERNEL(norm_pool_fwd)(const fnn_norm_windows *s, const real *table, const real *x, real *y)
{
    NORM_POOL_BY_WINDOW(s, norm_pool_fwd_rows, table, x, y);
}

/* The number of the tap that each lane's maximum came from; 0 where none was positive. */
ALWAYS_INLINE vi norm_pool_tap(const int masked, int64_t n, const int64_t height, const int64_t width,
                               const fnn_norm_windows *s, vr mean, vr scale, vr shift, const real *window)
{
    vr best = v_zero();
    vi where = {0};
    NORM_POOL_TAPS(s, height, width, {
        vr z = v_fma(norm_load(masked, window + at, n) - mean, scale, shift);
        vi better = (z > best) | (z != z);
        best = v_select(better, z, best);
        where = (better & ((vi){0} + tap)) | (~better & where);
    })
    return where;
}

ALWAYS_INLINE void norm_pool_sums_columns(const int vectors, const int masked, int64_t n, const int64_t height,
                                          const int64_t width, const fnn_norm_windows *s, const real *table,
                                          const real *dy, const real *x, double *sum, double *product)
{
    const int64_t period = s->c;
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
    vr total[NORM_POOL_VECTORS], products[NORM_POOL_VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
        total[v] = products[v] = v_zero();
    for (int64_t i = 0; i < s->rows; i++, x += height * s->w * s->c)
        for (int64_t o = 0; o < s->windows; o++, dy += s->c) {
            const real *window = x + o * width * s->c;
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                vi where = norm_pool_tap(masked, n, height, width, s, mean[v], scale[v], shift[v], window + v * VL);
                vr g = norm_load(masked, dy + v * VL, n), d = v_zero();
                NORM_POOL_TAPS(s, height, width,
                               { d = v_select(where == tap, norm_load(masked, window + at + v * VL, n) - mean[v], d); })
                g = v_and(where != 0, g);
                total[v] += g;
                products[v] = v_fma(g, d, products[v]);
            }
        }
    real t[NORM_POOL_VECTORS * VL], p[NORM_POOL_VECTORS * VL];
#pragma GCC unroll 2
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

ALWAYS_INLINE void norm_pool_sums_rows(const int64_t height, const int64_t width, const fnn_norm_windows *s,
                                       const real *table, const real *dy, const real *x, double *sums)
{
#define COLUMNS(vectors, masked, n, j) \
    norm_pool_sums_columns(vectors, masked, n, height, width, s, table + j, dy + j, x + j, sums + j, sums + s->c + j)
    NORM_POOL_COLUMNS(s->c, COLUMNS);
#undef COLUMNS
}

/* Adds the sums of dz and of dz (x - mean), each of c, to `sums`. */
static void KERNEL(norm_pool_sums)(const fnn_norm_windows *s, const real *table, const real *dy, const real *x,
                                   double *sums)
{
    NORM_POOL_BY_WINDOW(s, norm_pool_sums_rows, table, dy, x, sums);
}

ALWAYS_INLINE void norm_pool_bwd_x_columns(const int vectors, const int masked, int64_t n, const int64_t height,
                                           const int64_t width, const fnn_norm_windows *s, const real *table,
                                           const real *dy, const real *x, real *dx)
{
    const int64_t period = s->c;
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
    NORM_TABLE(along, NORM_ALONG);
    NORM_TABLE(offset, NORM_OFFSET);
    for (int64_t i = 0; i < s->rows; i++, x += height * s->w * s->c, dx += height * s->w * s->c)
        for (int64_t o = 0; o < s->windows; o++, dy += s->c) {
            const real *window = x + o * width * s->c;
            real *to = dx + o * width * s->c;
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                vi where = norm_pool_tap(masked, n, height, width, s, mean[v], scale[v], shift[v], window + v * VL);
                vr g = norm_load(masked, dy + v * VL, n);
                NORM_POOL_TAPS(s, height, width, {
                    vr d = norm_load(masked, window + at + v * VL, n) - mean[v];
                    vr rest = v_fma(d, along[v], offset[v]);
                    norm_store(masked, to + at + v * VL, v_fma(v_and(where == tap, g), scale[v], rest), n);
                })
            }
        }
}

ALWAYS_INLINE void norm_pool_bwd_x_rows(const int64_t height, const int64_t width, const fnn_norm_windows *s,
                                        const real *table, const real *dy, const real *x, real *dx)
{
#define COLUMNS(vectors, masked, n, j) \
    norm_pool_bwd_x_columns(vectors, masked, n, height, width, s, table + j, dy + j, x + j, dx + j)
    NORM_POOL_COLUMNS(s->c, COLUMNS);
#undef COLUMNS
}

static void KERNEL(norm_pool_bwd_x)(const fnn_norm_windows *s, const real *table, const real *dy, const real *x,
                                    real *dx)
{
    NORM_POOL_BY_WINDOW(s, norm_pool_bwd_x_rows, table, dy, x, dx);
}

/* dx = along (x - mean) + offset: pixels that no window covers. */
static void KERNEL(norm_pool_rest)(int64_t pixels, int64_t c, const real *table, const real *x, real *dx)
{
    for (int64_t i = 0; i < pixels; i++, x += c, dx += c)
        for (int64_t j = 0; j < c; j += VL) {
            int64_t n = c - j < VL ? c - j : VL;
            vr mean = v_load_n(table + NORM_MEAN * c + j, n), along = v_load_n(table + NORM_ALONG * c + j, n);
            vr d = v_load_n(x + j, n) - mean;
            v_store_n(dx + j, v_fma(d, along, v_load_n(table + NORM_OFFSET * c + j, n)), n);
        }
}
