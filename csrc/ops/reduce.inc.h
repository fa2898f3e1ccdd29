/* reduce.inc.h - sums. One partial for each block of the array, added in double in the order of the blocks. */

#define SUM_TASK 32768 /* elements of a block */
#define SUM_STRIP 512  /* columns of a block, at most */

typedef struct {
    bool squares;
    int64_t rows, columns, step, block, strips;
    const real *x;
    double scale;
    real *y;
    double *partial;
} sum_call;

static void sum_all_task(void *context, int64_t index, int thread)
{
    const sum_call *s = context;
    int64_t i = index * SUM_TASK, n = min_int(SUM_TASK, s->columns - i);
    (void)thread;
    (s->squares ? K->sum_squares : K->sum)(n, s->x + i, s->partial + index);
}

int DRIVER(sum_all)(bool squares, int64_t n, const real *x, double *total)
{
    double few[16];
    int64_t tasks = ceil_div(n, SUM_TASK);
    sum_call call = {.squares = squares, .columns = n, .x = x};
    call.partial = tasks <= 16 ? few : fnn_alloc(sizeof(double) * (size_t)tasks);
    if (!call.partial)
        return FNN_NO_MEMORY;
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 1, 0)), sum_all_task, &call);
    *total = 0;
    for (int64_t i = 0; i < tasks; i++)
        *total += call.partial[i];
    if (call.partial != few)
        fnn_free(call.partial);
    return FNN_OK;
}

static void sum_rows_task(void *context, int64_t index, int thread)
{
    const sum_call *s = context;
    int64_t r = index * s->block;
    (void)thread;
    K->row_sums(min_int(s->block, s->rows - r), s->columns, s->x + r * s->columns, s->scale, s->y + r);
}

/* y[r] = scale * sum_j x[r, j] */
int DRIVER(sum_rows)(int64_t rows, int64_t columns, const real *x, double scale, real *y)
{
    sum_call call = {.rows = rows, .columns = columns, .block = flat_rows(columns, 1), .x = x, .scale = scale, .y = y};
    if (columns >= 8 * SUM_TASK && rows < 16) {
        for (int64_t r = 0; r < rows; r++) {
            double total;
            int status = DRIVER(sum_all)(false, columns, x + r * columns, &total);
            if (status != FNN_OK)
                return status;
            y[r] = (real)(total * scale);
        }
        return FNN_OK;
    }
    int64_t tasks = ceil_div(rows, call.block);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(rows * columns, 1, 0)), sum_rows_task, &call);
    return FNN_OK;
}

static void sum_columns_task(void *context, int64_t index, int thread)
{
    const sum_call *s = context;
    int64_t block = index / s->strips, j = index % s->strips * SUM_STRIP, r = block * s->block;
    (void)thread;
    K->column_sums(min_int(s->block, s->rows - r), min_int(SUM_STRIP, s->columns - j), s->columns,
                   s->x + r * s->columns + j, s->y + block * s->columns + j);
}

/* y[j] = scale * sum_r x[r, j] */
int DRIVER(sum_columns)(int64_t rows, int64_t columns, const real *x, double scale, real *y)
{
    int64_t copies = columns == 0 || rows == 0 ? 1 : max_int(min_int(WIDE_ROW / columns, rows), 1);
    sum_call call = {.rows = rows / copies, .columns = columns * copies, .x = x};
    call.block = max_int(SUM_TASK / max_int(min_int(call.columns, SUM_STRIP), 1), 1);
    call.strips = ceil_div(call.columns, SUM_STRIP);
    int64_t blocks = ceil_div(call.rows, call.block), tasks = blocks * call.strips;
    double *total = fnn_alloc(sizeof(double) * (size_t)columns + sizeof(real) * (size_t)(blocks * call.columns));
    if (!total)
        return FNN_NO_MEMORY;
    call.y = (real *)(total + columns);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(rows * columns, 1, 0)), sum_columns_task, &call);

    for (int64_t j = 0; j < columns; j++)
        total[j] = 0;
    for (int64_t r = 0; r < blocks * copies; r++)
        for (int64_t j = 0; j < columns; j++)
            total[j] += (double)call.y[r * columns + j];
    for (int64_t r = call.rows * copies; r < rows; r++)
        for (int64_t j = 0; j < columns; j++)
            total[j] += (double)x[r * columns + j];
    for (int64_t j = 0; j < columns; j++)
        y[j] = (real)(total[j] * scale);
    fnn_free(total);
    return FNN_OK;
}
