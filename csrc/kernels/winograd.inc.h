/* winograd.inc.h - the transforms of Winograd's F(4x4, 3x3) with the points 0, +-a, +-b, infinity (a = 2/3, b = 3/2).
 *
 * A 4x4 tile of outputs of a 3x3 correlation needs 36 products instead of 144:
 *   Y = A^T [ (G g G^T) * (B^T d B) ] A        d: 6x6 patch of the input, g: 3x3 filter, *: element by element
 * and the weight gradient is the adjoint, dg = G^T [ sum (B^T d B) * (A dY A^T) ] G. The sums over channels (or
 * tiles) of the element products are 36 matrix products. docs/kernels/winograd.md derives the matrices.
 *
 * Transformed tiles lie as [block][xi][WINO_STEP tiles][lanes]; the odd step keeps the 36 lines of one tile out of the
 * same cache sets. */

#define WINO_A ((real)(2.0 / 3.0))
#define WINO_B ((real)1.5)
#define WINO_A2 (WINO_A * WINO_A)
#define WINO_B2 (WINO_B * WINO_B)
#define WINO_STEP (FNN_WINO_TILES + 1)

/* ---- one-dimensional transforms ---- */

/* Rows of B^T, of which `half` 0 is o[0..2] and 1 is o[3..5]; d is read at a constant step. (ab = 1.) */
ALWAYS_INLINE void wino_bt(const int half, const vr *d, const int step, vr *o, const int o_step)
{
    const vr s = v_splat(WINO_A2 + WINO_B2);
    if (half == 0) {
        vr e = d[4 * step] - v_splat(WINO_B2) * d[2 * step];
        vr q = v_splat(WINO_A) * d[3 * step] - v_splat(WINO_A * WINO_B2) * d[step];
        o[0] = (d[0] + d[4 * step]) - s * d[2 * step];
        o[o_step] = e + q;
        o[2 * o_step] = e - q;
    } else {
        vr e = d[4 * step] - v_splat(WINO_A2) * d[2 * step];
        vr q = v_splat(WINO_B) * d[3 * step] - v_splat(WINO_B * WINO_A2) * d[step];
        o[0] = e + q;
        o[o_step] = e - q;
        o[2 * o_step] = (d[step] + d[5 * step]) - s * d[3 * step];
    }
}

/* y[0..3] = A^T m[0..5] */
ALWAYS_INLINE void wino_at(const vr *m, const int step, vr *y, const int y_step)
{
    vr s1 = m[step] + m[2 * step], t1 = m[step] - m[2 * step];
    vr s2 = m[3 * step] + m[4 * step], t2 = m[3 * step] - m[4 * step];
    y[0] = (m[0] + s1) + s2;
    y[y_step] = v_splat(WINO_A) * t1 + v_splat(WINO_B) * t2;
    y[2 * y_step] = v_splat(WINO_A2) * s1 + v_splat(WINO_B2) * s2;
    y[3 * y_step] = v_splat(WINO_A2 * WINO_A) * t1 + (v_splat(WINO_B2 * WINO_B) * t2 + m[5 * step]);
}

/* o[0..5] = A y[0..3], the adjoint */
ALWAYS_INLINE void wino_a(const vr *y, const int step, vr *o, const int o_step)
{
    vr e1 = y[0] + v_splat(WINO_A2) * y[2 * step],
       q1 = v_splat(WINO_A) * y[step] + v_splat(WINO_A2 * WINO_A) * y[3 * step];
    vr e2 = y[0] + v_splat(WINO_B2) * y[2 * step],
       q2 = v_splat(WINO_B) * y[step] + v_splat(WINO_B2 * WINO_B) * y[3 * step];
    o[0] = y[0];
    o[o_step] = e1 + q1;
    o[2 * o_step] = e1 - q1;
    o[3 * o_step] = e2 + q2;
    o[4 * o_step] = e2 - q2;
    o[5 * o_step] = y[3 * step];
}

#define WINO_G0 ((real)1)                                             /* 1 / f(0),    f(0) = a^2 b^2 = 1 */
#define WINO_GA ((real)(1.0 / (2 * (4.0 / 9) * (4.0 / 9 - 9.0 / 4)))) /* 1 / f(+-a) = 1 / 2a^2(a^2 - b^2) */
#define WINO_GB ((real)(1.0 / (2 * (9.0 / 4) * (9.0 / 4 - 4.0 / 9)))) /* 1 / f(+-b) */

