/* conv_planar.inc.h - 2-D convolution of stride 1 with few output channels, and the weight gradient for few output
 * channels.
 *
 * Vectors of output channels would be mostly empty (a first layer's input gradient has 1 or 3), so here vectors run
 * along a row of pixels: rows of the input are turned to [row][c][pixel], and a tile is k output channels by a run of
 * pixels. For each filter row, its inner dimension walks c within s: the tile kernels' runs. */

#define PLANAR_CHANNELS 8
#define PLANAR_BAND_REALS 65536

typedef struct {
    int64_t n, ih, iw, ic, oh, ow, oc, r, s, pad_y, pad_x;
    const real *in, *w; /* w[oc][r][s][c] */
    epilogue e;
    real *out;
    /* derived */
    int64_t width, row, band, bands, scratch_reals;
    real *scratch;
} planar_plan;

static void planar_cut(planar_plan *p)
{
    p->width = (int64_t)K->gemm_tile_vectors * K->lanes;
    /* A tile may load past the last pixel, turning stores whole vectors. */
    p->row =
        max_int(round_up(p->ow, p->width) + round_up(p->s, K->lanes), max_int(p->pad_x, 0) + round_up(p->iw, K->lanes));
    int64_t rows = max_int(PLANAR_BAND_REALS / (p->row * p->ic) - p->r, 0) + 1;
    p->bands = ceil_div(p->oh, min_int(rows, p->oh));
    p->band = ceil_div(p->oh, p->bands);
    p->scratch_reals = round_up((p->band + p->r - 1) * p->ic * p->row + PLANAR_CHANNELS * p->width, 16);
}

/* Image rows [first, first + count) as [row][c][pixel], pad_x zeros before and zeros after. */
static void planar_turn(const planar_plan *p, const real *image, int64_t first, int64_t count, real *to)
{
    int64_t left = max_int(p->pad_x, 0), skip = max_int(-p->pad_x, 0);
    int64_t pixels = max_int(min_int(p->iw - skip, p->row - left), 0);
    for (int64_t y = max_int(first, 0); y < min_int(first + count, p->ih); y++) {
        real *row = to + (y - first) * p->ic * p->row;
        memset(row, 0, sizeof(real) * (size_t)(p->ic * p->row));
        K->planar_turn(p->ic, pixels, image + (y * p->iw + skip) * p->ic, row + left, p->row);
    }
}

/* `pixels` outputs of one row from x on: r calls of the tile, then the tile is turned back. */
static void planar_tile(const planar_plan *p, const real *rows, int64_t r0, int64_t r1, int64_t x, int64_t pixels,
                        real *tile_out, real *out)
{
    fnn_tile tile = {.k = p->ic, .runs = p->s, .a_step = p->r * p->s * p->ic, .a_run = p->ic, .b_step = p->row};
    tile.b_run = 1;
    tile.c_step = p->width;
    if (r1 <= r0)
        memset(tile_out, 0, sizeof(real) * (size_t)(p->oc * p->width));
    for (int64_t r = r0; r < r1; r++)
        for (int64_t k = 0; k < p->oc; k += K->gemm_tile_rows)
            K->gemm_rows(&tile, p->w + k * tile.a_step + r * p->s * p->ic, rows + (r - r0) * p->ic * p->row + x, NULL,
                         tile_out + k * p->width, (int)min_int(K->gemm_tile_rows, p->oc - k), (int)pixels, r > r0);
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t k = 0; k < p->oc; k++)
            out[(x + i) * p->oc + k] = tile_out[k * p->width + i] + (p->e.bias ? p->e.bias[k] : 0);
}

