/* shapes.h - the structs in which shapes travel to the drivers. Activations are (N, D, H, W, C) in memory: 1-D and
 * 2-D images have D = 1 (and H = 1), so that one driver serves all three. */
#ifndef FNN_SHAPES_H
#define FNN_SHAPES_H

#include <stdbool.h>
#include <stdint.h>

#define FNN_MAX_LANES 16 /* reals in the widest vector */

/* The axes of the spatial triples below. */
enum { FNN_DEPTH = 0, FNN_HEIGHT = 1, FNN_WIDTH = 2 };

/* x (n, in[0..2], c) -> y (n, out[0..2], k); weights (k, c / groups, kernel[0..2]).
 * out = (in + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride + 1, pad_after implied by out. */
typedef struct {
    int64_t n, c, k, groups;
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
} fnn_conv_shape;

/* What computes a convolution: the selection rule, or one algorithm wherever it can, for comparisons. BF16 is the rule
 * with operands rounded to bfloat16 in the layers that gain by it. */
enum fnn_conv_algorithm {
    FNN_CONV_AUTO = 0,
    FNN_CONV_IM2COL = 1,
    FNN_CONV_DIRECT = 2,
    FNN_CONV_WINOGRAD = 3,
    FNN_CONV_BF16 = 4
};

/* What a convolution does to its sums before they go to memory: y = activation(sum + bias + residual). */
enum { FNN_NO_ACTIVATION = -1 };
typedef struct {
    const void *bias;     /* (k), or NULL */
    const void *residual; /* as y, not overlapping it; or NULL */
    int activation;       /* an fnn_activation of lists.h, or FNN_NO_ACTIVATION */
    double a, b, c;       /* its parameters */
} fnn_epilogue;

/* Output channels up to which a convolution's vectors run along pixels: sums of two vectors each stay in registers. */
#define FNN_PLANAR_CHANNELS 8

/* Winograd's 4x4 tiles `count` from number (n, y, x) on, row by row, of a stack of images (n, h, w, pixel): y and x are
 * the first output's of oh x ow, which sees the image from (y - pad_y, x - pad_x) on. */
typedef struct {
    int64_t h, w, pixel, oh, ow, pad_y, pad_x;
    int64_t n, y, x, count;
} fnn_wino_tiles;

/* Tiles that go through Winograd's transforms and products together, at most. */
#define FNN_WINO_TILES 32

/* What becomes of a product: it is stored, added, or stored past the caches, for which rows of C are whole, aligned
 * vectors. */
enum { FNN_STORE, FNN_ADD, FNN_STREAM };

/* The steps, in elements, of a matrix-product tile whose inner dimension is `runs` runs of k: run q of A starts at
 * a + q / taps * a_run + q % taps * a_tap, of B at b + q * b_run + q / taps * b_skip. A plain product has one run; a
 * convolution has one for each filter row or, where a row's taps do not touch each other, for each of the row's `taps`;
 * taps that are left out are skipped. */
typedef struct {
    int64_t k, runs;
    int64_t a_step, a_run, b_step, b_run, c_step;
    int64_t taps, a_tap, b_skip; /* taps 0 stands for 1 */
} fnn_tile;

/* The steps, in elements, of a depthwise convolution over outputs that all see the same rows x cols taps: from tap to
 * tap of the input and of the filters, and from output to output. */
typedef struct {
    int64_t channels, rows, cols;
    int64_t in_row, in_tap, w_row, w_tap;
    int64_t in_step, in_next, out_step, out_next; /* to the next output of a row, and of a column */
} fnn_depthwise;

/* Memory that a later stage of a task will touch, fetched by an earlier one `step` cache lines at a time. */
typedef struct {
    const char *line;
    int64_t lines, step;
} fnn_ahead;

