/* conv_planar.inc.h - 2-D convolution of stride 1 with few output channels, and the weight gradient for few output
 * channels.
 *
 * Vectors of output channels would be mostly empty (a first layer's input gradient has 1 or 3), so here vectors run
 * along a row of pixels: rows of the input are turned to [row][c][pixel], sums are k output channels by a run of
 * pixels, and are turned back. */

#define PLANAR_BAND_REALS 65536

typedef struct {
    int64_t n, ih, iw, ic, oh, ow, oc, r, s, pad_y, pad_x;
    const real *in, *w; /* w[r][c][s][oc] */
    epilogue e;
    real *out;
    /* derived */
    int64_t row, band, bands, scratch_reals;
    real *scratch;
    int64_t *offset; /* of every tap in a band's rows */
} planar_plan;

static void planar_cut(planar_plan *p)
{
    /* Vectors may reach past the last pixel, and turning stores whole ones. */
    p->row = max_int(round_up(p->ow, K->lanes) + p->s, max_int(p->pad_x, 0) + round_up(p->iw, K->lanes));
    int64_t rows = max_int(PLANAR_BAND_REALS / (p->row * p->ic) - p->r, 0) + 1;
    p->bands = ceil_div(p->oh, min_int(rows, p->oh));
    p->band = ceil_div(p->oh, p->bands);
    p->scratch_reals =
        round_up((p->band + p->r - 1) * p->ic * p->row + 2 * FNN_PLANAR_CHANNELS * K->lanes + K->lanes, 16);
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

/* Where the vector of outputs (oy, x) of a band lies in its turned rows. */
typedef struct {
    const real *in;
    real *out;
    int64_t pixels;
} planar_vector;

static planar_vector planar_place(const planar_plan *p, const real *rows, int64_t first, int64_t n, int64_t oy,
                                  int64_t x)
{
    return (planar_vector){rows + (oy - p->pad_y - first) * p->ic * p->row + x,
                           p->out + ((n * p->oh + oy) * p->ow + x) * p->oc, min_int(p->ow - x, K->lanes)};
}

/* The same taps for two vectors of outputs. */
static void planar_pair(const planar_plan *p, int64_t r0, int64_t r1, planar_vector a, planar_vector b, real *sums)
{
    int64_t row_taps = p->s * p->ic;
    K->planar_row(p->oc, (r1 - r0) * row_taps, p->offset + r0 * row_taps, a.in, b.in, p->w + r0 * row_taps * p->oc,
                  sums);
    K->planar_turn_back(p->oc, a.pixels, sums, p->e.bias, a.out);
    if (b.out != a.out)
        K->planar_turn_back(p->oc, b.pixels, sums + p->oc * K->lanes, p->e.bias, b.out);
}

/* The filter rows that meet the image at output row oy. */
static void planar_filter_rows(const planar_plan *p, int64_t oy, int64_t *r0, int64_t *r1)
{
    int64_t iy = oy - p->pad_y;
    *r0 = min_int(max_int(-iy, 0), p->r);
    *r1 = max_int(min_int(p->r, p->ih - iy), *r0);
}

/* Output vectors are computed in pairs: neighbours in a row, or for narrow images one above the other, where the same
 * filter rows meet the image. */
static void planar_task(void *context, int64_t index, int thread)
{
    const planar_plan *p = context;
    int64_t n = index / p->bands, y0 = index % p->bands * p->band, y1 = min_int(y0 + p->band, p->oh);
    real *sums = p->scratch + thread * p->scratch_reals, *rows = sums + 2 * FNN_PLANAR_CHANNELS * K->lanes;
    int64_t first = y0 - p->pad_y, r0, r1, below0 = -1, below1 = -1;
    planar_turn(p, p->in + n * p->ih * p->iw * p->ic, first, y1 - y0 + p->r - 1, rows);
    for (int64_t oy = y0; oy < y1; oy++) {
        planar_filter_rows(p, oy, &r0, &r1);
        if (oy + 1 < y1)
            planar_filter_rows(p, oy + 1, &below0, &below1);
        bool two_rows = p->ow <= K->lanes && oy + 1 < y1 && below0 == r0 && below1 == r1;
        for (int64_t x = 0; x < p->ow; x += 2 * K->lanes) {
            planar_vector a = planar_place(p, rows, first, n, oy, x);
            planar_vector b = two_rows               ? planar_place(p, rows, first, n, oy + 1, x)
                              : x + K->lanes < p->ow ? planar_place(p, rows, first, n, oy, x + K->lanes)
                                                     : a;
            planar_pair(p, r0, r1, a, b, sums);
        }
        oy += two_rows;
    }
    epilogue_finish(&p->e, (n * p->oh + y0) * p->ow * p->oc, (y1 - y0) * p->ow, p->oc, p->oc, p->out);
}

static int64_t planar_filter_reals(const planar_plan *p) { return p->oc * p->r * p->s * p->ic; }

/* to[(r, c, s)][oc], the order of a band's rows */

static void planar_prepare(const planar_plan *p, const real *w, bool mirrored, real *to)
{
    int64_t taps = p->r * p->s;
    for (int64_t r = 0; r < p->r; r++)
        for (int64_t c = 0; c < p->ic; c++)
            for (int64_t q = 0; q < p->s; q++)
                for (int64_t o = 0; o < p->oc; o++) {
                    int64_t t = r * p->s + q;
                    *to++ = mirrored ? w[(c * p->oc + o) * taps + taps - 1 - t] : w[(o * p->ic + c) * taps + t];
                }
}

static int planar_run(planar_plan *p, const fnn_conv_shape *s)
{
    planar_cut(p);
    int width = fnn_parallel_width(p->n * p->bands, conv_flops(s) * FNN_NS_PER_FLOP * 4);
    int64_t taps = p->r * p->s * p->ic;
    p->offset =
        fnn_alloc(sizeof(int64_t) * (size_t)round_up(taps, 8) + sizeof(real) * (size_t)(width * p->scratch_reals));
    if (!p->offset)
        return FNN_NO_MEMORY;
    for (int64_t t = 0; t < taps; t++)
        p->offset[t] = t / p->s * p->row + t % p->s;
    p->scratch = (real *)(p->offset + round_up(taps, 8));
    fnn_parallel_dynamic(p->n * p->bands, width, planar_task, p);
    fnn_free(p->offset);
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

/* ---- backward, weight: dw[k][(c, r, s)] = sum over pixels of dy[k][pixel] * x[c][pixel + r * pitch + s] ----
 *
 * Bands of x and dy are turned to rows of one pitch, with zeros between the rows of dy: then a band is one run of
 * pixels for every tap. Sums stay vectors, whose lanes are added at the end. */

#define PLANAR_PIXELS 1024 /* in a run: with dy's channels they stay in the nearest cache */
#define PLANAR_CHUNKS 16

typedef struct {
    const fnn_conv_shape *s;
    const real *x, *dy;
    int64_t pitch, band, taps, chunk, chunks, x_channel, dy_channel, scratch_reals;
    int64_t *offset; /* of every tap in the turned rows of x */
    real *scratch, *partial;
} planar_w_plan;

/* Rows [first, first + count) of an image (h, w, channels), those that exist, to out[c][row][left + pixel]. */
static void planar_w_turn(const planar_w_plan *p, const real *image, int64_t h, int64_t w, int64_t channels,
                          int64_t first, int64_t count, int64_t left, real *out, int64_t out_channel)
{
    int64_t skip = max_int(-left, 0), from = max_int(left, 0), pixels = min_int(w - skip, p->pitch - from);
    memset(out, 0, sizeof(real) * (size_t)(channels * out_channel));
    for (int64_t y = max_int(first, 0); y < min_int(first + count, h) && pixels > 0; y++)
        K->planar_turn(channels, pixels, image + (y * w + skip) * channels, out + (y - first) * p->pitch + from,
                       out_channel);
}

static void planar_w_task(void *context, int64_t index, int thread)
{
    const planar_w_plan *p = context;
    const fnn_conv_shape *s = p->s;
    const int64_t sums_reals = p->taps * s->k * K->lanes;
    real *sums = p->scratch + thread * p->scratch_reals, *rows = sums + sums_reals, *dy = rows + s->c * p->x_channel;
    memset(sums, 0, sizeof(real) * (size_t)sums_reals);
    for (int64_t n = index * p->chunk; n < min_int((index + 1) * p->chunk, s->n); n++)
        for (int64_t y0 = 0; y0 < s->out[1]; y0 += p->band) {
            int64_t count = min_int(p->band, s->out[1] - y0);
            planar_w_turn(p, p->x + n * conv_in_pixels(s) * s->c, s->in[1], s->in[2], s->c, y0 - s->pad[1],
                          count + s->kernel[1] - 1, s->pad[2], rows, p->x_channel);
            planar_w_turn(p, p->dy + n * conv_out_pixels(s) * s->k, s->out[1], s->out[2], s->k, y0, count, 0, dy,
                          p->dy_channel);
            K->planar_grad(s->k, p->taps, p->offset, count * p->pitch, rows, dy, p->dy_channel, sums);
        }
    K->planar_lanes(p->taps * s->k, sums, p->partial + index * p->taps * s->k);
}

static int conv_planar_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    planar_w_plan p = {.s = s, .x = x, .dy = dy, .taps = conv_taps(s) * s->c};
    const int64_t reach = s->kernel[2] + K->lanes; /* vectors and taps reach past the last pixel */
    p.pitch = s->out[2] - 1 + s->kernel[2];
    p.band = min_int(max_int(PLANAR_PIXELS / p.pitch, 1), s->out[1]);
    p.dy_channel = round_up(p.band * p.pitch + reach, 16);
    p.x_channel = round_up((p.band + s->kernel[1] - 1) * p.pitch + reach, 16);
    p.scratch_reals = s->c * p.x_channel + s->k * p.dy_channel + round_up(p.taps * s->k * K->lanes, 16) + 16;
    p.chunk = ceil_div(s->n, min_int(s->n, PLANAR_CHUNKS));
    p.chunks = ceil_div(s->n, p.chunk);
    int width = fnn_parallel_width(p.chunks, conv_flops(s) * FNN_NS_PER_FLOP * 4);
    int64_t reals = s->k * p.taps, partial = round_up(p.chunks * reals, 16), offsets = round_up(p.taps, 8);
    p.offset =
        fnn_alloc(sizeof(int64_t) * (size_t)offsets + sizeof(real) * (size_t)(partial + width * p.scratch_reals));
    if (!p.offset)
        return FNN_NO_MEMORY;
    for (int64_t t = 0; t < p.taps; t++) { /* (c, r, s) */
        int64_t tap = t % conv_taps(s);
        p.offset[t] = t / conv_taps(s) * p.x_channel + tap / s->kernel[2] * p.pitch + tap % s->kernel[2];
    }
    p.partial = (real *)(void *)(p.offset + offsets);
    p.scratch = p.partial + partial;
    fnn_parallel_dynamic(p.chunks, width, planar_w_task, &p);
    add_partials(p.partial, p.partial + reals, reals, p.chunks - 1);
    for (int64_t t = 0; t < p.taps; t++)
        for (int64_t k = 0; k < s->k; k++)
            dw[k * p.taps + t] = p.partial[t * s->k + k];
    fnn_free(p.offset);
    return FNN_OK;
}
