/* moments.inc.h - means and variances of numbers that were summed up part by part.
 *
 * A part's moments are a pivot, a number near its mean, the sum of what its numbers differ from the pivot, and the sum
 * of the squares of that. Parts are brought together in float64, in order. */

/* Adds to a sum and a sum of squares those of n other numbers, whose pivot lies d above. */
static inline void moments_add(double *sum, double *square, double other_sum, double other_square, double n, double d)
{
    *square += other_square + d * (2 * other_sum + n * d);
    *sum += other_sum + n * d;
}

/* Variance from the sum of squares of n deviations from a pivot near the mean; NaN stays. */
static inline double moments_variance(double square, double sum, double n)
{
    double variance = (square - sum * (sum / n)) / n;
    return variance < 0 ? 0 : variance;
}

/* Moments that tasks find in passing, each those of its own part: as reals, [part][pivot, sum, square][channel]. */
typedef struct {
    double *to;     /* mean and variance of each channel; NULL if nobody wants them */
    bool *measured; /* whether they are there */
    int64_t parts, channels;
    double *counts; /* numbers of each channel in every part; NULL: nothing is measured */
    real *part;
} moments_plan;

/* Room for so many parts, if moments are wanted. */
static int moments_begin(moments_plan *m, int64_t parts, int64_t channels)
{
    if (!m->to)
        return FNN_OK;
    m->parts = parts;
    m->channels = channels;
    int64_t counts = round_up(parts, 8);
    m->counts = fnn_alloc(sizeof(double) * (size_t)counts + sizeof(real) * 3 * (size_t)parts * (size_t)channels);
    if (!m->counts)
        return FNN_NO_MEMORY;
    m->part = (real *)(m->counts + counts);
    return FNN_OK;
}

static real *moments_part(const moments_plan *m, int64_t part, int64_t channel)
{
    return m->counts ? m->part + 3 * part * m->channels + channel : NULL;
}

/* Adds `rows` rows of `cols` channels that lie `step` apart to a part, of which `begin` says they are the first. */
static void moments_of_rows(const moments_plan *m, int64_t part, int64_t channel, int64_t rows, int64_t cols,
                            int64_t step, const real *y, bool begin)
{
    if (!m->counts)
        return;
    if (channel == 0)
        m->counts[part] = (begin ? 0 : m->counts[part]) + (double)rows;
    K->moments_rows(rows, cols, step, y, begin, m->channels, moments_part(m, part, channel));
}

#define MOMENTS_CHANNELS 32 /* of a task */

static void moments_merge_task(void *context, int64_t task, int thread)
{
    const moments_plan *m = context;
    int64_t first = task * MOMENTS_CHANNELS, n = min_int(MOMENTS_CHANNELS, m->channels - first), step = m->channels;
    double sum[MOMENTS_CHANNELS] = {0}, square[MOMENTS_CHANNELS] = {0}, total = 0;
    const real *pivot = m->part + first;
    (void)thread;
    for (int64_t i = 0; i < m->parts; i++) {
        const real *part = pivot + 3 * i * step;
        for (int64_t j = 0; j < n; j++)
            moments_add(&sum[j], &square[j], (double)part[step + j], (double)part[2 * step + j], m->counts[i],
                        (double)part[j] - (double)pivot[j]);
        total += m->counts[i];
    }
    for (int64_t j = 0; j < n; j++) {
        m->to[first + j] = (double)pivot[j] + sum[j] / total;
        m->to[step + first + j] = moments_variance(square[j], sum[j], total);
    }
}

/* Mean and variance of every channel from all parts. */
static void moments_end(moments_plan *m)
{
    if (!m->counts)
        return;
    int64_t tasks = ceil_div(m->channels, MOMENTS_CHANNELS);
    double bytes = (double)sizeof(real) * 3 * (double)(m->parts * m->channels);
    fnn_parallel(tasks, fnn_parallel_width(tasks, 4 * bytes * FNN_NS_PER_BYTE), moments_merge_task, m);
    *m->measured = true;
    fnn_free(m->counts);
}
