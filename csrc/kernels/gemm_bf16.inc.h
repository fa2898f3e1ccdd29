/* gemm_bf16.inc.h - the kernels of bf16.def: packing with rounding, and the matrix product, by pairs of neighbouring
 * p. A unit in isa/ includes it once, after a header of simd/ that has pairs of bfloat16. */
#include "../bf16.h"

#define FNN_JOIN3_(a, b) fnn_bf16_##a##_##b
#define FNN_JOIN3(a, b) FNN_JOIN3_(a, b)
#define KERNEL(name) FNN_JOIN3(name, FNN_BF16_UNIT)

ALWAYS_INLINE void b_store(uint16_t *p, vu a) { v_store((float *)p, (vr)a); }
ALWAYS_INLINE void b_store_n(uint16_t *p, vu a, int64_t pairs) { v_store_n((float *)p, (vr)a, pairs); }

/* The first n lanes, n of any size; the others are zero. */
ALWAYS_INLINE vr b_load_n(const float *p, int64_t n) { return n >= VL ? v_load(p) : n > 0 ? v_load_n(p, n) : v_zero(); }

static void KERNEL(round_rows)(int64_t rows, int64_t k, int64_t depth, const float *x, int64_t x_step, uint16_t *y,
                               int64_t y_step)
{
    for (int64_t i = 0; i < rows; i++, x += x_step, y += y_step) {
        int64_t p = 0;
        for (; p + 2 * VL <= k; p += 2 * VL)
            b_store(y + p, b_round(v_load(x + p), v_load(x + p + VL)));
        for (; p < depth; p += 2 * VL) {
            vu pairs = b_round(b_load_n(x + p, k - p), b_load_n(x + p + VL, k - p - VL));
            b_store_n(y + p, pairs, depth - p < 2 * VL ? (depth - p) / 2 : VL);
        }
    }
}

/* Transposes VL rows of lanes by log2(VL) rounds of interleaving halves. */
ALWAYS_INLINE void b_transpose(vu row[VL])
{
    vu next[VL], low, high;
    for (int i = 0; i < VL; i++) {
        low[i] = (uint32_t)(i / 2 + i % 2 * VL);
        high[i] = low[i] + VL / 2;
    }
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
}

static void KERNEL(turn_rows)(int64_t rows, int64_t k, const float *x, int64_t x_step, uint16_t *y, int64_t y_step)
{
    for (int64_t p = 0; p < k; p += 2 * VL)
        for (int64_t i = 0; i < rows; i += VL) {
            vu row[VL];
#pragma GCC unroll 16
            for (int q = 0; q < VL; q++) {
                const float *even = x + (p + 2 * q) * x_step + i;
                int64_t left = k - p - 2 * q;
                row[q] =
                    b_pair(b_load_n(even, left > 0 ? rows - i : 0), b_load_n(even + x_step, left > 1 ? rows - i : 0));
            }
            b_transpose(row);
            int64_t pairs = (k - p + 1) / 2;
#pragma GCC unroll 16
            for (int q = 0; q < VL; q++)
                if (i + q < rows)
                    b_store_n(y + (i + q) * y_step + p, row[q], pairs < VL ? pairs : VL);
        }
}

static void KERNEL(turn_pairs)(int64_t k, int width, const uint16_t *panel, uint16_t *y, int64_t y_step)
{
    for (int64_t p = 0; p < k; p += 2 * VL)
        for (int64_t i = 0; i < width; i += VL) {
            vu row[VL];
#pragma GCC unroll 16
            for (int q = 0; q < VL; q++)
                row[q] = (vu)v_load((const float *)(panel + (p + 2 * q) * width + 2 * i));
            b_transpose(row);
#pragma GCC unroll 16
            for (int q = 0; q < VL; q++)
                b_store(y + (i + q) * y_step + p, row[q]);
        }
}

static void KERNEL(pair_rows)(int64_t k, int64_t first, int64_t last, const float *x, int64_t x_step, int cols,
                              int width, uint16_t *panel)
{
    for (int64_t p = 0; p < k; p += 2, x += 2 * x_step, panel += 2 * width) {
        bool even = p >= first && p < last, odd = p + 1 >= first && p + 1 < last;
        for (int j = 0; j < width; j += VL)
            b_store(panel + 2 * j,
                    b_pair(b_load_n(x + j, even ? cols - j : 0), b_load_n(x + x_step + j, odd ? cols - j : 0)));
    }
}

