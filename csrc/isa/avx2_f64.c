/* The avx2 kernels for float64; built with the flags that setup.py gives this instruction set. */
#define FNN_REAL_F64
#include "../simd/avx2.h"
#include "../kernels/all.inc.h"
