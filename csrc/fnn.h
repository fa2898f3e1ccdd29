/* fnn.h - the public C interface of fastnn's kernels.
 *
 * Plain C11; knows nothing of Python. Every entry point of api.def exists for float32 (suffix _f32), for float64
 * (_f64) and as a dispatcher fnn_<name>(dtype, ...) over untyped pointers. Entry points return FNN_OK, or
 * FNN_NO_MEMORY before anything was written. Shapes and values are checked by the callers; debug builds assert.
 */
#ifndef FNN_H
#define FNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fnn_dtype { FNN_F32 = 0, FNN_F64 = 1 };
enum fnn_status { FNN_OK = 0, FNN_NO_MEMORY = 1 };

#include "program.h"
#include "shapes.h"

/* ---- processor: level (instruction set) and features ------------------------------------------------------ */
int fnn_level_count(void);             /* levels compiled in that this processor can run */
const char *fnn_level_name(int index); /* 0 is always "portable"; the last one is the best */
int fnn_level(void);                   /* index of the level in use */
void fnn_set_level(int index);
const char *fnn_cpu_features(void); /* space-separated names */
/* How products of operands rounded to bfloat16 are formed at this level; setting a level chooses the best way. */
int fnn_bf16_count(void);
const char *fnn_bf16_name(int index); /* 0 is always "rounding": by the level's float32 kernels */
int fnn_bf16(void);
int fnn_bf16_best(void);
void fnn_set_bf16(int index);
int64_t fnn_cache_bytes(int level); /* data cache size of level 1, 2 or 3; a guess if unknown */
int64_t fnn_stream_bytes(void);     /* outputs larger than this go past the caches: half of the last level at first */
void fnn_set_stream_bytes(int64_t bytes); /* 0: as at first */

/* ---- threads -------------------------------------------------------------------------------------------- */
bool fnn_has_openmp(void);
int fnn_num_threads(void);
void fnn_set_num_threads(int count); /* at least 1 */
void fnn_after_fork_in_child(void);  /* the child of a fork runs single-threaded */

/* ---- caching allocator ------------------------------------------------------------------------------------ */
typedef struct {
    int64_t in_use, peak, cached, requests, misses; /* bytes, bytes, bytes, calls, calls that reached the system */
} fnn_alloc_stats;
void *fnn_alloc(size_t bytes); /* 64-byte aligned, contents undefined; NULL when out of memory */
void fnn_free(void *block);
void fnn_alloc_get_stats(fnn_alloc_stats *stats);
void fnn_alloc_reset_peak(void);
void fnn_alloc_trim(void); /* hand every cached block back to the system */

/* ---- the operations: three views of the one list in api.def ------------------------------------------------ */
#define real float
#define FNN_API(name, params, args) int fnn_##name##_f32 params;
#include "api.def"
#undef FNN_API
#undef real

#define real double
#define FNN_API(name, params, args) int fnn_##name##_f64 params;
#include "api.def"
#undef FNN_API
#undef real

#define real void
#define FNN_UNPAREN(...) __VA_ARGS__
#define FNN_TYPED(params) (int dtype, FNN_UNPAREN params)
#define FNN_API(name, params, args)                                              \
    static inline int fnn_##name FNN_TYPED(params)                               \
    {                                                                            \
        return dtype == FNN_F32 ? fnn_##name##_f32 args : fnn_##name##_f64 args; \
    }
#include "api.def"
#undef FNN_API
#undef FNN_TYPED
#undef FNN_UNPAREN
#undef real

#endif
