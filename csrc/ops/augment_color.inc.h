/* augment_color.inc.h - changes of the colours of images, tables of values, histograms. A task is an image. */

typedef struct {
    int64_t pixels, c, steps;
    const uint8_t *x;
    const double *step;
    uint8_t *y;
    const uint8_t *table;
    int64_t *count;
} color_plan;

#define FNN_NS_PER_COLOR 2.0 /* one pixel of one step */

/* The first `steps` steps on a run of pixels in `plane`; levels[k] is what the contrast of step k is measured from. */
static void color_steps(const double *step, int64_t steps, const double *levels, int64_t n, real *plane)
{
    for (int64_t k = 0; k < steps; k++, step += FNN_COLOR_COLUMNS) {
        int kind = (int)step[0];
        if (kind == FNN_COLOR_MATRIX)
            K->augment_color_matrix(n, step + 1, plane);
        else if (kind == FNN_COLOR_HUE)
            K->augment_color_hue(n, step[1], plane);
        else if (kind == FNN_COLOR_CONTRAST) {
            double f = step[1], rest = (1 - f) * levels[k];
            const double m[12] = {f, 0, 0, rest, 0, f, 0, rest, 0, 0, f, rest};
            K->augment_color_matrix(n, m, plane);
        }
    }
}

#define COLOR_STEPS 16 /* of an image, at most */

static void color_task(void *context, int64_t index, int thread)
{
    const color_plan *p = context;
    const double *step = p->step + index * p->steps * FNN_COLOR_COLUMNS;
    const uint8_t *image = p->x + index * p->pixels * p->c;
    uint8_t *to = p->y + index * p->pixels * p->c;
    double levels[COLOR_STEPS] = {0};
    _Alignas(64) real plane[3 * FNN_COLOR_RUN];
    (void)thread;
    for (int64_t k = 0; k < p->steps; k++) {
        if ((int)step[k * FNN_COLOR_COLUMNS] != FNN_COLOR_CONTRAST)
            continue;
        double total = 0;
        for (int64_t i = 0; i < p->pixels; i += FNN_COLOR_RUN) {
            int64_t n = min_int(FNN_COLOR_RUN, p->pixels - i);
            double sum;
            K->augment_split(n, p->c, image + i * p->c, plane);
            color_steps(step, k, levels, n, plane);
            K->augment_luma_sum(n, plane, &sum);
            total += sum;
        }
        levels[k] = total / (double)p->pixels;
    }
    for (int64_t i = 0; i < p->pixels; i += FNN_COLOR_RUN) {
        int64_t n = min_int(FNN_COLOR_RUN, p->pixels - i);
        K->augment_split(n, p->c, image + i * p->c, plane);
        color_steps(step, p->steps, levels, n, plane);
        K->augment_join(n, p->c, plane, to + i * p->c);
    }
}

int DRIVER(augment_color)(int64_t n, int64_t pixels, int64_t c, int64_t steps, const uint8_t *x, const double *step,
                          uint8_t *y)
{
    assert(steps <= COLOR_STEPS);
    color_plan p = {.pixels = pixels, .c = c, .steps = steps, .x = x, .step = step, .y = y};
    double ns = (double)n * (double)pixels * (double)(steps + 1) * FNN_NS_PER_COLOR;
    fnn_parallel(n, fnn_parallel_width(n, ns), color_task, &p);
    return FNN_OK;
}

static void histogram_task(void *context, int64_t index, int thread)
{
    const color_plan *p = context;
    (void)thread;
    K->augment_histogram(p->pixels, p->c, p->x + index * p->pixels * p->c, p->count + index * p->c * 256);
}

int DRIVER(augment_histogram)(int64_t n, int64_t pixels, int64_t c, const uint8_t *x, int64_t *count)
{
    color_plan p = {.pixels = pixels, .c = c, .x = x, .count = count};
    fnn_parallel(n, fnn_parallel_width(n, (double)n * (double)(pixels * c)), histogram_task, &p);
    return FNN_OK;
}

static void lookup_task(void *context, int64_t index, int thread)
{
    const color_plan *p = context;
    int64_t at = index * p->pixels * p->c;
    (void)thread;
    K->augment_lookup(p->pixels, p->c, p->x + at, p->table + index * p->c * 256, p->y + at);
}

int DRIVER(augment_lookup)(int64_t n, int64_t pixels, int64_t c, const uint8_t *x, const uint8_t *table, uint8_t *y)
{
    color_plan p = {.pixels = pixels, .c = c, .x = x, .table = table, .y = y};
    fnn_parallel(n, fnn_parallel_width(n, (double)n * (double)(pixels * c)), lookup_task, &p);
    return FNN_OK;
}
