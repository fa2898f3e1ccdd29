/* linear.inc.h - matrix products.
 *
 * B is packed once, shared by all threads, into panels of gemm_tile_vectors vectors; A is read where it lies. C is cut
 * into blocks of rows (and, if those are few, of panels); a product with a long inner dimension and a small C (the
 * weight gradients) is cut along k instead, into partial products that are added in order. All cuts depend on the
 * shape alone. */

#define GEMM_K_BLOCK 256   /* a panel of this depth stays in the first-level cache */
#define GEMM_ROW_BLOCK 48  /* rows of a task: four tiles, and their part of A stays in the cache */
#define GEMM_SMALL_B 32768 /* reals of B that share the second-level cache with everything else */
#define GEMM_SHORT 128     /* inner dimension up to which lower tiles, with less to set up and store, are faster */
#define GEMM_SHORT_ROWS 8
#define GEMM_IN_PLACE 64  /* columns of B, at most, to read it unpacked: its rows fill whole sets of the cache */
#define GEMM_OWN_BLOCKS 8 /* blocks of rows up to which tasks are panels, if there are */
#define GEMM_OWN_PANELS 4 /* at least so many */
#define GEMM_TASKS 16     /* wanted, to share out evenly */
#define GEMM_FAR 256      /* reals between rows of A, or a multiple: they share sets of the cache */
#define GEMM_A_REALS (GEMM_ROW_BLOCK * (GEMM_K_BLOCK + 16))
#define GEMM_FEW_ROWS 24   /* rows of C for which a packed B would be read too seldom to pay */
#define GEMM_SMALL_C 65536 /* numbers of C that are summed in chunks of a long inner dimension, */
#define GEMM_LONG 16       /* so many times as long as the others */
#define GEMM_K_CHUNKS 16   /* partial products of a long inner dimension, at most */

typedef struct {
    int64_t m, n, k;
    const real *a, *b;
    int64_t a_row, b_row;
    bool a_transposed, b_transposed;
    const real *bias; /* (n), added to every row; or NULL */
    real *c;
    int64_t c_row;        /* from row to row of C; 0 stands for n */
    const epilogue *e;    /* of all of C; or NULL */
    const real *prepared; /* B as gemm_prepare packs it, or NULL */
    /* derived */
    int64_t width, panels, row_blocks, panel_groups, panels_per_group;
    bool in_place;   /* B is read where it lies */
    bool by_panels;  /* a task is a panel and packs it */
    bool go_on;      /* C holds sums already, the bias among them */
    bool stream;     /* C goes past the caches */
    int64_t k_after; /* how much of the inner dimension follows later */
    real *packed;
    real *a_block; /* GEMM_A_REALS per thread for a copy of a task's part of A, or NULL */
} gemm_plan;

static void gemm_pack_task(void *context, int64_t panel, int thread)
{
    gemm_plan *g = context;
    int64_t j = panel * g->width;
    int cols = (int)min_int(g->n - j, g->width);
    real *to = g->packed + panel * g->width * round_up(g->k, K->lanes);
    (void)thread;
    if (g->b_transposed)
        K->gemm_pack_transposed(g->k, g->b + j * g->b_row, g->b_row, cols, (int)g->width, to);
    else
        K->gemm_pack(g->k, g->b + j, g->b_row, cols, (int)g->width, to);
}

/* One tile of C, rows [i, i + rows) of the task's part of A, which lies at `a`. */
static void gemm_tile(const gemm_plan *g, const fnn_tile *tile, const real *a, int64_t i, int64_t rows, int64_t panel,
                      int64_t p0)
{
    int64_t j = panel * g->width, depth = round_up(g->k, K->lanes);
    int cols = (int)min_int(g->n - j, g->width);
    const real *b = g->in_place ? g->b + p0 * g->b_row + j : g->packed + panel * g->width * depth + p0 * g->width;
    const bool go_on = g->go_on || p0 > 0;
    const real *bias = g->bias && !go_on ? g->bias + j : NULL;
    real *c = g->c + i * g->c_row + j;
    const int how = go_on ? FNN_ADD : g->stream ? FNN_STREAM : FNN_STORE;
    if (g->a_transposed)
        K->gemm_cols(tile, a, b, bias, c, (int)rows, cols, how);
    else
        K->gemm_rows(tile, a, b, bias, c, (int)rows, cols, how);
}

