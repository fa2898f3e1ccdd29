/* conv_bf16.inc.h - 2-D convolution of operands rounded to bfloat16, summed in float32.
 *
 * Forward and data gradient are conv_direct.inc.h's correlations: a task rounds a band of image rows into zero-padded
 * rows of bfloat16, and tiles of output pixels are matrix products whose inner dimension is one run of (s, c) for each
 * filter row. All phases of a strided data gradient share the band. 1x1 is linear_bf16.inc.h's product. Where no unit
 * forms such products, rounded copies go through the float32 algorithms. */

#include "../bf16.h"

#define BF16_PHASES 16         /* of a data gradient, at most: strides up to 4 x 4 */
#define BF16_BAND_HALVES 65536 /* of a band of rows: stays in the second-level cache */

#define BF16_CHANNELS 16 /* in and out, at least: fewer gain nothing */

/* The rule: which convolutions autocast rounds. Winograd's 3x3 are faster in float32 than these products, unless those
 * are formed on tile registers. */
static bool conv_in_bf16(const fnn_conv_shape *s, int algorithm)
{
    bool plane = s->in[0] == 1 && s->kernel[0] == 1 && s->pad[0] == 0 && s->stride[0] == 1;
    bool dense = s->dilation[1] == 1 && s->dilation[2] == 1 && s->groups == 1;
    return algorithm == FNN_CONV_BF16 && sizeof(real) == sizeof(float) && plane && dense &&
           s->stride[1] * s->stride[2] <= BF16_PHASES && min_int(s->c, s->k) >= BF16_CHANNELS &&
           ((fnn_active_bf16 && fnn_active_bf16->tiles) || conv_taps(s) == 1 ||
            conv_select(s, FNN_CONV_AUTO, s->k) != CONV_WINOGRAD);
}

#ifdef FNN_REAL_F64

static int conv_bf16_fwd(const fnn_conv_shape *s, const real *x, const real *w, const fnn_epilogue *given,
                         const epilogue *e, real *y)
{
    return DRIVER(conv_fwd)(s, FNN_CONV_AUTO, x, w, NULL, given, y, e->moments.to, e->moments.measured);
}

static int conv_bf16_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    return DRIVER(conv_bwd_x)(s, FNN_CONV_AUTO, dy, w, dx, false);
}

static int conv_bf16_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    return DRIVER(conv_bwd_w)(s, FNN_CONV_AUTO, dy, x, dw);
}

#else

static int64_t conv_in_floats(const fnn_conv_shape *s) { return s->n * conv_in_pixels(s) * s->c; }
static int64_t conv_out_floats(const fnn_conv_shape *s) { return s->n * conv_out_pixels(s) * s->k; }
static int64_t conv_weight_floats(const fnn_conv_shape *s) { return s->k * s->c * conv_taps(s); }

static bool conv_is_product(const fnn_conv_shape *s)
{
    return conv_taps(s) == 1 && s->stride[1] == 1 && s->stride[2] == 1 && !s->pad[1] && !s->pad[2];
}

/* Rounding and packing take longer than the products. */
static double conv_bf16_work(const fnn_conv_shape *s)
{
    return 4.0 * (double)(conv_in_floats(s) + conv_out_floats(s)) * FNN_NS_PER_BYTE +
           0.12 * conv_flops(s) * FNN_NS_PER_FLOP;
}

/* ---- forward, and backward for data ---- */

/* Output pixels (step_y * i + first, ...) of a data gradient, or all of a forward pass: (oh, ow) of them. Pixel (i, j)
 * reads image rows i * stride - pad and on. Pads may be negative, taps 0. */
typedef struct {
    int64_t oh, ow, taps_y, taps_x, pad_y, pad_x, out;
    conv_phase y, x;
    uint16_t *packed; /* [panel][r][s][c / 2][column][2] */
} bf16_phase;

typedef struct {
    const fnn_conv_shape *s;
    int64_t ih, iw, ic, oc, stride_y, stride_x;
    const float *in, *w;
    const epilogue *e; /* or NULL */
    float *out;
    int64_t out_image, out_row, out_pixel; /* steps of out */
    bool backward;
    int64_t count;
    bf16_phase phase[BF16_PHASES];
    /* derived; c: channels in the band, ic filled up */
    int64_t c, depth, width, panels, oh, above, below, left, row_pixels, row, band, bands;
    int64_t band_halves, gather_floats;
    uint16_t *scratch;
    float *gather;
} bf16_correlation;

