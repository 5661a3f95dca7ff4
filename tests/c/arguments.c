/* Every function with NULL for each pointer, a misaligned address for each object, 0 and SIZE_MAX for each size, a negative time for each
 * time limit, and no descriptor for each descriptor: nothing crashes, the code is the expected one, nothing is written and errno stays.
 *
 * A table: a function, what it returns when called well, and its parameters. Each call has objects of its own. Prints each function's name
 * with the codes it gave, so that verification/c_library.sh can see that none is missing and all are documented. */
#define _GNU_SOURCE
#include "check.h"

#include <limits.h>

/* As the call with good arguments. */
#define GOOD INT_MAX
#define E(code) (-E##code)

typedef struct {
    enum { NONE, OBJECT, HANDLE, IN, OUT, FUNCTION, SIZE, TIME, NUMBER64, DESCRIPTOR, VALUE } kind;
    /* HANDLE, DESCRIPTOR: where it is in the fixture. Pointers: itself. Others: the number. */
    uintptr_t value;
    int null_or_zero, max;
} parameter;

/* What an object in place gives for NULL and for a misaligned address; a handle likewise. */
#define PLACE(object) {OBJECT, (uintptr_t)&f.object, E(INVAL), E(INVAL)}
#define GRIP(handle) {HANDLE, (uintptr_t)&f.handle, E(INVAL), E(INVAL)}
#define FROM(place, null) {IN, (uintptr_t)(place), null, 0}
#define INTO(place, null) {OUT, (uintptr_t)&f.place, null, 0}
#define CODE(function, null) {FUNCTION, (uintptr_t)(function), null, 0}
#define SIZE_OF(size, zero, max) {SIZE, size, zero, max}
#define LIMIT(time) {TIME, (uintptr_t)(time), 0, 0}
#define OPEN(descriptor) {DESCRIPTOR, (uintptr_t)&f.descriptor, E(INVAL), E(INVAL)}
#define LONG(number, any) {NUMBER64, number, any, any}
#define PLAIN(number) {VALUE, (uintptr_t)(number), 0, 0}

typedef struct {
    const char *name;
    void (*function)(void);
    enum { STATUS, NUMBER, NOTHING } returns;
    int good;
    /* Ends what a good call made. */
    void (*after)(void);
    parameter parameters[8];
} row;

/* What the calls are made with, and where they write to. */
static struct {
    forq_mutex mutex, held;
    forq_semaphore semaphore;
    forq_condvar condvar;
    forq_event event;
    forq_barrier barrier;
    forq_backoff backoff;
    forq_array *array;
    forq_value *value;
    forq_queue *queue, *full;
    forq_channel *channel, *reserved, *peeked;
    forq_connection end, other, fd_end, fd_other;
    forq_process process, ended;
    forq_pool *pool, *closed;
    forq_result *result;
    forq_stream *stream;
    forq_segment *segment;
    forq_manager *manager;
    forq_list *list;
    forq_dict *dict;
    void *memory, *mapped, *spare;
    int segment_fd, manager_fd, end_fd;
    uint64_t cursor;
    /* Outputs, each with room for anything. */
    uint64_t out[64], second[64], third[64], fourth[64];
} f;

static char name[64], new_name[64];
/* One byte more than may be. */
static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";
static const uint64_t bytes[32];
static const void *items[] = {bytes, bytes};
static const size_t sizes[] = {8, 8};
static uint64_t scratch[8];

static int task(const void *input, void *output, const void *context) {
    (void)context;
    if (output != NULL && input != NULL) memcpy(output, input, 8);
    return 0;
}
static int ends(void *argument) {
    (void)argument;
    return 0;
}
static int ends_piped(forq_connection *end, void *argument) {
    (void)end, (void)argument;
    return 0;
}
static int sleeps(void *argument) {
    (void)argument;
    for (;;) pause();
    return 0;
}
static int update(void *value, size_t capacity, size_t *size, int found, void *argument) {
    (void)value, (void)capacity, (void)found, (void)argument;
    *size = 8;
    return 0;
}
static int add_f64(forq_value *v, double *before) {
    return forq_value_add_f64(v, 1.0, before);
}

static forq_job job, async_job;
static forq_stream_options stream_options;
static forq_pool_options pool_options;

static void set_up_pool(void) {
    IS(forq_pool_new(&pool_options, &f.pool), 0);
    IS(forq_pool_new(&pool_options, &f.closed), 0);
    IS(forq_pool_close(f.closed), 0);
    IS(forq_pool_apply_async(f.pool, task, bytes, 8, 8, &f.result), 0);
    IS(forq_result_wait(f.result, FORQ_FOREVER), 0);
    IS(forq_pool_stream(f.pool, &stream_options, &f.stream), 0);
    IS(forq_stream_put(f.stream, bytes, 0), 0);
    IS(forq_stream_put(f.stream, bytes, 0), 0);
    /* Until a result is there: so that taking it does not wait. */
    uint64_t index;
    IS(forq_stream_next(f.stream, &index, f.second, NULL, FORQ_FOREVER), 0);
}

