/* pool.inc.h - maximum and average pooling, over sliding windows or adaptive bins, in up to three dimensions.
 *
 * All windows of an axis are worked out once, clipped to the image. A task is a number of rows of windows. In the
 * backward pass it owns the taps of its windows and what lies between them and the next ones, if no windows overlap;
 * otherwise tasks are whole images (or, for few images, some channels of one), in which windows are added one after the
 * other. */

#define POOL_TASK 16384   /* reals of x in a task, about */
#define POOL_FEW_IMAGES 8 /* fewer are cut into channels */
#define POOL_CHANNEL_BLOCK 64
#define POOL_STREAM_BYTES 12000000 /* a gradient larger than this goes past the caches */

typedef struct {
    int64_t *first, *count, *divisor; /* of each window along one axis */
} pool_axis;

typedef struct {
    const fnn_pool_shape *shape;
    pool_axis axis[3];
    fnn_pool_row row;           /* what all rows of windows share */
    int64_t rows, rows_in_task; /* rows of windows; images for the backward pass by images */
    int64_t channel_block, channel_blocks;
    bool overlap, tiles[3]; /* tiles: along this axis windows leave nothing out */
    const real *x, *dy, *y_out;
    real *y, *dx;
    int64_t *index;
} pool_plan;

static void pool_window(const fnn_pool_shape *s, int axis, int64_t o, pool_axis *to)
{
    int64_t in = s->in[axis], out = s->out[axis], stride = s->stride[axis], pad = s->pad[axis];
    int64_t kernel = s->kernel[axis], dilation = s->dilation[axis];
    if (s->adaptive) {
        to->first[o] = o * in / out;
        to->count[o] = ceil_div((o + 1) * in, out) - to->first[o];
        to->divisor[o] = to->count[o];
        return;
    }
    int64_t start = o * stride - pad;
    int64_t skipped = start < 0 ? ceil_div(-start, dilation) : 0;
    int64_t end = start + (kernel - 1) * dilation; /* the last tap */
    to->first[o] = start + skipped * dilation;
    to->count[o] = max_int(0, kernel - skipped - (end >= in ? ceil_div(end - in + 1, dilation) : 0));
    to->divisor[o] = s->include_pad ? min_int(start + kernel, in + pad) - start : to->count[o];
    if (s->divisor) /* given: one axis carries it */
        to->divisor[o] = axis == FNN_WIDTH ? s->divisor : 1;
    if (to->count[o] == 0)
        to->first[o] = 0;
}

/* Whether windows follow each other without gap or overlap from the first pixel to the last, and whether they
 * overlap, or lie within each other. */
static void pool_coverage(const fnn_pool_shape *s, int axis, const pool_axis *a, bool *tiles, bool *overlap)
{
    int64_t next = 0;
    for (int64_t o = 0; o < s->out[axis]; o++) {
        bool spread = !s->adaptive && s->dilation[axis] > 1 && a->count[o] > 1;
        *tiles = *tiles && !spread && a->first[o] == next;
        *overlap = *overlap || spread || a->first[o] < next;
        next = a->first[o] + a->count[o];
    }
    *tiles = *tiles && next == s->in[axis];
}

