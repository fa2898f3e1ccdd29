/* conv_im2col.inc.h - the general convolution: any dimension, stride, padding, dilation and groups.
 *
 * col[pixel][tap][c] gathers under every output pixel what the filter sees there; the convolution is then a product
 * with the weights as a (tap, c) x k matrix, its data gradient the transposed product scattered back (col2im), its
 * weight gradient the product of dy with col. One block of output pixels of one image and group is gathered at a
 * time. */

#define IM2COL_BLOCK_REALS 131072 /* of a block of col: stays in the second-level cache */
#define IM2COL_CHUNKS 16

typedef struct {
    const fnn_conv_shape *s;
    const real *in, *grad, *weights; /* weights: per group (k, taps, c), so that col's rows match */
    epilogue e;
    real *out;
    int64_t taps, c, k, depth; /* of one group; depth = taps * c */
    int64_t block, blocks, chunk, chunks;
    real *scratch, *partial;
    int64_t scratch_reals, packed_reals;
    int status;
} im2col_plan;

static im2col_plan im2col_cut(const fnn_conv_shape *s)
{
    im2col_plan p = {.s = s, .taps = conv_taps(s), .c = s->c / s->groups, .k = s->k / s->groups};
    p.depth = p.taps * p.c;
    int64_t pixels = conv_out_pixels(s);
    p.block = max_int(IM2COL_BLOCK_REALS / max_int(p.depth, 1) / s->out[2], 1) * s->out[2]; /* whole rows */
    p.block = min_int(p.block, pixels);
    p.blocks = ceil_div(pixels, p.block);
    return p;
}

/* A stretch of output pixels [first, first + count) of one output row that sees the image through one tap: output pixel
 * first + i sees image pixel `source + i * stride`. */
typedef struct {
    int64_t first, count, source;
} im2col_stretch;

/* What tap `t` sees of the output row that begins at pixel `o`; count is 0 where all of it is padding. */
static im2col_stretch im2col_sees(const fnn_conv_shape *s, int64_t o, int64_t t)
{
    int64_t row = o / s->out[2];
    int64_t y = row % s->out[1] * s->stride[1] + t / s->kernel[2] % s->kernel[1] * s->dilation[1] - s->pad[1];
    int64_t z = row / s->out[1] * s->stride[0] + t / (s->kernel[2] * s->kernel[1]) * s->dilation[0] - s->pad[0];
    int64_t x = t % s->kernel[2] * s->dilation[2] - s->pad[2]; /* of output pixel 0 */
    im2col_stretch stretch = {0, 0, 0};
    if (y < 0 || y >= s->in[1] || z < 0 || z >= s->in[0] || x >= s->in[2])
        return stretch;
    stretch.first = x < 0 ? ceil_div(-x, s->stride[2]) : 0;
    stretch.count = max_int(min_int(s->out[2], (s->in[2] - 1 - x) / s->stride[2] + 1) - stretch.first, 0);
    stretch.source = (z * s->in[1] + y) * s->in[2] + x + stretch.first * s->stride[2];
    return stretch;
}

/* Copies or adds `count` groups of c channels, `step` reals apart on either side. */
static void im2col_move(bool add, int64_t count, int64_t c, const real *from, int64_t from_step, real *to,
                        int64_t to_step)
{
    for (int64_t i = 0; i < count; i++, from += from_step, to += to_step)
        if (add)
            for (int64_t j = 0; j < c; j++)
                to[j] += from[j];
        else
            for (int64_t j = 0; j < c; j++)
                to[j] = from[j];
}

/* Rows of output pixels [first, first + count), whole rows, of an image: gathers col, or scatters it back. */
static void im2col_rows(const im2col_plan *p, bool scatter, real *image, int64_t first, int64_t count, real *col)
{
    const fnn_conv_shape *s = p->s;
    if (!scatter)
        memset(col, 0, sizeof(real) * (size_t)(count * p->depth));
    for (int64_t o = first; o < first + count; o += s->out[2])
        for (int64_t t = 0; t < p->taps; t++) {
            im2col_stretch seen = im2col_sees(s, o, t);
            real *at = col + (o - first + seen.first) * p->depth + t * p->c, *pixel = image + seen.source * s->c;
            if (scatter)
                im2col_move(true, seen.count, p->c, at, p->depth, pixel, s->stride[2] * s->c);
            else
                im2col_move(false, seen.count, p->c, pixel, s->stride[2] * s->c, at, p->depth);
        }
}

