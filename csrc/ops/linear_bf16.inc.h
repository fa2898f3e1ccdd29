/* linear_bf16.inc.h - matrix products of operands rounded to bfloat16, summed in float32.
 *
 * B is packed once into panels of paired rows; a task rounds its block of A's rows, a block of k at a time. As in
 * linear.inc.h a long inner dimension with a small C is cut along k, into partial products that are added in order.
 * Where no unit forms such products, rounded copies of the operands go through the float32 kernels. */
#ifdef FNN_REAL_F64

/* Reduced precision is for float32; float64 stays what it is. */
int DRIVER(matmul_bf16)(int64_t batch, int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_batch,
                        bool a_transposed, const real *b, int64_t b_row, int64_t b_batch, bool b_transposed,
                        const real *bias, real *c)
{
    return DRIVER(matmul)(batch, m, n, k, a, a_row, a_batch, a_transposed, b, b_row, b_batch, b_transposed, bias, c);
}

#else

#include "../bf16.h"

#define BF16_K_BLOCK 512       /* a panel of this depth stays in the first-level cache */
#define BF16_ROWS 64           /* rows of a task */
#define BF16_FEW_ROWS 32       /* rows of a task where that makes too few tasks */
#define BF16_TASKS 16          /* wanted, to share out evenly */
#define BF16_TILE 16           /* rows that products read together */
#define BF16_STEP_FREE 32      /* added to the step between rows, which else share sets of the cache */
#define BF16_ROUND_BLOCK 16384 /* floats of a task that rounds */

/* ---- rounding without a unit ---- */

typedef struct {
    const float *x;
    float *y;
    int64_t n;
} bf16_rounding;

/* To the nearest float whose lower half is zero, ties to an even one; NaNs stay NaNs. */
static void bf16_round_task(void *context, int64_t index, int thread)
{
    const bf16_rounding *r = context;
    int64_t start = index * BF16_ROUND_BLOCK, n = min_int(BF16_ROUND_BLOCK, r->n - start);
    const uint32_t *x = (const uint32_t *)(const void *)(r->x + start);
    uint32_t *y = (uint32_t *)(void *)(r->y + start);
    (void)thread;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = x[i], nearest = bits + 0x7fffu + (bits >> 16 & 1u), quiet = bits | 0x400000u;
        y[i] = ((bits & 0x7fffffffu) > 0x7f800000u ? quiet : nearest) & 0xffff0000u;
    }
}

static void bf16_round_copy(const float *x, int64_t n, float *y)
{
    bf16_rounding r = {x, y, n};
    int64_t blocks = ceil_div(n, BF16_ROUND_BLOCK);
    fnn_parallel(blocks, fnn_parallel_width(blocks, 8.0 * (double)n * FNN_NS_PER_BYTE), bf16_round_task, &r);
}

/* Rounded copies of two operands in one block of memory, of which the first is at its start; NULL without memory. */
static float *bf16_round_two(const float *x, int64_t nx, const float *w, int64_t nw, float **w_rounded)
{
    float *copies = fnn_alloc(sizeof(float) * (size_t)(round_up(nx, 16) + nw));
    if (!copies)
        return NULL;
    *w_rounded = copies + round_up(nx, 16);
    bf16_round_copy(x, nx, copies);
    bf16_round_copy(w, nw, *w_rounded);
    return copies;
}

/* ---- one product ---- */

typedef struct {
    int64_t m, n, k;
    const float *a, *b;
    int64_t a_row, b_row;
    bool a_transposed, b_transposed;
    const float *bias; /* (n), added to every row; or NULL */
    const epilogue *e; /* of all of C; or NULL */
    float *c;
    /* derived */
    int64_t depth, width, panels, rows, row_blocks, groups, group, a_step;
    int64_t b_halves; /* bfloat16 numbers in packed B */
    uint16_t *packed, *a_blocks;
} bf16_plan;

static int64_t bf16_a_halves(const bf16_plan *g) { return (BF16_ROWS + BF16_TILE) * g->a_step; }

static void bf16_cut(bf16_plan *g)
{
    g->depth = g->k <= 32 ? round_up(g->k, 2) : 32;
    g->width = g->n <= 16 ? 16 : 32;
    g->panels = ceil_div(g->n, g->width);
    g->b_halves = g->panels * g->width * round_up(g->k, g->depth);
    g->rows = g->m < BF16_TASKS * BF16_ROWS ? BF16_FEW_ROWS : BF16_ROWS;
    g->row_blocks = ceil_div(g->m, g->rows);
    g->groups = min_int(g->panels, ceil_div(BF16_TASKS, g->row_blocks));
    g->group = ceil_div(g->panels, g->groups);
    g->groups = ceil_div(g->panels, g->group);
    g->a_step = min_int(round_up(g->k, g->depth), BF16_K_BLOCK) + BF16_STEP_FREE;
}

