/* A dict that all workers of a pool merge their results into, and a list of what went wrong.
 *
 * Tasks count the letters of words. Each adds its counts to a shared dict, under the dict's lock, and notes words that hold
 * anything but letters in a shared list. The manager is made before the pool, so that its workers have it.
 *
 *     cc -std=c11 -O2 -I../include manager.c ../target/release/libforq.a -pthread -o manager && ./manager
 */
#include <ctype.h>
#include <forq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 16 };

static forq_dict *counts;
static forq_list *odd_words;

static void must(int status, const char *what) {
    if (status >= 0) return;
    fprintf(stderr, "manager: %s: %s\n", what, forq_strerror(status));
    exit(1);
}

/* Called with the present value under the lock. */
static int add(void *value, size_t capacity, size_t *size, int found, void *argument) {
    (void)capacity;
    long count = found ? *(long *)value : 0;
    *(long *)value = count + *(const long *)argument;
    *size = sizeof(long);
    return 0;
}

static int count_letters(const void *input, void *output, const void *context) {
    (void)output, (void)context;
    const char *word = input;
    for (const char *letter = word; *letter != 0; letter++) {
        if (!isalpha((unsigned char)*letter)) {
            if (forq_list_push(odd_words, word, strlen(word)) != 0) return 1;
            continue;
        }
        long scratch, one = 1;
        if (forq_dict_update(counts, letter, 1, &scratch, sizeof scratch, add, &one) != 0) return 2;
    }
    return 0;
}

int main(void) {
    static const char words[][LONGEST] = {"an", "apple", "a", "day", "keeps", "the", "doctor", "a-way"};
    forq_manager *manager;
    must(forq_manager_new(1 << 20, &manager), "manager");
    must(forq_manager_dict(manager, "counts", &counts), "dict");
    must(forq_manager_list(manager, "odd words", &odd_words), "list");

    forq_pool *pool;
    must(forq_pool_new(NULL, &pool), "pool");
    const forq_job job = {.fn = count_letters, .inputs = words, .input_size = LONGEST, .count = sizeof words / LONGEST};
    must(forq_pool_map(pool, &job, FORQ_FOREVER), "map");
    forq_pool_free(pool);

    uint64_t cursor = 0;
    char letter, word[LONGEST];
    long count, total = 0;
    size_t letter_size, size;
    int status;
    while ((status = forq_dict_next(counts, &cursor, &letter, 1, &letter_size, &count, sizeof count, &size)) == 1) {
        printf("%c %ld\n", letter, count);
        total += count;
    }
    must(status, "next");
    must(forq_list_pop(odd_words, word, sizeof word, &size), "pop");
    printf("%ld letters; odd: %.*s\n", total, (int)size, word);
    forq_manager_free(manager);
    return total != 29 || strncmp(word, "a-way", size) != 0;
}