/* A task's part of A for one block of k, rows [i0, i1): copied close together if its rows lie so far apart that they
 * fall into the same sets of the cache. Sets the step between rows (or columns) in `tile`. */
static const real *gemm_a_block(const gemm_plan *g, fnn_tile *tile, int64_t i0, int64_t i1, int64_t p0, int64_t panels,
                                real *block)
{
    const real *a = g->a_transposed ? g->a + p0 * g->a_row + i0 : g->a + i0 * g->a_row + p0;
    tile->a_step = g->a_row;
    if (!block || panels < 2 || (!g->a_transposed && (panels < 4 || g->a_row % GEMM_FAR != 0)))
        return a;
    int64_t rows = g->a_transposed ? tile->k : i1 - i0, row = g->a_transposed ? i1 - i0 : tile->k;
    tile->a_step = g->a_transposed ? GEMM_ROW_BLOCK : GEMM_K_BLOCK + 16;
    for (int64_t i = 0; i < rows; i++)
        memcpy(block + i * tile->a_step, a + i * g->a_row, sizeof(real) * (size_t)row);
    return block;
}

/* Asks for share `part` of `parts` of the rows of a matrix that the next block of products will read: the hardware does
 * not foresee the jump, and from memory it would cost as much as the products. */
static void gemm_fetch(const real *a, int64_t rows, int64_t row, int64_t row_step, int64_t part, int64_t parts)
{
    for (int64_t i = rows * part / parts; i < rows * (part + 1) / parts; i++)
        for (int64_t j = 0; j < row; j += 64 / (int64_t)sizeof(real))
            __builtin_prefetch(a + i * row_step + j, 0, 2);
}

static void gemm_fetch_next(const gemm_plan *g, int64_t i0, int64_t i1, int64_t p0, int64_t part, int64_t parts)
{
    int64_t p1 = p0 + GEMM_K_BLOCK, depth = min_int(GEMM_K_BLOCK, g->k + g->k_after - p1);
    if (depth > 0 && g->a_transposed)
        gemm_fetch(g->a + p1 * g->a_row + i0, depth, i1 - i0, g->a_row, part, parts);
    else if (depth > 0)
        gemm_fetch(g->a + i0 * g->a_row + p1, i1 - i0, depth, g->a_row, part, parts);
    else if (!g->a_transposed)
        gemm_fetch(g->a + i1 * g->a_row, min_int(i1 - i0, g->m - i1), g->k, g->a_row, part, parts);
    if (depth > 0 && g->in_place && i0 == 0)
        gemm_fetch(g->b + p1 * g->b_row, depth, g->n, g->b_row, part, parts);
}

/* What follows the sums of `rows` rows and `cols` columns of C from (i, j) on. */
static void gemm_finish(const gemm_plan *g, int64_t i, int64_t rows, int64_t j, int64_t cols)
{
    if (g->e)
        epilogue_finish(g->e, i * g->n + j, rows, cols, g->n, g->c);
}

/* Rows [i0, i1) of C, panels [first, last). */
static void gemm_rows_of_c(const gemm_plan *g, int64_t i0, int64_t i1, int64_t first, int64_t last, int thread)
{
    int64_t height = g->k <= GEMM_SHORT ? min_int(GEMM_SHORT_ROWS, K->gemm_tile_rows) : K->gemm_tile_rows;
    int64_t tiles = ceil_div(i1 - i0, height), panels = last - first;
    real *block = g->a_block ? g->a_block + thread * GEMM_A_REALS : NULL;
    for (int64_t p0 = 0; p0 < g->k; p0 += GEMM_K_BLOCK) {
        fnn_tile tile = {.k = min_int(GEMM_K_BLOCK, g->k - p0), .runs = 1, .c_step = g->c_row};
        tile.b_step = g->in_place ? g->b_row : g->width;
        const real *a = gemm_a_block(g, &tile, i0, i1, p0, panels, block);
        int64_t row_step = g->a_transposed ? 1 : tile.a_step;
        /* A small B stays in the cache: C is then written row by row. Else one panel of B stays. */
        bool rows_first = tile.k * panels * g->width <= GEMM_SMALL_B;
        for (int64_t at = 0; at < tiles * panels; at++) {
            int64_t i = (rows_first ? at / panels : at % tiles) * height;
            int64_t panel = first + (rows_first ? at % panels : at / tiles);
            if (first == 0)
                gemm_fetch_next(g, i0, i1, p0, at, tiles * panels);
            gemm_tile(g, &tile, a + i * row_step, i0 + i, min_int(i1 - i0 - i, height), panel, p0);
        }
    }
    int64_t j = first * g->width, cols = min_int(last * g->width, g->n) - j;
    gemm_finish(g, i0, i1 - i0, j, cols);
    if (g->e)
        moments_of_rows(&g->e->moments, i0 / GEMM_ROW_BLOCK, j, i1 - i0, cols, g->n, g->c + i0 * g->n + j, true);
}

