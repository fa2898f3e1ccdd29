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
#define WINO_GRAD_STEP (FNN_WINO_GRAD_TILES + 1)

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

ALWAYS_INLINE void wino_input_half(const int half, const int step, const vr_unaligned *d, int64_t row, int64_t pixel,
                                   real *v)
{
    vr t[3 * 6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) {
        vr column[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++)
            column[i] = *(const vr_unaligned *)((const real *)d + i * row + j * pixel);
        wino_bt(half, column, 1, t + j, 6);
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        vr o[6];
        wino_bt(0, t + 6 * i, 1, o, 1);
        wino_bt(1, t + 6 * i, 1, o + 3, 1);
#pragma GCC unroll 6
        for (int j = 0; j < 6; j++)
            v_store(v + ((half * 3 + i) * 6 + j) * step * VL, o[j]);
    }
}

ALWAYS_INLINE void wino_input_tile(const int step, const real *image, int64_t h, int64_t w, int64_t c, int64_t y,
                                   int64_t x, int64_t channels, real *v)
{
    bool inside = y >= 0 && x >= 0 && y + 6 <= h && x + 6 <= w;
    for (int64_t c0 = 0; c0 < channels; c0 += VL, v += 36 * step * VL) {
        if (inside && c0 + VL <= channels) {
            const vr_unaligned *d = (const vr_unaligned *)(image + (y * w + x) * c + c0);
            wino_input_half(0, step, d, w * c, c, v);
            wino_input_half(1, step, d, w * c, c, v);
        } else {
            vr patch[36];
            wino_patch(6, image + c0, h, w, c, y, x, channels - c0 < VL ? channels - c0 : VL, patch);
            wino_input_half(0, step, (const vr_unaligned *)patch, 6 * VL, VL, v);
            wino_input_half(1, step, (const vr_unaligned *)patch, 6 * VL, VL, v);
        }
    }
}

/* v[block][xi][.][lane] = (B^T d B)[xi] of the 6x6 patch at (y, x) of an image (h, w, c), for the first `channels` in
 * blocks of VL; v points at the tile's place in the first block. */
static void KERNEL(wino_input)(const real *image, int64_t h, int64_t w, int64_t c, int64_t y, int64_t x,
                               int64_t channels, real *v)
{
    wino_input_tile(WINO_STEP, image, h, w, c, y, x, channels, v);
}

/* The same for the weight gradient, whose blocks of tiles are longer. */
static void KERNEL(wino_input_grad)(const real *image, int64_t h, int64_t w, int64_t c, int64_t y, int64_t x,
                                    int64_t channels, real *v)
{
    wino_input_tile(WINO_GRAD_STEP, image, h, w, c, y, x, channels, v);
}

/* Four outputs of a row of a tile, `step` apart, of n channels: sum + offset (+ residual), at least `floor`. */
ALWAYS_INLINE void wino_store(const bool added, const vr *o, vr offset, const real *residual, vr floor, int64_t pixels,
                              int64_t n, int64_t step, real *to)
{
    if (pixels == 4 && n == VL) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            vr sum = o[j] + offset;
            v_store(to + j * step, v_max(floor, added ? sum + v_load(residual + j * step) : sum));
        }
    } else {
        for (int j = 0; j < pixels; j++) {
            vr sum = o[j] + offset;
            v_store_n(to + j * step, v_max(floor, added ? sum + v_load_n(residual + j * step, n) : sum), n);
        }
    }
}

/* The 4x4 outputs at (y, x) of an image (h, w, k), `cols` channels from `image` on, from m[xi][.][width]: plus the
 * bias, plus the residual (an image like this one, or NULL), with `relu` at least 0. */
