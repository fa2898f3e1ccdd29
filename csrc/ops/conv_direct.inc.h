/* conv_direct.inc.h - 2-D convolution without an im2col copy.
 *
 * In a channels-last row, the s pixels under a filter row are s * c contiguous numbers, and the next output pixel's
 * start `stride * c` further. So a tile of output pixels is a matrix product whose inner dimension is one run of
 * s * c for each filter row: the tile kernels of gemm.inc.h compute it from the image itself. Filter rows that fall
 * outside the image are left out; so are, at the ends of a row, taps: those that all pixels of a tile see are summed
 * first, the others added for the pixels that see them. Rows of few channels, whose taps would be short, are copied
 * with zeros at their ends instead. With dilation, or when a group of channels is only a part of every pixel, the
 * pixels under a filter row are runs of their own.
 *
 * The data gradient of a convolution with stride (sy, sx) is sy * sx such convolutions of dy, one for each phase of
 * the input pixel, with the taps of that phase mirrored and c and k exchanged.
 */

/* One stride-(any) correlation of `groups` groups of channels of `in` (n, ih, iw, groups * ic) with packed weights,
 * written to every `pixel_step`-th pixel of `out`. Filter row r reads image row oy * stride_y + r * dilation_y - pad_y;
 * pads may be negative. */
typedef struct {
    int64_t n, ih, iw, ic, oh, ow, oc, groups, r, s, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x;
    const real *in, *packed;
    epilogue e;
    real *out;
    int64_t out_image, out_row, out_pixel; /* steps of out */
    /* derived; panels of one group */
    int64_t pixel, row, row_pixels, span, width, panels, band,
        bands;          /* span: rows from the filter's first to its last */
    bool copies;        /* rows are copied into a zero-padded band */
    int64_t first, end; /* pixels of a row that find all taps inside the image, or a copy */
    real *scratch;
    int64_t scratch_reals;
} direct_plan;

#define DIRECT_SPLIT_CHANNELS 16 /* from which taps are left out instead of multiplied by zeros */
#define DIRECT_BAND_REALS 65536  /* of a padded band of input rows: stays in the second-level cache */
#define DIRECT_FEW_TASKS 4       /* at least as many, where a small batch has rows enough */
#define DIRECT_FEW_ROWS 4        /* of output in a band, at least */

static int64_t direct_span(int64_t taps, int64_t dilation) { return taps ? (taps - 1) * dilation + 1 : 0; }

/* Outputs o of an axis that find a tap inside the input, 0 <= o * stride + offset < in: [first, end). */
static int64_t direct_first(int64_t offset, int64_t stride) { return ceil_div(max_int(-offset, 0), stride); }

static int64_t direct_end(int64_t offset, int64_t stride, int64_t in, int64_t out)
{
    return offset >= in ? 0 : min_int((in - 1 - offset) / stride + 1, out);
}

/* The pixels of an output row that find tap column q. */
static int64_t direct_first_pixel(const direct_plan *d, int64_t q)
{
    return direct_first(q * d->dilation_x - d->pad_x, d->stride_x);
}

static int64_t direct_end_pixel(const direct_plan *d, int64_t q)
{
    return direct_end(q * d->dilation_x - d->pad_x, d->stride_x, d->iw, d->ow);
}

/* Whether rows are copied: not if all taps lie inside for all pixels of a row, nor if one of many channels does, on
 * which to add the others. */
static bool direct_copies(const direct_plan *d)
{
    bool whole = d->s == 0 || (direct_first_pixel(d, 0) == 0 && direct_end_pixel(d, d->s - 1) == d->ow);
    for (int64_t q = 0; q < d->s && d->ic >= DIRECT_SPLIT_CHANNELS; q++)
        whole = whole || (direct_first_pixel(d, q) == 0 && direct_end_pixel(d, q) == d->ow);
    return !whole;
}

