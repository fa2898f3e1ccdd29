/* dispatch.c - finds the processor's instruction sets and points the drivers at one table of kernels. */
#include "bf16.h"
#include "kernels.h"

#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#endif

typedef struct {
    const char *name;
    const fnn_kernels_f32 *f32;
    const fnn_kernels_f64 *f64;
    bool (*supported)(void);
} level;

#define FNN_DECLARE(isa)                                \
    extern const fnn_kernels_f32 fnn_kernels_f32_##isa; \
    extern const fnn_kernels_f64 fnn_kernels_f64_##isa;

FNN_DECLARE(portable)

static bool always(void) { return true; }

#if defined(__x86_64__)
FNN_DECLARE(avx2)
FNN_DECLARE(avx512)

/* __builtin_cpu_supports also asks whether the system saves the wide registers. */
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
FNN_DECLARE(neon)
#endif

/* ---- units that form products of bfloat16; they belong to the avx512 level ---- */

typedef struct {
    const char *name;
    const fnn_bf16_kernels *kernels;
    bool (*supported)(void);
} bf16_unit;

#if defined(__x86_64__)
extern const fnn_bf16_kernels fnn_bf16_kernels_avx512, fnn_bf16_kernels_amx;

static bool has_avx512_bf16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

static bool cpu_has_amx(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & AMX_BF16) && (d & AMX_TILE);
}

/* Tile registers enlarge a thread's saved state, so the system gives them to processes that ask. */
static bool may_use_tiles(void)
{
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool has_amx(void) { return has_avx512_bf16() && cpu_has_amx() && may_use_tiles(); }
#endif

static const bf16_unit bf16_units[] = {
    {"rounding", NULL, always},
#if defined(__x86_64__)
    {"avx512", &fnn_bf16_kernels_avx512, has_avx512_bf16},
    {"amx", &fnn_bf16_kernels_amx, has_amx},
#endif
};

const fnn_bf16_kernels *fnn_active_bf16;
static int active_bf16;

static const level levels[] = {
    {"portable", &fnn_kernels_f32_portable, &fnn_kernels_f64_portable, always},
#if defined(__x86_64__)
    {"avx2", &fnn_kernels_f32_avx2, &fnn_kernels_f64_avx2, has_avx2},
    {"avx512", &fnn_kernels_f32_avx512, &fnn_kernels_f64_avx512, has_avx512},
#elif defined(__aarch64__)
    {"neon", &fnn_kernels_f32_neon, &fnn_kernels_f64_neon, always},
#endif
};

const fnn_kernels_f32 *fnn_active_f32 = &fnn_kernels_f32_portable;
const fnn_kernels_f64 *fnn_active_f64 = &fnn_kernels_f64_portable;
static int active;

/* Levels are ordered and each includes the one before, so those that can run are a prefix. */
int fnn_level_count(void)
{
    int count = 0, all = (int)(sizeof levels / sizeof *levels);
    while (count < all && levels[count].supported())
        count++;
    return count;
}

const char *fnn_level_name(int index) { return levels[index].name; }

int fnn_level(void) { return active; }

void fnn_set_level(int index)
{
    active = index;
    fnn_active_f32 = levels[index].f32;
    fnn_active_f64 = levels[index].f64;
    fnn_set_bf16(fnn_bf16_best());
}

/* Units are ordered and each needs what the one before needs, so those that can run are a prefix. */
int fnn_bf16_count(void)
{
    int count = 1, all = (int)(sizeof bf16_units / sizeof *bf16_units);
    while (count < all && strcmp(levels[active].name, "avx512") == 0 && bf16_units[count].kernels->product &&
           bf16_units[count].supported())
        count++;
    return count;
}

const char *fnn_bf16_name(int index) { return bf16_units[index].name; }

int fnn_bf16(void) { return active_bf16; }

int fnn_bf16_best(void)
{
    int best = fnn_bf16_count() - 1;
#if defined(__x86_64__)
    /* Processors with tile registers run vdpbf16ps at half the rate of float32's multiply-add. */
    if (bf16_units[best].kernels == &fnn_bf16_kernels_avx512 && cpu_has_amx())
        best = 0;
#endif
    return best;
}

void fnn_set_bf16(int index)
{
    active_bf16 = index;
    fnn_active_bf16 = bf16_units[index].kernels;
}

const char *fnn_cpu_features(void)
{
    static char text[256];
    text[0] = 0;
#if defined(__x86_64__)
#define FNN_FEATURE(name)             \
    if (__builtin_cpu_supports(name)) \
        strcat(text, *text ? " " name : name);
    FNN_FEATURE("sse2")
    FNN_FEATURE("sse4.1")
    FNN_FEATURE("avx")
    FNN_FEATURE("avx2")
    FNN_FEATURE("fma")
    FNN_FEATURE("avx512f")
    FNN_FEATURE("avx512bw")
    FNN_FEATURE("avx512dq")
    FNN_FEATURE("avx512vl")
    FNN_FEATURE("avx512bf16")
#undef FNN_FEATURE
    if (cpu_has_amx())
        strcat(text, " amx-bf16");
#elif defined(__aarch64__)
    strcpy(text, "neon");
#endif
    return text;
}

int64_t fnn_cache_bytes(int cache_level)
{
    static const int64_t guess[] = {32 << 10, 1 << 20, 16 << 20};
    long bytes = 0;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    static const int names[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
    bytes = sysconf(names[cache_level - 1]);
#endif
    return bytes > 0 ? bytes : guess[cache_level - 1];
}

static int64_t stream_bytes;

int64_t fnn_stream_bytes(void)
{
    if (!stream_bytes) /* asked once: the answer is slow on a virtual machine */
        stream_bytes = fnn_cache_bytes(3) / 2;
    return stream_bytes;
}

void fnn_set_stream_bytes(int64_t bytes) { stream_bytes = bytes; }
