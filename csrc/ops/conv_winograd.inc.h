/* conv_winograd.inc.h - 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of
 * 144. docs/kernels/winograd.md derives it; kernels/winograd.inc.h holds the transforms.
 *
 * Tiles of 4x4 outputs are numbered through all images; a task takes a block of them through input transform, products
 * and output transform while everything lies in the second-level cache. */

#define WINO_STEP (FNN_WINO_TILES + 1)
#define WINO_BLOCK 24      /* tiles: two full heights of the product tile */
#define WINO_NEAR_BLOCK 16 /* where a tile has one vector of channels: it all stays in the first-level cache */
#define WINO_FEW_TASKS 4   /* at least as many, where a small batch allows it: blocks of fewer tiles, */
#define WINO_FEW_TILES 8   /* but not of fewer than so many; then panels are shared out as well */

/* A 3x3 correlation of `in` (n, ih, iw, slices * c) giving `out` (n, oh, ow, slices * k), slice by slice. */
typedef struct {
    int64_t n, ih, iw, c, oh, ow, k, slices, pad_y, pad_x;
    const real *in, *u;
    epilogue e;
    real *out;
    bool stream; /* the output goes past the caches */
    /* derived */
    bool near; /* products overwrite what they are made of: one vector of channels each way */
    int64_t in_pixel, out_pixel, tiles_y, tiles_x, tiles, blocks, width, panels, v_reals, scratch_reals;
    int64_t run, runs, group, groups; /* of a task: tiles, and panels of k */
    real *scratch;
} wino_plan;

static void wino_cut(wino_plan *p)
{
    p->in_pixel = p->slices * p->c;
    p->out_pixel = p->slices * p->k;
    p->tiles_y = ceil_div(p->oh, 4);
    p->tiles_x = ceil_div(p->ow, 4);
    p->tiles = p->n * p->tiles_y * p->tiles_x;
    p->blocks = ceil_div(p->c, K->lanes);
    p->width = p->k <= K->lanes ? K->lanes : (int64_t)K->gemm_tile_vectors * K->lanes;
    p->panels = ceil_div(p->k, p->width);
    p->near = p->blocks == 1 && p->width == K->lanes;
    p->v_reals = p->blocks * 36 * WINO_STEP * K->lanes;
    p->scratch_reals = p->v_reals + 36 * WINO_STEP * p->width;
    int64_t even = round_up(ceil_div(p->tiles, WINO_FEW_TASKS), 4);
    p->run = min_int(max_int(even, WINO_FEW_TILES), p->near ? WINO_NEAR_BLOCK : WINO_BLOCK);
    p->runs = ceil_div(p->tiles, p->run);
    p->groups = min_int(ceil_div(WINO_FEW_TASKS, max_int(p->runs, 1)), p->panels);
    p->group = ceil_div(p->panels, p->groups);
    p->groups = ceil_div(p->panels, p->group);
}

/* Where tile t lies: its image and the first output row and pixel. */
static inline int64_t wino_place(const wino_plan *p, int64_t t, int64_t *y, int64_t *x)
{
    *x = t % p->tiles_x * 4;
    *y = t / p->tiles_x % p->tiles_y * 4;
    return t / (p->tiles_x * p->tiles_y);
}

/* Tiles first .. first + count - 1 of a stack of images (n, h, w, pixel), which they see from (pad_y, pad_x) before. */
static fnn_wino_tiles wino_tiles(const wino_plan *p, int64_t first, int64_t count, int64_t h, int64_t w, int64_t pixel,
                                 int64_t pad_y, int64_t pad_x)
{
    fnn_wino_tiles t = {
        .h = h, .w = w, .pixel = pixel, .oh = p->oh, .ow = p->ow, .pad_y = pad_y, .pad_x = pad_x, .count = count};
    t.n = wino_place(p, first, &t.y, &t.x);
    return t;
}

static fnn_wino_tiles wino_in_tiles(const wino_plan *p, int64_t first, int64_t count)
{
    return wino_tiles(p, first, count, p->ih, p->iw, p->in_pixel, p->pad_y, p->pad_x);
}

static fnn_wino_tiles wino_out_tiles(const wino_plan *p, int64_t first, int64_t count)
{
    return wino_tiles(p, first, count, p->oh, p->ow, p->out_pixel, 0, 0);
}

/* The cache lines of the rows of an image stack (n, h, w, c) from `above` rows over the first to `below` under the last
 * of tiles first .. first + count - 1 (contiguous, and little else than what these tiles touch), to be fetched in
 * `calls` steps. */
static fnn_ahead wino_ahead(const wino_plan *p, int64_t first, int64_t count, const real *stack, int64_t h, int64_t row,
                            int64_t above, int64_t below, int64_t calls)
{
    int64_t y, x, last = min_int(first + count, p->tiles) - 1;
    if (first > last)
        return (fnn_ahead){0};
    int64_t begin = wino_place(p, first, &y, &x) * h;
    begin += min_int(max_int(y - above, 0), h);
    int64_t end = wino_place(p, last, &y, &x) * h;
    end += min_int(max_int(y + 4 + below, 0), h);
    int64_t lines = (end - begin) * row * (int64_t)sizeof(real) / 64;
    return (fnn_ahead){(const char *)(stack + begin * row), lines, ceil_div(lines, calls)};
}

