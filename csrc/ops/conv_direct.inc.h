/* conv_direct.inc.h - 2-D convolution without an im2col copy.
 *
 * In a channels-last row, the s pixels under a filter row are s * c contiguous numbers, and the next output pixel's
 * start `stride * c` further. So a tile of output pixels is a matrix product whose inner dimension is one run of
 * s * c for each filter row: the tile kernels of gemm.inc.h compute it from the image itself. Only rows that need
 * zeros at their ends are copied; filter rows that fall outside the image are left out.
 *
 * The data gradient of a convolution with stride (sy, sx) is sy * sx such convolutions of dy, one for each phase of
 * the input pixel, with the taps of that phase mirrored and c and k exchanged.
 */

/* One stride-(any) correlation of `in` (n, ih, iw, ic) with packed weights, written to every `pixel_step`-th pixel of
 * `out`. Filter row r reads image row oy * stride_y + r - pad_y; pads may be negative. */
typedef struct {
    int64_t n, ih, iw, ic, oh, ow, oc, r, s, stride_y, stride_x, pad_y, pad_x;
    const real *in, *packed;
    epilogue e;
    real *out;
    int64_t out_image, out_row, out_pixel; /* steps of out */
    /* derived */
    int64_t row, row_pixels, width, panels, band, bands;
    bool copies; /* rows are copied into a zero-padded band */
    real *scratch;
    int64_t scratch_reals;
} direct_plan;

#define DIRECT_BAND_REALS 65536 /* of a padded band of input rows: stays in the second-level cache */
#define DIRECT_FEW_TASKS 4      /* at least as many, where a small batch has rows enough */
#define DIRECT_FEW_ROWS 4       /* of output in a band, at least */

static void direct_cut(direct_plan *d)
{
    d->width = d->oc <= K->lanes ? K->lanes : (int64_t)K->gemm_tile_vectors * K->lanes;
    d->panels = ceil_div(d->oc, d->width);
    d->row_pixels = (d->ow - 1) * d->stride_x + d->s;
    d->copies = d->pad_x != 0 || d->row_pixels > d->iw;
    d->row = (d->copies ? d->row_pixels : d->iw) * d->ic;
    int64_t rows = max_int(DIRECT_BAND_REALS / max_int(d->row, 1) - d->r, 0) / d->stride_y + 1;
    if (d->n < DIRECT_FEW_TASKS)
        rows = min_int(rows, max_int(ceil_div(d->oh * d->n, DIRECT_FEW_TASKS), DIRECT_FEW_ROWS));
    d->bands = ceil_div(d->oh, min_int(rows, d->oh));
    d->band = ceil_div(d->oh, d->bands);
    d->scratch_reals = d->copies ? ((d->band - 1) * d->stride_y + d->r) * d->row : 0;
}

/* Copies image rows [first, first + count) to `to`, each shifted by pad_x and filled up with zeros. Rows outside the
 * image are never read, so they are not written either. */
static void direct_copy_rows(const real *image, int64_t ih, int64_t iw, int64_t c, int64_t pad_x, int64_t row_pixels,
                             int64_t first, int64_t count, real *to)
{
    int64_t left = min_int(max_int(pad_x, 0), row_pixels), skip = max_int(-pad_x, 0);
    int64_t middle = max_int(min_int(iw - skip, row_pixels - left), 0);
    int64_t right = row_pixels - left - middle;
    for (int64_t y = max_int(first, 0); y < min_int(first + count, ih); y++) {
        real *row = to + (y - first) * row_pixels * c;
        memset(row, 0, sizeof(real) * (size_t)(left * c));
        memcpy(row + left * c, image + (y * iw + skip) * c, sizeof(real) * (size_t)(middle * c));
        memset(row + (left + middle) * c, 0, sizeof(real) * (size_t)(right * c));
    }
}

