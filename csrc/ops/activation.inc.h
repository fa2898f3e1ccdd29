/* activation.inc.h - pointwise activations, PReLU and softmax: tasks of about FLAT_BLOCK elements. */
#include "../lists.h"

/* Elements of a task: 64 KB of each float array, so that a task's arrays share the second-level cache. */
#define FLAT_BLOCK 16384

/* Rows in a task of about FLAT_BLOCK elements, a multiple of `multiple`. */
static int64_t flat_rows(int64_t columns, int64_t multiple)
{
    return round_up(max_int(FLAT_BLOCK / max_int(columns, 1), 1), multiple);
}

/* Estimated cost of a sweep over `arrays` arrays of n elements, `exps` exponentials each. */
static double flat_ns(int64_t n, int arrays, double exps)
{
    return (double)n * (arrays * (double)sizeof(real) * FNN_NS_PER_BYTE + exps * FNN_NS_PER_EXP);
}

typedef void act_fwd_kernel(int64_t n, const real *x, real *y, double a, double b, double c);
typedef void act_bwd_kernel(int64_t n, const real *dy, const real *saved, real *dx, double a, double b, double c);

typedef struct {
    act_fwd_kernel *fwd;
    act_bwd_kernel *bwd;
    double work;
    int64_t n;
    const real *x, *dy;
    real *y;
    double a, b, c;
} act_call;

static void act_choose(act_call *call, int code)
{
    switch (code) {
#define FNN_ACTIVATION(name, saves, cost) \
    case FNN_ACTIVATION_##name:           \
        call->fwd = K->name##_fwd;        \
        call->bwd = K->name##_bwd;        \
        call->work = cost;                \
        break;
#include "../activations.def"
#undef FNN_ACTIVATION
    default:
        assert(!"no such activation");
    }
}

static void act_fwd_task(void *context, int64_t index, int thread)
{
    const act_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    s->fwd(min_int(FLAT_BLOCK, s->n - i), s->x + i, s->y + i, s->a, s->b, s->c);
}

static void act_bwd_task(void *context, int64_t index, int thread)
{
    const act_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    s->bwd(min_int(FLAT_BLOCK, s->n - i), s->dy + i, s->x + i, s->y + i, s->a, s->b, s->c);
}

int DRIVER(activation_fwd)(int code, int64_t n, const real *x, real *y, double a, double b, double c)
{
    act_call call = {.n = n, .x = x, .y = y, .a = a, .b = b, .c = c};
    act_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 2, call.work)), act_fwd_task, &call);
    return FNN_OK;
}

int DRIVER(activation_bwd)(int code, int64_t n, const real *dy, const real *saved, real *dx, double a, double b,
                           double c)
{
    act_call call = {.n = n, .x = saved, .dy = dy, .y = dx, .a = a, .b = b, .c = c};
    act_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 3, call.work)), act_bwd_task, &call);
    return FNN_OK;
}

/* ---- PReLU ---- */

typedef struct {
    int64_t rows, channels, block;
    const real *x, *w, *dy;
    real *y, *partial; /* partial: the gradient of w of each block of rows */
} prelu_call;

static void prelu_fwd_task(void *context, int64_t index, int thread)
{
    const prelu_call *s = context;
    int64_t r = index * s->block, at = r * s->channels;
    (void)thread;
    K->prelu_fwd(min_int(s->block, s->rows - r), s->channels, s->x + at, s->w, s->y + at);
}

static void prelu_bwd_task(void *context, int64_t index, int thread)
{
    const prelu_call *s = context;
    int64_t r = index * s->block, at = r * s->channels;
    real *dw = s->partial + index * s->channels;
    (void)thread;
    memset(dw, 0, sizeof(real) * (size_t)s->channels);
    K->prelu_bwd(min_int(s->block, s->rows - r), s->channels, s->dy + at, s->x + at, s->w, s->y + at, dw);
}

