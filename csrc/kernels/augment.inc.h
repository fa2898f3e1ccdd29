/* augment.inc.h - rows of images: mirrored, turned into reals, resampled.
 *
 * Images are bytes; a pixel is `pixel` or `c` of them. All but augment_scale and the blends are exact, and those differ
 * between instruction sets only in the rounding of a multiply-add. */

typedef uint8_t augment_16 __attribute__((vector_size(16)));
typedef uint8_t augment_16_unaligned __attribute__((vector_size(16), aligned(1), may_alias));

/* y[i] = x[count - 1 - i], as many whole pixels at a time as 16 bytes hold. A group is read at the end of its 16 bytes
 * and written at their start; what is written too much, the next group overwrites. */
ALWAYS_INLINE void augment_reverse_by(const int pixel, int64_t count, const uint8_t *x, uint8_t *y)
{
    const int group = 16 / pixel;
    int64_t i = 0;
    if (group > 1) {
        augment_16 order;
#pragma GCC unroll 16
        for (int b = 0; b < 16; b++)
            order[b] = b < group * pixel ? (uint8_t)(16 - (b / pixel + 1) * pixel + b % pixel) : 0;
        for (; (count - i) * pixel >= 16; i += group) {
            augment_16 read = *(const augment_16_unaligned *)(x + (count - i) * pixel - 16);
            *(augment_16_unaligned *)(y + i * pixel) = __builtin_shuffle(read, order);
        }
    }
    for (; i < count; i++)
        for (int b = 0; b < pixel; b++)
            y[i * pixel + b] = x[(count - 1 - i) * pixel + b];
}

/* y[i] = x[count - 1 - i] in pixels of `pixel` bytes. */
static void KERNEL(augment_reverse)(int64_t count, int64_t pixel, const uint8_t *x, uint8_t *y)
{
    switch (pixel) {
    case 1:
        augment_reverse_by(1, count, x, y);
        break;
    case 3:
        augment_reverse_by(3, count, x, y);
        break;
    case 4:
        augment_reverse_by(4, count, x, y);
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            memcpy(y + i * pixel, x + (count - 1 - i) * pixel, (size_t)pixel);
    }
}

/* y[i] = x[i] * scale[i] + shift[i], i < n. */
static void KERNEL(augment_scale)(int64_t n, const uint8_t *restrict x, const real *restrict scale,
                                  const real *restrict shift, real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (real)x[i] * scale[i] + shift[i];
}

#define AUGMENT_TAPS 4 /* rows that are summed in one pass */

ALWAYS_INLINE void augment_blend_rows_by(const int taps, const int accumulate, int64_t n, const real *restrict weight,
                                         const uint8_t *restrict x, int64_t x_step, real *restrict y)
{
    for (int64_t i = 0; i < n; i++) {
        real sum = accumulate ? y[i] : 0;
#pragma GCC unroll 4
        for (int t = 0; t < taps; t++)
            sum = weight[t] * (real)x[t * x_step + i] + sum;
        y[i] = sum;
    }
}

/* The vertical half of resampling: y[i] = sum_t weight[t] * x[t * x_step + i], i < n, t < taps. */
static void KERNEL(augment_blend_rows)(int64_t n, int64_t taps, const real *weight, const uint8_t *x, int64_t x_step,
                                       real *y)
{
    int64_t t = 1;
    switch (taps % AUGMENT_TAPS) {
    case 0:
        augment_blend_rows_by(4, 0, n, weight, x, x_step, y);
        t = 4;
        break;
    case 1:
        augment_blend_rows_by(1, 0, n, weight, x, x_step, y);
        break;
    case 2:
        augment_blend_rows_by(2, 0, n, weight, x, x_step, y);
        t = 2;
        break;
    case 3:
        augment_blend_rows_by(3, 0, n, weight, x, x_step, y);
        t = 3;
        break;
    }
    for (; t < taps; t += AUGMENT_TAPS)
        augment_blend_rows_by(AUGMENT_TAPS, 1, n, weight + t, x + t * x_step, x_step, y);
}

#define AUGMENT_QUAD 4 /* channels that are summed at once */
typedef real augment_quad __attribute__((vector_size(AUGMENT_QUAD * sizeof(real))));
typedef real augment_quad_unaligned
    __attribute__((vector_size(AUGMENT_QUAD * sizeof(real)), aligned(sizeof(real)), may_alias));

ALWAYS_INLINE void augment_blend_cols_by(int64_t taps, int64_t count, int64_t c, const int64_t *first,
                                         const real *weight, const real *x, real *sum)
{
    for (int64_t j = 0; j < count; j++, weight += taps)
        for (int64_t ch = 0; ch < c; ch += AUGMENT_QUAD) {
            const real *from = x + first[j] * c + ch;
            augment_quad total = {0};
            for (int64_t t = 0; t < taps; t++, from += c)
                total = weight[t] * *(const augment_quad_unaligned *)from + total;
            *(augment_quad_unaligned *)(sum + j * c + ch) = total;
        }
}

/* The horizontal half, and back to bytes: y[j, ch] = round(sum_t weight[j, t] * x[first[j] + t, ch]), j < count,
 * ch < c, halves to even. x and sum have room for AUGMENT_QUAD more reals than they hold: channels are read and written
 * by fours, and the next pixel overwrites what was too much. */
static void KERNEL(augment_blend_cols)(int64_t count, int64_t c, int64_t taps, const int64_t *first, const real *weight,
                                       const real *x, real *sum, uint8_t *y)
{
    const real round = sizeof(real) == 4 ? (real)0x1.8p23 : (real)0x1.8p52; /* adding it leaves no fraction bits */
    if (taps == 2)
        augment_blend_cols_by(2, count, c, first, weight, x, sum);
    else if (taps == 3)
        augment_blend_cols_by(3, count, c, first, weight, x, sum);
    else
        augment_blend_cols_by(taps, count, c, first, weight, x, sum);
    for (int64_t i = 0; i < count * c; i++)
        y[i] = (uint8_t)(int32_t)((sum[i] + round) - round);
}
