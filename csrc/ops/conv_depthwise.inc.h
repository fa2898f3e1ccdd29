/* conv_depthwise.inc.h - 2-D convolution with one filter per channel.
 *
 * Weights are reordered to (taps, c). Nothing is copied: the outputs of an image fall into rectangles that see the same
 * taps (all of them in the middle, fewer along the edges), with a kernel call for each of their rows. A task is
 * one image, or a band of its rows where images are few. The data gradient runs the same kernel over dy, once for each
 * phase of the stride (see conv_phase); the weight gradient sums images in fixed chunks. */

#define DEPTHWISE_CHUNKS 16
#define DEPTHWISE_FEW_TASKS 4     /* at least as many, where a small batch has rows enough */
#define DEPTHWISE_GRAD_REALS 8192 /* of dy in a kernel call of the weight gradient: they stay in the nearest cache */

/* The correlation of an image (ih, iw) with taps (r, q), giving (oh, ow); pads may be negative, taps 0. */
typedef struct {
    int64_t c, ih, iw, oh, ow, r, q, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x;
    int64_t out_image, out_row, out_pixel, bands;
    const real *in, *dy, *weights;
    epilogue e;
    real *out, *partial;
    int64_t n, chunk, chunks;
} depthwise_plan;

/* Outputs [first, last) of one axis, which see taps [lo, hi). */
typedef struct {
    int64_t first, last, lo, hi;
} depthwise_stretch;

static void depthwise_taps(int64_t at, int64_t size, int64_t dilation, int64_t taps, int64_t *lo, int64_t *hi)
{
    *lo = at < 0 ? min_int(ceil_div(-at, dilation), taps) : 0;
    *hi = at < size ? max_int(min_int(ceil_div(size - at, dilation), taps), *lo) : *lo;
}

/* The stretch that begins at output `first`, and ends before `end` if not earlier. */
static depthwise_stretch depthwise_next(int64_t first, int64_t end, int64_t stride, int64_t pad, int64_t size,
                                        int64_t dilation, int64_t taps)
{
    depthwise_stretch s = {first, first + 1, 0, 0};
    depthwise_taps(first * stride - pad, size, dilation, taps, &s.lo, &s.hi);
    for (int64_t lo, hi; s.last < end; s.last++) {
        depthwise_taps(s.last * stride - pad, size, dilation, taps, &lo, &hi);
        if (lo != s.lo || hi != s.hi)
            break;
    }
    return s;
}

/* What is done with one rectangle of outputs of image n. */
typedef void depthwise_work(const depthwise_plan *p, int64_t n, depthwise_stretch y, depthwise_stretch x, real *to);

#define DEPTHWISE_COLUMNS 64 /* stretches of a row that are found at a time */

/* All rectangles of output rows [first, end), at most `height` rows high. */
static void depthwise_rows(const depthwise_plan *p, int64_t n, int64_t first, int64_t end, int64_t height,
                           depthwise_work *work, real *to)
{
    depthwise_stretch columns[DEPTHWISE_COLUMNS];
    for (int64_t x0 = 0; x0 < p->ow;) {
        int64_t count = 0;
        for (; x0 < p->ow && count < DEPTHWISE_COLUMNS; x0 = columns[count++].last)
            columns[count] = depthwise_next(x0, p->ow, p->stride_x, p->pad_x, p->iw, p->dilation_x, p->q);
        for (int64_t y0 = first; y0 < end;) {
            depthwise_stretch y =
                depthwise_next(y0, min_int(end, y0 + height), p->stride_y, p->pad_y, p->ih, p->dilation_y, p->r);
            for (int64_t i = 0; i < count; i++)
                work(p, n, y, columns[i], to);
            y0 = y.last;
        }
    }
}

static fnn_depthwise depthwise_steps(const depthwise_plan *p, depthwise_stretch y, depthwise_stretch x)
{
    fnn_depthwise d = {.channels = p->c, .rows = y.hi - y.lo, .cols = x.hi - x.lo, .out_step = p->out_pixel};
    d.in_row = p->dilation_y * p->iw * p->c;
    d.in_tap = p->dilation_x * p->c;
    d.w_row = p->q * p->c;
    d.w_tap = p->c;
    d.in_step = p->stride_x * p->c;
    d.in_next = p->stride_y * p->iw * p->c;
    d.out_next = p->out_row;
    return d;
}

/* The first pixel that the rectangle's first output sees. */
static const real *depthwise_input(const depthwise_plan *p, int64_t n, depthwise_stretch y, depthwise_stretch x)
{
    int64_t iy = y.first * p->stride_y - p->pad_y + y.lo * p->dilation_y;
    int64_t ix = x.first * p->stride_x - p->pad_x + x.lo * p->dilation_x;
    return p->in + ((n * p->ih + iy) * p->iw + ix) * p->c;
}

