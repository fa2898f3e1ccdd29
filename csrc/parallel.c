#include "parallel.h"

#include "fnn.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* Entering a parallel region and its closing barrier cost one to three microseconds with warm threads: work below
 * a few times that is done faster by the caller alone. */
#define GRAIN_NS 10000.0

#define CHUNKS_PER_THREAD 8

static int thread_count = 1;

bool fnn_has_openmp(void)
{
#ifdef _OPENMP
    return true;
#else
    return false;
#endif
}

int fnn_num_threads(void) { return thread_count; }

void fnn_set_num_threads(int count)
{
#ifdef _OPENMP
    thread_count = count < 1 ? 1 : count;
    if (count > omp_get_max_threads())
        omp_set_num_threads(count);
#else
    (void)count;
#endif
}

/* libgomp's pool does not survive a fork: a parallel region in the child would wait for threads that are gone. */
void fnn_after_fork_in_child(void) { thread_count = 1; }

int fnn_parallel_width(int64_t tasks, double work_ns)
{
    int width = thread_count;
    if (width == 1 || tasks < 2 || work_ns < GRAIN_NS)
        return 1;
#ifdef _OPENMP
    /* Whoever limits OpenMP's threads from outside (threadpoolctl) limits ours. */
    if (omp_get_max_threads() < width)
        width = omp_get_max_threads();
#endif
    return tasks < width ? (int)tasks : width;
}

/* Tasks that nobody has taken yet, on a cache line of their own. */
typedef struct {
    int64_t next, end;
} __attribute__((aligned(64))) share;

static void run_serially(int64_t tasks, fnn_task *task, void *context)
{
    for (int64_t i = 0; i < tasks; i++)
        task(context, i, 0);
}

void fnn_parallel(int64_t tasks, int width, fnn_task *task, void *context)
{
    if (width <= 1) {
        run_serially(tasks, task, context);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel num_threads(width)
    {
        int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        for (int64_t i = tasks * thread / threads; i < tasks * (thread + 1) / threads; i++)
            task(context, i, (int)thread);
    }
#endif
}

void fnn_parallel_backwards(int64_t tasks, int width, fnn_task *task, void *context)
{
    if (width <= 1) {
        for (int64_t i = tasks; i-- > 0;)
            task(context, i, 0);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel num_threads(width)
    {
        int64_t thread = omp_get_thread_num(), threads = omp_get_num_threads();
        for (int64_t i = tasks * (thread + 1) / threads; i-- > tasks * thread / threads;)
            task(context, i, (int)thread);
    }
#endif
}

void fnn_parallel_dynamic(int64_t tasks, int width, fnn_task *task, void *context)
{
    if (width <= 1) {
        run_serially(tasks, task, context);
        return;
    }
#ifdef _OPENMP
    /* A few neighbouring tasks at a time: what one has fetched, the next one reads. */
    int64_t chunk = tasks / ((int64_t)width * CHUNKS_PER_THREAD);
    chunk = chunk < 1 ? 1 : chunk;
    share shares[width];
    for (int64_t i = 0; i < width; i++)
        shares[i] = (share){.next = tasks * i / width, .end = tasks * (i + 1) / width};
#pragma omp parallel num_threads(width)
    {
        int thread = omp_get_thread_num();
        for (int i = 0; i < width; i++) {
            share *from = &shares[(thread + i) % width];
            for (;;) {
                int64_t begin = __atomic_fetch_add(&from->next, chunk, __ATOMIC_RELAXED);
                int64_t end = begin + chunk < from->end ? begin + chunk : from->end;
                if (begin >= end)
                    break;
                for (int64_t index = begin; index < end; index++)
                    task(context, index, thread);
            }
        }
    }
#endif
}