/* One output row: tiles of nearly equal numbers of pixels. */
static void direct_row(const direct_plan *d, const fnn_tile *tile, const real *a, const real *b, const real *bias,
                       real *out, int cols)
{
    int64_t tiles = ceil_div(d->ow, K->gemm_tile_rows);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t ox = d->ow * i / tiles, pixels = d->ow * (i + 1) / tiles - ox;
        K->gemm_rows(tile, a + ox * tile->a_step, b, bias, out + ox * d->out_pixel, (int)pixels, cols, 0);
    }
}

/* Asks for the image rows of the next band, or the next image's first: they lie behind those that this task has copied,
 * and are the next task's, mostly on the same thread. One share with every output row. */
static void direct_fetch_next(const direct_plan *d, const real *image, int64_t y0, int64_t y1, int64_t oy)
{
    int64_t row = d->iw * d->ic, behind = min_int((y1 - 1) * d->stride_y - d->pad_y + d->r, d->ih);
    const real *next = image + (behind + (oy - y0) * d->stride_y) * row;
    const real *end = d->in + d->n * d->ih * row;
    for (int64_t i = 0; i < d->stride_y * row && next + i < end; i += 64 / (int64_t)sizeof(real))
        __builtin_prefetch(next + i, 0, 2);
}

static void direct_task(void *context, int64_t index, int thread)
{
    const direct_plan *d = context;
    int64_t n = index / d->bands, y0 = index % d->bands * d->band, y1 = min_int(y0 + d->band, d->oh);
    const real *image = d->in + n * d->ih * d->iw * d->ic;
    int64_t first = y0 * d->stride_y - d->pad_y; /* the image row at `rows` */
    const real *rows = image + first * d->row;
    if (d->copies) {
        real *scratch = d->scratch + thread * d->scratch_reals;
        direct_copy_rows(image, d->ih, d->iw, d->ic, d->pad_x, d->row_pixels, first, (y1 - y0 - 1) * d->stride_y + d->r,
                         scratch);
        rows = scratch;
    }
    fnn_tile tile = {.k = d->s * d->ic, .a_step = d->stride_x * d->ic, .a_run = d->row, .b_step = d->width};
    tile.b_run = tile.k * d->width;
    tile.c_step = d->out_pixel;
    for (int64_t panel = 0; panel < d->panels; panel++) {
        int64_t k = panel * d->width;
        int cols = (int)min_int(d->width, d->oc - k);
        const real *b = d->packed + panel * d->r * tile.b_run;
        for (int64_t oy = y0; oy < y1; oy++) {
            if (panel == 0)
                direct_fetch_next(d, image, y0, y1, oy);
            int64_t iy = oy * d->stride_y - d->pad_y;
            int64_t r0 = min_int(max_int(-iy, 0), d->r), r1 = max_int(min_int(d->r, d->ih - iy), r0);
            tile.runs = r1 - r0;
            int64_t at = n * d->out_image + oy * d->out_row + k;
            direct_row(d, &tile, rows + (iy + r0 - first) * d->row, b + r0 * tile.b_run,
                       d->e.bias ? d->e.bias + k : NULL, d->out + at, cols);
            epilogue_finish(&d->e, at, d->ow, cols, d->out_pixel, d->out);
        }
    }
}

static void direct_run(direct_plan *d, int width)
{
    if (d->n < DIRECT_FEW_TASKS) /* a thread then has the part of the image that it wrote in the layer before */
        fnn_parallel(d->n * d->bands, width, direct_task, d);
    else
        fnn_parallel_dynamic(d->n * d->bands, width, direct_task, d);
}

static int64_t direct_packed_reals(const direct_plan *d) { return d->panels * d->width * d->r * d->s * d->ic; }

/* ---- forward ---- */

typedef struct {
    const fnn_conv_shape *s;
    const real *w;
    real *packed;
    int64_t width, y0, x0, step_y, step_x, r, s_taps;
} direct_pack;

