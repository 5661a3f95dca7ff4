/* forq_queue: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

/* Sleepers look by themselves after 250 ms; the fastest of those that must be woken must be faster. */
static int64_t fastest_wake = INT64_MAX;

static void note_wake(int64_t start) {
    int64_t taken = now_ns() - start;
    if (taken < fastest_wake) fastest_wake = taken;
}

_Static_assert(sizeof(forq_queue_statistics) == 13 * 8, "frozen");

static forq_queue *new_queue(size_t capacity, size_t message_size) {
    forq_queue *q = NULL;
    RETURNS(forq_queue_new(capacity, message_size, &q), 0);
    CHECK(q != NULL);
    return q;
}

static void put_number(forq_queue *q, uint64_t number) {
    RETURNS(forq_queue_put(q, &number, sizeof number, FORQ_FOREVER), 0);
}

static uint64_t get_number(forq_queue *q) {
    uint64_t number = 0;
    size_t size = 0;
    RETURNS(forq_queue_get(q, &number, sizeof number, &size, FORQ_FOREVER), 0);
    IS(size, sizeof number);
    return number;
}

static int take_one(void *q) {
    uint64_t number;
    return forq_queue_get(q, &number, sizeof number, NULL, FORQ_FOREVER) == 0 ? 0 : 1;
}

static int put_one(void *q) {
    uint64_t number = 77;
    return forq_queue_put(q, &number, sizeof number, FORQ_FOREVER) == 0 ? 0 : 1;
}

static pid_t asleep_in(int (*function)(void *), void *argument) {
    pid_t pid = in_child(function, argument);
    WAIT_UNTIL(is_asleep(pid));
    return pid;
}

static const int64_t bad_times[] = {-2, -SECOND, INT64_MIN};

static void null_is_refused_everywhere(void) {
    char buffer[8] = {0};
    size_t size = 99, done = 99;
    forq_queue_statistics told;
    RETURNS(forq_queue_new(1, 8, NULL), -EINVAL);
    forq_queue *none = NULL;
    RETURNS(forq_queue_init(NULL, 4096, 1, 8, &none), -EINVAL);
    RETURNS(forq_queue_attach(NULL, 4096, &none), -EINVAL);
    void *memory = shared_memory(4096);
    RETURNS(forq_queue_init(memory, 4096, 1, 8, NULL), -EINVAL);
    RETURNS(forq_queue_attach(memory, 4096, NULL), -EINVAL);
    CHECK(none == NULL);
    RETURNS(forq_shared_free(memory, 4096), 0);
    forq_queue_free(NULL);
    for (size_t i = 0; i < 2; i++) {
        /* Nor a place where none can be. */
        forq_queue *bad = i == 0 ? NULL : (forq_queue *)(void *)(buffer + 1);
        RETURNS(forq_queue_put(bad, buffer, 1, 0), -EINVAL);
        RETURNS(forq_queue_get(bad, buffer, 8, &size, 0), -EINVAL);
        RETURNS(forq_queue_len(bad), -EINVAL);
        RETURNS(forq_queue_close(bad), -EINVAL);
        RETURNS(forq_queue_task_done(bad), -EINVAL);
        RETURNS(forq_queue_join(bad, 0), -EINVAL);
        RETURNS(forq_queue_stats(bad, &told), -EINVAL);
        RETURNS(forq_queue_put_many(bad, buffer, 1, 1, &done, 0), -EINVAL);
        RETURNS(forq_queue_get_many(bad, buffer, 1, 1, &done, 0), -EINVAL);
    }
    forq_queue *q = new_queue(4, 8);
    RETURNS(forq_queue_put(q, NULL, 1, 0), -EINVAL);
    RETURNS(forq_queue_put_many(q, NULL, 1, 1, &done, 0), -EINVAL);
    RETURNS(forq_queue_put_many(q, buffer, 1, 1, NULL, 0), -EINVAL);
    RETURNS(forq_queue_stats(q, NULL), -EINVAL);
    IS(forq_queue_len(q), 0);
    put_number(q, 5);
    RETURNS(forq_queue_get(q, NULL, 8, &size, 0), -EINVAL);
    RETURNS(forq_queue_get_many(q, NULL, 8, 1, &done, 0), -EINVAL);
    RETURNS(forq_queue_get_many(q, buffer, 8, 1, NULL, 0), -EINVAL);
    IS(forq_queue_len(q), 1);
    CHECK(size == 99 && done == 99);
    /* Who does not ask for the size is not told. */
    RETURNS(forq_queue_get(q, buffer, 8, NULL, 0), 0);
    IS(buffer[0], 5);
    forq_queue_free(q);
}