static void gemm_block_task(void *context, int64_t index, int thread)
{
    const gemm_plan *g = context;
    int64_t i = index / g->panel_groups * GEMM_ROW_BLOCK, first = index % g->panel_groups * g->panels_per_group;
    gemm_rows_of_c(g, i, min_int(i + GEMM_ROW_BLOCK, g->m), first, min_int(first + g->panels_per_group, g->panels),
                   thread);
}

/* Few rows of C: whoever computes a panel packs it himself, and has it in the cache. */
static void gemm_panel_task(void *context, int64_t panel, int thread)
{
    gemm_plan g = *(const gemm_plan *)context;
    int64_t j = panel * g.width;
    g.b += g.b_transposed ? j * g.b_row : j;
    g.bias = g.bias ? g.bias + j : NULL;
    g.c += j;
    g.n = min_int(g.n - j, g.width);
    g.packed += thread * g.width * round_up(g.k, K->lanes);
    gemm_pack_task(&g, 0, thread);
    for (int64_t i = 0; i < g.m; i += GEMM_ROW_BLOCK)
        gemm_rows_of_c(&g, i, min_int(i + GEMM_ROW_BLOCK, g.m), 0, 1, thread);
}

static void gemm_cut(gemm_plan *g)
{
    if (!g->c_row)
        g->c_row = g->n;
    g->width = (int64_t)K->gemm_tile_vectors * K->lanes;
    if (g->n <= K->lanes)
        g->width = K->lanes;
    g->panels = ceil_div(g->n, g->width);
    g->row_blocks = ceil_div(g->m, GEMM_ROW_BLOCK);
    g->panel_groups =
        g->row_blocks >= GEMM_TASKS ? 1 : min_int(g->panels, ceil_div(GEMM_TASKS, max_int(g->row_blocks, 1)));
    g->panels_per_group = ceil_div(g->panels, max_int(g->panel_groups, 1));
    g->panel_groups = ceil_div(g->panels, max_int(g->panels_per_group, 1));
    /* Rows of whole vectors, close enough together for the prefetcher, need no panels. */
    g->in_place = !g->b_transposed && g->n % K->lanes == 0 && (g->n <= GEMM_IN_PLACE || g->m <= GEMM_FEW_ROWS);
}

static int64_t gemm_packed_reals(const gemm_plan *g)
{
    int64_t panels = g->by_panels ? min_int(fnn_num_threads(), g->panels) : g->panels;
    return g->in_place ? 0 : panels * g->width * round_up(g->k, K->lanes);
}

static void gemm_run(gemm_plan *g, bool may_thread)
{
    double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    int64_t tasks = g->row_blocks * g->panel_groups;
    int width = may_thread ? fnn_parallel_width(tasks, flops * FNN_NS_PER_FLOP) : 1;
    if (g->by_panels) {
        fnn_parallel_dynamic(g->panels, may_thread ? fnn_parallel_width(g->panels, flops * FNN_NS_PER_FLOP) : 1,
                             gemm_panel_task, g);
        return;
    }
    double pack_bytes = 2.0 * sizeof(real) * (double)gemm_packed_reals(g);
    if (!g->in_place && !g->prepared)
        fnn_parallel(g->panels, may_thread ? fnn_parallel_width(g->panels, pack_bytes * FNN_NS_PER_BYTE) : 1,
                     gemm_pack_task, g);
    fnn_parallel_dynamic(tasks, width, gemm_block_task, g);
}