/* per group: to[k][t][c] = w[k][c][t], or back */
static void im2col_reorder_weights(const im2col_plan *p, const real *w, real *to, bool back)
{
    for (int64_t k = 0; k < p->s->k; k++, w += p->depth, to += p->depth)
        for (int64_t c = 0; c < p->c; c++)
            for (int64_t t = 0; t < p->taps; t++)
                if (back)
                    to[c * p->taps + t] = w[t * p->c + c];
                else
                    to[t * p->c + c] = w[c * p->taps + t];
}

/* The rows of y or dy of one group are k apart in their own matrix but s->k apart in memory: products write and read
 * a dense block, which is copied. */
static void im2col_copy_block(int64_t rows, int64_t cols, const real *from, int64_t from_step, real *to,
                              int64_t to_step)
{
    for (int64_t i = 0; i < rows; i++, from += from_step, to += to_step)
        memcpy(to, from, sizeof(real) * (size_t)cols);
}

/* ---- forward ---- */

static void im2col_fwd_task(void *context, int64_t index, int thread)
{
    im2col_plan *p = context;
    const fnn_conv_shape *s = p->s;
    int64_t group = index % s->groups, block = index / s->groups % p->blocks, n = index / s->groups / p->blocks;
    int64_t first = block * p->block, count = min_int(p->block, conv_out_pixels(s) - first);
    real *col = p->scratch + thread * p->scratch_reals, *y = col + p->block * p->depth, *packed = y + p->block * p->k;
    im2col_rows(p, false, (real *)p->in + n * conv_in_pixels(s) * s->c + group * p->c, first, count, col);
    gemm_plan g = {.m = count, .n = p->k, .k = p->depth, .a = col, .b = p->weights + group * p->k * p->depth, .c = y};
    g.a_row = g.b_row = p->depth;
    g.b_transposed = true;
    g.bias = p->e.bias ? p->e.bias + group * p->k : NULL;
    g.packed = packed;
    gemm_cut(&g);
    gemm_run(&g, false);
    int64_t at = (n * conv_out_pixels(s) + first) * s->k + group * p->k;
    im2col_copy_block(count, p->k, y, p->k, p->out + at, s->k);
    epilogue_finish(&p->e, at, count, p->k, s->k, p->out);
}

/* Room for the packed panels of a product of the given width and depth, whether or not it will need them. */
static int64_t im2col_packed(int64_t n, int64_t k)
{
    gemm_plan g = {.m = 1, .n = n, .k = k};
    gemm_cut(&g);
    g.in_place = false;
    return gemm_packed_reals(&g);
}

static int64_t conv_im2col_prepared(const fnn_conv_shape *s) { return s->k * conv_taps(s) * (s->c / s->groups); }

static void conv_im2col_prepare(const fnn_conv_shape *s, const real *w, real *to)
{
    im2col_plan p = im2col_cut(s);
    im2col_reorder_weights(&p, w, to, false);
}

static int conv_im2col_fwd(const fnn_conv_shape *s, const real *x, const real *weights, const epilogue *e, real *y)
{
    im2col_plan p = im2col_cut(s);
    p.in = x;
    p.weights = weights;
    p.e = *e;
    p.out = y;
    p.scratch_reals = p.block * (p.depth + p.k) + im2col_packed(p.k, p.depth);
    int64_t tasks = s->n * p.blocks * s->groups;
    int width = fnn_parallel_width(tasks, conv_flops(s) * FNN_NS_PER_FLOP);
    p.scratch = fnn_alloc(sizeof(real) * (size_t)(width * p.scratch_reals));
    if (!p.scratch)
        return FNN_NO_MEMORY;
    fnn_parallel_dynamic(tasks, width, im2col_fwd_task, &p);
    fnn_free(p.scratch);
    return FNN_OK;
}

/* ---- backward, data: one image a task, its blocks in order, so that every sum has one order ---- */

