/* pool.inc.h - pooling one row of windows (fnn_pool_row): x and dx point at the row's first tap row, y and dy at its
 * first window. Channels are innermost, so windows are lane by lane the same and nothing is shuffled.
 *
 * The position of a maximum is not stored but found again: it is the first tap equal to the output. Where the output
 * is NaN it is the last NaN, as in PyTorch. A ReLU may follow the maximum: it is 0 then where no tap is positive. */

#define POOL_VECTORS 4

/* Calls pixel(vectors, masked, n, first channel) for all channels. */
#define POOL_CHANNELS(channels, pixel)                                    \
    do {                                                                  \
        int64_t j = 0;                                                    \
        for (; j + POOL_VECTORS * VL <= channels; j += POOL_VECTORS * VL) \
            pixel(POOL_VECTORS, 0, VL, j);                                \
        for (; j + VL <= channels; j += VL)                               \
            pixel(1, 0, VL, j);                                           \
        if (j < channels)                                                 \
            pixel(1, 1, channels - j, j);                                 \
    } while (0)

/* The sizes of a window: constants (0: as the row says), so that common windows unroll. */
typedef struct {
    int64_t depth, height, width;
} pool_taps;

ALWAYS_INLINE pool_taps pool_taps_of(const fnn_pool_row *row, const int planes, const int height, const int width,
                                     int64_t window)
{
    return (pool_taps){planes ? planes : row->taps[0], height ? height : row->taps[1],
                       width ? width : row->count[window]};
}

ALWAYS_INLINE vr pool_load(const int masked, const real *p, int64_t n) { return masked ? v_load_n(p, n) : v_load(p); }

ALWAYS_INLINE void pool_store(const int masked, real *p, vr a, int64_t n)
{
    if (masked)
        v_store_n(p, a, n);
    else
        v_store(p, a);
}

/* Runs `body` for every tap in order, with `at` its offset from the window's first. */
#define POOL_TAPS(row, taps, body)                                           \
    _Pragma("GCC unroll 2") for (int64_t d = 0; d < taps.depth; d++)         \
        _Pragma("GCC unroll 4") for (int64_t h = 0; h < taps.height; h++)    \
            _Pragma("GCC unroll 4") for (int64_t w = 0; w < taps.width; w++) \
    {                                                                        \
        int64_t at = d * row->step[0] + h * row->step[1] + w * row->step[2]; \
        body                                                                 \
    }

/* The specialisations: 2 x 2 and 3 x 3 windows, and any others. */
#define POOL_BY_WINDOW(row, function, ...)                                    \
    do {                                                                      \
        if (row->taps[0] == 1 && row->taps[1] == 2 && row->uniform == 2)      \
            function(1, 2, 2, row, __VA_ARGS__);                              \
        else if (row->taps[0] == 1 && row->taps[1] == 3 && row->uniform == 3) \
            function(1, 3, 3, row, __VA_ARGS__);                              \
        else                                                                  \
            function(0, 0, 0, row, __VA_ARGS__);                              \
    } while (0)

/* ---- maximum ------------------------------------------------------------------------------------------------------
 */

/* The larger one, the first of equals, and NaN if either is. */
ALWAYS_INLINE vr pool_larger(vr best, vr a) { return v_select(a != a, a, v_max(a, best)); }

ALWAYS_INLINE void pool_max_pixel(const int vectors, const int masked, int64_t n, const int constant,
                                  const fnn_pool_row *row, const pool_taps taps, const real *x, real *y)
{
    vr best[POOL_VECTORS], floor = v_splat(row->relu ? 0 : -(real)INFINITY); /* a NaN passes either */
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        best[v] = constant ? pool_load(masked, x + v * VL, n) : v_splat(-(real)INFINITY);
    POOL_TAPS(row, taps, {
        if (constant && d + h + w == 0)
            continue;
        _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) best[v] =
            pool_larger(best[v], pool_load(masked, x + at + v * VL, n));
    })
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        pool_store(masked, y + v * VL, v_max(floor, best[v]), n);
}

ALWAYS_INLINE void pool_max_windows(const int planes, const int height, const int width, const fnn_pool_row *row,
                                    const real *x, real *y)
{
    for (int64_t o = 0; o < row->windows; o++, y += row->pixel) {
        const pool_taps taps = pool_taps_of(row, planes, height, width, o);
        const real *first = x + row->first[o] * row->pixel;
#define PIXEL(vectors, masked, n, j) pool_max_pixel(vectors, masked, n, width > 0, row, taps, first + j, y + j)
        POOL_CHANNELS(row->channels, PIXEL);
#undef PIXEL
    }
}

static void KERNEL(pool_max_fwd)(const fnn_pool_row *row, const real *x, real *y)
{
    POOL_BY_WINDOW(row, pool_max_windows, x, y);
}