/* packed[panel][r][s][c][k in panel] = w[k][c][r][s] */
static void direct_pack_fwd_task(void *context, int64_t panel, int thread)
{
    const direct_pack *p = context;
    int64_t c_count = p->s->c, taps = p->r * p->s_taps, cols = min_int(p->width, p->s->k - panel * p->width);
    const real *w = p->w + panel * p->width * c_count * taps;
    real *to = p->packed + panel * p->width * c_count * taps;
    (void)thread;
    real tile[FNN_MAX_LANES * FNN_MAX_LANES];
    for (int64_t p0 = 0; p0 < c_count * taps; p0 += K->lanes)
        for (int64_t j = 0; j < p->width; j += K->lanes) {
            int64_t count = min_int(c_count * taps - p0, K->lanes);
            K->transpose_tile(w + j * c_count * taps + p0, c_count * taps, (int)max_int(cols - j, 0), (int)count, tile);
            for (int64_t i = 0; i < count; i++)
                memcpy(to + ((p0 + i) % taps * c_count + (p0 + i) / taps) * p->width + j, tile + i * K->lanes,
                       sizeof(real) * (size_t)K->lanes);
        }
}

static direct_plan direct_forward_plan(const fnn_conv_shape *s)
{
    direct_plan d = {.n = s->n, .ih = s->in[1], .iw = s->in[2], .ic = s->c, .oh = s->out[1], .ow = s->out[2]};
    d.oc = s->k;
    d.r = s->kernel[1];
    d.s = s->kernel[2];
    d.stride_y = s->stride[1];
    d.stride_x = s->stride[2];
    d.pad_y = s->pad[1];
    d.pad_x = s->pad[2];
    d.out_pixel = s->k;
    d.out_row = d.ow * s->k;
    d.out_image = d.oh * d.out_row;
    direct_cut(&d);
    return d;
}

static int64_t conv_direct_prepared(const fnn_conv_shape *s)
{
    direct_plan d = direct_forward_plan(s);
    return direct_packed_reals(&d);
}

static void conv_direct_prepare(const fnn_conv_shape *s, const real *w, real *packed)
{
    direct_plan d = direct_forward_plan(s);
    direct_pack p = {.s = s, .w = w, .packed = packed, .width = d.width, .r = d.r, .s_taps = d.s};
    int width = fnn_parallel_width(d.panels, (double)direct_packed_reals(&d));
    fnn_parallel(d.panels, width, direct_pack_fwd_task, &p);
}

static int conv_direct_fwd(const fnn_conv_shape *s, const real *x, const real *packed, const epilogue *e, real *y)
{
    direct_plan d = direct_forward_plan(s);
    d.in = x;
    d.packed = packed;
    d.e = *e;
    d.out = y;
    int width = fnn_parallel_width(d.n * d.bands, conv_flops(s) * FNN_NS_PER_FLOP);
    d.scratch = fnn_alloc(sizeof(real) * (size_t)max_int(width * d.scratch_reals, 1));
    if (!d.scratch)
        return FNN_NO_MEMORY;
    direct_run(&d, width);
    fnn_free(d.scratch);
    return FNN_OK;
}

/* ---- backward, data ---- */

/* packed[panel][r'][s'][k][c in panel] = w[k][c][y0 + step_y * (r - 1 - r')][x0 + step_x * (s - 1 - s')] */
static void direct_pack_bwd_x_task(void *context, int64_t panel, int thread)
{
    const direct_pack *p = context;
    const fnn_conv_shape *s = p->s;
    int64_t c0 = panel * p->width, cols = min_int(p->width, s->c - c0);
    real *to = p->packed + panel * p->width * s->k * p->r * p->s_taps;
    (void)thread;
    int64_t taps = conv_taps(s);
    real tile[FNN_MAX_LANES * FNN_MAX_LANES];
    for (int64_t k = 0; k < s->k; k++)
        for (int64_t j = 0; j < p->width; j += K->lanes)
            for (int64_t t0 = 0; t0 < taps; t0 += K->lanes) {
                const real *w = p->w + (k * s->c + c0 + j) * taps + t0;
                K->transpose_tile(w, taps, (int)max_int(cols - j, 0), (int)min_int(taps - t0, K->lanes), tile);
                for (int64_t r = 0; r < p->r; r++)
                    for (int64_t q = 0; q < p->s_taps; q++) {
                        int64_t tap = (p->y0 + p->step_y * (p->r - 1 - r)) * s->kernel[2] + p->x0 +
                                      p->step_x * (p->s_taps - 1 - q) - t0;
                        if (tap >= 0 && tap < K->lanes)
                            memcpy(to + ((r * p->s_taps + q) * s->k + k) * p->width + j, tile + tap * K->lanes,
                                   sizeof(real) * (size_t)K->lanes);
                    }
            }
}

