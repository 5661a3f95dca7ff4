/* forq_channel: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

static forq_channel *fresh(size_t capacity, size_t message_size) {
    forq_channel *c = NULL;
    RETURNS(forq_channel_new(capacity, message_size, &c), 0);
    CHECK(c != NULL);
    return c;
}

static char text[64];
static size_t size;

static void arguments_that_cannot_be_are_refused(void) {
    forq_channel *c = (void *)text;
    RETURNS(forq_channel_new(1, 1, NULL), -EINVAL);
    RETURNS(forq_channel_new(0, 1, &c), -EINVAL);
    RETURNS(forq_channel_new(1, 0, &c), -EINVAL);
    RETURNS(forq_channel_new(SIZE_MAX, 1, &c), -EINVAL);
    RETURNS(forq_channel_new(1, SIZE_MAX, &c), -EINVAL);
    RETURNS(forq_channel_new(SIZE_MAX / 8, 16, &c), -EINVAL);
    RETURNS(forq_channel_new(POWER(32), 1, &c), -EINVAL);
    RETURNS(forq_channel_new(POWER(31), POWER(31), &c), WIDE ? -ENOMEM : -EINVAL);
    CHECK(c == (void *)text);
    forq_channel_free(NULL);
    c = fresh(2, 8);
    void *slot = text;
    const void *message = text;
    forq_channel *const bad[] = {NULL, (forq_channel *)((char *)c + 1)};
    for (int i = 0; i < 2; i++) {
        RETURNS(forq_channel_put(bad[i], text, 1, 0), -EINVAL);
        RETURNS(forq_channel_get(bad[i], text, 1, &size, 0), -EINVAL);
        RETURNS(forq_channel_reserve(bad[i], &slot, 0), -EINVAL);
        RETURNS(forq_channel_commit(bad[i], 0), -EINVAL);
        RETURNS(forq_channel_peek(bad[i], &message, &size, 0), -EINVAL);
        RETURNS(forq_channel_release(bad[i]), -EINVAL);
        RETURNS(forq_channel_close(bad[i]), -EINVAL);
    }
    RETURNS(forq_channel_put(c, NULL, 1, 0), -EINVAL);
    RETURNS(forq_channel_put(c, NULL, SIZE_MAX, 0), -EINVAL);
    RETURNS(forq_channel_put(c, text, SIZE_MAX, 0), -EMSGSIZE);
    RETURNS(forq_channel_put(c, text, 9, FORQ_FOREVER), -EMSGSIZE);
    RETURNS(forq_channel_get(c, NULL, 1, &size, 0), -EINVAL);
    RETURNS(forq_channel_get(c, text, 1, NULL, 0), -EINVAL);
    RETURNS(forq_channel_reserve(c, NULL, 0), -EINVAL);
    RETURNS(forq_channel_peek(c, NULL, &size, 0), -EINVAL);
    RETURNS(forq_channel_peek(c, &message, NULL, 0), -EINVAL);
    const int64_t times[] = {-2, -SECOND, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        RETURNS(forq_channel_put(c, text, 1, times[i]), -EINVAL);
        RETURNS(forq_channel_get(c, text, 1, &size, times[i]), -EINVAL);
        RETURNS(forq_channel_reserve(c, &slot, times[i]), -EINVAL);
        RETURNS(forq_channel_peek(c, &message, &size, times[i]), -EINVAL);
    }
    CHECK(slot == text && message == text);
    RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), -EAGAIN);
    forq_channel_free(c);
}

static void the_capacity_is_exact(void) {
    const size_t capacities[] = {1, 2, 3, 6, 1000};
    for (int i = 0; i < 5; i++) {
        forq_channel *c = fresh(capacities[i], sizeof(size_t));
        for (int lap = 0; lap < 3; lap++) {
            for (size_t n = 0; n < capacities[i]; n++) RETURNS(forq_channel_put(c, &n, sizeof n, 0), 0);
            RETURNS(forq_channel_put(c, &size, sizeof size, 0), -EAGAIN);
            RETURNS(forq_channel_put(c, &size, sizeof size, MILLISECOND), -ETIMEDOUT);
            for (size_t n = 0, got; n < capacities[i]; n++) {
                RETURNS(forq_channel_get(c, &got, sizeof got, &size, SECOND), 0);
                CHECK(got == n && size == sizeof got);
            }
            RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), -EAGAIN);
            RETURNS(forq_channel_get(c, text, sizeof text, &size, MILLISECOND), -ETIMEDOUT);
        }
        forq_channel_free(c);
    }
}

static void messages_keep_their_size_and_wait_for_a_buffer_that_is_large_enough(void) {
    forq_channel *c = fresh(3, 5);
    RETURNS(forq_channel_put(c, NULL, 0, 0), 0);
    RETURNS(forq_channel_put(c, "hello", 5, 0), 0);
    RETURNS(forq_channel_put(c, "hi", 2, 0), 0);
    size = 99;
    RETURNS(forq_channel_get(c, NULL, 0, &size, 0), 0);
    IS(size, 0);
    for (size_t room = 0; room < 5; room++) {
        memset(text, '-', sizeof text);
        size = 99;
        RETURNS(forq_channel_get(c, room ? text : NULL, room, &size, room ? FORQ_FOREVER : 0), -EMSGSIZE);
        CHECK(size == 5 && text[0] == '-');
    }
    RETURNS(forq_channel_get(c, text, 5, &size, 0), 0);
    CHECK(size == 5 && memcmp(text, "hello-", 6) == 0);
    RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), 0);
    CHECK(size == 2 && memcmp(text, "hillo-", 6) == 0);
    forq_channel_free(c);
}

static void messages_are_written_and_read_in_place(void) {
    forq_channel *c = fresh(2, 4096);
    void *slot, *again;
    const void *message, *same;
    RETURNS(forq_channel_commit(c, 0), -EINVAL);
    RETURNS(forq_channel_release(c), -EINVAL);
    for (int i = 0; i < 10; i++) {
        RETURNS(forq_channel_reserve(c, &slot, 0), 0);
        CHECK((uintptr_t)slot % 64 == 0);
        memset(slot, 'a' + i, 4096);
        RETURNS(forq_channel_reserve(c, &again, 0), 0);
        CHECK(again == slot);
        RETURNS(forq_channel_put(c, "no", 2, 0), -EINVAL);
        RETURNS(forq_channel_peek(c, &message, &size, 0), -EAGAIN);
        RETURNS(forq_channel_commit(c, 4097), -EMSGSIZE);
        RETURNS(forq_channel_commit(c, SIZE_MAX), -EMSGSIZE);
        RETURNS(forq_channel_commit(c, (size_t)(4096 - i)), 0);
        RETURNS(forq_channel_commit(c, 1), -EINVAL);
        RETURNS(forq_channel_peek(c, &message, &size, 0), 0);
        CHECK(message == slot && size == (size_t)(4096 - i) && *(const char *)message == 'a' + i);
        RETURNS(forq_channel_peek(c, &same, &size, 0), 0);
        CHECK(same == message);
        RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), -EINVAL);
        RETURNS(forq_channel_release(c), 0);
        RETURNS(forq_channel_release(c), -EINVAL);
    }
    RETURNS(forq_channel_put(c, "1", 1, 0), 0);
    RETURNS(forq_channel_put(c, "2", 1, 0), 0);
    RETURNS(forq_channel_reserve(c, &slot, 0), -EAGAIN);
    RETURNS(forq_channel_reserve(c, &slot, MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_channel_peek(c, &message, &size, 0), 0);
    RETURNS(forq_channel_reserve(c, &slot, 0), -EAGAIN);
    RETURNS(forq_channel_release(c), 0);
    RETURNS(forq_channel_reserve(c, &slot, 0), 0);
    RETURNS(forq_channel_close(c), 0);
    RETURNS(forq_channel_commit(c, 1), -ESHUTDOWN);
    RETURNS(forq_channel_commit(c, 1), -EINVAL);
    RETURNS(forq_channel_reserve(c, &slot, FORQ_FOREVER), -ESHUTDOWN);
    RETURNS(forq_channel_peek(c, &message, &size, 0), 0);
    CHECK(size == 1 && *(const char *)message == '2');
    RETURNS(forq_channel_release(c), 0);
    RETURNS(forq_channel_peek(c, &message, &size, FORQ_FOREVER), -ESHUTDOWN);
    forq_channel_free(c);
}

static void time_runs_out_and_not_too_early(void) {
    forq_channel *c = fresh(1, 1);
    const int64_t limits[] = {1, 1000, MILLISECOND, 80 * MILLISECOND, 300 * MILLISECOND};
    for (int i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_channel_get(c, text, 1, &size, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
    RETURNS(forq_channel_put(c, "x", 1, INT64_MAX), 0);
    for (int i = 0; i < 5; i++) {
        int64_t start = now_ns();
        RETURNS(forq_channel_put(c, "y", 1, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
    }
    RETURNS(forq_channel_get(c, text, 1, &size, INT64_MAX), 0);
    forq_channel_free(c);
}

static void a_closed_channel_gives_what_is_left(void) {
    forq_channel *c = fresh(3, 1);
    RETURNS(forq_channel_put(c, "a", 1, 0), 0);
    RETURNS(forq_channel_put(c, "b", 1, 0), 0);
    for (int i = 0; i < 2; i++) {
        RETURNS(forq_channel_close(c), 0);
        RETURNS(forq_channel_put(c, "c", 1, 0), -ESHUTDOWN);
        RETURNS(forq_channel_put(c, "c", 1, FORQ_FOREVER), -ESHUTDOWN);
    }
    RETURNS(forq_channel_get(c, text, 1, &size, 0), 0);
    RETURNS(forq_channel_get(c, text, 1, &size, FORQ_FOREVER), 0);
    CHECK(text[0] == 'b');
    for (int i = 0; i < 2; i++) {
        RETURNS(forq_channel_get(c, text, 1, &size, 0), -ESHUTDOWN);
        RETURNS(forq_channel_get(c, text, 1, &size, SECOND), -ESHUTDOWN);
        RETURNS(forq_channel_get(c, text, 1, &size, FORQ_FOREVER), -ESHUTDOWN);
    }
    forq_channel_free(c);
}

enum { COUNT = 200000 };

static int put_all(void *c) {
    for (long i = 0; i < COUNT; i++) RETURNS(forq_channel_put(c, &i, sizeof i, FORQ_FOREVER), 0);
    RETURNS(forq_channel_close(c), 0);
    forq_channel_free(c);
    return 0;
}

static int get_all(void *c) {
    long got;
    for (long i = 0; i < COUNT; i++) {
        RETURNS(forq_channel_get(c, &got, sizeof got, &size, FORQ_FOREVER), 0);
        CHECK(got == i && size == sizeof got);
    }
    RETURNS(forq_channel_get(c, &got, sizeof got, &size, FORQ_FOREVER), -ESHUTDOWN);
    return 0;
}

static void every_message_arrives_once_and_in_order(void) {
    const size_t capacities[] = {1, 3, 100, 100000};
    for (int i = 0; i < 4; i++) {
        forq_channel *c = fresh(capacities[i], sizeof(long));
        pid_t producer = in_child(put_all, c);
        get_all(c);
        IS(ended_with(producer), 0);
        forq_channel_free(c);
        c = fresh(capacities[i], sizeof(long));
        pid_t consumer = in_child(get_all, c);
        producer = in_child(put_all, c);
        forq_channel_free(c);
        IS(ended_with(producer), 0);
        IS(ended_with(consumer), 0);
    }
}

static void *put_all_in_thread(void *c) {
    for (long i = 0; i < COUNT; i++) RETURNS(forq_channel_put(c, &i, sizeof i, FORQ_FOREVER), 0);
    RETURNS(forq_channel_close(c), 0);
    return NULL;
}

static void threads_may_be_the_two_sides(void) {
    forq_channel *c = fresh(7, sizeof(long));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, put_all_in_thread, c) == 0);
    get_all(c);
    CHECK(pthread_join(thread, NULL) == 0);
    forq_channel_free(c);
}

static int get_one(void *c) {
    RETURNS(forq_channel_get(c, text, sizeof text, &size, FORQ_FOREVER), 0);
    return text[0];
}

static int get_closed(void *c) {
    RETURNS(forq_channel_get(c, text, sizeof text, &size, FORQ_FOREVER), -ESHUTDOWN);
    return 0;
}

static int put_one(void *c) {
    RETURNS(forq_channel_put(c, "p", 1, FORQ_FOREVER), 0);
    return 0;
}

static int put_closed(void *c) {
    RETURNS(forq_channel_put(c, "p", 1, FORQ_FOREVER), -ESHUTDOWN);
    return 0;
}

static void sleepers_are_woken(void) {
    int64_t fastest = INT64_MAX;
    for (int i = 0; i < 20; i++) {
        forq_channel *c = fresh(1, 1);
        pid_t sleeper = in_child(get_one, c);
        WAIT_UNTIL(is_asleep(sleeper));
        int64_t start = now_ns();
        RETURNS(forq_channel_put(c, "7", 1, 0), 0);
        IS(ended_with(sleeper), '7');
        if (now_ns() - start < fastest) fastest = now_ns() - start;
        RETURNS(forq_channel_put(c, "8", 1, 0), 0);
        sleeper = in_child(put_one, c);
        WAIT_UNTIL(is_asleep(sleeper));
        RETURNS(forq_channel_get(c, text, 1, &size, 0), 0);
        IS(ended_with(sleeper), 0);
        /* Full again. */
        sleeper = in_child(put_closed, c);
        WAIT_UNTIL(is_asleep(sleeper));
        RETURNS(forq_channel_close(c), 0);
        IS(ended_with(sleeper), 0);
        forq_channel_free(c);
        c = fresh(1, 1);
        sleeper = in_child(get_closed, c);
        WAIT_UNTIL(is_asleep(sleeper));
        RETURNS(forq_channel_close(c), 0);
        IS(ended_with(sleeper), 0);
        forq_channel_free(c);
    }
    /* Sleepers look by themselves after 250 ms; the fastest must have been woken. */
    CHECK(fastest < 240 * MILLISECOND);
}