/* ---- few rows times a transposed matrix: dot products, nothing packed ---- */

#define GEMM_DOT_ROWS 4
#define GEMM_DOT_BLOCK 64

static void gemm_dot_task(void *context, int64_t index, int thread)
{
    gemm_plan *g = context;
    int64_t j = index * GEMM_DOT_BLOCK, n = min_int(GEMM_DOT_BLOCK, g->n - j);
    (void)thread;
    for (int64_t i = 0; i < g->m; i++)
        K->gemm_dot(n, g->k, g->a + i * g->a_row, g->b + j * g->b_row, g->b_row, g->bias ? g->bias + j : NULL,
                    g->c + i * g->n + j);
    gemm_finish(g, 0, g->m, j, n);
}

/* ---- a long inner dimension: partial products of chunks of k, added in order ---- */

typedef struct {
    gemm_plan whole;
    int64_t chunks, chunk; /* chunk: rows of k in each */
    real *partial;         /* chunks - 1 matrices; the first chunk writes C */
    real *packed;          /* one packed chunk of B per thread */
    real *a_blocks;        /* one block of A per thread */
    int64_t packed_reals;
    const gemm_plan *beside; /* another product of A, not transposed, which has a row for each of k; or NULL */
} gemm_chunks;

/* Rows [i0, i1) of C, all columns, copying A to `block` where that helps. */
static void gemm_rows_beside(const gemm_plan *g, int64_t i0, int64_t i1, real *block)
{
    gemm_plan own = *g;
    own.a_block = block;
    for (int64_t i = i0; i < i1; i += GEMM_ROW_BLOCK)
        gemm_rows_of_c(&own, i, min_int(i + GEMM_ROW_BLOCK, i1), 0, own.panels, 0);
}

/* All of C with every block of k, so that A and B come from memory once. */
static void gemm_chunk_task(void *context, int64_t index, int thread)
{
    gemm_chunks *s = context;
    int64_t start = index * s->chunk, stop = min_int(start + s->chunk, s->whole.k);
    for (int64_t p = start; p < stop; p += GEMM_K_BLOCK) {
        gemm_plan g = s->whole;
        g.k = min_int(GEMM_K_BLOCK, stop - p);
        if (s->beside)
            gemm_rows_beside(s->beside, p, p + g.k, s->a_blocks + thread * GEMM_A_REALS);
        g.a += g.a_transposed ? p * g.a_row : p;
        g.b += g.b_transposed ? p : p * g.b_row;
        g.c = index == 0 ? s->whole.c : s->partial + (index - 1) * g.m * g.n;
        g.bias = index == 0 ? g.bias : NULL;
        g.packed = s->packed + thread * s->packed_reals;
        g.a_block = s->a_blocks + thread * GEMM_A_REALS;
        g.go_on = p > start;
        g.k_after = stop - p - g.k;
        gemm_cut(&g);
        g.panel_groups = 1;
        g.panels_per_group = g.panels;
        gemm_run(&g, false);
    }
}

#define SUM_BLOCK 4096

typedef struct {
    real *sum;
    const real *partial;
    int64_t n, count;
} partial_sums;

static void add_partials_task(void *context, int64_t index, int thread)
{
    partial_sums *s = context;
    int64_t start = index * SUM_BLOCK, n = min_int(SUM_BLOCK, s->n - start);
    (void)thread;
    for (int64_t i = 0; i < s->count; i++)
        K->add_to(n, s->partial + i * s->n + start, s->sum + start);
}

/* sum[0..n) += partial[0] + partial[1] + ..., each of n, in this order for every element. */
static void add_partials(real *sum, const real *partial, int64_t n, int64_t count)
{
    partial_sums s = {sum, partial, n, count};
    int64_t blocks = ceil_div(n, SUM_BLOCK);
    double bytes = (double)sizeof(real) * (double)n * (double)(count + 1);
    fnn_parallel(blocks, fnn_parallel_width(blocks, bytes * FNN_NS_PER_BYTE), add_partials_task, &s);
}

