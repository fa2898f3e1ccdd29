/* conv_winograd.inc.h - 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): 36 products for 16 outputs instead of
 * 144. docs/kernels/winograd.md derives it; kernels/winograd.inc.h holds the transforms.
 *
 * Tiles of 4x4 outputs are numbered through all images; a task takes a block of WINO_TILES of them through input
 * transform, products and output transform while everything lies in the second-level cache. */

#define WINO_STEP (FNN_WINO_TILES + 1)
#define WINO_STREAM_BYTES 12000000 /* an output larger than this is written past the caches, half of it if */
#define WINO_LARGE_FILTERS 16384   /* there are more than so many filters, which need the cache themselves */
#define WINO_FEW_TASKS 4           /* at least as many, where a small batch allows it: blocks of fewer tiles, */
#define WINO_FEW_TILES 8           /* but not of fewer than so many; then panels are shared out as well */

/* A 3x3 correlation of `in` (n, ih, iw, c) giving `out` (n, oh, ow, k). */
typedef struct {
    int64_t n, ih, iw, c, oh, ow, k, pad_y, pad_x;
    const real *in, *u;
    epilogue e;
    real *out;
    bool stream; /* the output goes past the caches */
    /* derived */
    bool near; /* products overwrite what they are made of: one vector of channels each way */
    int64_t tiles_y, tiles_x, tiles, blocks, width, panels, v_reals, scratch_reals;
    int64_t run, runs, group, groups; /* of a task: tiles, and panels of k */
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
    p->near = p->blocks == 1 && p->width == K->lanes;
    p->v_reals = p->blocks * 36 * WINO_STEP * K->lanes;
    p->scratch_reals = p->v_reals + 36 * WINO_STEP * p->width;
    int64_t even = round_up(ceil_div(p->tiles, WINO_FEW_TASKS), 4);
    p->run = min_int(max_int(even, WINO_FEW_TILES), p->near ? FNN_WINO_NEAR_TILES : FNN_WINO_TILES);
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

/* From one tile to the next, without divisions. */
static inline void wino_next(const wino_plan *p, int64_t *n, int64_t *y, int64_t *x)
{
    *x += 4;
    if (*x < p->ow)
        return;
    *x = 0;
    *y += 4;
    if (*y < p->oh)
        return;
    *y = 0;
    ++*n;
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
    if (p->groups == 1)
        epilogue_activate(&p->e, rows, pixels * p->k, p->ow * p->k, tile);
    else
        for (int64_t i = 0; i < rows; i++)
            epilogue_activate(&p->e, pixels, to - from, p->k, tile + i * p->ow * p->k + from);
}

static void wino_task(void *context, int64_t index, int thread)
{
    const wino_plan *p = context;
    real *v = p->scratch + thread * p->scratch_reals, *m = p->near ? v : v + p->v_reals;
    int64_t first = index % p->runs * p->run, count = min_int(p->run, p->tiles - first), y, x;
    int64_t first_panel = index / p->runs * p->group, last_panel = min_int(first_panel + p->group, p->panels);
    const int64_t n0 = wino_place(p, first, &y, &x), y0 = y, x0 = x;
    int64_t n = n0;
    for (int64_t t = 0; t < count; t++, wino_next(p, &n, &y, &x))
        K->wino_input(p->in + n * p->ih * p->iw * p->c, p->ih, p->iw, p->c, y - p->pad_y, x - p->pad_x, p->c,
                      v + t * K->lanes);
    int64_t calls = 36 * (p->width == K->lanes ? 1 : ceil_div(p->run, K->gemm_tile_rows)), row = p->ow * p->k;
    fnn_ahead ahead[2] = {
        wino_ahead(p, first + p->run, p->run, p->in, p->ih, p->iw * p->c, p->pad_y, 2 - p->pad_y, calls * p->group)};
    if (!p->stream) /* this block's outputs arrive during the first panel's products */
        ahead[1] = wino_ahead(p, first, count, p->out, p->oh, row, 0, 0, calls);
    for (int64_t panel = first_panel; panel < last_panel; panel++) {
        int64_t k0 = panel * p->width;
        K->wino_products(p->blocks, count, v, p->u + panel * p->blocks * 36 * K->lanes * p->width, p->width, m, ahead);
        n = n0;
        y = y0;
        x = x0;
        for (int64_t t = 0; t < count; t++, wino_next(p, &n, &y, &x)) {
            int64_t at = n * p->oh * p->ow * p->k + k0;
            K->wino_output(m + t * p->width, p->width, p->e.bias ? p->e.bias + k0 : NULL,
                           p->e.residual ? p->e.residual + at : NULL, p->e.relu, p->oh, p->ow, p->k, y, x,
                           min_int(p->width, p->k - k0), p->stream, p->out + at);
        }
    }
    if (p->e.activation)
        for (int64_t t = 0; t < count; t++) {
            n = wino_place(p, first + t, &y, &x);
            wino_activate(p, p->out + ((n * p->oh + y) * p->ow + x) * p->k, min_int(4, p->oh - y),
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
    return 2.0 * 36 * (double)p->tiles * (double)p->c * (double)p->k * FNN_NS_PER_FLOP;
}

static int64_t wino_filter_reals(const wino_plan *p) { return p->panels * 36 * p->blocks * K->lanes * p->width; }

/* u: the transformed filters. `pack` is the task that packs this pass's filters as the direct algorithm does. */
static int wino_prepare(const wino_plan *p, const fnn_conv_shape *s, const real *w, fnn_task *pack, real *u)
{
    real *packed = fnn_alloc(sizeof(real) * (size_t)(p->panels * 9 * p->c * p->width));
    if (!packed)
        return FNN_NO_MEMORY;
    wino_filters filters = {p, packed, u};
    direct_pack d = {.s = s, .w = w, .packed = packed, .width = p->width, .r = 3, .s_taps = 3};
    d.step_y = d.step_x = 1;
    int width = fnn_parallel_width(p->panels, (double)wino_filter_reals(p));
    fnn_parallel(p->panels, width, pack, &d);
    fnn_parallel(p->panels, width, wino_filter_task, &filters);
    fnn_free(packed);
    return FNN_OK;
}

/* Past the caches go large outputs that nothing here reads again. */
static bool wino_streams(const wino_plan *p)
{
    int64_t bytes = p->n * p->oh * p->ow * p->k * (int64_t)sizeof(real);
    int64_t limit = p->c * p->k > WINO_LARGE_FILTERS ? WINO_STREAM_BYTES / 2 : WINO_STREAM_BYTES;
    return bytes > limit && !p->e.activation && p->k % K->lanes == 0 && (uintptr_t)p->out % 64 == 0;
}

static int wino_run(wino_plan *p)
{
    p->stream = wino_streams(p);
    int64_t tasks = p->runs * p->groups;
    int width = fnn_parallel_width(tasks, wino_work(p));
    p->scratch = fnn_alloc(sizeof(real) * (size_t)(width * p->scratch_reals));
    if (!p->scratch)
        return FNN_NO_MEMORY;
    if (tasks <= WINO_FEW_TASKS) /* a thread then has the part of the image that it wrote in the layer before */
        fnn_parallel(tasks, width, wino_task, p);
    else
        fnn_parallel_dynamic(tasks, width, wino_task, p);
    fnn_free(p->scratch);
    return FNN_OK;
}

static wino_plan wino_forward_plan(const fnn_conv_shape *s)
{
    wino_plan p = {.n = s->n, .ih = s->in[1], .iw = s->in[2], .c = s->c, .oh = s->out[1], .ow = s->out[2], .k = s->k};
    p.pad_y = s->pad[1];
    p.pad_x = s->pad[2];
    wino_cut(&p);
    return p;
}

static int64_t conv_winograd_prepared(const fnn_conv_shape *s)
{
    wino_plan p = wino_forward_plan(s);
    return wino_filter_reals(&p);
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
static int conv_winograd_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    wino_plan p = {.n = s->n, .ih = s->out[1], .iw = s->out[2], .c = s->k, .oh = s->in[1], .ow = s->in[2], .k = s->c};
    p.pad_y = 2 - s->pad[1];
    p.pad_x = 2 - s->pad[2];
    p.in = dy;
    p.out = dx;
    wino_cut(&p);
    real *u = fnn_alloc(sizeof(real) * (size_t)wino_filter_reals(&p));
    if (!u)
        return FNN_NO_MEMORY;
    p.u = u;
    int status = wino_prepare(&p, s, w, direct_pack_bwd_x_task, u);
    if (status == FNN_OK)
        status = wino_run(&p);
    fnn_free(u);
    return status;
}

/* ---- backward, weight ----
 *
 * Blocks of tiles are summed into s[xi][c][k]. A task owns a part of s, some blocks of c by some panels of k, small
 * enough to stay in the second-level cache with the transformed tiles that it needs, and a chunk of the tiles; every
 * chunk sums into an s of its own. */

#define WINO_CACHE_REALS 425000 /* of a task's part of s and its transformed tiles */
#define WINO_C_REALS 147456     /* of its transformed input */
#define WINO_TASKS 8            /* wanted: enough to share out */
#define WINO_CHUNK_TILES 192    /* at least, so that clearing and adding an s is a small part */

typedef struct {
    wino_plan p;
    const real *dy;
    int64_t c_group, c_groups, k_group, k_groups; /* blocks of c, panels of k */
    int64_t block, chunk, chunks, rows, step, partial_reals;
    real *partial;
} wino_w_plan;

static void wino_w_cut(wino_w_plan *w)
{
    wino_plan *p = &w->p;
    wino_cut(p);
    w->block = p->c * p->k > WINO_LARGE_FILTERS ? FNN_WINO_GRAD_TILES : FNN_WINO_GRAD_TILES * 2 / 3;
    int64_t block = 36 * (FNN_WINO_GRAD_TILES + 1) * K->lanes, panel = 36 * (FNN_WINO_GRAD_TILES + 1) * p->width;
    w->rows = p->blocks * K->lanes;
    w->step = p->panels * p->width;
    w->partial_reals = 36 * w->rows * w->step;
    w->c_group = min_int(max_int(WINO_C_REALS / block, 1), p->blocks);
    w->c_groups = ceil_div(p->blocks, w->c_group);
    w->c_group = ceil_div(p->blocks, w->c_groups);
    int64_t left = WINO_CACHE_REALS - w->c_group * block - panel, sums = 36 * w->c_group * K->lanes * p->width;
    w->k_group = min_int(max_int(left / sums, 1), p->panels);
    w->k_groups = ceil_div(p->panels, w->k_group);
    w->k_group = ceil_div(p->panels, w->k_groups);
    int64_t chunks = ceil_div(WINO_TASKS, w->c_groups * w->k_groups);
    chunks = min_int(chunks, max_int(p->tiles / WINO_CHUNK_TILES, 1));
    w->chunk = round_up(ceil_div(p->tiles, chunks), w->block);
    w->chunks = ceil_div(p->tiles, w->chunk);
    p->v_reals = w->c_group * block;
    p->scratch_reals = p->v_reals + panel;
}

static void wino_w_inputs(const wino_w_plan *w, int64_t first, int64_t count, int64_t c0, real *v)
{
    const wino_plan *p = &w->p;
    int64_t channels = min_int(w->c_group * K->lanes, p->c - c0), y, x;
    int64_t n = wino_place(p, first, &y, &x);
    for (int64_t t = 0; t < count; t++, wino_next(p, &n, &y, &x))
        K->wino_input_grad(p->in + n * p->ih * p->iw * p->c + c0, p->ih, p->iw, p->c, y - p->pad_y, x - p->pad_x,
                           channels, v + t * K->lanes);
}

static void wino_w_task(void *context, int64_t index, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    int64_t k_at = index % w->k_groups, c_at = index / w->k_groups % w->c_groups;
    int64_t chunk = index / w->k_groups / w->c_groups, y, x;
    int64_t first_panel = k_at * w->k_group, last_panel = min_int(first_panel + w->k_group, p->panels);
    int64_t c0 = c_at * w->c_group * K->lanes, blocks = min_int(w->c_group, p->blocks - c_at * w->c_group);
    real *v = p->scratch + thread * p->scratch_reals, *d = v + p->v_reals;
    real *s = w->partial + chunk * w->partial_reals + c0 * w->step;
    size_t cleared = sizeof(real) * (size_t)((last_panel - first_panel) * p->width);
    for (int64_t xi = 0; xi < 36; xi++)
        for (int64_t c = 0; c < blocks * K->lanes; c++)
            memset(s + (xi * w->rows + c) * w->step + first_panel * p->width, 0, cleared);
    int64_t end = min_int((chunk + 1) * w->chunk, p->tiles);
    int64_t calls = 36 * blocks * (last_panel - first_panel) * (p->width == K->lanes ? 1 : 2);
    for (int64_t first = chunk * w->chunk; first < end; first += w->block) {
        int64_t count = min_int(w->block, end - first);
        wino_w_inputs(w, first, count, c0, v);
        int64_t next = min_int(w->block, end - first - count);
        fnn_ahead ahead[2] = {
            wino_ahead(p, first + count, next, p->in, p->ih, p->iw * p->c, p->pad_y, 2 - p->pad_y, calls),
            wino_ahead(p, first + count, next, w->dy, p->oh, p->ow * p->k, 0, 0, calls)};
        for (int64_t panel = first_panel; panel < last_panel; panel++) {
            int64_t k0 = panel * p->width;
            int64_t n = wino_place(p, first, &y, &x);
            for (int64_t t = 0; t < count; t++, wino_next(p, &n, &y, &x))
                K->wino_grad(w->dy + n * p->oh * p->ow * p->k + k0, p->oh, p->ow, p->k, y, x, p->k - k0, p->width,
                             d + t * p->width);
            K->wino_products_grad(blocks, count, v, d, p->width, w->rows * w->step, w->step, s + k0, ahead);
        }
    }
}

/* g[tap][c][k] = G^T s G, one row of k at a time. */
static void wino_w_filter_task(void *context, int64_t c, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    real *g = p->scratch;
    (void)thread;
    K->wino_filter_grad(p->k, w->partial + c * w->step, w->rows * w->step, g + c * p->k, p->c * p->k);
}

/* Many filters: s no longer stays in the second-level cache beside the tiles, and parts of it would have the transforms
 * repeated. Then a span of tiles is transformed as a whole, and each of the 36 products, whose part of s does stay, is
 * a matrix product by itself. */

#define WINO_APART_CHANNELS 64  /* c and k from which this is faster, */
#define WINO_APART_FILTERS 8192 /* if there are so many filters */
#define WINO_SPAN_TILES 512
#define WINO_SPAN_REALS 16000000 /* of a span's transformed tiles, at most */
#define WINO_SPAN_BLOCK 16       /* tiles that a task transforms */
#define WINO_DEPTH \
    48 /* tiles that a product tile sums at a time: rounding grows with more, and these stay in the nearest cache */

typedef struct {
    wino_w_plan w;
    int64_t span, step, first, count; /* step: span and one more, which keeps matrices out of the same cache sets */
    real *v, *d;
} wino_span_plan;

static void wino_span_task(void *context, int64_t index, int thread)
{
    const wino_span_plan *q = context;
    const wino_plan *p = &q->w.p;
    int64_t begin = index * WINO_SPAN_BLOCK, end = min_int(begin + WINO_SPAN_BLOCK, q->count), y, x;
    int64_t n = wino_place(p, q->first + begin, &y, &x);
    (void)thread;
    for (int64_t t = begin; t < end; t++, wino_next(p, &n, &y, &x)) {
        K->wino_input_apart(p->in + n * p->ih * p->iw * p->c, p->ih, p->iw, p->c, y - p->pad_y, x - p->pad_x, p->c,
                            q->step, q->v + t * K->lanes);
        for (int64_t panel = 0; panel < p->panels; panel++)
            K->wino_grad_apart(q->w.dy + n * p->oh * p->ow * p->k + panel * p->width, p->oh, p->ow, p->k, y, x,
                               p->k - panel * p->width, q->step, q->d + (panel * 36 * q->step + t) * p->width);
    }
}

/* s[xi] (+)= v[xi]^T d[xi] */
static void wino_span_product_task(void *context, int64_t xi, int thread)
{
    const wino_span_plan *q = context;
    const wino_plan *p = &q->w.p;
    const int64_t v_step = 36 * q->step * K->lanes, d_step = 36 * q->step * p->width;
    real *s = q->w.partial + xi * q->w.rows * q->w.step;
    (void)thread;
    for (int64_t t = 0; t < q->count; t += WINO_DEPTH) {
        const real *v = q->v + (xi * q->step + t) * K->lanes, *d = q->d + (xi * q->step + t) * p->width;
        bool last = t + WINO_DEPTH >= q->count;
        for (int64_t panel = 0; panel < p->panels; panel++) {
            const real *next_v[2] = {NULL, NULL}; /* two blocks of the next tiles with every panel */
            for (int64_t i = 0; i < 2 && !last; i++)
                if (2 * panel + i < p->blocks)
                    next_v[i] = v + WINO_DEPTH * K->lanes + (2 * panel + i) * v_step;
            const real *next_d = panel + 1 < p->panels ? d + (panel + 1) * d_step
                                 : last                ? NULL
                                                       : d + WINO_DEPTH * p->width;
            K->wino_products_apart(p->blocks, min_int(WINO_DEPTH, q->count - t), v, v_step, d + panel * d_step,
                                   q->w.step, s + panel * p->width, q->first + t > 0, next_d, next_v);
        }
    }
}

static int conv_winograd_bwd_w_apart(wino_w_plan w, const fnn_conv_shape *s, real *dw)
{
    wino_span_plan q = {.w = w};
    wino_plan *p = &q.w.p;
    q.span = min_int(WINO_SPAN_TILES, round_up(p->tiles, WINO_SPAN_BLOCK));
    q.span = max_int(min_int(q.span, WINO_SPAN_REALS / (36 * (w.rows + w.step)) / WINO_SPAN_BLOCK * WINO_SPAN_BLOCK),
                     WINO_SPAN_BLOCK);
    q.step = q.span + 1;
    int64_t v = 36 * q.step * w.rows, d = 36 * q.step * w.step, filters = round_up(9 * p->c * p->k, 16);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(w.partial_reals + v + d + filters));
    if (!workspace)
        return FNN_NO_MEMORY;
    q.w.partial = workspace;
    q.v = workspace + w.partial_reals;
    q.d = q.v + v;
    p->scratch = q.d + d;
    double span_ns = wino_work(p) * (double)q.span / (double)p->tiles;
    for (q.first = 0; q.first < p->tiles; q.first += q.span) {
        q.count = min_int(q.span, p->tiles - q.first);
        int64_t tasks = ceil_div(q.count, WINO_SPAN_BLOCK);
        fnn_parallel_dynamic(tasks, fnn_parallel_width(tasks, span_ns), wino_span_task, &q);
        fnn_parallel_dynamic(36, fnn_parallel_width(36, span_ns), wino_span_product_task, &q);
    }
    double bytes = (double)sizeof(real) * (double)w.partial_reals;
    fnn_parallel(p->c, fnn_parallel_width(p->c, bytes * FNN_NS_PER_BYTE), wino_w_filter_task, &q.w);
    direct_w_unpack(s, p->scratch, dw);
    fnn_free(workspace);
    return FNN_OK;
}

static int conv_winograd_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    wino_w_plan w = {.dy = dy};
    wino_plan *p = &w.p;
    *p = (wino_plan){.n = s->n, .ih = s->in[1], .iw = s->in[2], .c = s->c, .k = s->k, .in = x};
    p->oh = s->out[1];
    p->ow = s->out[2];
    p->pad_y = s->pad[1];
    p->pad_x = s->pad[2];
    wino_w_cut(&w);
    if (min_int(p->c, p->k) >= WINO_APART_CHANNELS && p->c * p->k >= WINO_APART_FILTERS)
        return conv_winograd_bwd_w_apart(w, s, dw);
    int64_t tasks = w.chunks * w.c_groups * w.k_groups, partial = w.chunks * w.partial_reals;
    int width = fnn_parallel_width(tasks, wino_work(p));
    int64_t scratch = max_int(width * p->scratch_reals, 9 * p->c * p->k); /* later: the gradient as [tap][c][k] */
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + scratch));
    if (!workspace)
        return FNN_NO_MEMORY;
    w.partial = workspace;
    p->scratch = workspace + partial;
    fnn_parallel_dynamic(tasks, width, wino_w_task, &w);
    add_partials(w.partial, w.partial + w.partial_reals, w.partial_reals, w.chunks - 1);
    double bytes = (double)sizeof(real) * (double)w.partial_reals;
    fnn_parallel(p->c, fnn_parallel_width(p->c, bytes * FNN_NS_PER_BYTE), wino_w_filter_task, &w);
    direct_w_unpack(s, p->scratch, dw);
    fnn_free(workspace);
    return FNN_OK;
}