static int put_three_and_die(void *c) {
    for (int i = 0; i < 3; i++) RETURNS(forq_channel_put(c, &"abc"[i], 1, FORQ_FOREVER), 0);
    void *slot;
    RETURNS(forq_channel_reserve(c, &slot, FORQ_FOREVER), 0);
    memset(slot, '!', 8);
    raise(SIGKILL);
    return 0;
}

static int peek_and_die(void *c) {
    const void *message;
    RETURNS(forq_channel_peek(c, &message, &size, FORQ_FOREVER), 0);
    CHECK(size == 1 && *(const char *)message == 'a');
    raise(SIGKILL);
    return 0;
}

static void the_dead_are_told_of_and_replaced(void) {
    forq_channel *c = fresh(4, 8);
    IS(ended_with(in_child(put_three_and_die, c)), -SIGKILL);
    IS(ended_with(in_child(peek_and_die, c)), -SIGKILL);
    for (int i = 0; i < 3; i++) {
        RETURNS(forq_channel_get(c, text, sizeof text, &size, SECOND), 0);
        CHECK(size == 1 && text[0] == "abc"[i]);
    }
    RETURNS(forq_channel_get(c, text, sizeof text, &size, FORQ_FOREVER), -EPIPE);
    RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), -EPIPE);
    RETURNS(forq_channel_put(c, "d", 1, 0), 0);
    RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), 0);
    RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), -EAGAIN);
    /* A consumer that has ended. */
    pid_t consumer = in_child(get_one, c);
    RETURNS(forq_channel_put(c, "e", 1, 0), 0);
    IS(ended_with(consumer), 'e');
    for (int i = 0; i < 4; i++) RETURNS(forq_channel_put(c, "f", 1, 0), 0);
    RETURNS(forq_channel_put(c, "g", 1, FORQ_FOREVER), -EPIPE);
    RETURNS(forq_channel_get(c, text, sizeof text, &size, 0), 0);
    RETURNS(forq_channel_put(c, "g", 1, 0), 0);
    forq_channel_free(c);
}

