/* augment.inc.h - augmentation of image batches in one pass, and the gathering of batches.
 *
 * A task is an image. Each of its output rows is put together as bytes (window, padding, flip, boxes) in the result
 * or, if that is real, in a row buffer that stays in the first-level cache, from where it is scaled. Indices into x are
 * clamped or folded into the image, boxes are cut off at its edges: no parameter can lead outside. */

#define AUGMENT_SLACK 64 /* bytes behind every buffer: kernels read and write whole vectors */

typedef struct {
    const fnn_augment_shape *s;
    const uint8_t *x;
    const int32_t *table;
    int64_t columns;           /* of table */
    uint8_t *bytes;            /* the result: bytes, or */
    real *reals;               /* reals, made with */
    const real *scale, *shift; /* (out_w, pixel): per channel, repeated along the row */
    const uint8_t *fill;       /* (1 + byte_boxes, out_w, pixel): whole rows of each fill */
    const real *real_fill;     /* (real_boxes, out_w, pixel) */
    uint8_t *scratch;          /* per thread */
    int64_t scratch_bytes, taps_x, taps_y;
    bool resampled; /* some window has another size than the result */
} augment_plan;

/* A thread's part of the scratch memory. */
typedef struct {
    uint8_t *row, *unflipped;
    real *mixed;      /* a row of the window, blended vertically */
    real *sum;        /* a row of the result before it is rounded */
    real *weight_x;   /* (out_w, taps_x) */
    real *weight_y;   /* (taps_y) */
    int64_t *first_x; /* (out_w) */
} augment_buffers;

static int64_t augment_row_bytes(const fnn_augment_shape *s) { return s->out_w * s->pixel; }

/* Lays the buffers out from `base`, or only measures them if that is NULL; returns their size. */
static int64_t augment_lay_out(const augment_plan *p, uint8_t *base, augment_buffers *b)
{
    const fnn_augment_shape *s = p->s;
    int64_t row = round_up(augment_row_bytes(s) + AUGMENT_SLACK, 64), at = 2 * row;
    if (base) {
        b->row = base;
        b->unflipped = base + row;
    }
    if (!p->resampled)
        return at;
#define AUGMENT_BUFFER(field, type, count)      \
    if (base)                                   \
        b->field = (type *)(void *)(base + at); \
    at += round_up((int64_t)sizeof(type) * (count) + AUGMENT_SLACK, 64);
    AUGMENT_BUFFER(mixed, real, s->w * s->pixel)
    AUGMENT_BUFFER(sum, real, augment_row_bytes(s))
    AUGMENT_BUFFER(weight_x, real, s->out_w * p->taps_x)
    AUGMENT_BUFFER(weight_y, real, p->taps_y)
    AUGMENT_BUFFER(first_x, int64_t, s->out_w)
#undef AUGMENT_BUFFER
    return at;
}

/* ---- windows that are copied ---- */

/* Where position i of an axis lies in an image of `size`, or -1 for constant padding. */
static int64_t augment_source(int64_t i, int64_t size, int padding)
{
    if (i >= 0 && i < size)
        return i;
    switch (padding) {
    case FNN_PAD_EDGE:
        return i < 0 ? 0 : size - 1;
    case FNN_PAD_REFLECT: /* 2 1 | 0 1 2 | 1 0 */
        if (size == 1)
            return 0;
        i = (i < 0 ? -i : i) % (2 * (size - 1));
        return i < size ? i : 2 * (size - 1) - i;
    case FNN_PAD_SYMMETRIC: /* 1 0 | 0 1 2 | 2 1 */
        i = (i < 0 ? -i - 1 : i) % (2 * size);
        return i < size ? i : 2 * size - 1 - i;
    default:
        return -1;
    }
}

static void augment_pad_columns(const augment_plan *p, const uint8_t *from, int64_t left, int64_t begin, int64_t end,
                                uint8_t *to)
{
    int64_t pixel = p->s->pixel;
    for (int64_t j = begin; j < end; j++) {
        int64_t source = augment_source(left + j, p->s->w, p->s->padding);
        const uint8_t *one = source < 0 ? p->fill : from + source * pixel;
        for (int64_t b = 0; b < pixel; b++)
            to[j * pixel + b] = one[b];
    }
}