static void planar_task(void *context, int64_t index, int thread)
{
    const planar_plan *p = context;
    int64_t n = index / p->bands, y0 = index % p->bands * p->band, y1 = min_int(y0 + p->band, p->oh);
    real *tile = p->scratch + thread * p->scratch_reals, *rows = tile + PLANAR_CHANNELS * p->width;
    int64_t first = y0 - p->pad_y;
    planar_turn(p, p->in + n * p->ih * p->iw * p->ic, first, y1 - y0 + p->r - 1, rows);
    for (int64_t oy = y0; oy < y1; oy++) {
        int64_t iy = oy - p->pad_y;
        int64_t r0 = min_int(max_int(-iy, 0), p->r), r1 = min_int(p->r, p->ih - iy);
        for (int64_t x = 0; x < p->ow; x += p->width)
            planar_tile(p, rows + (iy + r0 - first) * p->ic * p->row, r0, r1, x, min_int(p->width, p->ow - x), tile,
                        p->out + (n * p->oh + oy) * p->ow * p->oc);
        epilogue_finish(&p->e, (n * p->oh + oy) * p->ow * p->oc, p->ow, p->oc, p->oc, p->out);
    }
}

static int64_t planar_filter_reals(const planar_plan *p) { return p->oc * p->r * p->s * p->ic; }

static void planar_prepare(const planar_plan *p, const real *w, bool mirrored, real *to)
{
    int64_t taps = p->r * p->s;
    for (int64_t o = 0; o < p->oc; o++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < p->ic; c++)
                to[(o * taps + t) * p->ic + c] =
                    mirrored ? w[(c * p->oc + o) * taps + taps - 1 - t] : w[(o * p->ic + c) * taps + t];
}

static int planar_run(planar_plan *p, const fnn_conv_shape *s)
{
    planar_cut(p);
    int width = fnn_parallel_width(p->n * p->bands, conv_flops(s) * FNN_NS_PER_FLOP * 4);
    p->scratch = fnn_alloc(sizeof(real) * (size_t)(width * p->scratch_reals));
    if (!p->scratch)
        return FNN_NO_MEMORY;
    fnn_parallel_dynamic(p->n * p->bands, width, planar_task, p);
    fnn_free(p->scratch);
    return FNN_OK;
}

static planar_plan planar_forward_plan(const fnn_conv_shape *s)
{
    planar_plan p = {.n = s->n, .ih = s->in[1], .iw = s->in[2], .ic = s->c, .oh = s->out[1], .ow = s->out[2]};
    p.oc = s->k;
    p.r = s->kernel[1];
    p.s = s->kernel[2];
    p.pad_y = s->pad[1];
    p.pad_x = s->pad[2];
    return p;
}

static int64_t conv_planar_prepared(const fnn_conv_shape *s)
{
    planar_plan p = planar_forward_plan(s);
    return planar_filter_reals(&p);
}

static void conv_planar_prepare(const fnn_conv_shape *s, const real *w, real *to)
{
    planar_plan p = planar_forward_plan(s);
    planar_prepare(&p, w, false, to);
}

static int conv_planar_fwd(const fnn_conv_shape *s, const real *x, const real *w, const epilogue *e, real *y)
{
    planar_plan p = planar_forward_plan(s);
    p.in = x;
    p.w = w;
    p.e = *e;
    p.out = y;
    return planar_run(&p, s);
}

static int conv_planar_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    planar_plan p = {.n = s->n, .ih = s->out[1], .iw = s->out[2], .ic = s->k, .oh = s->in[1], .ow = s->in[2]};
    p.oc = s->c;
    p.r = s->kernel[1];
    p.s = s->kernel[2];
    p.pad_y = p.r - 1 - s->pad[1];
    p.pad_x = p.s - 1 - s->pad[2];
    p.in = dy;
    p.out = dx;
    real *mirrored = fnn_alloc(sizeof(real) * (size_t)planar_filter_reals(&p));
    if (!mirrored)
        return FNN_NO_MEMORY;
    planar_prepare(&p, w, true, mirrored);
    p.w = mirrored;
    int status = planar_run(&p, s);
    fnn_free(mirrored);
    return status;
}

/* ---- backward, weight: dw[k][(r, s, c)] = sum over pixels of dy[pixel][k] * col[pixel][(r, s, c)] ----
 *
 * Vectors run along the filter's taps: rows of col are gathered for a band of output rows. */

