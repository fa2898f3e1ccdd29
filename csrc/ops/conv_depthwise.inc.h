/* conv_depthwise.inc.h - 2-D convolution with one filter per channel, without dilation.
 *
 * Weights are reordered to (taps, c). A task is one image: its rows are copied with zeros around them, then every
 * output row is one kernel call. The data gradient runs the same kernel over dy, once for each phase of the stride
 * (see conv_phase); the weight gradient sums images in fixed chunks. */

#define DEPTHWISE_CHUNKS 16

typedef struct {
    const fnn_conv_shape *s;
    const real *in, *dy, *weights;
    epilogue e;
    real *out;
    /* of the correlation: image (ih, iw) with zeros around it -> out, taps (r, q) */
    int64_t ih, iw, oh, ow, r, q, stride_y, stride_x, pad_y, pad_x;
    int64_t out_image, out_row, out_pixel;
    int64_t padded_rows, padded_pixels, chunk, chunks;
    const int64_t *offset;
    real *scratch, *partial;
    int64_t scratch_reals;
} depthwise_plan;

static void depthwise_cut(depthwise_plan *p)
{
    p->padded_rows = (p->oh - 1) * p->stride_y + p->r;
    p->padded_pixels = (p->ow - 1) * p->stride_x + p->q;
    p->scratch_reals = round_up(p->padded_rows * p->padded_pixels * p->s->c, 16);
}

/* The image with zeros around it: row y of the copy is row y - pad_y of the image. */
static void depthwise_pad(const depthwise_plan *p, const real *image, real *to)
{
    int64_t c = p->s->c, row = p->padded_pixels * c;
    int64_t left = min_int(max_int(p->pad_x, 0), p->padded_pixels), skip = max_int(-p->pad_x, 0);
    int64_t middle = max_int(min_int(p->iw - skip, p->padded_pixels - left), 0);
    for (int64_t y = 0; y < p->padded_rows; y++, to += row) {
        int64_t from = y - p->pad_y;
        if (from < 0 || from >= p->ih) {
            memset(to, 0, sizeof(real) * (size_t)row);
            continue;
        }
        memset(to, 0, sizeof(real) * (size_t)(left * c));
        memcpy(to + left * c, image + (from * p->iw + skip) * c, sizeof(real) * (size_t)(middle * c));
        memset(to + (left + middle) * c, 0, sizeof(real) * (size_t)(row - (left + middle) * c));
    }
}

static void depthwise_task(void *context, int64_t n, int thread)
{
    const depthwise_plan *p = context;
    int64_t c = p->s->c;
    real *scratch = p->scratch + thread * p->scratch_reals;
    depthwise_pad(p, p->in + n * p->ih * p->iw * c, scratch);
    for (int64_t y = 0; y < p->oh; y++)
        K->conv_depthwise_row(p->ow, c, p->r * p->q, p->offset, scratch + y * p->stride_y * p->padded_pixels * c,
                              p->stride_x * c, p->weights, c, p->e.bias, p->out + n * p->out_image + y * p->out_row,
                              p->out_pixel);
    epilogue_finish(&p->e, n * p->out_image, p->oh * p->ow, c, p->out_pixel, p->out);
}

static void depthwise_offsets(const depthwise_plan *p, int64_t *offset)
{
    for (int64_t r = 0; r < p->r; r++)
        for (int64_t q = 0; q < p->q; q++)
            offset[r * p->q + q] = (r * p->padded_pixels + q) * p->s->c;
}

static depthwise_plan depthwise_forward_plan(const fnn_conv_shape *s)
{
    depthwise_plan p = {.s = s, .ih = s->in[1], .iw = s->in[2], .oh = s->out[1], .ow = s->out[2]};
    p.r = s->kernel[1];
    p.q = s->kernel[2];
    p.stride_y = s->stride[1];
    p.stride_x = s->stride[2];
    p.pad_y = s->pad[1];
    p.pad_x = s->pad[2];
    p.out_pixel = s->c;
    p.out_row = p.ow * s->c;
    p.out_image = p.oh * p.out_row;
    depthwise_cut(&p);
    return p;
}

static double depthwise_work(const fnn_conv_shape *s)
{
    double pixels = (double)s->n * (double)(conv_in_pixels(s) + conv_out_pixels(s)) * (double)s->c;
    return pixels * sizeof(real) * FNN_NS_PER_BYTE * 2;
}

/* Workspace: offsets, reordered weights (taps, c), then one scratch per thread. */
static real *depthwise_workspace(depthwise_plan *p, int64_t extra, int width, int64_t **offset)
{
    int64_t taps = conv_taps(p->s), weights = round_up(taps * p->s->c, 16) + extra;
    size_t bytes = sizeof(int64_t) * (size_t)round_up(taps, 8);
    char *block = fnn_alloc(bytes + sizeof(real) * (size_t)(weights + width * p->scratch_reals));
    if (!block)
        return NULL;
    *offset = (int64_t *)block;
    p->offset = *offset;
    p->scratch = (real *)(block + bytes) + weights;
    return (real *)(block + bytes);
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
    int64_t *offset;
    int width = fnn_parallel_width(s->n, depthwise_work(s));
    if (!depthwise_workspace(&p, 0, width, &offset))
        return FNN_NO_MEMORY;
    depthwise_offsets(&p, offset);
    p.in = x;
    p.weights = weights;
    p.e = *e;
    p.out = y;
    fnn_parallel(s->n, width, depthwise_task, &p);
    fnn_free(offset);
    return FNN_OK;
}

