/* loss.inc.h - cross-entropy, and losses of an element and its target. Sums are kept in double, one partial a task. */

typedef struct {
    int64_t rows, classes, block;
    const real *x;
    const int64_t *target; /* class indices, or */
    const real *soft;      /* distributions */
    const real *weight;
    double weight_sum, smoothing;
    int64_t ignored;
    real *loss, *counted, *top, *inverse;
    double *partial; /* forward: sums of loss and of counted, a pair a task */
    const real *dy, *saved_top, *saved_inverse;
    int64_t dy_step;
    double scale;
    real *dx;
} cross_entropy_call;

static double weight_total(const real *weight, int64_t classes)
{
    double total = 0;
    for (int64_t c = 0; c < classes; c++)
        total += weight ? (double)weight[c] : 1;
    return total;
}

static void cross_entropy_fwd_task(void *context, int64_t index, int thread)
{
    const cross_entropy_call *s = context;
    int64_t r = index * s->block, rows = min_int(s->block, s->rows - r), at = r * s->classes;
    double *sums = s->partial + 2 * index;
    (void)thread;
    if (s->soft) {
        K->soft_cross_entropy_fwd(rows, s->classes, s->x + at, s->soft + at, s->weight, s->smoothing, s->loss + r,
                                  s->top + r, s->inverse + r);
        sums[1] = (double)rows;
    } else {
        K->cross_entropy_fwd(rows, s->classes, s->x + at, s->target + r, s->weight, s->weight_sum, s->ignored,
                             s->smoothing, s->loss + r, s->counted + r, s->top + r, s->inverse + r);
        K->sum(rows, s->counted + r, &sums[1]);
    }
    K->sum(rows, s->loss + r, &sums[0]);
}

static void cross_entropy_bwd_task(void *context, int64_t index, int thread)
{
    const cross_entropy_call *s = context;
    int64_t r = index * s->block, rows = min_int(s->block, s->rows - r), at = r * s->classes;
    (void)thread;
    if (s->soft)
        K->soft_cross_entropy_bwd(rows, s->classes, s->dy + r * s->dy_step, s->dy_step, s->scale, s->x + at,
                                  s->soft + at, s->weight, s->smoothing, s->saved_top + r, s->saved_inverse + r,
                                  s->dx + at);
    else
        K->cross_entropy_bwd(rows, s->classes, s->dy + r * s->dy_step, s->dy_step, s->scale, s->x + at, s->target + r,
                             s->weight, s->weight_sum, s->ignored, s->smoothing, s->saved_top + r, s->saved_inverse + r,
                             s->dx + at);
}

static int cross_entropy_forward(cross_entropy_call *s, double *sums)
{
    s->block = flat_rows(s->classes, 16);
    int64_t tasks = ceil_div(s->rows, s->block);
    s->partial = fnn_alloc(sizeof(double) * (size_t)(2 * tasks) + sizeof(real) * (size_t)s->rows);
    if (!s->partial)
        return FNN_NO_MEMORY;
    s->counted = (real *)(s->partial + 2 * tasks);
    double work = flat_ns(s->rows * s->classes, s->soft ? 2 : 1, 1.5);
    fnn_parallel(tasks, fnn_parallel_width(tasks, work), cross_entropy_fwd_task, s);
    sums[0] = sums[1] = 0;
    for (int64_t i = 0; i < tasks; i++) {
        sums[0] += s->partial[2 * i];
        sums[1] += s->partial[2 * i + 1];
    }
    fnn_free(s->partial);
    return FNN_OK;
}

int DRIVER(cross_entropy_fwd)(int64_t rows, int64_t classes, const real *x, const int64_t *target, const real *soft,
                              const real *weight, int64_t ignored, double smoothing, real *loss, real *top,
                              real *inverse, double *sums)
{
    cross_entropy_call call = {.rows = rows,
                               .classes = classes,
                               .x = x,
                               .target = target,
                               .soft = soft,
                               .weight = weight,
                               .weight_sum = weight_total(weight, classes),
                               .smoothing = smoothing,
                               .ignored = ignored,
                               .loss = loss,
                               .top = top,
                               .inverse = inverse};
    return cross_entropy_forward(&call, sums);
}

