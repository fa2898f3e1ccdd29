/* norm_activation.inc.h - an activation of a batch norm, whose output is stored nowhere.
 *
 * Parts of an array that stay in the nearest cache are normalised, and the activation's own kernel does the rest there.
 * In the backward pass the output of the norm is computed again; the activation's gradient dz takes the place of dx,
 * which the second pass makes of it. The parts are the blocks of the sums in kernels/norm.inc.h, so that all bits are
 * those of the two operations one after the other. */

#define NORM_PART 4096
#define NORM_PART_ROWS 16

typedef struct {
    norm_batch norm;
    act_call act;
    bool from_output; /* the activation's backward pass takes its output */
    real *scratch;    /* norm_part_reals of each thread, and as many again without dx */
} norm_activation;

static int64_t norm_part_rows(int64_t period) { return max_int(NORM_PART / period, NORM_PART_ROWS); }
static int64_t norm_part_reals(int64_t period) { return (norm_part_rows(period) + 1) * period; }

/* The part of a task's span that begins with row `first`; the last one has the tail. */
static fnn_norm_span norm_part(const fnn_norm_span *span, int64_t first)
{
    int64_t rows = min_int(norm_part_rows(span->period), span->rows - first);
    return (fnn_norm_span){rows, span->period, first + rows == span->rows ? span->tail : 0, false};
}

static void norm_activation_fwd_task(void *context, int64_t task, int thread)
{
    norm_activation *s = context;
    fnn_norm_span span = norm_span_of(&s->norm.cut, task);
    int64_t at = task * s->norm.cut.task_rows * span.period, row = 0;
    (void)thread;
    do {
        fnn_norm_span part = norm_part(&span, row);
        int64_t n = part.rows * part.period + part.tail;
        K->norm_apply(&part, s->norm.table.table, s->norm.x + at, NULL, 0, s->norm.y + at);
        s->act.fwd(n, s->norm.y + at, s->norm.y + at, s->act.a, s->act.b, s->act.c);
        at += n;
        row += part.rows;
    } while (row < span.rows);
}

static void norm_activation_sums_task(void *context, int64_t task, int thread)
{
    norm_activation *s = context;
    fnn_norm_span span = norm_span_of(&s->norm.cut, task);
    const int64_t period = span.period, reals = norm_part_reals(period);
    int64_t at = task * s->norm.cut.task_rows * period, row = 0;
    double *sums = s->norm.partial + task * 2 * period;
    real *z = s->scratch + thread * 2 * reals;
    memset(sums, 0, sizeof(double) * 2 * (size_t)period);
    do {
        fnn_norm_span part = norm_part(&span, row);
        int64_t n = part.rows * part.period + part.tail;
        real *dz = s->norm.dx ? s->norm.dx + at : z + reals;
        K->norm_apply(&part, s->norm.table.table, s->norm.x + at, NULL, 0, z);
        if (s->from_output)
            s->act.fwd(n, z, z, s->act.a, s->act.b, s->act.c);
        s->act.bwd(n, s->norm.dy + at, z, dz, s->act.a, s->act.b, s->act.c);
        K->norm_sums(&part, s->norm.table.table, 0, dz, s->norm.x + at, NULL, NULL, sums);
        at += n;
        row += part.rows;
    } while (row < span.rows);
    norm_fold_sums(&span, s->norm.cut.c, sums);
}

static int norm_activation_width(const norm_activation *s, int arrays)
{
    return fnn_parallel_width(s->norm.cut.tasks, flat_ns(s->norm.cut.count, arrays, s->act.work));
}

int DRIVER(norm_activation_fwd)(int64_t rows, int64_t c, int code, double p, double q, double r, const real *x,
                                const real *w, const real *b, const double *mean, const double *rstd, real *y)
{
    if (rows == 0 || c == 0)
        return FNN_OK;
    norm_activation s = {.norm = {.cut = norm_cut_of(rows, c), .x = x, .y = y}, .act = {.a = p, .b = q, .c = r}};
    act_choose(&s.act, code);
    void *workspace = norm_batch_workspace(&s.norm, 0);
    if (!workspace)
        return FNN_NO_MEMORY;
    norm_batch_table(s.norm.table, w, b, mean, rstd);
    norm_table_repeat(s.norm.table, 3);
    fnn_parallel_backwards(s.norm.cut.tasks, norm_activation_width(&s, 2), norm_activation_fwd_task, &s);
    fnn_free(workspace);
    return FNN_OK;
}

int DRIVER(norm_activation_bwd)(int64_t rows, int64_t c, bool training, int code, double p, double q, double r,
                                const real *dy, const real *x, const real *w, const real *b, const double *mean,
                                const double *rstd, real *dx, real *dw, real *db)
{
    if (c == 0)
        return FNN_OK;
    norm_activation s = {.norm = {.cut = norm_cut_of(rows, c), .x = x, .dy = dy, .dx = dx, .dz = dx},
                         .act = {.a = p, .b = q, .c = r},
                         .from_output = fnn_activation_saves_output(code)};
    act_choose(&s.act, code);
    int64_t reals = round_up(norm_part_reals(s.norm.cut.period), 16);
    s.scratch = fnn_alloc(sizeof(real) * 2 * (size_t)(fnn_num_threads() * reals));
    void *workspace = s.scratch ? norm_batch_workspace(&s.norm, 2) : NULL;
    if (!workspace) {
        fnn_free(s.scratch);
        return FNN_NO_MEMORY;
    }
    norm_batch_table(s.norm.table, w, b, mean, rstd);
    norm_table_repeat(s.norm.table, 3);
    memset(s.norm.partial, 0, sizeof(double) * 2 * (size_t)s.norm.cut.period);
    if (rows > 0) {
        fnn_parallel(s.norm.cut.tasks, norm_activation_width(&s, 3), norm_activation_sums_task, &s);
        norm_add_sums(&s.norm);
    }
    norm_batch_gradients(s.norm.table, training, rows, s.norm.partial, s.norm.partial + s.norm.cut.period, w, mean,
                         rstd, dw, db);
    norm_table_repeat(s.norm.table, NORM_TABLE_ROWS);
    if (dx && rows > 0)
        fnn_parallel_backwards(s.norm.cut.tasks, norm_width(&s.norm.cut, 3), norm_bwd_x_task, &s.norm);
    fnn_free(workspace);
    fnn_free(s.scratch);
    return FNN_OK;
}