/* Row i of the window whose corner `image` and `row` give, in `to`. */
static void augment_copy_row(const augment_plan *p, const uint8_t *image, const int32_t *row, int64_t i,
                             uint8_t *unflipped, uint8_t *to)
{
    const fnn_augment_shape *s = p->s;
    int64_t left = row[FNN_AUGMENT_LEFT];
    int64_t source = augment_source(row[FNN_AUGMENT_TOP] + i, s->h, s->padding);
    if (source < 0) {
        memcpy(to, p->fill, (size_t)augment_row_bytes(s));
        return;
    }
    const uint8_t *from = image + source * s->w * s->pixel;
    int64_t begin = min_int(max_int(-left, 0), s->out_w), end = max_int(min_int(s->w - left, s->out_w), begin);
    bool flip = row[FNN_AUGMENT_FLIP_X] != 0, inside = begin == 0 && end == s->out_w;
    uint8_t *plain = flip ? unflipped : to;
    if (!(flip && inside)) {
        augment_pad_columns(p, from, left, 0, begin, plain);
        if (end > begin)
            memcpy(plain + begin * s->pixel, from + (left + begin) * s->pixel, (size_t)((end - begin) * s->pixel));
        augment_pad_columns(p, from, left, end, s->out_w, plain);
    }
    if (flip)
        K->augment_reverse(s->out_w, s->pixel, inside ? from + left * s->pixel : plain, to);
}

/* ---- windows that are resampled ---- */

/* The filter is a triangle around the output pixel's centre, one input pixel wide on each side or, where the window
 * shrinks and `antialias` asks for it, one output pixel (as Pillow has it). */
static double augment_filter_width(int64_t length, int64_t out, bool antialias)
{
    return antialias && length > out ? (double)length / (double)out : 1.0;
}

/* How many input pixels such a filter touches, at most. */
static int64_t augment_tap_count(int64_t length, int64_t out, bool antialias)
{
    return min_int((int64_t)ceil(2 * augment_filter_width(length, out, antialias)), length);
}

/* The weights of output position i: of input positions first .. first + taps - 1; returns first. */
static int64_t augment_taps(int64_t i, int64_t length, int64_t out, bool antialias, int64_t taps, real *weight)
{
    double width = augment_filter_width(length, out, antialias);
    double centre = ((double)i + 0.5) * (double)length / (double)out;
    int64_t begin = (int64_t)max_int((int64_t)floor(centre - width + 0.5), 0);
    int64_t first = min_int(begin, length - taps);
    int64_t end = min_int((int64_t)(centre + width + 0.5), first + taps);
    double sum = 0;
    for (int64_t t = begin; t < end; t++)
        sum += fmax(0.0, 1.0 - fabs((double)t + 0.5 - centre) / width);
    for (int64_t t = first; t < first + taps; t++) {
        double w = fmax(0.0, 1.0 - fabs((double)t + 0.5 - centre) / width);
        weight[t - first] = t >= begin && t < end ? (real)(w / sum) : 0;
    }
    return first;
}

static void augment_resample_row(const augment_plan *p, const uint8_t *image, const int32_t *row, int64_t i,
                                 const augment_buffers *b, uint8_t *to)
{
    const fnn_augment_shape *s = p->s;
    int64_t height = row[FNN_AUGMENT_HEIGHT], width = row[FNN_AUGMENT_WIDTH], step = s->w * s->pixel;
    int64_t taps_y = augment_tap_count(height, s->out_h, s->antialias);
    int64_t first = augment_taps(i, height, s->out_h, s->antialias, taps_y, b->weight_y);
    const uint8_t *from = image + (row[FNN_AUGMENT_TOP] + first) * step + row[FNN_AUGMENT_LEFT] * s->pixel;
    bool flip = row[FNN_AUGMENT_FLIP_X] != 0;
    K->augment_blend_rows(width * s->pixel, taps_y, b->weight_y, from, step, b->mixed);
    K->augment_blend_cols(s->out_w, s->pixel, augment_tap_count(width, s->out_w, s->antialias), b->first_x, b->weight_x,
                          b->mixed, b->sum, flip ? b->unflipped : to);
    if (flip)
        K->augment_reverse(s->out_w, s->pixel, b->unflipped, to);
}

