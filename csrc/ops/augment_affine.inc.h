/* augment_affine.inc.h - affine maps of images. A task is an image. */

#define FNN_NS_PER_TAP 1.0 /* one pixel of a bilinear map, a quarter */

typedef struct {
    const fnn_affine_shape *s;
    const uint8_t *x, *fill;
    const double *matrix;
    uint8_t *y;
} affine_plan;

/* A coordinate as a fixed-point number; what is too large for one, or no number, becomes a point outside any image. */
static int64_t affine_fixed(double a)
{
    const double limit = 0x1p29;
    return a > -limit && a < limit ? (int64_t)floor(a * (double)((int64_t)1 << FNN_AFFINE_BITS)) : INT64_MIN / 2;
}

static void affine_task(void *context, int64_t index, int thread)
{
    const affine_plan *p = context;
    const fnn_affine_shape *s = p->s;
    const double *m = p->matrix + 6 * index;
    const uint8_t *image = p->x + index * s->h * s->w * s->pixel;
    uint8_t *to = p->y + index * s->out_h * s->out_w * s->pixel;
    bool still = m[0] == 1 && m[1] == 0 && m[2] == 0 && m[3] == 0 && m[4] == 1 && m[5] == 0;
    (void)thread;
    if (still && s->h == s->out_h && s->w == s->out_w) {
        memcpy(to, image, (size_t)(s->h * s->w * s->pixel));
        return;
    }
    fnn_affine_row row = {.h = s->h, .w = s->w, .pixel = s->pixel, .out_w = s->out_w, .bilinear = s->bilinear};
    row.dx = affine_fixed(m[0]);
    row.dy = affine_fixed(m[3]);
    for (int64_t i = 0; i < s->out_h; i++) {
        double v = (double)i + 0.5;
        row.x = affine_fixed(m[0] * 0.5 + m[1] * v + m[2]);
        row.y = affine_fixed(m[3] * 0.5 + m[4] * v + m[5]);
        K->augment_affine_row(&row, image, p->fill, to + i * s->out_w * s->pixel);
    }
}

int DRIVER(augment_affine)(const fnn_affine_shape *s, const uint8_t *x, const double *matrix, const uint8_t *fill,
                           uint8_t *y)
{
    affine_plan p = {s, x, fill, matrix, y};
    double ns = (double)s->n * (double)(s->out_h * s->out_w) * FNN_NS_PER_TAP * (s->bilinear ? 4 : 1);
    fnn_parallel(s->n, fnn_parallel_width(s->n, ns), affine_task, &p);
    return FNN_OK;
}
