/* The ABI: what a program compiled with this header has taken for granted. A line may be added; one that changes takes a new SONAME. */
#include <forq.h>
#include <stddef.h>
#include <stdio.h>

#define SIZE(type, size, alignment) _Static_assert(sizeof(type) == (size) && _Alignof(type) == (alignment), #type)
#define FIELD(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)
#define VALUE(constant, value) _Static_assert((constant) == (value), #constant)

#if __SIZEOF_POINTER__ == 8
SIZE(forq_mutex, 128, 64);
SIZE(forq_mutex_statistics, 112, 8);
FIELD(forq_mutex_statistics, acquisitions, 0);
FIELD(forq_mutex_statistics, contended, 8);
FIELD(forq_mutex_statistics, slept, 16);
FIELD(forq_mutex_statistics, waited_ns, 24);
FIELD(forq_mutex_statistics, waited_max_ns, 32);
FIELD(forq_mutex_statistics, holder_deaths, 40);
FIELD(forq_mutex_statistics, reserved, 48);
SIZE(forq_semaphore, 64, 64);
SIZE(forq_condvar, 64, 64);
SIZE(forq_event, 64, 64);
SIZE(forq_barrier, 64, 64);
SIZE(forq_backoff, 8, 8);
SIZE(forq_queue_statistics, 104, 8);
FIELD(forq_queue_statistics, put, 0);
FIELD(forq_queue_statistics, got, 8);
FIELD(forq_queue_statistics, lost, 16);
FIELD(forq_queue_statistics, full_waits, 24);
FIELD(forq_queue_statistics, empty_waits, 32);
FIELD(forq_queue_statistics, reserved, 40);
SIZE(forq_connection, 32, 8);
SIZE(forq_process, 32, 8);
SIZE(forq_process_options, 80, 8);
FIELD(forq_process_options, name, 0);
FIELD(forq_process_options, daemon, 8);
FIELD(forq_process_options, own_group, 9);
FIELD(forq_process_options, nice, 12);
FIELD(forq_process_options, reserved, 16);
SIZE(forq_pool_options, 120, 8);
FIELD(forq_pool_options, workers, 0);
FIELD(forq_pool_options, max_tasks_per_worker, 4);
FIELD(forq_pool_options, max_attempts, 8);
FIELD(forq_pool_options, task_timeout_ns, 16);
FIELD(forq_pool_options, arena_size, 24);
FIELD(forq_pool_options, initializer, 32);
FIELD(forq_pool_options, initializer_argument, 40);
FIELD(forq_pool_options, ignore_interrupt, 48);
FIELD(forq_pool_options, pinned, 49);
FIELD(forq_pool_options, reserved, 56);
SIZE(forq_task_status, 8, 4);
FIELD(forq_task_status, kind, 0);
FIELD(forq_task_status, code, 4);
SIZE(forq_job, 144, 8);
FIELD(forq_job, fn, 0);
FIELD(forq_job, context, 8);
FIELD(forq_job, context_size, 16);
FIELD(forq_job, inputs, 24);
FIELD(forq_job, input_size, 32);
FIELD(forq_job, count, 40);
FIELD(forq_job, outputs, 48);
FIELD(forq_job, output_size, 56);
FIELD(forq_job, chunk_size, 64);
FIELD(forq_job, statuses, 72);
FIELD(forq_job, reserved, 80);
SIZE(forq_pool_statistics, 112, 8);
FIELD(forq_pool_statistics, workers, 0);
FIELD(forq_pool_statistics, items, 8);
FIELD(forq_pool_statistics, crashes, 16);
FIELD(forq_pool_statistics, replaced, 24);
FIELD(forq_pool_statistics, busy_ns, 32);
FIELD(forq_pool_statistics, wall_ns, 40);
FIELD(forq_pool_statistics, reserved, 48);
SIZE(forq_worker_statistics, 104, 8);
FIELD(forq_worker_statistics, pid, 0);
FIELD(forq_worker_statistics, items, 8);
FIELD(forq_worker_statistics, crashes, 16);
FIELD(forq_worker_statistics, busy_ns, 24);
FIELD(forq_worker_statistics, idle_ns, 32);
FIELD(forq_worker_statistics, reserved, 40);
SIZE(forq_stream_options, 120, 8);
FIELD(forq_stream_options, fn, 0);
FIELD(forq_stream_options, context, 8);
FIELD(forq_stream_options, context_size, 16);
FIELD(forq_stream_options, input_size, 24);
FIELD(forq_stream_options, output_size, 32);
FIELD(forq_stream_options, window, 40);
FIELD(forq_stream_options, ordered, 48);
FIELD(forq_stream_options, reserved, 56);
#endif

VALUE(FORQ_FOREVER, -1);
VALUE(FORQ_MUTEX_RECURSIVE, 1);
VALUE(FORQ_MUTEX_ANY_RELEASE, 2);
VALUE(FORQ_TASK_OK, 0);
VALUE(FORQ_TASK_FAILED, 1);
VALUE(FORQ_TASK_CRASHED, 2);
VALUE(FORQ_TASK_TIMED_OUT, 3);
VALUE(FORQ_TASK_CANCELLED, 4);
VALUE(FORQ_EXIT_UNKNOWN, INT32_MIN);

int main(void) {
    /* The library is of the header's version. */
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", FORQ_VERSION_MAJOR, FORQ_VERSION_MINOR, FORQ_VERSION_PATCH);
    for (size_t i = 0; i == 0 || version[i - 1] != 0; i++)
        if (version[i] != forq_version()[i]) return 1;
    return 0;
}
