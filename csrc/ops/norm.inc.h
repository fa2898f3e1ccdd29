/* norm.inc.h - batch norm; norm_each.inc.h has the norms of each sample by itself.
 *
 * An array of `count` reals with c channels innermost is cut into tasks of whole rows of `period` columns, a multiple
 * of c that fills whole vectors if c has one that is small. Moments and gradient sums are kept in float64, one set per
 * task, brought from columns to channels by the task and added over tasks in order. The second pass over an array
 * goes backwards, for what the first one left in the cache. */

#define NORM_TASK 16384            /* reals in a task, at least */
#define NORM_TASKS 32              /* tasks, about, of a large array */
#define NORM_PERIOD_VECTORS 32     /* longest period made of several rows */
#define NORM_STREAM_BYTES 12000000 /* an input gradient larger than this goes past the caches */
#define NORM_TABLE_ROWS 5          /* mean, scale, shift, along, offset: see the kernels */

typedef struct {
    int64_t count, c, period;
    int64_t task_rows, tasks; /* task_rows: periods in a task */
    bool stream;              /* the input gradient goes past the caches */
} norm_cut;

static int64_t norm_period(int64_t c)
{
    int64_t lanes = K->lanes, a = c, b = lanes;
    if (4 * lanes % c == 0)
        return 4 * lanes;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    int64_t common = c / a * lanes;
    return common <= NORM_PERIOD_VECTORS * lanes ? common : c;
}

static norm_cut norm_cut_of(int64_t rows, int64_t c)
{
    norm_cut cut = {.count = rows * c, .c = c, .period = norm_period(c)};
    int64_t reals = max_int(NORM_TASK, ceil_div(cut.count, NORM_TASKS));
    cut.task_rows = ceil_div(reals, cut.period);
    cut.tasks = max_int(1, ceil_div(cut.count, cut.task_rows * cut.period));
    return cut;
}

static fnn_norm_span norm_span_of(const norm_cut *cut, int64_t task)
{
    int64_t most = cut->task_rows * cut->period;
    int64_t reals = min_int(most, cut->count - task * most);
    return (fnn_norm_span){reals / cut->period, cut->period, reals % cut->period, cut->stream};
}

/* An input gradient larger than the caches goes past them, which need not fetch it first. An output does not: what
 * reads it begins with its end, which the caches still hold. */
static bool norm_streams(const norm_cut *cut, const real *result)
{
    int64_t limit = min_int(NORM_STREAM_BYTES, fnn_stream_bytes());
    return cut->count * (int64_t)sizeof(real) > limit && cut->period % K->lanes == 0 && (uintptr_t)result % 64 == 0;
}

static int norm_width(const norm_cut *cut, int arrays)
{
    return fnn_parallel_width(cut->tasks, (double)sizeof(real) * (double)(arrays * cut->count) * FNN_NS_PER_BYTE);
}

/* ---- statistics ----------------------------------------------------------------------------------------------------
 */

/* Columns of a span to its channels, in place: moments about the pivot of each channel's first column. */
static void norm_fold_moments(const fnn_norm_span *span, int64_t c, double *moments)
{
    int64_t period = span->period, columns = span->rows ? period : span->tail;
    double *pivot = moments, *sum = moments + period, *square = moments + 2 * period;
    for (int64_t start = c; start < columns; start += c)
        for (int64_t j = 0; j < c; j++) {
            int64_t at = start + j;
            double n = (double)(span->rows + (at < span->tail));
            moments_add(&sum[j], &square[j], sum[at], square[at], n, pivot[at] - pivot[j]);
        }
}

static void norm_fold_sums(const fnn_norm_span *span, int64_t c, double *sums)
{
    int64_t period = span->period, columns = span->rows ? period : span->tail;
    for (int64_t start = c; start < columns; start += c)
        for (int64_t j = 0; j < c; j++) {
            sums[j] += sums[start + j];
            sums[period + j] += sums[period + start + j];
        }
}

/* ---- tables: what the kernels read per column
 * ------------------------------------------------------------------------ */

typedef struct {
    real *table; /* NORM_TABLE_ROWS rows of `period` */
    int64_t period, c;
} norm_table;

static void norm_table_forward(norm_table t, int64_t j, double mean, double rstd, double w, double b)
{
    real center = (real)mean;
    t.table[j] = center;
    t.table[t.period + j] = (real)(w * rstd);
    t.table[2 * t.period + j] = (real)(b + ((double)center - mean) * (w * rstd));
}

/* dx = w rstd (dz - sum / n - (x - mean) rstd^2 product / n), with the sums over what shares the mean. */
static void norm_table_backward(norm_table t, int64_t j, double mean, double rstd, double sum, double product, double n)
{
    double along = -rstd * rstd * rstd * product / n;
    t.table[3 * t.period + j] = (real)along;
    t.table[4 * t.period + j] = (real)(-rstd * sum / n + along * ((double)(real)mean - mean));
}