/* The windows, in workspace to be freed by the caller; NULL when out of memory. */
static void *pool_prepare(pool_plan *p, const fnn_pool_shape *s)
{
    int64_t windows = s->out[0] + s->out[1] + s->out[2];
    int64_t *next = fnn_alloc(sizeof(int64_t) * 3 * (size_t)windows);
    void *workspace = next;
    if (!workspace)
        return NULL;
    p->shape = s;
    for (int axis = 0; axis < 3; axis++) {
        pool_axis *a = &p->axis[axis];
        a->first = next;
        a->count = next + s->out[axis];
        a->divisor = next + 2 * s->out[axis];
        next += 3 * s->out[axis];
        for (int64_t o = 0; o < s->out[axis]; o++)
            pool_window(s, axis, o, a);
        p->tiles[axis] = true;
        pool_coverage(s, axis, a, &p->tiles[axis], &p->overlap);
    }
    const pool_axis *w = &p->axis[FNN_WIDTH];
    int64_t dilation[3];
    for (int axis = 0; axis < 3; axis++)
        dilation[axis] = s->adaptive ? 1 : s->dilation[axis];
    p->row = (fnn_pool_row){
        .channels = s->c, .pixel = s->c, .windows = s->out[FNN_WIDTH], .uniform = w->count[0], .relu = s->relu};
    p->row.step[FNN_DEPTH] = dilation[FNN_DEPTH] * s->in[FNN_HEIGHT] * s->in[FNN_WIDTH] * s->c;
    p->row.step[FNN_HEIGHT] = dilation[FNN_HEIGHT] * s->in[FNN_WIDTH] * s->c;
    p->row.step[FNN_WIDTH] = dilation[FNN_WIDTH] * s->c;
    p->row.first = w->first;
    p->row.count = w->count;
    p->row.divisor = w->divisor;
    for (int64_t o = 0; o < s->out[FNN_WIDTH]; o++)
        if (w->count[o] != w->count[0])
            p->row.uniform = 0;
    int64_t image = s->in[0] * s->in[1] * s->in[2] * s->c;
    p->rows = s->n * s->out[FNN_DEPTH] * s->out[FNN_HEIGHT];
    p->rows_in_task = max_int(1, POOL_TASK * s->out[FNN_DEPTH] * s->out[FNN_HEIGHT] / max_int(image, 1));
    return workspace;
}

/* Row of windows number `index`: its sizes in `row`; returns the offset of its first tap row in x, and in `pixel`
 * the same as a position in the plane. */
static int64_t pool_row_at(const pool_plan *p, int64_t index, fnn_pool_row *row, int64_t *pixel)
{
    const fnn_pool_shape *s = p->shape;
    int64_t h = index % s->out[FNN_HEIGHT], rest = index / s->out[FNN_HEIGHT];
    int64_t d = rest % s->out[FNN_DEPTH], image = rest / s->out[FNN_DEPTH];
    const pool_axis *planes = &p->axis[FNN_DEPTH], *lines = &p->axis[FNN_HEIGHT];
    row->taps[0] = planes->count[d];
    row->taps[1] = lines->count[h];
    row->row_divisor = planes->divisor[d] * lines->divisor[h];
    *pixel = (planes->first[d] * s->in[FNN_HEIGHT] + lines->first[h]) * s->in[FNN_WIDTH];
    return (image * s->in[FNN_DEPTH] * s->in[FNN_HEIGHT] * s->in[FNN_WIDTH] + *pixel) * s->c;
}

static int pool_width(const pool_plan *p, int64_t tasks, double arrays)
{
    const fnn_pool_shape *s = p->shape;
    double reals = (double)(s->n * s->c) * (double)(s->in[0] * s->in[1] * s->in[2]);
    return fnn_parallel_width(tasks, arrays * reals * (double)sizeof(real) * FNN_NS_PER_BYTE);
}

/* ---- one row of windows, each way ---- */

typedef void pool_row_work(const pool_plan *p, const fnn_pool_row *row, int64_t in, int64_t out, int64_t pixel);

static void pool_max_row(const pool_plan *p, const fnn_pool_row *row, int64_t in, int64_t out, int64_t pixel)
{
    (void)pixel;
    K->pool_max_fwd(row, p->x + in, p->y + out);
}

static void pool_avg_row(const pool_plan *p, const fnn_pool_row *row, int64_t in, int64_t out, int64_t pixel)
{
    (void)pixel;
    K->pool_avg_fwd(row, p->x + in, p->y + out);
}

static void pool_index_row(const pool_plan *p, const fnn_pool_row *row, int64_t in, int64_t out, int64_t pixel)
{
    int64_t step[3];
    for (int axis = 0; axis < 3; axis++)
        step[axis] = row->step[axis] / row->pixel;
    K->pool_max_index(row, p->x + in, p->y_out + out, pixel, step, p->index + out);
}