/* The activation of channels [from, to) of a tile of `rows` x `pixels` outputs. */
static void wino_activate(const wino_plan *p, real *tile, int64_t rows, int64_t pixels, int64_t from, int64_t to)
{
    if (p->groups == 1 && p->slices == 1)
        epilogue_activate(&p->e, rows, pixels * p->k, p->ow * p->k, tile);
    else
        for (int64_t i = 0; i < rows; i++)
            epilogue_activate(&p->e, pixels, to - from, p->out_pixel, tile + i * p->ow * p->out_pixel + from);
}

/* The transformed filters of one slice. */
static int64_t wino_filter_reals(const wino_plan *p) { return p->panels * 36 * p->blocks * K->lanes * p->width; }

static void wino_task(void *context, int64_t index, int thread)
{
    const wino_plan *p = context;
    real *v = p->scratch + thread * p->scratch_reals, *m = p->near ? v : v + p->v_reals;
    int64_t slice = index % p->slices, out_pixel = p->out_pixel;
    index /= p->slices;
    int64_t run = index % p->runs, first = run * p->run, count = min_int(p->run, p->tiles - first);
    int64_t first_panel = index / p->runs * p->group, last_panel = min_int(first_panel + p->group, p->panels);
    const real *u = p->u + slice * wino_filter_reals(p);
    const fnn_wino_tiles in = wino_in_tiles(p, first, count), out = wino_out_tiles(p, first, count);
    K->wino_input(&in, p->in + slice * p->c, p->c, v);
    int64_t calls = 36 * (p->width == K->lanes ? 1 : ceil_div(p->run, K->gemm_tile_rows)), row = p->ow * out_pixel;
    fnn_ahead ahead[2] = {{0}};
    if (slice == p->slices - 1) /* the others' next inputs are here already */
        ahead[0] = wino_ahead(p, first + p->run, p->run, p->in, p->ih, p->iw * p->in_pixel, p->pad_y, 2 - p->pad_y,
                              calls * p->group);
    if (slice == 0 && !p->stream) /* this block's outputs arrive during the first panel's products */
        ahead[1] = wino_ahead(p, first, count, p->out, p->oh, row, 0, 0, calls);
    for (int64_t panel = first_panel; panel < last_panel; panel++) {
        int64_t k0 = panel * p->width, k = slice * p->k + k0;
        K->wino_products(p->blocks, count, v, u + panel * p->blocks * 36 * K->lanes * p->width, p->width, m, ahead);
        K->wino_output(&out, m, p->width, p->e.bias ? p->e.bias + k : NULL, p->e.residual ? p->e.residual + k : NULL,
                       p->e.relu, min_int(p->width, p->k - k0), p->stream, moments_part(&p->e.moments, run, k),
                       out_pixel, p->out + k);
    }
    if (p->e.activation)
        for (int64_t t = 0; t < count; t++) {
            int64_t y, x, n = wino_place(p, first + t, &y, &x);
            wino_activate(p, p->out + ((n * p->oh + y) * p->ow + x) * out_pixel + slice * p->k, min_int(4, p->oh - y),
                          min_int(4, p->ow - x), first_panel * p->width, min_int(last_panel * p->width, p->k));
        }
}

/* ---- filters: packed[panel][tap][c][width] -> u[panel][xi][c][width], c up to whole blocks ---- */

typedef struct {
    const wino_plan *p;
    const real *packed;
    real *u;
} wino_filters;

static void wino_filter_task(void *context, int64_t panel, int thread)
{
    const wino_filters *f = context;
    const wino_plan *p = f->p;
    int64_t used = p->c * p->width, room = p->blocks * K->lanes * p->width;
    real *u = f->u + panel * 36 * room;
    (void)thread;
    K->wino_filter(used, f->packed + panel * 9 * used, used, u, room);
    for (int64_t xi = 0; xi < 36 && used < room; xi++)
        memset(u + xi * room + used, 0, sizeof(real) * (size_t)(room - used));
}

static double wino_work(const wino_plan *p)
{
    return 2.0 * 36 * (double)p->tiles * (double)p->slices * (double)p->c * (double)p->k * FNN_NS_PER_FLOP;
}