static void set_up_processes(void) {
    const forq_process_options daemon = {.daemon = true};
    IS(forq_process_spawn(&f.process, sleeps, NULL, &daemon), 0);
    IS(forq_process_spawn(&f.ended, ends, NULL, NULL), 0);
    IS(forq_process_join(&f.ended, IGNORED, FORQ_FOREVER), 0);
}

static bool is_one_of(const char *function, const char *start) {
    return strncmp(function, start, strlen(start)) == 0;
}

/* What the function uses: forks take their time. */
static void set_up(const char *function) {
    memset(&f, 0, sizeof f);
    memset(scratch, 0, sizeof scratch);
    job = (forq_job){.fn = task, .inputs = bytes, .input_size = 8, .count = 4, .outputs = f.out, .output_size = 8};
    async_job = (forq_job){.fn = task, .inputs = bytes, .input_size = 8, .count = 4, .output_size = 8};
    stream_options = (forq_stream_options){.fn = task, .input_size = 8, .output_size = 8, .window = 4};
    pool_options = (forq_pool_options){.workers = 1, .arena_size = EMULATED ? 1 << 20 : 0};
    if (is_one_of(function, "forq_pool") || is_one_of(function, "forq_result") || is_one_of(function, "forq_stream")) set_up_pool();
    if (is_one_of(function, "forq_process")) set_up_processes();
    IS(forq_mutex_lock(&f.held), 0);
    IS(forq_semaphore_init(&f.semaphore, 1, 0), 0);
    IS(forq_event_set(&f.event), 0);
    IS(forq_barrier_init(&f.barrier, 1), 0);
    IS(forq_array_new(8, 4, NULL, &f.array), 0);
    IS(forq_value_new(8, NULL, &f.value), 0);
    IS(forq_queue_new(4, 64, &f.queue), 0);
    IS(forq_queue_put(f.queue, bytes, 8, 0), 0);
    IS(forq_channel_new(4, 64, &f.channel), 0);
    IS(forq_channel_put(f.channel, bytes, 8, 0), 0);
    IS(forq_channel_new(4, 64, &f.reserved), 0);
    void *slot;
    IS(forq_channel_reserve(f.reserved, &slot, 0), 0);
    IS(forq_channel_new(4, 64, &f.peeked), 0);
    IS(forq_channel_put(f.peeked, bytes, 8, 0), 0);
    const void *message;
    size_t size;
    IS(forq_channel_peek(f.peeked, &message, &size, 0), 0);
    forq_connection ends_made[2];
    IS(forq_pipe(ends_made), 0);
    f.end = ends_made[0], f.other = ends_made[1];
    IS(forq_connection_send(&f.other, bytes, 8, 0), 0);
    f.end_fd = forq_connection_fd(&f.end);
    IS(forq_pipe(ends_made), 0);
    f.fd_end = ends_made[0], f.fd_other = ends_made[1];
    IS(forq_connection_send_fd(&f.fd_other, 0, 0), 0);
    IS(forq_segment_create(name, 1 << 16, &f.segment), 0);
    f.segment_fd = forq_segment_fd(f.segment);
    IS(forq_manager_new(1 << 20, &f.manager), 0);
    f.manager_fd = forq_manager_fd(f.manager);
    IS(forq_manager_list(f.manager, "list", &f.list), 0);
    IS(forq_list_push(f.list, bytes, 8), 0);
    IS(forq_manager_dict(f.manager, "dict", &f.dict), 0);
    IS(forq_dict_set(f.dict, "key", 3, bytes, 8), 0);
    f.memory = shared_memory(1 << 16);
    f.mapped = shared_memory(1 << 16);
    f.spare = shared_memory(4096);
    IS(forq_queue_init(f.mapped, 1 << 16, 4, 64, &f.full), 0);
    memset(f.out, 0xa5, sizeof f.out);
    memset(f.second, 0xa5, sizeof f.second);
    memset(f.third, 0xa5, sizeof f.third);
    memset(f.fourth, 0xa5, sizeof f.fourth);
}

static void tear_down(void) {
    forq_stream_free(f.stream);
    forq_result_free(f.result);
    forq_pool_free(f.pool);
    forq_pool_free(f.closed);
    if (forq_process_close(&f.process) == -EBUSY) {
        forq_process_kill(&f.process);
        IS(forq_process_join(&f.process, IGNORED, FORQ_FOREVER), 0);
        IS(forq_process_close(&f.process), 0);
    }
    forq_process_close(&f.ended);
    forq_connection_close(&f.end);
    forq_connection_close(&f.other);
    forq_connection_close(&f.fd_end);
    forq_connection_close(&f.fd_other);
    if (forq_mutex_owner(&f.held) != 0) forq_mutex_unlock(&f.held);
    forq_array_free(f.array);
    forq_value_free(f.value);
    forq_queue_free(f.queue);
    forq_queue_free(f.full);
    forq_channel_free(f.channel);
    forq_channel_free(f.reserved);
    forq_channel_free(f.peeked);
    forq_segment_free(f.segment);
    forq_segment_unlink(name);
    forq_segment_unlink(new_name);
    forq_manager_free(f.manager);
    forq_shared_free(f.memory, 1 << 16);
    forq_shared_free(f.mapped, 1 << 16);
}

