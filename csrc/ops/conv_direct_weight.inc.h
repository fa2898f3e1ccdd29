/* conv_direct_weight.inc.h - the weight gradient of conv_direct.inc.h's convolutions.
 *
 * dw[r][s][c][k] = sum over images and output pixels of x[n, oy * stride + r - pad, ox * stride + s - pad, c] * dy.
 * The rows of a tile are positions of the contiguous run (s, c), or with dilation or groups of the c of one tap; its
 * columns are k, its inner dimension the pixels of a band of output rows: in the direction of rows those that find the
 * tap inside the image, unless few channels make it quicker to copy rows with zeros at their ends. Images are cut into
 * chunks; each chunk sums into a partial dw of its own. */

typedef struct {
    const fnn_conv_shape *s;
    const real *x, *dy;
    int64_t c, k;                       /* channels of one group */
    int64_t chunks, chunk, parts, part; /* chunk: images; part: panels of k that a task computes */
    int64_t row, row_pixels, span, width, panels, band, dy_step; /* panels of one group */
    bool touching;                                               /* the taps of a filter row are one run */
    bool copies, copies_dy;
    real *partial, *scratch;
    int64_t partial_reals, scratch_reals, x_reals;
} direct_w_plan;

#define DIRECT_W_PARTIAL_REALS 262144 /* of all partial weight gradients together, as far as chunks allow */
#define DIRECT_W_CHUNKS 16
#define DIRECT_W_BAND_REALS 8192 /* of a panel of a band of dy: stays in the first-level cache */

static void direct_w_cut(direct_w_plan *d)
{
    const fnn_conv_shape *s = d->s;
    d->c = s->c / s->groups;
    d->k = s->k / s->groups;
    d->width = d->k <= K->lanes ? K->lanes : (int64_t)K->gemm_tile_vectors * K->lanes;
    d->panels = ceil_div(d->k, d->width);
    d->partial_reals = conv_taps(s) * d->c * s->k;
    d->span = direct_span(s->kernel[1], s->dilation[1]);
    d->row_pixels = (s->out[2] - 1) * s->stride[2] + direct_span(s->kernel[2], s->dilation[2]);
    bool spills = s->pad[2] != 0 || d->row_pixels > s->in[2];
    d->copies = spills && d->c < DIRECT_SPLIT_CHANNELS;
    d->touching = s->groups == 1 && s->dilation[2] == 1 && (d->copies || !spills);
    d->row = (d->copies ? d->row_pixels : s->in[2]) * s->c;
    d->copies_dy = d->k % K->lanes != 0; /* whole vectors are read, the last ones beyond the row */
    d->dy_step = round_up(s->k, K->lanes);
    d->band = min_int(max_int(DIRECT_W_BAND_REALS / (s->out[2] * d->width), 4), s->out[1]);
    int64_t chunks = max_int(DIRECT_W_PARTIAL_REALS / d->partial_reals, 2);
    chunks = min_int(min_int(chunks, DIRECT_W_CHUNKS), s->n);
    d->chunk = ceil_div(s->n, chunks);
    d->chunks = ceil_div(s->n, d->chunk);
    /* Few chunks of a large gradient: panels of k share out the work, and keep a task's part of dw in the cache. */
    int64_t panels = s->groups * d->panels;
    d->parts = d->chunks >= 8 ? 1 : min_int(panels, ceil_div(8, d->chunks));
    d->part = ceil_div(panels, d->parts);
    d->parts = ceil_div(panels, d->part);
    d->x_reals = d->copies ? round_up(((d->band - 1) * s->stride[1] + d->span) * d->row, 16) : 0;
    d->scratch_reals = d->x_reals + (d->copies_dy ? d->band * s->out[2] * d->dy_step + d->width : 0);
}

/* The first column of a panel in all of k. */
static int64_t direct_w_column(const direct_w_plan *d, int64_t panel)
{
    return panel / d->panels * d->k + panel % d->panels * d->width;
}

/* One band of output rows of one image, for the panels [first, last). */
static void direct_w_band(const direct_w_plan *d, const real *rows, int64_t rows_first, const real *dy, int64_t y0,
                          int64_t y1, int64_t first, int64_t last, real *dw)
{
    const fnn_conv_shape *s = d->s;
    int64_t taps = d->touching ? 1 : s->kernel[2], run = d->touching ? s->kernel[2] * d->c : d->c;
    int64_t dy_step = d->copies_dy ? d->dy_step : s->k, tiles = ceil_div(run, direct_tile_rows(d->width));
    int64_t before = d->copies ? 0 : s->pad[2]; /* a copy begins with the padding */
    fnn_tile tile = {.a_step = s->stride[2] * s->c, .a_run = s->stride[1] * d->row, .b_step = dy_step};
    tile.b_run = s->out[2] * dy_step;
    tile.c_step = s->k;
    for (int64_t r = 0; r < s->kernel[1]; r++) {
        int64_t iy = r * s->dilation[1] - s->pad[1], lo = max_int(y0, direct_first(iy, s->stride[1]));
        int64_t hi = min_int(y1, direct_end(iy, s->stride[1], s->in[1], s->out[1]));
        tile.runs = hi - lo;
        for (int64_t panel = first; panel < last && hi > lo; panel++) {
            int64_t k = direct_w_column(d, panel), cols = min_int(d->width, d->k - panel % d->panels * d->width);
            const real *b = dy + (lo - y0) * tile.b_run + k;
            const real *a = rows + (lo * s->stride[1] + iy - rows_first) * d->row + panel / d->panels * d->c;
            for (int64_t i = 0; i < taps * tiles; i++) {
                int64_t tap = i / tiles, at = run * (i % tiles) / tiles, count = run * (i % tiles + 1) / tiles - at;
                int64_t ix = tap * s->dilation[2] - before, x0 = d->touching ? 0 : direct_first(ix, s->stride[2]);
                tile.k = (d->touching ? s->out[2] : direct_end(ix, s->stride[2], d->row / s->c, s->out[2])) - x0;
                if (tile.k > 0)
                    K->gemm_cols(&tile, a + (x0 * s->stride[2] + ix) * s->c + at, b + x0 * dy_step, NULL,
                                 dw + ((r * taps + tap) * run + at) * s->k + k, (int)count, (int)cols, FNN_ADD);
            }
        }
    }
}

