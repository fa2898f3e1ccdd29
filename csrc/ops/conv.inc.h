/* conv.inc.h - convolution: which algorithm computes which shape, and the entry points.
 *
 *   forward            y[n, o, k] = sum_{t, c} x[n, o * stride + t * dilation - pad, c] * w[k, c, t] + bias[k],
 *                      and what else the epilogue asks for
 *   backward, data     dx = the adjoint in x
 *   backward, weight   dw = the adjoint in w
 *
 * x (n, in, c) and y (n, out, k) are channels-last, w (k, c / groups, taps) is PyTorch's layout. */

static inline int64_t conv_taps(const fnn_conv_shape *s) { return s->kernel[0] * s->kernel[1] * s->kernel[2]; }
static inline int64_t conv_in_pixels(const fnn_conv_shape *s) { return s->in[0] * s->in[1] * s->in[2]; }
static inline int64_t conv_out_pixels(const fnn_conv_shape *s) { return s->out[0] * s->out[1] * s->out[2]; }

static double conv_flops(const fnn_conv_shape *s)
{
    return 2.0 * (double)s->n * (double)conv_out_pixels(s) * (double)s->k * (double)(s->c / s->groups) *
           (double)conv_taps(s);
}

/* Of one axis: which taps reach the input positions phase, phase + stride, ..., and where they read dy. Taps are
 * first_tap + j * tap_step, j < taps; position phase + stride * i reads dy at i - pad + (taps - 1 - j) * dilation. */
typedef struct {
    int64_t first_tap, tap_step, taps, dilation, pad, count; /* count: input positions of the phase */
} conv_phase;

static conv_phase conv_phase_of(const fnn_conv_shape *s, int axis, int64_t phase)
{
    int64_t stride = s->stride[axis], dilation = s->dilation[axis], common = stride, rest = dilation;
    while (rest) { /* the greatest common divisor */
        int64_t next = common % rest;
        common = rest;
        rest = next;
    }
    conv_phase p = {.tap_step = stride / common, .dilation = dilation / common};
    while (p.first_tap < p.tap_step && (phase + s->pad[axis] - p.first_tap * dilation) % stride != 0)
        p.first_tap++;
    if (p.first_tap < min_int(p.tap_step, s->kernel[axis]))
        p.taps = ceil_div(s->kernel[axis] - p.first_tap, p.tap_step);
    /* a multiple of the stride, if there are taps */
    p.pad = (p.taps - 1) * p.dilation - (phase + s->pad[axis] - p.first_tap * dilation) / stride;
    p.count = s->in[axis] > phase ? ceil_div(s->in[axis] - phase, stride) : 0;
    return p;
}

#include "conv_depthwise.inc.h"
#include "conv_direct.inc.h"
#include "conv_direct_weight.inc.h"
#include "conv_im2col.inc.h"
#include "conv_planar.inc.h"
#include "conv_winograd.inc.h"
#include "conv_winograd_backward.inc.h"

static bool conv_is_plane(const fnn_conv_shape *s)
{
    return s->in[0] == 1 && s->kernel[0] == 1 && s->pad[0] == 0 && s->stride[0] == 1;
}

static bool conv_is_depthwise(const fnn_conv_shape *s)
{
    return conv_is_plane(s) && s->groups > 1 && s->groups == s->c && s->k == s->c;
}

typedef enum { CONV_POINTWISE, CONV_DEPTHWISE, CONV_DIRECT, CONV_PLANAR, CONV_WINOGRAD, CONV_IM2COL } conv_algorithm;

/* The selection rule. `outputs` are the channels that the pass computes: k forward and in the weight gradient, c in
 * the data gradient. */