/* What a good call put into the first output. */
static void *made(void) {
    void *handle;
    memcpy(&handle, f.out, sizeof handle);
    return handle;
}
static void frees_memory(void) { forq_shared_free(made(), 8); }
static void frees_array(void) { forq_array_free(made()); }
static void frees_value(void) { forq_value_free(made()); }
static void frees_queue(void) { forq_queue_free(made()); }
static void frees_channel(void) { forq_channel_free(made()); }
static void frees_pool(void) { forq_pool_free(made()); }
static void frees_result(void) { forq_result_free(made()); }
static void frees_stream(void) { forq_stream_free(made()); }
static void frees_segment(void) { forq_segment_free(made()); }
static void frees_manager(void) { forq_manager_free(made()); }
static void closes_ends(void) {
    forq_connection_close((void *)f.out);
    forq_connection_close((void *)(f.out + sizeof(forq_connection) / 8));
    forq_connection_close((void *)f.second);
}
static void closes_fd(void) {
    int fd;
    memcpy(&fd, f.out, sizeof fd);
    close(fd);
}
static void ends_process(void) {
    IS(forq_process_join((void *)f.out, IGNORED, FORQ_FOREVER), 0);
    forq_process_close((void *)f.out);
    forq_connection_close((void *)f.second);
}

#define ROW(returns, function, good, after, ...) {#function, (void (*)(void))function, returns, good, after, {__VA_ARGS__}}
#define CALL(function, ...) ROW(STATUS, function, 0, NULL, __VA_ARGS__)
#define GIVES(good, function, ...) ROW(STATUS, function, good, NULL, __VA_ARGS__)
#define MAKES(after, function, ...) ROW(STATUS, function, 0, after, __VA_ARGS__)
#define FREES(function) ROW(NOTHING, function, 0, NULL, {VALUE, 0, 0, 0})
#define TELLS(function, ...) ROW(NUMBER, function, GOOD, NULL, __VA_ARGS__)

