/* conv_bf16_weight.inc.h - the weight gradient of a convolution of operands rounded to bfloat16.
 *
 * It sums over output pixels, so they are the inner dimension: A is dy turned, a row of pixels for every k; B is x,
 * whose neighbouring pixels pair up. Rows of both have one pitch, long enough for the taps' reach, and dy is zero where
 * the image has no output pixel. What a tap sees of x is then the same sequence of pixels from another start. Pairs
 * begin at even starts, so there are two copies of x, paired from 0 and from 1. With strides every phase of x, the
 * rows and columns that are multiples of the stride apart, is an image of its own, which some of the taps see. */

#define BF16_W_PARTIALS 262144 /* floats of all partial weight gradients together, as far as chunks allow */
#define BF16_W_PIXELS 1024     /* pixels whose products are formed together, about */
#define BF16_W_CHUNKS 16
#define BF16_W_ROWS 64 /* output channels of a task where chunks are few */

typedef struct {
    const fnn_conv_shape *s;
    const float *x, *dy;
    int64_t chunks, chunk, groups, group; /* chunk: images; group: output channels */
    int64_t reach_y, reach_x;             /* the most taps of a phase */
    int64_t pitch;                        /* pixels of a row, even */
    int64_t images, rows;                 /* of a block: images, and output rows of each */
    int64_t pixels, step;                 /* pixels: of a block, a multiple of 32 */
    int64_t lanes, width, panels;         /* lanes: group, filled up */
    int64_t partial_floats, scratch_halves;
    float *partial;
    uint16_t *scratch;
} bf16_w_plan;

/* One block of pixels: output rows [y0, y1) of images [n0, n1), and the rows of pitch that each image takes. */
typedef struct {
    int64_t n0, n1, y0, y1, rows, used;
} bf16_w_block;

static int64_t bf16_w_copy_halves(const bf16_w_plan *d) { return (d->pixels + d->reach_y * d->pitch) * d->width; }

static void bf16_w_cut(bf16_w_plan *d)
{
    const fnn_conv_shape *s = d->s;
    d->partial_floats = conv_weight_floats(s);
    int64_t chunks = max_int(BF16_W_PARTIALS / d->partial_floats, 2);
    chunks = min_int(min_int(chunks, BF16_W_CHUNKS), s->n);
    d->chunk = ceil_div(s->n, chunks);
    d->chunks = ceil_div(s->n, d->chunk);
    d->groups = d->chunks >= 8 ? 1 : min_int(ceil_div(s->k, BF16_W_ROWS), ceil_div(8, d->chunks));
    d->group = round_up(ceil_div(s->k, d->groups), 16);
    d->groups = ceil_div(s->k, d->group);
    d->lanes = round_up(min_int(d->group, s->k), 16);
    d->reach_y = ceil_div(s->kernel[1], s->stride[1]);
    d->reach_x = ceil_div(s->kernel[2], s->stride[2]);
    d->pitch = round_up(s->out[2] + d->reach_x - 1, 2);
    int64_t bands = ceil_div(s->out[1], max_int(BF16_W_PIXELS / d->pitch, 1));
    d->rows = ceil_div(s->out[1], bands);
    int64_t image = (d->rows + d->reach_y - 1) * d->pitch;
    d->images = bands > 1 ? 1 : min_int(max_int(BF16_W_PIXELS / image, 1), d->chunk);
    d->pixels = round_up(d->images * image, 32);
    d->step = d->pixels + BF16_STEP_FREE;
    d->width = s->c <= 16 ? 16 : 32;
    d->panels = ceil_div(s->c, d->width);
    d->scratch_halves = (d->lanes + BF16_TILE) * d->step + d->pixels * d->lanes + 2 * bf16_w_copy_halves(d);
}

/* A: channels [k0, k1) of dy, by way of its pairs. */
static void bf16_w_turn(const bf16_w_plan *d, const bf16_w_block *b, int64_t k0, int64_t k1, uint16_t *pairs,
                        uint16_t *a)
{
    const fnn_conv_shape *s = d->s;
    int64_t row = d->pitch * d->lanes, rows = b->y1 - b->y0;
    uint16_t *to = pairs;
    for (int64_t n = b->n0; n < b->n1; n++, to += b->rows * row) {
        const float *dy = d->dy + (n * s->out[1] + b->y0) * s->out[2] * s->k + k0;
        for (int64_t i = 0; i < rows; i++)
            fnn_active_bf16->pair_rows(d->pitch, 0, s->out[2], dy + i * s->out[2] * s->k, s->k, (int)(k1 - k0),
                                       (int)d->lanes, to + i * row);
        memset(to + rows * row, 0, sizeof(uint16_t) * (size_t)((b->rows - rows) * row));
    }
    int64_t depth = round_up(b->used, 32);
    memset(to, 0, sizeof(uint16_t) * (size_t)((depth - b->used) * d->lanes));
    fnn_active_bf16->turn_pairs(depth, (int)d->lanes, pairs, a, d->step);
}