/* The offset of the tap that a window's maximum came from; 0 if there is none. */
ALWAYS_INLINE int64_t pool_max_tap(const fnn_pool_row *row, const pool_taps taps, const real *x, real top,
                                   int64_t tap[3])
{
    int64_t offset = 0;
    tap[0] = tap[1] = tap[2] = 0;
    for (int64_t d = 0; d < taps.depth; d++)
        for (int64_t h = 0; h < taps.height; h++)
            for (int64_t w = 0; w < taps.width; w++) {
                int64_t at = d * row->step[0] + h * row->step[1] + w * row->step[2];
                if (top == top ? x[at] == top : x[at] != x[at]) {
                    offset = at;
                    tap[0] = d;
                    tap[1] = h;
                    tap[2] = w;
                    if (top == top)
                        return offset;
                }
            }
    return offset;
}

/* index: the position in its plane of each maximum; origin that of the row's first tap row, step of one tap. */
static void KERNEL(pool_max_index)(const fnn_pool_row *row, const real *x, const real *y, int64_t origin,
                                   const int64_t *step, int64_t *index)
{
    for (int64_t o = 0; o < row->windows; o++, y += row->pixel, index += row->pixel) {
        const pool_taps taps = pool_taps_of(row, 0, 0, 0, o);
        for (int64_t j = 0; j < row->channels; j++) {
            int64_t tap[3];
            pool_max_tap(row, taps, x + row->first[o] * row->pixel + j, y[j], tap);
            index[j] = origin + row->first[o] + tap[0] * step[0] + tap[1] * step[1] + tap[2] * step[2];
        }
    }
}

/* Adds dy where the output was NaN, which the comparison of the fast path never finds. */
static void pool_max_bwd_nan(const fnn_pool_row *row, const real *dy, const real *x, const real *y, real *dx)
{
    for (int64_t o = 0; o < row->windows; o++, y += row->pixel, dy += row->pixel) {
        const pool_taps taps = pool_taps_of(row, 0, 0, 0, o);
        int64_t first = row->first[o] * row->pixel, tap[3];
        for (int64_t j = 0; j < row->channels; j++)
            if (y[j] != y[j])
                dx[first + j + pool_max_tap(row, taps, x + first + j, y[j], tap)] += dy[j];
    }
}

ALWAYS_INLINE void pool_max_bwd_pixel(const int vectors, const int masked, int64_t n, const int accumulate,
                                      const int stream, const fnn_pool_row *row, const pool_taps taps, const real *dy,
                                      const real *x, const real *y, real *dx, vi *nan)
{
    vr top[POOL_VECTORS], g[POOL_VECTORS]; /* g: 0 in lanes whose maximum has been met */
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        top[v] = pool_load(masked, y + v * VL, n);
        g[v] = pool_load(masked, dy + v * VL, n);
        if (row->relu) /* nothing passes where no tap was positive */
            g[v] = v_and(~(top[v] <= v_zero()), g[v]);
        *nan |= top[v] != top[v];
    }
    POOL_TAPS(row, taps, {
        _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)
        {
            vr a = pool_load(masked, x + at + v * VL, n);
            vr share = v_and(a == top[v], g[v]);
            g[v] = v_and(a != top[v], g[v]);
            if (accumulate)
                share += pool_load(masked, dx + at + v * VL, n);
            if (stream)
                v_stream(dx + at + v * VL, share);
            else
                pool_store(masked, dx + at + v * VL, share, n);
        }
    })
}

/* The same for fewer channels than lanes, accumulating: the taps are only looked at, and each channel then adds to the
 * one that it found. Adding to whole windows would make every load wait for the masked stores of the window before. */
ALWAYS_INLINE void pool_max_bwd_few(int64_t n, const fnn_pool_row *row, const pool_taps taps, const real *dy,
                                    const real *x, const real *y, real *dx, vi *nan)
{
    vr top = v_load_n(y, n);
    vi open = top == top, where = {0};
    *nan |= ~open;
    POOL_TAPS(row, taps, {
        vi hit = (v_load_n(x + at, n) == top) & open;
        where |= hit & ((vi){0} + (real_int)at);
        open &= ~hit;
    })
    real_int offset[VL];
    memcpy(offset, &where, sizeof where);
    for (int64_t j = 0; j < n; j++)
        if (row->relu ? y[j] > 0 : y[j] == y[j])
            dx[j + offset[j]] += dy[j];
}

ALWAYS_INLINE void pool_max_bwd_windows(const int planes, const int height, const int width, const fnn_pool_row *row,
                                        const int accumulate, const int stream, const real *dy, const real *x,
                                        const real *y, real *dx)
{
    vi nan = {0};
    const real *dy_window = dy, *y_window = y;
    /* Offsets must fit a lane. */
    const int few = row->taps[0] * row->step[0] + row->taps[1] * row->step[1] < INT32_MAX / 2;
    for (int64_t o = 0; o < row->windows; o++, y_window += row->pixel, dy_window += row->pixel) {
        const pool_taps taps = pool_taps_of(row, planes, height, width, o);
        int64_t first = row->first[o] * row->pixel;
#define PIXEL(vectors, masked, n, j)                                                                          \
    do {                                                                                                      \
        if (masked && accumulate && few)                                                                      \
            pool_max_bwd_few(n, row, taps, dy_window + j, x + first + j, y_window + j, dx + first + j, &nan); \
        else                                                                                                  \
            pool_max_bwd_pixel(vectors, masked, n, accumulate, stream && !(masked), row, taps, dy_window + j, \
                               x + first + j, y_window + j, dx + first + j, &nan);                            \
    } while (0)
        POOL_CHANNELS(row->channels, PIXEL);
#undef PIXEL
    }
    int any = 0;
    for (int i = 0; i < VL; i++)
        any |= nan[i] != 0;
    if (any)
        pool_max_bwd_nan(row, dy, x, y, dx);
}

