/* forq_manager, forq_list, forq_dict: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

static forq_manager *m;
static forq_list *l;
static forq_dict *d;

static void fresh(size_t size) {
    forq_manager_free(m);
    RETURNS(forq_manager_new(size, &m), 0);
    RETURNS(forq_manager_list(m, "list", &l), 0);
    RETURNS(forq_manager_dict(m, "dict", &d), 0);
}

static bool has_item(size_t index, const char *text) {
    char buffer[64];
    size_t size;
    return forq_list_get(l, index, buffer, sizeof buffer, &size) == 0 && size == strlen(text) &&
           memcmp(buffer, text, size) == 0;
}

static void null_is_refused_everywhere(void) {
    fresh(65536);
    char buffer[8];
    size_t size = 77, other_size = 77;
    uint64_t cursor = 0;
    forq_manager *no_manager = (forq_manager *)8;
    forq_list *no_list = (forq_list *)8;
    forq_dict *no_dict = (forq_dict *)8;
    RETURNS(forq_manager_new(65535, &no_manager), -EINVAL);
    RETURNS(forq_manager_new(0, &no_manager), -EINVAL);
    RETURNS(forq_manager_new(SIZE_MAX, &no_manager), -EINVAL);
    RETURNS(forq_manager_new(POWER(50), &no_manager), WIDE ? -ENOMEM : -EINVAL);
    RETURNS(forq_manager_new(65536, NULL), -EINVAL);
    RETURNS(forq_manager_create(NULL, 65536, &no_manager), -EINVAL);
    RETURNS(forq_manager_create("a/b", 65536, &no_manager), -EINVAL);
    RETURNS(forq_manager_create("c-test-x", 65536, NULL), -EINVAL);
    RETURNS(forq_manager_create("c-test-x", 100, &no_manager), -EINVAL);
    RETURNS(forq_manager_open(NULL, &no_manager), -EINVAL);
    RETURNS(forq_manager_open("c-test-absent", &no_manager), -ENOENT);
    RETURNS(forq_manager_from_fd(-1, &no_manager), -EINVAL);
    RETURNS(forq_manager_fd(NULL), -EINVAL);
    RETURNS(forq_manager_list(NULL, "x", &no_list), -EINVAL);
    RETURNS(forq_manager_list(m, NULL, &no_list), -EINVAL);
    RETURNS(forq_manager_list(m, "", &no_list), -EINVAL);
    RETURNS(forq_manager_list(m, "a/b", &no_list), -EINVAL);
    RETURNS(forq_manager_list(m, "x", NULL), -EINVAL);
    RETURNS(forq_manager_dict(NULL, "x", &no_dict), -EINVAL);
    RETURNS(forq_manager_dict(m, NULL, &no_dict), -EINVAL);
    RETURNS(forq_manager_dict(m, "x", NULL), -EINVAL);
    RETURNS(forq_manager_dict(m, "list", &no_dict), -EEXIST);
    RETURNS(forq_manager_list(m, "dict", &no_list), -EEXIST);
    RETURNS(forq_manager_list_new(m, NULL), -EINVAL);
    RETURNS(forq_manager_dict_of(m, 12345, &no_dict), -EPROTO);
    RETURNS(forq_manager_space(m, &size, &size), -EINVAL);
    RETURNS(forq_manager_space(NULL, &size, &other_size), -EINVAL);
    CHECK(no_manager == (forq_manager *)8 && no_list == (forq_list *)8 && no_dict == (forq_dict *)8);

    RETURNS(forq_list_push(NULL, "x", 1), -EINVAL);
    RETURNS(forq_list_push(l, NULL, 1), -EINVAL);
    RETURNS(forq_list_push(l, "x", SIZE_MAX), -EINVAL);
    RETURNS(forq_list_get(NULL, 0, buffer, 8, &size), -EINVAL);
    RETURNS(forq_list_get(l, 0, buffer, 8, NULL), -EINVAL);
    RETURNS(forq_list_get(l, 0, NULL, 8, &size), -EINVAL);
    RETURNS(forq_list_get(l, 0, buffer, 8, &size), -ERANGE);
    RETURNS(forq_list_set(NULL, 0, "x", 1), -EINVAL);
    RETURNS(forq_list_set(l, 0, "x", 1), -ERANGE);
    RETURNS(forq_list_insert(NULL, 0, "x", 1), -EINVAL);
    RETURNS(forq_list_insert(l, 1, "x", 1), -ERANGE);
    RETURNS(forq_list_remove(NULL, 0), -EINVAL);
    RETURNS(forq_list_remove(l, 0), -ERANGE);
    RETURNS(forq_list_pop(NULL, buffer, 8, &size), -EINVAL);
    RETURNS(forq_list_pop(l, buffer, 8, NULL), -EINVAL);
    RETURNS(forq_list_pop(l, buffer, 8, &size), -ENOENT);
    RETURNS(forq_list_len(NULL), -EINVAL);
    RETURNS(forq_list_clear(NULL), -EINVAL);
    RETURNS(forq_list_extend(NULL, NULL, NULL, 0), -EINVAL);
    RETURNS(forq_list_extend(l, NULL, &size, 1), -EINVAL);
    RETURNS(forq_list_extend(l, (const void *[]){buffer}, NULL, 1), -EINVAL);
    RETURNS(forq_list_extend(l, (const void *[]){buffer, NULL}, (size_t[]){1, 1}, 2), -EINVAL);
    RETURNS(forq_list_extend(l, NULL, NULL, 0), 0);
    CHECK(forq_list_handle(NULL) == 0 && forq_dict_handle(NULL) == 0);

    RETURNS(forq_dict_set(NULL, "k", 1, "v", 1), -EINVAL);
    RETURNS(forq_dict_set(d, NULL, 1, "v", 1), -EINVAL);
    RETURNS(forq_dict_set(d, "k", 1, NULL, 1), -EINVAL);
    static const char long_key[4097];
    RETURNS(forq_dict_set(d, long_key, sizeof long_key, "v", 1), -EINVAL);
    RETURNS(forq_dict_get(NULL, "k", 1, buffer, 8, &size), -EINVAL);
    RETURNS(forq_dict_get(d, NULL, 1, buffer, 8, &size), -EINVAL);
    RETURNS(forq_dict_get(d, "k", 1, NULL, 8, &size), -EINVAL);
    RETURNS(forq_dict_get(d, "k", 1, buffer, 8, NULL), -EINVAL);
    RETURNS(forq_dict_get(d, "k", 1, buffer, 8, &size), -ENOENT);
    RETURNS(forq_dict_remove(NULL, "k", 1), -EINVAL);
    RETURNS(forq_dict_remove(d, "k", 1), -ENOENT);
    RETURNS(forq_dict_contains(NULL, "k", 1), -EINVAL);
    RETURNS(forq_dict_contains(d, "k", 1), 0);
    RETURNS(forq_dict_len(NULL), -EINVAL);
    RETURNS(forq_dict_clear(NULL), -EINVAL);
    RETURNS(forq_dict_next(NULL, &cursor, buffer, 8, &size, buffer, 8, &other_size), -EINVAL);
    RETURNS(forq_dict_next(d, NULL, buffer, 8, &size, buffer, 8, &other_size), -EINVAL);
    RETURNS(forq_dict_next(d, &cursor, buffer, 8, NULL, buffer, 8, &other_size), -EINVAL);
    RETURNS(forq_dict_next(d, &cursor, buffer, 8, &size, buffer, 8, NULL), -EINVAL);
    RETURNS(forq_dict_next(d, &cursor, NULL, 8, &size, buffer, 8, &other_size), -EINVAL);
    RETURNS(forq_dict_next(d, &cursor, buffer, 8, &size, buffer, 8, &other_size), 0);
    RETURNS(forq_dict_update(d, "k", 1, buffer, 8, NULL, NULL), -EINVAL);
    CHECK(size == 77 && other_size == 77 && cursor == 0);
    RETURNS(forq_list_len(l), 0);
    RETURNS(forq_dict_len(d), 0);
    forq_manager_free(NULL);
}

static void a_list_is_a_list(void) {
    fresh(65536);
    RETURNS(forq_list_push(l, "b", 1), 0);
    RETURNS(forq_list_insert(l, 0, "a", 1), 0);
    RETURNS(forq_list_insert(l, 2, "d", 1), 0);
    RETURNS(forq_list_insert(l, 2, "ccc", 3), 0);
    RETURNS(forq_list_len(l), 4);
    CHECK(has_item(0, "a") && has_item(1, "b") && has_item(2, "ccc") && has_item(3, "d"));
    RETURNS(forq_list_set(l, 2, "c", 1), 0);
    RETURNS(forq_list_set(l, 0, "a longer one", 12), 0);
    RETURNS(forq_list_remove(l, 1), 0);
    CHECK(has_item(0, "a longer one") && has_item(1, "c") && has_item(2, "d"));
    char buffer[12];
    size_t size = 0;
    RETURNS(forq_list_get(l, 0, buffer, 11, &size), -EMSGSIZE);
    IS(size, 12);
    size = 0;
    RETURNS(forq_list_get(l, 0, NULL, 0, &size), -EMSGSIZE);
    IS(size, 12);
    RETURNS(forq_list_push(l, NULL, 0), 0);
    RETURNS(forq_list_get(l, 3, NULL, 0, &size), 0);
    IS(size, 0);
    RETURNS(forq_list_pop(l, NULL, 0, &size), 0);
    RETURNS(forq_list_pop(l, NULL, 0, &size), -EMSGSIZE);
    RETURNS(forq_list_len(l), 3);
    RETURNS(forq_list_pop(l, buffer, sizeof buffer, &size), 0);
    CHECK(size == 1 && buffer[0] == 'd');
    const void *items[] = {"x", "yy", NULL};
    const size_t sizes[] = {1, 2, 0};
    RETURNS(forq_list_extend(l, items, sizes, 3), 0);
    RETURNS(forq_list_len(l), 5);
    CHECK(has_item(2, "x") && has_item(3, "yy") && has_item(4, ""));
    static const char large[70000];
    const void *too_many[] = {"x", large};
    RETURNS(forq_list_extend(l, too_many, (const size_t[]){1, sizeof large}, 2), -ENOSPC);
    RETURNS(forq_list_push(l, large, sizeof large), -ENOSPC);
    RETURNS(forq_list_len(l), 5);
    RETURNS(forq_list_clear(l), 0);
    RETURNS(forq_list_len(l), 0);
    RETURNS(forq_list_get(l, 0, buffer, sizeof buffer, &size), -ERANGE);
}

static void a_dict_is_a_dict(void) {
    fresh(1 << 20);
    char key[16], buffer[16];
    size_t size, key_size;
    for (int i = 0; i < 1000; i++) {
        int length = snprintf(key, sizeof key, "key %d", i);
        RETURNS(forq_dict_set(d, key, (size_t)length, &i, sizeof i), 0);
    }
    RETURNS(forq_dict_len(d), 1000);
    RETURNS(forq_dict_set(d, NULL, 0, "empty", 5), 0);
    RETURNS(forq_dict_contains(d, "", 0), 1);
    RETURNS(forq_dict_get(d, "key 77", 6, buffer, 3, &size), -EMSGSIZE);
    IS(size, sizeof(int));
    RETURNS(forq_dict_get(d, "key 77", 6, NULL, 0, &size), -EMSGSIZE);
    RETURNS(forq_dict_get(d, "key 77", 6, buffer, sizeof buffer, &size), 0);
    int got;
    memcpy(&got, buffer, sizeof got);
    CHECK(size == sizeof got && got == 77);
    RETURNS(forq_dict_remove(d, NULL, 0), 0);
    RETURNS(forq_dict_remove(d, NULL, 0), -ENOENT);
    static bool seen[1000];
    uint64_t cursor = 0;
    RETURNS(forq_dict_next(d, &cursor, key, 1, &key_size, buffer, sizeof buffer, &size), -EMSGSIZE);
    CHECK(cursor == 0 && key_size > 4 && size == sizeof got);
    RETURNS(forq_dict_next(d, &cursor, NULL, 0, &key_size, NULL, 0, &size), -EMSGSIZE);
    int entries = 0, status;
    while ((status = forq_dict_next(d, &cursor, key, sizeof key, &key_size, buffer, sizeof buffer, &size)) == 1) {
        memcpy(&got, buffer, sizeof got);
        CHECK(size == sizeof got && got >= 0 && got < 1000 && !seen[got]);
        char expected[16];
        CHECK(snprintf(expected, sizeof expected, "key %d", got) == (int)key_size);
        CHECK(memcmp(key, expected, key_size) == 0);
        seen[got] = true;
        entries++;
    }
    CHECK(status == 0 && entries == 1000);
    RETURNS(forq_dict_next(d, &cursor, key, sizeof key, &key_size, buffer, sizeof buffer, &size), 0);
    RETURNS(forq_dict_clear(d), 0);
    RETURNS(forq_dict_len(d), 0);
    size_t used, capacity;
    RETURNS(forq_manager_space(m, &used, &capacity), 0);
    CHECK(used < capacity && capacity <= 1 << 20);
}

static int add_one(void *value, size_t capacity, size_t *size, int found, void *argument) {
    long number = 0;
    if (found) memcpy(&number, value, sizeof number);
    if (found ? *size != sizeof number : *size != 0 || capacity < sizeof number) return 99;
    number += *(long *)argument;
    memcpy(value, &number, sizeof number);
    *size = sizeof number;
    return 0;
}

static int refuse(void *value, size_t capacity, size_t *size, int found, void *argument) {
    (void)found, (void)argument;
    memset(value, 1, capacity);
    *size = capacity;
    return -7;
}

static int too_much(void *value, size_t capacity, size_t *size, int found, void *argument) {
    (void)value, (void)found, (void)argument;
    *size = capacity + 1;
    return 0;
}

static int use_the_manager(void *value, size_t capacity, size_t *size, int found, void *argument) {
    (void)value, (void)capacity, (void)size, (void)found, (void)argument;
    char buffer[8];
    size_t got;
    for (char key = 0; key < 100; key++) RETURNS(forq_dict_get(d, &key, 1, buffer, 8, &got), -EDEADLK);
    RETURNS(forq_list_push(l, "x", 1), -EDEADLK);
    RETURNS(forq_dict_len(d), -EDEADLK);
    RETURNS(forq_manager_list(m, "another", &(forq_list *){NULL}), -EDEADLK);
    return 0;
}

static int add_many(void *unused) {
    (void)unused;
    long scratch;
    for (int i = 0; i < 20000; i++) {
        char key = (char)(i % 10);
        RETURNS(forq_dict_update(d, &key, 1, &scratch, sizeof scratch, add_one, &(long){3}), 0);
    }
    return 0;
}

static long number_of(char key) {
    long number;
    size_t size;
    RETURNS(forq_dict_get(d, &key, 1, &number, sizeof number, &size), 0);
    IS(size, sizeof number);
    return number;
}

static void an_update_is_one_step(void) {
    fresh(1 << 20);
    pid_t children[4];
    for (int i = 0; i < 4; i++) children[i] = in_child(add_many, NULL);
    for (int i = 0; i < 4; i++) IS(ended_with(children[i]), 0);
    for (char key = 0; key < 10; key++) IS(number_of(key), 4 * 2000 * 3);
    char key = 0;
    long scratch[2];
    RETURNS(forq_dict_update(d, &key, 1, scratch, sizeof scratch, refuse, NULL), -7);
    RETURNS(forq_dict_update(d, &key, 1, scratch, sizeof scratch, too_much, NULL), -EMSGSIZE);
    RETURNS(forq_dict_update(d, &key, 1, scratch, sizeof *scratch - 1, add_one, &(long){1}), -EMSGSIZE);
    RETURNS(forq_dict_update(d, &key, 1, scratch, sizeof scratch, use_the_manager, NULL), 0);
    IS(number_of(0), 4 * 2000 * 3);
    RETURNS(forq_list_len(l), 0);
}

static int use_it_after_the_fork(void *unused) {
    (void)unused;
    forq_list *again;
    RETURNS(forq_manager_list(m, "list", &again), 0);
    CHECK(again == l);
    RETURNS(forq_list_push(l, "child", 5), 0);
    forq_manager_free(m);
    return 0;
}

static void handles_hold_in_later_forks(void) {
    fresh(65536);
    IS(ended_with(in_child(use_it_after_the_fork, NULL)), 0);
    CHECK(has_item(0, "child"));
    forq_list *inner, *again;
    RETURNS(forq_manager_list_new(m, &inner), 0);
    uint64_t handle = forq_list_handle(inner);
    RETURNS(forq_dict_set(d, "inner", 5, &handle, sizeof handle), 0);
    RETURNS(forq_manager_list_of(m, handle, &again), 0);
    CHECK(again == inner);
    RETURNS(forq_manager_dict_of(m, handle, &(forq_dict *){NULL}), -EPROTO);
}

static char name[64];

static int another_program(void *unused) {
    (void)unused;
    forq_manager *other;
    forq_dict *dict;
    RETURNS(forq_manager_open(name, &other), 0);
    RETURNS(forq_manager_dict(other, "shared", &dict), 0);
    RETURNS(forq_dict_set(dict, "from", 4, "elsewhere", 9), 0);
    forq_manager_free(other);
    return 0;
}

static void a_name_is_found_elsewhere(void) {
    snprintf(name, sizeof name, "c-test-manager-%d", (int)getpid());
    forq_manager *made, *other;
    RETURNS(forq_manager_create(name, 65536, &made), 0);
    RETURNS(forq_manager_create(name, 65536, &other), -EEXIST);
    RETURNS(forq_segment_open(name, &(forq_segment *){NULL}), -EPROTO);
    IS(ended_with(in_child(another_program, NULL)), 0);
    RETURNS(forq_manager_from_fd(forq_manager_fd(made), &other), 0);
    forq_dict *dict;
    char buffer[9];
    size_t size;
    RETURNS(forq_manager_dict(other, "shared", &dict), 0);
    RETURNS(forq_dict_get(dict, "from", 4, buffer, sizeof buffer, &size), 0);
    CHECK(size == 9 && memcmp(buffer, "elsewhere", 9) == 0);
    RETURNS(forq_segment_unlink(name), 0);
    forq_manager_free(other);
    forq_manager_free(made);
}

int main(void) {
    begin();
    RUN(null_is_refused_everywhere);
    RUN(a_list_is_a_list);
    RUN(a_dict_is_a_dict);
    RUN(an_update_is_one_step);
    RUN(handles_hold_in_later_forks);
    RUN(a_name_is_found_elsewhere);
    forq_manager_free(m);
    return finish();
}