/* Repeats the first c columns in the rest of the period. */
static void norm_table_repeat(norm_table t, int rows)
{
    for (int row = 0; row < rows; row++)
        for (int64_t j = t.c; j < t.period; j++)
            t.table[row * t.period + j] = t.table[row * t.period + j - t.c];
}

/* ---- batch norm
 * ------------------------------------------------------------------------------------------------------ */

typedef struct {
    norm_cut cut;
    const real *x, *residual, *dy, *y_out;
    real *y, *dx, *dz;
    bool relu;
    norm_table table;
    double *partial; /* of each task: 3 (moments) or 2 (sums) rows of `period` */
} norm_batch;

/* One block of memory: the table and `rows` rows of float64 for each task. */
static void *norm_batch_workspace(norm_batch *s, int rows)
{
    size_t period = (size_t)s->cut.period, tasks = (size_t)s->cut.tasks;
    double *block = fnn_alloc(sizeof(double) * period * tasks * (size_t)rows + sizeof(real) * NORM_TABLE_ROWS * period);
    s->partial = block;
    s->table = (norm_table){block ? (real *)(block + period * tasks * (size_t)rows) : NULL, s->cut.period, s->cut.c};
    return block;
}

static void norm_moments_task(void *context, int64_t task, int thread)
{
    norm_batch *s = context;
    fnn_norm_span span = norm_span_of(&s->cut, task);
    double *moments = s->partial + task * 3 * s->cut.period;
    (void)thread;
    K->norm_moments(&span, s->x + task * s->cut.task_rows * s->cut.period, moments);
    norm_fold_moments(&span, s->cut.c, moments);
}

static void norm_apply_task(void *context, int64_t task, int thread)
{
    norm_batch *s = context;
    fnn_norm_span span = norm_span_of(&s->cut, task);
    int64_t at = task * s->cut.task_rows * s->cut.period;
    (void)thread;
    K->norm_apply(&span, s->table.table, s->x + at, s->residual ? s->residual + at : NULL, s->relu, s->y + at);
}

static void norm_sums_task(void *context, int64_t task, int thread)
{
    norm_batch *s = context;
    fnn_norm_span span = norm_span_of(&s->cut, task);
    int64_t at = task * s->cut.task_rows * s->cut.period;
    double *sums = s->partial + task * 2 * s->cut.period;
    (void)thread;
    memset(sums, 0, sizeof(double) * 2 * (size_t)s->cut.period);
    K->norm_sums(&span, s->table.table, s->relu, s->dy + at, s->x + at, s->y_out ? s->y_out + at : NULL,
                 s->dz ? s->dz + at : NULL, sums);
    norm_fold_sums(&span, s->cut.c, sums);
}

static void norm_bwd_x_task(void *context, int64_t task, int thread)
{
    norm_batch *s = context;
    fnn_norm_span span = norm_span_of(&s->cut, task);
    int64_t at = task * s->cut.task_rows * s->cut.period;
    const real *dz = s->dz ? s->dz : s->dy;
    (void)thread;
    K->norm_bwd_x(&span, s->table.table, s->relu && !s->dz, dz + at, s->x + at, s->dx + at);
}

/* The tasks' moments to those of the whole, in the first task's place. */
static void norm_add_moments(const norm_batch *s)
{
    int64_t c = s->cut.c, period = s->cut.period;
    double *pivot = s->partial, *sum = pivot + period, *square = sum + period;
    for (int64_t task = 1; task < s->cut.tasks; task++) {
        const double *other = s->partial + task * 3 * period;
        double n = (double)(min_int(s->cut.task_rows * period, s->cut.count - task * s->cut.task_rows * period) / c);
        for (int64_t j = 0; j < c; j++)
            moments_add(&sum[j], &square[j], other[period + j], other[2 * period + j], n, other[j] - pivot[j]);
    }
}

static void norm_add_sums(const norm_batch *s)
{
    int64_t c = s->cut.c, period = s->cut.period;
    for (int64_t task = 1; task < s->cut.tasks; task++) {
        const double *other = s->partial + task * 2 * period;
        for (int64_t j = 0; j < c; j++) {
            s->partial[j] += other[j];
            s->partial[period + j] += other[period + j];
        }
    }
}

static void norm_batch_table(norm_table t, const real *w, const real *b, const double *mean, const double *rstd)
{
    for (int64_t j = 0; j < t.c; j++)
        norm_table_forward(t, j, mean[j], rstd[j], w ? (double)w[j] : 1, b ? (double)b[j] : 0);
}