static void pool_max_bwd_row(const pool_plan *p, const fnn_pool_row *row, int64_t in, int64_t out, int64_t pixel)
{
    (void)pixel;
    K->pool_max_bwd(row, p->dy + out, p->x + in, p->y_out + out, p->dx + in, p->overlap);
}

static void pool_avg_bwd_row(const pool_plan *p, const fnn_pool_row *row, int64_t in, int64_t out, int64_t pixel)
{
    (void)pixel;
    K->pool_avg_bwd(row, p->dy + out, p->dx + in, p->overlap);
}

typedef struct {
    pool_plan plan;
    pool_row_work *work;
} pool_job;

static void pool_rows_task(void *context, int64_t task, int thread)
{
    pool_job *job = context;
    const pool_plan *p = &job->plan;
    fnn_pool_row row = p->row;
    int64_t end = min_int(p->rows, (task + 1) * p->rows_in_task), pixel;
    (void)thread;
    for (int64_t i = task * p->rows_in_task; i < end; i++) {
        int64_t in = pool_row_at(p, i, &row, &pixel);
        job->work(p, &row, in, i * row.windows * row.pixel, pixel);
    }
}

/* Zeroes dx where no window of row `index` has a tap, from the end of the row before to that of this one; the last row
 * of a plane ends with the plane. */
static void pool_clear_between(const pool_plan *p, int64_t index, const fnn_pool_row *row, real *plane)
{
    const pool_axis *lines = &p->axis[FNN_HEIGHT];
    int64_t h = index % p->shape->out[FNN_HEIGHT], width = p->shape->in[FNN_WIDTH], first = lines->first[h];
    int64_t before = h ? lines->first[h - 1] + lines->count[h - 1] : 0, line = width * row->pixel;
    memset(plane + before * line, 0, sizeof(real) * (size_t)((first - before) * line));
    for (int64_t i = first; i < first + lines->count[h] && !p->tiles[FNN_WIDTH]; i++)
        for (int64_t o = 0, done = 0; o <= row->windows; o++) {
            int64_t next = o < row->windows ? row->first[o] : width;
            memset(plane + (i * width + done) * row->pixel, 0, sizeof(real) * (size_t)((next - done) * row->pixel));
            done = o < row->windows ? next + row->count[o] : next;
        }
    if (h == p->shape->out[FNN_HEIGHT] - 1) {
        int64_t end = first + lines->count[h];
        memset(plane + end * line, 0, sizeof(real) * (size_t)((p->shape->in[FNN_HEIGHT] - end) * line));
    }
}

/* Backwards where no windows overlap. */
static void pool_apart_task(void *context, int64_t task, int thread)
{
    pool_job *job = context;
    const pool_plan *p = &job->plan;
    fnn_pool_row row = p->row;
    int64_t end = min_int(p->rows, (task + 1) * p->rows_in_task), pixel;
    bool tiles = p->tiles[FNN_HEIGHT] && p->tiles[FNN_WIDTH];
    (void)thread;
    for (int64_t i = task * p->rows_in_task; i < end; i++) {
        int64_t in = pool_row_at(p, i, &row, &pixel);
        int64_t plane =
            in - p->axis[FNN_HEIGHT].first[i % p->shape->out[FNN_HEIGHT]] * p->shape->in[FNN_WIDTH] * row.pixel;
        if (!tiles)
            for (int64_t d = 0; d < row.taps[FNN_DEPTH]; d++)
                pool_clear_between(p, i, &row, p->dx + plane + d * row.step[FNN_DEPTH]);
        job->work(p, &row, in, i * row.windows * row.pixel, pixel);
    }
}