static conv_algorithm conv_select(const fnn_conv_shape *s, int forced, int64_t outputs)
{
    bool plane = conv_is_plane(s), dense = s->dilation[1] == 1 && s->dilation[2] == 1;
    bool unit = s->stride[0] == 1 && s->stride[1] == 1 && s->stride[2] == 1;
    bool padded = s->pad[0] || s->pad[1] || s->pad[2];
    if (forced == FNN_CONV_IM2COL)
        return CONV_IM2COL;
    if (conv_is_depthwise(s))
        return CONV_DEPTHWISE;
    if (conv_taps(s) == 1 && unit && !padded && s->groups == 1 && forced != FNN_CONV_DIRECT)
        return CONV_POINTWISE;
    if (!plane)
        return CONV_IM2COL;
    if (!dense || forced == FNN_CONV_DIRECT)
        return CONV_DIRECT;
    bool tiles = s->kernel[1] == 3 && s->kernel[2] == 3 && unit && s->pad[1] <= 2 && s->pad[2] <= 2;
    if (unit && s->groups == 1 && forced != FNN_CONV_WINOGRAD && outputs <= min_int(FNN_PLANAR_CHANNELS, K->lanes / 2))
        return CONV_PLANAR;
    if (!tiles)
        return CONV_DIRECT;
    bool pays = sizeof(real) == sizeof(float) && min_int(s->c, s->k) / s->groups >= 16;
    return pays || forced == FNN_CONV_WINOGRAD ? CONV_WINOGRAD : CONV_DIRECT;
}

#include "conv_bf16.inc.h"

/* A 1x1 convolution is the product of the (pixels, c) matrix with the (k, c) weights. */
static gemm_plan conv_pointwise_plan(const fnn_conv_shape *s, const real *w)
{
    gemm_plan g = {.m = s->n * conv_in_pixels(s), .n = s->k, .k = s->c, .b = w};
    g.a_row = g.b_row = s->c;
    g.b_transposed = true;
    return g;
}

static int64_t conv_pointwise_prepared(const fnn_conv_shape *s)
{
    gemm_plan g = conv_pointwise_plan(s, NULL);
    return gemm_prepared(&g);
}

static void conv_pointwise_prepare(const fnn_conv_shape *s, const real *w, real *to)
{
    gemm_plan g = conv_pointwise_plan(s, w);
    gemm_prepare(&g, to);
}

static int conv_pointwise_fwd(const fnn_conv_shape *s, const real *x, const real *w, const real *prepared,
                              const epilogue *e, real *y)
{
    gemm_plan g = conv_pointwise_plan(s, w);
    epilogue own = *e;
    g.a = x;
    g.bias = e->bias;
    g.e = &own;
    g.prepared = prepared;
    g.c = y;
    if (gemm_in_blocks(&g) && moments_begin(&own.moments, ceil_div(g.m, GEMM_ROW_BLOCK), s->k) != FNN_OK)
        return FNN_NO_MEMORY;
    int status = gemm(&g);
    if (status == FNN_OK)
        moments_end(&own.moments);
    else
        fnn_free(own.moments.counts);
    return status;
}

static gemm_plan conv_pointwise_data_plan(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    gemm_plan g = {.m = s->n * conv_in_pixels(s), .n = s->c, .k = s->k, .a = dy, .b = w, .c = dx};
    g.a_row = s->k;
    g.b_row = s->c;
    return g;
}

static gemm_plan conv_pointwise_weight_plan(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    gemm_plan g = {.m = s->k, .n = s->c, .k = s->n * conv_in_pixels(s), .a = dy, .b = x, .c = dw};
    g.a_row = s->k;
    g.b_row = s->c;
    g.a_transposed = true;
    return g;
}

static int conv_pointwise_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    gemm_plan g = conv_pointwise_data_plan(s, dy, w, dx);
    return gemm(&g);
}

static int conv_pointwise_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    gemm_plan g = conv_pointwise_weight_plan(s, dy, x, dw);
    return gemm(&g);
}

/* Planar vectors pay where channel vectors would be half empty: for few output channels, in a data gradient for few
 * input channels, and in weight gradients whose columns (taps by channels) are not too many to gather. */
static conv_algorithm conv_select_fwd(const fnn_conv_shape *s, int forced) { return conv_select(s, forced, s->k); }

/* How long the filters are in the form in which the forward pass reads them; 0: as they come. */
static int64_t conv_prepared(const fnn_conv_shape *s, conv_algorithm algorithm)
{
    switch (algorithm) {
    case CONV_POINTWISE:
        return conv_pointwise_prepared(s);
    case CONV_DEPTHWISE:
        return conv_depthwise_prepared(s);
    case CONV_DIRECT:
        return conv_direct_prepared(s);
    case CONV_PLANAR:
        return conv_planar_prepared(s);
    case CONV_WINOGRAD:
        return conv_winograd_prepared(s);
    default:
        return conv_im2col_prepared(s);
    }
}

