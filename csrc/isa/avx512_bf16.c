/* The bfloat16 kernels with AVX-512's dot product; built with the flags that setup.py gives this unit. */
#define FNN_BF16_UNIT avx512
#ifdef __AVX512BF16__
#include "../simd/avx512_bf16.h"
#include "../kernels/gemm_bf16.inc.h"
#else /* the compiler does not know the instructions: an empty table, which is never chosen */
#include "../bf16.h"
const fnn_bf16_kernels fnn_bf16_kernels_avx512;
#endif