/* Some channels of one image, dx zeroed first. */
static void pool_image_task(void *context, int64_t task, int thread)
{
    pool_job *job = context;
    const pool_plan *p = &job->plan;
    const fnn_pool_shape *s = p->shape;
    int64_t image = task / p->channel_blocks, channel = task % p->channel_blocks * p->channel_block, pixel;
    int64_t pixels = s->in[0] * s->in[1] * s->in[2], rows = s->out[FNN_DEPTH] * s->out[FNN_HEIGHT];
    fnn_pool_row row = p->row;
    row.channels = min_int(p->channel_block, s->c - channel);
    (void)thread;
    real *dx = p->dx + image * pixels * s->c + channel;
    if (row.channels == s->c)
        memset(dx, 0, sizeof(real) * (size_t)(pixels * s->c));
    else
        for (int64_t i = 0; i < pixels; i++)
            memset(dx + i * s->c, 0, sizeof(real) * (size_t)row.channels);
    for (int64_t i = image * rows; i < (image + 1) * rows; i++) {
        int64_t in = pool_row_at(p, i, &row, &pixel) + channel;
        job->work(p, &row, in, i * row.windows * row.pixel + channel, pixel);
    }
}

static bool pool_empty(const fnn_pool_shape *s)
{
    return s->n == 0 || s->c == 0 || s->out[0] == 0 || s->out[1] == 0 || s->out[2] == 0;
}

static int pool_forward(pool_job *job, const fnn_pool_shape *s)
{
    if (pool_empty(s))
        return FNN_OK;
    void *workspace = pool_prepare(&job->plan, s);
    if (!workspace)
        return FNN_NO_MEMORY;
    int64_t tasks = ceil_div(job->plan.rows, job->plan.rows_in_task);
    fnn_parallel(tasks, pool_width(&job->plan, tasks, 1.25), pool_rows_task, job);
    fnn_free(workspace);
    return FNN_OK;
}

static int pool_backward(pool_job *job, const fnn_pool_shape *s)
{
    pool_plan *p = &job->plan;
    if (pool_empty(s)) {
        memset(p->dx, 0, sizeof(real) * (size_t)(s->n * s->c * s->in[0] * s->in[1] * s->in[2]));
        return FNN_OK;
    }
    void *workspace = pool_prepare(p, s);
    if (!workspace)
        return FNN_NO_MEMORY;
    if (!p->overlap && p->tiles[FNN_DEPTH]) {
        int64_t tasks = ceil_div(p->rows, p->rows_in_task), bytes = s->n * s->c * (int64_t)sizeof(real);
        bytes *= s->in[0] * s->in[1] * s->in[2];
        p->row.stream = bytes > min_int(POOL_STREAM_BYTES, fnn_stream_bytes()) && s->c % K->lanes == 0 &&
                        (uintptr_t)p->dx % 64 == 0;
        fnn_parallel(tasks, pool_width(p, tasks, 2.5), pool_apart_task, job);
    } else {
        p->channel_block = s->n < POOL_FEW_IMAGES ? POOL_CHANNEL_BLOCK : s->c;
        p->channel_blocks = ceil_div(s->c, p->channel_block);
        int64_t tasks = s->n * p->channel_blocks;
        fnn_parallel(tasks, pool_width(p, tasks, 4), pool_image_task, job);
    }
    fnn_free(workspace);
    return FNN_OK;
}

int DRIVER(pool_max_fwd)(const fnn_pool_shape *shape, const real *x, real *y)
{
    pool_job job = {{.x = x, .y = y}, pool_max_row};
    return pool_forward(&job, shape);
}

int DRIVER(pool_max_index)(const fnn_pool_shape *shape, const real *x, const real *y, int64_t *index)
{
    pool_job job = {{.x = x, .y_out = y, .index = index}, pool_index_row};
    return pool_forward(&job, shape);
}

int DRIVER(pool_max_bwd)(const fnn_pool_shape *shape, const real *dy, const real *x, const real *y, real *dx)
{
    pool_job job = {{.dy = dy, .x = x, .y_out = y, .dx = dx}, pool_max_bwd_row};
    return pool_backward(&job, shape);
}

int DRIVER(pool_avg_fwd)(const fnn_pool_shape *shape, const real *x, real *y)
{
    pool_job job = {{.x = x, .y = y}, pool_avg_row};
    return pool_forward(&job, shape);
}

int DRIVER(pool_avg_bwd)(const fnn_pool_shape *shape, const real *dy, real *dx)
{
    pool_job job = {{.dy = dy, .dx = dx}, pool_avg_bwd_row};
    return pool_backward(&job, shape);
}