/* ---- one image ---- */

/* Overwrites what the box has of row i: bytes of `fill`, a pixel being `pixel` of them. */
static void augment_erase(const fnn_augment_shape *s, const int32_t *box, int64_t i, const void *fill, int64_t pixel,
                          void *to)
{
    int64_t top = box[0], left = max_int(box[1], 0), right = min_int((int64_t)box[1] + box[3], s->out_w);
    if (i >= top && i < top + box[2] && left < right)
        memcpy((char *)to + left * pixel, fill, (size_t)((right - left) * pixel));
}

static void augment_task(void *context, int64_t index, int thread)
{
    const augment_plan *p = context;
    const fnn_augment_shape *s = p->s;
    const int32_t *row = p->table + index * p->columns, *boxes = row + FNN_AUGMENT_BOXES;
    const uint8_t *image = p->x + index * s->h * s->w * s->pixel;
    int64_t width = augment_row_bytes(s);
    bool copied = row[FNN_AUGMENT_HEIGHT] == s->out_h && row[FNN_AUGMENT_WIDTH] == s->out_w;
    augment_buffers b;
    augment_lay_out(p, p->scratch + thread * p->scratch_bytes, &b);
    int64_t taps_x = copied ? 0 : augment_tap_count(row[FNN_AUGMENT_WIDTH], s->out_w, s->antialias);
    for (int64_t j = 0; j < s->out_w && !copied; j++)
        b.first_x[j] = augment_taps(j, row[FNN_AUGMENT_WIDTH], s->out_w, s->antialias, taps_x, b.weight_x + j * taps_x);
    for (int64_t i = 0; i < s->out_h; i++) {
        int64_t at = (index * s->out_h + i) * width, source = row[FNN_AUGMENT_FLIP_Y] ? s->out_h - 1 - i : i;
        uint8_t *bytes = p->bytes ? p->bytes + at : b.row;
        if (copied)
            augment_copy_row(p, image, row, source, b.unflipped, bytes);
        else
            augment_resample_row(p, image, row, source, &b, bytes);
        for (int64_t k = 0; k < s->byte_boxes; k++)
            augment_erase(s, boxes + 4 * k, i, p->fill + (k + 1) * width, s->pixel, bytes);
        if (p->bytes)
            continue;
        K->augment_scale(width, bytes, p->scale, p->shift, p->reals + at);
        for (int64_t k = 0; k < s->real_boxes; k++)
            augment_erase(s, boxes + 4 * (s->byte_boxes + k), i, p->real_fill + k * width,
                          s->pixel * (int64_t)sizeof(real), p->reals + at);
    }
}

/* ---- a batch ---- */

/* to[j] = from for j < count: a pixel of `size` bytes, repeated. */
static void augment_repeat(void *to, const void *from, int64_t size, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        memcpy((char *)to + j * size, from, (size_t)size);
}

static void augment_measure_windows(augment_plan *p)
{
    const fnn_augment_shape *s = p->s;
    for (int64_t i = 0; i < s->n; i++) {
        const int32_t *row = p->table + i * p->columns;
        int64_t height = row[FNN_AUGMENT_HEIGHT], width = row[FNN_AUGMENT_WIDTH];
        if (height == s->out_h && width == s->out_w)
            continue;
        p->resampled = true;
        p->taps_y = max_int(p->taps_y, augment_tap_count(height, s->out_h, s->antialias));
        p->taps_x = max_int(p->taps_x, augment_tap_count(width, s->out_w, s->antialias));
    }
}