int DRIVER(cross_entropy_bwd)(int64_t rows, int64_t classes, const real *dy, int64_t dy_step, double scale,
                              const real *x, const int64_t *target, const real *soft, const real *weight,
                              int64_t ignored, double smoothing, const real *top, const real *inverse, real *dx)
{
    cross_entropy_call call = {.rows = rows,
                               .classes = classes,
                               .block = flat_rows(classes, 16),
                               .x = x,
                               .target = target,
                               .soft = soft,
                               .weight = weight,
                               .weight_sum = weight_total(weight, classes),
                               .smoothing = smoothing,
                               .ignored = ignored,
                               .dy = dy,
                               .dy_step = dy_step,
                               .scale = scale,
                               .saved_top = top,
                               .saved_inverse = inverse,
                               .dx = dx};
    int64_t tasks = ceil_div(rows, call.block);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(rows * classes, 2, 1)), cross_entropy_bwd_task, &call);
    return FNN_OK;
}

/* ---- losses of an element and its target ---- */

typedef struct {
    void (*each)(int64_t n, const real *x, const real *t, double a, real *y);
    void (*total)(int64_t n, const real *x, const real *t, double a, double *total);
    void (*bwd)(int64_t n, const real *dy, double scale, const real *x, const real *t, double a, real *dx);
    double work;
    int64_t n;
    const real *x, *t, *dy;
    real *y;
    double a, scale;
    double *partial;
} loss_call;

static void loss_choose(loss_call *call, int code)
{
    switch (code) {
#define FNN_LOSS(name, cost)              \
    case FNN_LOSS_##name:                 \
        call->each = K->name##_loss_fwd;  \
        call->total = K->name##_loss_sum; \
        call->bwd = K->name##_loss_bwd;   \
        call->work = cost;                \
        break;
#include "../losses.def"
#undef FNN_LOSS
    default:
        assert(!"no such loss");
    }
}

static void loss_fwd_task(void *context, int64_t index, int thread)
{
    const loss_call *s = context;
    int64_t i = index * FLAT_BLOCK, n = min_int(FLAT_BLOCK, s->n - i);
    (void)thread;
    if (s->partial)
        s->total(n, s->x + i, s->t + i, s->a, s->partial + index);
    else
        s->each(n, s->x + i, s->t + i, s->a, s->y + i);
}

static void loss_bwd_task(void *context, int64_t index, int thread)
{
    const loss_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    s->bwd(min_int(FLAT_BLOCK, s->n - i), s->dy ? s->dy + i : NULL, s->scale, s->x + i, s->t + i, s->a, s->y + i);
}

int DRIVER(pointwise_loss_fwd)(int code, int64_t n, const real *x, const real *t, double a, real *y)
{
    loss_call call = {.n = n, .x = x, .t = t, .a = a, .y = y};
    loss_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 3, call.work)), loss_fwd_task, &call);
    return FNN_OK;
}

int DRIVER(pointwise_loss_sum)(int code, int64_t n, const real *x, const real *t, double a, double *total)
{
    loss_call call = {.n = n, .x = x, .t = t, .a = a};
    loss_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    call.partial = fnn_alloc(sizeof(double) * (size_t)tasks);
    if (!call.partial)
        return FNN_NO_MEMORY;
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 2, call.work)), loss_fwd_task, &call);
    *total = 0;
    for (int64_t i = 0; i < tasks; i++)
        *total += call.partial[i];
    fnn_free(call.partial);
    return FNN_OK;
}

int DRIVER(pointwise_loss_bwd)(int code, int64_t n, const real *dy, double scale, const real *x, const real *t,
                               double a, real *dx)
{
    loss_call call = {.n = n, .x = x, .t = t, .dy = dy, .scale = scale, .a = a, .y = dx};
    loss_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 3, call.work)), loss_bwd_task, &call);
    return FNN_OK;
}
