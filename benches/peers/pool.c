/* Peers of the pool, in C: a pool of forked processes with a pair of sockets each ("fork"), and OpenMP threads ("openmp").
 *
 * benches/pool.rs compiles and runs it: each line on standard input asks for one sample, whose nanoseconds are printed.
 *
 *     tiny CHUNK          x * x over 10^6 numbers of 64 bits; chunk 0: the peer's own choice (openmp: static)
 *     work STEPS N CHUNK  N items of so many steps
 *     apply N             one item at a time, N times
 *     start               two workers made and ended
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 2, MILLION = 1000000, IN_FLIGHT = 1 << 16 };

static uint64_t inputs[MILLION], outputs[MILLION];

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* As `work` of benches/pool.rs. */
static uint64_t work(uint64_t steps) {
    uint32_t x = 1;
    for (uint32_t step = 0; step < steps; step++) {
        x = (x ^ step) * 0x9E3779B1u;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

static uint64_t square(uint64_t x) {
    return x * x;
}

typedef uint64_t (*task)(uint64_t);

static void check(int good, const char *what) {
    if (good) return;
    perror(what);
    exit(1);
}

/* --- forked processes --- */

struct chunk {
    task fn;
    uint64_t first, count;
};

static struct {
    int fd;
    pid_t pid;
    struct chunk sent[2]; /* oldest first */
    int under_way;
} workers[WORKERS];

static void move(ssize_t (*call)(int, void *, size_t), int fd, void *buffer, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t moved = call(fd, (char *)buffer + done, size - done);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) exit(moved < 0);
        done += (size_t)moved;
    }
}

static ssize_t put(int fd, void *buffer, size_t size) {
    return write(fd, buffer, size);
}

static void serve(int fd) {
    static uint64_t values[MILLION];
    for (;;) {
        struct chunk chunk;
        move(read, fd, &chunk, sizeof chunk);
        move(read, fd, values, chunk.count * sizeof values[0]);
        for (uint64_t i = 0; i < chunk.count; i++) values[i] = chunk.fn(values[i]);
        move(put, fd, values, chunk.count * sizeof values[0]);
    }
}

static void start(void) {
    for (int i = 0; i < WORKERS; i++) {
        int ends[2], size = 1 << 20;
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
        for (int end = 0; end < 2; end++) setsockopt(ends[end], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        workers[i].pid = fork();
        check(workers[i].pid >= 0, "fork");
        if (workers[i].pid == 0) {
            for (int j = 0; j < i; j++) close(workers[j].fd);
            close(ends[0]);
            serve(ends[1]);
        }
        close(ends[1]);
        workers[i].fd = ends[0];
        workers[i].under_way = 0;
    }
}

static void stop(void) {
    for (int i = 0; i < WORKERS; i++) close(workers[i].fd);
    for (int i = 0; i < WORKERS; i++) waitpid(workers[i].pid, NULL, 0);
}

static void map(task fn, uint64_t count, uint64_t chunk_size) {
    uint64_t next = 0, done = 0;
    /* A second chunk is sent ahead where it surely fits the socket, so that nobody blocks while the other does. */
    int ahead = chunk_size * sizeof inputs[0] + sizeof(struct chunk) <= IN_FLIGHT ? 2 : 1;
    while (done < count) {
        for (int level = 1; level <= ahead; level++)
            for (int i = 0; i < WORKERS && next < count; i++) {
                if (workers[i].under_way >= level) continue;
                struct chunk chunk = {fn, next, count - next < chunk_size ? count - next : chunk_size};
                move(put, workers[i].fd, &chunk, sizeof chunk);
                move(put, workers[i].fd, inputs + next, chunk.count * sizeof inputs[0]);
                workers[i].sent[workers[i].under_way++] = chunk;
                next += chunk.count;
            }
        struct pollfd polled[WORKERS];
        for (int i = 0; i < WORKERS; i++) polled[i] = (struct pollfd){.fd = workers[i].fd, .events = POLLIN};
        check(poll(polled, WORKERS, -1) > 0, "poll");
        for (int i = 0; i < WORKERS; i++) {
            if (polled[i].revents == 0) continue;
            struct chunk *chunk = &workers[i].sent[0];
            move(read, workers[i].fd, outputs + chunk->first, chunk->count * sizeof outputs[0]);
            done += chunk->count;
            workers[i].sent[0] = workers[i].sent[1];
            workers[i].under_way--;
        }
    }
}

/* --- threads --- */

static void map_openmp(task fn, int64_t count, int64_t chunk_size) {
    if (chunk_size == 0) {
#pragma omp parallel for schedule(static) num_threads(WORKERS)
        for (int64_t i = 0; i < count; i++) outputs[i] = fn(inputs[i]);
    } else {
#pragma omp parallel for schedule(dynamic, chunk_size) num_threads(WORKERS)
        for (int64_t i = 0; i < count; i++) outputs[i] = fn(inputs[i]);
    }
}

int main(int count, char **arguments) {
    int forks = count > 1 && strcmp(arguments[1], "fork") == 0;
    for (uint64_t i = 0; i < MILLION; i++) inputs[i] = i;
    if (forks) start();
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        unsigned long long chunk, steps, items;
        int64_t begin = now_ns();
        if (sscanf(line, "tiny %llu", &chunk) == 1) {
            for (uint64_t i = 0; i < MILLION; i++) inputs[i] = i;
            begin = now_ns();
            if (forks) map(square, MILLION, chunk);
            else map_openmp(square, MILLION, (int64_t)chunk);
            check(outputs[999999] == UINT64_C(999998000001), "tiny");
        } else if (sscanf(line, "work %llu %llu %llu", &steps, &items, &chunk) == 3) {
            for (uint64_t i = 0; i < items; i++) inputs[i] = steps;
            begin = now_ns();
            if (forks) map(work, items, chunk);
            else map_openmp(work, (int64_t)items, (int64_t)chunk);
            check(outputs[items - 1] == work(steps), "work");
        } else if (sscanf(line, "apply %llu", &items) == 1) {
            for (uint64_t i = 0; i < items; i++) map(square, 1, 1);
        } else {
            stop();
            begin = now_ns();
            start();
            stop();
            int64_t taken = now_ns() - begin;
            start();
            begin = now_ns() - taken;
        }
        printf("%lld\n", (long long)(now_ns() - begin));
        fflush(stdout);
    }
    if (forks) stop();
    return 0;
}
