/* copy.inc.h - copies between arrays of one shape and any strides, sums of them, and zeros.
 *
 * Dimensions are put in the order in which the target lies in memory and joined where both arrays allow it; what
 * remains is cut into rows of the last dimension, whole ones where both lie side by side. */

#define COPY_DIMS 32
#define COPY_TASK 16384 /* elements of a task, about */

typedef struct {
    int64_t dims, shape[COPY_DIMS], x_step[COPY_DIMS], y_step[COPY_DIMS];
    int64_t rows, row, rows_in_task;
    const real *x;
    real *y;
    bool add; /* y += x */
} copy_plan;

static int64_t copy_size(int64_t step) { return step < 0 ? -step : step; }

static void copy_order(copy_plan *p)
{
    for (int64_t i = 1; i < p->dims; i++) /* few dimensions, mostly in order: insertion */
        for (int64_t j = i; j > 0 && copy_size(p->y_step[j]) > copy_size(p->y_step[j - 1]); j--) {
            int64_t shape = p->shape[j], x = p->x_step[j], y = p->y_step[j];
            p->shape[j] = p->shape[j - 1];
            p->x_step[j] = p->x_step[j - 1];
            p->y_step[j] = p->y_step[j - 1];
            p->shape[j - 1] = shape;
            p->x_step[j - 1] = x;
            p->y_step[j - 1] = y;
        }
}

/* Joins neighbouring dimensions that are one in both arrays. */
static void copy_join(copy_plan *p)
{
    int64_t last = 0;
    for (int64_t i = 1; i < p->dims; i++) {
        bool one = p->x_step[last] == p->x_step[i] * p->shape[i] && p->y_step[last] == p->y_step[i] * p->shape[i];
        if (!one)
            last++;
        p->shape[last] = one ? p->shape[last] * p->shape[i] : p->shape[i];
        p->x_step[last] = p->x_step[i];
        p->y_step[last] = p->y_step[i];
    }
    p->dims = last + 1;
}

#define COPY_LONG_ROW 256 /* from here on the library's copy of a row is as fast */

/* `rows` rows of n elements. */
static void copy_plane(const copy_plan *p, int64_t rows, int64_t n, const real *x, int64_t x_row, int64_t x_step,
                       real *y, int64_t y_row, int64_t y_step)
{
    if (x_step == 1 && y_step == 1 && (p->add || n < COPY_LONG_ROW)) {
        K->copy_rows(rows, n, x, x_row, y, y_row, p->add);
        return;
    }
    for (int64_t i = 0; i < rows; i++, x += x_row, y += y_row)
        if (x_step == 1 && y_step == 1)
            memcpy(y, x, sizeof(real) * (size_t)n);
        else if (p->add)
            for (int64_t j = 0; j < n; j++)
                y[j * y_step] += x[j * x_step];
        else
            for (int64_t j = 0; j < n; j++)
                y[j * y_step] = x[j * x_step];
}

/* Rows [first, end), as many at a time as lie the same step apart. */
static void copy_task(void *context, int64_t task, int thread)
{
    const copy_plan *p = context;
    int64_t first = task * p->rows_in_task, end = min_int(first + p->rows_in_task, p->rows), last = p->dims - 1;
    int64_t at[COPY_DIMS], above = last - 1;
    (void)thread;
    for (int64_t r = first; r < end;) {
        const real *x = p->x;
        real *y = p->y;
        for (int64_t i = above, rest = r; i >= 0; i--) {
            at[i] = rest % p->shape[i];
            rest /= p->shape[i];
            x += at[i] * p->x_step[i];
            y += at[i] * p->y_step[i];
        }
        int64_t rows = min_int(p->shape[above] - at[above], end - r);
        copy_plane(p, rows, p->row, x, p->x_step[above], p->x_step[last], y, p->y_step[above], p->y_step[last]);
        r += rows;
    }
}

int DRIVER(copy_strided)(int64_t dims, const int64_t *shape, const real *x, const int64_t *x_step, real *y,
                         const int64_t *y_step, bool add)
{
    copy_plan p = {.x = x, .y = y, .add = add};
    int64_t size = 1;
    assert(dims <= COPY_DIMS);
    for (int64_t i = 0; i < dims; i++) {
        size *= shape[i];
        if (shape[i] == 1)
            continue;
        p.shape[p.dims] = shape[i];
        p.x_step[p.dims] = x_step[i];
        p.y_step[p.dims++] = y_step[i];
    }
    if (size == 0)
        return FNN_OK;
    if (p.dims == 0) {
        copy_plane(&p, 1, 1, x, 0, 1, y, 0, 1);
        return FNN_OK;
    }
    copy_order(&p);
    copy_join(&p);
    p.row = p.shape[p.dims - 1];
    if (p.dims == 1) { /* one long row: in pieces */
        int64_t pieces = ceil_div(size, COPY_TASK);
        p = (copy_plan){.dims = 2,
                        .x = x,
                        .y = y,
                        .add = add,
                        .shape = {pieces, COPY_TASK},
                        .x_step = {COPY_TASK * p.x_step[0], p.x_step[0]},
                        .y_step = {COPY_TASK * p.y_step[0], p.y_step[0]}};
        p.row = COPY_TASK;
        p.rows = size / COPY_TASK;
        int64_t done = p.rows * COPY_TASK;
        copy_plane(&p, 1, size - done, x + done * p.x_step[1], 0, p.x_step[1], y + done * p.y_step[1], 0, p.y_step[1]);
    } else
        p.rows = size / p.row;
    p.rows_in_task = max_int(COPY_TASK / p.row, 1);
    int64_t tasks = ceil_div(p.rows, p.rows_in_task);
    double bytes = 2.0 * sizeof(real) * (double)size;
    fnn_parallel(tasks, fnn_parallel_width(tasks, bytes * FNN_NS_PER_BYTE), copy_task, &p);
    return FNN_OK;
}

typedef struct {
    real *y;
    int64_t n;
} clear_plan;

static void clear_task(void *context, int64_t task, int thread)
{
    const clear_plan *p = context;
    (void)thread;
    memset(p->y + task * COPY_TASK, 0, sizeof(real) * (size_t)min_int(COPY_TASK, p->n - task * COPY_TASK));
}

int DRIVER(clear)(int64_t n, real *y)
{
    clear_plan p = {y, n};
    int64_t tasks = ceil_div(n, COPY_TASK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, sizeof(real) * (double)n * FNN_NS_PER_BYTE), clear_task, &p);
    return FNN_OK;
}
