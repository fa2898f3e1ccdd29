/* shapes.h - the structs in which shapes travel to the drivers. Activations are (N, D, H, W, C) in memory: 1-D and
 * 2-D images have D = 1 (and H = 1), so that one driver serves all three. */
#ifndef FNN_SHAPES_H
#define FNN_SHAPES_H

#include <stdint.h>

/* The axes of the spatial triples below. */
enum { FNN_DEPTH = 0, FNN_HEIGHT = 1, FNN_WIDTH = 2 };

/* x (n, in[0..2], c) -> y (n, out[0..2], k); weights (k, c / groups, kernel[0..2]).
 * out = (in + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride + 1, pad_after implied by out. */
typedef struct {
    int64_t n, c, k, groups;
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
} fnn_conv_shape;

/* x (n, in[0..2], c) -> y (n, out[0..2], c) */
typedef struct {
    int64_t n, c;
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
} fnn_pool_shape;

#endif