static void sizes_that_cannot_be_are_refused(void) {
    static const size_t bad[][2] = {{0, 0},          {0, 8},        {8, 0},        {SIZE_MAX, 1},       {1, SIZE_MAX},
                                    {SIZE_MAX, SIZE_MAX}, {SIZE_MAX, 0}, {0, SIZE_MAX}, {SIZE_MAX / 8, 16},
                                    {(size_t)1 << 31, UINT32_MAX}, {((size_t)1 << 31) + 1, 1}, {1, POWER(32)}};
    size_t room = 1 << 16;
    char *memory = shared_memory(room);
    forq_queue *q = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        RETURNS(forq_queue_new(bad[i][0], bad[i][1], &q), -EINVAL);
        RETURNS(forq_queue_init(memory, room, bad[i][0], bad[i][1], &q), -EINVAL);
        RETURNS(forq_queue_init(memory, SIZE_MAX, bad[i][0], bad[i][1], &q), -EINVAL);
        CHECK(forq_queue_required_size(bad[i][0], bad[i][1]) == 0);
    }
    size_t needed = forq_queue_required_size(6, 8);
    CHECK(needed >= 6 * 16 && needed <= room);
    const size_t small[] = {0, 1, 64, needed - 1};
    for (size_t i = 0; i < 4; i++) RETURNS(forq_queue_init(memory, small[i], 6, 8, &q), -EINVAL);
    const size_t crooked[] = {1, 8, 32, 63};
    for (size_t i = 0; i < 4; i++) {
        RETURNS(forq_queue_init(memory + crooked[i], needed, 6, 8, &q), -EINVAL);
        RETURNS(forq_queue_attach(memory + crooked[i], needed, &q), -EINVAL);
    }
    RETURNS(forq_queue_attach(memory, room, &q), -EPROTO);
    RETURNS(forq_queue_attach(memory, 0, &q), -EPROTO);
    CHECK(q == NULL);
    RETURNS(forq_queue_init(memory, needed, 6, 8, &q), 0);
    forq_queue *other = NULL;
    for (size_t i = 0; i < 4; i++) RETURNS(forq_queue_attach(memory, small[i], &other), -EPROTO);
    CHECK(other == NULL);
    forq_queue_free(q);
    RETURNS(forq_shared_free(memory, room), 0);

    /* Of calls on a queue. */
    char buffer[8] = {0};
    size_t size = 99, done = 99;
    q = new_queue(2, 8);
    for (size_t i = 0; i < 3; i++) {
        RETURNS(forq_queue_put(q, buffer, 8, bad_times[i]), -EINVAL);
        RETURNS(forq_queue_get(q, buffer, 8, &size, bad_times[i]), -EINVAL);
        RETURNS(forq_queue_join(q, bad_times[i]), -EINVAL);
        RETURNS(forq_queue_put_many(q, buffer, 8, 1, &done, bad_times[i]), -EINVAL);
        RETURNS(forq_queue_get_many(q, buffer, 8, 1, &done, bad_times[i]), -EINVAL);
    }
    RETURNS(forq_queue_put_many(q, buffer, SIZE_MAX, 2, &done, 0), -EINVAL);
    RETURNS(forq_queue_put_many(q, buffer, 2, SIZE_MAX, &done, 0), -EINVAL);
    RETURNS(forq_queue_put_many(q, buffer, 1, SIZE_MAX, &done, 0), -EINVAL);
    RETURNS(forq_queue_get_many(q, buffer, SIZE_MAX, 2, &done, 0), -EINVAL);
    RETURNS(forq_queue_get_many(q, buffer, 2, SIZE_MAX, &done, 0), -EINVAL);
    RETURNS(forq_queue_get_many(q, buffer, 1, SIZE_MAX, &done, 0), -EINVAL);
    CHECK(size == 99 && done == 99);
    int result = forq_queue_put(q, buffer, SIZE_MAX, 0);
    CHECK(result == -EINVAL || result == -EMSGSIZE);
    IS(forq_queue_len(q), 0);
    /* A buffer may be said to be larger than any is. */
    put_number(q, 3);
    RETURNS(forq_queue_get(q, buffer, SIZE_MAX, &size, 0), 0);
    IS(size, 8);
    /* No messages are none. */
    RETURNS(forq_queue_put_many(q, NULL, 8, 0, &done, 0), 0);
    IS(done, 0);
    done = 99;
    RETURNS(forq_queue_get_many(q, NULL, 8, 0, &done, 0), 0);
    IS(done, 0);
    forq_queue_free(q);
}

