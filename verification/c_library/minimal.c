/* A program without the C library's start files: it has no main and begins by itself. Locks, a child that dies with one, a queue, a pool. */
#include <errno.h>
#include <forq.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

static forq_mutex *mutex;

static int die(void *unused) {
    (void)unused;
    if (forq_mutex_lock(mutex) != 0) return 1;
    raise(SIGKILL);
    return 1;
}

static int square(const void *input, void *output, const void *context) {
    (void)context;
    uint64_t value = *(const uint64_t *)input;
    *(uint64_t *)output = value * value;
    return 0;
}

static int run(void) {
    void *memory;
    forq_process child;
    forq_queue *queue;
    forq_pool *pool;
    int code;
    uint64_t value = 7, got = 0;
    size_t size;
    alarm(60);
    if (forq_shared_alloc(sizeof *mutex, &memory) != 0) return 1;
    mutex = memory;
    if (forq_process_spawn(&child, die, NULL, NULL) != 0 || forq_process_join(&child, &code, FORQ_FOREVER) != 0 || code != -SIGKILL) return 2;
    if (forq_is_robust() != 1 || forq_mutex_lock(mutex) != -EOWNERDEAD || forq_mutex_consistent(mutex) != 0 || forq_mutex_unlock(mutex) != 0) return 3;
    if (forq_queue_new(4, sizeof value, &queue) != 0 || forq_queue_put(queue, &value, sizeof value, 0) != 0) return 4;
    if (forq_queue_get(queue, &got, sizeof got, &size, 0) != 0 || got != 7 || size != sizeof got) return 5;
    forq_queue_free(queue);
    if (forq_pool_new(NULL, &pool) != 0) return 6;
    if (forq_pool_apply(pool, square, &value, sizeof value, &got, sizeof got, FORQ_FOREVER) != 0 || got != 49) return 7;
    forq_pool_free(pool);
    return 0;
}

/* Where the kernel begins: on a stack that is aligned as no function's is. */
__attribute__((force_align_arg_pointer, noreturn, used)) void _start(void) { _exit(run()); }
