/* conv.inc.h - depthwise convolution: every channel has a filter of its own, so vectors run over channels and there
 * is nothing to broadcast. (Dense convolutions are matrix products: gemm.inc.h.) */

#define DEPTHWISE_PIXELS 8 /* outputs that share a filter's vector: enough sums to hide a multiplication's latency */

/* Of one vector of channels, `pixels` neighbours in a row of outputs. */
ALWAYS_INLINE void depthwise_sums(const int pixels, const int whole, int64_t n, const fnn_depthwise *d, const real *in,
                                  const real *w, vr start, real *y)
{
    vr sum[DEPTHWISE_PIXELS];
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++)
        sum[i] = start;
    for (int64_t r = 0; r < d->rows; r++)
        for (int64_t q = 0; q < d->cols; q++) {
            const real *p = in + r * d->in_row + q * d->in_tap, *wp = w + r * d->w_row + q * d->w_tap;
            vr wt = whole ? v_load(wp) : v_load_n(wp, n);
#pragma GCC unroll 8
            for (int i = 0; i < pixels; i++, p += d->in_step)
                sum[i] = v_fma(whole ? v_load(p) : v_load_n(p, n), wt, sum[i]);
        }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++, y += d->out_step)
        if (whole)
            v_store(y, sum[i]);
        else
            v_store_n(y, sum[i], n);
}

#define DEPTHWISE_CASE(pixels)                                                                          \
    case pixels:                                                                                        \
        for (; c + VL <= d->channels; c += VL)                                                          \
            depthwise_sums(pixels, 1, VL, d, in + c, w + c, bias ? v_load(bias + c) : v_zero(), y + c); \
        break;

/* y[x][c] = bias[c] + sum over the taps (r, q) of in[x * in_step + r * in_row + q * in_tap + c] * w[r * w_row +
 * q * w_tap + c], x < pixels. */
static void KERNEL(conv_depthwise_row)(const fnn_depthwise *d, int64_t pixels, const real *in, const real *w,
                                       const real *bias, real *y)
{
    int64_t blocks = (pixels + DEPTHWISE_PIXELS - 1) / DEPTHWISE_PIXELS;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t c = 0, count = pixels * (i + 1) / blocks - pixels * i / blocks;
        switch (count) {
            DEPTHWISE_CASE(1)
            DEPTHWISE_CASE(2)
            DEPTHWISE_CASE(3)
            DEPTHWISE_CASE(4)
            DEPTHWISE_CASE(5)
            DEPTHWISE_CASE(6)
            DEPTHWISE_CASE(7)
            DEPTHWISE_CASE(8)
        }
        int64_t rest = d->channels - c;
        for (int64_t x = 0; x < count && rest; x++)
            depthwise_sums(1, 0, rest, d, in + x * d->in_step + c, w + c, bias ? v_load_n(bias + c, rest) : v_zero(),
                           y + x * d->out_step + c);
        in += count * d->in_step;
        y += count * d->out_step;
    }
}

/* rows x cols taps of one vector of channels, summed over all outputs. */
ALWAYS_INLINE void depthwise_grad(const int rows, const int cols, const int whole, int64_t n, const fnn_depthwise *d,
                                  int64_t height, int64_t pixels, const real *in, const real *dy, real *dw)
{
    vr sum[9];
#pragma GCC unroll 9
    for (int t = 0; t < rows * cols; t++)
        sum[t] = v_zero();
    for (int64_t y = 0; y < height; y++) {
        const real *p = in + y * d->in_next, *g = dy + y * d->out_next;
        for (int64_t x = 0; x < pixels; x++, p += d->in_step, g += d->out_step) {
            vr gx = whole ? v_load(g) : v_load_n(g, n);
#pragma GCC unroll 3
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
                for (int q = 0; q < cols; q++) {
                    const real *tap = p + r * d->in_row + q * d->in_tap;
                    sum[r * cols + q] = v_fma(whole ? v_load(tap) : v_load_n(tap, n), gx, sum[r * cols + q]);
                }
        }
    }
#pragma GCC unroll 3
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (int q = 0; q < cols; q++) {
            real *to = dw + r * d->w_row + q * d->w_tap;
            if (whole)
                v_store(to, v_load(to) + sum[r * cols + q]);
            else
                v_store_n(to, v_load_n(to, n) + sum[r * cols + q], n);
        }
}