static void the_capacity_is_exact(void) {
    static const size_t capacities[] = {1, 2, 3, 6, 1000};
    for (size_t i = 0; i < 5; i++) {
        size_t capacity = capacities[i];
        forq_queue *q = new_queue(capacity, 8);
        for (int round = 0; round < 3; round++) {
            for (uint64_t n = 0; n < capacity; n++) {
                IS(forq_queue_len(q), (long)n);
                RETURNS(forq_queue_put(q, &n, 8, 0), 0);
            }
            uint64_t more = 77;
            RETURNS(forq_queue_put(q, &more, 8, 0), -EAGAIN);
            RETURNS(forq_queue_put(q, &more, 8, 1), -ETIMEDOUT);
            IS(forq_queue_len(q), (long)capacity);
            for (uint64_t n = 0; n < capacity; n++) CHECK(get_number(q) == n);
            RETURNS(forq_queue_get(q, &more, 8, NULL, 0), -EAGAIN);
        }
        forq_queue_free(q);
    }
}

static void messages_have_any_length_and_stay_if_they_do_not_fit(void) {
    forq_queue *q = new_queue(3, 64);
    char message[65], buffer[64];
    memset(message, 'm', sizeof message);
    size_t size = 99;
    RETURNS(forq_queue_put(q, message, 65, FORQ_FOREVER), -EMSGSIZE);
    RETURNS(forq_queue_put(q, message, 64, FORQ_FOREVER), 0);
    RETURNS(forq_queue_put(q, NULL, 0, FORQ_FOREVER), 0);
    RETURNS(forq_queue_put(q, message, 7, FORQ_FOREVER), 0);
    RETURNS(forq_queue_put(q, message, 65, FORQ_FOREVER), -EMSGSIZE);
    memset(buffer, 0, sizeof buffer);
    RETURNS(forq_queue_get(q, buffer, 63, &size, FORQ_FOREVER), -EMSGSIZE);
    CHECK(size == 64 && buffer[0] == 0);
    size = 99;
    RETURNS(forq_queue_get(q, NULL, 0, &size, FORQ_FOREVER), -EMSGSIZE);
    CHECK(size == 64 && forq_queue_len(q) == 3);
    RETURNS(forq_queue_get(q, buffer, 3, NULL, 0), -EMSGSIZE);
    RETURNS(forq_queue_get(q, buffer, 64, &size, 0), 0);
    CHECK(size == 64 && memcmp(buffer, message, 64) == 0);
    RETURNS(forq_queue_get(q, NULL, 0, &size, 0), 0);
    CHECK(size == 0);
    memset(buffer, 0, sizeof buffer);
    RETURNS(forq_queue_get(q, buffer, 64, &size, 0), 0);
    CHECK(size == 7 && memcmp(buffer, "mmmmmmm\0", 8) == 0);
    /* Nothing is told where nothing was got. */
    size = 99;
    RETURNS(forq_queue_get(q, buffer, 64, &size, 0), -EAGAIN);
    RETURNS(forq_queue_get(q, buffer, 64, &size, 1), -ETIMEDOUT);
    CHECK(size == 99);
    forq_queue_free(q);
}