static void bf16_pack_b(const bf16_plan *g, int64_t panel, int64_t p0, int64_t p1, uint16_t *to)
{
    int64_t j = panel * g->width, depth = round_up(p1 - p0, g->depth);
    int cols = (int)min_int(g->n - j, g->width), width = (int)g->width;
    if (g->b_transposed)
        fnn_active_bf16->pair_columns(p1 - p0, depth, g->b + j * g->b_row + p0, g->b_row, cols, width, to);
    else
        fnn_active_bf16->pair_rows(depth, 0, p1 - p0, g->b + p0 * g->b_row + j, g->b_row, cols, width, to);
}

static void bf16_pack_a(const bf16_plan *g, int64_t i0, int64_t rows, int64_t p0, int64_t p1, uint16_t *to)
{
    int64_t depth = round_up(p1 - p0, g->depth), turned = round_up(p1 - p0, 2);
    if (!g->a_transposed) {
        fnn_active_bf16->round_rows(rows, p1 - p0, depth, g->a + i0 * g->a_row + p0, g->a_row, to, g->a_step);
        return;
    }
    fnn_active_bf16->turn_rows(rows, p1 - p0, g->a + p0 * g->a_row + i0, g->a_row, to, g->a_step);
    for (int64_t i = 0; i < rows && turned < depth; i++)
        memset(to + i * g->a_step + turned, 0, sizeof(uint16_t) * (size_t)(depth - turned));
}

/* Rows [i0, i1) of C, panels [first, last), k from p0 to p1: the first block of k sets C, the others add. */
static void bf16_block(const bf16_plan *g, int64_t i0, int64_t i1, int64_t first, int64_t last, int64_t p0, int64_t p1,
                       const uint16_t *b, int64_t b_panel, bool accumulate, uint16_t *a)
{
    fnn_bf16_tile tile = {.k = round_up(p1 - p0, g->depth), .runs = 1, .depth = g->depth, .a_step = g->a_step};
    tile.c_step = g->n;
    tile.width = (int)g->width;
    bf16_pack_a(g, i0, i1 - i0, p0, p1, a);
    for (int64_t panel = first; panel < last; panel++) {
        int64_t j = panel * g->width;
        const float *bias = g->bias && !accumulate ? g->bias + j : NULL;
        fnn_active_bf16->product(&tile, a, b + panel * b_panel, bias, g->c + i0 * g->n + j, i1 - i0,
                                 (int)min_int(g->n - j, g->width), accumulate);
    }
}

static void bf16_pack_task(void *context, int64_t panel, int thread)
{
    const bf16_plan *g = context;
    (void)thread;
    bf16_pack_b(g, panel, 0, g->k, g->packed + panel * g->width * round_up(g->k, g->depth));
}

static void bf16_rows_task(void *context, int64_t index, int thread)
{
    const bf16_plan *g = context;
    int64_t i0 = index / g->groups * g->rows, i1 = min_int(i0 + g->rows, g->m);
    int64_t first = index % g->groups * g->group, last = min_int(first + g->group, g->panels);
    fnn_active_bf16->begin(g->depth);
    for (int64_t p0 = 0; p0 < g->k; p0 += BF16_K_BLOCK)
        bf16_block(g, i0, i1, first, last, p0, min_int(p0 + BF16_K_BLOCK, g->k), g->packed + p0 * g->width,
                   g->width * round_up(g->k, g->depth), p0 > 0, g->a_blocks + thread * bf16_a_halves(g));
    fnn_active_bf16->end();
    int64_t j = first * g->width;
    if (g->e)
        epilogue_finish(g->e, i0 * g->n + j, i1 - i0, min_int(last * g->width, g->n) - j, g->n, g->c);
}

/* Packing and rounding take longer than the products. */
static double bf16_work(const bf16_plan *g)
{
    double numbers = (double)(g->m * g->k) + (double)(g->n * g->k) + (double)(g->m * g->n);
    return 4 * numbers * FNN_NS_PER_BYTE + 0.25 * (double)(g->m * g->n) * (double)g->k * FNN_NS_PER_FLOP;
}

static int bf16_by_rows(bf16_plan *g)
{
    int64_t tasks = g->row_blocks * g->groups;
    int width = fnn_parallel_width(tasks, bf16_work(g));
    g->packed = fnn_alloc(sizeof(uint16_t) * (size_t)(g->b_halves + width * bf16_a_halves(g)));
    if (!g->packed)
        return FNN_NO_MEMORY;
    g->a_blocks = g->packed + g->b_halves;
    double pack_bytes = 6.0 * (double)g->b_halves;
    fnn_parallel(g->panels, fnn_parallel_width(g->panels, pack_bytes * FNN_NS_PER_BYTE), bf16_pack_task, g);
    fnn_parallel_dynamic(tasks, width, bf16_rows_task, g);
    fnn_free(g->packed);
    return FNN_OK;
}

/* ---- a long inner dimension ---- */