static int conv_prepare(const fnn_conv_shape *s, conv_algorithm algorithm, const real *w, real *to)
{
    switch (algorithm) {
    case CONV_POINTWISE:
        return conv_pointwise_prepare(s, w, to), FNN_OK;
    case CONV_DEPTHWISE:
        return conv_depthwise_prepare(s, w, to), FNN_OK;
    case CONV_DIRECT:
        return conv_direct_prepare(s, w, to), FNN_OK;
    case CONV_PLANAR:
        return conv_planar_prepare(s, w, to), FNN_OK;
    case CONV_WINOGRAD:
        return conv_winograd_prepare(s, w, to);
    default:
        return conv_im2col_prepare(s, w, to), FNN_OK;
    }
}

static int conv_run(const fnn_conv_shape *s, conv_algorithm algorithm, const real *x, const real *w,
                    const real *prepared, const epilogue *e, real *y)
{
    switch (algorithm) {
    case CONV_POINTWISE:
        return conv_pointwise_fwd(s, x, w, prepared, e, y);
    case CONV_DEPTHWISE:
        return conv_depthwise_fwd(s, x, prepared, e, y);
    case CONV_DIRECT:
        return conv_direct_fwd(s, x, prepared, e, y);
    case CONV_PLANAR:
        return conv_planar_fwd(s, x, prepared, e, y);
    case CONV_WINOGRAD:
        return conv_winograd_fwd(s, x, prepared, e, y);
    default:
        return conv_im2col_fwd(s, x, prepared, e, y);
    }
}

#include "conv_merged.inc.h"

int DRIVER(conv_prepare)(const fnn_conv_shape *s, int algorithm, const real *w, real *prepared, int64_t *reals)
{
    if (conv_merge_count(s, algorithm) > 1)
        return conv_merged_prepare(s, algorithm, w, prepared, reals);
    bool nothing = s->n * conv_out_pixels(s) * s->k == 0 || conv_in_bf16(s, algorithm);
    conv_algorithm chosen = conv_select_fwd(s, algorithm);
    *reals = nothing ? 0 : conv_prepared(s, chosen);
    return prepared && *reals ? conv_prepare(s, chosen, w, prepared) : FNN_OK;
}

int DRIVER(conv_fwd)(const fnn_conv_shape *s, int algorithm, const real *x, const real *w, const real *prepared,
                     const fnn_epilogue *e, real *y, double *moments, bool *measured)
{
    *measured = false;
    if (s->n * conv_out_pixels(s) * s->k == 0)
        return FNN_OK;
    if (conv_merge_count(s, algorithm) > 1)
        return conv_merged_fwd(s, algorithm, x, w, prepared, e, y, moments, measured);
    conv_algorithm chosen = conv_select_fwd(s, algorithm);
    epilogue typed = epilogue_of(e);
    typed.moments = (moments_plan){.to = moments, .measured = measured};
    if (conv_in_bf16(s, algorithm))
        return conv_bf16_fwd(s, x, w, e, &typed, y);
    if (prepared || chosen == CONV_POINTWISE) /* a product packs its filters itself, if it packs them at all */
        return conv_run(s, chosen, x, w, prepared, &typed, y);
    real *own = fnn_alloc(sizeof(real) * (size_t)max_int(conv_prepared(s, chosen), 1));
    if (!own)
        return FNN_NO_MEMORY;
    int status = conv_prepare(s, chosen, w, own);
    if (status == FNN_OK)
        status = conv_run(s, chosen, x, w, own, &typed, y);
    fnn_free(own);
    return status;
}

static int conv_data_gradient(const fnn_conv_shape *s, int algorithm, const real *dy, const real *w, real *dx)
{
    if (conv_merge_count(s, algorithm) > 1)
        return conv_merged_bwd_x(s, algorithm, dy, w, dx);
    if (conv_in_bf16(s, algorithm))
        return conv_bf16_bwd_x(s, dy, w, dx);
    switch (conv_select(s, algorithm, s->c)) {
    case CONV_POINTWISE:
        return conv_pointwise_bwd_x(s, dy, w, dx);
    case CONV_DEPTHWISE:
        return conv_depthwise_bwd_x(s, dy, w, dx);
    case CONV_DIRECT:
        return conv_direct_bwd_x(s, dy, w, dx);
    case CONV_PLANAR:
        return conv_planar_bwd_x(s, dy, w, dx);
    case CONV_WINOGRAD:
        return conv_winograd_bwd_x(s, dy, w, dx, false);
    default:
        return conv_im2col_bwd_x(s, dy, w, dx);
    }
}