static void depthwise_forward(const depthwise_plan *p, int64_t n, depthwise_stretch y, depthwise_stretch x, real *to)
{
    fnn_depthwise d = depthwise_steps(p, y, x);
    const real *in = depthwise_input(p, n, y, x), *w = p->weights + y.lo * d.w_row + x.lo * d.w_tap;
    real *out = to + n * p->out_image + y.first * p->out_row + x.first * p->out_pixel;
    if (y.last - y.first == 1) /* the next row's outputs arrive meanwhile, for which stores would wait */
        for (int64_t i = 0; i < (x.last - x.first) * p->c; i += 64 / (int64_t)sizeof(real))
            __builtin_prefetch(out + d.out_next + i, 1, 2);
    for (int64_t i = y.first; i < y.last; i++, in += d.in_next, out += d.out_next)
        K->conv_depthwise_row(&d, x.last - x.first, in, w, p->e.bias, out);
}

static void depthwise_task(void *context, int64_t index, int thread)
{
    const depthwise_plan *p = context;
    int64_t n = index / p->bands, band = index % p->bands;
    int64_t first = p->oh * band / p->bands, end = p->oh * (band + 1) / p->bands;
    /* Row by row, as memory lies; phases of a data gradient, which leave pixels out, by rectangles. */
    int64_t height = p->out_pixel == p->c ? 1 : end - first;
    (void)thread;
    depthwise_rows(p, n, first, end, height, depthwise_forward, p->out);
    int64_t at = n * p->out_image + first * p->out_row, pixels = (end - first) * p->ow;
    epilogue_finish(&p->e, at, pixels, p->c, p->out_pixel, p->out);
    moments_of_rows(&p->e.moments, index, 0, pixels, p->c, p->out_pixel, p->out + at, true);
}

static depthwise_plan depthwise_forward_plan(const fnn_conv_shape *s)
{
    depthwise_plan p = {.c = s->c, .ih = s->in[1], .iw = s->in[2], .oh = s->out[1], .ow = s->out[2], .n = s->n};
    p.r = s->kernel[1];
    p.q = s->kernel[2];
    p.stride_y = s->stride[1];
    p.stride_x = s->stride[2];
    p.dilation_y = s->dilation[1];
    p.dilation_x = s->dilation[2];
    p.pad_y = s->pad[1];
    p.pad_x = s->pad[2];
    p.out_pixel = s->c;
    p.out_row = p.ow * s->c;
    p.out_image = p.oh * p.out_row;
    p.bands = s->n < DEPTHWISE_FEW_TASKS ? min_int(ceil_div(DEPTHWISE_FEW_TASKS, s->n), p.oh) : 1;
    return p;
}

static double depthwise_cost(const fnn_conv_shape *s)
{
    double pixels = (double)s->n * (double)(conv_in_pixels(s) + conv_out_pixels(s)) * (double)s->c;
    return pixels * sizeof(real) * FNN_NS_PER_BYTE * 2;
}

static int64_t conv_depthwise_prepared(const fnn_conv_shape *s) { return conv_taps(s) * s->c; }

static void conv_depthwise_prepare(const fnn_conv_shape *s, const real *w, real *to)
{
    int64_t taps = conv_taps(s);
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < s->c; c++)
            to[t * s->c + c] = w[c * taps + t];
}

static int conv_depthwise_fwd(const fnn_conv_shape *s, const real *x, const real *weights, const epilogue *e, real *y)
{
    depthwise_plan p = depthwise_forward_plan(s);
    p.in = x;
    p.weights = weights;
    p.e = *e;
    p.out = y;
    if (moments_begin(&p.e.moments, s->n * p.bands, s->k) != FNN_OK)
        return FNN_NO_MEMORY;
    fnn_parallel(s->n * p.bands, fnn_parallel_width(s->n * p.bands, depthwise_cost(s)), depthwise_task, &p);
    moments_end(&p.e.moments);
    return FNN_OK;
}

/* ---- backward, data ---- */

/* A phase of the stride, and its taps, mirrored, in `weights`. */
static depthwise_plan depthwise_phase_plan(const fnn_conv_shape *s, int64_t y0, int64_t x0, const real *w,
                                           real *weights)
{
    conv_phase y = conv_phase_of(s, FNN_HEIGHT, y0), x = conv_phase_of(s, FNN_WIDTH, x0);
    depthwise_plan p = {.c = s->c, .ih = s->out[1], .iw = s->out[2], .oh = y.count, .ow = x.count, .n = s->n};
    p.r = y.taps;
    p.q = x.taps;
    p.stride_y = p.stride_x = 1;
    p.dilation_y = y.dilation;
    p.dilation_x = x.dilation;
    p.pad_y = y.pad;
    p.pad_x = x.pad;
    p.out_pixel = s->stride[2] * s->c;
    p.out_row = s->stride[1] * s->in[2] * s->c;
    p.out_image = conv_in_pixels(s) * s->c;
    p.bands = s->n < DEPTHWISE_FEW_TASKS ? min_int(ceil_div(DEPTHWISE_FEW_TASKS, s->n), max_int(p.oh, 1)) : 1;
    p.weights = weights;
    for (int64_t t = 0; t < p.r * p.q; t++) {
        int64_t r = y.first_tap + y.tap_step * (p.r - 1 - t / p.q);
        int64_t q = x.first_tap + x.tap_step * (p.q - 1 - t % p.q);
        for (int64_t c = 0; c < s->c; c++)
            weights[t * s->c + c] = w[c * conv_taps(s) + r * s->kernel[2] + q];
    }
    return p;
}