/* x (n, in[0..2], c) -> y (n, out[0..2], c). Window o of an axis holds the taps o * stride - pad + t * dilation,
 * t < kernel, that lie in the image; an adaptive one all from floor(o in / out) to ceil((o + 1) in / out), and then
 * the fields of the last row are not read. */
typedef struct {
    int64_t n, c;
    int64_t divisor;  /* of averages; 0: the number of taps */
    bool include_pad; /* count taps in the padding too */
    bool adaptive;
    bool relu; /* of the maximum */
    int64_t in[3], out[3];
    int64_t kernel[3], stride[3], pad[3], dilation[3];
} fnn_pool_shape;

/* One row of windows, as the pooling kernels see it. Steps are in elements. Window o < windows of the row has
 * taps[0] x taps[1] x count[o] taps; its first one is at (first row and plane) + first[o] * pixel. */
typedef struct {
    int64_t channels, pixel; /* channels to do, and in a pixel */
    int64_t windows;
    int64_t taps[2], step[3];
    int64_t uniform; /* every count, if they are all the same; else 0 */
    const int64_t *first, *count, *divisor;
    int64_t row_divisor; /* a window's sum is divided by divisor[o] * row_divisor */
    bool relu, stream;   /* stream: the gradient goes past the caches, where whole vectors of its pixels are written */
} fnn_pool_row;

/* An array that the normalisation kernels see as `rows` rows of `period` elements and a last one of `tail`. Column i
 * of it belongs to channel i modulo the number of channels. */
typedef struct {
    int64_t rows, period, tail;
    bool stream; /* the input gradient goes past the caches: rows of it are whole, aligned vectors */
} fnn_norm_span;

/* Batch norm, ReLU and maximum of windows that neither overlap nor reach over the edge: x (n, h, w, c) -> y (n,
 * h / height, w / width, c). */
typedef struct {
    int64_t n, h, w, c, height, width;
} fnn_norm_pool;

/* `rows` rows of windows of it, as the kernels see them, w pixels wide; x and dx point at the first. */
typedef struct {
    int64_t rows, windows, w, c, height, width;
} fnn_norm_windows;

/* x (n, h, w) -> y (n, out_h, out_w), in pixels of `pixel` bytes. Image i is described by a row of parameters: the
 * window of x that it shows, mirrored or not, then top, left, height and width of boxes that are overwritten. A window
 * of the size of y is copied and may leave the image, which `padding` then continues; any other lies inside the image
 * and is resampled bilinearly. */
enum { FNN_PAD_CONSTANT, FNN_PAD_EDGE, FNN_PAD_REFLECT, FNN_PAD_SYMMETRIC };
enum {
    FNN_AUGMENT_TOP,
    FNN_AUGMENT_LEFT,
    FNN_AUGMENT_HEIGHT,
    FNN_AUGMENT_WIDTH,
    FNN_AUGMENT_FLIP_X,
    FNN_AUGMENT_FLIP_Y,
    FNN_AUGMENT_BOXES /* number of columns before the boxes */
};
typedef struct {
    int64_t n, h, w, pixel, out_h, out_w;
    int64_t byte_boxes, real_boxes; /* boxes overwritten before and after pixels become reals, in this order */
    int padding;
    bool antialias; /* a window that shrinks is averaged, not just sampled */
} fnn_augment_shape;

/* One row of an image (h, w, pixel) seen through an affine map: pixel j < out_w shows the point (x + j dx, y + j dy),
 * fixed-point numbers with FNN_AFFINE_BITS bits of fraction. */
#define FNN_AFFINE_BITS 32
typedef struct {
    int64_t h, w, pixel, out_w;
    int64_t x, y, dx, dy;
    bool bilinear;
} fnn_affine_row;

/* x (n, h, w) -> y (n, out_h, out_w), in pixels of `pixel` bytes. Row (a, b, c, d, e, f) of an image's matrix: the
 * point (u, v) of y shows the point (a u + b v + c, d u + e v + f) of x; the centre of pixel (i, j) is (i + 1/2, j +
 * 1/2). */