/* Chunks are worth their partial matrices when k is long and C small: else C is cut into blocks, each of which reads
 * all of A's rows or B's columns again. */
static int64_t gemm_chunk_count(const gemm_plan *g)
{
    int64_t tiles = ceil_div(g->m, GEMM_ROW_BLOCK) * ceil_div(g->n, 64);
    int64_t chunks = min_int(g->k / 1024, GEMM_K_CHUNKS);
    bool small = tiles < 8 || (g->m * g->n <= GEMM_SMALL_C && g->k >= GEMM_LONG * max_int(g->m, g->n));
    return small && chunks >= 2 ? chunks : 1;
}

static int gemm_by_chunks(const gemm_plan *whole, int64_t chunks, const gemm_plan *beside)
{
    gemm_chunks s = {.whole = *whole, .beside = beside, .chunk = round_up(ceil_div(whole->k, chunks), 16)};
    s.whole.e = NULL; /* the sums are complete when all chunks are added */
    double flops = 2.0 * (double)whole->m * (double)whole->n * (double)whole->k;
    s.chunks = ceil_div(whole->k, s.chunk);
    int width = fnn_parallel_width(s.chunks, flops * FNN_NS_PER_FLOP);
    gemm_plan one = *whole;
    one.k = GEMM_K_BLOCK;
    gemm_cut(&one);
    s.packed_reals = round_up(gemm_packed_reals(&one), 16);
    int64_t c_reals = whole->m * whole->n, per_thread = s.packed_reals + GEMM_A_REALS;
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(per_thread * width + c_reals * (s.chunks - 1)));
    if (!workspace)
        return FNN_NO_MEMORY;
    s.packed = workspace;
    s.a_blocks = workspace + s.packed_reals * width;
    s.partial = workspace + per_thread * width;
    fnn_parallel_dynamic(s.chunks, width, gemm_chunk_task, &s);
    add_partials(whole->c, s.partial, c_reals, s.chunks - 1);
    gemm_finish(whole, 0, whole->m, 0, whole->n);
    fnn_free(workspace);
    return FNN_OK;
}

/* An empty inner dimension: the sum is zero, the bias remains. */
static void gemm_nothing(real *c, int64_t rows, int64_t n, const real *bias)
{
    for (int64_t i = 0; i < rows; i++, c += n)
        if (bias)
            memcpy(c, bias, sizeof(real) * (size_t)n);
        else
            memset(c, 0, sizeof(real) * (size_t)n);
}

static bool gemm_is_dots(const gemm_plan *g) { return g->m <= GEMM_DOT_ROWS && g->b_transposed && !g->a_transposed; }

/* Whether it is computed in blocks of GEMM_ROW_BLOCK rows, each finished by one task. */
static bool gemm_in_blocks(const gemm_plan *g)
{
    return g->m * g->n * g->k > 0 && !gemm_is_dots(g) && gemm_chunk_count(g) == 1;
}

/* Reals of B in the form in which a product like this reads it; 0 if it packs nothing, or part by part. */
static int64_t gemm_prepared(const gemm_plan *g)
{
    gemm_plan cut = *g;
    if (!gemm_in_blocks(g))
        return 0;
    gemm_cut(&cut);
    return gemm_packed_reals(&cut);
}

static void gemm_prepare(const gemm_plan *g, real *packed)
{
    gemm_plan cut = *g;
    gemm_cut(&cut);
    cut.packed = packed;
    double bytes = 2.0 * sizeof(real) * (double)gemm_packed_reals(&cut);
    fnn_parallel(cut.panels, fnn_parallel_width(cut.panels, bytes * FNN_NS_PER_BYTE), gemm_pack_task, &cut);
}

/* Large results that nothing here reads again. */
static bool gemm_streams(const gemm_plan *g)
{
    return g->m * g->n * (int64_t)sizeof(real) > fnn_stream_bytes() && g->k <= GEMM_K_BLOCK &&
           !(g->e && epilogue_rereads(g->e)) && g->c_row == g->n && g->n % K->lanes == 0 && (uintptr_t)g->c % 64 == 0;
}