static const row rows[] = {
    MAKES(frees_memory, forq_shared_alloc, SIZE_OF(8, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    CALL(forq_shared_free, {HANDLE, (uintptr_t)&f.spare, GOOD, E(INVAL)}, SIZE_OF(4096, E(INVAL), E(INVAL))),
    CALL(forq_mutex_init, PLACE(mutex), PLAIN(0)),
    CALL(forq_mutex_lock, PLACE(mutex)),
    CALL(forq_mutex_trylock, PLACE(mutex)),
    CALL(forq_mutex_timedlock, PLACE(mutex), LIMIT(0)),
    CALL(forq_mutex_unlock, PLACE(held)),
    GIVES(E(INVAL), forq_mutex_consistent, PLACE(held)),
    CALL(forq_mutex_owner, PLACE(mutex)),
    CALL(forq_mutex_stats, PLACE(mutex), INTO(out, E(INVAL))),
    CALL(forq_mutex_destroy, PLACE(mutex)),
    CALL(forq_mutex_set_name, GRIP(memory), FROM("name", GOOD)),
    GIVES(E(INVAL), forq_mutex_set_name, PLACE(mutex), FROM("not in shared memory", E(INVAL))),
    GIVES(E(INVAL), forq_mutex_set_name, GRIP(memory), FROM(long_name, 0)),
    CALL(forq_semaphore_init, PLACE(semaphore), SIZE_OF(1, GOOD, E(INVAL)), SIZE_OF(2, GOOD, E(INVAL))),
    CALL(forq_semaphore_acquire, PLACE(semaphore), LIMIT(0)),
    CALL(forq_semaphore_release, PLACE(semaphore), SIZE_OF(1, GOOD, E(OVERFLOW))),
    GIVES(1, forq_semaphore_value, PLACE(semaphore)),
    CALL(forq_semaphore_set_name, GRIP(memory), FROM("name", GOOD)),
    CALL(forq_condvar_init, PLACE(condvar)),
    GIVES(E(AGAIN), forq_condvar_wait, PLACE(condvar), PLACE(held), LIMIT(0)),
    CALL(forq_condvar_notify_one, PLACE(condvar)),
    CALL(forq_condvar_notify, PLACE(condvar), SIZE_OF(1, GOOD, GOOD)),
    CALL(forq_condvar_notify_all, PLACE(condvar)),
    CALL(forq_condvar_waiters, PLACE(condvar)),
    CALL(forq_condvar_set_name, GRIP(memory), FROM("name", GOOD)),
    CALL(forq_event_init, PLACE(event)),
    CALL(forq_event_set, PLACE(event)),
    CALL(forq_event_clear, PLACE(event)),
    GIVES(1, forq_event_is_set, PLACE(event)),
    CALL(forq_event_wait, PLACE(event), LIMIT(0)),
    CALL(forq_event_set_name, GRIP(memory), FROM("name", GOOD)),
    CALL(forq_barrier_init, PLACE(barrier), SIZE_OF(1, E(INVAL), E(INVAL))),
    CALL(forq_barrier_wait, PLACE(barrier), LIMIT(0)),
    CALL(forq_barrier_abort, PLACE(barrier)),
    CALL(forq_barrier_reset, PLACE(barrier)),
    CALL(forq_barrier_is_broken, PLACE(barrier)),
    CALL(forq_barrier_waiting, PLACE(barrier)),
    GIVES(1, forq_barrier_parties, PLACE(barrier)),
    CALL(forq_barrier_set_name, GRIP(memory), FROM("name", GOOD)),
    CALL(forq_backoff_init, PLACE(backoff)),
    GIVES(1, forq_backoff_snooze, PLACE(backoff)),
    CALL(forq_backoff_reset, PLACE(backoff)),
    MAKES(frees_array, forq_array_new, SIZE_OF(8, E(INVAL), E(INVAL)), SIZE_OF(4, E(INVAL), E(INVAL)), FROM(bytes, GOOD), INTO(out, E(INVAL))),
    FREES(forq_array_free),
    TELLS(forq_array_length, GRIP(array)),
    TELLS(forq_array_data, GRIP(array)),
    TELLS(forq_array_mutex, GRIP(array)),
    CALL(forq_array_get, GRIP(array), SIZE_OF(1, GOOD, E(RANGE)), INTO(out, E(INVAL))),
    CALL(forq_array_set, GRIP(array), SIZE_OF(1, GOOD, E(RANGE)), FROM(bytes, E(INVAL))),
    MAKES(frees_value, forq_value_new, SIZE_OF(8, E(INVAL), E(INVAL)), FROM(bytes, GOOD), INTO(out, E(INVAL))),
    FREES(forq_value_free),
    CALL(forq_value_get, GRIP(value), INTO(out, E(INVAL))),
    CALL(forq_value_set, GRIP(value), FROM(bytes, E(INVAL))),
    CALL(forq_value_add_i64, GRIP(value), LONG(1, GOOD), INTO(out, GOOD)),
    {"forq_value_add_f64", (void (*)(void))add_f64, STATUS, 0, NULL, {GRIP(value), INTO(out, GOOD)}},
    TELLS(forq_value_data, GRIP(value)),
    TELLS(forq_value_mutex, GRIP(value)),
    MAKES(frees_queue, forq_queue_new, SIZE_OF(4, E(INVAL), E(INVAL)), SIZE_OF(64, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    TELLS(forq_queue_required_size, SIZE_OF(4, 0, 0), SIZE_OF(64, 0, 0)),
    MAKES(frees_queue, forq_queue_init, {HANDLE, (uintptr_t)&f.memory, E(INVAL), E(INVAL)}, SIZE_OF(1 << 16, E(INVAL), GOOD), SIZE_OF(4, E(INVAL), E(INVAL)),
          SIZE_OF(64, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_queue, forq_queue_attach, {HANDLE, (uintptr_t)&f.mapped, E(INVAL), E(INVAL)}, SIZE_OF(1 << 16, E(PROTO), GOOD), INTO(out, E(INVAL))),
    FREES(forq_queue_free),
    CALL(forq_queue_put, GRIP(queue), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(MSGSIZE)), LIMIT(0)),
    CALL(forq_queue_get, GRIP(queue), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, GOOD), LIMIT(0)),
    GIVES(1, forq_queue_len, GRIP(queue)),
    CALL(forq_queue_close, GRIP(queue)),
    CALL(forq_queue_task_done, GRIP(queue)),
    GIVES(E(AGAIN), forq_queue_join, GRIP(queue), LIMIT(0)),
    CALL(forq_queue_stats, GRIP(queue), INTO(out, E(INVAL))),
    CALL(forq_queue_put_many, GRIP(queue), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), SIZE_OF(2, GOOD, E(INVAL)), INTO(out, E(INVAL)), LIMIT(0)),
    CALL(forq_queue_get_many, GRIP(queue), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), E(INVAL)), SIZE_OF(2, GOOD, E(INVAL)), INTO(second, E(INVAL)), LIMIT(0)),
    GIVES(GOOD, forq_queue_fd, GRIP(queue)),
    CALL(forq_queue_set_name, GRIP(queue), FROM("name", GOOD)),
    MAKES(frees_channel, forq_channel_new, SIZE_OF(4, E(INVAL), E(INVAL)), SIZE_OF(64, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    FREES(forq_channel_free),
    CALL(forq_channel_put, GRIP(channel), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(MSGSIZE)), LIMIT(0)),
    CALL(forq_channel_get, GRIP(channel), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, E(INVAL)), LIMIT(0)),
    CALL(forq_channel_reserve, GRIP(channel), INTO(out, E(INVAL)), LIMIT(0)),
    CALL(forq_channel_commit, GRIP(reserved), SIZE_OF(8, GOOD, E(MSGSIZE))),
    CALL(forq_channel_peek, GRIP(channel), INTO(out, E(INVAL)), INTO(second, E(INVAL)), LIMIT(0)),
    CALL(forq_channel_release, GRIP(peeked)),
    CALL(forq_channel_close, GRIP(channel)),
    CALL(forq_channel_set_name, GRIP(channel), FROM("name", GOOD)),
    MAKES(closes_ends, forq_pipe, INTO(out, E(INVAL))),
    MAKES(closes_ends, forq_pipe_one_way, INTO(out, E(INVAL)), INTO(second, E(INVAL))),
    CALL(forq_connection_send, PLACE(end), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), LIMIT(0)),
    CALL(forq_connection_recv, PLACE(end), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, E(INVAL)), LIMIT(0)),
    GIVES(1, forq_connection_poll, PLACE(end), LIMIT(0)),
    GIVES(GOOD, forq_connection_fd, PLACE(end)),
    CALL(forq_connection_send_fd, PLACE(end), OPEN(segment_fd), LIMIT(0)),
    MAKES(closes_fd, forq_connection_recv_fd, PLACE(fd_end), INTO(out, E(INVAL)), LIMIT(0)),
    CALL(forq_connection_close, PLACE(end)),
    GIVES(1, forq_wait, FROM(&f.end_fd, E(INVAL)), SIZE_OF(1, E(INVAL), E(INVAL)), INTO(out, E(INVAL)), LIMIT(0)),
    MAKES(ends_process, forq_process_spawn, INTO(out, E(INVAL)), CODE(ends, E(INVAL)), FROM(bytes, GOOD), FROM(bytes, GOOD)),
    MAKES(ends_process, forq_process_spawn_piped, INTO(out, E(INVAL)), CODE(ends_piped, E(INVAL)), FROM(bytes, GOOD), FROM(bytes, GOOD), INTO(second, E(INVAL))),
    CALL(forq_process_join, PLACE(ended), INTO(out, E(INVAL)), LIMIT(0)),
    GIVES(1, forq_process_is_alive, PLACE(process)),
    CALL(forq_process_signal, PLACE(process), SIZE_OF(SIGCONT, GOOD, E(INVAL))),
    CALL(forq_process_terminate, PLACE(process)),
    CALL(forq_process_kill, PLACE(process)),
    GIVES(GOOD, forq_process_pid, PLACE(process)),
    GIVES(GOOD, forq_process_fd, PLACE(process)),
    CALL(forq_process_close, PLACE(ended)),
    MAKES(frees_pool, forq_pool_new, FROM(&pool_options, GOOD), INTO(out, E(INVAL))),
    CALL(forq_pool_apply, GRIP(pool), CODE(task, E(INVAL)), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), INTO(out, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), LIMIT(FORQ_FOREVER)),
    CALL(forq_pool_map, GRIP(pool), FROM(&job, E(INVAL)), LIMIT(FORQ_FOREVER)),
    CALL(forq_pool_close, GRIP(pool)),
    CALL(forq_pool_terminate, GRIP(pool)),
    CALL(forq_pool_join, GRIP(closed), LIMIT(FORQ_FOREVER)),
    CALL(forq_pool_stats, GRIP(pool), INTO(out, E(INVAL))),
    CALL(forq_pool_worker_stats, GRIP(pool), SIZE_OF(0, GOOD, E(RANGE)), INTO(out, E(INVAL))),
    CALL(forq_pool_set_name, GRIP(pool), FROM("name", GOOD)),
    FREES(forq_pool_free),
    MAKES(frees_result, forq_pool_apply_async, GRIP(pool), CODE(task, E(INVAL)), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_result, forq_pool_map_async, GRIP(pool), FROM(&async_job, E(INVAL)), INTO(out, E(INVAL))),
    CALL(forq_result_wait, GRIP(result), LIMIT(0)),
    GIVES(1, forq_result_ready, GRIP(result)),
    CALL(forq_result_get, GRIP(result), INTO(out, E(INVAL)), INTO(second, GOOD), LIMIT(0)),
    GIVES(E(BUSY), forq_result_cancel, GRIP(result)),
    GIVES(GOOD, forq_result_fd, GRIP(result)),
    FREES(forq_result_free),
    MAKES(frees_stream, forq_pool_stream, GRIP(pool), FROM(&stream_options, E(INVAL)), INTO(out, E(INVAL))),
    CALL(forq_stream_put, GRIP(stream), FROM(bytes, E(INVAL)), LIMIT(0)),
    CALL(forq_stream_finish, GRIP(stream)),
    CALL(forq_stream_next, GRIP(stream), INTO(out, GOOD), INTO(second, E(INVAL)), INTO(third, GOOD), LIMIT(FORQ_FOREVER)),
    FREES(forq_stream_free),
    MAKES(frees_segment, forq_segment_create, FROM(new_name, E(INVAL)), SIZE_OF(1 << 16, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_segment, forq_segment_open, FROM(name, E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_segment, forq_segment_anonymous, SIZE_OF(1 << 16, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_segment, forq_segment_from_fd, OPEN(segment_fd), INTO(out, E(INVAL))),
    GIVES(GOOD, forq_segment_fd, GRIP(segment)),
    CALL(forq_segment_unlink, FROM(name, E(INVAL))),
    FREES(forq_segment_free),
    GIVES(1, forq_segment_object, GRIP(segment), FROM("object", E(INVAL)), SIZE_OF(64, E(INVAL), E(NOSPC)), INTO(out, E(INVAL))),
    CALL(forq_list_push, GRIP(list), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL))),
    CALL(forq_list_get, GRIP(list), SIZE_OF(0, GOOD, E(RANGE)), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, E(INVAL))),
    CALL(forq_list_set, GRIP(list), SIZE_OF(0, GOOD, E(RANGE)), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL))),
    CALL(forq_list_insert, GRIP(list), SIZE_OF(0, GOOD, E(RANGE)), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL))),
    CALL(forq_list_remove, GRIP(list), SIZE_OF(0, GOOD, E(RANGE))),
    CALL(forq_list_pop, GRIP(list), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, E(INVAL))),
    GIVES(1, forq_list_len, GRIP(list)),
    CALL(forq_list_clear, GRIP(list)),
    CALL(forq_list_extend, GRIP(list), FROM(items, E(INVAL)), FROM(sizes, E(INVAL)), SIZE_OF(2, GOOD, E(INVAL))),
    TELLS(forq_list_handle, GRIP(list)),
    CALL(forq_dict_set, GRIP(dict), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL)), FROM(bytes, E(INVAL)), SIZE_OF(8, GOOD, E(INVAL))),
    CALL(forq_dict_get, GRIP(dict), FROM("key", E(INVAL)), SIZE_OF(3, E(NOENT), E(INVAL)), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, E(INVAL))),
    CALL(forq_dict_remove, GRIP(dict), FROM("key", E(INVAL)), SIZE_OF(3, E(NOENT), E(INVAL))),
    GIVES(1, forq_dict_contains, GRIP(dict), FROM("key", E(INVAL)), SIZE_OF(3, 0, E(INVAL))),
    GIVES(1, forq_dict_len, GRIP(dict)),
    CALL(forq_dict_clear, GRIP(dict)),
    GIVES(1, forq_dict_next, GRIP(dict), FROM(&f.cursor, E(INVAL)), INTO(out, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(second, E(INVAL)),
          INTO(third, E(INVAL)), SIZE_OF(8, E(MSGSIZE), GOOD), INTO(fourth, E(INVAL))),
    CALL(forq_dict_update, GRIP(dict), FROM("key", E(INVAL)), SIZE_OF(3, GOOD, E(INVAL)), FROM(scratch, E(INVAL)), SIZE_OF(8, E(MSGSIZE), E(INVAL)),
         CODE(update, E(INVAL)), FROM(bytes, GOOD)),
    TELLS(forq_dict_handle, GRIP(dict)),
    MAKES(frees_manager, forq_manager_new, SIZE_OF(1 << 16, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_manager, forq_manager_create, FROM(new_name, E(INVAL)), SIZE_OF(1 << 16, E(INVAL), E(INVAL)), INTO(out, E(INVAL))),
    GIVES(E(PROTO), forq_manager_open, FROM(name, E(INVAL)), INTO(out, E(INVAL))),
    MAKES(frees_manager, forq_manager_from_fd, OPEN(manager_fd), INTO(out, E(INVAL))),
    GIVES(GOOD, forq_manager_fd, GRIP(manager)),
    FREES(forq_manager_free),
    CALL(forq_manager_list, GRIP(manager), FROM("list", E(INVAL)), INTO(out, E(INVAL))),
    CALL(forq_manager_dict, GRIP(manager), FROM("dict", E(INVAL)), INTO(out, E(INVAL))),
    CALL(forq_manager_list_new, GRIP(manager), INTO(out, E(INVAL))),
    CALL(forq_manager_dict_new, GRIP(manager), INTO(out, E(INVAL))),
    GIVES(E(PROTO), forq_manager_list_of, GRIP(manager), LONG(12345, E(PROTO)), INTO(out, E(INVAL))),
    GIVES(E(PROTO), forq_manager_dict_of, GRIP(manager), LONG(12345, E(PROTO)), INTO(out, E(INVAL))),
    CALL(forq_manager_space, GRIP(manager), INTO(out, E(INVAL)), INTO(second, E(INVAL))),
};
#define ROWS (sizeof rows / sizeof *rows)

static size_t count_of(const row *r) {
    size_t count = 0;
    while (count < 8 && r->parameters[count].kind != NONE) count++;
    return count;
}

/* All parameters are words, in registers or on the stack: every function can be called as if it had eight. Of 64 bits, where
 * words have 32, they are two, the lower first, as i686 has them. */
static int64_t call(const row *r, const uint64_t a[8]) {
    typedef int (*status_fn)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);
    typedef uintptr_t (*number_fn)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);
    uintptr_t w[16] = {0};
    size_t words = 0;
    for (size_t i = 0; i < count_of(r); i++) {
        bool wide = r->parameters[i].kind == TIME || r->parameters[i].kind == NUMBER64;
        w[words++] = (uintptr_t)a[i];
        if (wide && !WIDE) w[words++] = (uintptr_t)(a[i] >> 32);
    }
    CHECK(words <= 8);
    if (r->returns == STATUS) return ((status_fn)r->function)(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
    return (int64_t)((number_fn)r->function)(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
}

static bool untouched(const uint64_t place[64]) {
    for (int i = 0; i < 64; i++)
        if (place[i] != UINT64_C(0xa5a5a5a5a5a5a5a5)) return false;
    return true;
}

static int faults, calls;

/* Calls it well but for one argument (-1: none). */
static void try(const row *r, int wrong, uint64_t argument, int expected, const char *what) {
    set_up(r->name);
    uint64_t a[8] = {0};
    for (size_t i = 0; i < 8; i++) {
        const parameter *p = &r->parameters[i];
        a[i] = p->kind == HANDLE ? *(uintptr_t *)p->value : p->kind == DESCRIPTOR ? (uintptr_t)*(int *)p->value
             : p->kind == TIME    ? (uint64_t)(intptr_t)p->value
                                  : p->value;
        if ((int)i == wrong) a[i] = p->kind == OBJECT || p->kind == HANDLE ? (argument == 1 ? a[i] + 1 : argument) : argument;
    }
    static char message[128];
    snprintf(message, sizeof message, "%s, parameter %d %s", r->name, wrong, what);
    running = message;
    alarm(EMULATED ? 200 : 60);
    errno = 1234;
    int64_t got = call(r, a);
    int errno_after = errno;
    calls++;
    if (expected == GOOD) expected = r->good;
    bool as_expected = r->returns == NOTHING || (expected == GOOD ? got > 0 : got == expected);
    if (r->returns == STATUS && got < 0) printf("%s %d\n", r->name, (int)got);
    if (!as_expected) fprintf(stderr, "%s: gave %ld, not %d\n", message, (long)got, expected), faults++;
    if (errno_after != 1234) fprintf(stderr, "%s: errno is %d\n", message, errno_after), faults++;
    /* What does not fit is told: its size is. */
    if (r->returns == STATUS && got < 0 && got != E(MSGSIZE) && !(untouched(f.out) && untouched(f.second) && untouched(f.third) && untouched(f.fourth)))
        fprintf(stderr, "%s: wrote an output\n", message), faults++;
    if (r->after != NULL && got >= 0) r->after();
    tear_down();
}

static void try_all(const row *r) {
    if (r->returns == NOTHING) {
        try(r, 0, 0, 0, "NULL");
        return;
    }
    try(r, -1, 0, r->good, "well");
    for (size_t i = 0; i < count_of(r); i++) {
        const parameter *p = &r->parameters[i];
        int wrong = (int)i, null = r->returns == NUMBER ? 0 : p->null_or_zero, max = r->returns == NUMBER ? 0 : p->max;
        switch (p->kind) {
        case OBJECT:
        case HANDLE:
            try(r, wrong, 0, null, "NULL");
            try(r, wrong, 1, max, "misaligned");
            break;
        case IN:
        case OUT:
        case FUNCTION: try(r, wrong, 0, null, "NULL"); break;
        case SIZE:
            try(r, wrong, 0, null, "0");
            try(r, wrong, SIZE_MAX, max, "SIZE_MAX");
            break;
        case TIME:
            try(r, wrong, (uint64_t)-2, E(INVAL), "-2");
            try(r, wrong, (uint64_t)INT64_MIN, E(INVAL), "INT64_MIN");
            break;
        case NUMBER64:
            try(r, wrong, 0, null, "0");
            try(r, wrong, UINT64_MAX, max, "UINT64_MAX");
            break;
        case DESCRIPTOR:
            try(r, wrong, (uint64_t)-1, null, "-1");
            try(r, wrong, INT_MAX, max, "INT_MAX");
            break;
        case VALUE:
        case NONE: break;
        }
    }
}

/* The structures that calls are told by: each pointer NULL, each size 0 and SIZE_MAX, a reserved field set. */
#define FIELD(structure, field, wrong, function, expected)                                                                                 \
    do {                                                                                                                                   \
        set_up("forq_pool");                                                                                                               \
        structure.field = wrong;                                                                                                           \
        running = #function " with " #field " " #wrong;                                                                                    \
        alarm(EMULATED ? 200 : 60);                                                                                                                         \
        long got_ = function;                                                                                                              \
        calls++;                                                                                                                           \
        if (got_ != (expected)) fprintf(stderr, "%s: gave %ld, not " #expected "\n", running, got_), faults++;                            \
        tear_down();                                                                                                                       \
    } while (0)

static int map_now(void) { return forq_pool_map(f.pool, &job, SECOND * 30); }
static int map_later(void) {
    forq_result *result = NULL;
    int status = forq_pool_map_async(f.pool, &async_job, &result);
    forq_result_free(result);
    return status;
}
static int stream_made(void) {
    forq_stream *stream = NULL;
    int status = forq_pool_stream(f.pool, &stream_options, &stream);
    forq_stream_free(stream);
    return status;
}
static int pool_made(void) {
    forq_pool *pool = NULL;
    int status = forq_pool_new(&pool_options, &pool);
    forq_pool_free(pool);
    return status;
}

static void structures(void) {
    FIELD(job, fn, NULL, map_now(), E(INVAL));
    FIELD(job, context_size, 8, map_now(), E(INVAL));
    FIELD(job, context_size, SIZE_MAX, map_now(), E(INVAL));
    FIELD(job, inputs, NULL, map_now(), E(INVAL));
    FIELD(job, input_size, 0, map_now(), 0);
    FIELD(job, input_size, SIZE_MAX, map_now(), E(INVAL));
    FIELD(job, count, 0, map_now(), 0);
    FIELD(job, count, SIZE_MAX, map_now(), E(INVAL));
    FIELD(job, outputs, NULL, map_now(), E(INVAL));
    FIELD(job, output_size, 0, map_now(), 0);
    FIELD(job, output_size, SIZE_MAX, map_now(), E(INVAL));
    FIELD(job, chunk_size, SIZE_MAX, map_now(), 0);
    FIELD(job, reserved[7], 1, map_now(), E(INVAL));
    FIELD(async_job, fn, NULL, map_later(), E(INVAL));
    FIELD(async_job, context_size, 8, map_later(), E(INVAL));
    FIELD(async_job, inputs, NULL, map_later(), E(INVAL));
    FIELD(async_job, input_size, SIZE_MAX, map_later(), E(INVAL));
    FIELD(async_job, count, 0, map_later(), 0);
    FIELD(async_job, count, SIZE_MAX, map_later(), E(INVAL));
    FIELD(async_job, outputs, f.out, map_later(), E(INVAL));
    FIELD(async_job, output_size, SIZE_MAX, map_later(), E(INVAL));
    FIELD(async_job, chunk_size, SIZE_MAX, map_later(), 0);
    FIELD(async_job, reserved[7], 1, map_later(), E(INVAL));
    FIELD(stream_options, fn, NULL, stream_made(), E(INVAL));
    FIELD(stream_options, context_size, 8, stream_made(), E(INVAL));
    FIELD(stream_options, input_size, 0, stream_made(), 0);
    FIELD(stream_options, input_size, SIZE_MAX, stream_made(), E(INVAL));
    FIELD(stream_options, output_size, 0, stream_made(), 0);
    FIELD(stream_options, output_size, SIZE_MAX, stream_made(), E(INVAL));
    FIELD(stream_options, window, 0, stream_made(), E(INVAL));
    FIELD(stream_options, window, SIZE_MAX, stream_made(), E(INVAL));
    FIELD(stream_options, reserved[7], 1, stream_made(), E(INVAL));
    FIELD(pool_options, workers, UINT32_MAX, pool_made(), E(INVAL));
    FIELD(pool_options, max_tasks_per_worker, UINT32_MAX, pool_made(), 0);
    FIELD(pool_options, max_attempts, UINT32_MAX, pool_made(), 0);
    FIELD(pool_options, task_timeout_ns, INT64_MIN, pool_made(), E(INVAL));
    FIELD(pool_options, arena_size, 1, pool_made(), 0);
    FIELD(pool_options, arena_size, SIZE_MAX, pool_made(), E(INVAL));
    FIELD(pool_options, reserved[7], 1, pool_made(), E(INVAL));
}

int main(void) {
    begin();
    snprintf(name, sizeof name, "forq-arguments-%d", (int)getpid());
    snprintf(new_name, sizeof new_name, "forq-arguments-new-%d", (int)getpid());
    for (size_t i = 0; i < ROWS; i++) {
        printf("%s 0\n", rows[i].name);
        fflush(stdout);
        try_all(&rows[i]);
    }
    structures();
    CHECK(forq_strerror(0) != NULL && forq_strerror(INT_MIN) != NULL && forq_strerror(INT_MAX) != NULL && forq_strerror(-1) != NULL);
    fprintf(stderr, "%d calls, %d faults\n", calls, faults);
    if (faults > 0) return 1;
    return finish();
}
