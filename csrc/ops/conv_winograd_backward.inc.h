/* conv_winograd_backward.inc.h - the weight gradient of conv_winograd.inc.h's convolutions, alone or with the data
 * gradient.
 *
 * Blocks of tiles are summed into s[xi][c][k] = sum (B^T x B) (A dy A^T). The data gradient, too, is a correlation, of
 * dy with the mirrored filters, and the weight gradient is its adjoint as well: s[xi][k][c] = sum (B^T dy B) (A x A^T).
 * Then one transform of dy serves both gradients. A task owns a part of s, some blocks of its rows by some panels of
 * its columns, small enough to stay in the second-level cache with the transformed tiles that it needs, and a chunk of
 * the tiles; every chunk sums into an s of its own. */

#define WINO_CACHE_REALS 425000 /* of a task's part of s and its transformed tiles */
#define WINO_V_REALS 147456     /* of the tiles that become its rows */
#define WINO_JOINT_REALS 330000 /* of a task's s, tiles and filters, if it finds both gradients */
#define WINO_TASKS 8            /* wanted: enough to share out */
#define WINO_CHUNK_TILES 192    /* at least, so that clearing and adding an s is a small part */

/* p is the plan of the forward pass or, `mirrored`, of the data gradient, which has c and k exchanged. */
typedef struct {
    wino_plan p;
    const real *grad; /* the other image, in the place of p's output: dy, or x */
    bool mirrored;
    int64_t c_group, c_groups, k_group, k_groups;                         /* blocks of p.c, panels of p.k */
    int64_t block, chunk, chunks, rows, step, slice_reals, partial_reals; /* partial: of all slices */
    real *partial, *dw;
} wino_w_plan;

