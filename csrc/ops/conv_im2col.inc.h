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
    const real *bias;
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
    p.block = min_int(max_int(IM2COL_BLOCK_REALS / max_int(p.depth, 1), 16), pixels);
    p.blocks = ceil_div(pixels, p.block);
    return p;
}

/* Input index of output index `o` and tap index `t` along an axis, or -1 in the padding. */
static inline int64_t im2col_source(const fnn_conv_shape *s, int axis, int64_t o, int64_t t)
{
    int64_t i = o * s->stride[axis] + t * s->dilation[axis] - s->pad[axis];
    return i >= 0 && i < s->in[axis] ? i : -1;
}

/* The pixel of the image that output pixel `o` sees through tap `t`, or -1 in the padding. */
static int64_t im2col_pixel(const fnn_conv_shape *s, int64_t o, int64_t t)
{
    int64_t x = im2col_source(s, 2, o % s->out[2], t % s->kernel[2]);
    int64_t y = im2col_source(s, 1, o / s->out[2] % s->out[1], t / s->kernel[2] % s->kernel[1]);
    int64_t z = im2col_source(s, 0, o / (s->out[2] * s->out[1]), t / (s->kernel[2] * s->kernel[1]));
    return x < 0 || y < 0 || z < 0 ? -1 : (z * s->in[1] + y) * s->in[2] + x;
}

static void im2col_gather(const im2col_plan *p, const real *image, int64_t first, int64_t count, real *col)
{
    for (int64_t o = first; o < first + count; o++)
        for (int64_t t = 0; t < p->taps; t++, col += p->c) {
            int64_t pixel = im2col_pixel(p->s, o, t);
            if (pixel < 0)
                memset(col, 0, sizeof(real) * (size_t)p->c);
            else
                memcpy(col, image + pixel * p->s->c, sizeof(real) * (size_t)p->c);
        }
}

static void im2col_scatter(const im2col_plan *p, const real *col, int64_t first, int64_t count, real *image)
{
    for (int64_t o = first; o < first + count; o++)
        for (int64_t t = 0; t < p->taps; t++, col += p->c) {
            int64_t pixel = im2col_pixel(p->s, o, t);
            if (pixel >= 0)
                K->add_to(p->c, col, image + pixel * p->s->c);
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
    im2col_gather(p, p->in + n * conv_in_pixels(s) * s->c + group * p->c, first, count, col);
    gemm_plan g = {.m = count, .n = p->k, .k = p->depth, .a = col, .b = p->weights + group * p->k * p->depth, .c = y};
    g.a_row = g.b_row = p->depth;
    g.b_transposed = true;
    g.bias = p->bias ? p->bias + group * p->k : NULL;
    g.packed = packed;
    gemm_cut(&g);
    gemm_run(&g, false);
    im2col_copy_block(count, p->k, y, p->k, p->out + (n * conv_out_pixels(s) + first) * s->k + group * p->k, s->k);
}

/* Room in the packed panels of a product of the given width and depth. */
static int64_t im2col_packed(int64_t n, int64_t k, bool b_transposed)
{
    gemm_plan g = {.m = 1, .n = n, .k = k, .b_transposed = b_transposed};
    gemm_cut(&g);
    return gemm_packed_reals(&g);
}

static int conv_im2col_fwd(const fnn_conv_shape *s, const real *x, const real *w, const real *bias, real *y)
{
    im2col_plan p = im2col_cut(s);
    p.in = x;
    p.bias = bias;
    p.out = y;
    p.scratch_reals = p.block * (p.depth + p.k) + im2col_packed(p.k, p.depth, true);
    int64_t tasks = s->n * p.blocks * s->groups, weights = round_up(s->k * p.depth, 16);
    int width = fnn_parallel_width(tasks, conv_flops(s) * FNN_NS_PER_FLOP);
    real *workspace = fnn_alloc(sizeof(real) * (size_t)(weights + width * p.scratch_reals));
    if (!workspace)
        return FNN_NO_MEMORY;
    im2col_reorder_weights(&p, w, workspace, false);
    p.weights = workspace;
    p.scratch = workspace + weights;
    fnn_parallel_dynamic(tasks, width, im2col_fwd_task, &p);
    fnn_free(workspace);
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
            im2col_scatter(p, col, first, count, image + group * p->c);
        }
}

static int conv_im2col_bwd_x(const fnn_conv_shape *s, const real *dy, const real *w, real *dx)
{
    im2col_plan p = im2col_cut(s);
    p.grad = dy;
    p.out = dx;
    p.scratch_reals = p.block * (p.depth + p.k) + im2col_packed(p.depth, p.k, false);
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
                im2col_gather(p, p->in + n * conv_in_pixels(s) * s->c + group * p->c, first, count, col);
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
    p.scratch_reals = p.block * (p.depth + p.k) + round_up(group_reals, 16) + im2col_packed(p.depth, p.block, false);
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