static void bf16_correlation_cut(bf16_correlation *d)
{
    d->c = round_up(d->ic, d->ic <= 32 ? 2 : 32);
    d->depth = 32;
    d->width = d->oc <= 16 ? 16 : 32;
    d->panels = ceil_div(d->oc, d->width);
    d->oh = 0;
    d->above = d->left = d->below = -(1 << 30);
    int64_t right = d->left;
    for (int64_t i = 0; i < d->count; i++) {
        const bf16_phase *p = &d->phase[i];
        d->oh = max_int(d->oh, p->oh);
        if (p->taps_y * p->taps_x == 0)
            continue;
        while (p->taps_x * d->c % d->depth)
            d->depth -= 2;
        d->above = max_int(d->above, p->pad_y);
        d->below = max_int(d->below, p->taps_y - 1 - p->pad_y);
        d->left = max_int(d->left, p->pad_x);
        right = max_int(right, (p->ow - 1) * d->stride_x + p->taps_x - 1 - p->pad_x);
    }
    d->row_pixels = d->left + right + 1;
    d->row = d->row_pixels * d->c;
    int64_t rows = max_int(BF16_BAND_HALVES / max_int(d->row, 1) - d->above - d->below, 0) / d->stride_y + 1;
    d->bands = ceil_div(d->oh, min_int(rows, d->oh));
    d->band = ceil_div(d->oh, d->bands);
    d->bands = ceil_div(d->oh, d->band);
    d->band_halves = ((d->band - 1) * d->stride_y + d->above + d->below + 1) * d->row;
    d->band_halves = round_up(d->band_halves + BF16_TILE * d->stride_x * d->c, 32);
    d->gather_floats = conv_taps(d->s) > 1 ? round_up(d->ic, 16) * 32 : 0;
}

/* Rounds image rows [first, first + count) that exist into the band, with zeros at both ends. */
static void bf16_band_rows(const bf16_correlation *d, const float *image, int64_t first, int64_t count, uint16_t *to)
{
    int64_t lo = min_int(max_int(d->left, 0), d->row_pixels), hi = max_int(min_int(d->iw + d->left, d->row_pixels), lo);
    for (int64_t y = max_int(first, 0); y < min_int(first + count, d->ih); y++) {
        const float *from = image + (y * d->iw + lo - d->left) * d->ic;
        uint16_t *row = to + (y - first) * d->row;
        memset(row, 0, sizeof(uint16_t) * (size_t)(lo * d->c));
        if (d->c == d->ic)
            fnn_active_bf16->round_rows(1, (hi - lo) * d->c, (hi - lo) * d->c, from, 0, row + lo * d->c, 0);
        else
            fnn_active_bf16->round_rows(hi - lo, d->ic, d->c, from, d->ic, row + lo * d->c, d->c);
        memset(row + hi * d->c, 0, sizeof(uint16_t) * (size_t)((d->row_pixels - hi) * d->c));
    }
}

/* Output row i of one phase, columns of one panel; the band holds image rows from `first`. */
static void bf16_phase_row(const bf16_correlation *d, const bf16_phase *p, const uint16_t *rows, int64_t first,
                           int64_t i, int64_t panel, float *out)
{
    int64_t iy = i * d->stride_y - p->pad_y, j = panel * d->width, run = p->taps_x * d->c;
    int64_t r0 = min_int(max_int(-iy, 0), p->taps_y), r1 = max_int(min_int(p->taps_y, d->ih - iy), r0);
    fnn_bf16_tile tile = {.k = run, .runs = run ? r1 - r0 : 0, .depth = d->depth, .a_step = d->stride_x * d->c};
    tile.a_run = d->row;
    tile.b_run = run * d->width;
    tile.c_step = d->out_pixel;
    tile.width = (int)d->width;
    const uint16_t *a = tile.runs ? rows + (iy + r0 - first) * d->row + (d->left - p->pad_x) * d->c : rows;
    const uint16_t *b = p->packed + (panel * p->taps_y + r0) * tile.b_run;
    const float *bias = d->e && d->e->bias ? d->e->bias + j : NULL;
    int64_t at = p->out + i * d->out_row + j, cols = min_int(d->width, d->oc - j);
    fnn_active_bf16->product(&tile, a, b, bias, out + at, p->ow, (int)cols, 0);
    if (d->e)
        epilogue_finish(d->e, out + at - d->out, p->ow, cols, d->out_pixel, d->out);
}