static void wino_w_cut(wino_w_plan *w)
{
    wino_plan *p = &w->p;
    int64_t block = 36 * WINO_STEP * K->lanes, panel = 36 * WINO_STEP * p->width;
    /* A data gradient's products want full heights of the product tile. */
    w->block = w->mirrored && p->width > K->lanes ? WINO_BLOCK : FNN_WINO_TILES;
    w->rows = p->blocks * K->lanes;
    w->step = p->panels * p->width;
    w->slice_reals = 36 * w->rows * w->step;
    w->partial_reals = p->slices * w->slice_reals;
    w->c_group = min_int(max_int(WINO_V_REALS / block, 1), p->blocks);
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

/* A block of tiles on its way through a task. */
typedef struct {
    int64_t first, count;                  /* tiles */
    int64_t c0, blocks;                    /* the task's part of p.c: from c0 on, blocks of lanes */
    int64_t first_panel, last_panel;       /* of p.k */
    real *v, *d;                           /* transformed tiles: of all blocks, and room for those of a panel */
    fnn_ahead next_ahead[2], out_ahead[2]; /* what the next block reads, and this one writes */
} wino_w_block;

/* The sums of one slice and, if p has an output, its data gradient. */
static void wino_w_slice(const wino_w_plan *w, wino_w_block *b, int64_t slice, real *sums)
{
    const wino_plan *p = &w->p;
    const fnn_wino_tiles in = wino_in_tiles(p, b->first, b->count), out = wino_out_tiles(p, b->first, b->count);
    K->wino_input(&in, p->in + slice * p->c + b->c0, min_int(b->blocks * K->lanes, p->c - b->c0), b->v);
    for (int64_t panel = b->first_panel; panel < b->last_panel; panel++) {
        int64_t k0 = panel * p->width, k = slice * p->k + k0;
        K->wino_grad(&out, w->grad + k, p->k - k0, p->width, b->d);
        K->wino_products_grad(b->blocks, b->count, b->v, b->d, p->width, w->rows * w->step, w->step, sums + k0,
                              b->next_ahead);
        if (!p->out)
            continue;
        const real *u = p->u + slice * wino_filter_reals(p) + panel * p->blocks * 36 * K->lanes * p->width;
        K->wino_products(p->blocks, b->count, b->v, u, p->width, b->d, b->out_ahead);
        K->wino_output(&out, b->d, p->width, NULL, p->e.residual ? p->e.residual + k : NULL, false,
                       min_int(p->width, p->k - k0), p->stream, NULL, 0, p->out + k);
    }
}

static void wino_w_task(void *context, int64_t index, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    int64_t k_at = index % w->k_groups, c_at = index / w->k_groups % w->c_groups;
    int64_t chunk = index / w->k_groups / w->c_groups, out_row = p->ow * p->out_pixel;
    wino_w_block b = {.c0 = c_at * w->c_group * K->lanes, .v = p->scratch + thread * p->scratch_reals};
    b.blocks = min_int(w->c_group, p->blocks - c_at * w->c_group);
    b.first_panel = k_at * w->k_group;
    b.last_panel = min_int(b.first_panel + w->k_group, p->panels);
    b.d = b.v + p->v_reals;
    real *sums = w->partial + chunk * w->partial_reals + b.c0 * w->step;
    size_t cleared = sizeof(real) * (size_t)((b.last_panel - b.first_panel) * p->width);
    for (int64_t xi = 0; xi < 36 * p->slices; xi++)
        for (int64_t c = 0; c < b.blocks * K->lanes; c++)
            memset(sums + (xi * w->rows + c) * w->step + b.first_panel * p->width, 0, cleared);
    int64_t end = min_int((chunk + 1) * w->chunk, p->tiles), tall = p->width == K->lanes ? 1 : 2;
    int64_t calls = 36 * p->slices * b.blocks * (b.last_panel - b.first_panel) * tall;
    for (b.first = chunk * w->chunk; b.first < end; b.first += w->block) {
        b.count = min_int(w->block, end - b.first);
        int64_t after = b.first + b.count, next = min_int(w->block, end - after);
        b.next_ahead[0] = wino_ahead(p, after, next, p->in, p->ih, p->iw * p->in_pixel, p->pad_y, 2 - p->pad_y, calls);
        b.next_ahead[1] = wino_ahead(p, after, next, w->grad, p->oh, out_row, 0, 0, calls);
        if (p->out && !p->stream)
            b.out_ahead[0] = wino_ahead(p, b.first, b.count, p->out, p->oh, out_row, 0, 0, 36 * 2);
        for (int64_t slice = 0; slice < p->slices; slice++)
            wino_w_slice(w, &b, slice, sums + slice * w->slice_reals);
    }
}

/* dw[k][c][tap] = (G^T s G)[tap] of one row of s. */
static void wino_w_filter_task(void *context, int64_t index, int thread)
{
    const wino_w_plan *w = context;
    const wino_plan *p = &w->p;
    const int64_t room = round_up(p->k, K->lanes), lanes = K->lanes, slice = index / p->c, row = index % p->c;
    const real *s = w->partial + slice * w->slice_reals + row * w->step;
    real *g = p->scratch + thread * 9 * room, *dw = w->dw + slice * p->c * p->k * 9;
    real tile[FNN_MAX_LANES * FNN_MAX_LANES];
    K->wino_filter_grad(p->k, s, w->rows * w->step, w->mirrored ? g + 8 * room : g, w->mirrored ? -room : room);
    int64_t first = w->mirrored ? row * p->k : row, step = w->mirrored ? 1 : p->c;
    for (int64_t j = 0; j < p->k; j += lanes)
        for (int64_t tap = 0; tap < 9; tap += lanes) {
            int64_t taps = min_int(9 - tap, lanes), count = min_int(p->k - j, lanes);
            K->transpose_tile(g + tap * room + j, room, (int)taps, (int)count, tile);
            for (int64_t i = 0; i < count; i++)
                memcpy(dw + (first + (j + i) * step) * 9 + tap, tile + i * lanes, sizeof(real) * (size_t)taps);
        }
}

/* dw from s. */
static void wino_w_gradient(wino_w_plan *w, int width)
{
    fnn_parallel(w->p.slices * w->p.c, width, wino_w_filter_task, w);
}

/* Threads worth having for that, and the reals of scratch that they need. */
static int wino_w_gradient_width(const wino_w_plan *w)
{
    return fnn_parallel_width(w->p.slices * w->p.c, (double)sizeof(real) * (double)w->partial_reals * FNN_NS_PER_BYTE);
}

static int64_t wino_w_gradient_scratch(const wino_w_plan *w, int width)
{
    return width * 9 * round_up(w->p.k, K->lanes);
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
        K->wino_grad_apart(&out, q->w.grad + panel * p->width, p->k - panel * p->width, q->step,
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

static int wino_w_run_apart(const wino_w_plan *w)
{
    wino_span_plan q = {.w = *w};
    wino_plan *p = &q.w.p;
    q.span = min_int(WINO_SPAN_TILES, round_up(p->tiles, WINO_SPAN_BLOCK));
    q.span = max_int(min_int(q.span, WINO_SPAN_REALS / (36 * (w->rows + w->step)) / WINO_SPAN_BLOCK * WINO_SPAN_BLOCK),
                     WINO_SPAN_BLOCK);
    q.step = q.span + 1;
    int64_t v = 36 * q.step * w->rows, d = 36 * q.step * w->step;
    int width = wino_w_gradient_width(w);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(w->partial_reals + v + d + wino_w_gradient_scratch(w, width)));
    if (!workspace)
        return FNN_NO_MEMORY;
    q.w.partial = workspace;
    q.v = workspace + w->partial_reals;
    q.d = q.v + v;
    p->scratch = q.d + d;
    double span_ns = wino_work(p) * (double)q.span / (double)p->tiles;
    for (q.first = 0; q.first < p->tiles; q.first += q.span) {
        q.count = min_int(q.span, p->tiles - q.first);
        int64_t tasks = ceil_div(q.count, WINO_SPAN_BLOCK);
        fnn_parallel_dynamic(tasks, fnn_parallel_width(tasks, span_ns), wino_span_task, &q);
        fnn_parallel_dynamic(36, fnn_parallel_width(36, span_ns), wino_span_product_task, &q);
    }
    wino_w_gradient(&q.w, width);
    fnn_free(workspace);
    return FNN_OK;
}

static bool wino_w_is_apart(const wino_plan *p)
{
    return min_int(p->c, p->k) >= WINO_APART_CHANNELS && p->c * p->k >= WINO_APART_FILTERS && p->slices == 1;
}

/* The weight gradient and, if p has an output, the data gradient. */
static int wino_w_run(wino_w_plan *w)
{
    wino_plan *p = &w->p;
    int64_t tasks = w->chunks * w->c_groups * w->k_groups, partial = w->chunks * w->partial_reals;
    int width = fnn_parallel_width(tasks, wino_work(p) * (p->out ? 2 : 1)), after = wino_w_gradient_width(w);
    int64_t scratch = max_int(width * p->scratch_reals, wino_w_gradient_scratch(w, after));
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + scratch));
    if (!workspace)
        return FNN_NO_MEMORY;
    w->partial = workspace;
    p->scratch = workspace + partial;
    fnn_parallel_dynamic(tasks, width, wino_w_task, w);
    add_partials(w->partial, w->partial + w->partial_reals, w->partial_reals, w->chunks - 1);
    wino_w_gradient(w, after);
    fnn_free(workspace);
    return FNN_OK;
}

