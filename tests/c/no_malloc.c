/* No call enters the heap: this program's own malloc ends it as soon as the flag is up. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>

static _Atomic bool forbidden;
static _Alignas(max_align_t) char heap[1 << 20];
static _Atomic size_t used;

static void *take(size_t size, size_t align) {
    if (forbidden) {
        static const char message[] = "no_malloc: the heap was entered\n";
        ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
        (void)ignored;
        abort();
    }
    if (align < _Alignof(max_align_t)) align = _Alignof(max_align_t);
    size_t start = atomic_fetch_add(&used, size + align + sizeof(size_t));
    uintptr_t place = ((uintptr_t)heap + start + sizeof(size_t) + align - 1) / align * align;
    if (place + size > (uintptr_t)heap + sizeof heap) abort();
    memcpy((void *)(place - sizeof size), &size, sizeof size);
    return (void *)place;
}

void *malloc(size_t size) {
    return take(size, 0);
}

void *calloc(size_t count, size_t size) {
    void *place = take(count * size, 0);
    return memset(place, 0, count * size);
}

void *realloc(void *old, size_t size) {
    void *place = take(size, 0);
    if (old != NULL) {
        size_t before;
        memcpy(&before, (char *)old - sizeof before, sizeof before);
        memcpy(place, old, before < size ? before : size);
    }
    return place;
}

void *memalign(size_t align, size_t size) {
    return take(size, align);
}

void *aligned_alloc(size_t align, size_t size) {
    return take(size, align);
}

int posix_memalign(void **place_out, size_t align, size_t size) {
    *place_out = take(size, align);
    return 0;
}

void free(void *place) {
    if (forbidden && place != NULL) abort();
}

/* --- every call --- */

static forq_mutex *m;

static int hold_and_die(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(m), 0);
    _exit(4);
}

static int wait_for_ever(void *unused) {
    (void)unused;
    while (pause() == -1) {
    }
    return 0;
}

static int square(const void *input, void *output, const void *context) {
    if (context == NULL) return 1;
    *(long *)output = *(const long *)input * *(const long *)input;
    return 0;
}

static int crash_if_three(const void *input, void *output, const void *context) {
    (void)context, (void)output;
    if (*(const long *)input == 3) raise(SIGKILL);
    return *(const long *)input == 4 ? 4 : 0;
}

static int stuck(const void *input, void *output, const void *context) {
    (void)input, (void)output, (void)context;
    return wait_for_ever(NULL);
}

static int initialize(void *unused) {
    (void)unused;
    return 0;
}

static void library_calls(void) {
    CHECK(forq_version() != NULL && forq_strerror(-EINVAL) != NULL && forq_cpu_count() > 0);
    CHECK(forq_is_robust() >= 0);
    RETURNS(forq_set_interruptible(0), 0);
    forq_backoff backoff;
    RETURNS(forq_backoff_init(&backoff), 0);
    while (forq_backoff_snooze(&backoff) == 1) {
    }
    RETURNS(forq_backoff_reset(&backoff), 0);
}

static void mutex_calls(void) {
    void *memory;
    RETURNS(forq_shared_alloc(sizeof *m, &memory), 0);
    m = memory;
    forq_mutex_statistics stats;
    RETURNS(forq_mutex_init(m, 0), 0);
    RETURNS(forq_mutex_set_name(m, "m"), 0);
    RETURNS(forq_mutex_set_name(m, NULL), 0);
    RETURNS(forq_mutex_lock(m), 0);
    RETURNS(forq_mutex_trylock(m), -EBUSY);
    RETURNS(forq_mutex_lock(m), -EDEADLK);
    RETURNS(forq_mutex_unlock(m), 0);
    RETURNS(forq_mutex_timedlock(m, SECOND), 0);
    RETURNS(forq_mutex_unlock(m), 0);
    RETURNS(forq_mutex_owner(m), 0);
    forq_process child;
    RETURNS(forq_process_spawn(&child, hold_and_die, NULL, NULL), 0);
    RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
    RETURNS(forq_mutex_lock(m), -EOWNERDEAD);
    RETURNS(forq_mutex_consistent(m), 0);
    RETURNS(forq_mutex_unlock(m), 0);
    RETURNS(forq_mutex_stats(m, &stats), 0);
    CHECK(stats.holder_deaths == 1);
    RETURNS(forq_mutex_destroy(m), 0);
    RETURNS(forq_shared_free(m, sizeof *m), 0);
}