typedef struct {
    depthwise_plan *phase;
    int64_t phases;
} depthwise_phases;

/* All phases of one image, whose dy and dx then stay in the cache. */
static void depthwise_phases_task(void *context, int64_t n, int thread)
{
    const depthwise_phases *all = context;
    for (int64_t i = 0; i < all->phases; i++)
        for (int64_t band = 0; band < all->phase[i].bands; band++)
            depthwise_task(&all->phase[i], n * all->phase[i].bands + band, thread);
}

static int conv_depthwise_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    int64_t count = s->stride[1] * s->stride[2];
    size_t plans = (size_t)round_up(count * (int64_t)sizeof(depthwise_plan), 64);
    char *workspace = fnn_alloc(plans + sizeof(real) * (size_t)(conv_taps(s) * s->c));
    if (!workspace)
        return FNN_NO_MEMORY;
    depthwise_phases all = {(depthwise_plan *)workspace, 0};
    real *weights = (real *)(workspace + plans);
    for (int64_t i = 0; i < count; i++) {
        int64_t y0 = i / s->stride[2], x0 = i % s->stride[2];
        depthwise_plan p = depthwise_phase_plan(s, y0, x0, w, weights);
        p.in = dy;
        p.out = dx + (y0 * s->in[2] + x0) * s->c;
        weights += p.r * p.q * s->c;
        if (p.oh > 0 && p.ow > 0)
            all.phase[all.phases++] = p;
    }
    double cost = depthwise_cost(s);
    if (s->n < DEPTHWISE_FEW_TASKS)
        for (int64_t i = 0; i < all.phases; i++) {
            int64_t tasks = s->n * all.phase[i].bands;
            fnn_parallel(tasks, fnn_parallel_width(tasks, cost / (double)all.phases), depthwise_task, &all.phase[i]);
        }
    else
        fnn_parallel(s->n, fnn_parallel_width(s->n, cost), depthwise_phases_task, &all);
    fnn_free(workspace);
    return FNN_OK;
}

/* ---- backward, weight ---- */

static void depthwise_gradient(const depthwise_plan *p, int64_t n, depthwise_stretch y, depthwise_stretch x, real *to)
{
    fnn_depthwise d = depthwise_steps(p, y, x);
    const real *in = depthwise_input(p, n, y, x);
    const real *dy = p->dy + n * p->out_image + y.first * p->out_row + x.first * p->out_pixel;
    int64_t rows = max_int(DEPTHWISE_GRAD_REALS / p->out_row, 1);
    for (int64_t i = y.first; i < y.last; i += rows, in += rows * d.in_next, dy += rows * d.out_next)
        K->conv_depthwise_grad(&d, min_int(rows, y.last - i), x.last - x.first, in, dy,
                               to + y.lo * d.w_row + x.lo * d.w_tap);
}

static void depthwise_w_task(void *context, int64_t index, int thread)
{
    const depthwise_plan *p = context;
    int64_t reals = p->r * p->q * p->c;
    real *dw = p->partial + index * reals;
    (void)thread;
    memset(dw, 0, sizeof(real) * (size_t)reals);
    for (int64_t n = index * p->chunk; n < min_int((index + 1) * p->chunk, p->n); n++)
        depthwise_rows(p, n, 0, p->oh, p->oh, depthwise_gradient, dw);
}

static int conv_depthwise_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    depthwise_plan p = depthwise_forward_plan(s);
    int64_t taps = conv_taps(s), reals = taps * s->c;
    p.chunk = ceil_div(s->n, min_int(s->n, DEPTHWISE_CHUNKS));
    p.chunks = ceil_div(s->n, p.chunk);
    p.partial = fnn_alloc(sizeof(real) * (size_t)(p.chunks * reals));
    if (!p.partial)
        return FNN_NO_MEMORY;
    p.in = x;
    p.dy = dy;
    fnn_parallel(p.chunks, fnn_parallel_width(p.chunks, depthwise_cost(s)), depthwise_w_task, &p);
    add_partials(p.partial, p.partial + reals, reals, p.chunks - 1);
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < s->c; c++)
            dw[c * taps + t] = p.partial[t * s->c + c];
    fnn_free(p.partial);
    return FNN_OK;
}
