/* forq_connection, forq_wait and forq_process_spawn_piped: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <poll.h>

_Static_assert(sizeof(void *) != 8 || sizeof(forq_connection) == 32, "frozen");

#define INLINE ((size_t)64 << 10)
#define MEBIBYTE ((size_t)1 << 20)
#define LARGEST (16 * MEBIBYTE)

static char sent[LARGEST], received[LARGEST + 1];

static int descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL);
    int count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count;
}

static bool is_none(const forq_connection *c) {
    static const forq_connection none;
    return memcmp(c, &none, sizeof none) == 0;
}

static void closed(forq_connection *c) {
    RETURNS(forq_connection_close(c), 0);
    CHECK(is_none(c));
}

static void send_text(forq_connection *c, const char *text) {
    RETURNS(forq_connection_send(c, text, strlen(text), FORQ_FOREVER), 0);
}

static void expect_text(forq_connection *c, const char *text) {
    char buffer[64];
    size_t size = 99;
    RETURNS(forq_connection_recv(c, buffer, sizeof buffer, &size, FORQ_FOREVER), 0);
    CHECK(size == strlen(text) && memcmp(buffer, text, size) == 0);
}

static void expect_end(forq_connection *c) {
    size_t size = 99;
    char byte;
    RETURNS(forq_connection_recv(c, &byte, 1, &size, FORQ_FOREVER), -EPIPE);
    RETURNS(forq_connection_recv(c, &byte, 1, &size, 0), -EPIPE);
    RETURNS(forq_connection_poll(c, 0), 1);
    CHECK(size == 99);
}

static void fill(char *bytes, size_t size, unsigned seed) {
    for (size_t i = 0; i < size; i++) bytes[i] = (char)((i * 2654435761u + seed) >> 16);
}

/* --- arguments --- */

