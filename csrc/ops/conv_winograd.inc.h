/* conv_winograd.inc.h - 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of
 * 144. docs/kernels/winograd.md derives it; kernels/winograd.inc.h holds the transforms.
 *
 * Tiles of 4x4 outputs are numbered through all images; a task takes a block of WINO_TILES of them through input
 * transform, products and output transform while everything lies in the second-level cache. */

#define WINO_STEP (FNN_WINO_TILES + 1)

/* A 3x3 correlation of `in` (n, ih, iw, c) giving `out` (n, oh, ow, k). */
typedef struct {
    int64_t n, ih, iw, c, oh, ow, k, pad_y, pad_x;
    const real *in, *u, *bias;
    real *out;
    /* derived */
    int64_t tiles_y, tiles_x, tiles, blocks, width, panels, v_reals, scratch_reals;
    real *scratch;
} wino_plan;

static void wino_cut(wino_plan *p)
{
    p->tiles_y = ceil_div(p->oh, 4);
    p->tiles_x = ceil_div(p->ow, 4);
    p->tiles = p->n * p->tiles_y * p->tiles_x;
    p->blocks = ceil_div(p->c, K->lanes);
    p->width = p->k <= K->lanes ? K->lanes : (int64_t)K->gemm_tile_vectors * K->lanes;
    p->panels = ceil_div(p->k, p->width);
    p->v_reals = p->blocks * 36 * WINO_STEP * K->lanes;
    p->scratch_reals = p->v_reals + 36 * WINO_STEP * p->width;
}

/* Where tile t lies: its image and the first output row and pixel. */
static inline int64_t wino_place(const wino_plan *p, int64_t t, int64_t *y, int64_t *x)
{
    *x = t % p->tiles_x * 4;
    *y = t / p->tiles_x % p->tiles_y * 4;
    return t / (p->tiles_x * p->tiles_y);
}

static void wino_inputs(const wino_plan *p, int64_t first, int64_t count, real *v)
{
    int64_t y, x;
    for (int64_t t = 0; t < count; t++) {
        int64_t n = wino_place(p, first + t, &y, &x);
        K->wino_input(p->in + n * p->ih * p->iw * p->c, p->ih, p->iw, p->c, y - p->pad_y, x - p->pad_x,
                      v + t * K->lanes);
    }
}