/* dx = or, to accumulate, += dy at the maximum of each window, and (= only) 0 at its other taps. */
static void KERNEL(pool_max_bwd)(const fnn_pool_row *row, const real *dy, const real *x, const real *y, real *dx,
                                 int accumulate)
{
    if (accumulate)
        POOL_BY_WINDOW(row, pool_max_bwd_windows, 1, 0, dy, x, y, dx);
    else if (row->stream)
        POOL_BY_WINDOW(row, pool_max_bwd_windows, 0, 1, dy, x, y, dx);
    else
        POOL_BY_WINDOW(row, pool_max_bwd_windows, 0, 0, dy, x, y, dx);
}

/* ---- average ------------------------------------------------------------------------------------------------------
 */

ALWAYS_INLINE vr pool_share(const fnn_pool_row *row, int64_t window)
{
    return v_splat((real)1 / (real)(row->divisor[window] * row->row_divisor));
}

/* Rows of taps are summed by themselves first, which keeps the rounding of large windows small. */
ALWAYS_INLINE void pool_avg_pixel(const int vectors, const int masked, int64_t n, const fnn_pool_row *row,
                                  const pool_taps taps, vr share, const real *x, real *y)
{
    vr total[POOL_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        total[v] = v_zero();
#pragma GCC unroll 2
    for (int64_t d = 0; d < taps.depth; d++)
#pragma GCC unroll 4
        for (int64_t h = 0; h < taps.height; h++) {
            vr line[POOL_VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                line[v] = v_zero();
#pragma GCC unroll 4
            for (int64_t w = 0; w < taps.width; w++)
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) {
                    int64_t at = d * row->step[0] + h * row->step[1] + w * row->step[2];
                    line[v] += pool_load(masked, x + at + v * VL, n);
                }
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                total[v] += line[v];
        }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        pool_store(masked, y + v * VL, total[v] * share, n);
}

ALWAYS_INLINE void pool_avg_windows(const int planes, const int height, const int width, const fnn_pool_row *row,
                                    const real *x, real *y)
{
    for (int64_t o = 0; o < row->windows; o++, y += row->pixel) {
        const pool_taps taps = pool_taps_of(row, planes, height, width, o);
        const real *first = x + row->first[o] * row->pixel;
        vr share = pool_share(row, o);
#define PIXEL(vectors, masked, n, j) pool_avg_pixel(vectors, masked, n, row, taps, share, first + j, y + j)
        POOL_CHANNELS(row->channels, PIXEL);
#undef PIXEL
    }
}

static void KERNEL(pool_avg_fwd)(const fnn_pool_row *row, const real *x, real *y)
{
    POOL_BY_WINDOW(row, pool_avg_windows, x, y);
}

ALWAYS_INLINE void pool_avg_bwd_pixel(const int vectors, const int masked, int64_t n, const int accumulate,
                                      const fnn_pool_row *row, const pool_taps taps, vr share, const real *dy, real *dx)
{
    vr g[POOL_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
        g[v] = pool_load(masked, dy + v * VL, n) * share;
    POOL_TAPS(row, taps, {
        _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++)
        {
            vr sum = accumulate ? pool_load(masked, dx + at + v * VL, n) + g[v] : g[v];
            pool_store(masked, dx + at + v * VL, sum, n);
        }
    })
}

ALWAYS_INLINE void pool_avg_bwd_windows(const int planes, const int height, const int width, const fnn_pool_row *row,
                                        const int accumulate, const real *dy, real *dx)
{
    for (int64_t o = 0; o < row->windows; o++, dy += row->pixel) {
        const pool_taps taps = pool_taps_of(row, planes, height, width, o);
        real *first = dx + row->first[o] * row->pixel;
        vr share = pool_share(row, o);
#define PIXEL(vectors, masked, n, j) \
    pool_avg_bwd_pixel(vectors, masked, n, accumulate, row, taps, share, dy + j, first + j)
        POOL_CHANNELS(row->channels, PIXEL);
#undef PIXEL
    }
}

/* dx = or, to accumulate, += dy / divisor at every tap. */
static void KERNEL(pool_avg_bwd)(const fnn_pool_row *row, const real *dy, real *dx, int accumulate)
{
    if (accumulate)
        POOL_BY_WINDOW(row, pool_avg_bwd_windows, 1, dy, dx);
    else
        POOL_BY_WINDOW(row, pool_avg_bwd_windows, 0, dy, dx);
}