static void a_second_process_in_a_call_is_refused(void) {
    forq_channel *c = fresh(1, 1);
    pid_t consumer = in_child(get_one, c);
    WAIT_UNTIL(is_asleep(consumer));
    RETURNS(forq_channel_get(c, text, 1, &size, FORQ_FOREVER), -EPERM);
    RETURNS(forq_channel_get(c, text, 1, &size, 0), -EPERM);
    const void *message;
    RETURNS(forq_channel_peek(c, &message, &size, 0), -EPERM);
    IS(killed(consumer), -SIGKILL);
    RETURNS(forq_channel_put(c, "x", 1, 0), 0);
    RETURNS(forq_channel_get(c, text, 1, &size, 0), 0);
    /* Between calls a side may go from one to the other. */
    for (int i = 0; i < 20; i++) {
        RETURNS(forq_channel_put(c, "y", 1, 0), 0);
        IS(ended_with(in_child(get_one, c)), 'y');
        IS(ended_with(in_child(put_one, c)), 0);
        RETURNS(forq_channel_get(c, text, 1, &size, 0), 0);
    }
    forq_channel_free(c);
}

static _Atomic pid_t waiter;

static void *get_in_thread(void *c) {
    char got;
    size_t length;
    waiter = thread_id();
    RETURNS(forq_channel_get(c, &got, 1, &length, FORQ_FOREVER), 0);
    CHECK(got == 'x');
    return NULL;
}

