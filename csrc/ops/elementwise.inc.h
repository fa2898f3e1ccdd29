/* elementwise.inc.h - arithmetic on arrays of one shape, an array and a number, rows and one value a channel. */

typedef struct {
    void (*arrays)(int64_t n, const real *a, const real *b, real *y);
    void (*number)(int64_t n, const real *a, double b, int number_first, real *y);
    void (*columns)(int64_t rows, int64_t channels, const real *a, const real *b, real *y);
    int64_t n, channels, block;
    const real *a, *b;
    double alpha, beta;
    bool number_first;
    real *y;
} binary_call;

static void binary_choose(binary_call *call, int code)
{
    switch (code) {
#define FNN_BINARY(name)                   \
    case FNN_BINARY_##name:                \
        call->arrays = K->name##_arrays;   \
        call->number = K->name##_number;   \
        call->columns = K->name##_columns; \
        break;
#include "../binaries.def"
#undef FNN_BINARY
    default:
        assert(!"no such operator");
    }
}

static void binary_arrays_task(void *context, int64_t index, int thread)
{
    const binary_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    s->arrays(min_int(FLAT_BLOCK, s->n - i), s->a + i, s->b + i, s->y + i);
}

static void binary_number_task(void *context, int64_t index, int thread)
{
    const binary_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    s->number(min_int(FLAT_BLOCK, s->n - i), s->a + i, s->beta, s->number_first, s->y + i);
}

static void axpby_task(void *context, int64_t index, int thread)
{
    const binary_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    K->axpby(min_int(FLAT_BLOCK, s->n - i), s->alpha, s->a + i, s->beta, s->b + i, s->y + i);
}

static void binary_columns_task(void *context, int64_t index, int thread)
{
    const binary_call *s = context;
    int64_t rows = s->n / s->channels, r = index * s->block, here = min_int(s->block, rows - r);
    (void)thread;
    s->columns(here, s->channels, s->a + r * s->channels, s->b, s->y + r * s->channels);
}

int DRIVER(binary_arrays)(int code, int64_t n, const real *a, const real *b, real *y)
{
    binary_call call = {.n = n, .a = a, .b = b, .y = y};
    binary_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 3, 0)), binary_arrays_task, &call);
    return FNN_OK;
}

int DRIVER(binary_number)(int code, int64_t n, const real *a, double b, bool number_first, real *y)
{
    binary_call call = {.n = n, .a = a, .beta = b, .number_first = number_first, .y = y};
    binary_choose(&call, code);
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 2, 0)), binary_number_task, &call);
    return FNN_OK;
}

int DRIVER(axpby)(int64_t n, double alpha, const real *a, double beta, const real *b, real *y)
{
    binary_call call = {.n = n, .alpha = alpha, .a = a, .beta = beta, .b = b, .y = y};
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 3, 0)), axpby_task, &call);
    return FNN_OK;
}

#define WIDE_ROW 64 /* few channels: so many values are treated as one row, b repeated, to fill the vectors */

int DRIVER(binary_columns)(int code, int64_t rows, int64_t channels, const real *a, const real *b, real *y)
{
    real repeated[2 * WIDE_ROW];
    int64_t n = rows * channels;
    if (n == 0)
        return FNN_OK;
    binary_call call = {.n = n, .channels = channels, .a = a, .b = b, .y = y};
    binary_choose(&call, code);
    if (channels < WIDE_ROW && rows > 1) {
        int64_t copies = min_int(ceil_div(WIDE_ROW, channels), rows);
        for (int64_t i = 0; i < copies * channels; i++)
            repeated[i] = b[i % channels];
        call.channels = copies * channels;
        call.b = repeated;
    }
    int64_t wide_rows = n / call.channels, done = wide_rows * call.channels;
    call.block = flat_rows(call.channels, 1);
    int64_t tasks = ceil_div(wide_rows, call.block);
    fnn_parallel(tasks, fnn_parallel_width(tasks, flat_ns(n, 2, 0)), binary_columns_task, &call);
    if (done < n)
        call.columns(1, n - done, a + done, call.b, y + done);
    return FNN_OK;
}