static void wino_task(void *context, int64_t index, int thread)
{
    const wino_plan *p = context;
    real *v = p->scratch + thread * p->scratch_reals, *m = v + p->v_reals;
    int64_t first = index * FNN_WINO_TILES, count = min_int(FNN_WINO_TILES, p->tiles - first), y, x;
    wino_inputs(p, first, count, v);
    for (int64_t panel = 0; panel < p->panels; panel++) {
        int64_t k0 = panel * p->width;
        K->wino_products(p->blocks, count, v, p->u + panel * p->blocks * 36 * K->lanes * p->width, p->width, m);
        for (int64_t t = 0; t < count; t++) {
            int64_t n = wino_place(p, first + t, &y, &x);
            K->wino_output(m + t * p->width, p->width, p->bias ? p->bias + k0 : NULL, p->oh, p->ow, p->k, y, x,
                           min_int(p->width, p->k - k0), p->out + n * p->oh * p->ow * p->k + k0);
        }
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
    return 2.0 * 36 * (double)p->tiles * (double)p->c * (double)p->k * FNN_NS_PER_FLOP;
}

/* `pack` is the task that packs this pass's filters as the direct algorithm does. */
static int wino_run(wino_plan *p, const fnn_conv_shape *s, const real *w, fnn_task *pack)
{
    wino_cut(p);
    int64_t tasks = ceil_div(p->tiles, FNN_WINO_TILES);
    int width = fnn_parallel_width(tasks, wino_work(p));
    int64_t packed = p->panels * 9 * p->c * p->width, u = p->panels * 36 * p->blocks * K->lanes * p->width;
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(packed + u + width * p->scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    wino_filters filters = {p, workspace, workspace + packed};
    direct_pack d = {.s = s, .w = w, .packed = workspace, .width = p->width, .r = 3, .s_taps = 3};
    d.step_y = d.step_x = 1;
    int pack_width = fnn_parallel_width(p->panels, (double)u);
    fnn_parallel(p->panels, pack_width, pack, &d);
    fnn_parallel(p->panels, pack_width, wino_filter_task, &filters);
    p->u = filters.u;
    p->scratch = workspace + packed + u;
    fnn_parallel_dynamic(tasks, width, wino_task, p);
    fnn_free(workspace);
    return FNN_OK;
}

static int conv_winograd_fwd(const fnn_conv_shape *s, const real *x, const real *w, const real *bias, real *y)
{
    wino_plan p = {.n = s->n, .ih = s->in[1], .iw = s->in[2], .c = s->c, .oh = s->out[1], .ow = s->out[2], .k = s->k};
    p.pad_y = s->pad[1];
    p.pad_x = s->pad[2];
    p.in = x;
    p.bias = bias;
    p.out = y;
    return wino_run(&p, s, w, direct_pack_fwd_task);
}

/* The data gradient is the correlation of dy with the mirrored filters, c and k exchanged. */
static int conv_winograd_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    wino_plan p = {.n = s->n, .ih = s->out[1], .iw = s->out[2], .c = s->k, .oh = s->in[1], .ow = s->in[2], .k = s->c};
    p.pad_y = 2 - s->pad[1];
    p.pad_x = 2 - s->pad[2];
    p.in = dy;
    p.out = dx;
    return wino_run(&p, s, w, direct_pack_bwd_x_task);
}

/* ---- backward, weight: blocks of tiles are summed into s[xi][c][k], one partial s for each chunk of tiles ---- */

#define WINO_GROUP_REALS 327680 /* of a task's part of s: stays in the second-level cache */
#define WINO_CHUNKS 8
#define WINO_CHUNK_TILES 192    /* at least, so that clearing and adding a partial s is a small part */

typedef struct {
    wino_plan p;
    const real *dy;
    int64_t chunk, chunks, group, groups, partial_reals;
    real *partial;
} wino_w_plan;

static void wino_w_task(void *context, int64_t index, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    int64_t chunk = index / w->groups, first_panel = index % w->groups * w->group;
    int64_t last_panel = min_int(first_panel + w->group, p->panels), y, x;
    int64_t rows = p->blocks * K->lanes, step = p->panels * p->width;
    real *v = p->scratch + thread * p->scratch_reals, *d = v + p->v_reals;
    real *s = w->partial + chunk * w->partial_reals;
    for (int64_t i = 0; i < 36 * rows; i++)
        memset(s + i * step + first_panel * p->width, 0, sizeof(real) * (size_t)((last_panel - first_panel) * p->width));
    int64_t end = min_int((chunk + 1) * w->chunk, p->tiles);
    for (int64_t first = chunk * w->chunk; first < end; first += FNN_WINO_TILES) {
        int64_t count = min_int(FNN_WINO_TILES, end - first);
        wino_inputs(p, first, count, v);
        for (int64_t panel = first_panel; panel < last_panel; panel++) {
            int64_t k0 = panel * p->width;
            for (int64_t t = 0; t < count; t++) {
                int64_t n = wino_place(p, first + t, &y, &x);
                K->wino_grad(w->dy + n * p->oh * p->ow * p->k + k0, p->oh, p->ow, p->k, y, x, p->k - k0, p->width,
                             d + t * p->width);
            }
            K->wino_products_grad(p->blocks, count, v, d, p->width, step, s + k0);
        }
    }
}

static int conv_winograd_bwd_w(const fnn_conv_shape *shape, const real *dy, const real *x, real *dw)
{
    wino_w_plan w = {.dy = dy};
    wino_plan *p = &w.p;
    *p = (wino_plan){.n = shape->n, .ih = shape->in[1], .iw = shape->in[2], .c = shape->c, .k = shape->k, .in = x};
    p->oh = shape->out[1];
    p->ow = shape->out[2];
    p->pad_y = shape->pad[1];
    p->pad_x = shape->pad[2];
    wino_cut(p);
    int64_t rows = p->blocks * K->lanes, step = p->panels * p->width;
    w.partial_reals = 36 * rows * step;
    w.group = min_int(max_int(WINO_GROUP_REALS / (36 * rows * p->width), 1), p->panels);
    w.groups = ceil_div(p->panels, w.group);
    int64_t chunks = min_int(ceil_div(WINO_CHUNKS, w.groups), max_int(p->tiles / WINO_CHUNK_TILES, 1));
    w.chunk = round_up(ceil_div(p->tiles, chunks), FNN_WINO_TILES);
    w.chunks = ceil_div(p->tiles, w.chunk);
    int width = fnn_parallel_width(w.chunks * w.groups, wino_work(p));
    int64_t partial = w.chunks * w.partial_reals, taps = 9 * p->c * p->k;
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + round_up(taps, 16) + width * p->scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    w.partial = workspace;
    p->scratch = workspace + partial + round_up(taps, 16);
    fnn_parallel_dynamic(w.chunks * w.groups, width, wino_w_task, &w);
    add_partials(w.partial, w.partial + w.partial_reals, w.partial_reals, w.chunks - 1);
    real *g = workspace + partial; /* [tap][c][k] */
    for (int64_t c = 0; c < p->c; c++)
        K->wino_filter_grad(p->k, w.partial + c * step, rows * step, g + c * p->k, p->c * p->k);
    direct_w_unpack(shape, g, dw);
    fnn_free(workspace);
    return FNN_OK;
}