static direct_plan direct_phase_plan(const fnn_conv_shape *s, int64_t phase_y, int64_t phase_x, conv_phase *py,
                                     conv_phase *px)
{
    *py = conv_phase_of(s, FNN_HEIGHT, phase_y);
    *px = conv_phase_of(s, FNN_WIDTH, phase_x);
    direct_plan d = {.n = s->n, .ih = s->out[1], .iw = s->out[2], .ic = s->k, .oc = s->c};
    d.oh = py->count;
    d.ow = px->count;
    d.r = py->taps;
    d.s = px->taps;
    d.stride_y = d.stride_x = 1;
    d.pad_y = py->pad;
    d.pad_x = px->pad;
    d.out_pixel = s->stride[2] * s->c;
    d.out_row = s->stride[1] * s->in[2] * s->c;
    d.out_image = s->in[1] * s->in[2] * s->c;
    if (d.oh > 0 && d.ow > 0)
        direct_cut(&d);
    return d;
}

/* The phases of a data gradient: they read the same dy and write neighbouring pixels of dx. */
typedef struct {
    direct_plan *phase;
    int64_t phases;
} direct_phases;

/* All phases of one image, whose dy and dx then stay in the cache. */
static void direct_phases_task(void *context, int64_t n, int thread)
{
    const direct_phases *all = context;
    for (int64_t i = 0; i < all->phases; i++)
        for (int64_t band = 0; band < all->phase[i].bands; band++)
            direct_task(&all->phase[i], n * all->phase[i].bands + band, thread);
}

static void direct_pack_phase(const fnn_conv_shape *s, const real *w, const direct_plan *d, const conv_phase *py,
                              const conv_phase *px, real *packed)
{
    direct_pack p = {.s = s, .w = w, .packed = packed, .width = d->width, .y0 = py->first_tap, .x0 = px->first_tap};
    p.step_y = s->stride[1];
    p.step_x = s->stride[2];
    p.r = d->r;
    p.s_taps = d->s;
    fnn_parallel(d->panels, fnn_parallel_width(d->panels, (double)direct_packed_reals(d)), direct_pack_bwd_x_task, &p);
}

static int conv_direct_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    int64_t count = s->stride[1] * s->stride[2], packed = 0, scratch = 0;
    conv_phase py, px;
    for (int64_t i = 0; i < count; i++) {
        direct_plan d = direct_phase_plan(s, i / s->stride[2], i % s->stride[2], &py, &px);
        packed += round_up(direct_packed_reals(&d), 16);
        scratch = max_int(scratch, d.scratch_reals);
    }
    int width = fnn_parallel_width(s->n, conv_flops(s) * FNN_NS_PER_FLOP);
    size_t plans = (size_t)round_up(count * (int64_t)sizeof(direct_plan), 64);
    char *workspace = fnn_alloc(plans + sizeof(real) * (size_t)(packed + width * scratch));
    if (!workspace)
        return FNN_NO_MEMORY;
    direct_phases all = {(direct_plan *)workspace, 0};
    real *filters = (real *)(workspace + plans);
    for (int64_t i = 0; i < count; i++) {
        int64_t y0 = i / s->stride[2], x0 = i % s->stride[2];
        direct_plan d = direct_phase_plan(s, y0, x0, &py, &px);
        if (d.oh == 0 || d.ow == 0)
            continue;
        d.in = dy;
        d.out = dx + (y0 * s->in[2] + x0) * s->c;
        d.packed = filters;
        d.scratch = (real *)(workspace + plans) + packed;
        d.scratch_reals = scratch;
        direct_pack_phase(s, w, &d, &py, &px, filters);
        filters += round_up(direct_packed_reals(&d), 16);
        all.phase[all.phases++] = d;
    }
    if (s->n < DIRECT_FEW_TASKS)
        for (int64_t i = 0; i < all.phases; i++)
            direct_run(&all.phase[i], width);
    else
        fnn_parallel_dynamic(s->n, width, direct_phases_task, &all);
    fnn_free(workspace);
    return FNN_OK;
}