#define PLANAR_COL_REALS 16384 /* of a band's rows of col: shares the second-level cache */
#define PLANAR_CHUNKS 16

typedef struct {
    const fnn_conv_shape *s;
    const real *x, *dy;
    int64_t depth, width, row, row_pixels, band, chunk, chunks, rows_reals, scratch_reals;
    real *scratch, *partial;
} planar_w_plan;

static void planar_w_task(void *context, int64_t index, int thread)
{
    const planar_w_plan *p = context;
    const fnn_conv_shape *s = p->s;
    real *rows = p->scratch + thread * p->scratch_reals, *col = rows + p->rows_reals;
    real *dw = p->partial + index * s->k * p->depth;
    int64_t run = s->kernel[2] * s->c, step = (int64_t)K->gemm_tile_vectors * K->lanes;
    memset(dw, 0, sizeof(real) * (size_t)(s->k * p->depth));
    for (int64_t n = index * p->chunk; n < min_int((index + 1) * p->chunk, s->n); n++)
        for (int64_t y0 = 0; y0 < s->out[1]; y0 += p->band) {
            int64_t count = min_int(p->band, s->out[1] - y0), first = y0 - s->pad[1];
            memset(rows, 0, sizeof(real) * (size_t)p->rows_reals);
            direct_copy_rows(p->x + n * conv_in_pixels(s) * s->c, s->in[1], s->in[2], s->c, s->pad[2], p->row_pixels,
                             first, count + s->kernel[1] - 1, rows);
            for (int64_t y = 0; y < count; y++)
                K->planar_gather(s->out[2], s->kernel[1], run, rows + y * p->row, p->row, s->c,
                                 col + y * s->out[2] * p->width, p->width);
            fnn_tile tile = {.k = count * s->out[2], .runs = 1, .a_step = s->k, .b_step = p->width};
            tile.c_step = p->depth;
            const real *dy = p->dy + (n * s->out[1] + y0) * s->out[2] * s->k;
            for (int64_t j = 0; j < p->depth; j += step)
                for (int64_t k = 0; k < s->k; k += K->gemm_tile_rows)
                    K->gemm_cols(&tile, dy + k, col + j, NULL, dw + k * p->depth + j,
                                 (int)min_int(K->gemm_tile_rows, s->k - k), (int)min_int(step, p->depth - j), 1);
        }
}

static int conv_planar_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    planar_w_plan p = {.s = s, .x = x, .dy = dy, .depth = conv_taps(s) * s->c};
    p.width = round_up(p.depth, (int64_t)K->gemm_tile_vectors * K->lanes) + K->lanes; /* the gather stores vectors */
    p.row_pixels = s->out[2] - 1 + s->kernel[2];
    p.row = p.row_pixels * s->c;
    p.band = min_int(max_int(PLANAR_COL_REALS / (p.width * s->out[2]), 1), s->out[1]);
    p.rows_reals = round_up((p.band + s->kernel[1] - 1) * p.row + K->lanes, 16);
    p.scratch_reals = p.rows_reals + round_up(p.band * s->out[2] * p.width + K->lanes, 16);
    p.chunk = ceil_div(s->n, min_int(s->n, PLANAR_CHUNKS));
    p.chunks = ceil_div(s->n, p.chunk);
    int width = fnn_parallel_width(p.chunks, conv_flops(s) * FNN_NS_PER_FLOP * 4);
    int64_t reals = s->k * p.depth, partial = round_up(p.chunks * reals, 16);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + width * p.scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    p.partial = workspace;
    p.scratch = workspace + partial;
    fnn_parallel_dynamic(p.chunks, width, planar_w_task, &p);
    add_partials(p.partial, p.partial + reals, reals, p.chunks - 1);
    int64_t taps = conv_taps(s);
    for (int64_t k = 0; k < s->k; k++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t c = 0; c < s->c; c++)
                dw[(k * s->c + c) * taps + t] = p.partial[(k * taps + t) * s->c + c];
    fnn_free(workspace);
    return FNN_OK;
}
