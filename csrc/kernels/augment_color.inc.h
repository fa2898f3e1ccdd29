/* augment_color.inc.h - colours of images: linear maps, hue, tables of values, histograms.
 *
 * Runs of at most FNN_COLOR_RUN pixels are taken apart into a plane for each of red, green and blue, `plane` being
 * three of them, changed there, and put together again. Values are between 0 and 255. Planes have room for whole
 * vectors. */

/* A grey image has three equal colours. */
static void KERNEL(augment_split)(int64_t n, int64_t c, const uint8_t *x, real *plane)
{
    real *restrict red = plane, *restrict green = plane + FNN_COLOR_RUN, *restrict blue = plane + 2 * FNN_COLOR_RUN;
    if (c == 1)
        for (int64_t i = 0; i < n; i++)
            red[i] = green[i] = blue[i] = (real)x[i];
    else
        for (int64_t i = 0; i < n; i++) {
            red[i] = (real)x[3 * i];
            green[i] = (real)x[3 * i + 1];
            blue[i] = (real)x[3 * i + 2];
        }
    for (int64_t i = n; i % VL; i++)
        red[i] = green[i] = blue[i] = 0;
}

/* Back to bytes, halves to even. */
static void KERNEL(augment_join)(int64_t n, int64_t c, const real *plane, uint8_t *y)
{
    const real round = sizeof(real) == 4 ? (real)0x1.8p23 : (real)0x1.8p52;
    const real *restrict red = plane, *restrict green = plane + FNN_COLOR_RUN, *restrict blue = green + FNN_COLOR_RUN;
    if (c == 1)
        for (int64_t i = 0; i < n; i++)
            y[i] = (uint8_t)(int32_t)((red[i] + round) - round);
    else
        for (int64_t i = 0; i < n; i++) {
            y[3 * i] = (uint8_t)(int32_t)((red[i] + round) - round);
            y[3 * i + 1] = (uint8_t)(int32_t)((green[i] + round) - round);
            y[3 * i + 2] = (uint8_t)(int32_t)((blue[i] + round) - round);
        }
}

ALWAYS_INLINE vr augment_limit(vr a) { return v_min(v_max(a, v_zero()), v_splat(255)); }

/* colour k = m[4 k] red + m[4 k + 1] green + m[4 k + 2] blue + m[4 k + 3], limited to 0 .. 255 */
static void KERNEL(augment_color_matrix)(int64_t n, const double *m, real *plane)
{
    vr a[12];
    for (int k = 0; k < 12; k++)
        a[k] = v_splat((real)m[k]);
    for (int64_t i = 0; i < n; i += VL) {
        real *red = plane + i, *green = red + FNN_COLOR_RUN, *blue = green + FNN_COLOR_RUN;
        vr r = v_load(red), g = v_load(green), b = v_load(blue);
        v_store(red, augment_limit(v_fma(a[0], r, v_fma(a[1], g, v_fma(a[2], b, a[3])))));
        v_store(green, augment_limit(v_fma(a[4], r, v_fma(a[5], g, v_fma(a[6], b, a[7])))));
        v_store(blue, augment_limit(v_fma(a[8], r, v_fma(a[9], g, v_fma(a[10], b, a[11])))));
    }
}

/* The channel of colour offset k, v - chroma clamp(min(h', 4 - h'), 0, 1) with h' = (h + k) mod 6. */
ALWAYS_INLINE vr augment_of_hue(vr hue, const real k, vr value, vr chroma)
{
    vr turned = hue + k;
    turned = v_select(turned >= 6, turned - 6, turned);
    vr share = v_min(v_max(v_min(turned, 4 - turned), v_zero()), v_splat(1));
    return value - chroma * share;
}

/* Moves the hue of the HSV colour model by `shift` turns; value and saturation stay. */
static void KERNEL(augment_color_hue)(int64_t n, double shift, real *plane)
{
    for (int64_t i = 0; i < n; i += VL) {
        real *red = plane + i, *green = red + FNN_COLOR_RUN, *blue = green + FNN_COLOR_RUN;
        vr r = v_load(red), g = v_load(green), b = v_load(blue);
        vr value = v_max(r, v_max(g, b)), chroma = value - v_min(r, v_min(g, b));
        vr each = v_reciprocal(v_select(chroma == 0, v_splat(1), chroma));
        vr of_red = (g - b) * each, of_green = (b - r) * each + 2, of_blue = (r - g) * each + 4;
        vr hue = v_select(value == r, of_red, v_select(value == g, of_green, of_blue)) + (real)(6 * shift);
        hue = hue - 6 * v_floor(hue * (real)(1.0 / 6));
        v_store(red, augment_of_hue(hue, 5, value, chroma));
        v_store(green, augment_of_hue(hue, 3, value, chroma));
        v_store(blue, augment_of_hue(hue, 1, value, chroma));
    }
}

/* *sum = the sum of the luma, 0.299 red + 0.587 green + 0.114 blue (ITU-R BT.601). */
static void KERNEL(augment_luma_sum)(int64_t n, const real *plane, double *sum)
{
    vr total = {0};
    for (int64_t i = 0; i < n; i += VL) {
        const real *red = plane + i, *green = red + FNN_COLOR_RUN, *blue = green + FNN_COLOR_RUN;
        int64_t here = n - i;
        total += v_load_upto(red, here) * (real)0.299 + v_load_upto(green, here) * (real)0.587 +
                 v_load_upto(blue, here) * (real)0.114;
    }
    *sum = (double)v_sum(total);
}

/* y[i, ch] = table[ch, x[i, ch]], i < n, ch < c */
static void KERNEL(augment_lookup)(int64_t n, int64_t c, const uint8_t *x, const uint8_t *table, uint8_t *y)
{
    if (c == 1)
        for (int64_t i = 0; i < n; i++)
            y[i] = table[x[i]];
    else
        for (int64_t i = 0; i < n; i++)
            for (int64_t ch = 0; ch < c; ch++)
                y[i * c + ch] = table[256 * ch + x[i * c + ch]];
}

/* count[ch, v] = how many x[i, ch] are v */
static void KERNEL(augment_histogram)(int64_t n, int64_t c, const uint8_t *x, int64_t *count)
{
    memset(count, 0, (size_t)(256 * c) * sizeof *count);
    for (int64_t i = 0; i < n; i++)
        for (int64_t ch = 0; ch < c; ch++)
            count[256 * ch + x[i * c + ch]]++;
}
