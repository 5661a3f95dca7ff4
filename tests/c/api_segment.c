/* forq_segment: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

static char name[64];

static void fresh_name(void) {
    static int number;
    snprintf(name, sizeof name, "c-test-%d-%d", (int)getpid(), number++);
}

static char *path_of(const char *of) {
    static char path[300];
    snprintf(path, sizeof path, "/dev/shm/forq-%s", of);
    return path;
}

static void bad_arguments_are_refused(void) {
    fresh_name();
    forq_segment *none = (forq_segment *)8, *s = none;
    void *object = NULL;
    char longer[301];
    memset(longer, 'x', 300);
    longer[300] = 0;
    const char *bad[] = {NULL, "", ".", "..", "/", "a/b", "../../tmp/x", longer};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        RETURNS(forq_segment_create(bad[i], 4096, &s), -EINVAL);
        RETURNS(forq_segment_open(bad[i], &s), -EINVAL);
        RETURNS(forq_segment_unlink(bad[i]), -EINVAL);
    }
    RETURNS(forq_segment_create(name, 0, &s), -EINVAL);
    RETURNS(forq_segment_create(name, SIZE_MAX, &s), -EINVAL);
    RETURNS(forq_segment_create(name, POWER(50), &s), WIDE ? -ENOSPC : -EINVAL);
    RETURNS(forq_segment_create(name, 4096, NULL), -EINVAL);
    RETURNS(forq_segment_open(name, NULL), -EINVAL);
    RETURNS(forq_segment_open(name, &s), -ENOENT);
    RETURNS(forq_segment_unlink(name), -ENOENT);
    RETURNS(forq_segment_anonymous(0, &s), -EINVAL);
    RETURNS(forq_segment_anonymous(SIZE_MAX, &s), -EINVAL);
    RETURNS(forq_segment_anonymous(POWER(50), &s), WIDE ? -ENOMEM : -EINVAL);
    RETURNS(forq_segment_anonymous(4096, NULL), -EINVAL);
    RETURNS(forq_segment_from_fd(-1, &s), -EINVAL);
    RETURNS(forq_segment_from_fd(STDERR_FILENO, NULL), -EINVAL);
    RETURNS(forq_segment_object(NULL, "x", 1, &object), -EINVAL);
    RETURNS(forq_segment_fd(NULL), -EINVAL);
    CHECK(s == none && object == NULL);
    forq_segment_free(NULL);
    RETURNS(forq_segment_anonymous(4096, &s), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) RETURNS(forq_segment_object(s, bad[i], 1, &object), -EINVAL);
    RETURNS(forq_segment_object(s, "x", 0, &object), -EINVAL);
    RETURNS(forq_segment_object(s, "x", 1, NULL), -EINVAL);
    RETURNS(forq_segment_object(s, "x", 8192, &object), -ENOSPC);
    RETURNS(forq_segment_object(s, "x", SIZE_MAX, &object), -ENOSPC);
    CHECK(object == NULL);
    forq_segment_free(s);
}

static int find_and_count(void *unused) {
    (void)unused;
    forq_segment *s;
    void *object;
    RETURNS(forq_segment_open(name, &s), 0);
    int made = forq_segment_object(s, "counter", sizeof(_Atomic long), &object);
    CHECK(made == 0 || made == 1);
    ++*(_Atomic long *)object;
    forq_segment_free(s);
    return made;
}

static void of_many_one_makes_the_object(void) {
    enum { MANY = 64 };
    fresh_name();
    forq_segment *s;
    RETURNS(forq_segment_create(name, 4096, &s), 0);
    RETURNS(forq_segment_create(name, 4096, &s), -EEXIST);
    pid_t children[MANY];
    for (int i = 0; i < MANY; i++) children[i] = in_child(find_and_count, NULL);
    int made = 0;
    for (int i = 0; i < MANY; i++) made += ended_with(children[i]);
    IS(made, 1);
    void *object;
    RETURNS(forq_segment_object(s, "counter", sizeof(_Atomic long), &object), 0);
    CHECK((uintptr_t)object % 64 == 0);
    IS(*(_Atomic long *)object, MANY);
    RETURNS(forq_segment_object(s, "counter", 1, &object), -EEXIST);
    RETURNS(forq_segment_object(s, "other", 100, &object), 1);
    static const char zeroes[100];
    CHECK(memcmp(object, zeroes, 100) == 0);
    RETURNS(forq_segment_unlink(name), 0);
    RETURNS(forq_segment_open(name, &(forq_segment *){NULL}), -ENOENT);
    forq_segment_free(s);
}

static void what_is_no_segment_is_refused(void) {
    fresh_name();
    forq_segment *s;
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    RETURNS(forq_segment_open(name, &s), -EPROTO);
    CHECK(ftruncate(fd, 1 << 20) == 0);
    RETURNS(forq_segment_open(name, &s), -EPROTO);
    RETURNS(forq_segment_from_fd(fd, &s), -EPROTO);
    close(fd);
    RETURNS(forq_segment_unlink(name), 0);
    CHECK(symlink("/dev/null", path_of(name)) == 0);
    RETURNS(forq_segment_open(name, &s), -EPROTO);
    RETURNS(forq_segment_create(name, 4096, &s), -EEXIST);
    RETURNS(forq_segment_unlink(name), 0);
}

static forq_mutex *held;

static int hold_and_die(void *unused) {
    (void)unused;
    RETURNS(forq_mutex_lock(held), 0);
    raise(SIGKILL);
    return 0;
}

static void a_mutex_in_it_tells_of_deaths_at_another_address(void) {
    forq_segment *one, *other;
    RETURNS(forq_segment_anonymous(4096, &one), 0);
    RETURNS(forq_segment_from_fd(forq_segment_fd(one), &other), 0);
    void *here, *there;
    RETURNS(forq_segment_object(one, "mutex", sizeof(forq_mutex), &here), 1);
    RETURNS(forq_segment_object(other, "mutex", sizeof(forq_mutex), &there), 0);
    CHECK(here != there);
    held = here;
    IS(ended_with(in_child(hold_and_die, NULL)), -SIGKILL);
    RETURNS(forq_mutex_lock(there), -EOWNERDEAD);
    RETURNS(forq_mutex_consistent(there), 0);
    RETURNS(forq_mutex_unlock(there), 0);
    forq_segment_free(one);
    forq_segment_free(other);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused);
    RUN(of_many_one_makes_the_object);
    RUN(what_is_no_segment_is_refused);
    RUN(a_mutex_in_it_tells_of_deaths_at_another_address);
    return finish();
}