static void batches_go_as_far_as_they_can(void) {
    forq_queue *q = new_queue(5, 8);
    uint64_t numbers[] = {1, 2, 3, 4, 5, 6, 7, 8}, got[8] = {0};
    size_t done = 99;
    RETURNS(forq_queue_get_many(q, got, 8, 8, &done, 0), -EAGAIN);
    RETURNS(forq_queue_get_many(q, got, 8, 8, &done, 1), -ETIMEDOUT);
    RETURNS(forq_queue_put_many(q, numbers, 9, 2, &done, 0), -EMSGSIZE);
    CHECK(done == 99);
    RETURNS(forq_queue_put_many(q, numbers, 8, 3, &done, FORQ_FOREVER), 0);
    CHECK(done == 3);
    RETURNS(forq_queue_put_many(q, numbers + 3, 8, 5, &done, 0), 0);
    CHECK(done == 2);
    done = 99;
    RETURNS(forq_queue_put_many(q, numbers, 8, 1, &done, 0), -EAGAIN);
    RETURNS(forq_queue_put_many(q, numbers, 8, 1, &done, MILLISECOND), -ETIMEDOUT);
    CHECK(done == 99);
    RETURNS(forq_queue_get_many(q, got, 8, 2, &done, FORQ_FOREVER), 0);
    CHECK(done == 2);
    RETURNS(forq_queue_get_many(q, got + 2, 8, 6, &done, FORQ_FOREVER), 0);
    CHECK(done == 3 && memcmp(got, numbers, 40) == 0);
    /* It stops before a message of another size. */
    RETURNS(forq_queue_put(q, numbers, 8, 0), 0);
    RETURNS(forq_queue_put(q, numbers, 3, 0), 0);
    RETURNS(forq_queue_get_many(q, got, 8, 8, &done, 0), 0);
    CHECK(done == 1);
    done = 99;
    RETURNS(forq_queue_get_many(q, got, 8, 8, &done, FORQ_FOREVER), -EMSGSIZE);
    CHECK(done == 99 && forq_queue_len(q) == 1);
    RETURNS(forq_queue_get_many(q, got, 3, 8, &done, 0), 0);
    CHECK(done == 1);
    /* Empty ones, too. */
    RETURNS(forq_queue_put_many(q, NULL, 0, 4, &done, 0), 0);
    CHECK(done == 4 && forq_queue_len(q) == 4);
    RETURNS(forq_queue_get_many(q, NULL, 0, 9, &done, 0), 0);
    CHECK(done == 4);
    /* What ends in the middle tells how far it came. */
    int64_t start = now_ns();
    RETURNS(forq_queue_put_many(q, numbers, 8, 8, &done, 20 * MILLISECOND), 0);
    CHECK(done == 5 && now_ns() - start >= 20 * MILLISECOND);
    RETURNS(forq_queue_close(q), 0);
    done = 99;
    RETURNS(forq_queue_put_many(q, numbers, 8, 1, &done, FORQ_FOREVER), -ESHUTDOWN);
    CHECK(done == 99);
    RETURNS(forq_queue_get_many(q, got, 8, 8, &done, FORQ_FOREVER), 0);
    CHECK(done == 5);
    RETURNS(forq_queue_get_many(q, got, 8, 8, &done, FORQ_FOREVER), -ESHUTDOWN);
    forq_queue_free(q);
}