static void im2col_bwd_x_task(void *context, int64_t n, int thread)
{
    im2col_plan *p = context;
    const fnn_conv_shape *s = p->s;
    real *col = p->scratch + thread * p->scratch_reals, *dy = col + p->block * p->depth, *packed = dy + p->block * p->k;
    real *image = p->out + n * conv_in_pixels(s) * s->c;
    memset(image, 0, sizeof(real) * (size_t)(conv_in_pixels(s) * s->c));
    for (int64_t group = 0; group < s->groups; group++)
        for (int64_t first = 0; first < conv_out_pixels(s); first += p->block) {
            int64_t count = min_int(p->block, conv_out_pixels(s) - first);
            im2col_copy_block(count, p->k, p->grad + (n * conv_out_pixels(s) + first) * s->k + group * p->k, s->k, dy,
                              p->k);
            gemm_plan g = {.m = count, .n = p->depth, .k = p->k, .a = dy, .b = p->weights + group * p->k * p->depth};
            g.c = col;
            g.a_row = p->k;
            g.b_row = p->depth;
            g.packed = packed;
            gemm_cut(&g);
            gemm_run(&g, false);
            im2col_rows(p, true, image + group * p->c, first, count, col);
        }
}

static int conv_im2col_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    im2col_plan p = im2col_cut(s);
    p.grad = dy;
    p.out = dx;
    p.scratch_reals = p.block * (p.depth + p.k) + im2col_packed(p.depth, p.k);
    int64_t weights = round_up(s->k * p.depth, 16);
    int width = fnn_parallel_width(s->n, conv_flops(s) * FNN_NS_PER_FLOP);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(weights + width * p.scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    im2col_reorder_weights(&p, w, workspace, false);
    p.weights = workspace;
    p.scratch = workspace + weights;
    fnn_parallel_dynamic(s->n, width, im2col_bwd_x_task, &p);
    fnn_free(workspace);
    return FNN_OK;
}

/* ---- backward, weight: chunks of images, one partial dw each ---- */

static void im2col_bwd_w_task(void *context, int64_t index, int thread)
{
    im2col_plan *p = context;
    const fnn_conv_shape *s = p->s;
    int64_t group_reals = p->k * p->depth;
    real *col = p->scratch + thread * p->scratch_reals, *dy = col + p->block * p->depth;
    real *product = dy + p->block * p->k, *packed = product + round_up(group_reals, 16);
    real *partial = p->partial + index * s->groups * group_reals;
    memset(partial, 0, sizeof(real) * (size_t)(s->groups * group_reals));
    for (int64_t n = index * p->chunk; n < min_int((index + 1) * p->chunk, s->n); n++)
        for (int64_t group = 0; group < s->groups; group++)
            for (int64_t first = 0; first < conv_out_pixels(s); first += p->block) {
                int64_t count = min_int(p->block, conv_out_pixels(s) - first);
                im2col_rows(p, false, (real *)p->in + n * conv_in_pixels(s) * s->c + group * p->c, first, count, col);
                im2col_copy_block(count, p->k, p->grad + (n * conv_out_pixels(s) + first) * s->k + group * p->k, s->k,
                                  dy, p->k);
                gemm_plan g = {.m = p->k, .n = p->depth, .k = count, .a = dy, .b = col, .c = product};
                g.a_row = p->k;
                g.a_transposed = true;
                g.b_row = p->depth;
                g.packed = packed;
                gemm_cut(&g);
                gemm_run(&g, false);
                K->add_to(group_reals, product, partial + group * group_reals);
            }
}

static int conv_im2col_bwd_w(const fnn_conv_shape *s, const real *dy, const real *x, real *dw)
{
    im2col_plan p = im2col_cut(s);
    int64_t group_reals = p.k * p.depth, weights = s->groups * group_reals;
    p.in = x;
    p.grad = dy;
    p.chunks = min_int(s->n, IM2COL_CHUNKS);
    p.chunk = ceil_div(s->n, p.chunks);
    p.chunks = ceil_div(s->n, p.chunk);
    p.scratch_reals = p.block * (p.depth + p.k) + round_up(group_reals, 16) + im2col_packed(p.depth, p.block);
    int width = fnn_parallel_width(p.chunks, conv_flops(s) * FNN_NS_PER_FLOP);
    int64_t partial = round_up(p.chunks * weights, 16);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(partial + width * p.scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    p.partial = workspace;
    p.scratch = workspace + partial;
    fnn_parallel_dynamic(p.chunks, width, im2col_bwd_w_task, &p);
    add_partials(p.partial, p.partial + weights, weights, p.chunks - 1);
    im2col_reorder_weights(&p, p.partial, dw, true);
    fnn_free(workspace);
    return FNN_OK;
}