/* u: the transformed filters. `pack` is the task that packs this pass's filters as the direct algorithm does. */
static int wino_prepare(const wino_plan *p, const fnn_conv_shape *s, const real *w, fnn_task *pack, real *u)
{
    int64_t panels = p->slices * p->panels;
    real *packed = fnn_alloc(sizeof(real) * (size_t)(panels * 9 * p->c * p->width));
    if (!packed)
        return FNN_NO_MEMORY;
    wino_filters filters = {p, packed, u};
    direct_pack d = {.s = s, .w = w, .packed = packed, .width = p->width, .panels = p->panels};
    d.r = d.s_taps = 3;
    d.step_y = d.step_x = 1;
    int width = fnn_parallel_width(panels, (double)(p->slices * wino_filter_reals(p)));
    fnn_parallel(panels, width, pack, &d);
    fnn_parallel(panels, width, wino_filter_task, &filters);
    fnn_free(packed);
    return FNN_OK;
}

/* Past the caches go large outputs that nothing here reads again. */
static bool wino_streams(const wino_plan *p)
{
    int64_t bytes = p->n * p->oh * p->ow * p->out_pixel * (int64_t)sizeof(real);
    return bytes > fnn_stream_bytes() && !p->e.activation && p->e.residual != p->out && p->k % K->lanes == 0 &&
           (uintptr_t)p->out % 64 == 0;
}

/* Pixels of the outputs of run `index`. */
static int64_t wino_run_pixels(const wino_plan *p, int64_t index)
{
    int64_t first = index * p->run, end = min_int(first + p->run, p->tiles), pixels = 0, y, x;
    if (p->oh % 4 == 0 && p->ow % 4 == 0)
        return (end - first) * 16;
    for (int64_t t = first; t < end; t++) {
        wino_place(p, t, &y, &x);
        pixels += min_int(4, p->oh - y) * min_int(4, p->ow - x);
    }
    return pixels;
}

static int wino_run(wino_plan *p)
{
    p->stream = wino_streams(p);
    int64_t tasks = p->runs * p->groups * p->slices;
    int width = fnn_parallel_width(tasks, wino_work(p));
    p->scratch = fnn_alloc(sizeof(real) * (size_t)(width * p->scratch_reals));
    if (!p->scratch || (!p->e.activation && moments_begin(&p->e.moments, p->runs, p->out_pixel) != FNN_OK)) {
        fnn_free(p->scratch);
        return FNN_NO_MEMORY;
    }
    for (int64_t run = 0; run < p->runs && p->e.moments.counts; run++)
        p->e.moments.counts[run] = (double)wino_run_pixels(p, run);
    if (tasks <= WINO_FEW_TASKS) /* a thread then has the part of the image that it wrote in the layer before */
        fnn_parallel(tasks, width, wino_task, p);
    else
        fnn_parallel_dynamic(tasks, width, wino_task, p);
    moments_end(&p->e.moments);
    fnn_free(p->scratch);
    return FNN_OK;
}

static wino_plan wino_forward_plan(const fnn_conv_shape *s)
{
    wino_plan p = {.n = s->n, .ih = s->in[1], .iw = s->in[2], .oh = s->out[1], .ow = s->out[2], .slices = s->groups};
    p.c = s->c / s->groups;
    p.k = s->k / s->groups;
    p.pad_y = s->pad[1];
    p.pad_x = s->pad[2];
    wino_cut(&p);
    return p;
}

static int64_t conv_winograd_prepared(const fnn_conv_shape *s)
{
    wino_plan p = wino_forward_plan(s);
    return p.slices * wino_filter_reals(&p);
}

static int conv_winograd_prepare(const fnn_conv_shape *s, const real *w, real *u)
{
    wino_plan p = wino_forward_plan(s);
    return wino_prepare(&p, s, w, direct_pack_fwd_task, u);
}

static int conv_winograd_fwd(const fnn_conv_shape *s, const real *x, const real *u, const epilogue *e, real *y)
{
    wino_plan p = wino_forward_plan(s);
    p.in = x;
    p.u = u;
    p.e = *e;
    p.out = y;
    return wino_run(&p);
}

/* The data gradient is the correlation of dy with the mirrored filters, c and k exchanged. */
static wino_plan wino_data_plan(const fnn_conv_shape *s, const real *dy, real *dx, bool add)
{
    wino_plan p = {.n = s->n, .ih = s->out[1], .iw = s->out[2], .oh = s->in[1], .ow = s->in[2], .slices = s->groups};
    p.c = s->k / s->groups;
    p.k = s->c / s->groups;
    p.pad_y = 2 - s->pad[1];
    p.pad_x = 2 - s->pad[2];
    p.in = dy;
    p.out = dx;
    p.e.residual = add ? dx : NULL;
    wino_cut(&p);
    return p;
}

/* With `add`, added to dx. */
static int conv_winograd_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx, bool add)
{
    wino_plan p = wino_data_plan(s, dy, dx, add);
    real *u = fnn_alloc(sizeof(real) * (size_t)(p.slices * wino_filter_reals(&p)));
    if (!u)
        return FNN_NO_MEMORY;
    p.u = u;
    int status = wino_prepare(&p, s, w, direct_pack_bwd_x_task, u);
    if (status == FNN_OK)
        status = wino_run(&p);
    fnn_free(u);
    return status;
}