/* o[0..5] = G g[0..2] */
ALWAYS_INLINE void wino_g(const vr *g, const int step, vr *o, const int o_step)
{
    vr ea = v_splat(WINO_GA) * (g[0] + v_splat(WINO_A2) * g[2 * step]), qa = v_splat(WINO_GA * WINO_A) * g[step];
    vr eb = v_splat(WINO_GB) * (g[0] + v_splat(WINO_B2) * g[2 * step]), qb = v_splat(WINO_GB * WINO_B) * g[step];
    o[0] = v_splat(WINO_G0) * g[0];
    o[o_step] = ea + qa;
    o[2 * o_step] = ea - qa;
    o[3 * o_step] = eb + qb;
    o[4 * o_step] = eb - qb;
    o[5 * o_step] = g[2 * step];
}

/* g[0..2] = G^T o[0..5], the adjoint */
ALWAYS_INLINE void wino_gt(const vr *o, const int step, vr *g, const int g_step)
{
    vr sa = v_splat(WINO_GA) * (o[step] + o[2 * step]), ta = v_splat(WINO_GA * WINO_A) * (o[step] - o[2 * step]);
    vr sb = v_splat(WINO_GB) * (o[3 * step] + o[4 * step]),
       tb = v_splat(WINO_GB * WINO_B) * (o[3 * step] - o[4 * step]);
    g[0] = (v_splat(WINO_G0) * o[0] + sa) + sb;
    g[g_step] = ta + tb;
    g[2 * g_step] = (v_splat(WINO_A2) * sa + v_splat(WINO_B2) * sb) + o[5 * step];
}

/* ---- a tile of an image ---- */

/* Runs `body` for every tile of `t`, number i, at (y, x) of its image, which begins at `image`. */
#define WINO_EACH_TILE(t, stack, body)                                                 \
    do {                                                                               \
        int64_t image_ = (t)->n, y = (t)->y, x = (t)->x;                               \
        for (int64_t i = 0; i < (t)->count; i++) {                                     \
            __typeof__(stack) image = (stack) + image_ * (t)->h * (t)->w * (t)->pixel; \
            body;                                                                      \
            if ((x += 4) >= (t)->ow) {                                                 \
                x = 0;                                                                 \
                if ((y += 4) >= (t)->oh) {                                             \
                    y = 0;                                                             \
                    image_++;                                                          \
                }                                                                      \
            }                                                                          \
        }                                                                              \
    } while (0)

/* `size` x `size` pixels from (y, x), which may lie outside, as vectors of n channels; zeros outside. */
ALWAYS_INLINE void wino_patch(const int size, const real *image, int64_t h, int64_t w, int64_t c, int64_t y, int64_t x,
                              int64_t n, vr *patch)
{
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            bool inside = y + i >= 0 && y + i < h && x + j >= 0 && x + j < w;
            patch[i * size + j] = inside ? v_load_n(image + ((y + i) * w + x + j) * c, n) : v_zero();
        }
}

/* Element [i][j] of a 6x6 (or 4x4) patch of pixels is at row[i] + at[j]. */
ALWAYS_INLINE void wino_grid(const int size, const real *corner, int64_t row_step, int64_t pixel_step, const real **row,
                             int64_t *at)
{
#pragma GCC unroll 6
    for (int i = 0; i < size; i++) {
        row[i] = corner + i * row_step;
        at[i] = i * pixel_step;
        OPAQUE(row[i]); /* else every element's address is computed apart, and spilled */
        OPAQUE(at[i]);
    }
}

ALWAYS_INLINE void wino_store(const bool stream, real *to, vr a)
{
    if (stream)
        v_stream(to, a);
    else
        v_store(to, a);
}

ALWAYS_INLINE void wino_input_half(const int half, const bool stream, const int64_t step, const real *const *row,
                                   const int64_t *at, real *v)
{
    vr t[3 * 6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        vr column[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++)
            column[i] = v_load(row[i] + at[j]);
        wino_bt(half, column, 1, t + j, 6);
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vr o[6];
        wino_bt(0, t + 6 * i, 1, o, 1);
        wino_bt(1, t + 6 * i, 1, o + 3, 1);
#pragma GCC unroll 6
        for (int j = 0; j < 6; j++)
            wino_store(stream, v + ((half * 3 + i) * 6 + j) * (step * VL), o[j]);
    }
}

