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

/* ---- 2 x 2 windows without NaN ----
 *
 * The maximum is found first, then the gradient goes to the first tap equal to it and is used up: two comparisons a tap
 * and no masks that are kept. `bad` becomes NaN where a number is NaN or infinite; the row is then done again, tap by
 * tap. */

typedef struct {
    vr d[4], z[4], top; /* x - mean and z of the taps, the largest z */
} norm_pool_window;

ALWAYS_INLINE norm_pool_window norm_pool_taps(const int masked, int64_t n, const fnn_norm_windows *s, vr mean, vr scale,
                                              vr shift, const real *window, vr *bad)
{
    norm_pool_window t;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t.d[i] = norm_load(masked, window + (i / 2 * s->w + i % 2) * s->c, n) - mean;
        t.z[i] = v_fma(t.d[i], scale, shift);
    }
    t.top = v_max(v_max(t.z[0], t.z[1]), v_max(t.z[2], t.z[3]));
    *bad = v_fma((t.z[0] + t.z[1]) + (t.z[2] + t.z[3]), v_zero(), *bad);
    return t;
}

/* What of g, the gradient that is left, goes to tap i. */
ALWAYS_INLINE vr norm_pool_share(const norm_pool_window *t, const int i, vr *g)
{
    vr share = v_and(t->z[i] == t->top, *g);
    *g = v_and(t->z[i] != t->top, *g);
    return share;
}

ALWAYS_INLINE int norm_pool_any_nan(const int vectors, const vr *bad)
{
    int any = 0;
    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < VL; i++)
            any |= bad[v][i] != bad[v][i];
    return any;
}

/* One row of windows: false, and nothing done, if there are NaN. */
ALWAYS_INLINE int norm_pool_sums_row(const int vectors, const int masked, int64_t n, const fnn_norm_windows *s,
                                     const vr *mean, const vr *scale, const vr *shift, const real *dy, const real *x,
                                     vr *total, vr *products)
{
    vr bad[NORM_POOL_VECTORS], sums[NORM_POOL_VECTORS], by_d[NORM_POOL_VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        bad[v] = v_zero();
        sums[v] = total[v];
        by_d[v] = products[v];
    }
    for (int64_t o = 0; o < s->windows; o++, dy += s->c)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            norm_pool_window t =
                norm_pool_taps(masked, n, s, mean[v], scale[v], shift[v], x + 2 * o * s->c + v * VL, &bad[v]);
            vr g = v_and(t.top > v_zero(), norm_load(masked, dy + v * VL, n));
            sums[v] += g;
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                by_d[v] = v_fma(norm_pool_share(&t, i, &g), t.d[i], by_d[v]);
        }
    if (norm_pool_any_nan(vectors, bad))
        return 0;
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        total[v] = sums[v];
        products[v] = by_d[v];
    }
    return 1;
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
    for (int64_t i = 0; i < s->rows; i++, x += height * s->w * s->c, dy += s->windows * s->c) {
        if (height == 2 && width == 2 &&
            norm_pool_sums_row(vectors, masked, n, s, mean, scale, shift, dy, x, total, products))
            continue;
        for (int64_t o = 0; o < s->windows; o++) {
            const real *window = x + o * width * s->c;
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                vi where = norm_pool_tap(masked, n, height, width, s, mean[v], scale[v], shift[v], window + v * VL);
                vr g = norm_load(masked, dy + o * s->c + v * VL, n), d = v_zero();
                NORM_POOL_TAPS(s, height, width,
                               { d = v_select(where == tap, norm_load(masked, window + at + v * VL, n) - mean[v], d); })
                g = v_and(where != 0, g);
                total[v] += g;
                products[v] = v_fma(g, d, products[v]);
            }
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

/* One row of windows: false if there are NaN, and what was done is wrong. */
ALWAYS_INLINE int norm_pool_bwd_x_row(const int vectors, const int masked, int64_t n, const fnn_norm_windows *s,
                                      const vr *mean, const vr *scale, const vr *shift, const vr *along,
                                      const vr *offset, const real *dy, const real *x, real *dx)
{
    vr bad[NORM_POOL_VECTORS];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++)
        bad[v] = v_zero();
    for (int64_t o = 0; o < s->windows; o++, dy += s->c)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            int64_t first = 2 * o * s->c + v * VL;
            norm_pool_window t = norm_pool_taps(masked, n, s, mean[v], scale[v], shift[v], x + first, &bad[v]);
            vr g = v_and(t.top > v_zero(), norm_load(masked, dy + v * VL, n));
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                vr rest = v_fma(t.d[i], along[v], offset[v]);
                norm_store(masked, dx + first + (i / 2 * s->w + i % 2) * s->c,
                           v_fma(norm_pool_share(&t, i, &g), scale[v], rest), n);
            }
        }
    return !norm_pool_any_nan(vectors, bad);
}

ALWAYS_INLINE void norm_pool_bwd_x_columns(const int vectors, const int masked, int64_t n, const int64_t height,
                                           const int64_t width, const fnn_norm_windows *s, const real *table,
                                           const real *dy, const real *x, real *dx)
{
    const int64_t period = s->c, step = height * s->w * s->c;
    NORM_TABLE(mean, NORM_MEAN);
    NORM_TABLE(scale, NORM_SCALE);
    NORM_TABLE(shift, NORM_SHIFT);
    NORM_TABLE(along, NORM_ALONG);
    NORM_TABLE(offset, NORM_OFFSET);
    for (int64_t i = 0; i < s->rows; i++, x += step, dx += step, dy += s->windows * s->c) {
        if (height == 2 && width == 2 &&
            norm_pool_bwd_x_row(vectors, masked, n, s, mean, scale, shift, along, offset, dy, x, dx))
            continue;
        for (int64_t o = 0; o < s->windows; o++) {
            const real *window = x + o * width * s->c;
            real *to = dx + o * width * s->c;
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                vi where = norm_pool_tap(masked, n, height, width, s, mean[v], scale[v], shift[v], window + v * VL);
                vr g = norm_load(masked, dy + o * s->c + v * VL, n);
                NORM_POOL_TAPS(s, height, width, {
                    vr d = norm_load(masked, window + at + v * VL, n) - mean[v];
                    vr rest = v_fma(d, along[v], offset[v]);
                    norm_store(masked, to + at + v * VL, v_fma(v_and(where == tap, g), scale[v], rest), n);
                })
            }
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
