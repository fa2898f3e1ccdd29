/* augment_filter.inc.h - filters over images: correlation with a small array of weights for each image.
 *
 * A task is an image. It is first continued beyond its edges in scratch memory, so that the sums know of none. */

typedef struct {
    const fnn_filter_shape *s;
    const uint8_t *x;
    const double *weight;
    uint8_t *y;
    uint8_t *scratch;
    int64_t scratch_bytes;
} filter_plan;

/* A thread's part of the scratch memory. */
typedef struct {
    uint8_t *padded;
    real *weight, *mixed, *sum;
} filter_buffers;

static int64_t filter_weights(const fnn_filter_shape *s)
{
    return s->separable ? s->kernel[0] + s->kernel[1] : s->kernel[0] * s->kernel[1];
}

/* Lays the buffers out from `base`, or only measures them if that is NULL; returns their size. */
static int64_t filter_lay_out(const fnn_filter_shape *s, uint8_t *base, filter_buffers *b)
{
    int64_t row = (s->w + s->kernel[1] - 1) * s->c, at = 0;
#define FILTER_BUFFER(field, type, count)       \
    if (base)                                   \
        b->field = (type *)(void *)(base + at); \
    at += round_up((int64_t)sizeof(type) * (count) + AUGMENT_SLACK, 64);
    FILTER_BUFFER(padded, uint8_t, (s->h + s->kernel[0] - 1) * row)
    FILTER_BUFFER(weight, real, filter_weights(s))
    FILTER_BUFFER(mixed, real, row)
    FILTER_BUFFER(sum, real, s->w * s->c)
#undef FILTER_BUFFER
    return at;
}

static void filter_pad(const fnn_filter_shape *s, const uint8_t *image, uint8_t *padded)
{
    int64_t left = s->kernel[1] / 2, width = s->w + s->kernel[1] - 1;
    for (int64_t i = 0; i < s->h + s->kernel[0] - 1; i++) {
        uint8_t *to = padded + i * width * s->c;
        int64_t row = augment_source(i - s->kernel[0] / 2, s->h, s->padding);
        if (row < 0) {
            memset(to, 0, (size_t)(width * s->c));
            continue;
        }
        const uint8_t *from = image + row * s->w * s->c;
        for (int64_t j = 0; j < width; j++) {
            if (j == left) { /* the image's own columns at once */
                memcpy(to + j * s->c, from, (size_t)(s->w * s->c));
                j += s->w;
            }
            if (j == width)
                break;
            int64_t column = augment_source(j - left, s->w, s->padding);
            for (int64_t ch = 0; ch < s->c; ch++)
                to[j * s->c + ch] = column < 0 ? 0 : from[column * s->c + ch];
        }
    }
}

static void filter_task(void *context, int64_t index, int thread)
{
    const filter_plan *p = context;
    const fnn_filter_shape *s = p->s;
    int64_t count = filter_weights(s), rows = s->kernel[0], columns = s->kernel[1], values = s->w * s->c;
    int64_t step = (s->w + columns - 1) * s->c;
    filter_buffers b = {0};
    filter_lay_out(s, p->scratch + thread * p->scratch_bytes, &b);
    for (int64_t k = 0; k < count; k++)
        b.weight[k] = (real)p->weight[index * count + k];
    filter_pad(s, p->x + index * s->h * values, b.padded);
    for (int64_t i = 0; i < s->h; i++) {
        const uint8_t *from = b.padded + i * step;
        if (s->separable) {
            K->augment_filter_bytes(step, rows, 1, b.weight, from, step, 0, b.mixed);
            K->augment_filter_reals(values, columns, b.weight + rows, b.mixed, s->c, b.sum);
        } else
            K->augment_filter_bytes(values, rows, columns, b.weight, from, step, s->c, b.sum);
        K->augment_round(values, b.sum, p->y + (index * s->h + i) * values);
    }
}

int DRIVER(augment_filter)(const fnn_filter_shape *s, const uint8_t *x, const double *weight, uint8_t *y)
{
    filter_buffers none = {0};
    filter_plan p = {.s = s, .x = x, .weight = weight, .y = y, .scratch_bytes = filter_lay_out(s, NULL, &none)};
    double ns = (double)s->n * (double)(s->h * s->w * s->c) * (1 + 0.1 * (double)filter_weights(s));
    int width = fnn_parallel_width(s->n, ns);
    p.scratch = fnn_alloc((size_t)(p.scratch_bytes * width));
    if (!p.scratch)
        return FNN_NO_MEMORY;
    fnn_parallel(s->n, width, filter_task, &p);
    fnn_free(p.scratch);
    return FNN_OK;
}