ALWAYS_INLINE void wino_input_tile(const bool stream, const int64_t step, const real *image, int64_t h, int64_t w,
                                   int64_t c, int64_t y, int64_t x, int64_t channels, real *v)
{
    const real *row[6];
    int64_t at[6], c0 = 0;
    if (y >= 0 && x >= 0 && y + 6 <= h && x + 6 <= w) {
        wino_grid(6, image + (y * w + x) * c, w * c, c, row, at);
        for (; c0 + VL <= channels; c0 += VL, v += 36 * step * VL) {
            wino_input_half(0, stream, step, row, at, v);
            wino_input_half(1, stream, step, row, at, v);
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++)
                row[i] += VL;
        }
    }
    for (; c0 < channels; c0 += VL, v += 36 * step * VL) {
        vr patch[36];
        wino_patch(6, image + c0, h, w, c, y, x, channels - c0 < VL ? channels - c0 : VL, patch);
        wino_grid(6, (const real *)patch, 6 * VL, VL, row, at);
        wino_input_half(0, stream, step, row, at, v);
        wino_input_half(1, stream, step, row, at, v);
    }
}

ALWAYS_INLINE void wino_inputs(const bool stream, const int64_t step, const fnn_wino_tiles *t, const real *stack,
                               int64_t channels, real *v)
{
    WINO_EACH_TILE(
        t, stack,
        wino_input_tile(stream, step, image, t->h, t->w, t->pixel, y - t->pad_y, x - t->pad_x, channels, v + i * VL));
}

/* v[block][xi][tile][lane] = (B^T d B)[xi] of the 6x6 patch that each tile sees of a stack of images, for its first
 * `channels` in blocks of VL. */
static void KERNEL(wino_input)(const fnn_wino_tiles *t, const real *stack, int64_t channels, real *v)
{
    wino_inputs(false, WINO_STEP, t, stack, channels, v);
}

/* The same with any step between the products' matrices, past the caches, where v is large. */
static void KERNEL(wino_input_apart)(const fnn_wino_tiles *t, const real *stack, int64_t channels, int64_t step,
                                     real *v)
{
    wino_inputs(true, step, t, stack, channels, v);
}

/* o[0..3] of rows i = 0..3 of A^T m A: the column pass leaves t[4][6], wino_at over its rows is the rest. */
ALWAYS_INLINE void wino_output_columns(const real *m, const int64_t xi_step, vr *t)
{
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        vr column[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++)
            column[i] = v_load(m + (i * 6 + j) * xi_step);
        wino_at(column, 1, t + j, 6);
    }
}

/* A number near the mean of a channel: the output in row i, column j of its first tile; 1, 1 sees no padding. t: the
 * columns of the outputs, as wino_output_columns leaves them. */
ALWAYS_INLINE vr wino_pivot(const vr *t, int64_t i, int64_t j, vr offset)
{
    vr o[4];
    wino_at(t + 6 * i, 1, o, 1);
    return o[j] + offset;
}

/* What an output adds to the moments of its channel: sum, and sum of squares, of what differs from the pivot. */
ALWAYS_INLINE void wino_moments(vr z, vr pivot, vr *sum, vr *square)
{
    vr d = z - pivot;
    *sum += d;
    *square = v_fma(d, d, *square);
}

/* A whole tile of whole vectors: sum + offset (+ a residual, which lies `apart` from the output, as the output does),
 * at least `floor`. */
ALWAYS_INLINE void wino_output_full(const real *m, const int width, const bool stream, vr offset, vr floor,
                                    const bool add, int64_t apart, real *const *row, const int64_t *at,
                                    const bool measure, const bool begin, real *moments, int64_t moment_step)
{
    vr t[4 * 6], pivot = v_zero(), total = v_zero(), square = v_zero();
    wino_output_columns(m, WINO_STEP * width, t);
    if (measure && begin)
        pivot = wino_pivot(t, 1, 1, offset);
    else if (measure) {
        pivot = v_load(moments);
        total = v_load(moments + moment_step);
        square = v_load(moments + 2 * moment_step);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        vr o[4];
        wino_at(t + 6 * i, 1, o, 1);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            o[j] += offset;
        if (add)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                o[j] += v_load(row[i] + apart + at[j]);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            o[j] = v_max(floor, o[j]);
            wino_store(stream, row[i] + at[j], o[j]);
        }
        if (measure)
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++)
                wino_moments(o[j], pivot, &total, &square);
    }
    if (measure) {
        v_store(moments, pivot);
        v_store(moments + moment_step, total);
        v_store(moments + 2 * moment_step, square);
    }
}

