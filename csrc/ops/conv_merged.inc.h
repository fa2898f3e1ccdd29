/* conv_merged.inc.h - convolution of groups of few channels.
 *
 * A group of four channels would use four lanes of a vector. As many groups as fill one are computed as one larger
 * group, whose filters are zero where a channel belongs to another of them: the same number of products as for the
 * groups one by one, but in full vectors, and from 16 channels on by Winograd's algorithm. (What is not finite in a
 * group's input is then seen by the groups that it is merged with.) */

/* How many neighbouring groups become one. */
static int64_t conv_merge_count(const fnn_conv_shape *s, int forced)
{
    if (forced == FNN_CONV_IM2COL || s->groups == 1 || conv_is_depthwise(s) || !conv_is_plane(s))
        return 1;
    int64_t channels = max_int(s->c, s->k) / s->groups, count = min_int(K->lanes / max_int(channels, 1), s->groups);
    while (count > 1 && s->groups % count != 0)
        count--;
    return max_int(count, 1);
}

static fnn_conv_shape conv_merged_shape(const fnn_conv_shape *s, int64_t count)
{
    fnn_conv_shape merged = *s;
    merged.groups /= count;
    return merged;
}

/* Groups stay in float32 under autocast, which a merged one would not. */
static int conv_merged_algorithm(int algorithm) { return algorithm == FNN_CONV_BF16 ? FNN_CONV_AUTO : algorithm; }

static int64_t conv_merged_reals(const fnn_conv_shape *s, int64_t count)
{
    return s->k * (s->c / s->groups) * count * conv_taps(s);
}

/* The filters (k, c / groups, taps) inside those of merged groups, `wide`: to there, zeros around, or back. */
static void conv_merged_filters(const fnn_conv_shape *s, int64_t count, real *w, real *wide, bool back)
{
    int64_t filter = s->c / s->groups * conv_taps(s), k_count = s->k / s->groups;
    for (int64_t k = 0; k < s->k; k++, w += filter, wide += count * filter) {
        real *place = wide + k / k_count % count * filter;
        if (!back)
            memset(wide, 0, sizeof(real) * (size_t)(count * filter));
        memcpy(back ? w : place, back ? place : w, sizeof(real) * (size_t)filter);
    }
}

/* The filters of merged groups, to be freed; NULL without memory. */
static real *conv_merged_widened(const fnn_conv_shape *s, int64_t count, const real *w)
{
    real *wide = fnn_alloc(sizeof(real) * (size_t)max_int(conv_merged_reals(s, count), 1));
    if (wide)
        conv_merged_filters(s, count, (real *)w, wide, false);
    return wide;
}

int DRIVER(conv_prepare)(const fnn_conv_shape *s, int algorithm, const real *w, real *prepared, int64_t *reals);
int DRIVER(conv_fwd)(const fnn_conv_shape *s, int algorithm, const real *x, const real *w, const real *prepared,
                     const fnn_epilogue *e, real *y, double *moments, bool *measured);
int DRIVER(conv_bwd_x)(const fnn_conv_shape *s, int algorithm, const real *dy, const real *w, real *dx, bool add);
int DRIVER(conv_bwd_w)(const fnn_conv_shape *s, int algorithm, const real *dy, const real *x, real *dw);

static int conv_merged_prepare(const fnn_conv_shape *s, int algorithm, const real *w, real *prepared, int64_t *reals)
{
    int64_t count = conv_merge_count(s, algorithm);
    fnn_conv_shape merged = conv_merged_shape(s, count);
    if (!prepared)
        return DRIVER(conv_prepare)(&merged, conv_merged_algorithm(algorithm), NULL, NULL, reals);
    real *wide = conv_merged_widened(s, count, w);
    if (!wide)
        return FNN_NO_MEMORY;
    int status = DRIVER(conv_prepare)(&merged, conv_merged_algorithm(algorithm), wide, prepared, reals);
    fnn_free(wide);
    return status;
}

static int conv_merged_fwd(const fnn_conv_shape *s, int algorithm, const real *x, const real *w, const real *prepared,
                           const fnn_epilogue *e, real *y, double *moments, bool *measured)
{
    int64_t count = conv_merge_count(s, algorithm);
    fnn_conv_shape merged = conv_merged_shape(s, count);
    if (prepared)
        return DRIVER(conv_fwd)(&merged, conv_merged_algorithm(algorithm), x, NULL, prepared, e, y, moments, measured);
    real *wide = conv_merged_widened(s, count, w);
    if (!wide)
        return FNN_NO_MEMORY;
    int status = DRIVER(conv_fwd)(&merged, conv_merged_algorithm(algorithm), x, wide, NULL, e, y, moments, measured);
    fnn_free(wide);
    return status;
}

static int conv_merged_bwd_x(const fnn_conv_shape *s, int algorithm, const real *dy, const real *w, real *dx)
{
    int64_t count = conv_merge_count(s, algorithm);
    fnn_conv_shape merged = conv_merged_shape(s, count);
    real *wide = conv_merged_widened(s, count, w);
    if (!wide)
        return FNN_NO_MEMORY;
    int status = DRIVER(conv_bwd_x)(&merged, conv_merged_algorithm(algorithm), dy, wide, dx, false);
    fnn_free(wide);
    return status;
}

static int conv_merged_bwd_w(const fnn_conv_shape *s, int algorithm, const real *dy, const real *x, real *dw)
{
    int64_t count = conv_merge_count(s, algorithm);
    fnn_conv_shape merged = conv_merged_shape(s, count);
    real *wide = fnn_alloc(sizeof(real) * (size_t)max_int(conv_merged_reals(s, count), 1));
    if (!wide)
        return FNN_NO_MEMORY;
    int status = DRIVER(conv_bwd_w)(&merged, conv_merged_algorithm(algorithm), dy, x, wide);
    if (status == FNN_OK)
        conv_merged_filters(s, count, dw, wide, true);
    fnn_free(wide);
    return status;
}
