/* program.h - a network as a list of steps, calls of entry points of api.def that one call executes. The arrays of a
 * step are places in slots: blocks of memory whose addresses each run is given. */
#ifndef FNN_PROGRAM_H
#define FNN_PROGRAM_H

#include "shapes.h"

/* `offset` bytes into the memory of a slot; NULL where the slot is FNN_NOWHERE. */
#define FNN_NOWHERE (-1)
typedef struct {
    int64_t slot, offset;
} fnn_place;

enum fnn_step_kind {
    FNN_STEP_CONV,
    FNN_STEP_MAX_POOL,
    FNN_STEP_AVG_POOL,
    FNN_STEP_NORM,
    FNN_STEP_ACTIVATION,
    FNN_STEP_BINARY,
    FNN_STEP_SOFTMAX,
    FNN_STEP_COPY,
    FNN_STEP_FILL
};

/* A linear layer is one of a single pixel. */
typedef struct {
    fnn_conv_shape shape;
    int algorithm;
    fnn_place w, prepared, bias, residual;
    int activation;
    double a, b, c;
} fnn_conv_step;

/* Batch norm with given statistics, as norm_batch_apply. */
typedef struct {
    int64_t rows, channels;
    bool relu;
    fnn_place residual, w, b, mean, rstd;
} fnn_norm_step;

typedef struct {
    int code;
    int64_t n;
    double a, b, c;
} fnn_activation_step;

/* y = x op other */
typedef struct {
    int code;
    int64_t n;
    fnn_place other;
} fnn_binary_step;

typedef struct {
    bool log;
    int64_t outer, classes, inner;
} fnn_softmax_step;

/* y[i . y_step] = x[i . x_step] for every index i below `size`; steps in elements, not negative. */
#define FNN_COPY_AXES 6
typedef struct {
    int64_t size[FNN_COPY_AXES], x_step[FNN_COPY_AXES], y_step[FNN_COPY_AXES];
} fnn_copy_step;

/* y = value, n times */
typedef struct {
    int64_t n;
    double value;
} fnn_fill_step;

typedef union {
    fnn_conv_step conv;
    fnn_pool_shape pool;
    fnn_norm_step norm;
    fnn_activation_step activation;
    fnn_binary_step binary;
    fnn_softmax_step softmax;
    fnn_copy_step copy;
    fnn_fill_step fill;
} fnn_step_detail;

typedef struct {
    int kind;
    fnn_place x, y;
    fnn_step_detail as;
} fnn_step;

typedef struct {
    const fnn_step *steps;
    int64_t count;
} fnn_program;

#endif
