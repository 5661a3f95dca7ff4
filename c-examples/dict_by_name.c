/* Two programs that know nothing of each other but a name share a dict. The other one is examples/dict_by_name.rs.
 *
 * Each finds the manager of this name or makes it, says in its dict who it is, waits for the other to say so, and adds to a
 * sum. Without a name this one plays both parts.
 *
 *     cc -std=c11 -O2 -I../include dict_by_name.c ../target/release/libforq.a -pthread -o dict_by_name
 *     (cd .. && cargo run --example dict_by_name -- NAME) & ./dict_by_name NAME
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "dict_by_name: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static void rest(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static forq_manager *find_or_make(const char *name) {
    forq_manager *manager;
    int status = forq_manager_open(name, &manager);
    if (status == -ENOENT) status = forq_manager_create(name, 65536, &manager);
    /* Whoever loses the race to make it finds it. */
    if (status == -EEXIST) status = forq_manager_open(name, &manager);
    must(status, "manager");
    return manager;
}

static int add(void *value, size_t capacity, size_t *size, int found, void *argument) {
    (void)capacity;
    int64_t sum = found ? *(int64_t *)value : 0;
    *(int64_t *)value = sum + *(const int64_t *)argument;
    *size = sizeof sum;
    return 0;
}

static void add_to(forq_dict *sums, const char *name, int64_t number) {
    int64_t scratch;
    must(forq_dict_update(sums, name, strlen(name), &scratch, sizeof scratch, add, &number), "update");
}

static int64_t number_of(forq_dict *sums, const char *name) {
    int64_t number = 0;
    size_t size;
    int status = forq_dict_get(sums, name, strlen(name), &number, sizeof number, &size);
    if (status != -ENOENT) must(status, "get");
    return number;
}

static int meet(const char *name, const char *me, const char *other) {
    forq_manager *manager = find_or_make(name);
    forq_dict *who, *sums;
    must(forq_manager_dict(manager, "who", &who), "dict");
    must(forq_manager_dict(manager, "sums", &sums), "dict");
    uint32_t id = (uint32_t)getpid();
    must(forq_dict_set(who, me, strlen(me), &id, sizeof id), "set");
    size_t size;
    int status, tries = 0;
    while ((status = forq_dict_get(who, other, strlen(other), &id, sizeof id, &size)) == -ENOENT) {
        if (++tries > 30000) return fprintf(stderr, "dict_by_name: nobody came\n"), 1;
        rest();
    }
    must(status, "get");
    for (int64_t number = 1; number <= 100; number++) add_to(sums, "sum", number);
    add_to(sums, "done", 1);
    while (number_of(sums, "done") != 2) rest();
    int64_t sum = number_of(sums, "sum");
    printf("%s met %s, process %u; together they summed up %lld\n", me, other, (unsigned)id, (long long)sum);
    /* Of the two, one comes first. */
    status = forq_segment_unlink(name);
    if (status != -ENOENT) must(status, "unlink");
    forq_manager_free(manager);
    return sum != 2 * 5050;
}

int main(int argc, char **argv) {
    if (argc > 1) return meet(argv[1], "C", "Rust");
    char name[64];
    snprintf(name, sizeof name, "example-%ld", (long)getpid());
    pid_t other = fork();
    if (other == 0) exit(meet(name, "Rust", "C"));
    int failed = meet(name, "C", "Rust"), status;
    return waitpid(other, &status, 0) != other || status != 0 || failed;
}
