/* conv.inc.h - depthwise convolution: every channel has a filter of its own, so vectors run over channels and there
 * is nothing to broadcast. (Dense convolutions are matrix products: gemm.inc.h.) */

/* y[x][c] = bias[c] + sum_t in[x * step + offset[t] + c] * w[t][c] for `pixels` pixels of one row; c < channels. */
static void KERNEL(conv_depthwise_row)(int64_t pixels, int64_t channels, int64_t taps, const int64_t *offset,
                                       const real *in, int64_t step, const real *w, int64_t w_step, const real *bias,
                                       real *y, int64_t y_step)
{
    for (int64_t c = 0; c < channels; c += VL) {
        int64_t n = channels - c < VL ? channels - c : VL;
        vr start = bias ? v_load_n(bias + c, n) : v_zero();
        int64_t x = 0;
        if (n == VL)
            for (; x + 4 <= pixels; x += 4) {
                const real *p = in + x * step + c;
                vr s0 = start, s1 = start, s2 = start, s3 = start;
                for (int64_t t = 0; t < taps; t++) {
                    vr wt = v_load(w + t * w_step + c);
                    const real *q = p + offset[t];
                    s0 = v_fma(v_load(q), wt, s0);
                    s1 = v_fma(v_load(q + step), wt, s1);
                    s2 = v_fma(v_load(q + 2 * step), wt, s2);
                    s3 = v_fma(v_load(q + 3 * step), wt, s3);
                }
                real *to = y + x * y_step + c;
                v_store(to, s0);
                v_store(to + y_step, s1);
                v_store(to + 2 * y_step, s2);
                v_store(to + 3 * y_step, s3);
            }
        for (; x < pixels; x++) {
            const real *p = in + x * step + c;
            vr sum = start;
            for (int64_t t = 0; t < taps; t++)
                sum = v_fma(v_load_n(p + offset[t], n), v_load_n(w + t * w_step + c, n), sum);
            v_store_n(y + x * y_step + c, sum, n);
        }
    }
}

/* dw[t][c] += sum over `pixels` of in[x * step + offset[t] + c] * dy[x][c] */
static void KERNEL(conv_depthwise_row_w)(int64_t pixels, int64_t channels, int64_t taps, const int64_t *offset,
                                         const real *in, int64_t step, const real *dy, int64_t dy_step, real *dw,
                                         int64_t dw_step)
{
    for (int64_t c = 0; c < channels; c += VL) {
        int64_t n = channels - c < VL ? channels - c : VL, t = 0;
        for (; t + 3 <= taps; t += 3) {
            const real *p0 = in + offset[t] + c, *p1 = in + offset[t + 1] + c, *p2 = in + offset[t + 2] + c;
            vr s0 = v_zero(), s1 = v_zero(), s2 = v_zero();
            if (n == VL)
                for (int64_t x = 0; x < pixels; x++) {
                    vr g = v_load(dy + x * dy_step + c);
                    s0 = v_fma(v_load(p0 + x * step), g, s0);
                    s1 = v_fma(v_load(p1 + x * step), g, s1);
                    s2 = v_fma(v_load(p2 + x * step), g, s2);
                }
            else
                for (int64_t x = 0; x < pixels; x++) {
                    vr g = v_load_n(dy + x * dy_step + c, n);
                    s0 = v_fma(v_load_n(p0 + x * step, n), g, s0);
                    s1 = v_fma(v_load_n(p1 + x * step, n), g, s1);
                    s2 = v_fma(v_load_n(p2 + x * step, n), g, s2);
                }
            real *to = dw + t * dw_step + c;
            v_store_n(to, v_load_n(to, n) + s0, n);
            v_store_n(to + dw_step, v_load_n(to + dw_step, n) + s1, n);
            v_store_n(to + 2 * dw_step, v_load_n(to + 2 * dw_step, n) + s2, n);
        }
        for (; t < taps; t++) {
            vr sum = v_zero();
            for (int64_t x = 0; x < pixels; x++)
                sum = v_fma(v_load_n(in + x * step + offset[t] + c, n), v_load_n(dy + x * dy_step + c, n), sum);
            v_store_n(dw + t * dw_step + c, v_load_n(dw + t * dw_step + c, n) + sum, n);
        }
    }
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
    switch (channels) {
        PLANAR_CASE(1)
        PLANAR_CASE(2)
        PLANAR_CASE(3)
        PLANAR_CASE(4)
        PLANAR_CASE(5)
        PLANAR_CASE(6)
        PLANAR_CASE(7)
        PLANAR_CASE(8)
    }
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

/* col[x * col_step + r * run + i] = rows[r * row + x * step + i], i < run, for x < pixels and r < taps: whole vectors
 * are read and stored, each overwriting what the one before left beyond its run. */
static void KERNEL(planar_gather)(int64_t pixels, int64_t taps, int64_t run, const real *rows, int64_t row,
                                  int64_t step, real *col, int64_t col_step)
{
    for (int64_t x = 0; x < pixels; x++)
        for (int64_t r = 0; r < taps; r++) {
            const real *from = rows + r * row + x * step;
            real *to = col + x * col_step + r * run;
            for (int64_t i = 0; i < run; i += VL)
                v_store(to + i, v_load(from + i));
        }
}