ALWAYS_INLINE void wino_output_tile(const int width, const bool stream, const bool measure, const real *m,
                                    const real *bias, const real *residual, int relu, int64_t h, int64_t w, int64_t k,
                                    int64_t y, int64_t x, int64_t cols, const bool begin, real *moments,
                                    int64_t moment_step, real *image)
{
    const vr floor = v_splat(relu ? 0 : -(real)INFINITY); /* a NaN passes either */
    const int64_t apart = residual ? residual - image : 0;
    int64_t rows = h - y < 4 ? h - y : 4, pixels = w - x < 4 ? w - x : 4, at[4], j0 = 0;
    const real *row[4];
    real *to = image + (y * w + x) * k;
    if (rows == 4 && pixels == 4) {
        wino_grid(4, to, w * k, k, row, at);
        for (; j0 + VL <= cols; j0 += VL, m += VL) {
            wino_output_full(m, width, stream, bias ? v_load(bias + j0) : v_zero(), floor, residual, apart,
                             (real *const *)row, at, measure, begin, moments + j0, moment_step);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                row[i] += VL;
        }
    }
    for (; j0 < cols; j0 += VL, m += VL) {
        int64_t n = cols - j0 < VL ? cols - j0 : VL;
        vr t[4 * 6], offset = bias ? v_load_n(bias + j0, n) : v_zero(), pivot, total, square;
        real *moment = moments + j0;
        wino_output_columns(m, WINO_STEP * width, t);
        pivot = !measure ? v_zero() : begin ? wino_pivot(t, rows > 1, pixels > 1, offset) : v_load_n(moment, n);
        total = measure && !begin ? v_load_n(moment + moment_step, n) : v_zero();
        square = measure && !begin ? v_load_n(moment + 2 * moment_step, n) : v_zero();
        for (int i = 0; i < rows; i++) {
            vr o[4];
            wino_at(t + 6 * i, 1, o, 1);
            for (int j = 0; j < pixels; j++) {
                real *pixel = to + (i * w + j) * k + j0;
                vr sum = o[j] + offset;
                sum = v_max(floor, residual ? sum + v_load_n(pixel + apart, n) : sum);
                v_store_n(pixel, sum, n);
                if (measure)
                    wino_moments(sum, pivot, &total, &square);
            }
        }
        if (measure) {
            v_store_n(moment, pivot, n);
            v_store_n(moment + moment_step, total, n);
            v_store_n(moment + 2 * moment_step, square, n);
        }
    }
}

ALWAYS_INLINE void wino_outputs(const int width, const bool stream, const bool measure, const fnn_wino_tiles *t,
                                const real *m, const real *bias, const real *residual, int relu, int64_t cols,
                                real *moments, int64_t moment_step, real *stack)
{
    const int64_t apart = residual ? residual - stack : 0;
    WINO_EACH_TILE(t, stack,
                   wino_output_tile(width, stream, measure, m + i * width, bias, residual ? image + apart : NULL, relu,
                                    t->h, t->w, t->pixel, y, x, cols, i == 0, moments, moment_step, image));
}

/* The 4x4 outputs of each tile of a stack of images, `cols` channels from `stack` on, from m[xi][tile][width]: plus the
 * bias, plus the residual (a stack like this one, itself, or NULL), with `relu` at least 0. width is one vector or the
 * product tile's (constant steps keep all addresses out of registers). `stream`: past the caches, for images whose
 * pixels are whole aligned vectors. Unless `moments` is NULL, pivot, sum and square of all outputs of each channel are
 * left there, moment_step apart. */