static int conv_winograd_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    wino_w_plan w = {.p = wino_forward_plan(s), .grad = dy, .dw = dw};
    w.p.in = x;
    wino_w_cut(&w);
    return wino_w_is_apart(&w.p) ? wino_w_run_apart(&w) : wino_w_run(&w);
}

/* ---- both gradients ---- */

static wino_w_plan wino_joint_plan(const fnn_conv_shape *s, const real *dy, const real *x, real *dx, bool add, real *dw)
{
    wino_w_plan w = {.p = wino_data_plan(s, dy, dx, add), .grad = x, .mirrored = true, .dw = dw};
    wino_w_cut(&w);
    w.p.stream = wino_streams(&w.p);
    return w;
}

/* Whether they are found together: if one task can do that without leaving the second-level cache, and a few can share
 * the tiles. */
static bool conv_winograd_joint(const fnn_conv_shape *s)
{
    wino_w_plan w = wino_joint_plan(s, NULL, NULL, NULL, false, NULL);
    return w.c_groups * w.k_groups == 1 && 2 * w.partial_reals + w.p.scratch_reals <= WINO_JOINT_REALS &&
           w.chunks == WINO_TASKS;
}

static int conv_winograd_bwd(const fnn_conv_shape *s, const real *dy, const real *x, const real *w, real *dx, bool add,
                             real *dw)
{
    wino_w_plan both = wino_joint_plan(s, dy, x, dx, add, dw);
    wino_plan *p = &both.p;
    real *u = fnn_alloc(sizeof(real) * (size_t)(p->slices * wino_filter_reals(p)));
    if (!u)
        return FNN_NO_MEMORY;
    p->u = u;
    int status = wino_prepare(p, s, w, direct_pack_bwd_x_task, u);
    if (status == FNN_OK)
        status = wino_w_run(&both);
    fnn_free(u);
    return status;
}