/* ---- backward, data ---- */

static depthwise_plan depthwise_phase_plan(const fnn_conv_shape *s, conv_phase y, conv_phase x)
{
    depthwise_plan p = {
        .s = s, .ih = s->out[1], .iw = s->out[2], .oh = y.count, .ow = x.count, .r = y.taps, .q = x.taps};
    p.stride_y = p.stride_x = 1;
    p.pad_y = y.pad;
    p.pad_x = x.pad;
    p.out_pixel = s->stride[2] * s->c;
    p.out_row = s->stride[1] * s->in[2] * s->c;
    p.out_image = conv_in_pixels(s) * s->c;
    if (p.oh > 0 && p.ow > 0)
        depthwise_cut(&p);
    return p;
}

static int conv_depthwise_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    int64_t phases = s->stride[1] * s->stride[2], taps = conv_taps(s), scratch = 0, *offset;
    for (int64_t i = 0; i < phases; i++)
        scratch = max_int(scratch, depthwise_phase_plan(s, conv_phase_of(s, 1, i / s->stride[2]),
                                                        conv_phase_of(s, 2, i % s->stride[2]))
                                       .scratch_reals);
    depthwise_plan room = {.s = s, .scratch_reals = scratch};
    int width = fnn_parallel_width(s->n, depthwise_work(s));
    real *weights = depthwise_workspace(&room, 0, width, &offset);
    if (!weights)
        return FNN_NO_MEMORY;
    for (int64_t i = 0; i < phases; i++) {
        int64_t y0 = i / s->stride[2], x0 = i % s->stride[2];
        conv_phase py = conv_phase_of(s, 1, y0), px = conv_phase_of(s, 2, x0);
        depthwise_plan p = depthwise_phase_plan(s, py, px);
        if (p.oh == 0 || p.ow == 0)
            continue;
        p.in = dy;
        p.out = dx + (y0 * s->in[2] + x0) * s->c;
        p.weights = weights;
        p.scratch = room.scratch;
        p.scratch_reals = scratch;
        p.offset = offset;
        for (int64_t t = 0; t < p.r * p.q; t++) {
            int64_t r = py.first_tap + s->stride[1] * (p.r - 1 - t / p.q);
            int64_t q = px.first_tap + s->stride[2] * (p.q - 1 - t % p.q);
            for (int64_t c = 0; c < s->c; c++)
                weights[t * s->c + c] = w[c * taps + r * s->kernel[2] + q];
        }
        depthwise_offsets(&p, offset);
        fnn_parallel(s->n, width, depthwise_task, &p);
    }
    fnn_free(offset);
    return FNN_OK;
}

static void depthwise_w_task(void *context, int64_t index, int thread)
{
    const depthwise_plan *p = context;
    const fnn_conv_shape *s = p->s;
    int64_t c = s->c, reals = conv_taps(s) * c;
    real *scratch = p->scratch + thread * p->scratch_reals, *dw = p->partial + index * reals;
    memset(dw, 0, sizeof(real) * (size_t)reals);
    for (int64_t n = index * p->chunk; n < min_int((index + 1) * p->chunk, s->n); n++) {
        depthwise_pad(p, p->in + n * conv_in_pixels(s) * c, scratch);
        for (int64_t y = 0; y < p->oh; y++)
            K->conv_depthwise_row_w(p->ow, c, p->r * p->q, p->offset, scratch + y * p->stride_y * p->padded_pixels * c,
                                    p->stride_x * c, p->dy + n * p->out_image + y * p->out_row, c, dw, c);
    }
}

static int conv_depthwise_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    depthwise_plan p = depthwise_forward_plan(s);
    int64_t *offset, taps = conv_taps(s), reals = taps * s->c;
    p.chunks = min_int(s->n, DEPTHWISE_CHUNKS);
    p.chunk = ceil_div(s->n, p.chunks);
    p.chunks = ceil_div(s->n, p.chunk);
    int width = fnn_parallel_width(p.chunks, depthwise_work(s));
    p.partial = depthwise_workspace(&p, round_up(p.chunks * reals, 16), width, &offset);
    if (!p.partial)
        return FNN_NO_MEMORY;
    depthwise_offsets(&p, offset);
    p.in = x;
    p.dy = dy;
    fnn_parallel(p.chunks, width, depthwise_w_task, &p);
    add_partials(p.partial, p.partial + reals, reals, p.chunks - 1);
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < s->c; c++)
            dw[c * taps + t] = p.partial[t * s->c + c];
    fnn_free(offset);
    return FNN_OK;
}