static void *put_in_thread(void *c) {
    waiter = thread_id();
    RETURNS(forq_channel_put(c, "y", 1, FORQ_FOREVER), 0);
    return NULL;
}

static void a_second_thread_beside_one_that_waits_is_refused(void) {
    forq_channel *c = fresh(1, 1);
    for (int gets = 1; gets >= 0; gets--) {
        pthread_t thread;
        waiter = 0;
        /* First it waits for a message, then for room. */
        CHECK(pthread_create(&thread, NULL, gets ? get_in_thread : put_in_thread, c) == 0);
        WAIT_UNTIL(waiter != 0 && is_asleep(waiter));
        const void *message;
        void *slot;
        if (gets) {
            RETURNS(forq_channel_get(c, text, 1, &size, FORQ_FOREVER), -EPERM);
            RETURNS(forq_channel_get(c, text, 1, &size, 0), -EPERM);
            RETURNS(forq_channel_peek(c, &message, &size, 0), -EPERM);
            RETURNS(forq_channel_put(c, "x", 1, 0), 0);
        } else {
            RETURNS(forq_channel_put(c, "z", 1, FORQ_FOREVER), -EPERM);
            RETURNS(forq_channel_put(c, "z", 1, 0), -EPERM);
            RETURNS(forq_channel_reserve(c, &slot, 0), -EPERM);
            RETURNS(forq_channel_get(c, text, 1, &size, 0), 0);
        }
        CHECK(pthread_join(thread, NULL) == 0);
        /* Full from here on. */
        if (gets) RETURNS(forq_channel_put(c, "w", 1, 0), 0);
    }
    RETURNS(forq_channel_get(c, text, 1, &size, 0), 0);
    CHECK(text[0] == 'y');
    RETURNS(forq_channel_get(c, text, 1, &size, 0), -EAGAIN);
    forq_channel_free(c);
}