int DRIVER(prelu_fwd)(int64_t rows, int64_t channels, const real *x, const real *w, real *y)
{
    prelu_call call = {.rows = rows, .channels = channels, .block = flat_rows(channels, 1), .x = x, .w = w, .y = y};
    int64_t tasks = ceil_div(rows, call.block);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(rows * channels, 2, 0)), prelu_fwd_task, &call);
    return FNN_OK;
}

int DRIVER(prelu_bwd)(int64_t rows, int64_t channels, const real *dy, const real *x, const real *w, real *dx, real *dw)
{
    prelu_call call = {
        .rows = rows, .channels = channels, .block = flat_rows(channels, 1), .x = x, .w = w, .dy = dy, .y = dx};
    int64_t tasks = ceil_div(rows, call.block);
    call.partial = fnn_alloc(sizeof(real) * (size_t)(tasks * channels));
    if (!call.partial)
        return FNN_NO_MEMORY;
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(rows * channels, 3, 0)), prelu_bwd_task, &call);
    memset(dw, 0, sizeof(real) * (size_t)channels);
    add_partials(dw, call.partial, channels, tasks);
    fnn_free(call.partial);
    return FNN_OK;
}

/* ---- softmax and log-softmax of the middle axis of (outer, classes, inner) ---- */

#define SOFTMAX_STRIP 256 /* columns of a task */

typedef struct {
    bool log;
    int64_t rows, classes, inner, block, strips;
    const real *x, *dy; /* x: input of the forward pass, output in the backward pass */
    real *y;
} softmax_call;

static void softmax_rows_task(void *context, int64_t index, int thread)
{
    const softmax_call *s = context;
    int64_t r = index * s->block, rows = min_int(s->block, s->rows - r), at = r * s->classes;
    (void)thread;
    if (s->dy)
        (s->log ? K->log_softmax_bwd : K->softmax_bwd)(rows, s->classes, s->dy + at, s->x + at, s->y + at);
    else
        (s->log ? K->log_softmax_fwd : K->softmax_fwd)(rows, s->classes, s->x + at, s->y + at);
}

static void softmax_columns_task(void *context, int64_t index, int thread)
{
    const softmax_call *s = context;
    int64_t j = index % s->strips * SOFTMAX_STRIP, width = min_int(SOFTMAX_STRIP, s->inner - j);
    int64_t at = index / s->strips * s->classes * s->inner + j;
    (void)thread;
    if (s->dy)
        (s->log ? K->log_softmax_columns_bwd : K->softmax_columns_bwd)(s->classes, s->inner, width, s->dy + at,
                                                                       s->x + at, s->y + at);
    else
        (s->log ? K->log_softmax_columns_fwd : K->softmax_columns_fwd)(s->classes, s->inner, width, s->x + at,
                                                                       s->y + at);
}

static int softmax_run(softmax_call *s, int64_t outer)
{
    double work = flat_ns(outer * s->classes * s->inner, s->dy ? 3 : 2, s->dy && !s->log ? 0.5 : 1.5);
    if (s->classes == 0 || s->inner == 0)
        return FNN_OK;
    if (s->inner == 1) {
        s->rows = outer;
        s->block = flat_rows(s->classes, 1);
        int64_t tasks = ceil_div(outer, s->block);
        fnn_parallel(tasks, fnn_parallel_width(tasks, work), softmax_rows_task, s);
    } else {
        s->strips = ceil_div(s->inner, SOFTMAX_STRIP);
        int64_t tasks = outer * s->strips;
        fnn_parallel(tasks, fnn_parallel_width(tasks, work), softmax_columns_task, s);
    }
    return FNN_OK;
}

int DRIVER(softmax_fwd)(bool log, int64_t outer, int64_t classes, int64_t inner, const real *x, real *y)
{
    softmax_call call = {.log = log, .classes = classes, .inner = inner, .x = x, .y = y};
    return softmax_run(&call, outer);
}

int DRIVER(softmax_bwd)(bool log, int64_t outer, int64_t classes, int64_t inner, const real *dy, const real *y,
                        real *dx)
{
    softmax_call call = {.log = log, .classes = classes, .inner = inner, .x = y, .dy = dy, .y = dx};
    return softmax_run(&call, outer);
}
