/* conv_winograd_weight.inc.h - the weight gradient of conv_winograd.inc.h's convolutions.
 *
 * Blocks of tiles are summed into s[xi][c][k]. A task owns a part of s, some blocks of c by some panels of k, small
 * enough to stay in the second-level cache with the transformed tiles that it needs, and a chunk of the tiles; every
 * chunk sums into an s of its own. */

#define WINO_CACHE_REALS 425000  /* of a task's part of s and its transformed tiles */
#define WINO_LARGE_FILTERS 16384 /* with more, blocks are longer: they meet s less often */
#define WINO_C_REALS 147456      /* of its transformed input */
#define WINO_TASKS 8             /* wanted: enough to share out */
#define WINO_CHUNK_TILES 192     /* at least, so that clearing and adding an s is a small part */

typedef struct {
    wino_plan p;
    const real *dy;
    int64_t c_group, c_groups, k_group, k_groups;                         /* blocks of c, panels of k */
    int64_t block, chunk, chunks, rows, step, slice_reals, partial_reals; /* partial: of all slices */
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
    w->slice_reals = 36 * w->rows * w->step;
    w->partial_reals = p->slices * w->slice_reals;
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

/* From channel c0 of all slices on. */
static void wino_w_inputs(const wino_w_plan *w, int64_t first, int64_t count, int64_t c0, real *v)
{
    const wino_plan *p = &w->p;
    const fnn_wino_tiles in = wino_in_tiles(p, first, count);
    K->wino_input_grad(&in, p->in + c0, min_int(w->c_group * K->lanes, p->c - c0 % p->c), v);
}

static void wino_w_task(void *context, int64_t index, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    int64_t k_at = index % w->k_groups, c_at = index / w->k_groups % w->c_groups;
    int64_t chunk = index / w->k_groups / w->c_groups;
    int64_t first_panel = k_at * w->k_group, last_panel = min_int(first_panel + w->k_group, p->panels);
    int64_t c0 = c_at * w->c_group * K->lanes, blocks = min_int(w->c_group, p->blocks - c_at * w->c_group);
    real *v = p->scratch + thread * p->scratch_reals, *d = v + p->v_reals;
    real *sums = w->partial + chunk * w->partial_reals + c0 * w->step;
    size_t cleared = sizeof(real) * (size_t)((last_panel - first_panel) * p->width);
    for (int64_t xi = 0; xi < 36 * p->slices; xi++)
        for (int64_t c = 0; c < blocks * K->lanes; c++)
            memset(sums + (xi * w->rows + c) * w->step + first_panel * p->width, 0, cleared);
    int64_t end = min_int((chunk + 1) * w->chunk, p->tiles);
    int64_t calls = 36 * p->slices * blocks * (last_panel - first_panel) * (p->width == K->lanes ? 1 : 2);
    for (int64_t first = chunk * w->chunk; first < end; first += w->block) {
        int64_t count = min_int(w->block, end - first);
        int64_t next = min_int(w->block, end - first - count);
        fnn_ahead ahead[2] = {
            wino_ahead(p, first + count, next, p->in, p->ih, p->iw * p->in_pixel, p->pad_y, 2 - p->pad_y, calls),
            wino_ahead(p, first + count, next, w->dy, p->oh, p->ow * p->out_pixel, 0, 0, calls)};
        const fnn_wino_tiles out = wino_out_tiles(p, first, count);
        for (int64_t slice = 0; slice < p->slices; slice++) {
            wino_w_inputs(w, first, count, slice * p->c + c0, v);
            for (int64_t panel = first_panel; panel < last_panel; panel++) {
                int64_t k0 = panel * p->width;
                K->wino_grad(&out, w->dy + slice * p->k + k0, p->k - k0, p->width, d);
                K->wino_products_grad(blocks, count, v, d, p->width, w->rows * w->step, w->step,
                                      sums + slice * w->slice_reals + k0, ahead);
            }
        }
    }
}

/* g[slice][tap][c][k] = G^T s G, one row of k at a time. */
static void wino_w_filter_task(void *context, int64_t index, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    int64_t slice = index / p->c, c = index % p->c;
    const real *s = w->partial + slice * w->slice_reals + c * w->step;
    (void)thread;
    K->wino_filter_grad(p->k, s, w->rows * w->step, p->scratch + (slice * 9 * p->c + c) * p->k, p->c * p->k);
}

/* dw of every slice from its s. */
static void wino_w_gradient(wino_w_plan *w, const fnn_conv_shape *s, real *dw)
{
    const wino_plan *p = &w->p;
    fnn_conv_shape slice = *s;
    slice.groups = 1;
    slice.c = p->c;
    slice.k = p->k;
    int64_t filters = 9 * p->c * p->k;
    double bytes = (double)sizeof(real) * (double)w->partial_reals;
    fnn_parallel(p->slices * p->c, fnn_parallel_width(p->slices * p->c, bytes * FNN_NS_PER_BYTE), wino_w_filter_task,
                 w);
    for (int64_t i = 0; i < p->slices; i++)
        direct_w_unpack(&slice, p->scratch + i * filters, dw + i * filters);
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
    int64_t begin = index * WINO_SPAN_BLOCK, count = min_int(WINO_SPAN_BLOCK, q->count - begin);
    const fnn_wino_tiles in = wino_in_tiles(p, q->first + begin, count);
    const fnn_wino_tiles out = wino_out_tiles(p, q->first + begin, count);
    (void)thread;
    K->wino_input_apart(&in, p->in, p->c, q->step, q->v + begin * K->lanes);
    for (int64_t panel = 0; panel < p->panels; panel++)
        K->wino_grad_apart(&out, q->w.dy + panel * p->width, p->k - panel * p->width, q->step,
                           q->d + (panel * 36 * q->step + begin) * p->width);
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
    wino_w_gradient(&q.w, s, dw);
    fnn_free(workspace);
    return FNN_OK;
}

static int conv_winograd_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    wino_w_plan w = {.dy = dy};
    wino_plan *p = &w.p;
    *p = (wino_plan){.n = s->n, .ih = s->in[1], .iw = s->in[2], .oh = s->out[1], .ow = s->out[2], .slices = s->groups};
    p->c = s->c / s->groups;
    p->k = s->k / s->groups;
    p->in = x;
    p->pad_y = s->pad[1];
    p->pad_x = s->pad[2];
    wino_w_cut(&w);
    if (min_int(p->c, p->k) >= WINO_APART_CHANNELS && p->c * p->k >= WINO_APART_FILTERS && p->slices == 1)
        return conv_winograd_bwd_w_apart(w, s, dw);
    int64_t tasks = w.chunks * w.c_groups * w.k_groups, partial = w.chunks * w.partial_reals;
    int width = fnn_parallel_width(tasks, wino_work(p));
    /* scratch holds later the gradient as [slice][tap][c][k] */
    int64_t scratch = max_int(width * p->scratch_reals, 9 * p->slices * p->c * p->k);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + scratch));
    if (!workspace)
        return FNN_NO_MEMORY;
    w.partial = workspace;
    p->scratch = workspace + partial;
    fnn_parallel_dynamic(tasks, width, wino_w_task, &w);
    add_partials(w.partial, w.partial + w.partial_reals, w.partial_reals, w.chunks - 1);
    wino_w_gradient(&w, s, dw);
    fnn_free(workspace);
    return FNN_OK;
}