static void KERNEL(pair_columns)(int64_t k, int64_t depth, const float *x, int64_t x_step, int cols, int width,
                                 uint16_t *panel)
{
    for (int j = 0; j < width; j += VL)
        for (int64_t p = 0; p < depth; p += 2 * VL) {
            vu row[VL];
#pragma GCC unroll 16
            for (int i = 0; i < VL; i++) {
                const float *from = x + (j + i) * x_step + p;
                int64_t left = j + i < cols ? k - p : 0;
                row[i] = b_round(b_load_n(from, left), b_load_n(from + VL, left - VL));
            }
            b_transpose(row);
#pragma GCC unroll 16
            for (int q = 0; q < VL; q++)
                if (p + 2 * q < depth)
                    b_store(panel + (p + 2 * q) * width + 2 * j, row[q]);
        }
}

/* One row of C: `vectors` vectors of sums, the last of which may be partly used. */
ALWAYS_INLINE void b_finish(const int vectors, const vr *sum, const float *bias, float *c, int cols, int accumulate)
{
#pragma GCC unroll 2
    for (int j = 0; j < vectors; j++) {
        int n = cols - j * VL < VL ? cols - j * VL : VL;
        vr y = bias ? sum[j] + b_load_n(bias + j * VL, n) : sum[j];
        if (accumulate)
            y += b_load_n(c + j * VL, n);
        if (n == VL)
            v_store(c + j * VL, y);
        else
            v_store_n(c + j * VL, y, n);
    }
}

#ifdef FNN_HAVE_TILES

#define TILE 16 /* rows of a tile register */

static void KERNEL(begin)(int64_t depth) { t_configure(depth); }
static void KERNEL(end)(void) { t_release(); }

/* Up to 2 x 2 tiles of C; sums of a part of a tile, or with a bias, leave the tile registers through a buffer. */
ALWAYS_INLINE void tile_block(const int down, const int across, const fnn_bf16_tile *t, const uint16_t *a,
                              const uint16_t *b, const float *bias, float *c, int64_t rows, int cols, int accumulate)
{
    float sums[2 * TILE][2 * TILE] __attribute__((aligned(64)));
    const int64_t a_bytes = 2 * t->a_step, b_bytes = 4 * t->width;
    const int64_t c_bytes = 4 * t->c_step;
    const bool whole = !bias && rows == down * TILE && cols == across * TILE;
    if (whole && accumulate) {
        t_load(0, c, c_bytes);
        if (across > 1)
            t_load(1, c + TILE, c_bytes);
        if (down > 1)
            t_load(2, c + TILE * t->c_step, c_bytes);
        if (down > 1 && across > 1)
            t_load(3, c + TILE * t->c_step + TILE, c_bytes);
    } else {
        t_zero(0);
        t_zero(1);
        t_zero(2);
        t_zero(3);
    }
    for (int64_t run = 0; run < t->runs; run++) {
        const uint16_t *ap = a + run * t->a_run, *bp = b + run * t->b_run;
        for (int64_t p = 0; p < t->k; p += t->depth, ap += t->depth, bp += t->depth * t->width) {
            t_load(4, ap, a_bytes);
            t_load(6, bp, b_bytes);
            t_dot(0, 4, 6);
            if (across > 1) {
                t_load(7, bp + 2 * TILE, b_bytes);
                t_dot(1, 4, 7);
            }
            if (down > 1) {
                t_load(5, ap + TILE * t->a_step, a_bytes);
                t_dot(2, 5, 6);
                if (across > 1)
                    t_dot(3, 5, 7);
            }
        }
    }
    float *to = whole ? c : sums[0];
    const int64_t to_step = whole ? t->c_step : 2 * TILE;
    t_store(0, to, 4 * to_step);
    if (across > 1)
        t_store(1, to + TILE, 4 * to_step);
    if (down > 1)
        t_store(2, to + TILE * to_step, 4 * to_step);
    if (down > 1 && across > 1)
        t_store(3, to + TILE * to_step + TILE, 4 * to_step);
    for (int64_t i = 0; i < rows && !whole; i++) {
        vr sum[2] = {v_load(sums[i]), across > 1 ? v_load(sums[i] + TILE) : v_zero()};
        b_finish(across, sum, bias, c + i * t->c_step, cols, accumulate);
    }
}