static void direct_cut(direct_plan *d)
{
    d->width = d->oc <= K->lanes ? K->lanes : (int64_t)K->gemm_tile_vectors * K->lanes;
    d->panels = ceil_div(d->oc, d->width);
    d->pixel = d->groups * d->ic;
    d->span = direct_span(d->r, d->dilation_y);
    d->row_pixels = (d->ow - 1) * d->stride_x + direct_span(d->s, d->dilation_x);
    d->copies = direct_copies(d);
    d->first = d->copies || d->s == 0 ? 0 : direct_first_pixel(d, 0);
    d->end = d->copies || d->s == 0 ? d->ow : direct_end_pixel(d, d->s - 1);
    d->row = (d->copies ? d->row_pixels : d->iw) * d->pixel;
    int64_t rows = max_int(DIRECT_BAND_REALS / max_int(d->row, 1) - d->span, 0) / d->stride_y + 1;
    if (d->n < DIRECT_FEW_TASKS)
        rows = min_int(rows, max_int(ceil_div(d->oh * d->n, DIRECT_FEW_TASKS), DIRECT_FEW_ROWS));
    d->bands = ceil_div(d->oh, min_int(rows, d->oh));
    d->band = ceil_div(d->oh, d->bands);
    d->scratch_reals = d->copies ? ((d->band - 1) * d->stride_y + d->span) * d->row : 0;
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

static int64_t direct_tile_rows(int64_t width) { return width == K->lanes ? K->gemm_tall_rows : K->gemm_tile_rows; }

/* Whether the taps of a filter row are one run. */
static bool direct_touching(const direct_plan *d) { return d->groups == 1 && (d->dilation_x == 1 || d->s <= 1); }

/* The steps of a tile of tap columns [q0, q1) of `rows` filter rows. */
static fnn_tile direct_tile(const direct_plan *d, int64_t rows, int64_t q0, int64_t q1)
{
    int64_t count = q1 - q0, tap = d->ic * d->width;
    bool touching = direct_touching(d);
    fnn_tile tile = {.taps = touching ? 1 : count, .k = touching ? count * d->ic : d->ic};
    tile.runs = rows * tile.taps;
    tile.a_step = d->stride_x * d->pixel;
    tile.a_run = d->dilation_y * d->row;
    tile.a_tap = d->dilation_x * d->pixel;
    tile.b_step = d->width;
    tile.b_run = touching ? count * tap : tap;
    tile.b_skip = (d->s - count) * tap;
    tile.c_step = d->out_pixel;
    return tile;
}

/* Pixels [begin, end) of an output row, some of which do not find all taps inside the image: those taps that all of
 * them find, then the others. */
static void direct_edge(const direct_plan *d, int64_t rows, int64_t begin, int64_t end, const real *a, const real *b,
                        const real *bias, real *out, int cols)
{
    int64_t q0 = 0, q1 = d->s, tap_a = d->dilation_x * d->pixel, tap_b = d->ic * d->width;
    while (q0 < q1 && direct_first_pixel(d, q0) > begin)
        q0++;
    while (q0 < q1 && direct_end_pixel(d, q1 - 1) < end)
        q1--;
    fnn_tile tile = direct_tile(d, rows, q0, q1);
    K->gemm_rows(&tile, a + begin * tile.a_step + q0 * tap_a, b + q0 * tap_b, bias, out + begin * d->out_pixel,
                 (int)(end - begin), cols, FNN_STORE);
    for (int64_t q = 0; q < d->s; q++) {
        int64_t first = max_int(begin, direct_first_pixel(d, q)), last = min_int(end, direct_end_pixel(d, q));
        if ((q >= q0 && q < q1) || first >= last)
            continue;
        tile = direct_tile(d, rows, q, q + 1);
        K->gemm_rows(&tile, a + first * tile.a_step + q * tap_a, b + q * tap_b, NULL, out + first * d->out_pixel,
                     (int)(last - first), cols, FNN_ADD);
    }
}

/* One output row from `rows` filter rows: tiles of nearly equal numbers of pixels. `a` is where the first pixel finds
 * its first tap, in the padding maybe. */
static void direct_row(const direct_plan *d, int64_t rows, const real *a, const real *b, const real *bias, real *out,
                       int cols)
{
    int64_t tiles = ceil_div(d->ow, direct_tile_rows(d->width));
    const fnn_tile tile = direct_tile(d, rows, 0, d->s);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t begin = d->ow * i / tiles, end = d->ow * (i + 1) / tiles;
        if (begin >= d->first && end <= d->end)
            K->gemm_rows(&tile, a + begin * tile.a_step, b, bias, out + begin * d->out_pixel, (int)(end - begin), cols,
                         FNN_STORE);
        else
            direct_edge(d, rows, begin, end, a, b, bias, out, cols);
    }
}

