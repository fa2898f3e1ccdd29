/* augment_filter.inc.h - filters over images, noise, and mixtures of two images. */

#define FILTER_RUN 64 /* sums that are kept while all taps are added */

/* y[i] = sum over r < rows, t < taps of weight[r, t] x[r row_step + t step + i], i < n */
static void KERNEL(augment_filter_bytes)(int64_t n, int64_t rows, int64_t taps, const real *weight, const uint8_t *x,
                                         int64_t row_step, int64_t step, real *y)
{
    for (int64_t i = 0; i < n; i += FILTER_RUN) {
        real sum[FILTER_RUN] = {0};
        int64_t count = n - i < FILTER_RUN ? n - i : FILTER_RUN;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t t = 0; t < taps; t++) {
                const uint8_t *from = x + r * row_step + t * step + i;
                real w = weight[r * taps + t];
                if (count == FILTER_RUN)
                    for (int k = 0; k < FILTER_RUN; k++)
                        sum[k] += w * (real)from[k];
                else
                    for (int64_t k = 0; k < count; k++)
                        sum[k] += w * (real)from[k];
            }
        memcpy(y + i, sum, (size_t)count * sizeof(real));
    }
}

/* y[i] = sum over t < taps of weight[t] x[t step + i], i < n */
static void KERNEL(augment_filter_reals)(int64_t n, int64_t taps, const real *weight, const real *x, int64_t step,
                                         real *y)
{
    for (int64_t i = 0; i < n; i += VL) {
        int64_t count = n - i;
        vr sum = {0};
        for (int64_t t = 0; t < taps; t++)
            sum = v_fma(v_splat(weight[t]), v_load_upto(x + t * step + i, count), sum);
        v_store_upto(y + i, sum, count);
    }
}

/* y[i] = x[i] as a byte: limited to 0 .. 255 and rounded, halves to even */
static void KERNEL(augment_round)(int64_t n, const real *restrict x, uint8_t *restrict y)
{
    const real round = sizeof(real) == 4 ? (real)0x1.8p23 : (real)0x1.8p52;
    for (int64_t i = 0; i < n; i++) {
        real a = x[i] > 0 ? x[i] : 0;
        a = a < 255 ? a : 255;
        y[i] = (uint8_t)(int32_t)((a + round) - round);
    }
}

/* ---- noise ---- */

#define TWO_PI 6.28318530717958647692

/* cos(2 pi t) for |t| < 2^20: as the sine of what is missing from a quarter, of which 6e-8 are left by the series. */
ALWAYS_INLINE vr v_cos_of_turns(vr t)
{
    vr x = ((real)0.25 - v_abs(t - v_round(t))) * (real)TWO_PI, z = x * x;
    static const real series[] = {
        1, (real)(-1.0 / 6), (real)(1.0 / 120), (real)(-1.0 / 5040), (real)(1.0 / 362880), (real)(-1.0 / 39916800)};
    return x * V_POLYNOMIAL(z, series);
}

/* y[i] = normal number start + i of stream (seed, 0), i < n; start is a multiple of 4, y has room for whole blocks.
 * Words w, w' of the stream make two: sqrt(-2 ln u) cos(2 pi u') and sin, u = (w >> 8) 2^-24 + 2^-25, u' = (w' >> 8)
 * 2^-24 (Box and Muller, 1958). */
static void KERNEL(augment_normal)(int64_t n, int64_t start, uint64_t seed, real *y)
{
    uint32_t word[WORD_BLOCK];
    vi odd;
#pragma GCC unroll 16
    for (int i = 0; i < VL; i++)
        odd[i] = -(i & 1);
    for (int64_t i = 0; i < n; i += WORD_BLOCK) {
        philox_words(seed, 0, (uint64_t)(start + i) / 4, word);
        for (int j = 0; j < WORD_BLOCK; j += VL) {
            vr u = v_from_int((vi)(__builtin_convertvector(*(const v_words *)(word + j), vu) >> 8)) * (real)0x1p-24;
            vr other = v_swap(u, 1), radius = v_select(odd, other, u), turn = v_select(odd, u, other);
            turn -= v_and(odd, v_splat((real)0.25)); /* a sine is a cosine a quarter later */
            v_store(y + i + j, v_sqrt(v_log(radius + (real)0x1p-25) * -2) * v_cos_of_turns(turn));
        }
    }
}

/* y[i] = keep x[i] + mean + sigma noise[i], limited to low .. high */
static void KERNEL(augment_add_noise)(int64_t n, const real *restrict x, const real *restrict noise, double keep,
                                      double mean, double sigma, double low, double high, real *restrict y)
{
    const real k = (real)keep, m = (real)mean, s = (real)sigma, bottom = (real)low, top = (real)high;
    for (int64_t i = 0; i < n; i++) {
        real a = (k != 0 ? x[i] : 0) + m + s * noise[i];
        a = a < bottom ? bottom : a;
        y[i] = a > top ? top : a;
    }
}

/* y[i] = x[i] */
static void KERNEL(augment_to_real)(int64_t n, const uint8_t *restrict x, real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = (real)x[i];
}

/* y[i] = weight a[i] + (1 - weight) b[i] */
static void KERNEL(augment_mix)(int64_t n, double weight, const real *restrict a, const real *restrict b,
                                real *restrict y)
{
    const real w = (real)weight, v = (real)(1 - weight);
    for (int64_t i = 0; i < n; i++)
        y[i] = w * a[i] + v * b[i];
}