static int gemm(gemm_plan *g)
{
    if (g->m == 0 || g->n == 0)
        return FNN_OK;
    if (g->k == 0) {
        gemm_nothing(g->c, g->m, g->n, g->bias);
        gemm_finish(g, 0, g->m, 0, g->n);
        return FNN_OK;
    }
    if (gemm_is_dots(g)) {
        int64_t blocks = ceil_div(g->n, GEMM_DOT_BLOCK);
        double bytes = (double)sizeof(real) * (double)(g->n * g->k);
        fnn_parallel(blocks, fnn_parallel_width(blocks, bytes * FNN_NS_PER_BYTE), gemm_dot_task, g);
        return FNN_OK;
    }
    int64_t chunks = gemm_chunk_count(g);
    if (chunks > 1)
        return gemm_by_chunks(g, chunks, NULL);
    gemm_cut(g);
    g->by_panels =
        !g->in_place && !g->e && !g->prepared && g->row_blocks <= GEMM_OWN_BLOCKS && g->panels >= GEMM_OWN_PANELS;
    int64_t packed = g->prepared ? 0 : round_up(gemm_packed_reals(g), 16);
    g->stream = gemm_streams(g);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(packed + fnn_num_threads() * GEMM_A_REALS));
    if (!workspace)
        return FNN_NO_MEMORY;
    g->packed = g->prepared ? (real *)g->prepared : workspace;
    g->a_block = workspace + packed;
    gemm_run(g, true);
    fnn_free(workspace);
    return FNN_OK;
}

/* Whether `weight`, a product of A^T, is cut along A's long dimension, along which `data`, a product of A, has rows:
 * then each finds A in the cache after the other. */
static bool gemm_pair_pays(const gemm_plan *data, const gemm_plan *weight)
{
    return gemm_in_blocks(data) && weight->m * weight->n > 0 && !gemm_is_dots(weight) && gemm_chunk_count(weight) > 1;
}

/* Both, with the bits of one after the other. */
static int gemm_pair(gemm_plan *data, const gemm_plan *weight)
{
    gemm_cut(data);
    data->stream = gemm_streams(data);
    data->packed = fnn_alloc(sizeof(real) * (size_t)max_int(gemm_packed_reals(data), 1));
    if (!data->packed)
        return FNN_NO_MEMORY;
    if (!data->in_place)
        gemm_prepare(data, data->packed);
    int status = gemm_by_chunks(weight, gemm_chunk_count(weight), data);
    fnn_free(data->packed);
    return status;
}

/* ---- a batch of products: one task each ---- */

typedef struct {
    gemm_plan first;
    int64_t a_batch, b_batch, packed_reals;
    real *packed;
} gemm_batch;

static void gemm_batch_task(void *context, int64_t index, int thread)
{
    gemm_batch *batch = context;
    gemm_plan g = batch->first;
    g.a += index * batch->a_batch;
    g.b += index * batch->b_batch;
    g.c += index * g.m * g.n;
    g.packed = batch->packed + thread * batch->packed_reals;
    gemm_run(&g, false);
}

int DRIVER(matmul)(int64_t batch, int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_batch,
                   bool a_transposed, const real *b, int64_t b_row, int64_t b_batch, bool b_transposed,
                   const real *bias, real *c)
{
    gemm_plan g = {.m = m, .n = n, .k = k, .a = a, .b = b, .bias = bias, .c = c};
    g.a_row = a_row;
    g.b_row = b_row;
    g.a_transposed = a_transposed;
    g.b_transposed = b_transposed;
    double flops = 2.0 * (double)m * (double)n * (double)k;
    if (batch == 1)
        return gemm(&g);
    if (m == 0 || n == 0 || batch == 0)
        return FNN_OK;
    if (k == 0) {
        gemm_nothing(c, batch * m, n, bias);
        return FNN_OK;
    }
    gemm_cut(&g);
    gemm_batch all = {g, a_batch, b_batch, gemm_packed_reals(&g), NULL};
    int width = fnn_parallel_width(batch, flops * (double)batch * FNN_NS_PER_FLOP);
    all.packed = fnn_alloc(sizeof(real) * (size_t)(all.packed_reals * width));
    if (!all.packed)
        return FNN_NO_MEMORY;
    fnn_parallel(batch, width, gemm_batch_task, &all);
    fnn_free(all.packed);
    return FNN_OK;
}