static void time_runs_out_and_not_too_early(void) {
    forq_queue *empty = new_queue(1, 8), *full = new_queue(1, 8);
    put_number(full, 1);
    uint64_t number = 2;
    const int64_t limits[] = {1, 1000, MILLISECOND, 80 * MILLISECOND, 300 * MILLISECOND};
    for (size_t i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_queue_get(empty, &number, 8, NULL, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
        start = now_ns();
        RETURNS(forq_queue_put(full, &number, 8, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
        start = now_ns();
        RETURNS(forq_queue_join(full, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
    RETURNS(forq_queue_join(full, 0), -EAGAIN);
    RETURNS(forq_queue_join(empty, 0), 0);
    RETURNS(forq_queue_put(empty, &number, 8, INT64_MAX), 0);
    RETURNS(forq_queue_get(empty, &number, 8, NULL, INT64_MAX), 0);
    forq_queue_free(empty);
    forq_queue_free(full);
}

static void sleepers_are_woken(void) {
    forq_queue *q = new_queue(1, 8);
    for (int i = 0; i < 20; i++) {
        pid_t consumer = asleep_in(take_one, q);
        int64_t start = now_ns();
        put_number(q, 1);
        IS(ended_with(consumer), 0);
        note_wake(start);
        put_number(q, 2);
        pid_t producer = asleep_in(put_one, q);
        start = now_ns();
        CHECK(get_number(q) == 2);
        IS(ended_with(producer), 0);
        note_wake(start);
        CHECK(get_number(q) == 77);
    }
    /* After some of them were killed. */
    pid_t leader = asleep_in(take_one, q), follower = asleep_in(take_one, q), last = asleep_in(take_one, q);
    IS(killed(leader), -SIGKILL);
    /* Which of the two is first is nobody's promise. */
    put_number(q, 1);
    put_number(q, 1);
    IS(ended_with(follower), 0);
    IS(ended_with(last), 0);
    /* And while one is stopped. */
    pid_t stopped = asleep_in(take_one, q);
    CHECK(kill(stopped, SIGSTOP) == 0);
    pid_t other = asleep_in(take_one, q);
    put_number(q, 1);
    IS(ended_with(other), 0);
    put_number(q, 1);
    CHECK(get_number(q) == 1);
    CHECK(kill(stopped, SIGCONT) == 0);
    put_number(q, 1);
    IS(ended_with(stopped), 0);
    forq_queue_free(q);
}

static int is_told(void *q) {
    uint64_t number = 1;
    return forq_queue_get(q, &number, 8, NULL, FORQ_FOREVER) == -ESHUTDOWN ? 0 : 1;
}

static int producer_is_told(void *q) {
    uint64_t number = 1;
    return forq_queue_put(q, &number, 8, FORQ_FOREVER) == -ESHUTDOWN ? 0 : 1;
}

static void a_close_tells_all_and_leaves_what_there_is(void) {
    forq_queue *empty = new_queue(1, 8), *full = new_queue(2, 8);
    put_number(full, 1);
    put_number(full, 2);
    pid_t pids[6];
    for (int i = 0; i < 6; i++) pids[i] = i < 3 ? asleep_in(is_told, empty) : asleep_in(producer_is_told, full);
    int64_t start = now_ns();
    RETURNS(forq_queue_close(empty), 0);
    RETURNS(forq_queue_close(full), 0);
    for (int i = 0; i < 6; i++) IS(ended_with(pids[i]), 0);
    note_wake(start);
    RETURNS(forq_queue_close(full), 0);
    uint64_t number = 3;
    RETURNS(forq_queue_put(full, &number, 8, 0), -ESHUTDOWN);
    RETURNS(forq_queue_put(full, &number, 9, 0), -EMSGSIZE);
    IS(forq_queue_len(full), 2);
    CHECK(get_number(full) == 1);
    IS(forq_queue_len(full), 1);
    RETURNS(forq_queue_get(full, &number, 7, NULL, 0), -EMSGSIZE);
    CHECK(get_number(full) == 2);
    const int64_t limits[] = {0, 1, SECOND, FORQ_FOREVER};
    for (size_t i = 0; i < 4; i++) RETURNS(forq_queue_get(full, &number, 8, NULL, limits[i]), -ESHUTDOWN);
    IS(forq_queue_len(full), 0);
    forq_queue_free(empty);
    forq_queue_free(full);
}

static int joins(void *q) {
    return forq_queue_join(q, FORQ_FOREVER) == 0 ? 0 : 1;
}

static int take_and_die(void *q) {
    get_number(q);
    raise(SIGKILL);
    return 0;
}

static void tasks_are_counted(void) {
    forq_queue *q = new_queue(4, 8);
    RETURNS(forq_queue_task_done(q), -EOVERFLOW);
    RETURNS(forq_queue_join(q, FORQ_FOREVER), 0);
    put_number(q, 1);
    put_number(q, 2);
    pid_t joiner = asleep_in(joins, q), second = asleep_in(joins, q);
    get_number(q);
    RETURNS(forq_queue_task_done(q), 0);
    IS(ended_with(in_child(take_and_die, q)), -SIGKILL);
    RETURNS(forq_queue_join(q, 20 * MILLISECOND), -ETIMEDOUT);
    IS(forq_queue_len(q), 0);
    int64_t start = now_ns();
    RETURNS(forq_queue_task_done(q), 0);
    IS(ended_with(joiner), 0);
    IS(ended_with(second), 0);
    note_wake(start);
    RETURNS(forq_queue_join(q, 0), 0);
    RETURNS(forq_queue_task_done(q), -EOVERFLOW);
    forq_queue_free(q);
}

static void statistics_are_exact(void) {
    forq_queue *q = new_queue(1, 8);
    forq_queue_statistics told;
    memset(&told, 0xEE, sizeof told);
    RETURNS(forq_queue_stats(q, &told), 0);
    static const forq_queue_statistics zero;
    CHECK(memcmp(&told, &zero, sizeof told) == 0);
    uint64_t number = 1;
    put_number(q, 1);
    RETURNS(forq_queue_put(q, &number, 8, MILLISECOND), -ETIMEDOUT);
    get_number(q);
    put_number(q, 2);
    get_number(q);
    RETURNS(forq_queue_get(q, &number, 8, NULL, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_queue_get(q, &number, 8, NULL, MILLISECOND), -ETIMEDOUT);
    put_number(q, 3);
    RETURNS(forq_queue_stats(q, &told), 0);
    CHECK(told.put == 3 && told.got == 2 && told.lost == 0 && told.full_waits == 1 && told.empty_waits == 2);
    CHECK(memcmp(told.reserved, zero.reserved, sizeof zero.reserved) == 0);
    forq_queue_free(q);
}

static int in_another_mapping(void *fd) {
    char *base = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *view = mmap(base + 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *(int *)fd, 0);
    CHECK(view != MAP_FAILED);
    forq_queue *q = NULL;
    RETURNS(forq_queue_attach(view, 4096, &q), 0);
    for (uint64_t n = 0; n < 20000; n++) put_number(q, n);
    RETURNS(forq_queue_close(q), 0);
    forq_queue_free(q);
    return 0;
}

static void a_queue_in_the_caller_s_memory_is_found_at_any_address(void) {
    int fd = memfd_create("forq", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
    char *views[2];
    for (int i = 0; i < 2; i++) {
        views[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(views[i] != MAP_FAILED);
    }
    memset(views[0], 0xEE, 4096);
    forq_queue *q = NULL, *other = NULL;
    RETURNS(forq_queue_attach(views[1], 4096, &other), -EPROTO);
    size_t needed = forq_queue_required_size(7, 8);
    RETURNS(forq_queue_init(views[0], needed, 7, 8, &q), 0);
    for (size_t i = needed; i < 4096; i++) CHECK((unsigned char)views[0][i] == 0xEE);
    RETURNS(forq_queue_attach(views[1], 4096, &other), 0);
    put_number(q, 9);
    CHECK(get_number(other) == 9);
    pid_t pid = in_child(in_another_mapping, &fd);
    uint64_t number, expected = 0;
    size_t size;
    int result;
    while ((result = forq_queue_get(expected % 2 ? q : other, &number, 8, &size, FORQ_FOREVER)) == 0) CHECK(number == expected++);
    IS(result, -ESHUTDOWN);
    CHECK(expected == 20000);
    IS(ended_with(pid), 0);
    forq_queue_free(q);
    /* The memory is the caller's, and the other handle still good. */
    IS(forq_queue_len(other), 0);
    forq_queue_free(other);
    /* Another version of forq, or something else. */
    for (size_t i = 0; i < 12; i++) {
        RETURNS(forq_queue_init(views[0], 4096, 7, 8, &q), 0);
        forq_queue_free(q);
        views[0][i] ^= 0x40;
        RETURNS(forq_queue_attach(views[1], 4096, &q), -EPROTO);
    }
    CHECK(munmap(views[0], 4096) == 0 && munmap(views[1], 4096) == 0 && close(fd) == 0);
}

enum { PRODUCERS = 3, CONSUMERS = 4, EACH = 20000 };

static forq_queue *crowded;
static struct {
    _Atomic uint64_t count, sum;
} *totals;

static int produce(void *first) {
    for (uint64_t n = 0; n < EACH; n++) put_number(crowded, *(uint64_t *)first + n);
    return 0;
}

static void *consume_in_thread(void *unused) {
    (void)unused;
    uint64_t number, last[PRODUCERS] = {0};
    size_t size;
    int result;
    while ((result = forq_queue_get(crowded, &number, 8, &size, FORQ_FOREVER)) == 0) {
        uint64_t producer = number / EACH;
        CHECK(size == 8 && producer < PRODUCERS && number + 1 > last[producer]);
        last[producer] = number + 1;
        totals->count++;
        totals->sum += number;
        RETURNS(forq_queue_task_done(crowded), 0);
    }
    IS(result, -ESHUTDOWN);
    return NULL;
}

static int consume(void *unused) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, consume_in_thread, unused) == 0);
    consume_in_thread(unused);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}

static void every_message_arrives_once(void) {
    crowded = new_queue(5, 8);
    totals = shared_memory(sizeof *totals);
    uint64_t first[PRODUCERS];
    pid_t producers[PRODUCERS], consumers[CONSUMERS];
    for (uint64_t i = 0; i < PRODUCERS; i++) {
        first[i] = i * EACH;
        producers[i] = in_child(produce, &first[i]);
    }
    for (int i = 0; i < CONSUMERS; i++) consumers[i] = in_child(consume, NULL);
    for (int i = 0; i < PRODUCERS; i++) IS(ended_with(producers[i]), 0);
    RETURNS(forq_queue_join(crowded, FORQ_FOREVER), 0);
    RETURNS(forq_queue_close(crowded), 0);
    for (int i = 0; i < CONSUMERS; i++) IS(ended_with(consumers[i]), 0);
    uint64_t all = PRODUCERS * EACH;
    CHECK(totals->count == all && totals->sum == all * (all - 1) / 2);
    forq_queue_statistics told;
    RETURNS(forq_queue_stats(crowded, &told), 0);
    CHECK(told.put == all && told.got == all && told.lost == 0);
    forq_queue_free(crowded);
    RETURNS(forq_shared_free(totals, sizeof *totals), 0);
}

static void ignore(int signal) {
    (void)signal;
}

static int is_interrupted(void *q) {
    uint64_t number;
    IS(forq_set_interruptible(1), 0);
    RETURNS(forq_queue_get(q, &number, 8, NULL, FORQ_FOREVER), -EINTR);
    return 0;
}

static void a_signal_ends_a_wait_only_if_it_was_asked_to(void) {
    struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    forq_queue *q = new_queue(1, 8);
    pid_t deaf = asleep_in(take_one, q), listening = asleep_in(is_interrupted, q);
    CHECK(kill(deaf, SIGUSR1) == 0);
    int status = 0;
    while (waitpid(listening, &status, WNOHANG) == 0) {
        CHECK(kill(listening, SIGUSR1) == 0);
        pause_ns(MILLISECOND);
    }
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    put_number(q, 1);
    IS(ended_with(deaf), 0);
    forq_queue_free(q);
    signal(SIGUSR1, SIG_DFL);
}

static int lines_of_maps(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    int lines = 0;
    for (int c; (c = fgetc(maps)) != EOF;) lines += c == '\n';
    fclose(maps);
    return lines;
}

static void freeing_leaves_nothing(void) {
    forq_queue_free(new_queue(1000, 100));
    int before = lines_of_maps();
    for (int i = 0; i < 100; i++) forq_queue_free(new_queue(1000, 100));
    IS(lines_of_maps(), before);
}

int main(void) {
    begin();
    RUN(null_is_refused_everywhere);
    RUN(sizes_that_cannot_be_are_refused);
    RUN(the_capacity_is_exact);
    RUN(messages_have_any_length_and_stay_if_they_do_not_fit);
    RUN(batches_go_as_far_as_they_can);
    RUN(time_runs_out_and_not_too_early);
    RUN(sleepers_are_woken);
    RUN(a_close_tells_all_and_leaves_what_there_is);
    RUN(tasks_are_counted);
    RUN(statistics_are_exact);
    RUN(a_queue_in_the_caller_s_memory_is_found_at_any_address);
    RUN(every_message_arrives_once);
    RUN(a_signal_ends_a_wait_only_if_it_was_asked_to);
    RUN(freeing_leaves_nothing);
    CHECK(fastest_wake < 240 * MILLISECOND);
    return finish();
}