/* B: channels from c0 of a phase of x, pairs beginning with pixel `odd`. */
static void bf16_w_pair(const bf16_w_plan *d, const bf16_w_block *b, int64_t phase_y, int64_t phase_x, int64_t c0,
                        int64_t odd, uint16_t *to)
{
    const fnn_conv_shape *s = d->s;
    int64_t step = s->stride[2] * s->c, over = s->in[2] - 1 + s->pad[2] - phase_x;
    int64_t first = ceil_div(max_int(s->pad[2] - phase_x, 0), s->stride[2]);
    int64_t last = over < 0 ? 0 : min_int(over / s->stride[2] + 1, d->pitch);
    int cols = (int)min_int(d->width, s->c - c0);
    const uint16_t *end = to + bf16_w_copy_halves(d);
    for (int64_t n = b->n0; n < b->n1; n++)
        for (int64_t v = 0; v < b->rows; v++, to += d->pitch * d->width) {
            int64_t y = (b->y0 + v) * s->stride[1] + phase_y - s->pad[1];
            bool inside = y >= 0 && y < s->in[1];
            int64_t pixel = (n * s->in[1] + (inside ? y : 0)) * s->in[2] + phase_x - s->pad[2];
            fnn_active_bf16->pair_rows(d->pitch, max_int(first - odd, 0), inside ? last - odd : 0,
                                       d->x + pixel * s->c + c0 + odd * step, step, cols, (int)d->width, to);
        }
    memset(to, 0, sizeof(uint16_t) * (size_t)(end - to));
}

/* The taps that see one phase: adds to sum[k][t][c] of the task's channels. */
static void bf16_w_phase(const bf16_w_plan *d, const bf16_w_block *b, int64_t phase_y, int64_t phase_x, int64_t rows,
                         const uint16_t *a, uint16_t *copies, bool accumulate, float *sum)
{
    const fnn_conv_shape *s = d->s;
    fnn_bf16_tile tile = {.k = round_up(b->used, 32), .runs = 1, .depth = 32, .a_step = d->step};
    tile.width = (int)d->width;
    tile.c_step = conv_taps(s) * s->c;
    for (int64_t c0 = 0; c0 < s->c; c0 += d->width) {
        for (int64_t odd = 0; odd < 2 && phase_x + odd * s->stride[2] < s->kernel[2]; odd++)
            bf16_w_pair(d, b, phase_y, phase_x, c0, odd, copies + odd * bf16_w_copy_halves(d));
        for (int64_t r = phase_y; r < s->kernel[1]; r += s->stride[1])
            for (int64_t q = phase_x; q < s->kernel[2]; q += s->stride[2]) {
                int64_t right = q / s->stride[2], odd = right % 2;
                int64_t start = r / s->stride[1] * d->pitch + right - odd;
                fnn_active_bf16->product(&tile, a, copies + odd * bf16_w_copy_halves(d) + start * d->width, NULL,
                                         sum + (r * s->kernel[2] + q) * s->c + c0, rows,
                                         (int)min_int(d->width, s->c - c0), accumulate);
            }
    }
}

static void bf16_w_task(void *context, int64_t index, int thread)
{
    const bf16_w_plan *d = context;
    const fnn_conv_shape *s = d->s;
    int64_t chunk = index / d->groups, k0 = index % d->groups * d->group, k1 = min_int(k0 + d->group, s->k);
    int64_t start = chunk * d->chunk, stop = min_int(start + d->chunk, s->n);
    uint16_t *a = d->scratch + thread * d->scratch_halves, *pairs = a + (d->lanes + BF16_TILE) * d->step;
    uint16_t *copies = pairs + d->pixels * d->lanes;
    float *sum = d->partial + chunk * d->partial_floats + k0 * conv_taps(s) * s->c;
    fnn_active_bf16->begin(32);
    for (int64_t n = start; n < stop; n += d->images)
        for (int64_t y = 0; y < s->out[1]; y += d->rows) {
            bf16_w_block b = {n, min_int(n + d->images, stop), y, min_int(y + d->rows, s->out[1]), 0, 0};
            b.rows = b.y1 - b.y0 + d->reach_y - 1;
            b.used = (b.n1 - b.n0) * b.rows * d->pitch;
            bf16_w_turn(d, &b, k0, k1, pairs, a);
            for (int64_t p = 0; p < s->stride[1] * s->stride[2]; p++)
                bf16_w_phase(d, &b, p / s->stride[2], p % s->stride[2], k1 - k0, a, copies, n > start || y > 0, sum);
        }
    fnn_active_bf16->end();
}

static int conv_bf16_bwd_w_by_taps(const fnn_conv_shape *s, const float *dy, const float *x, float *dw)
{
    bf16_w_plan d = {.s = s, .x = x, .dy = dy};
    bf16_w_cut(&d);
    int64_t tasks = d.chunks * d.groups, partial = round_up(d.chunks * d.partial_floats, 16);
    int width = fnn_parallel_width(tasks, conv_bf16_work(s));
    float *workspace =
        fnn_alloc(sizeof(float) * (size_t)partial + sizeof(uint16_t) * (size_t)(width * d.scratch_halves));
    if (!workspace)
        return FNN_NO_MEMORY;
    d.partial = workspace;
    d.scratch = (uint16_t *)(void *)(workspace + partial);
    fnn_parallel_dynamic(tasks, width, bf16_w_task, &d);
    add_partials(d.partial, d.partial + d.partial_floats, d.partial_floats, d.chunks - 1);
    for (int64_t k = 0, taps = conv_taps(s); k < s->k; k++)
        for (int64_t c = 0; c < s->c; c++)
            for (int64_t t = 0; t < taps; t++)
                dw[(k * s->c + c) * taps + t] = d.partial[(k * taps + t) * s->c + c];
    fnn_free(workspace);
    return FNN_OK;
}