#define DEPTHWISE_GRAD_CASE(rows, cols)                                                   \
    case rows * 4 + cols:                                                                 \
        for (; c + VL <= d->channels; c += VL)                                            \
            depthwise_grad(rows, cols, 1, VL, d, height, pixels, in + c, dy + c, dw + c); \
        break;

static void depthwise_grad_taps(const fnn_depthwise *d, int64_t rows, int64_t cols, int64_t height, int64_t pixels,
                                const real *in, const real *dy, real *dw)
{
    int64_t c = 0;
    switch (rows * 4 + cols) {
        DEPTHWISE_GRAD_CASE(1, 1)
        DEPTHWISE_GRAD_CASE(1, 2)
        DEPTHWISE_GRAD_CASE(1, 3)
        DEPTHWISE_GRAD_CASE(2, 1)
        DEPTHWISE_GRAD_CASE(2, 2)
        DEPTHWISE_GRAD_CASE(2, 3)
        DEPTHWISE_GRAD_CASE(3, 1)
        DEPTHWISE_GRAD_CASE(3, 2)
        DEPTHWISE_GRAD_CASE(3, 3)
    }
    for (int64_t r = 0; r < rows && c < d->channels; r++)
        for (int64_t q = 0; q < cols; q++)
            depthwise_grad(1, 1, 0, d->channels - c, d, height, pixels, in + r * d->in_row + q * d->in_tap + c, dy + c,
                           dw + r * d->w_row + q * d->w_tap + c);
}

/* dw[r * w_row + q * w_tap + c] += sum of in[y * in_next + x * in_step + r * in_row + q * in_tap + c] *
 * dy[y * out_next + x * out_step + c], y < height, x < pixels: nine taps at a time. */
static void KERNEL(conv_depthwise_grad)(const fnn_depthwise *d, int64_t height, int64_t pixels, const real *in,
                                        const real *dy, real *dw)
{
    for (int64_t r = 0; r < d->rows; r += 3)
        for (int64_t q = 0; q < d->cols; q += 3)
            depthwise_grad_taps(d, d->rows - r < 3 ? d->rows - r : 3, d->cols - q < 3 ? d->cols - q : 3, height, pixels,
                                in + r * d->in_row + q * d->in_tap, dy, dw + r * d->w_row + q * d->w_tap);
}

/* ---- planar rows: see ops/conv_planar.inc.h ---- */

/* out[c * out_step + x] = in[x * channels + c] for x < pixels; up to VL - 1 reals behind the last pixel may be
 * overwritten with zeros. */
static void KERNEL(planar_turn)(int64_t channels, int64_t pixels, const real *in, real *out, int64_t out_step)
{
    if (channels == 1) {
        memcpy(out, in, sizeof(real) * (size_t)pixels);
        return;
    }
    for (int64_t c = 0; c < channels; c += VL)
        for (int64_t x = 0; x < pixels; x += VL) {
            int cols = channels - c < VL ? (int)(channels - c) : VL;
            transpose_block(in + x * channels + c, channels, pixels - x < VL ? (int)(pixels - x) : VL, cols,
                            out + c * out_step + x, out_step, cols);
        }
}

/* PLANAR_CASE of every number of channels */
#define PLANAR_SWITCH(channels) \
    switch (channels) {         \
        PLANAR_CASE(1)          \
        PLANAR_CASE(2)          \
        PLANAR_CASE(3)          \
        PLANAR_CASE(4)          \
        PLANAR_CASE(5)          \
        PLANAR_CASE(6)          \
        PLANAR_CASE(7)          \
        PLANAR_CASE(8)          \
    }

ALWAYS_INLINE void planar_sums(const int channels, int64_t taps, const int64_t *offset, const real *in0,
                               const real *in1, const real *w, real *out)
{
    vr sum[FNN_PLANAR_CHANNELS][2];
#pragma GCC unroll 8
    for (int k = 0; k < channels; k++)
        sum[k][0] = sum[k][1] = v_zero();
    for (int64_t t = 0; t < taps; t++, w += channels) {
        vr a = v_load(in0 + offset[t]), b = v_load(in1 + offset[t]);
#pragma GCC unroll 8
        for (int k = 0; k < channels; k++) {
            vr factor = v_splat(w[k]);
            sum[k][0] = v_fma(factor, a, sum[k][0]);
            sum[k][1] = v_fma(factor, b, sum[k][1]);
        }
    }
#pragma GCC unroll 8
    for (int k = 0; k < channels; k++) {
        v_store(out + k * VL, sum[k][0]);
        v_store(out + (channels + k) * VL, sum[k][1]);
    }
}