/* The statistics of a batch of n numbers each channel, whose means and variances are given. */
int DRIVER(norm_batch_measured)(double n, int64_t c, const double *mean, const double *variance, double eps,
                                double *rstd, real *running_mean, real *running_var, double momentum)
{
    for (int64_t j = 0; j < c; j++) {
        rstd[j] = 1 / sqrt(variance[j] + eps);
        if (running_mean)
            running_mean[j] = (real)((1 - momentum) * (double)running_mean[j] + momentum * mean[j]);
        if (running_var)
            running_var[j] = (real)((1 - momentum) * (double)running_var[j] + momentum * variance[j] * (n / (n - 1)));
    }
    return FNN_OK;
}

int DRIVER(norm_batch_stats)(int64_t rows, int64_t c, const real *x, double eps, double *mean, double *rstd,
                             real *running_mean, real *running_var, double momentum)
{
    if (rows == 0 || c == 0)
        return FNN_OK;
    norm_batch s = {.cut = norm_cut_of(rows, c), .x = x};
    void *workspace = norm_batch_workspace(&s, 3);
    if (!workspace)
        return FNN_NO_MEMORY;
    fnn_parallel(s.cut.tasks, norm_width(&s.cut, 1), norm_moments_task, &s);
    norm_add_moments(&s);
    double *pivot = s.partial, *sum = pivot + s.cut.period, *variance = sum + s.cut.period;
    for (int64_t j = 0; j < c; j++) {
        variance[j] = moments_variance(variance[j], sum[j], (double)rows);
        mean[j] = pivot[j] + sum[j] / (double)rows;
    }
    DRIVER(norm_batch_measured)
    ((double)rows, c, mean, variance, eps, rstd, running_mean, running_var, momentum);
    fnn_free(workspace);
    return FNN_OK;
}

int DRIVER(norm_batch_apply)(int64_t rows, int64_t c, const real *x, const real *residual, const real *w, const real *b,
                             bool relu, const double *mean, const double *rstd, real *y)
{
    if (rows == 0 || c == 0)
        return FNN_OK;
    norm_batch s = {.cut = norm_cut_of(rows, c), .x = x, .residual = residual, .y = y, .relu = relu};
    void *workspace = norm_batch_workspace(&s, 0);
    if (!workspace)
        return FNN_NO_MEMORY;
    norm_batch_table(s.table, w, b, mean, rstd);
    norm_table_repeat(s.table, 3);
    fnn_parallel_backwards(s.cut.tasks, norm_width(&s.cut, residual ? 3 : 2), norm_apply_task, &s);
    fnn_free(workspace);
    return FNN_OK;
}

/* The table's rows for dx, and the gradients of weight and bias, from the sums of dz and of dz (x - mean). */
static void norm_batch_gradients(norm_table t, bool training, int64_t rows, const double *sum, const double *product,
                                 const real *w, const double *mean, const double *rstd, real *dw, real *db)
{
    for (int64_t j = 0; j < t.c; j++) {
        double scale = w ? (double)w[j] : 1;
        double centered = product[j] + ((double)(real)mean[j] - mean[j]) * sum[j];
        norm_table_backward(t, j, mean[j], rstd[j], training ? scale * sum[j] : 0, training ? scale * centered : 0,
                            (double)rows);
        if (dw)
            dw[j] = (real)(centered * rstd[j]);
        if (db)
            db[j] = (real)sum[j];
    }
}

int DRIVER(norm_batch_bwd)(int64_t rows, int64_t c, bool training, const real *dy, const real *x, const real *y,
                           const real *w, const real *b, bool relu, const double *mean, const double *rstd, real *dx,
                           real *dz, real *dw, real *db)
{
    if (c == 0)
        return FNN_OK;
    norm_batch s = {.cut = norm_cut_of(rows, c), .x = x, .dy = dy, .y_out = y, .dx = dx, .dz = dz, .relu = relu};
    void *workspace = norm_batch_workspace(&s, 2);
    if (!workspace)
        return FNN_NO_MEMORY;
    norm_batch_table(s.table, w, b, mean, rstd);
    norm_table_repeat(s.table, 3);
    if (training || dw || db || dz) {
        fnn_parallel(s.cut.tasks, norm_width(&s.cut, dz ? 4 : 2), norm_sums_task, &s);
        norm_add_sums(&s);
    } else
        memset(s.partial, 0, sizeof(double) * 2 * (size_t)s.cut.period);
    norm_batch_gradients(s.table, training, rows, s.partial, s.partial + s.cut.period, w, mean, rstd, dw, db);
    norm_table_repeat(s.table, NORM_TABLE_ROWS);
    s.cut.stream = dx != dy && dx != x && norm_streams(&s.cut, dx);
    if (dx)
        fnn_parallel_backwards(s.cut.tasks, norm_width(&s.cut, 3), norm_bwd_x_task, &s);
    fnn_free(workspace);
    return FNN_OK;
}

#include "norm_activation.inc.h"
#include "norm_each.inc.h"
#include "norm_pool.inc.h"
