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
    fnn_span_piece *pieces; /* in place of `argument`, where something is added up; else NULL */
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
    (void)thread;
    for (int64_t i = optim_span_at(work, from); i < work->count && work->spans[i].start < to; i++) {
        const fnn_span *span = work->spans + i;
        int64_t first = max_int(from - span->start, 0), last = min_int(to - span->start, span->n);
        if (first < last)
            /* Along the sequence the block, the span or both go up by one from piece to piece: every sum is another. */
            work->kernel(span, first, last - first, work->pieces ? (void *)(work->pieces + index + i) : work->argument);
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

/* Run a kernel that adds up; the caller frees the pieces. */
static fnn_span_piece *optim_reduce(const fnn_span *spans, int64_t count, optim_kernel *kernel, const void *options,
                                    int streams)
{
    int64_t most = ceil_div(optim_elements(spans, count), OPTIM_BLOCK) + count;
    fnn_span_piece *pieces = fnn_alloc(sizeof *pieces * (size_t)max_int(most, 1));
    if (!pieces)
        return NULL;
    for (int64_t i = 0; i < most; i++)
        pieces[i] = (fnn_span_piece){options, {0, 0}};
    optim_work work = {spans, count, kernel, NULL, pieces};
    optim_run(&work, streams);
    return pieces;
}

/* The two norms of span i: roots of the sums over its pieces, in order. */
static void optim_norms(const fnn_span *spans, int64_t i, const fnn_span_piece *pieces, double norms[2])
{
    int64_t first = spans[i].start / OPTIM_BLOCK, end = ceil_div(spans[i].start + spans[i].n, OPTIM_BLOCK);
    norms[0] = norms[1] = 0;
    for (int64_t block = first; block < end; block++)
        for (int k = 0; k < 2; k++)
            norms[k] += pieces[block + i].sums[k];
    norms[0] = sqrt(norms[0]);
    norms[1] = sqrt(norms[1]);
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

int DRIVER(optim_nesterov)(fnn_span *spans, int64_t count, const fnn_nesterov *options)
{
    for (int64_t i = 0; i < count; i++)
        ++*spans[i].step;
    optim_step(spans, count, K->optim_nesterov, options, 5);
    return FNN_OK;
}

int DRIVER(optim_lars)(fnn_span *spans, int64_t count, const fnn_lars *options)
{
    fnn_span_piece *pieces = NULL;
    if (options->adapt && !(pieces = optim_reduce(spans, count, K->optim_lars_norms, NULL, 2)))
        return FNN_NO_MEMORY;
    const double decay = options->penalty.decoupled ? 0 : options->penalty.weight_decay;
    for (int64_t i = 0; i < count; i++) {
        double norms[2] = {0, 0};
        if (pieces)
            optim_norms(spans, i, pieces, norms);
        ++*spans[i].step;
        spans[i].factor[0] =
            norms[0] > 0 && norms[1] > 0 ? options->trust * norms[0] / (norms[1] + decay * norms[0]) : 1;
    }
    fnn_free(pieces);
    optim_step(spans, count, K->optim_lars, options, 5);
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

int DRIVER(optim_sum_squares)(const fnn_span *spans, int64_t count, double *sum)
{
    fnn_span_piece *pieces = optim_reduce(spans, count, K->optim_sum_squares, NULL, 1);
    if (!pieces)
        return FNN_NO_MEMORY;
    int64_t most = ceil_div(optim_elements(spans, count), OPTIM_BLOCK) + count;
    *sum = 0;
    for (int64_t i = 0; i < most; i++)
        *sum += pieces[i].sums[0];
    fnn_free(pieces);
    return FNN_OK;
}

int DRIVER(optim_nonfinite)(const fnn_span *spans, int64_t count, bool *found)
{
    fnn_span_piece *pieces = optim_reduce(spans, count, K->optim_nonfinite, NULL, 1);
    if (!pieces)
        return FNN_NO_MEMORY;
    int64_t most = ceil_div(optim_elements(spans, count), OPTIM_BLOCK) + count;
    *found = false;
    for (int64_t i = 0; i < most; i++)
        *found |= isnan(pieces[i].sums[0]);
    fnn_free(pieces);
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

int DRIVER(optim_mix)(const fnn_span *spans, int64_t count, double keep, double add)
{
    double factors[2] = {keep, add};
    optim_work work = {spans, count, K->optim_mix, factors, NULL};
    optim_run(&work, 3);
    return FNN_OK;
}