static void other_sync_calls(void) {
    static forq_semaphore semaphore;
    static forq_event event;
    static forq_barrier barrier;
    RETURNS(forq_semaphore_init(&semaphore, 1, 2), 0);
    RETURNS(forq_semaphore_acquire(&semaphore, FORQ_FOREVER), 0);
    RETURNS(forq_semaphore_acquire(&semaphore, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_semaphore_release(&semaphore, 2), 0);
    RETURNS(forq_semaphore_release(&semaphore, 1), -EOVERFLOW);
    RETURNS(forq_semaphore_value(&semaphore), 2);
    RETURNS(forq_event_init(&event), 0);
    RETURNS(forq_event_wait(&event, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_event_set(&event), 0);
    RETURNS(forq_event_wait(&event, FORQ_FOREVER), 0);
    RETURNS(forq_event_clear(&event), 0);
    RETURNS(forq_event_is_set(&event), 0);
    RETURNS(forq_barrier_init(&barrier, 2), 0);
    RETURNS(forq_barrier_wait(&barrier, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_barrier_is_broken(&barrier), 1);
    RETURNS(forq_barrier_reset(&barrier), 0);
    RETURNS(forq_barrier_abort(&barrier), 0);
    RETURNS(forq_barrier_waiting(&barrier), 0);
    RETURNS(forq_barrier_parties(&barrier), 2);
}

static void process_calls(void) {
    const forq_process_options options = {.name = "heapless", .daemon = true, .own_group = true, .nice = 1};
    forq_process child;
    int code;
    RETURNS(forq_process_spawn(&child, wait_for_ever, NULL, &options), 0);
    CHECK(forq_process_pid(&child) > 0);
    RETURNS(forq_process_is_alive(&child), 1);
    RETURNS(forq_process_join(&child, &code, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_process_close(&child), -EBUSY);
    RETURNS(forq_process_signal(&child, SIGSTOP), 0);
    RETURNS(forq_process_terminate(&child), 0);
    RETURNS(forq_process_kill(&child), 0);
    struct pollfd entry = {.fd = forq_process_fd(&child), .events = POLLIN};
    CHECK(poll(&entry, 1, -1) == 1);
    RETURNS(forq_process_join(&child, &code, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
}

static int echo(forq_connection *parent, void *unused) {
    (void)unused;
    static char message[1 << 18];
    size_t size;
    while (forq_connection_recv(parent, message, sizeof message, &size, FORQ_FOREVER) == 0) {
        RETURNS(forq_connection_send(parent, message, size, FORQ_FOREVER), 0);
    }
    return 0;
}

static void pipe_calls(void) {
    static char message[1 << 18];
    size_t size;
    forq_connection ends[2], receiver, sender;
    RETURNS(forq_pipe(ends), 0);
    RETURNS(forq_pipe_one_way(&receiver, &sender), 0);
    RETURNS(forq_connection_send(&sender, message, sizeof message, SECOND), 0);
    RETURNS(forq_connection_recv(&receiver, NULL, 0, &size, SECOND), -EMSGSIZE);
    RETURNS(forq_connection_recv(&receiver, message, size, &size, SECOND), 0);
    RETURNS(forq_connection_recv(&receiver, message, size, &size, 0), -EAGAIN);
    RETURNS(forq_connection_send_fd(&ends[0], STDERR_FILENO, SECOND), 0);
    int fd;
    RETURNS(forq_connection_recv_fd(&ends[1], &fd, SECOND), 0);
    close(fd);
    RETURNS(forq_connection_poll(&ends[1], MILLISECOND), 0);
    int fds[100];
    bool ready[100];
    for (int i = 0; i < 100; i++) fds[i] = forq_connection_fd(&ends[i % 2]);
    RETURNS(forq_wait(fds, 100, ready, MILLISECOND), -ETIMEDOUT);
    forq_process child;
    forq_connection end;
    RETURNS(forq_process_spawn_piped(&child, echo, NULL, NULL, &end), 0);
    RETURNS(forq_connection_send(&end, message, sizeof message, FORQ_FOREVER), 0);
    RETURNS(forq_connection_recv(&end, message, sizeof message, &size, FORQ_FOREVER), 0);
    RETURNS(forq_connection_close(&end), 0);
    RETURNS(forq_process_join(&child, IGNORED, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(&child), 0);
    RETURNS(forq_connection_close(&ends[0]), 0);
    RETURNS(forq_connection_close(&ends[1]), 0);
    RETURNS(forq_connection_close(&receiver), 0);
    RETURNS(forq_connection_close(&sender), 0);
}

static void channel_calls(void) {
    forq_channel *channel;
    char message[100] = {0};
    size_t size;
    void *slot;
    const void *same;
    RETURNS(forq_channel_new(2, sizeof message, &channel), 0);
    RETURNS(forq_channel_put(channel, message, sizeof message, 0), 0);
    RETURNS(forq_channel_put(channel, message, 1, FORQ_FOREVER), 0);
    RETURNS(forq_channel_put(channel, message, 1, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_channel_get(channel, message, sizeof message, &size, 0), 0);
    RETURNS(forq_channel_reserve(channel, &slot, FORQ_FOREVER), 0);
    RETURNS(forq_channel_commit(channel, 2), 0);
    RETURNS(forq_channel_peek(channel, &same, &size, 0), 0);
    RETURNS(forq_channel_release(channel), 0);
    RETURNS(forq_channel_close(channel), 0);
    forq_channel_free(channel);
}

static void array_calls(void) {
    forq_array *array;
    forq_value *value;
    char element[100] = {0};
    RETURNS(forq_array_new(sizeof element, 10, NULL, &array), 0);
    RETURNS(forq_array_set(array, 9, element), 0);
    RETURNS(forq_array_get(array, 9, element), 0);
    CHECK(forq_array_length(array) == 10 && forq_array_data(array) != NULL && forq_array_mutex(array) != NULL);
    RETURNS(forq_value_new(8, element, &value), 0);
    RETURNS(forq_value_add_i64(value, 1, NULL), 0);
    RETURNS(forq_value_add_f64(value, 1, NULL), 0);
    RETURNS(forq_value_set(value, element), 0);
    RETURNS(forq_value_get(value, element), 0);
    forq_value_free(value);
    forq_array_free(array);
}

static void segment_calls(void) {
    char name[32];
    snprintf(name, sizeof name, "no-malloc-%d", (int)getpid());
    forq_segment *segment, *other;
    void *object;
    RETURNS(forq_segment_create(name, 4096, &segment), 0);
    RETURNS(forq_segment_create(name, 4096, &other), -EEXIST);
    RETURNS(forq_segment_object(segment, "x", 8, &object), 1);
    RETURNS(forq_segment_open(name, &other), 0);
    RETURNS(forq_segment_object(other, "x", 8, &object), 0);
    forq_segment_free(other);
    RETURNS(forq_segment_from_fd(forq_segment_fd(segment), &other), 0);
    RETURNS(forq_segment_unlink(name), 0);
    forq_segment_free(other);
    forq_segment_free(segment);
    RETURNS(forq_segment_anonymous(4096, &segment), 0);
    forq_segment_free(segment);
}

static int count_up(void *value, size_t capacity, size_t *size, int found, void *unused) {
    (void)capacity, (void)found, (void)unused;
    ++*(long *)value;
    *size = sizeof(long);
    return 0;
}

static void manager_calls(void) {
    forq_manager *manager;
    forq_list *list;
    forq_dict *dict;
    RETURNS(forq_manager_new(1 << 20, &manager), 0);
    RETURNS(forq_manager_list(manager, "list", &list), 0);
    RETURNS(forq_manager_dict(manager, "dict", &dict), 0);
    long item = 0;
    size_t size;
    for (long i = 0; i < 1000; i++) {
        RETURNS(forq_list_insert(list, (size_t)i / 2, &i, sizeof i), 0);
        RETURNS(forq_dict_set(dict, &i, sizeof i, &i, sizeof i), 0);
        RETURNS(forq_dict_update(dict, &i, sizeof i, &item, sizeof item, count_up, NULL), 0);
    }
    uint64_t cursor = 0;
    long key;
    RETURNS(forq_dict_next(dict, &cursor, &key, sizeof key, &size, &item, sizeof item, &(size_t){0}), 1);
    RETURNS(forq_list_extend(list, (const void *[]){&item}, (size_t[]){sizeof item}, 1), 0);
    RETURNS(forq_list_pop(list, &item, sizeof item, &size), 0);
    RETURNS(forq_list_remove(list, 3), 0);
    RETURNS(forq_list_clear(list), 0);
    RETURNS(forq_dict_clear(dict), 0);
    forq_manager_free(manager);
}

static void pool_calls(void) {
    const forq_pool_options options = {.workers = 2, .max_attempts = 2, .initializer = initialize};
    forq_pool *pool;
    RETURNS(forq_pool_new(&options, &pool), 0);
    static long inputs[1000], outputs[1000];
    static forq_task_status statuses[1000];
    for (long i = 0; i < 1000; i++) inputs[i] = i;
    forq_job job = {.fn = square, .context = inputs, .context_size = sizeof(long), .inputs = inputs,
                    .input_size = sizeof(long), .count = 1000, .outputs = outputs, .output_size = sizeof(long),
                    .statuses = statuses};
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), 0);
    job.fn = crash_if_three;
    RETURNS(forq_pool_map(pool, &job, FORQ_FOREVER), -ECHILD);
    CHECK(statuses[3].kind == FORQ_TASK_CRASHED && statuses[4].kind == FORQ_TASK_FAILED);
    job.fn = stuck;
    RETURNS(forq_pool_map(pool, &job, 20 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_pool_apply(pool, crash_if_three, &inputs[4], sizeof(long), NULL, 0, FORQ_FOREVER), 4);
    forq_pool_statistics stats;
    forq_worker_statistics worker;
    RETURNS(forq_pool_stats(pool, &stats), 0);
    RETURNS(forq_pool_worker_stats(pool, 0, &worker), 0);
    RETURNS(forq_pool_close(pool), 0);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    forq_pool_free(pool);
    RETURNS(forq_pool_new(NULL, &pool), 0);
    RETURNS(forq_pool_terminate(pool), 0);
    RETURNS(forq_pool_join(pool, FORQ_FOREVER), 0);
    forq_pool_free(pool);
}

static void *all_calls(void *unused) {
    (void)unused;
    for (int i = 0; i < 2; i++) {
        RUN(library_calls);
        RUN(mutex_calls);
        RUN(other_sync_calls);
        RUN(array_calls);
        RUN(segment_calls);
        RUN(manager_calls);
        RUN(process_calls);
        RUN(pipe_calls);
        RUN(channel_calls);
        RUN(pool_calls);
    }
    return NULL;
}

static _Atomic bool started, go;

static void *wait_and_call(void *unused) {
    started = true;
    WAIT_UNTIL(go);
    return all_calls(unused);
}

int main(void) {
    begin();
    free(malloc(1));
    CHECK(used > 0);
    /* A thread that is there before the flag goes up: libc's own pthread_create uses the heap. */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_and_call, NULL) == 0);
    WAIT_UNTIL(started);
    forbidden = true;
    all_calls(NULL);
    go = true;
    CHECK(pthread_join(thread, NULL) == 0);
    forbidden = false;
    return finish();
}