static void KERNEL(product)(const fnn_bf16_tile *t, const uint16_t *a, const uint16_t *b, const float *bias, float *c,
                            int64_t rows, int cols, int accumulate)
{
    for (int64_t i = 0; i < rows; i += 2 * TILE, a += 2 * TILE * t->a_step, c += 2 * TILE * t->c_step) {
        int64_t n = rows - i < 2 * TILE ? rows - i : 2 * TILE;
        if (n > TILE && cols > TILE)
            tile_block(2, 2, t, a, b, bias, c, n, cols, accumulate);
        else if (n > TILE)
            tile_block(2, 1, t, a, b, bias, c, n, cols, accumulate);
        else if (cols > TILE)
            tile_block(1, 2, t, a, b, bias, c, n, cols, accumulate);
        else
            tile_block(1, 1, t, a, b, bias, c, n, cols, accumulate);
    }
}

#else

#define DOT_ROWS 12

static void KERNEL(begin)(int64_t depth) { (void)depth; }
static void KERNEL(end)(void) {}

ALWAYS_INLINE vu b_splat(const uint16_t *pair)
{
    uint32_t both;
    memcpy(&both, pair, sizeof both);
    return (vu){0} + both;
}

/* Sums stay in registers while a pair of A's columns is broadcast against a row of pairs of B. */
ALWAYS_INLINE void dot_block(const int rows, const int vectors, const fnn_bf16_tile *t, const uint16_t *a,
                             const uint16_t *b, const float *bias, float *c, int cols, int accumulate)
{
    vr sum[DOT_ROWS][2] = {{{0}}};
    for (int64_t run = 0; run < t->runs; run++) {
        const uint16_t *ap = a + run * t->a_run, *bp = b + run * t->b_run;
        for (int64_t p = 0; p < t->k; p += 2, ap += 2, bp += 2 * t->width) {
            vu bv[2];
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++)
                bv[j] = (vu)v_load((const float *)bp + j * VL);
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                vu av = b_splat(ap + i * t->a_step);
#pragma GCC unroll 2
                for (int j = 0; j < vectors; j++)
                    sum[i][j] = b_dot(sum[i][j], av, bv[j]);
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
        b_finish(vectors, sum[i], bias, c + i * t->c_step, cols, accumulate);
}

static void KERNEL(product)(const fnn_bf16_tile *t, const uint16_t *a, const uint16_t *b, const float *bias, float *c,
                            int64_t rows, int cols, int accumulate)
{
    static const int heights[] = {DOT_ROWS, 8, 4, 2, 1};
    for (int height = 0; rows > 0;) {
        if (rows < heights[height]) {
            height++;
            continue;
        }
#define DOT_CASE(r)                                              \
    case r:                                                      \
        if (cols > VL)                                           \
            dot_block(r, 2, t, a, b, bias, c, cols, accumulate); \
        else                                                     \
            dot_block(r, 1, t, a, b, bias, c, cols, accumulate); \
        break;
        switch (heights[height]) {
            DOT_CASE(DOT_ROWS)
            DOT_CASE(8)
            DOT_CASE(4)
            DOT_CASE(2)
            DOT_CASE(1)
        }
        a += heights[height] * t->a_step;
        c += heights[height] * t->c_step;
        rows -= heights[height];
    }
}
#undef DOT_CASE

#endif

#define FNN_TABLE_NAME_(unit) fnn_bf16_kernels_##unit
#define FNN_TABLE_NAME(unit) FNN_TABLE_NAME_(unit)
const fnn_bf16_kernels FNN_TABLE_NAME(FNN_BF16_UNIT) = {
#ifdef FNN_HAVE_TILES
    .tiles = true,
#endif
#define FNN_BF16_KERNEL(name, params) .name = KERNEL(name),
#include "../bf16.def"
#undef FNN_BF16_KERNEL
};