/* ---- backward, weight ----
 *
 * dw[r][s][c][k] = sum over images and output pixels of x[n, oy * stride + r - pad, ox * stride + s - pad, c] * dy.
 * The rows of a tile are positions of the contiguous run (s, c), its columns are k, its inner dimension the pixels of
 * a band of output rows. Images are cut into chunks; each chunk sums into a partial dw of its own. */

typedef struct {
    const fnn_conv_shape *s;
    const real *x, *dy;
    int64_t chunks, chunk, groups, group; /* chunk: images; group: panels of k that a task computes */
    int64_t row, row_pixels, width, panels, band, dy_step;
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
    d->width = s->k <= K->lanes ? K->lanes : (int64_t)K->gemm_tile_vectors * K->lanes;
    d->panels = ceil_div(s->k, d->width);
    d->partial_reals = conv_taps(s) * s->c * s->k;
    d->row_pixels = (s->out[2] - 1) * s->stride[2] + s->kernel[2];
    d->copies = s->pad[2] != 0 || d->row_pixels > s->in[2];
    d->row = (d->copies ? d->row_pixels : s->in[2]) * s->c;
    d->copies_dy = s->k % K->lanes != 0;
    d->dy_step = round_up(s->k, K->lanes);
    d->band = min_int(max_int(DIRECT_W_BAND_REALS / (s->out[2] * d->width), 4), s->out[1]);
    int64_t chunks = max_int(DIRECT_W_PARTIAL_REALS / d->partial_reals, 2);
    chunks = min_int(min_int(chunks, DIRECT_W_CHUNKS), s->n);
    d->chunk = ceil_div(s->n, chunks);
    d->chunks = ceil_div(s->n, d->chunk);
    /* Few chunks of a large gradient: panels of k share out the work, and keep a task's part of dw in the cache. */
    d->groups = d->chunks >= 8 ? 1 : min_int(d->panels, ceil_div(8, d->chunks));
    d->group = ceil_div(d->panels, d->groups);
    d->groups = ceil_div(d->panels, d->group);
    d->x_reals = d->copies ? round_up(((d->band - 1) * s->stride[1] + s->kernel[1]) * d->row, 16) : 0;
    d->scratch_reals = d->x_reals + (d->copies_dy ? d->band * s->out[2] * d->dy_step : 0);
}

/* One band of output rows of one image, for the panels [first, last). */
static void direct_w_band(const direct_w_plan *d, const real *rows, int64_t rows_first, const real *dy, int64_t y0,
                          int64_t y1, int64_t first, int64_t last, real *dw)
{
    const fnn_conv_shape *s = d->s;
    int64_t run = s->kernel[2] * s->c, dy_step = d->copies_dy ? d->dy_step : s->k;
    fnn_tile tile = {.k = s->out[2], .a_step = s->stride[2] * s->c, .a_run = s->stride[1] * d->row, .b_step = dy_step};
    tile.b_run = s->out[2] * dy_step;
    tile.c_step = s->k;
    for (int64_t r = 0; r < s->kernel[1]; r++) {
        /* output rows whose image row oy * stride + r - pad exists */
        int64_t lo = max_int(y0, ceil_div(max_int(s->pad[1] - r, 0), s->stride[1]));
        int64_t over = s->in[1] - 1 + s->pad[1] - r;
        int64_t hi = over < 0 ? lo : min_int(y1, over / s->stride[1] + 1);
        if (hi <= lo)
            continue;
        tile.runs = hi - lo;
        const real *a = rows + (lo * s->stride[1] + r - s->pad[1] - rows_first) * d->row;
        int64_t tiles = ceil_div(run, K->gemm_tile_rows);
        for (int64_t panel = first; panel < last; panel++) {
            int64_t k = panel * d->width;
            const real *b = dy + (lo - y0) * tile.b_run + k;
            for (int64_t i = 0; i < tiles; i++) {
                int64_t at = run * i / tiles, count = run * (i + 1) / tiles - at;
                K->gemm_cols(&tile, a + at, b, NULL, dw + (r * run + at) * s->k + k, (int)count,
                             (int)min_int(d->width, s->k - k), 1);
            }
        }
    }
}