/* With `add`, dx holds a gradient already: Winograd's output transform adds to it, the others' results are added. */
int DRIVER(conv_bwd_x)(const fnn_conv_shape *s, int algorithm, const real *dy, const real *w, real *dx, bool add)
{
    int64_t size = s->n * conv_in_pixels(s) * s->c;
    if (size == 0)
        return FNN_OK;
    if (s->k == 0) { /* no filters: nothing arrives */
        if (!add)
            memset(dx, 0, sizeof(real) * (size_t)size);
        return FNN_OK;
    }
    if (!add)
        return conv_data_gradient(s, algorithm, dy, w, dx);
    bool alone = conv_merge_count(s, algorithm) == 1 && !conv_in_bf16(s, algorithm);
    if (alone && conv_select(s, algorithm, s->c) == CONV_WINOGRAD)
        return conv_winograd_bwd_x(s, dy, w, dx, true);
    real *other = fnn_alloc(sizeof(real) * (size_t)size);
    if (!other)
        return FNN_NO_MEMORY;
    int status = conv_data_gradient(s, algorithm, dy, w, other);
    if (status == FNN_OK)
        add_partials(dx, other, size, 1);
    fnn_free(other);
    return status;
}

int DRIVER(conv_bwd_w)(const fnn_conv_shape *s, int algorithm, const real *dy, const real *x, real *dw)
{
    int64_t weights = s->k * (s->c / s->groups) * conv_taps(s);
    if (weights == 0)
        return FNN_OK;
    if (s->n * conv_out_pixels(s) == 0) {
        memset(dw, 0, sizeof(real) * (size_t)weights);
        return FNN_OK;
    }
    if (conv_merge_count(s, algorithm) > 1)
        return conv_merged_bwd_w(s, algorithm, dy, x, dw);
    if (conv_in_bf16(s, algorithm))
        return conv_bf16_bwd_w(s, dy, x, dw);
    switch (conv_select(s, algorithm, s->k)) {
    case CONV_POINTWISE:
        return conv_pointwise_bwd_w(s, dy, x, dw);
    case CONV_DEPTHWISE:
        return conv_depthwise_bwd_w(s, dy, x, dw);
    case CONV_DIRECT:
        return conv_direct_bwd_w(s, dy, x, dw);
    case CONV_PLANAR:
        return conv_planar_bwd_w(s, dy, x, dw);
    case CONV_WINOGRAD:
        return conv_winograd_bwd_w(s, dy, x, dw);
    default:
        return conv_im2col_bwd_w(s, dy, x, dw);
    }
}

/* Both gradients: one after the other, or together where a pass can use what the other has in the cache. */
int DRIVER(conv_bwd)(const fnn_conv_shape *s, int algorithm, const real *dy, const real *x, const real *w, real *dx,
                     bool add, real *dw)
{
    bool some = s->n * conv_out_pixels(s) * s->k * s->c > 0;
    if (some && conv_merge_count(s, algorithm) == 1 && !conv_in_bf16(s, algorithm)) {
        conv_algorithm data = conv_select(s, algorithm, s->c), weight = conv_select(s, algorithm, s->k);
        if (data == CONV_WINOGRAD && weight == CONV_WINOGRAD && conv_winograd_joint(s))
            return conv_winograd_bwd(s, dy, x, w, dx, add, dw);
        gemm_plan rows = conv_pointwise_data_plan(s, dy, w, dx), sums = conv_pointwise_weight_plan(s, dy, x, dw);
        if (data == CONV_POINTWISE && !add && gemm_pair_pays(&rows, &sums))
            return gemm_pair(&rows, &sums);
    }
    int status = DRIVER(conv_bwd_x)(s, algorithm, dy, w, dx, add);
    return status == FNN_OK ? DRIVER(conv_bwd_w)(s, algorithm, dy, x, dw) : status;
}