typedef struct {
    bf16_plan whole;
    int64_t chunks, chunk; /* chunk: rows of k in each, a multiple of BF16_K_BLOCK */
    float *partial;        /* chunks - 1 matrices; the first chunk writes C */
    uint16_t *packed;      /* one block of B and one of A per thread */
    int64_t thread_halves;
} bf16_chunks;

static void bf16_chunk_task(void *context, int64_t index, int thread)
{
    const bf16_chunks *s = context;
    bf16_plan g = s->whole;
    int64_t start = index * s->chunk, stop = min_int(start + s->chunk, g.k), b_panel = g.width * BF16_K_BLOCK;
    uint16_t *b = s->packed + thread * s->thread_halves, *a = b + g.panels * b_panel;
    g.c = index == 0 ? g.c : s->partial + (index - 1) * g.m * g.n;
    g.bias = index == 0 ? g.bias : NULL;
    fnn_active_bf16->begin(g.depth);
    for (int64_t p0 = start; p0 < stop; p0 += BF16_K_BLOCK) {
        int64_t p1 = min_int(p0 + BF16_K_BLOCK, stop);
        for (int64_t panel = 0; panel < g.panels; panel++)
            bf16_pack_b(&g, panel, p0, p1, b + panel * b_panel);
        for (int64_t i0 = 0; i0 < g.m; i0 += BF16_ROWS)
            bf16_block(&g, i0, min_int(i0 + BF16_ROWS, g.m), 0, g.panels, p0, p1, b, b_panel, p0 > start, a);
    }
    fnn_active_bf16->end();
}

static int64_t bf16_chunk_count(const bf16_plan *g)
{
    int64_t tiles = ceil_div(g->m, BF16_ROWS) * ceil_div(g->n, 64);
    int64_t chunks = min_int(g->k / (2 * BF16_K_BLOCK), BF16_TASKS);
    return tiles >= BF16_TASKS || chunks < 2 ? 1 : chunks;
}

static int bf16_by_chunks(const bf16_plan *whole, int64_t chunks)
{
    bf16_chunks s = {.whole = *whole, .chunk = round_up(ceil_div(whole->k, chunks), BF16_K_BLOCK)};
    s.chunks = ceil_div(whole->k, s.chunk);
    s.thread_halves = whole->panels * whole->width * BF16_K_BLOCK + bf16_a_halves(whole);
    int width = fnn_parallel_width(s.chunks, bf16_work(whole));
    int64_t c_floats = whole->m * whole->n, packed_floats = ceil_div(width * s.thread_halves, 2);
    float *workspace = fnn_alloc(sizeof(float) * (size_t)(packed_floats + c_floats * (s.chunks - 1)));
    if (!workspace)
        return FNN_NO_MEMORY;
    s.packed = (uint16_t *)(void *)workspace;
    s.partial = workspace + packed_floats;
    fnn_parallel_dynamic(s.chunks, width, bf16_chunk_task, &s);
    add_partials(whole->c, s.partial, c_floats, s.chunks - 1);
    if (whole->e)
        epilogue_finish(whole->e, 0, whole->m, whole->n, whole->n, whole->c);
    fnn_free(workspace);
    return FNN_OK;
}

static int bf16_gemm(bf16_plan *g)
{
    if (g->m == 0 || g->n == 0)
        return FNN_OK;
    if (g->k == 0) { /* never a convolution's */
        gemm_nothing(g->c, g->m, g->n, g->bias);
        return FNN_OK;
    }
    bf16_cut(g);
    int64_t chunks = bf16_chunk_count(g);
    return chunks > 1 ? bf16_by_chunks(g, chunks) : bf16_by_rows(g);
}

int DRIVER(matmul_bf16)(int64_t batch, int64_t m, int64_t n, int64_t k, const real *a, int64_t a_row, int64_t a_batch,
                        bool a_transposed, const real *b, int64_t b_row, int64_t b_batch, bool b_transposed,
                        const real *bias, real *c)
{
    if (!fnn_active_bf16) {
        float *b_rounded,
            *a_rounded = bf16_round_two(a, (a_batch ? batch : 1) * m * k, b, (b_batch ? batch : 1) * k * n, &b_rounded);
        if (!a_rounded)
            return FNN_NO_MEMORY;
        int status = DRIVER(matmul)(batch, m, n, k, a_rounded, a_row, a_batch, a_transposed, b_rounded, b_row, b_batch,
                                    b_transposed, bias, c);
        fnn_free(a_rounded);
        return status;
    }
    for (int64_t i = 0; i < batch; i++) {
        bf16_plan g = {.m = m, .n = n, .k = k, .a = a + i * a_batch, .b = b + i * b_batch, .bias = bias};
        g.c = c + i * m * n;
        g.a_row = a_row;
        g.b_row = b_row;
        g.a_transposed = a_transposed;
        g.b_transposed = b_transposed;
        int status = bf16_gemm(&g);
        if (status != FNN_OK)
            return status;
    }
    return FNN_OK;
}

#endif
