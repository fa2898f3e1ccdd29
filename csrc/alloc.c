/* alloc.c - a caching, 64-byte aligned allocator.
 *
 * A training step asks for the same sizes again and again. Handing freed blocks straight back saves the page faults
 * of fresh memory, which otherwise cost as much as the memory-bound operations themselves. Sizes are rounded up to
 * eight classes per power of two (at most 12.5 % waste), so that slightly varying batches share blocks; a class that
 * has none may take a block from one of the next few classes. Blocks of 2 MB and more ask for huge pages.
 */
#define _GNU_SOURCE
#include "fnn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64
#define HUGE_PAGE ((size_t)2 << 20)
#define STEPS 8 /* classes per power of two */
#define CLASSES (STEPS * 48)
#define BORROW 4                       /* how many larger classes an empty one may take from */
#define CACHE_LIMIT ((int64_t)2 << 30) /* bytes kept at most; beyond it freed blocks go back at once */
#define COLOURS 16                     /* start offsets of large blocks, 256 bytes apart */
#define COLOUR_STEP 256

typedef struct header {
    struct header *next; /* in the free list of its class */
    void *base;          /* what the system gave */
    int64_t bytes;       /* of the class */
    int32_t class_index;
} header;

_Static_assert(sizeof(header) <= ALIGNMENT, "the header must fit in front of an aligned block");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static header *free_lists[CLASSES];
static fnn_alloc_stats stats;
static unsigned next_colour;

/* Class i = STEPS * e + s holds 64 * 2^e * (1 + s / 8) bytes. */
static int class_of(size_t bytes)
{
    size_t units = bytes <= ALIGNMENT ? 1 : (bytes + ALIGNMENT - 1) / ALIGNMENT;
    int exponent = 63 - __builtin_clzll((unsigned long long)units);
    size_t rest = units - ((size_t)1 << exponent);
    int step = (int)((rest * STEPS + ((size_t)1 << exponent) - 1) >> exponent);
    return exponent * STEPS + step;
}

static int64_t class_bytes(int index)
{
    int64_t units = (int64_t)ALIGNMENT << (index / STEPS);
    return units + (units * (index % STEPS) + STEPS - 1) / STEPS;
}

/* Large arrays that start at the same offset within a page collide in the cache's sets and in the store buffer's
 * 4 KB address comparison; rotating start offsets keep x, y and dy of one operation apart. */
static header *from_system(int class_index)
{
    size_t bytes = (size_t)class_bytes(class_index);
    bool large = bytes >= HUGE_PAGE;
    size_t offset = ALIGNMENT;
    if (bytes >= 16384)
        offset += (size_t)(next_colour++ % COLOURS) * COLOUR_STEP;
    void *base = NULL;
    if (posix_memalign(&base, large ? HUGE_PAGE : ALIGNMENT, bytes + ALIGNMENT + COLOURS * COLOUR_STEP) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (large)
        madvise(base, bytes, MADV_HUGEPAGE);
#endif
    header *block = (header *)((char *)base + offset - ALIGNMENT);
    block->base = base;
    block->bytes = (int64_t)bytes;
    block->class_index = class_index;
    return block;
}

static header *from_cache(int class_index)
{
    for (int i = class_index; i <= class_index + BORROW && i < CLASSES; i++) {
        header *block = free_lists[i];
        if (block) {
            free_lists[i] = block->next;
            stats.cached -= block->bytes;
            return block;
        }
    }
    return NULL;
}

/* A fork copies the lock as it is, but not the thread that may hold it: the forking thread takes it first. */
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void keep_forks_apart(void) { pthread_atfork(before_fork, after_fork, after_fork); }

void *fnn_alloc(size_t bytes)
{
    if (bytes > (size_t)1 << 46)
        return NULL;
    int class_index = class_of(bytes);
    pthread_mutex_lock(&lock);
    stats.requests++;
    header *block = from_cache(class_index);
    if (!block) {
        stats.misses++;
        block = from_system(class_index);
        if (!block && stats.cached > 0) {
            pthread_mutex_unlock(&lock);
            fnn_alloc_trim();
            pthread_mutex_lock(&lock);
            block = from_system(class_index);
        }
    }
    if (block) {
        stats.in_use += block->bytes;
        if (stats.in_use > stats.peak)
            stats.peak = stats.in_use;
    }
    pthread_mutex_unlock(&lock);
    return block ? (char *)block + ALIGNMENT : NULL;
}

void fnn_free(void *memory)
{
    if (!memory)
        return;
    header *block = (header *)((char *)memory - ALIGNMENT);
    pthread_mutex_lock(&lock);
    stats.in_use -= block->bytes;
    bool keep = stats.cached + block->bytes <= CACHE_LIMIT;
    if (keep) {
        block->next = free_lists[block->class_index];
        free_lists[block->class_index] = block;
        stats.cached += block->bytes;
    }
    pthread_mutex_unlock(&lock);
    if (!keep)
        free(block->base);
}

void fnn_alloc_trim(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < CLASSES; i++) {
        while (free_lists[i]) {
            header *block = free_lists[i];
            free_lists[i] = block->next;
            stats.cached -= block->bytes;
            free(block->base);
        }
    }
    pthread_mutex_unlock(&lock);
}

void fnn_alloc_get_stats(fnn_alloc_stats *out)
{
    pthread_mutex_lock(&lock);
    *out = stats;
    pthread_mutex_unlock(&lock);
}

void fnn_alloc_reset_peak(void)
{
    pthread_mutex_lock(&lock);
    stats.peak = stats.in_use;
    pthread_mutex_unlock(&lock);
}