static void direct_w_task(void *context, int64_t index, int thread)
{
    const direct_w_plan *d = context;
    const fnn_conv_shape *s = d->s;
    int64_t chunk = index / d->parts, first = index % d->parts * d->part;
    int64_t last = min_int(first + d->part, s->groups * d->panels);
    real *dw = d->partial + chunk * d->partial_reals, *scratch = d->scratch + thread * d->scratch_reals;
    int64_t k0 = direct_w_column(d, first), k1 = direct_w_column(d, last); /* of the panel behind the last: s->k */
    for (int64_t i = 0; i < conv_taps(s) * d->c; i++)
        memset(dw + i * s->k + k0, 0, sizeof(real) * (size_t)(k1 - k0));
    for (int64_t n = chunk * d->chunk; n < min_int((chunk + 1) * d->chunk, s->n); n++) {
        const real *image = d->x + n * conv_in_pixels(s) * s->c, *dy_image = d->dy + n * conv_out_pixels(s) * s->k;
        for (int64_t y0 = 0; y0 < s->out[1]; y0 += d->band) {
            int64_t y1 = min_int(y0 + d->band, s->out[1]), top = y0 * s->stride[1] - s->pad[1];
            const real *rows = image + top * d->row, *dy = dy_image + y0 * s->out[2] * s->k;
            if (d->copies) {
                direct_copy_rows(image, s->in[1], s->in[2], s->c, s->pad[2], d->row_pixels, top,
                                 (y1 - y0 - 1) * s->stride[1] + d->span, scratch);
                rows = scratch;
            }
            if (d->copies_dy) {
                K->gemm_pack((y1 - y0) * s->out[2], dy, s->k, (int)s->k, (int)d->dy_step, scratch + d->x_reals);
                dy = scratch + d->x_reals;
            }
            direct_w_band(d, rows, top, dy, y0, y1, first, last, dw);
        }
    }
}

typedef struct {
    const fnn_conv_shape *s;
    const real *sum;
    real *dw;
} direct_unpack;

/* dw[k][c][t] = sum[t][c][k] for one c of the groups */
static void direct_unpack_task(void *context, int64_t c, int thread)
{
    const direct_unpack *u = context;
    const fnn_conv_shape *s = u->s;
    int64_t taps = conv_taps(s), c_count = s->c / s->groups;
    real tile[FNN_MAX_LANES * FNN_MAX_LANES];
    (void)thread;
    for (int64_t k = 0; k < s->k; k += K->lanes)
        for (int64_t t = 0; t < taps; t += K->lanes) {
            int64_t rows = min_int(taps - t, K->lanes), count = min_int(s->k - k, K->lanes);
            K->transpose_tile(u->sum + (t * c_count + c) * s->k + k, c_count * s->k, (int)rows, (int)count, tile);
            for (int64_t i = 0; i < count; i++)
                memcpy(u->dw + ((k + i) * c_count + c) * taps + t, tile + i * K->lanes, sizeof(real) * (size_t)rows);
        }
}

static void direct_w_unpack(const fnn_conv_shape *s, const real *sum, real *dw)
{
    direct_unpack u = {s, sum, dw};
    int64_t c_count = s->c / s->groups;
    double bytes = 3.0 * sizeof(real) * (double)(c_count * s->k * conv_taps(s));
    fnn_parallel(c_count, fnn_parallel_width(c_count, bytes * FNN_NS_PER_BYTE), direct_unpack_task, &u);
}

static int conv_direct_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    direct_w_plan d = {.s = s, .x = x, .dy = dy};
    direct_w_cut(&d);
    int width = fnn_parallel_width(d.chunks * d.parts, conv_flops(s) * FNN_NS_PER_FLOP);
    int64_t partial = round_up(d.chunks * d.partial_reals, 16);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + width * d.scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    d.partial = workspace;
    d.scratch = workspace + partial;
    fnn_parallel_dynamic(d.chunks * d.parts, width, direct_w_task, &d);
    add_partials(d.partial, d.partial + d.partial_reals, d.partial_reals, d.chunks - 1);
    direct_w_unpack(s, d.partial, dw);
    fnn_free(workspace);
    return FNN_OK;
}
