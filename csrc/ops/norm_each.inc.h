/* norm_each.inc.h - the norms that standardise each sample by itself: group norm (instance norm is its case of one
 * channel a group) and layer norm. */

/* ---- group norm: a sample a task
 * --------------------------------------------------------------------------------------- */

typedef struct {
    norm_cut sample;
    int64_t groups;
    const real *x, *dy, *w, *b;
    real *y, *dx;
    double eps;
    double *mean, *rstd;
    const double *mean_in, *rstd_in;
    double *scratch; /* of each thread: 3 rows of `period` float64 and the table */
    double *sums;    /* of each sample: sum of dy, and of dy xhat, per channel */
} norm_group;

static size_t norm_group_scratch(const norm_group *s)
{
    return (size_t)s->sample.period * 3 + ((size_t)s->sample.period * NORM_TABLE_ROWS * sizeof(real) + 63) / 8;
}

static norm_table norm_group_table(const norm_group *s, int thread, double **moments)
{
    *moments = s->scratch + (size_t)thread * norm_group_scratch(s);
    return (norm_table){(real *)(*moments + 3 * s->sample.period), s->sample.period, s->sample.c};
}

static void norm_group_forward_table(const norm_group *s, norm_table t, const double *mean, const double *rstd)
{
    int64_t each = s->sample.c / s->groups;
    for (int64_t j = 0; j < s->sample.c; j++)
        norm_table_forward(t, j, mean[j / each], rstd[j / each], s->w ? (double)s->w[j] : 1,
                           s->b ? (double)s->b[j] : 0);
}

static fnn_norm_span norm_whole(const norm_cut *cut)
{
    return (fnn_norm_span){cut->count / cut->period, cut->period, cut->count % cut->period};
}

static void norm_group_fwd_task(void *context, int64_t index, int thread)
{
    norm_group *s = context;
    int64_t c = s->sample.c, each = c / s->groups, period = s->sample.period;
    fnn_norm_span span = norm_whole(&s->sample);
    double *pivot, *mean = s->mean + index * s->groups, *rstd = s->rstd + index * s->groups;
    norm_table table = norm_group_table(s, thread, &pivot);
    double *sum = pivot + period, *square = sum + period;
    const real *x = s->x + index * s->sample.count;
    K->norm_moments(&span, x, pivot);
    norm_fold_moments(&span, c, pivot);
    double n = (double)(s->sample.count / c);
    for (int64_t g = 0; g < s->groups; g++) {
        int64_t first = g * each;
        for (int64_t j = first + 1; j < first + each; j++) {
            moments_add(&sum[first], &square[first], sum[j], square[j], n, pivot[j] - pivot[first]);
        }
        mean[g] = pivot[first] + sum[first] / (n * (double)each);
        rstd[g] = 1 / sqrt(moments_variance(square[first], sum[first], n * (double)each) + s->eps);
    }
    norm_group_forward_table(s, table, mean, rstd);
    norm_table_repeat(table, 3);
    K->norm_apply(&span, table.table, x, NULL, 0, s->y + index * s->sample.count);
}

static void norm_group_bwd_task(void *context, int64_t index, int thread)
{
    norm_group *s = context;
    int64_t c = s->sample.c, each = c / s->groups, period = s->sample.period, at = index * s->sample.count;
    fnn_norm_span span = norm_whole(&s->sample);
    const double *mean = s->mean_in + index * s->groups, *rstd = s->rstd_in + index * s->groups;
    double *sums, *channel_sum = s->sums + index * 2 * c, *channel_product = channel_sum + c;
    norm_table table = norm_group_table(s, thread, &sums);
    norm_group_forward_table(s, table, mean, rstd);
    norm_table_repeat(table, 3);
    memset(sums, 0, sizeof(double) * 2 * (size_t)period);
    K->norm_sums(&span, table.table, 0, s->dy + at, s->x + at, NULL, NULL, sums);
    norm_fold_sums(&span, c, sums);
    double n = (double)(s->sample.count / s->groups);
    for (int64_t g = 0; g < s->groups; g++) {
        double sum = 0, product = 0;
        for (int64_t j = g * each; j < (g + 1) * each; j++) {
            double w = s->w ? (double)s->w[j] : 1;
            double centered = sums[period + j] + ((double)(real)mean[g] - mean[g]) * sums[j];
            channel_sum[j] = sums[j];
            channel_product[j] = centered * rstd[g];
            sum += w * sums[j];
            product += w * centered;
        }
        for (int64_t j = g * each; j < (g + 1) * each; j++)
            norm_table_backward(table, j, mean[g], rstd[g], sum, product, n);
    }
    norm_table_repeat(table, NORM_TABLE_ROWS);
    if (s->dx)
        K->norm_bwd_x(&span, table.table, 0, s->dy + at, s->x + at, s->dx + at);
}

int DRIVER(norm_group_fwd)(int64_t n, int64_t rows, int64_t c, int64_t groups, const real *x, const real *w,
                           const real *b, double eps, real *y, double *mean, double *rstd)
{
    if (n == 0 || rows == 0 || c == 0)
        return FNN_OK;
    norm_group s = {.sample = norm_cut_of(rows, c), .groups = groups, .x = x, .w = w, .b = b};
    s.y = y;
    s.eps = eps;
    s.mean = mean;
    s.rstd = rstd;
    int width = fnn_parallel_width(n, 3.0 * sizeof(real) * (double)(n * s.sample.count) * FNN_NS_PER_BYTE);
    s.scratch = fnn_alloc(sizeof(double) * norm_group_scratch(&s) * (size_t)width);
    if (!s.scratch)
        return FNN_NO_MEMORY;
    fnn_parallel(n, width, norm_group_fwd_task, &s);
    fnn_free(s.scratch);
    return FNN_OK;
}