/* Asks for the image rows of the next band, or the next image's first: they lie behind those that this task reads,
 * and are the next task's, mostly on the same thread. One share with every output row. */
static void direct_fetch_next(const direct_plan *d, const real *image, int64_t y0, int64_t y1, int64_t oy)
{
    int64_t row = d->iw * d->pixel, behind = min_int((y1 - 1) * d->stride_y - d->pad_y + d->span, d->ih);
    const real *next = image + (behind + (oy - y0) * d->stride_y) * row;
    const real *end = d->in + d->n * d->ih * row;
    for (int64_t i = 0; i < d->stride_y * row && next + i < end; i += 64 / (int64_t)sizeof(real))
        __builtin_prefetch(next + i, 0, 2);
}

/* The filter rows that meet the image where the first one meets its row iy. */
static void direct_filter_rows(const direct_plan *d, int64_t iy, int64_t *r0, int64_t *r1)
{
    *r0 = iy < 0 ? min_int(ceil_div(-iy, d->dilation_y), d->r) : 0;
    *r1 = iy < d->ih ? max_int(min_int(ceil_div(d->ih - iy, d->dilation_y), d->r), *r0) : *r0;
}

static void direct_task(void *context, int64_t index, int thread)
{
    const direct_plan *d = context;
    int64_t n = index / d->bands, y0 = index % d->bands * d->band, y1 = min_int(y0 + d->band, d->oh);
    const real *image = d->in + n * d->ih * d->iw * d->pixel;
    int64_t first = y0 * d->stride_y - d->pad_y; /* the image row at `rows` */
    const real *rows = image + first * d->row - d->pad_x * d->pixel;
    if (d->copies) {
        real *scratch = d->scratch + thread * d->scratch_reals;
        direct_copy_rows(image, d->ih, d->iw, d->pixel, d->pad_x, d->row_pixels, first,
                         (y1 - y0 - 1) * d->stride_y + d->span, scratch);
        rows = scratch;
    }
    int64_t filter_row = d->s * d->ic * d->width;
    for (int64_t panel = 0; panel < d->groups * d->panels; panel++) {
        int64_t group = panel / d->panels, column = panel % d->panels * d->width, k = group * d->oc + column;
        int cols = (int)min_int(d->width, d->oc - column);
        const real *b = d->packed + panel * d->r * filter_row, *bias = d->e.bias ? d->e.bias + k : NULL;
        for (int64_t oy = y0; oy < y1; oy++) {
            if (panel == 0)
                direct_fetch_next(d, image, y0, y1, oy);
            int64_t iy = oy * d->stride_y - d->pad_y, r0, r1;
            direct_filter_rows(d, iy, &r0, &r1);
            int64_t at = n * d->out_image + oy * d->out_row + k;
            direct_row(d, r1 - r0, rows + (iy + r0 * d->dilation_y - first) * d->row + group * d->ic,
                       b + r0 * filter_row, bias, d->out + at, cols);
            epilogue_finish(&d->e, at, d->ow, cols, d->out_pixel, d->out);
            moments_of_rows(&d->e.moments, index, k, d->ow, cols, d->out_pixel, d->out + at, oy == y0);
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

static int64_t direct_packed_reals(const direct_plan *d)
{
    return d->groups * d->panels * d->width * d->r * d->s * d->ic;
}

/* ---- forward ---- */

typedef struct {
    const fnn_conv_shape *s;
    const real *w;
    real *packed;
    int64_t width, panels, y0, x0, step_y, step_x, r, s_taps; /* panels of one group */
} direct_pack;

/* packed[panel][r][s][c][k in panel] = w[k][c][r][s] */
static void direct_pack_fwd_task(void *context, int64_t panel, int thread)
{
    const direct_pack *p = context;
    int64_t c_count = p->s->c / p->s->groups, k_count = p->s->k / p->s->groups, taps = p->r * p->s_taps;
    int64_t k0 = panel % p->panels * p->width, cols = min_int(p->width, k_count - k0);
    const real *w = p->w + (panel / p->panels * k_count + k0) * c_count * taps;
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
    direct_plan d = {.n = s->n, .ih = s->in[1], .iw = s->in[2], .oh = s->out[1], .ow = s->out[2]};
    d.groups = s->groups;
    d.ic = s->c / s->groups;
    d.oc = s->k / s->groups;
    d.r = s->kernel[1];
    d.s = s->kernel[2];
    d.dilation_y = s->dilation[1];
    d.dilation_x = s->dilation[2];
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
    direct_pack p = {.s = s, .w = w, .packed = packed, .width = d.width, .panels = d.panels, .r = d.r, .s_taps = d.s};
    int64_t panels = d.groups * d.panels;
    fnn_parallel(panels, fnn_parallel_width(panels, (double)direct_packed_reals(&d)), direct_pack_fwd_task, &p);
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
    if (!d.scratch || moments_begin(&d.e.moments, d.n * d.bands, s->k) != FNN_OK) {
        fnn_free(d.scratch);
        return FNN_NO_MEMORY;
    }
    direct_run(&d, width);
    moments_end(&d.e.moments);
    fnn_free(d.scratch);
    return FNN_OK;
}

/* ---- backward, data ---- */

/* packed[panel][r'][s'][k][c in panel] = w[k][c][y0 + step_y * (r - 1 - r')][x0 + step_x * (s - 1 - s')] */
static void direct_pack_bwd_x_task(void *context, int64_t panel, int thread)
{
    const direct_pack *p = context;
    const fnn_conv_shape *s = p->s;
    int64_t c_count = s->c / s->groups, k_count = s->k / s->groups, taps = conv_taps(s);
    int64_t c0 = panel % p->panels * p->width, cols = min_int(p->width, c_count - c0);
    const real *filters = p->w + (panel / p->panels * k_count * c_count + c0) * taps;
    real *to = p->packed + panel * p->width * k_count * p->r * p->s_taps;
    (void)thread;
    real tile[FNN_MAX_LANES * FNN_MAX_LANES];
    for (int64_t k = 0; k < k_count; k++)
        for (int64_t j = 0; j < p->width; j += K->lanes)
            for (int64_t t0 = 0; t0 < taps; t0 += K->lanes) {
                const real *w = filters + (k * c_count + j) * taps + t0;
                K->transpose_tile(w, taps, (int)max_int(cols - j, 0), (int)min_int(taps - t0, K->lanes), tile);
                for (int64_t r = 0; r < p->r; r++)
                    for (int64_t q = 0; q < p->s_taps; q++) {
                        int64_t tap = (p->y0 + p->step_y * (p->r - 1 - r)) * s->kernel[2] + p->x0 +
                                      p->step_x * (p->s_taps - 1 - q) - t0;
                        if (tap >= 0 && tap < K->lanes)
                            memcpy(to + ((r * p->s_taps + q) * k_count + k) * p->width + j, tile + tap * K->lanes,
                                   sizeof(real) * (size_t)K->lanes);
                    }
            }
}

static direct_plan direct_phase_plan(const fnn_conv_shape *s, int64_t phase_y, int64_t phase_x, conv_phase *py,
                                     conv_phase *px)
{
    *py = conv_phase_of(s, FNN_HEIGHT, phase_y);
    *px = conv_phase_of(s, FNN_WIDTH, phase_x);
    direct_plan d = {.n = s->n, .ih = s->out[1], .iw = s->out[2], .groups = s->groups};
    d.ic = s->k / s->groups;
    d.oc = s->c / s->groups;
    d.dilation_y = py->dilation;
    d.dilation_x = px->dilation;
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
    direct_pack p = {.s = s, .w = w, .packed = packed, .width = d->width, .panels = d->panels};
    p.y0 = py->first_tap;
    p.x0 = px->first_tap;
    p.step_y = py->tap_step;
    p.step_x = px->tap_step;
    p.r = d->r;
    p.s_taps = d->s;
    int64_t panels = d->groups * d->panels;
    fnn_parallel(panels, fnn_parallel_width(panels, (double)direct_packed_reals(d)), direct_pack_bwd_x_task, &p);
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