typedef struct {
    int64_t n, h, w, pixel, out_h, out_w;
    bool bilinear;
} fnn_affine_shape;

/* Colours: steps that an image goes through, a row of doubles each, the kind and then its numbers: a matrix (3, 4) of
 * the new red, green and blue by the old ones and 1; the factor of the contrast; the turn of the hue. */
#define FNN_COLOR_RUN 512 /* pixels that are worked on together */
enum { FNN_COLOR_NONE, FNN_COLOR_MATRIX, FNN_COLOR_CONTRAST, FNN_COLOR_HUE };
enum { FNN_COLOR_COLUMNS = 13 };

/* A filter (kernel[0], kernel[1]) over images (n, h, w, c) that continue as `padding` says. Row i of the weights is the
 * filter of image i or, if it is separable, its column and then its row. */
typedef struct {
    int64_t n, h, w, c, kernel[2];
    bool separable;
    int padding;
} fnn_filter_shape;

/* Noise in images (n, h, w, c): inside the box of each image, x (or 0, if it is replaced) + mean + sigma noise, limited
 * to low .. high; x outside. */
typedef struct {
    int64_t n, h, w, c;
    bool replace;
    double low, high;
} fnn_noise_shape;

/* One parameter of an optimiser: n elements of its weights, gradient and states, all in one memory order. Spans lie
 * one after the other in a sequence that is cut into blocks; `start` is where this one begins there, a multiple of
 * FNN_SPAN_ALIGN, so that cuts fall between whole vectors. For gradient clipping w is the gradient to change. */
#define FNN_SPAN_ALIGN 64
typedef struct {
    void *w;
    const void *g;
    void *state[3]; /* NULL where the method has none */
    int64_t *step;  /* number of steps done, which a step counts up; NULL where the method has no state */
    int64_t n, start;
    double factor[3]; /* what the driver derives from the options and the step for this step's kernel */
    /* NAdam's product over the first `product_steps` steps, and for which options: a cache, not a state. */
    double product, product_of[2];
    int64_t product_steps;
} fnn_span;

/* Where a span meets a block: what the kernel adds up there, and the options it needs beside. */
typedef struct {
    const void *options;
    double sums[2];
} fnn_span_piece;

/* What every method does with the gradient g of weights w: g turned over for `maximize`, then l1 sign(w) and
 * weight_decay w added; decoupled weight decay instead shrinks w by the factor 1 - lr weight_decay. */
typedef struct {
    double weight_decay, l1;
    bool decoupled, maximize;
} fnn_penalty;

/* The options of the optimisers, in PyTorch's names. */
typedef struct {
    fnn_penalty penalty;
    double lr, momentum, dampening;
    bool nesterov;
} fnn_sgd;

typedef struct {
    fnn_penalty penalty;
    double lr, momentum;
} fnn_nesterov;

typedef struct {
    fnn_penalty penalty;
    double lr, momentum, trust;
    bool nesterov, adapt;
} fnn_lars;

typedef struct {
    fnn_penalty penalty;
    double lr, lr_decay, eps;
} fnn_adagrad;

typedef struct {
    fnn_penalty penalty;
    double lr, rho, eps;
} fnn_adadelta;

typedef struct {
    fnn_penalty penalty;
    double lr, alpha, eps, momentum;
    bool centered;
} fnn_rmsprop;

typedef struct {
    fnn_penalty penalty;
    double lr, beta1, beta2, eps;
    bool amsgrad, eps_inside; /* eps_inside: eps under the root of the raw second moment */
} fnn_adam;

/* Of NAdam, RAdam, Adamax, Lion and LAMB. */
typedef struct {
    fnn_penalty penalty;
    double lr, beta1, beta2, eps;
    double momentum_decay; /* NAdam */
    bool adapt;            /* LAMB */
} fnn_betas;

#endif
