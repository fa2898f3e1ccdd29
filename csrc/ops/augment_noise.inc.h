/* augment_noise.inc.h - noise in boxes of images, and mixtures of images. A task is an image; what is drawn depends on
 * the image's seed and the position in it alone. */

#define NOISE_ROOM 64 /* numbers behind a row: they are drawn by blocks */

typedef struct {
    const fnn_noise_shape *s;
    const uint8_t *byte_x;
    const real *real_x;
    const uint64_t *seed;
    const double *mean, *sigma;
    const int32_t *box;
    uint8_t *byte_y;
    real *real_y, *scratch;
    int64_t scratch_reals;
} noise_plan;

/* The part of a box that lies in an image: rows box[0] .. box[1], columns box[2] .. box[3], the last ones excluded. */
static void box_inside(const int32_t *box, int64_t h, int64_t w, int64_t inside[4])
{
    inside[0] = min_int(max_int(box[0], 0), h);
    inside[1] = max_int(min_int((int64_t)box[0] + box[2], h), inside[0]);
    inside[2] = min_int(max_int(box[1], 0), w);
    inside[3] = max_int(min_int((int64_t)box[1] + box[3], w), inside[2]);
}

static void noise_task(void *context, int64_t index, int thread)
{
    const noise_plan *p = context;
    const fnn_noise_shape *s = p->s;
    int64_t row = s->w * s->c, at = index * s->h * row, box[4];
    real *noise = p->scratch + thread * p->scratch_reals, *work = noise + row + NOISE_ROOM;
    if (p->real_y)
        memcpy(p->real_y + at, p->real_x + at, (size_t)(s->h * row) * sizeof(real));
    else
        memcpy(p->byte_y + at, p->byte_x + at, (size_t)(s->h * row));
    box_inside(p->box + 4 * index, s->h, s->w, box);
    int64_t left = box[2] * s->c, n = (box[3] - box[2]) * s->c;
    for (int64_t i = box[0]; i < box[1] && n > 0; i++) {
        int64_t first = i * row + left, aligned = first / 4 * 4;
        K->augment_normal(first - aligned + n, aligned, p->seed[index], noise);
        const real *own = noise + (first - aligned);
        double keep = s->replace ? 0 : 1, mean = p->mean[index], sigma = p->sigma[index];
        if (p->real_y) {
            real *to = p->real_y + at + first;
            K->augment_add_noise(n, p->real_x + at + first, own, keep, mean, sigma, s->low, s->high, to);
        } else {
            K->augment_to_real(n, p->byte_x + at + first, work);
            K->augment_add_noise(n, work, own, keep, mean, sigma, s->low, s->high, work + n);
            K->augment_round(n, work + n, p->byte_y + at + first);
        }
    }
}

static int noise_run(noise_plan *p)
{
    const fnn_noise_shape *s = p->s;
    double ns = (double)s->n * (double)(s->h * s->w * s->c) * 2.0;
    int width = fnn_parallel_width(s->n, ns);
    p->scratch_reals = round_up(3 * s->w * s->c + 2 * NOISE_ROOM, 16);
    p->scratch = fnn_alloc((size_t)(p->scratch_reals * width) * sizeof(real));
    if (!p->scratch)
        return FNN_NO_MEMORY;
    fnn_parallel(s->n, width, noise_task, p);
    fnn_free(p->scratch);
    return FNN_OK;
}

int DRIVER(augment_noise_bytes)(const fnn_noise_shape *s, const uint8_t *x, const uint64_t *seed, const double *mean,
                                const double *sigma, const int32_t *box, uint8_t *y)
{
    noise_plan p = {.s = s, .byte_x = x, .seed = seed, .mean = mean, .sigma = sigma, .box = box, .byte_y = y};
    return noise_run(&p);
}

int DRIVER(augment_noise_reals)(const fnn_noise_shape *s, const real *x, const uint64_t *seed, const double *mean,
                                const double *sigma, const int32_t *box, real *y)
{
    noise_plan p = {.s = s, .real_x = x, .seed = seed, .mean = mean, .sigma = sigma, .box = box, .real_y = y};
    return noise_run(&p);
}

/* ---- mixtures ---- */

typedef struct {
    int64_t h, w, c;
    const real *x;
    const int64_t *partner;
    const double *weight;
    const int32_t *box;
    real *y;
} mix_plan;

static void mix_task(void *context, int64_t index, int thread)
{
    const mix_plan *p = context;
    int64_t row = p->w * p->c, size = p->h * row, box[4];
    const real *a = p->x + index * size, *b = p->x + p->partner[index] * size;
    real *y = p->y + index * size;
    double weight = p->weight[index];
    (void)thread;
    box_inside(p->box + 4 * index, p->h, p->w, box);
    int64_t left = box[2] * p->c, n = (box[3] - box[2]) * p->c;
    if (n < row || box[1] - box[0] < p->h || weight == 1)
        memcpy(y, a, (size_t)size * sizeof(real));
    for (int64_t i = box[0]; i < box[1] && weight != 1; i++) {
        int64_t at = i * row + left;
        if (weight == 0)
            memcpy(y + at, b + at, (size_t)n * sizeof(real));
        else
            K->augment_mix(n, weight, a + at, b + at, y + at);
    }
}

int DRIVER(augment_mix)(int64_t n, int64_t h, int64_t w, int64_t c, const real *x, const int64_t *partner,
                        const double *weight, const int32_t *box, real *y)
{
    mix_plan p = {h, w, c, x, partner, weight, box, y};
    double ns = (double)n * (double)(h * w * c) * 3 * sizeof(real) * FNN_NS_PER_BYTE;
    fnn_parallel(n, fnn_parallel_width(n, ns), mix_task, &p);
    return FNN_OK;
}