static void nothing_is_left_behind(void) {
    /* Not on the stack, which would grow by them. */
    static char before[1 << 16], after[1 << 16];
    char *const texts[] = {before, after};
    forq_channel_free(fresh(3, 3));
    for (int i = 0; i < 2; i++) {
        int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
        size_t length = 0;
        ssize_t got;
        while ((got = read(fd, texts[i] + length, sizeof before - 1 - length)) > 0) length += (size_t)got;
        texts[i][length] = 0;
        close(fd);
        if (i == 0)
            for (int n = 0; n < 100; n++) {
                forq_channel *c = fresh(100, 100);
                RETURNS(forq_channel_put(c, text, 10, 0), 0);
                RETURNS(forq_channel_get(c, text, 10, &size, 0), 0);
                forq_channel_free(c);
            }
    }
    CHECK(strcmp(before, after) == 0);
}

int main(void) {
    begin();
    RUN(arguments_that_cannot_be_are_refused);
    RUN(the_capacity_is_exact);
    RUN(messages_keep_their_size_and_wait_for_a_buffer_that_is_large_enough);
    RUN(messages_are_written_and_read_in_place);
    RUN(time_runs_out_and_not_too_early);
    RUN(a_closed_channel_gives_what_is_left);
    RUN(every_message_arrives_once_and_in_order);
    RUN(threads_may_be_the_two_sides);
    RUN(sleepers_are_woken);
    RUN(the_dead_are_told_of_and_replaced);
    RUN(a_second_process_in_a_call_is_refused);
    RUN(a_second_thread_beside_one_that_waits_is_refused);
    RUN(nothing_is_left_behind);
    return finish();
}
