/* forq_array and forq_value: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

static void bad_arguments_are_refused(void) {
    forq_array *a = (forq_array *)8, *none = (forq_array *)8;
    forq_value *v = (forq_value *)8;
    char element[8] = {0};
    RETURNS(forq_array_new(0, 1, NULL, &a), -EINVAL);
    RETURNS(forq_array_new(1, 0, NULL, &a), -EINVAL);
    RETURNS(forq_array_new(SIZE_MAX, 2, NULL, &a), -EINVAL);
    RETURNS(forq_array_new(SIZE_MAX / 2, 2, NULL, &a), -EINVAL);
    if (WIDE) RETURNS(forq_array_new(SIZE_MAX / 8, 1, NULL, &a), -ENOMEM);
    RETURNS(forq_array_new(1, 1, NULL, NULL), -EINVAL);
    RETURNS(forq_value_new(0, NULL, &v), -EINVAL);
    RETURNS(forq_value_new(8, NULL, NULL), -EINVAL);
    CHECK(a == none && v == (forq_value *)8);
    CHECK(forq_array_length(NULL) == 0 && forq_array_data(NULL) == NULL && forq_array_mutex(NULL) == NULL);
    RETURNS(forq_array_get(NULL, 0, element), -EINVAL);
    RETURNS(forq_array_set(NULL, 0, element), -EINVAL);
    RETURNS(forq_value_get(NULL, element), -EINVAL);
    RETURNS(forq_value_set(NULL, element), -EINVAL);
    RETURNS(forq_value_add_i64(NULL, 1, NULL), -EINVAL);
    RETURNS(forq_value_add_f64(NULL, 1, NULL), -EINVAL);
    CHECK(forq_value_data(NULL) == NULL && forq_value_mutex(NULL) == NULL);
    forq_array_free(NULL);
    forq_value_free(NULL);
    RETURNS(forq_array_new(8, 3, NULL, &a), 0);
    RETURNS(forq_array_get(a, 0, NULL), -EINVAL);
    RETURNS(forq_array_set(a, 0, NULL), -EINVAL);
    forq_array_free(a);
    RETURNS(forq_value_new(4, NULL, &v), 0);
    RETURNS(forq_value_get(v, NULL), -EINVAL);
    RETURNS(forq_value_set(v, NULL), -EINVAL);
    RETURNS(forq_value_add_i64(v, 1, NULL), -EINVAL);
    RETURNS(forq_value_add_f64(v, 1, NULL), -EINVAL);
    forq_value_free(v);
}

static void elements_lie_side_by_side(void) {
    static const char initial[] = "abcdefghi";
    forq_array *a;
    RETURNS(forq_array_new(3, 3, initial, &a), 0);
    IS(forq_array_length(a), 3);
    char *data = forq_array_data(a);
    CHECK((uintptr_t)data % 64 == 0 && (uintptr_t)forq_array_mutex(a) % 64 == 0);
    CHECK(memcmp(data, initial, 9) == 0);
    char element[4] = "...";
    RETURNS(forq_array_get(a, 1, element), 0);
    CHECK(strcmp(element, "def") == 0);
    RETURNS(forq_array_set(a, 2, "xyz"), 0);
    CHECK(memcmp(data, "abcdefxyz", 9) == 0);
    RETURNS(forq_array_get(a, 3, element), -ERANGE);
    RETURNS(forq_array_set(a, 3, element), -ERANGE);
    RETURNS(forq_array_get(a, SIZE_MAX, element), -ERANGE);
    CHECK(strcmp(element, "def") == 0);
    forq_array_free(a);
    RETURNS(forq_array_new(1000, 1000, NULL, &a), 0);
    char zero[1000] = {0}, got[1000];
    RETURNS(forq_array_get(a, 999, got), 0);
    CHECK(memcmp(zero, got, 1000) == 0);
    forq_array_free(a);
}

enum { ADDERS = 4, EACH = 50000 };
static forq_value *sum, *real;

static int add(void *unused) {
    (void)unused;
    for (int i = 0; i < EACH; i++) {
        RETURNS(forq_value_add_i64(sum, 2, NULL), 0);
        RETURNS(forq_value_add_f64(real, 0.5, NULL), 0);
        RETURNS(forq_mutex_lock(forq_value_mutex(sum)), 0);
        ++*(int64_t *)forq_value_data(sum);
        RETURNS(forq_mutex_unlock(forq_value_mutex(sum)), 0);
    }
    return 0;
}

static void additions_are_exact(void) {
    RETURNS(forq_value_new(sizeof(int64_t), &(int64_t){7}, &sum), 0);
    RETURNS(forq_value_new(sizeof(double), NULL, &real), 0);
    pid_t children[ADDERS];
    for (int i = 0; i < ADDERS; i++) children[i] = in_child(add, NULL);
    for (int i = 0; i < ADDERS; i++) IS(ended_with(children[i]), 0);
    int64_t got;
    RETURNS(forq_value_get(sum, &got), 0);
    IS(got, 7 + 3 * ADDERS * EACH);
    double total;
    RETURNS(forq_value_get(real, &total), 0);
    IS(total, ADDERS * EACH / 2);
    int64_t before;
    RETURNS(forq_value_set(sum, &(int64_t){INT64_MAX}), 0);
    RETURNS(forq_value_add_i64(sum, 1, &before), 0);
    CHECK(before == INT64_MAX && *(int64_t *)forq_value_data(sum) == INT64_MIN);
    double real_before;
    RETURNS(forq_value_add_f64(real, 1, &real_before), 0);
    CHECK(real_before == total);
    forq_value_free(sum);
    forq_value_free(real);
}

static void the_holder_of_the_mutex_may_call_the_rest(void) {
    forq_array *a;
    RETURNS(forq_array_new(sizeof(int), 2, NULL, &a), 0);
    forq_mutex *m = forq_array_mutex(a);
    RETURNS(forq_mutex_lock(m), 0);
    RETURNS(forq_mutex_lock(m), 0);
    int one = 1;
    RETURNS(forq_array_set(a, 0, &one), 0);
    RETURNS(forq_array_get(a, 0, &one), 0);
    RETURNS(forq_mutex_unlock(m), 0);
    IS(forq_mutex_owner(m), thread_id());
    RETURNS(forq_mutex_unlock(m), 0);
    IS(forq_mutex_owner(m), 0);
    forq_array_free(a);
}

static forq_array *shared;

static int hold_and_die(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(forq_array_mutex(shared)), 0);
    *(int *)forq_array_data(shared) = 1;
    raise(SIGKILL);
    return 0;
}

static void a_holder_that_dies_is_told_of_until_somebody_repairs(void) {
    RETURNS(forq_array_new(sizeof(int), 2, NULL, &shared), 0);
    IS(ended_with(in_child(hold_and_die, NULL)), -SIGKILL);
    int got = 5;
    for (int i = 0; i < 2; i++) {
        RETURNS(forq_array_get(shared, 0, &got), -EOWNERDEAD);
        RETURNS(forq_array_set(shared, 0, &got), -EOWNERDEAD);
    }
    IS(got, 5);
    forq_mutex *m = forq_array_mutex(shared);
    RETURNS(forq_mutex_lock(m), -EOWNERDEAD);
    RETURNS(forq_array_get(shared, 0, &got), 0);
    IS(got, 1);
    RETURNS(forq_mutex_consistent(m), 0);
    RETURNS(forq_mutex_unlock(m), 0);
    RETURNS(forq_array_get(shared, 0, &got), 0);
    forq_array_free(shared);
}

static int free_a_copy(void *unused) {
    (void)unused;
    int got;
    RETURNS(forq_array_set(shared, 1, &(int){9}), 0);
    RETURNS(forq_array_get(shared, 1, &got), 0);
    forq_array_free(shared);
    return got;
}

static void a_child_of_a_fork_frees_its_own_use(void) {
    RETURNS(forq_array_new(sizeof(int), 2, NULL, &shared), 0);
    IS(ended_with(in_child(free_a_copy, NULL)), 9);
    int got;
    RETURNS(forq_array_get(shared, 1, &got), 0);
    IS(got, 9);
    forq_array_free(shared);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused);
    RUN(elements_lie_side_by_side);
    RUN(additions_are_exact);
    RUN(the_holder_of_the_mutex_may_call_the_rest);
    RUN(a_holder_that_dies_is_told_of_until_somebody_repairs);
    RUN(a_child_of_a_fork_frees_its_own_use);
    return finish();
}