static void KERNEL(wino_output)(const fnn_wino_tiles *t, const real *m, int64_t width, const real *bias,
                                const real *residual, int relu, int64_t cols, bool stream, real *moments,
                                int64_t moment_step, real *stack)
{
#define OUTPUTS(width, stream)                                                                                  \
    (moments ? wino_outputs(width, stream, true, t, m, bias, residual, relu, cols, moments, moment_step, stack) \
             : wino_outputs(width, stream, false, t, m, bias, residual, relu, cols, NULL, 0, stack))
    if (width == VL && stream)
        OUTPUTS(VL, true);
    else if (width == VL)
        OUTPUTS(VL, false);
    else if (stream)
        OUTPUTS(GEMM_VECTORS * VL, true);
    else
        OUTPUTS(GEMM_VECTORS * VL, false);
#undef OUTPUTS
}

/* d = A dY A^T, element [i][j] of dY at row[i] + at[j]. */
ALWAYS_INLINE void wino_grad_full(const bool stream, const int64_t step, const real *const *row, const int64_t *at,
                                  real *d)
{
    vr t[6 * 4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        vr column[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            column[i] = v_load(row[i] + at[j]);
        wino_a(column, 1, t + j, 4);
    }
#pragma GCC unroll 6
    for (int i = 0; i < 6; i++) {
        vr o[6];
        wino_a(t + 4 * i, 1, o, 1);
#pragma GCC unroll 6
        for (int j = 0; j < 6; j++)
            wino_store(stream, d + (i * 6 + j) * step, o[j]);
    }
}

ALWAYS_INLINE void wino_grad_tile(const int width, const bool stream, const int64_t step, const real *image, int64_t h,
                                  int64_t w, int64_t k, int64_t y, int64_t x, int64_t cols, real *d)
{
    const real *row[4];
    int64_t at[4], j0 = 0;
    if (y + 4 <= h && x + 4 <= w) {
        wino_grid(4, image + (y * w + x) * k, w * k, k, row, at);
        for (; j0 < width && j0 + VL <= cols; j0 += VL, d += VL) {
            wino_grad_full(stream, step * width, row, at, d);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                row[i] += VL;
        }
    }
    for (; j0 < width; j0 += VL, d += VL) {
        vr patch[16];
        wino_patch(4, image + j0, h, w, k, y, x, cols - j0 < 0 ? 0 : cols - j0 < VL ? cols - j0 : VL, patch);
        wino_grid(4, (const real *)patch, 4 * VL, VL, row, at);
        wino_grad_full(stream, step * width, row, at, d);
    }
}

ALWAYS_INLINE void wino_grads(const int width, const bool stream, const int64_t step, const fnn_wino_tiles *t,
                              const real *stack, int64_t cols, real *d)
{
    WINO_EACH_TILE(t, stack,
                   wino_grad_tile(width, stream, step, image, t->h, t->w, t->pixel, y, x, cols, d + i * width));
}

/* d[xi][tile][width] = (A dY A^T)[xi] of each tile's 4x4 patch of a stack of images, `cols` channels from `stack` on.
 */
static void KERNEL(wino_grad)(const fnn_wino_tiles *t, const real *stack, int64_t cols, int64_t width, real *d)
{
    if (width == VL)
        wino_grads(VL, false, WINO_STEP, t, stack, cols, d);
    else
        wino_grads(GEMM_VECTORS * VL, false, WINO_STEP, t, stack, cols, d);
}

/* The same, `width` the product tile's, with any step between the products' matrices, past the caches. */
static void KERNEL(wino_grad_apart)(const fnn_wino_tiles *t, const real *stack, int64_t cols, int64_t step, real *d)
{
    wino_grads(GEMM_VECTORS * VL, true, step, t, stack, cols, d);
}

/* ---- filters ---- */

/* u[xi * u_step + i] = (G g G^T)[xi], g's taps at g[tap * g_step + i], i < n (a multiple of VL). */
static void KERNEL(wino_filter)(int64_t n, const real *g, int64_t g_step, real *u, int64_t u_step)
{
    for (int64_t at = 0; at < n; at += VL) {
        vr tap[9], t[6 * 3];
        for (int i = 0; i < 9; i++)
            tap[i] = v_load(g + i * g_step + at);
        for (int j = 0; j < 3; j++)
            wino_g(tap + j, 3, t + j, 3);
        for (int i = 0; i < 6; i++) {
            vr o[6];
            wino_g(t + 3 * i, 1, o, 1);
            for (int j = 0; j < 6; j++)
                v_store(u + (i * 6 + j) * u_step + at, o[j]);
        }
    }
}

/* g[tap * g_step + i] = (G^T s G)[tap], s[xi * s_step + i], i < n: the adjoint. */
static void KERNEL(wino_filter_grad)(int64_t n, const real *s, int64_t s_step, real *g, int64_t g_step)
{
    for (int64_t at = 0; at < n; at += VL) {
        int64_t lanes = n - at < VL ? n - at : VL;
        vr t[3 * 6];
        for (int j = 0; j < 6; j++) {
            vr column[6];
            for (int i = 0; i < 6; i++)
                column[i] = v_load_n(s + (i * 6 + j) * s_step + at, lanes);
            wino_gt(column, 1, t + j, 6);
        }
        for (int i = 0; i < 3; i++) {
            vr o[3];
            wino_gt(t + 6 * i, 1, o, 1);
            for (int j = 0; j < 3; j++)
                v_store_n(g + (i * 3 + j) * g_step + at, o[j], lanes);
        }
    }
}

/* ---- the 36 products ---- */

#define WINO_STREAM_CHANNELS 128 /* so many times as many filters do not stay in the second-level cache */

/* The product tile with steps that the compiler knows, so that all of A's elements have constant addresses. With a wide
 * tile part `part` of the filters that follow u is fetched: many filters are a stream from beyond the second-level
 * cache, faster than the hardware foresees. */
ALWAYS_INLINE void wino_product(const int rows, const int vectors, int64_t blocks, const real *v, const real *u,
                                int64_t part, real *m)
{
    const fnn_tile tile = {.k = VL,
                           .runs = blocks,
                           .a_step = VL,
                           .a_run = 36 * WINO_STEP * VL,
                           .b_step = vectors * VL,
                           .b_run = VL * vectors * VL,
                           .c_step = vectors * VL};
    const char *next = (const char *)(u + blocks * tile.b_run) + part * blocks * VL * 64;
    if (vectors > 1 && blocks * VL >= WINO_STREAM_CHANNELS)
        gemm_block(rows, vectors, 0, 0, &tile, v, u, NULL, m, vectors * VL, 0, 1, next);
    else
        gemm_block(rows, vectors, 0, 0, &tile, v, u, NULL, m, vectors * VL, 0, 0, NULL);
}

/* Fetches the next few of the lines that a later stage will read or write: a few before every product tile, since
 * a burst of them would hold up the products' own loads. */
ALWAYS_INLINE void wino_fetch(fnn_ahead *ahead)
{
    for (int span = 0; span < 2; span++, ahead++) {
        int64_t now = ahead->lines < ahead->step ? ahead->lines : ahead->step;
        for (int64_t i = 0; i < now; i++)
            __builtin_prefetch(ahead->line + i * 64, 0, 2);
        ahead->line += now * 64;
        ahead->lines -= now;
    }
}

#define WINO_TALL (GEMM_SUMS < 16 ? 8 : 16) /* tiles in a product one vector wide; divides the blocks of such tiles */

/* m[xi][t][0..width) = sum_c v[c][xi][t] u[xi][c][0..width) for t < tiles; with one block and one vector, m may be v.
 * Two spans of memory are fetched meanwhile.
 */
static void KERNEL(wino_products)(int64_t blocks, int64_t tiles, const real *v, const real *u, int64_t width, real *m,
                                  fnn_ahead *ahead)
{
    fnn_tile tile = {.k = VL, .runs = blocks, .a_step = VL, .a_run = 36 * WINO_STEP * VL, .b_step = width};
    tile.b_run = VL * width;
    tile.c_step = width;
    int64_t parts = (tiles + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int64_t xi = 0; xi < 36; xi++, v += WINO_STEP * VL, u += blocks * VL * width, m += WINO_STEP * width) {
        if (tiles % WINO_TALL == 0 && width == VL)
            for (int64_t t = 0; t < tiles; t += WINO_TALL) {
                wino_fetch(ahead);
                wino_product(WINO_TALL, 1, blocks, v + t * VL, u, 0, m + t * VL);
            }
        else if (tiles % GEMM_ROWS == 0 && width > VL)
            for (int64_t t = 0; t < tiles; t += GEMM_ROWS) {
                wino_fetch(ahead);
                wino_product(GEMM_ROWS, GEMM_VECTORS, blocks, v + t * VL, u, t / GEMM_ROWS, m + t * GEMM_VECTORS * VL);
            }
        else
            for (int64_t part = 0; part < parts; part++) {
                int64_t t = tiles * part / parts, rows = tiles * (part + 1) / parts - t;
                KERNEL(gemm_rows)(&tile, v + t * VL, u, NULL, m + t * width, (int)rows, (int)width, 0);
            }
    }
}

ALWAYS_INLINE void wino_product_grad(const int rows, const int vectors, int64_t tiles, const real *v, const real *d,
                                     int64_t s_step, real *s)
{
    const fnn_tile tile = {.k = tiles, .runs = 1, .a_step = VL, .b_step = vectors * VL, .c_step = s_step};
    gemm_block(rows, vectors, 1, 1, &tile, v, d, NULL, s, vectors * VL, 1, 0, NULL);
}

/* s[xi][c][0..width) += sum_t v[c][xi][t] d[xi][t][0..width) for t < tiles, c < blocks * VL; element (xi, c, k) of s is
 * s[xi * s_xi + c * s_step + k]. Two spans of memory are fetched meanwhile. */
static void KERNEL(wino_products_grad)(int64_t blocks, int64_t tiles, const real *v, const real *d, int64_t width,
                                       int64_t s_xi, int64_t s_step, real *s, fnn_ahead *ahead)
{
    /* Heights that divide a block and fit the registers. */
    enum { LIMIT = GEMM_ROWS < 8 ? 4 : 8, WIDE = VL < LIMIT ? VL : LIMIT, NARROW = VL < GEMM_SUMS ? VL : GEMM_SUMS };
    for (int64_t xi = 0; xi < 36; xi++, d += WINO_STEP * width, s += s_xi)
        for (int64_t block = 0; block < blocks; block++) {
            const real *vb = v + (block * 36 + xi) * WINO_STEP * VL;
            real *sb = s + block * VL * s_step;
            if (width == VL)
                for (int c = 0; c < VL; c += NARROW) {
                    wino_fetch(ahead);
                    wino_product_grad(NARROW, 1, tiles, vb + c, d, s_step, sb + c * s_step);
                }
            else
                for (int c = 0; c < VL; c += WIDE) {
                    wino_fetch(ahead);
                    wino_product_grad(WIDE, GEMM_VECTORS, tiles, vb + c, d, s_step, sb + c * s_step);
                }
        }
}

/* s[c][0..width) (+)= sum_t v[c][t] d[t][0..width) of one product, t < tiles, c < blocks * VL; block i of v lies at
 * v + i * v_step, width is the product tile's. What comes next is fetched: `tiles` rows of d at `next_d`, of two blocks
 * of v at `next_v`; each may be NULL. */
static void KERNEL(wino_products_apart)(int64_t blocks, int64_t tiles, const real *v, int64_t v_step, const real *d,
                                        int64_t s_step, real *s, int accumulate, const real *next_d,
                                        const real *const *next_v)
{
    enum { LIMIT = GEMM_ROWS < 8 ? 4 : 8, HEIGHT = VL < LIMIT ? VL : LIMIT, WIDTH = GEMM_VECTORS * VL };
    const fnn_tile tile = {.k = tiles, .runs = 1, .a_step = VL, .b_step = WIDTH, .c_step = s_step};
    for (int64_t c = 0, call = 0; c < blocks * VL; c += HEIGHT, call++) {
        const real *a = v + c / VL * v_step + c % VL;
        const char *next = NULL;
        if (call < 2 && next_d)
            next = (const char *)next_d + call * tiles * 64;
        else if (call >= 2 && call < 4)
            next = (const char *)next_v[call - 2];
        if (next)
            gemm_block(HEIGHT, GEMM_VECTORS, 1, 1, &tile, a, d, NULL, s + c * s_step, WIDTH, accumulate, 1, next);
        else
            gemm_block(HEIGHT, GEMM_VECTORS, 1, 1, &tile, a, d, NULL, s + c * s_step, WIDTH, accumulate, 0, NULL);
    }
}
