/* An array that several processes fill, and a value that they count in.
 *
 * Four processes sieve their share of the numbers below 100,000: each marks multiples in an array without locking, since a
 * mark is one byte and only ever set, then adds how many primes it found in its share to a common value.
 *
 *     cc -std=c11 -O2 -I../include array.c ../target/release/libforq.a -pthread -o array && ./array
 */
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBERS = 100000, WORKERS = 4, PRIMES = 9592 };

static forq_array *composite;
static forq_value *primes;
static forq_barrier *marked;

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "array: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

static int work(void *argument) {
    const size_t worker = *(const size_t *)argument;
    volatile char *mark = forq_array_data(composite);
    for (size_t factor = 2 + worker; factor * factor < NUMBERS; factor += WORKERS)
        for (size_t multiple = factor * factor; multiple < NUMBERS; multiple += factor) mark[multiple] = 1;
    must(forq_barrier_wait(marked, FORQ_FOREVER), "barrier");
    int64_t found = 0;
    for (size_t number = 2 + worker; number < NUMBERS; number += WORKERS) {
        char is_composite;
        must(forq_array_get(composite, number, &is_composite), "get");
        found += !is_composite;
    }
    must(forq_value_add_i64(primes, found, NULL), "add");
    return 0;
}

int main(void) {
    must(forq_array_new(1, NUMBERS, NULL, &composite), "array");
    must(forq_value_new(sizeof(int64_t), NULL, &primes), "value");
    void *memory;
    must(forq_shared_alloc(sizeof *marked, &memory), "shared memory");
    marked = memory;
    must(forq_barrier_init(marked, WORKERS), "init");

    forq_process workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) must(forq_process_spawn(&workers[i], work, &i, NULL), "spawn");
    for (size_t i = 0; i < WORKERS; i++) {
        int code;
        must(forq_process_join(&workers[i], &code, FORQ_FOREVER), "join");
        if (code != 0) return fprintf(stderr, "array: a worker ended with %d\n", code), 1;
        must(forq_process_close(&workers[i]), "close");
    }
    int64_t found;
    must(forq_value_get(primes, &found), "get");
    printf("%lld primes below %d\n", (long long)found, NUMBERS);
    forq_value_free(primes);
    forq_array_free(composite);
    must(forq_shared_free(marked, sizeof *marked), "free");
    return found != PRIMES;
}
