/* dropout.inc.h - dropout and uniform numbers from the counter-based generator: element i depends on i alone. */

typedef struct {
    int64_t n, channels, spatial, block;
    const real *x, *factor;
    uint64_t seed, stream;
    uint32_t threshold;
    double scale, low, high;
    real *y;
} dropout_call;

#define FNN_NS_PER_WORD 0.8 /* one random word */

static void dropout_task(void *context, int64_t index, int thread)
{
    const dropout_call *s = context;
    int64_t i = index * FLAT_BLOCK, n = min_int(FLAT_BLOCK, s->n - i);
    (void)thread;
    K->dropout(n, i, s->x + i, s->seed, s->stream, s->threshold, s->scale, s->y + i);
}

int DRIVER(dropout)(int64_t n, const real *x, uint64_t seed, uint64_t stream, uint32_t threshold, double scale, real *y)
{
    dropout_call call = {
        .n = n, .x = x, .seed = seed, .stream = stream, .threshold = threshold, .scale = scale, .y = y};
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    double work = flat_ns(n, 2, 0) + (double)n * FNN_NS_PER_WORD;
    fnn_parallel(tasks, fnn_parallel_width(tasks, work), dropout_task, &call);
    return FNN_OK;
}

static void feature_dropout_task(void *context, int64_t image, int thread)
{
    const dropout_call *s = context;
    int64_t at = image * s->spatial * s->channels;
    (void)thread;
    K->feature_dropout(s->spatial, s->channels, s->x + at, s->factor + image * s->channels, s->y + at);
}

/* x, y (images, spatial, channels), factor (images, channels) */
int DRIVER(feature_dropout)(int64_t images, int64_t spatial, int64_t channels, const real *x, const real *factor,
                            real *y)
{
    dropout_call call = {.channels = channels, .spatial = spatial, .x = x, .factor = factor, .y = y};
    double work = flat_ns(images * spatial * channels, 2, 0);
    fnn_parallel(images, fnn_parallel_width(images, work), feature_dropout_task, &call);
    return FNN_OK;
}

static void random_uniform_task(void *context, int64_t index, int thread)
{
    const dropout_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    K->random_uniform(min_int(FLAT_BLOCK, s->n - i), i, s->seed, s->stream, s->low, s->high, s->y + i);
}

int DRIVER(random_uniform)(int64_t n, uint64_t seed, uint64_t stream, double low, double high, real *y)
{
    dropout_call call = {.n = n, .seed = seed, .stream = stream, .low = low, .high = high, .y = y};
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    double work = (double)n * FNN_NS_PER_WORD * (double)sizeof(real) / 4;
    fnn_parallel(tasks, fnn_parallel_width(tasks, work), random_uniform_task, &call);
    return FNN_OK;
}

static void random_normal_task(void *context, int64_t index, int thread)
{
    const dropout_call *s = context;
    int64_t i = index * FLAT_BLOCK;
    (void)thread;
    K->random_normal(min_int(FLAT_BLOCK, s->n - i), i, s->seed, s->stream, s->low, s->high, s->y + i);
}

int DRIVER(random_normal)(int64_t n, uint64_t seed, uint64_t stream, double mean, double deviation, real *y)
{
    dropout_call call = {.n = n, .seed = seed, .stream = stream, .low = mean, .high = deviation, .y = y};
    int64_t tasks = ceil_div(n, FLAT_BLOCK);
    double work = (double)n * (FNN_NS_PER_WORD * (double)sizeof(real) / 4 + 2 * FNN_NS_PER_EXP);
    fnn_parallel(tasks, fnn_parallel_width(tasks, work), random_normal_task, &call);
    return FNN_OK;
}

/* ---- numbers of samples ---- */

#define SAMPLES_OF_TASK 512

typedef struct {
    int64_t n, count;
    uint64_t seed, epoch, call;
    const uint64_t *sample;
    double *y;
} samples_call;

static void random_samples_task(void *context, int64_t index, int thread)
{
    const samples_call *s = context;
    int64_t i = index * SAMPLES_OF_TASK, n = min_int(SAMPLES_OF_TASK, s->n - i);
    (void)thread;
    K->random_samples(n, s->count, s->seed, s->epoch, s->call, s->sample + i, s->y + i * s->count);
}

int DRIVER(random_samples)(int64_t n, int64_t count, uint64_t seed, uint64_t epoch, uint64_t call,
                           const uint64_t *sample, double *y)
{
    samples_call s = {n, count, seed, epoch, call, sample, y};
    int64_t tasks = ceil_div(n, SAMPLES_OF_TASK);
    double work = (double)n * (double)(count + 1) * 2 * FNN_NS_PER_WORD;
    fnn_parallel(tasks, fnn_parallel_width(tasks, work), random_samples_task, &s);
    return FNN_OK;
}
