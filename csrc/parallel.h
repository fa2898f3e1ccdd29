/* parallel.h - the one door to threads.
 *
 * A driver cuts its work into tasks whose number and size depend on the shape alone; which thread runs a task is
 * then without influence on the result. Tasks write disjoint memory; reductions keep one partial per task and add
 * them afterwards in a fixed order. */
#ifndef FNN_PARALLEL_H
#define FNN_PARALLEL_H

#include <stdint.h>

typedef void fnn_task(void *context, int64_t index, int thread);

/* Rough single-thread costs in nanoseconds, from which drivers estimate the work of a call. */
#define FNN_NS_PER_BYTE 0.06
#define FNN_NS_PER_FLOP 0.012
#define FNN_NS_PER_EXP 0.4 /* one element of a transcendental function */

/* How many threads fnn_parallel would use: 1 when `work_ns` would not repay waking the others (the grain rule).
 * Workspace that tasks need is allocated per thread of this count. */
int fnn_parallel_width(int64_t tasks, double work_ns);

/* Run task(context, i, thread) for i in [0, tasks) on `width` threads, thread in [0, width): contiguous equal
 * shares, so that consecutive operations find their part of an array in the same core's cache. */
void fnn_parallel(int64_t tasks, int width, fnn_task *task, void *context);

/* The same shares, each from its last task to its first: a second pass over an array then starts with what the first
 * one left in the core's cache. */
void fnn_parallel_backwards(int64_t tasks, int width, fnn_task *task, void *context);

/* The same shares, a few tasks at a time, and who has done his takes from the others: for tasks long enough (tens of
 * microseconds) that balance pays. */
void fnn_parallel_dynamic(int64_t tasks, int width, fnn_task *task, void *context);

#endif
