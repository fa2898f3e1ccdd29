/* The bfloat16 kernels with AVX-512's dot product; built with the flags that setup.py gives this unit. */
#define FNN_BF16_UNIT avx512
#include "../simd/avx512_bf16.h"
#include "../kernels/gemm_bf16.inc.h"