static void check_no_connection(forq_connection *none) {
    char byte = 7;
    size_t size = 99;
    int fd = 99;
    RETURNS(forq_connection_send(none, &byte, 1, 0), -EINVAL);
    RETURNS(forq_connection_send(none, NULL, 0, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_connection_recv(none, &byte, 1, &size, 0), -EINVAL);
    RETURNS(forq_connection_recv(none, &byte, 1, &size, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_connection_poll(none, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_connection_fd(none), -EINVAL);
    RETURNS(forq_connection_send_fd(none, 0, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_connection_recv_fd(none, &fd, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_connection_close(none), -EINVAL);
    CHECK(byte == 7 && size == 99 && fd == 99);
}

static int end_at_once(forq_connection *parent, void *unused) {
    (void)parent, (void)unused;
    return 0;
}

static void bad_arguments_are_refused(void) {
    int before = descriptors();
    check_no_connection(NULL);
    forq_connection none = {0};
    check_no_connection(&none);
    CHECK(is_none(&none));
    RETURNS(forq_pipe(NULL), -EINVAL);
    RETURNS(forq_pipe_one_way(NULL, &none), -EINVAL);
    RETURNS(forq_pipe_one_way(&none, NULL), -EINVAL);
    RETURNS(forq_pipe_one_way(&none, &none), -EINVAL);
    CHECK(is_none(&none));
    forq_connection ends[2];
    RETURNS(forq_pipe(ends), 0);
    char byte = 7;
    size_t size = 99;
    const int64_t no_times[] = {-2, -1000, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        RETURNS(forq_connection_send(&ends[0], &byte, 1, no_times[i]), -EINVAL);
        RETURNS(forq_connection_recv(&ends[0], &byte, 1, &size, no_times[i]), -EINVAL);
        RETURNS(forq_connection_poll(&ends[0], no_times[i]), -EINVAL);
        RETURNS(forq_connection_send_fd(&ends[0], 0, no_times[i]), -EINVAL);
        RETURNS(forq_connection_recv_fd(&ends[0], IGNORED, no_times[i]), -EINVAL);
        RETURNS(forq_wait(IGNORED, 1, &(bool){0}, no_times[i]), -EINVAL);
    }
    RETURNS(forq_connection_send(&ends[0], NULL, 1, 0), -EINVAL);
    RETURNS(forq_connection_send(&ends[0], &byte, SIZE_MAX, 0), -EINVAL);
    RETURNS(forq_connection_send_fd(&ends[0], -1, 0), -EINVAL);
    RETURNS(forq_connection_send_fd(&ends[0], 100000, 0), -EINVAL);
    send_text(&ends[0], "x");
    RETURNS(forq_connection_recv(&ends[1], NULL, 1, &size, 0), -EINVAL);
    RETURNS(forq_connection_recv(&ends[1], &byte, 1, NULL, 0), -EINVAL);
    RETURNS(forq_connection_recv_fd(&ends[1], NULL, 0), -EINVAL);
    CHECK(byte == 7 && size == 99);
    expect_text(&ends[1], "x");
    int fd = forq_connection_fd(&ends[0]);
    bool ready = true;
    RETURNS(forq_wait(NULL, 1, &ready, 0), -EINVAL);
    RETURNS(forq_wait(&fd, 1, NULL, 0), -EINVAL);
    RETURNS(forq_wait(&fd, 0, &ready, 0), -EINVAL);
    RETURNS(forq_wait(&fd, SIZE_MAX, &ready, 0), -EINVAL);
    RETURNS(forq_wait(&(int){-EINVAL}, 1, &ready, 0), -EINVAL);
    RETURNS(forq_wait(&(int){100000}, 1, &ready, FORQ_FOREVER), -EINVAL);
    forq_process p = {0};
    RETURNS(forq_process_spawn_piped(NULL, end_at_once, NULL, NULL, &none), -EINVAL);
    RETURNS(forq_process_spawn_piped(&p, NULL, NULL, NULL, &none), -EINVAL);
    RETURNS(forq_process_spawn_piped(&p, end_at_once, NULL, NULL, NULL), -EINVAL);
    RETURNS(forq_process_spawn_piped(&p, end_at_once, NULL, &(forq_process_options){.nice = 40}, &none), -EINVAL);
    RETURNS(forq_process_spawn_piped(&p, end_at_once, NULL, &(forq_process_options){.reserved = {1}}, &none), -EINVAL);
    CHECK(is_none(&none) && forq_process_pid(&p) == -EINVAL);
    closed(&ends[0]);
    closed(&ends[1]);
    check_no_connection(&ends[0]);
    CHECK(descriptors() == before);
    CHECK(has_no_child());
}

/* --- messages --- */

static void messages_of_all_sizes_keep_their_boundaries(void) {
    static const size_t sizes[] = {0, 1, 100, INLINE - 1, INLINE, INLINE + 1, MEBIBYTE, LARGEST};
    forq_connection ends[2];
    RETURNS(forq_pipe(ends), 0);
    for (int i = 0; i < 16; i++) {
        forq_connection *from = &ends[i % 2], *to = &ends[1 - i % 2];
        size_t size = sizes[i / 2], told = 99;
        fill(sent, size, (unsigned)i);
        RETURNS(forq_connection_send(from, sent, size, FORQ_FOREVER), 0);
        send_text(from, "next");
        memset(received, 0x55, size + 1);
        if (size > 0) {
            RETURNS(forq_connection_recv(to, NULL, 0, &told, FORQ_FOREVER), -EMSGSIZE);
            CHECK(told == size);
            told = 99;
            RETURNS(forq_connection_recv(to, received, size - 1, &told, 0), -EMSGSIZE);
            CHECK(told == size && received[0] == 0x55);
        }
        RETURNS(forq_connection_recv(to, received, size, &told, FORQ_FOREVER), 0);
        CHECK(told == size && memcmp(sent, received, size) == 0 && received[size] == 0x55);
        expect_text(to, "next");
    }
    /* Empty, and not the end. */
    RETURNS(forq_connection_send(&ends[0], NULL, 0, 0), 0);
    size_t told = 99;
    RETURNS(forq_connection_recv(&ends[1], NULL, 0, &told, 0), 0);
    CHECK(told == 0);
    RETURNS(forq_connection_recv(&ends[1], NULL, 0, &told, 0), -EAGAIN);
    closed(&ends[0]);
    expect_end(&ends[1]);
    closed(&ends[1]);
}

static void one_way_is_one_way(void) {
    forq_connection receiver, sender;
    RETURNS(forq_pipe_one_way(&receiver, &sender), 0);
    char byte;
    size_t size = 99;
    RETURNS(forq_connection_send(&receiver, "x", 1, FORQ_FOREVER), -EPERM);
    RETURNS(forq_connection_send_fd(&receiver, 0, FORQ_FOREVER), -EPERM);
    RETURNS(forq_connection_recv(&sender, &byte, 1, &size, FORQ_FOREVER), -EPERM);
    RETURNS(forq_connection_recv_fd(&sender, IGNORED, FORQ_FOREVER), -EPERM);
    RETURNS(forq_connection_poll(&sender, FORQ_FOREVER), -EPERM);
    send_text(&sender, "one way");
    forq_connection moved = receiver;
    memset(&receiver, 0, sizeof receiver);
    expect_text(&moved, "one way");
    closed(&moved);
    RETURNS(forq_connection_send(&sender, "x", 1, FORQ_FOREVER), -EPIPE);
    closed(&sender);
}

static int fill_up(forq_connection *c) {
    int count = 0, status;
    while ((status = forq_connection_send(c, sent, 1000, 0)) == 0) count++;
    IS(status, -EAGAIN);
    return count;
}

static void time_limits_are_kept(void) {
    forq_connection ends[2];
    RETURNS(forq_pipe(ends), 0);
    size_t size = 99;
    int64_t start = now_ns();
    RETURNS(forq_connection_recv(&ends[1], received, 1000, &size, 0), -EAGAIN);
    RETURNS(forq_connection_recv(&ends[1], received, 1000, &size, 1), -ETIMEDOUT);
    RETURNS(forq_connection_recv(&ends[1], received, 1000, &size, 20 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_connection_recv_fd(&ends[1], IGNORED, 20 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_connection_recv_fd(&ends[1], IGNORED, 0), -EAGAIN);
    RETURNS(forq_connection_poll(&ends[1], 20 * MILLISECOND), 0);
    RETURNS(forq_connection_poll(&ends[1], 0), 0);
    CHECK(now_ns() - start >= 60 * MILLISECOND && size == 99);
    int count = fill_up(&ends[0]);
    CHECK(count > 0);
    start = now_ns();
    RETURNS(forq_connection_send(&ends[0], sent, 1000, 1), -ETIMEDOUT);
    RETURNS(forq_connection_send(&ends[0], sent, 1000, 20 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_connection_send(&ends[0], sent, LARGEST, 20 * MILLISECOND), -ETIMEDOUT);
    RETURNS(forq_connection_send(&ends[0], sent, LARGEST, 0), -EAGAIN);
    RETURNS(forq_connection_send_fd(&ends[0], 0, 0), -EAGAIN);
    CHECK(now_ns() - start >= 40 * MILLISECOND);
    for (int i = 0; i < count; i++) {
        RETURNS(forq_connection_recv(&ends[1], received, 1000, &size, INT64_MAX), 0);
        CHECK(size == 1000);
    }
    RETURNS(forq_connection_recv(&ends[1], received, 1000, &size, 0), -EAGAIN);
    RETURNS(forq_connection_send(&ends[0], sent, 1, INT64_MAX), 0);
    RETURNS(forq_connection_poll(&ends[1], INT64_MAX), 1);
    RETURNS(forq_connection_recv(&ends[1], received, 1000, &size, 1), 0);
    closed(&ends[0]);
    closed(&ends[1]);
}

static void what_was_sent_arrives_before_the_end(void) {
    forq_connection ends[2];
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    RETURNS(forq_pipe(ends), 0);
    send_text(&ends[1], "never read");
    send_text(&ends[0], "last words");
    RETURNS(forq_connection_send(&ends[0], sent, MEBIBYTE, FORQ_FOREVER), 0);
    closed(&ends[0]);
    expect_text(&ends[1], "last words");
    size_t size;
    RETURNS(forq_connection_recv(&ends[1], received, LARGEST, &size, FORQ_FOREVER), 0);
    CHECK(size == MEBIBYTE);
    expect_end(&ends[1]);
    RETURNS(forq_connection_send(&ends[1], "x", 1, 0), -EPIPE);
    RETURNS(forq_connection_send(&ends[1], sent, MEBIBYTE, FORQ_FOREVER), -EPIPE);
    RETURNS(forq_connection_send_fd(&ends[1], 0, FORQ_FOREVER), -EPIPE);
    closed(&ends[1]);
}

static void descriptors_travel_in_their_turn(void) {
    int before = descriptors();
    forq_connection ends[2];
    RETURNS(forq_pipe(ends), 0);
    CHECK(fcntl(forq_connection_fd(&ends[0]), F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(forq_connection_fd(&ends[1]), F_GETFD) == FD_CLOEXEC);
    int plain[2], copy = -5;
    CHECK(pipe(plain) == 0);
    send_text(&ends[0], "before");
    RETURNS(forq_connection_send_fd(&ends[0], plain[1], FORQ_FOREVER), 0);
    send_text(&ends[0], "after");
    CHECK(close(plain[1]) == 0);
    RETURNS(forq_connection_recv_fd(&ends[1], &copy, FORQ_FOREVER), -EPROTO);
    expect_text(&ends[1], "before");
    size_t size = 99;
    RETURNS(forq_connection_recv(&ends[1], received, 9, &size, FORQ_FOREVER), -EPROTO);
    CHECK(copy == -5 && size == 99);
    RETURNS(forq_connection_recv_fd(&ends[1], &copy, FORQ_FOREVER), 0);
    expect_text(&ends[1], "after");
    CHECK(copy > 2 && fcntl(copy, F_GETFD) == FD_CLOEXEC);
    CHECK(write(copy, "x", 1) == 1 && close(copy) == 0);
    CHECK(read(plain[0], received, 9) == 1 && read(plain[0], received, 9) == 0 && close(plain[0]) == 0);
    /* Never received. */
    RETURNS(forq_connection_send_fd(&ends[0], forq_connection_fd(&ends[0]), FORQ_FOREVER), 0);
    closed(&ends[0]);
    closed(&ends[1]);
    CHECK(descriptors() == before);
}

/* --- processes --- */

static int echo(forq_connection *parent, void *count) {
    size_t size;
    int status, messages = 0;
    while ((status = forq_connection_recv(parent, received, LARGEST, &size, FORQ_FOREVER)) == 0) {
        RETURNS(forq_connection_send(parent, received, size, FORQ_FOREVER), 0);
        messages++;
    }
    IS(status, -EPIPE);
    RETURNS(forq_connection_close(parent), 0);
    return messages == *(int *)count ? 0 : 1;
}

static int joined(forq_process *child) {
    int code;
    RETURNS(forq_process_join(child, &code, FORQ_FOREVER), 0);
    RETURNS(forq_process_close(child), 0);
    return code;
}

static void a_piped_child_answers(void) {
    int count = 4;
    const forq_process_options options = {.name = "echo", .daemon = true};
    forq_process child;
    forq_connection end;
    RETURNS(forq_process_spawn_piped(&child, echo, &count, &options, &end), 0);
    static const size_t sizes[] = {0, 5, 2 * INLINE, LARGEST};
    for (int i = 0; i < count; i++) {
        size_t size;
        fill(sent, sizes[i], 5);
        RETURNS(forq_connection_send(&end, sent, sizes[i], FORQ_FOREVER), 0);
        RETURNS(forq_connection_recv(&end, received, LARGEST, &size, FORQ_FOREVER), 0);
        CHECK(size == sizes[i] && memcmp(sent, received, size) == 0);
    }
    closed(&end);
    IS(joined(&child), 0);
}

static int sleep_for_ever(void *unused) {
    (void)unused;
    while (pause() == -1) {
    }
    return 0;
}

static int send_then_sleep(forq_connection *parent, void *unused) {
    send_text(parent, "ready");
    return sleep_for_ever(unused);
}

static int until_the_end(forq_connection *parent, void *unused) {
    (void)unused;
    expect_end(parent);
    return 3;
}

static int use_a_sibling_s_end(void *end_of_parent) {
    forq_connection *end = end_of_parent;
    expect_end(end);
    RETURNS(forq_connection_send(end, "x", 1, FORQ_FOREVER), -EPIPE);
    closed(end);
    return 0;
}

static void siblings_do_not_keep_ends_open(void) {
    forq_process children[4], idle, user;
    forq_connection ends[4];
    for (int i = 0; i < 4; i++) {
        int (*fn)(forq_connection *, void *) = i % 2 == 0 ? send_then_sleep : until_the_end;
        RETURNS(forq_process_spawn_piped(&children[i], fn, NULL, NULL, &ends[i]), 0);
    }
    RETURNS(forq_process_spawn(&idle, sleep_for_ever, NULL, NULL), 0);
    RETURNS(forq_process_spawn(&user, use_a_sibling_s_end, &ends[1], NULL), 0);
    IS(joined(&user), 0);
    forq_pool *pool;
    RETURNS(forq_pool_new(&(forq_pool_options){.workers = 1}, &pool), 0);
    for (int i = 0; i < 4; i++) {
        if (i % 2 == 0) {
            RETURNS(forq_connection_poll(&ends[i], FORQ_FOREVER), 1);
            RETURNS(forq_process_kill(&children[i]), 0);
            expect_text(&ends[i], "ready");
            expect_end(&ends[i]);
            IS(joined(&children[i]), -SIGKILL);
            closed(&ends[i]);
        } else {
            closed(&ends[i]);
            IS(joined(&children[i]), 3);
        }
    }
    forq_pool_free(pool);
    RETURNS(forq_process_kill(&idle), 0);
    IS(joined(&idle), -SIGKILL);
}

static int use_copies(void *both) {
    forq_connection *ends = both;
    expect_text(&ends[1], "to the child");
    send_text(&ends[1], "to the parent");
    closed(&ends[0]);
    closed(&ends[1]);
    return 0;
}

static void forks_copy_ends(void) {
    forq_connection ends[2];
    for (int i = 0; i < 2; i++) {
        RETURNS(forq_pipe(ends), 0);
        send_text(&ends[0], "to the child");
        if (i == 0) {
            IS(ended_with(in_child(use_copies, ends)), 0);
        } else {
            forq_process child;
            RETURNS(forq_process_spawn(&child, use_copies, ends, NULL), 0);
            IS(joined(&child), 0);
        }
        closed(&ends[1]);
        expect_text(&ends[0], "to the parent");
        expect_end(&ends[0]);
        closed(&ends[0]);
    }
}

static int receive_half(void *receiver) {
    size_t size;
    for (int i = 0; i < 500; i++) RETURNS(forq_connection_recv(receiver, received, LARGEST, &size, FORQ_FOREVER), 0);
    return 0;
}

static void *receive_half_in_a_thread(void *receiver) {
    static _Thread_local char buffer[4096];
    size_t size;
    for (int i = 0; i < 500; i++) RETURNS(forq_connection_recv(receiver, buffer, sizeof buffer, &size, FORQ_FOREVER), 0);
    return NULL;
}

static void threads_and_processes_may_share_an_end(void) {
    forq_connection receiver, sender;
    RETURNS(forq_pipe_one_way(&receiver, &sender), 0);
    pid_t child = in_child(receive_half, &receiver);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, receive_half_in_a_thread, &receiver) == 0);
    for (int i = 0; i < 2000; i++) {
        RETURNS(forq_connection_send(&sender, sent, (size_t)(i * 7 % 4096), FORQ_FOREVER), 0);
    }
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    IS(ended_with(child), 0);
    RETURNS(forq_connection_poll(&receiver, 0), 0);
    closed(&receiver);
    closed(&sender);
}

static void waiting_tells_which_are_ready(void) {
    forq_connection ends[2], end;
    forq_process child;
    RETURNS(forq_pipe(ends), 0);
    RETURNS(forq_process_spawn_piped(&child, until_the_end, NULL, NULL, &end), 0);
    int fds[100];
    bool ready[100];
    for (int i = 0; i < 100; i++) fds[i] = forq_connection_fd(&ends[0]);
    fds[1] = forq_process_fd(&child);
    fds[99] = forq_connection_fd(&end);
    memset(ready, 1, sizeof ready);
    RETURNS(forq_wait(fds, 100, ready, 0), -EAGAIN);
    RETURNS(forq_wait(fds, 3, ready, 1), -ETIMEDOUT);
    int64_t start = now_ns();
    RETURNS(forq_wait(fds, 100, ready, 20 * MILLISECOND), -ETIMEDOUT);
    CHECK(now_ns() - start >= 20 * MILLISECOND && ready[0] && ready[99]);
    send_text(&ends[1], "x");
    RETURNS(forq_wait(fds, 3, ready, FORQ_FOREVER), 2);
    CHECK(ready[0] && !ready[1] && ready[2] && ready[3]);
    RETURNS(forq_wait(fds, 100, ready, INT64_MAX), 98);
    CHECK(ready[0] && !ready[1] && ready[98] && !ready[99]);
    expect_text(&ends[0], "x");
    closed(&end);
    RETURNS(forq_wait(fds, 3, ready, FORQ_FOREVER), 1);
    CHECK(!ready[0] && ready[1] && !ready[2]);
    IS(joined(&child), 3);
    closed(&ends[0]);
    closed(&ends[1]);
}

static void *spawn_many(void *unused) {
    for (int i = 0; i < 40; i++) {
        forq_process child;
        forq_connection end;
        RETURNS(forq_process_spawn_piped(&child, until_the_end, NULL, NULL, &end), 0);
        closed(&end);
        IS(joined(&child), 3);
    }
    return unused;
}

/* Each child's end comes although others are forked at the same time. */
static void threads_may_spawn_at_the_same_time(void) {
    int before = descriptors();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, spawn_many, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(descriptors() == before);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused);
    RUN(messages_of_all_sizes_keep_their_boundaries);
    RUN(one_way_is_one_way);
    RUN(time_limits_are_kept);
    RUN(what_was_sent_arrives_before_the_end);
    RUN(descriptors_travel_in_their_turn);
    RUN(a_piped_child_answers);
    RUN(siblings_do_not_keep_ends_open);
    RUN(forks_copy_ends);
    RUN(threads_and_processes_may_share_an_end);
    RUN(waiting_tells_which_are_ready);
    RUN(threads_may_spawn_at_the_same_time);
    return finish();
}
