/* norm_pool.inc.h - maximum pooling of the ReLU of batch norm. Three passes over the input instead of the nine that the
 * operations take one by one: the input's statistics, the output; gradient sums and input gradient. */

#define NORM_POOL_TASKS 32
#define NORM_POOL_SUM_WINDOWS 64 /* windows, about, whose gradients are summed in the arrays' own precision */

typedef struct {
    const fnn_norm_pool *s;
    int64_t out_h, out_w, rows, task_rows, tasks, sum_rows; /* rows: of windows, of all images */
    norm_table table;
    double *partial;
    const real *x, *dy;
    real *y, *dx;
} norm_pool;

static norm_pool norm_pool_cut(const fnn_norm_pool *s)
{
    norm_pool p = {.s = s, .out_h = s->h / s->height, .out_w = s->w / s->width};
    p.rows = s->n * p.out_h;
    p.task_rows = max_int(ceil_div(p.rows, NORM_POOL_TASKS), 1);
    p.tasks = ceil_div(p.rows, p.task_rows);
    p.sum_rows = max_int(NORM_POOL_SUM_WINDOWS / max_int(p.out_w, 1), 1);
    p.table.c = p.table.period = s->c;
    return p;
}

static int norm_pool_width(const norm_pool *p, double arrays)
{
    double reals = (double)(p->s->n * p->s->h * p->s->w * p->s->c);
    return fnn_parallel_width(p->tasks, arrays * sizeof(real) * reals * FNN_NS_PER_BYTE);
}

/* The largest part of a task's rows of windows [first, end) that lies in one image: its windows, and where its input
 * begins. */
static fnn_norm_windows norm_pool_part(const norm_pool *p, int64_t first, int64_t end, int64_t *in)
{
    const fnn_norm_pool *s = p->s;
    int64_t image = first / p->out_h, row = first % p->out_h;
    *in = (image * s->h + row * s->height) * s->w * s->c;
    int64_t rows = min_int(end - first, p->out_h - row);
    return (fnn_norm_windows){rows, p->out_w, s->w, s->c, s->height, s->width};
}

static void norm_pool_fwd_task(void *context, int64_t task, int thread)
{
    norm_pool *p = context;
    int64_t end = min_int((task + 1) * p->task_rows, p->rows), in;
    (void)thread;
    for (int64_t i = task * p->task_rows; i < end;) {
        fnn_norm_windows part = norm_pool_part(p, i, end, &in);
        K->norm_pool_fwd(&part, p->table.table, p->x + in, p->y + i * p->out_w * p->s->c);
        i += part.rows;
    }
}

static void norm_pool_sums_task(void *context, int64_t task, int thread)
{
    norm_pool *p = context;
    int64_t end = min_int((task + 1) * p->task_rows, p->rows), in;
    double *sums = p->partial + task * 2 * p->s->c;
    (void)thread;
    memset(sums, 0, sizeof(double) * 2 * (size_t)p->s->c);
    for (int64_t i = task * p->task_rows; i < end;) {
        fnn_norm_windows part = norm_pool_part(p, i, min_int(end, i + p->sum_rows), &in);
        K->norm_pool_sums(&part, p->table.table, p->dy + i * p->out_w * p->s->c, p->x + in, sums);
        i += part.rows;
    }
}

/* The columns behind a part's windows and, after the last row of windows, the rows below them. */
static void norm_pool_uncovered(const norm_pool *p, const fnn_norm_windows *part, bool last, const real *x, real *dx)
{
    const fnn_norm_pool *s = p->s;
    int64_t covered = part->windows * s->width, height = part->rows * s->height;
    for (int64_t y = 0; y < height && covered < s->w; y++) {
        int64_t at = (y * s->w + covered) * s->c;
        K->norm_pool_rest(s->w - covered, s->c, p->table.table, x + at, dx + at);
    }
    if (last) {
        int64_t at = height * s->w * s->c, below = s->h - p->out_h * s->height;
        K->norm_pool_rest(below * s->w, s->c, p->table.table, x + at, dx + at);
    }
}

static void norm_pool_bwd_x_task(void *context, int64_t task, int thread)
{
    norm_pool *p = context;
    int64_t end = min_int((task + 1) * p->task_rows, p->rows), in;
    (void)thread;
    for (int64_t i = task * p->task_rows; i < end;) {
        fnn_norm_windows part = norm_pool_part(p, i, end, &in);
        K->norm_pool_bwd_x(&part, p->table.table, p->dy + i * p->out_w * p->s->c, p->x + in, p->dx + in);
        i += part.rows;
        norm_pool_uncovered(p, &part, i % p->out_h == 0, p->x + in, p->dx + in);
    }
}

static bool norm_pool_empty(const fnn_norm_pool *s) { return s->n == 0 || s->h < s->height || s->w < s->width; }

int DRIVER(norm_pool_fwd)(const fnn_norm_pool *s, const real *x, const real *w, const real *b, const double *mean,
                          const double *rstd, real *y)
{
    if (norm_pool_empty(s) || s->c == 0)
        return FNN_OK;
    norm_pool p = norm_pool_cut(s);
    p.x = x;
    p.y = y;
    p.table.table = fnn_alloc(sizeof(real) * NORM_TABLE_ROWS * (size_t)s->c);
    if (!p.table.table)
        return FNN_NO_MEMORY;
    norm_batch_table(p.table, w, b, mean, rstd);
    /* From the last task to the first: whoever found the statistics has just been through x. */
    fnn_parallel_backwards(p.tasks, norm_pool_width(&p, 1.25), norm_pool_fwd_task, &p);
    fnn_free(p.table.table);
    return FNN_OK;
}

int DRIVER(norm_pool_bwd)(const fnn_norm_pool *s, bool training, const real *dy, const real *x, const real *w,
                          const real *b, const double *mean, const double *rstd, real *dx, real *dw, real *db)
{
    if (s->c == 0)
        return FNN_OK;
    norm_pool p = norm_pool_cut(s);
    p.x = x;
    p.dy = dy;
    p.dx = dx;
    size_t c = (size_t)s->c, sets = (size_t)max_int(p.tasks, 1);
    double *workspace = fnn_alloc(sizeof(double) * 2 * c * sets + sizeof(real) * NORM_TABLE_ROWS * c);
    if (!workspace)
        return FNN_NO_MEMORY;
    p.partial = workspace;
    p.table.table = (real *)(workspace + 2 * c * sets);
    norm_batch_table(p.table, w, b, mean, rstd);
    memset(workspace, 0, sizeof(double) * 2 * c);
    if (training || dw || db)
        fnn_parallel(p.tasks, norm_pool_width(&p, 1.25), norm_pool_sums_task, &p);
    for (int64_t task = 1; task < p.tasks && (training || dw || db); task++)
        for (size_t j = 0; j < 2 * c; j++)
            workspace[j] += workspace[(size_t)task * 2 * c + j];
    norm_batch_gradients(p.table, training, s->n * s->h * s->w, workspace, workspace + c, w, mean, rstd, dw, db);
    if (dx && norm_pool_empty(s)) {
        K->norm_pool_rest(s->n * s->h * s->w, s->c, p.table.table, x, dx);
    } else if (dx)
        fnn_parallel_backwards(p.tasks, norm_pool_width(&p, 2.25), norm_pool_bwd_x_task, &p);
    fnn_free(workspace);
    return FNN_OK;
}