static void KERNEL(wino_output)(const real *m, int64_t width, const real *bias, const real *residual, int relu,
                                int64_t h, int64_t w, int64_t k, int64_t y, int64_t x, int64_t cols, real *image)
{
    const vr floor = v_splat(relu ? 0 : -(real)INFINITY); /* a NaN passes either */
    int64_t rows = h - y < 4 ? h - y : 4, pixels = w - x < 4 ? w - x : 4;
    for (int64_t j0 = 0; j0 < cols; j0 += VL, m += VL) {
        int64_t n = cols - j0 < VL ? cols - j0 : VL;
        vr t[4 * 6], offset = bias ? v_load_n(bias + j0, n) : v_zero();
#pragma GCC unroll 6
        for (int j = 0; j < 6; j++) {
            vr column[6];
#pragma GCC unroll 6
            for (int i = 0; i < 6; i++)
                column[i] = v_load(m + (i * 6 + j) * WINO_STEP * width);
            wino_at(column, 1, t + j, 6);
        }
        int64_t at = (y * w + x) * k + j0;
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++, at += w * k) {
            vr o[4];
            wino_at(t + 6 * i, 1, o, 1);
            if (i < rows && residual)
                wino_store(true, o, offset, residual + at, floor, pixels, n, k, image + at);
            else if (i < rows)
                wino_store(false, o, offset, NULL, floor, pixels, n, k, image + at);
        }
    }
}

/* d[xi][.][width] = (A dY A^T)[xi] of the 4x4 patch at (y, x) of an image (h, w, k), `cols` channels from `image`. */
static void KERNEL(wino_grad)(const real *image, int64_t h, int64_t w, int64_t k, int64_t y, int64_t x, int64_t cols,
                              int64_t width, real *d)
{
    for (int64_t j0 = 0; j0 < width; j0 += VL, d += VL) {
        int64_t n = cols - j0 < 0 ? 0 : cols - j0 < VL ? cols - j0 : VL;
        vr patch[16], t[6 * 4];
        wino_patch(4, image + j0, h, w, k, y, x, n, patch);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            wino_a(patch + j, 4, t + j, 4);
#pragma GCC unroll 6
        for (int i = 0; i < 6; i++) {
            vr o[6];
            wino_a(t + 4 * i, 1, o, 1);
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                v_store(d + (i * 6 + j) * WINO_GRAD_STEP * width, o[j]);
        }
    }
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

/* m[xi][t][0..width) = sum_c v[c][xi][t] u[xi][c][0..width) for t < tiles */
static void KERNEL(wino_products)(int64_t blocks, int64_t tiles, const real *v, const real *u, int64_t width, real *m)
{
    fnn_tile tile = {.k = VL, .runs = blocks, .a_step = VL, .a_run = 36 * WINO_STEP * VL, .b_step = width};
    tile.b_run = VL * width;
    tile.c_step = width;
    int64_t parts = (tiles + GEMM_ROWS - 1) / GEMM_ROWS;
    for (int64_t xi = 0; xi < 36; xi++, v += WINO_STEP * VL, u += blocks * VL * width, m += WINO_STEP * width)
        for (int64_t part = 0; part < parts; part++) {
            int64_t t = tiles * part / parts, rows = tiles * (part + 1) / parts - t;
            KERNEL(gemm_rows)(&tile, v + t * VL, u, NULL, m + t * width, (int)rows, (int)width, 0);
        }
}

/* s[xi][c][0..width) += sum_t v[c][xi][t] d[xi][t][0..width) for t < tiles, c < blocks * VL; element (xi, c, k) of s is
 * s[xi * s_xi + c * s_step + k]. */
static void KERNEL(wino_products_grad)(int64_t blocks, int64_t tiles, const real *v, const real *d, int64_t width,
                                       int64_t s_xi, int64_t s_step, real *s)
{
    enum { HEIGHT = GEMM_ROWS < 8 ? 4 : 8, PART = VL < HEIGHT ? VL : HEIGHT }; /* divides VL, fits the tile */
    fnn_tile tile = {.k = tiles, .runs = 1, .a_step = VL, .b_step = width, .c_step = s_step};
    for (int64_t xi = 0; xi < 36; xi++, d += WINO_GRAD_STEP * width, s += s_xi)
        for (int64_t c = 0; c < blocks * VL; c += PART)
            KERNEL(gemm_cols)(&tile, v + (c / VL * 36 + xi) * WINO_GRAD_STEP * VL + c % VL, d, NULL, s + c * s_step,
                              PART, (int)width, 1);
}