/* out[i][k][x] = sum_t w[t][k] in_i[offset[t] + x] for a vector of pixels x, k < channels and i < 2: two vectors of
 * pixels, neighbours or one above the other, share every broadcast weight. */
static void KERNEL(planar_row)(int64_t channels, int64_t taps, const int64_t *offset, const real *in0, const real *in1,
                               const real *w, real *out)
{
#define PLANAR_CASE(k)                                  \
    case k:                                             \
        planar_sums(k, taps, offset, in0, in1, w, out); \
        break;
    PLANAR_SWITCH(channels)
#undef PLANAR_CASE
}

/* out[x * channels + k] = in[k * VL + x] (+ bias[k]) for x < pixels <= VL, channels <= VL */
static void KERNEL(planar_turn_back)(int64_t channels, int64_t pixels, const real *in, const real *bias, real *out)
{
    real tile[VL * VL];
    if (channels == 1) {
        v_store_n(out, v_load(in) + v_splat(bias ? bias[0] : 0), pixels);
        return;
    }
    vr offset = bias ? v_load_n(bias, channels) : v_zero();
    transpose_block(in, VL, (int)channels, VL, tile, VL, VL);
    for (int64_t x = 0; x < pixels; x++)
        v_store_n(out + x * channels, v_load(tile + x * VL) + offset, channels);
}

/* sums[t][k] += x[offset[t] + i] * dy[k][i], i < pixels, lane by lane. */
ALWAYS_INLINE void planar_products(const int channels, const int taps, const int64_t *offset, int64_t pixels,
                                   const real *x, const real *dy, int64_t dy_channel, real *sums)
{
    vr sum[GEMM_SUMS];
    const real *at[GEMM_SUMS], *row[FNN_PLANAR_CHANNELS];
#pragma GCC unroll 32
    for (int i = 0; i < taps * channels; i++)
        sum[i] = v_load(sums + i * VL);
#pragma GCC unroll 8
    for (int t = 0; t < taps; t++)
        at[t] = x + offset[t];
#pragma GCC unroll 8
    for (int k = 0; k < channels; k++)
        row[k] = dy + k * dy_channel;
    for (int64_t i = 0; i < pixels; i += VL) {
        vr factor[FNN_PLANAR_CHANNELS];
#pragma GCC unroll 8
        for (int k = 0; k < channels; k++)
            factor[k] = v_load(row[k] + i);
#pragma GCC unroll 8
        for (int t = 0; t < taps; t++) {
            vr a = v_load(at[t] + i);
#pragma GCC unroll 8
            for (int k = 0; k < channels; k++)
                sum[t * channels + k] = v_fma(a, factor[k], sum[t * channels + k]);
        }
    }
#pragma GCC unroll 32
    for (int i = 0; i < taps * channels; i++)
        v_store(sums + i * VL, sum[i]);
}

/* Vectors sums[t][k] of products, t < taps: dy's channels lie dy_channel apart, and both x and dy may be read up to a
 * vector past the last pixel, where dy is zero. */
static void KERNEL(planar_grad)(int64_t channels, int64_t taps, const int64_t *offset, int64_t pixels, const real *x,
                                const real *dy, int64_t dy_channel, real *sums)
{
#define PLANAR_TAPS(k) (GEMM_SUMS / (k) < 1 ? 1 : GEMM_SUMS / (k) > 8 ? 8 : GEMM_SUMS / (k))
#define PLANAR_CASE(k)                                                                          \
    case k:                                                                                     \
        for (; taps >= PLANAR_TAPS(k);                                                          \
             taps -= PLANAR_TAPS(k), offset += PLANAR_TAPS(k), sums += PLANAR_TAPS(k) * k * VL) \
            planar_products(k, PLANAR_TAPS(k), offset, pixels, x, dy, dy_channel, sums);        \
        for (; taps > 0; taps--, offset++, sums += k * VL)                                      \
            planar_products(k, 1, offset, pixels, x, dy, dy_channel, sums);                     \
        break;
    PLANAR_SWITCH(channels)
#undef PLANAR_CASE
#undef PLANAR_TAPS
}

/* out[i] = the sum of the lanes of vector i */
static void KERNEL(planar_lanes)(int64_t n, const real *vectors, real *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = v_sum(v_load(vectors + i * VL));
}