static void bf16_band_task(void *context, int64_t index, int thread)
{
    const bf16_correlation *d = context;
    int64_t n = index / d->bands, i0 = index % d->bands * d->band, i1 = min_int(i0 + d->band, d->oh);
    int64_t first = i0 * d->stride_y - d->above;
    uint16_t *rows = d->scratch + thread * d->band_halves;
    float *out = d->out + n * d->out_image;
    bf16_band_rows(d, d->in + n * d->ih * d->iw * d->ic, first, (i1 - i0 - 1) * d->stride_y + d->above + d->below + 1,
                   rows);
    fnn_active_bf16->begin(d->depth);
    for (int64_t i = i0; i < i1; i++)
        for (int64_t k = 0; k < d->count; k++)
            for (int64_t panel = 0; panel < d->panels && i < d->phase[k].oh && d->phase[k].ow > 0; panel++)
                bf16_phase_row(d, &d->phase[k], rows, first, i, panel, out);
    fnn_active_bf16->end();
}

/* Packs tap (r, s) of a phase for one panel: rows of the panel are the correlation's input channels. */
static void bf16_pack_tap(const bf16_correlation *d, const bf16_phase *p, int64_t r, int64_t s, int64_t panel,
                          float *gather, uint16_t *to)
{
    const fnn_conv_shape *shape = d->s;
    int64_t j = panel * d->width, taps = conv_taps(shape), tap = r * shape->kernel[2] + s;
    int cols = (int)min_int(d->width, d->oc - j), width = (int)d->width;
    if (d->backward) { /* mirrored, of the phase's taps: columns are c, rows k */
        int64_t y = p->y.first_tap + shape->stride[1] * (p->taps_y - 1 - r);
        tap = y * shape->kernel[2] + p->x.first_tap + shape->stride[2] * (p->taps_x - 1 - s);
    }
    const float *w = d->w + (d->backward ? j : j * d->ic) * taps + tap;
    int64_t row = d->backward ? d->oc : d->ic, rows = d->backward ? d->ic : cols, across = d->backward ? cols : d->ic;
    int64_t step = row;
    if (taps > 1) {
        step = d->backward ? 32 : round_up(d->ic, 16);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t q = 0; q < across; q++)
                gather[i * step + q] = w[(i * row + q) * taps];
        w = gather;
    }
    if (d->backward)
        fnn_active_bf16->pair_rows(d->c, 0, d->ic, w, step, cols, width, to);
    else
        fnn_active_bf16->pair_columns(d->ic, d->c, w, step, cols, width, to);
}

static void bf16_pack_panel_task(void *context, int64_t index, int thread)
{
    const bf16_correlation *d = context;
    const bf16_phase *p = &d->phase[index / d->panels];
    int64_t panel = index % d->panels, tap_halves = d->c * d->width;
    uint16_t *to = p->packed + panel * p->taps_y * p->taps_x * tap_halves;
    for (int64_t r = 0; r < p->taps_y; r++)
        for (int64_t s = 0; s < p->taps_x; s++, to += tap_halves)
            bf16_pack_tap(d, p, r, s, panel, d->gather + thread * d->gather_floats, to);
}

static int bf16_correlate(bf16_correlation *d)
{
    int64_t packed = 0, tasks = d->count * d->panels;
    for (int64_t i = 0; i < d->count; i++)
        packed += d->phase[i].taps_y * d->phase[i].taps_x * d->c * d->width * d->panels;
    int width = fnn_parallel_width(d->s->n * d->bands, conv_bf16_work(d->s));
    int pack_width = fnn_parallel_width(tasks, (double)packed);
    int64_t gather = pack_width * d->gather_floats, halves = packed + width * d->band_halves;
    float *workspace = fnn_alloc(sizeof(float) * (size_t)gather + sizeof(uint16_t) * (size_t)halves);
    if (!workspace)
        return FNN_NO_MEMORY;
    d->gather = workspace;
    uint16_t *at = (uint16_t *)(void *)(workspace + gather);
    for (int64_t i = 0; i < d->count; i++) {
        d->phase[i].packed = at;
        at += d->phase[i].taps_y * d->phase[i].taps_x * d->c * d->width * d->panels;
    }
    d->scratch = at;
    fnn_parallel(tasks, pack_width, bf16_pack_panel_task, d);
    fnn_parallel_dynamic(d->s->n * d->bands, width, bf16_band_task, d);
    fnn_free(workspace);
    return FNN_OK;
}