static void direct_w_task(void *context, int64_t index, int thread)
{
    const direct_w_plan *d = context;
    const fnn_conv_shape *s = d->s;
    int64_t chunk = index / d->groups, first = index % d->groups * d->group,
            last = min_int(first + d->group, d->panels);
    real *dw = d->partial + chunk * d->partial_reals, *scratch = d->scratch + thread * d->scratch_reals;
    int64_t k0 = first * d->width, k1 = min_int(last * d->width, s->k);
    for (int64_t i = 0; i < conv_taps(s) * s->c; i++)
        memset(dw + i * s->k + k0, 0, sizeof(real) * (size_t)(k1 - k0));
    for (int64_t n = chunk * d->chunk; n < min_int((chunk + 1) * d->chunk, s->n); n++) {
        const real *image = d->x + n * conv_in_pixels(s) * s->c, *dy_image = d->dy + n * conv_out_pixels(s) * s->k;
        for (int64_t y0 = 0; y0 < s->out[1]; y0 += d->band) {
            int64_t y1 = min_int(y0 + d->band, s->out[1]), top = y0 * s->stride[1] - s->pad[1];
            const real *rows = image + top * d->row, *dy = dy_image + y0 * s->out[2] * s->k;
            if (d->copies) {
                direct_copy_rows(image, s->in[1], s->in[2], s->c, s->pad[2], d->row_pixels, top,
                                 (y1 - y0 - 1) * s->stride[1] + s->kernel[1], scratch);
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

/* dw[k][c][t] = sum[t][c][k] for one c */
static void direct_unpack_task(void *context, int64_t c, int thread)
{
    const direct_unpack *u = context;
    const fnn_conv_shape *s = u->s;
    int64_t taps = conv_taps(s);
    real tile[FNN_MAX_LANES * FNN_MAX_LANES];
    (void)thread;
    for (int64_t k = 0; k < s->k; k += K->lanes)
        for (int64_t t = 0; t < taps; t += K->lanes) {
            int64_t rows = min_int(taps - t, K->lanes), count = min_int(s->k - k, K->lanes);
            K->transpose_tile(u->sum + (t * s->c + c) * s->k + k, s->c * s->k, (int)rows, (int)count, tile);
            for (int64_t i = 0; i < count; i++)
                memcpy(u->dw + ((k + i) * s->c + c) * taps + t, tile + i * K->lanes, sizeof(real) * (size_t)rows);
        }
}

static void direct_w_unpack(const fnn_conv_shape *s, const real *sum, real *dw)
{
    direct_unpack u = {s, sum, dw};
    double bytes = 3.0 * sizeof(real) * (double)(s->c * s->k * conv_taps(s));
    fnn_parallel(s->c, fnn_parallel_width(s->c, bytes * FNN_NS_PER_BYTE), direct_unpack_task, &u);
}

static int conv_direct_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    direct_w_plan d = {.s = s, .x = x, .dy = dy};
    direct_w_cut(&d);
    int width = fnn_parallel_width(d.chunks * d.groups, conv_flops(s) * FNN_NS_PER_FLOP);
    int64_t partial = round_up(d.chunks * d.partial_reals, 16);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + width * d.scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    d.partial = workspace;
    d.scratch = workspace + partial;
    fnn_parallel_dynamic(d.chunks * d.groups, width, direct_w_task, &d);
    add_partials(d.partial, d.partial + d.partial_reals, d.partial_reals, d.chunks - 1);
    direct_w_unpack(s, d.partial, dw);
    fnn_free(workspace);
    return FNN_OK;
}