int DRIVER(norm_group_bwd)(int64_t n, int64_t rows, int64_t c, int64_t groups, const real *dy, const real *x,
                           const real *w, const double *mean, const double *rstd, real *dx, real *dw, real *db)
{
    if (c == 0)
        return FNN_OK;
    norm_group s = {.sample = norm_cut_of(rows, c), .groups = groups, .x = x, .dy = dy, .w = w};
    s.dx = dx;
    s.mean_in = mean;
    s.rstd_in = rstd;
    int width = fnn_parallel_width(n, 5.0 * sizeof(real) * (double)(n * s.sample.count) * FNN_NS_PER_BYTE);
    size_t scratch = norm_group_scratch(&s) * (size_t)width, sums = (size_t)(n * 2 * c);
    s.scratch = fnn_alloc(sizeof(double) * (scratch + sums));
    if (!s.scratch)
        return FNN_NO_MEMORY;
    s.sums = s.scratch + scratch;
    if (rows > 0)
        fnn_parallel(n, width, norm_group_bwd_task, &s);
    else
        memset(s.sums, 0, sizeof(double) * sums);
    for (int64_t j = 0; j < c; j++) {
        double sum = 0, product = 0;
        for (int64_t i = 0; i < n; i++) {
            sum += s.sums[i * 2 * c + j];
            product += s.sums[i * 2 * c + c + j];
        }
        if (dw)
            dw[j] = (real)product;
        if (db)
            db[j] = (real)sum;
    }
    fnn_free(s.scratch);
    return FNN_OK;
}

/* ---- layer norm: rows by themselves
 * -------------------------------------------------------------------------------------- */

typedef struct {
    int64_t rows, c, task_rows, tasks;
    const real *x, *dy, *w, *b;
    real *y, *dx;
    double eps;
    double *mean, *rstd;
    const double *mean_in, *rstd_in;
    real *partial; /* of each task: dw, db */
} norm_layer;

static void norm_layer_cut(norm_layer *s)
{
    int64_t reals = max_int(NORM_TASK, ceil_div(s->rows * s->c, NORM_TASKS));
    s->task_rows = ceil_div(reals, s->c);
    s->tasks = ceil_div(s->rows, s->task_rows);
}

static void norm_layer_fwd_task(void *context, int64_t task, int thread)
{
    norm_layer *s = context;
    int64_t row = task * s->task_rows, at = row * s->c;
    (void)thread;
    K->norm_layer_fwd(min_int(s->task_rows, s->rows - row), s->c, s->x + at, s->w, s->b, s->eps, s->y + at,
                      s->mean + row, s->rstd + row);
}

static void norm_layer_bwd_task(void *context, int64_t task, int thread)
{
    norm_layer *s = context;
    int64_t row = task * s->task_rows, at = row * s->c;
    real *dw = s->partial + task * 2 * s->c;
    (void)thread;
    memset(dw, 0, sizeof(real) * 2 * (size_t)s->c);
    K->norm_layer_bwd(min_int(s->task_rows, s->rows - row), s->c, s->dy + at, s->x + at, s->w, s->mean_in + row,
                      s->rstd_in + row, s->dx + at, dw, dw + s->c);
}

int DRIVER(norm_layer_fwd)(int64_t rows, int64_t c, const real *x, const real *w, const real *b, double eps, real *y,
                           double *mean, double *rstd)
{
    if (rows == 0 || c == 0)
        return FNN_OK;
    norm_layer s = {.rows = rows, .c = c, .x = x, .y = y, .eps = eps, .mean = mean, .rstd = rstd};
    real *plain = fnn_alloc(sizeof(real) * 2 * (size_t)c); /* ones and zeros, for a weight or bias that is NULL */
    if (!plain)
        return FNN_NO_MEMORY;
    for (int64_t j = 0; j < c; j++) {
        plain[j] = 1;
        plain[c + j] = 0;
    }
    s.w = w ? w : plain;
    s.b = b ? b : plain + c;
    norm_layer_cut(&s);
    double bytes = 2.0 * sizeof(real) * (double)(rows * c);
    fnn_parallel(s.tasks, fnn_parallel_width(s.tasks, bytes * FNN_NS_PER_BYTE), norm_layer_fwd_task, &s);
    fnn_free(plain);
    return FNN_OK;
}

int DRIVER(norm_layer_bwd)(int64_t rows, int64_t c, const real *dy, const real *x, const real *w, const double *mean,
                           const double *rstd, real *dx, real *dw, real *db)
{
    if (c == 0)
        return FNN_OK;
    norm_layer s = {.rows = rows, .c = c, .dy = dy, .x = x, .dx = dx, .mean_in = mean, .rstd_in = rstd};
    norm_layer_cut(&s);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(c + 2 * c * max_int(s.tasks, 1)));
    if (!workspace)
        return FNN_NO_MEMORY;
    for (int64_t j = 0; j < c; j++)
        workspace[j] = 1;
    s.w = w ? w : workspace;
    s.partial = workspace + c;
    double bytes = 3.0 * sizeof(real) * (double)(rows * c);
    fnn_parallel(s.tasks, fnn_parallel_width(s.tasks, bytes * FNN_NS_PER_BYTE), norm_layer_bwd_task, &s);
    for (int64_t j = 0; j < c; j++) {
        double sum = 0, product = 0;
        for (int64_t task = 0; task < s.tasks; task++) {
            product += (double)s.partial[task * 2 * c + j];
            sum += (double)s.partial[task * 2 * c + c + j];
        }
        if (dw)
            dw[j] = (real)product;
        if (db)
            db[j] = (real)sum;
    }
    fnn_free(workspace);
    return FNN_OK;
}