/* Fills are expanded to whole rows, so that padding and erasing are copies of runs. */
static int augment_run(augment_plan *p, const uint8_t *fill, const real *scale, const real *shift,
                       const real *real_fill)
{
    const fnn_augment_shape *s = p->s;
    int64_t row = augment_row_bytes(s), fills = 1 + s->byte_boxes, real_rows = p->reals ? 2 + s->real_boxes : 0;
    if (s->n == 0 || s->out_h == 0 || row == 0)
        return FNN_OK;
    p->columns = FNN_AUGMENT_BOXES + 4 * (s->byte_boxes + s->real_boxes);
    augment_measure_windows(p);
    augment_buffers none;
    p->scratch_bytes = augment_lay_out(p, NULL, &none);
    double values = (double)s->n * (double)s->out_h * (double)row;
    double ns = values * (p->reals ? 2 + (double)sizeof(real) : 2) * FNN_NS_PER_BYTE;
    if (p->resampled)
        ns += values * (double)(p->taps_x + p->taps_y) * FNN_NS_PER_FLOP;
    int width = fnn_parallel_width(s->n, ns);
    int64_t reals = round_up(real_rows * row * (int64_t)sizeof(real), 64), bytes = round_up(fills * row, 64);
    uint8_t *workspace = fnn_alloc((size_t)(reals + bytes + p->scratch_bytes * width));
    if (!workspace)
        return FNN_NO_MEMORY;
    real *pattern = (real *)(void *)workspace;
    int64_t real_pixel = s->pixel * (int64_t)sizeof(real);
    if (p->reals) {
        augment_repeat(pattern, scale, real_pixel, s->out_w);
        augment_repeat(pattern + row, shift, real_pixel, s->out_w);
        for (int64_t k = 0; k < s->real_boxes; k++)
            augment_repeat(pattern + (2 + k) * row, real_fill + k * s->pixel, real_pixel, s->out_w);
    }
    for (int64_t k = 0; k < fills; k++)
        augment_repeat(workspace + reals + k * row, fill + k * s->pixel, s->pixel, s->out_w);
    p->scale = pattern;
    p->shift = pattern + row;
    p->real_fill = pattern + 2 * row;
    p->fill = workspace + reals;
    p->scratch = workspace + reals + bytes;
    fnn_parallel(s->n, width, augment_task, p);
    fnn_free(workspace);
    return FNN_OK;
}

int DRIVER(augment_move)(const fnn_augment_shape *s, const uint8_t *x, const int32_t *table, const uint8_t *fill,
                         uint8_t *y)
{
    augment_plan p = {.s = s, .x = x, .table = table, .bytes = y};
    return augment_run(&p, fill, NULL, NULL, NULL);
}

int DRIVER(augment_normalize)(const fnn_augment_shape *s, const uint8_t *x, const int32_t *table, const uint8_t *fill,
                              const real *scale, const real *shift, const real *real_fill, real *y)
{
    augment_plan p = {.s = s, .x = x, .table = table, .reals = y};
    return augment_run(&p, fill, scale, shift, real_fill);
}

/* ---- batches gathered from a dataset ---- */

#define GATHER_BLOCK_BYTES 16384 /* rows are copied by blocks of about this much */

typedef struct {
    int64_t n, row_bytes, rows; /* rows: of a block */
    const uint8_t *x;
    const int64_t *index;
    uint8_t *y;
} gather_plan;

static void gather_task(void *context, int64_t block, int thread)
{
    const gather_plan *p = context;
    int64_t end = min_int((block + 1) * p->rows, p->n);
    (void)thread;
    for (int64_t i = block * p->rows; i < end; i++)
        memcpy(p->y + i * p->row_bytes, p->x + p->index[i] * p->row_bytes, (size_t)p->row_bytes);
}

int DRIVER(gather_rows)(int64_t n, int64_t row_bytes, const uint8_t *x, const int64_t *index, uint8_t *y)
{
    if (n == 0 || row_bytes == 0)
        return FNN_OK;
    gather_plan p = {n, row_bytes, max_int(GATHER_BLOCK_BYTES / row_bytes, 1), x, index, y};
    int64_t blocks = ceil_div(n, p.rows);
    double bytes = 2.0 * (double)n * (double)row_bytes;
    fnn_parallel(blocks, fnn_parallel_width(blocks, bytes * FNN_NS_PER_BYTE), gather_task, &p);
    return FNN_OK;
}
