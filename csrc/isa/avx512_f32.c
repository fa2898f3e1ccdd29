/* The avx512 kernels for float32; built with the flags that setup.py gives this instruction set. */
#include "../simd/avx512.h"
#include "../kernels/all.inc.h"
