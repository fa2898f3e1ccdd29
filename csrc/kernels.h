/* kernels.h - the table of one instruction set's serial kernels, one type for each real type, and the constants
 * that a driver must know to lay out workspace for them. Generated from kernels.def, the one list. */
#ifndef FNN_KERNELS_H
#define FNN_KERNELS_H

#include "fnn.h"

#define FNN_TABLE(type)                                                         \
    int lanes;          /* reals in a vector */                                 \
    int gemm_tile_rows; /* the matrix-product tile: rows x (vectors * lanes) */ \
    int gemm_tile_vectors;                                                      \
    int gemm_tall_rows; /* of a tile one vector wide */

#define real float
typedef struct {
    FNN_TABLE(float)
#define FNN_KERNEL(name, params) void(*name) params;
#include "kernels.def"
#undef FNN_KERNEL
} fnn_kernels_f32;
#undef real

#define real double
typedef struct {
    FNN_TABLE(double)
#define FNN_KERNEL(name, params) void(*name) params;
#include "kernels.def"
#undef FNN_KERNEL
} fnn_kernels_f64;
#undef real
#undef FNN_TABLE

/* The tables of the level in use; set by dispatch.c, read by the drivers. */
extern const fnn_kernels_f32 *fnn_active_f32;
extern const fnn_kernels_f64 *fnn_active_f64;

#endif