static int conv_bf16_fwd(const fnn_conv_shape *s, const float *x, const float *w, const fnn_epilogue *given,
                         const epilogue *e, float *y)
{
    if (!fnn_active_bf16) {
        float *w_rounded, *x_rounded = bf16_round_two(x, conv_in_floats(s), w, conv_weight_floats(s), &w_rounded);
        if (!x_rounded)
            return FNN_NO_MEMORY;
        int status = DRIVER(conv_fwd)(s, FNN_CONV_AUTO, x_rounded, w_rounded, NULL, given, y, e->moments.to,
                                      e->moments.measured);
        fnn_free(x_rounded);
        return status;
    }
    if (conv_is_product(s)) {
        bf16_plan g = {.m = s->n * conv_in_pixels(s), .n = s->k, .k = s->c, .a = x, .b = w, .bias = e->bias, .c = y};
        g.e = e;
        g.a_row = g.b_row = s->c;
        g.b_transposed = true;
        return bf16_gemm(&g);
    }
    bf16_correlation d = {.s = s, .ih = s->in[1], .iw = s->in[2], .ic = s->c, .oc = s->k, .in = x, .w = w, .out = y};
    d.e = e;
    d.stride_y = s->stride[1];
    d.stride_x = s->stride[2];
    d.out_pixel = s->k;
    d.out_row = s->out[2] * s->k;
    d.out_image = s->out[1] * d.out_row;
    d.count = 1;
    d.phase[0] = (bf16_phase){.oh = s->out[1], .ow = s->out[2], .taps_y = s->kernel[1], .taps_x = s->kernel[2]};
    d.phase[0].pad_y = s->pad[1];
    d.phase[0].pad_x = s->pad[2];
    bf16_correlation_cut(&d);
    return bf16_correlate(&d);
}

static int conv_bf16_bwd_x(const fnn_conv_shape *s, const float *dy, const float *w, float *dx)
{
    if (!fnn_active_bf16) {
        float *w_rounded, *dy_rounded = bf16_round_two(dy, conv_out_floats(s), w, conv_weight_floats(s), &w_rounded);
        if (!dy_rounded)
            return FNN_NO_MEMORY;
        int status = DRIVER(conv_bwd_x)(s, FNN_CONV_AUTO, dy_rounded, w_rounded, dx, false);
        fnn_free(dy_rounded);
        return status;
    }
    if (conv_is_product(s)) {
        bf16_plan g = {.m = s->n * conv_in_pixels(s), .n = s->c, .k = s->k, .a = dy, .b = w, .c = dx};
        g.a_row = s->k;
        g.b_row = s->c;
        return bf16_gemm(&g);
    }
    bf16_correlation d = {.s = s, .ih = s->out[1], .iw = s->out[2], .ic = s->k, .oc = s->c, .in = dy, .w = w};
    d.out = dx;
    d.backward = true;
    d.stride_y = d.stride_x = 1;
    d.out_pixel = s->stride[2] * s->c;
    d.out_row = s->stride[1] * s->in[2] * s->c;
    d.out_image = s->in[1] * s->in[2] * s->c;
    d.count = s->stride[1] * s->stride[2];
    for (int64_t i = 0; i < d.count; i++) {
        int64_t first_y = i / s->stride[2], first_x = i % s->stride[2];
        bf16_phase *p = &d.phase[i];
        p->y = conv_phase_of(s, FNN_HEIGHT, first_y);
        p->x = conv_phase_of(s, FNN_WIDTH, first_x);
        p->oh = p->y.count;
        p->ow = p->x.count;
        p->taps_y = p->y.taps;
        p->taps_x = p->x.taps;
        p->pad_y = p->y.pad;
        p->pad_x = p->x.pad;
        p->out = (first_y * s->in[2] + first_x) * s->c;
    }
    bf16_correlation_cut(&d);
    return bf16_correlate(&d);
}

#include "conv_bf16_weight.inc.h"

static int conv_bf16_bwd_w(const fnn_conv_shape *s, const float *dy, const float *x, float *dw)
{
    if (!fnn_active_bf16) {
        float *x_rounded, *dy_rounded = bf16_round_two(dy, conv_out_floats(s), x, conv_in_floats(s), &x_rounded);
        if (!dy_rounded)
            return FNN_NO_MEMORY;
        int status = DRIVER(conv_bwd_w)(s, FNN_CONV_AUTO, dy_rounded, x_rounded, dw);
        fnn_free(dy_rounded);
        return status;
    }
    if (!conv_is_product(s))
        return conv_bf16_bwd_w_by_taps(s, dy, x, dw);
    bf16_plan g = {.m = s->k, .n = s->c, .k = s->n * conv_in_pixels(s), .a = dy, .b = x, .c = dw};
    g.a_row = s->k;
    g.b_row = s->c;
    g.a_transposed = true;
    return bf16_gemm(&g);
}

#endif
