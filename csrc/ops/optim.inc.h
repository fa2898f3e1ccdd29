/* optim.inc.h - optimiser steps and gradient clipping over a table of spans.
 *
 * The spans of a call form one long sequence, cut into equal blocks whatever the sizes of the parameters: threads get
 * equal work from many small tensors as from a few large ones, and a block's place depends on the sizes alone. */

#define OPTIM_BLOCK 8192 /* elements; a multiple of FNN_SPAN_ALIGN */

typedef void optim_kernel(const fnn_span *span, int64_t first, int64_t n, void *argument);

typedef struct {
    const fnn_span *spans;
    int64_t count;
    optim_kernel *kernel;
    void *argument;
    double *partial; /* one per block, in place of `argument`; NULL if nothing is reduced */
} optim_work;

/* The last span that begins at or before `position`. */
static int64_t optim_span_at(const optim_work *work, int64_t position)
{
    int64_t low = 0, high = work->count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (work->spans[middle].start <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void optim_task(void *context, int64_t index, int thread)
{
    const optim_work *work = context;
    int64_t from = index * OPTIM_BLOCK, to = from + OPTIM_BLOCK;
    void *argument = work->partial ? work->partial + index : work->argument;
    (void)thread;
    for (int64_t i = optim_span_at(work, from); i < work->count && work->spans[i].start < to; i++) {
        const fnn_span *span = work->spans + i;
        int64_t first = max_int(from - span->start, 0), last = min_int(to - span->start, span->n);
        if (first < last)
            work->kernel(span, first, last - first, argument);
    }
}

static int64_t optim_elements(const fnn_span *spans, int64_t count)
{
    return count == 0 ? 0 : spans[count - 1].start + spans[count - 1].n;
}

/* `streams`: how many arrays are read or written, reads and writes counted apart. */
static void optim_run(optim_work *work, int streams)
{
    int64_t elements = optim_elements(work->spans, work->count), blocks = ceil_div(elements, OPTIM_BLOCK);
    double bytes = (double)sizeof(real) * (double)(elements * streams);
    fnn_parallel(blocks, fnn_parallel_width(blocks, bytes * FNN_NS_PER_BYTE), optim_task, work);
}

static void optim_step(fnn_span *spans, int64_t count, optim_kernel *kernel, const void *options, int streams)
{
    optim_work work = {spans, count, kernel, (void *)options, NULL};
    optim_run(&work, streams);
}

int DRIVER(optim_sgd)(fnn_span *spans, int64_t count, const fnn_sgd *options)
{
    /* The buffer of a first step takes the whole gradient. */
    for (int64_t i = 0; i < count; i++)
        if (spans[i].step)
            spans[i].factor[0] = ++*spans[i].step == 1 ? 1 : 1 - options->dampening;
    optim_step(spans, count, K->optim_sgd, options, options->momentum != 0 ? 5 : 3);
    return FNN_OK;
}

int DRIVER(optim_adagrad)(fnn_span *spans, int64_t count, const fnn_adagrad *options)
{
    for (int64_t i = 0; i < count; i++)
        spans[i].factor[0] = options->lr / (1 + (double)(*spans[i].step)++ * options->lr_decay);
    optim_step(spans, count, K->optim_adagrad, options, 5);
    return FNN_OK;
}

int DRIVER(optim_adadelta)(fnn_span *spans, int64_t count, const fnn_adadelta *options)
{
    for (int64_t i = 0; i < count; i++)
        ++*spans[i].step;
    optim_step(spans, count, K->optim_adadelta, options, 7);
    return FNN_OK;
}

int DRIVER(optim_rmsprop)(fnn_span *spans, int64_t count, const fnn_rmsprop *options)
{
    for (int64_t i = 0; i < count; i++)
        ++*spans[i].step;
    optim_step(spans, count, K->optim_rmsprop, options, 5 + 2 * (options->momentum != 0) + 2 * options->centered);
    return FNN_OK;
}

int DRIVER(optim_adam)(fnn_span *spans, int64_t count, const fnn_adam *options)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t t = ++*spans[i].step;
        if (i > 0 && t == *spans[i - 1].step) {
            memcpy(spans[i].factor, spans[i - 1].factor, sizeof spans[i].factor);
            continue;
        }
        spans[i].factor[0] = options->lr / (1 - pow(options->beta1, (double)t));
        spans[i].factor[1] = 1 / sqrt(1 - pow(options->beta2, (double)t));
    }
    optim_step(spans, count, K->optim_adam, options, 7 + 2 * options->amsgrad);
    return FNN_OK;
}

int DRIVER(optim_sum_squares)(const fnn_span *spans, int64_t count, double *sum)
{
    int64_t blocks = ceil_div(optim_elements(spans, count), OPTIM_BLOCK);
    *sum = 0;
    if (blocks == 0)
        return FNN_OK;
    double *partial = fnn_alloc(sizeof(double) * (size_t)blocks);
    if (!partial)
        return FNN_NO_MEMORY;
    memset(partial, 0, sizeof(double) * (size_t)blocks);
    optim_work work = {spans, count, K->optim_sum_squares, NULL, partial};
    optim_run(&work, 1);
    for (int64_t i = 0; i < blocks; i++)
        *sum += partial[i];
    fnn_free(partial);
    return FNN_OK;
}

int DRIVER(optim_scale)(const fnn_span *spans, int64_t count, double factor)
{
    optim_work work = {spans, count, K->optim_scale, &factor, NULL};
    optim_run(&work, 2);
    return FNN_OK;
}

int DRIVER(optim_clamp)(const fnn_span *spans, int64_t count, double limit)
{
    optim_work work = {spans, count, K->optim_clamp, &limit, NULL};
    optim_run(&work, 2);
    return FNN_OK;
}
