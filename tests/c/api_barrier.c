/* forq_barrier: what the header promises, row by row. */
#define _GNU_SOURCE
#include "check.h"

/* Sleepers look by themselves after 250 ms; the fastest of those that must be woken must be faster. */
static int64_t fastest_wake = INT64_MAX;

static void note_wake(int64_t start) {
    int64_t taken = now_ns() - start;
    if (taken < fastest_wake) fastest_wake = taken;
}

_Static_assert(sizeof(forq_barrier) == 64, "frozen");
_Static_assert(_Alignof(forq_barrier) == 64, "frozen");

enum { ROUNDS = 20000, PARTIES = 4 };

static struct {
    forq_barrier b, other;
    _Atomic int numbers[3][PARTIES];
} *shared;

static void fresh(uint32_t parties) {
    if (shared != NULL) RETURNS(forq_shared_free(shared, sizeof *shared), 0);
    shared = shared_memory(sizeof *shared);
    if (parties > 0) RETURNS(forq_barrier_init(&shared->b, parties), 0);
}

/* Ends with its number, or 100 + the error. */
static int come(void *timeout_ns) {
    int result = forq_barrier_wait(&shared->b, timeout_ns != NULL ? *(int64_t *)timeout_ns : FORQ_FOREVER);
    return result >= 0 ? result : 100 - result;
}

static pid_t sleeper(void) {
    pid_t pid = in_child(come, NULL);
    WAIT_UNTIL(is_asleep(pid));
    return pid;
}

static void check_bad_place(forq_barrier *bad) {
    RETURNS(forq_barrier_init(bad, 1), -EINVAL);
    RETURNS(forq_barrier_wait(bad, 0), -EINVAL);
    RETURNS(forq_barrier_wait(bad, 1), -EINVAL);
    RETURNS(forq_barrier_wait(bad, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_barrier_abort(bad), -EINVAL);
    RETURNS(forq_barrier_reset(bad), -EINVAL);
    RETURNS(forq_barrier_is_broken(bad), -EINVAL);
    RETURNS(forq_barrier_waiting(bad), -EINVAL);
    RETURNS(forq_barrier_parties(bad), -EINVAL);
}

static void bad_arguments_are_refused_and_change_nothing(void) {
    fresh(0);
    check_bad_place(NULL);
    char *place = (char *)&shared->b;
    check_bad_place((void *)(place + 1));
    check_bad_place((void *)(place + 8));
    check_bad_place((void *)(place + 32));
    RETURNS(forq_barrier_init(&shared->b, 0), -EINVAL);
    RETURNS(forq_barrier_init(&shared->b, 32768), -EINVAL);
    RETURNS(forq_barrier_init(&shared->b, UINT32_MAX), -EINVAL);
    /* Zeroed memory has no parties. */
    RETURNS(forq_barrier_wait(&shared->b, FORQ_FOREVER), -EINVAL);
    RETURNS(forq_barrier_wait(&shared->b, 0), -EINVAL);
    RETURNS(forq_barrier_parties(&shared->b), 0);
    static const forq_barrier zero;
    CHECK(memcmp(&shared->b, &zero, sizeof zero) == 0);
    fresh(2);
    RETURNS(forq_barrier_wait(&shared->b, -2), -EINVAL);
    RETURNS(forq_barrier_wait(&shared->b, INT64_MIN), -EINVAL);
    RETURNS(forq_barrier_waiting(&shared->b), 0);
    RETURNS(forq_barrier_init(&shared->b, 32767), 0);
    RETURNS(forq_barrier_parties(&shared->b), 32767);
}

static void each_party_has_a_number(void) {
    fresh(4);
    for (int round = 0; round < 5; round++) {
        pid_t pids[3];
        for (int i = 0; i < 3; i++) {
            pids[i] = sleeper();
            RETURNS(forq_barrier_waiting(&shared->b), i + 1);
        }
        const int64_t limits[] = {0, 1, SECOND, INT64_MAX, FORQ_FOREVER};
        int64_t start = now_ns();
        RETURNS(forq_barrier_wait(&shared->b, limits[round]), 3);
        for (int i = 0; i < 3; i++) IS(ended_with(pids[i]), i);
        note_wake(start);
        RETURNS(forq_barrier_waiting(&shared->b), 0);
        RETURNS(forq_barrier_is_broken(&shared->b), 0);
    }
    RETURNS(forq_barrier_init(&shared->b, 1), 0);
    RETURNS(forq_barrier_wait(&shared->b, FORQ_FOREVER), 0);
}

static void a_time_out_breaks_it_until_a_reset(void) {
    fresh(4);
    forq_barrier *b = &shared->b;
    RETURNS(forq_barrier_wait(b, 0), -EAGAIN);
    RETURNS(forq_barrier_waiting(b), 0);
    const int64_t limits[] = {1, 1000, MILLISECOND, 300 * MILLISECOND};
    for (size_t i = 0; i < 4; i++) {
        pid_t first = sleeper(), second = sleeper();
        int64_t start = now_ns();
        RETURNS(forq_barrier_wait(b, limits[i]), -ETIMEDOUT);
        CHECK(now_ns() - start >= limits[i]);
        IS(ended_with(first), 100 + EPIPE);
        IS(ended_with(second), 100 + EPIPE);
        RETURNS(forq_barrier_is_broken(b), 1);
        RETURNS(forq_barrier_waiting(b), 0);
        RETURNS(forq_barrier_wait(b, 0), -EPIPE);
        RETURNS(forq_barrier_wait(b, SECOND), -EPIPE);
        RETURNS(forq_barrier_wait(b, FORQ_FOREVER), -EPIPE);
        RETURNS(forq_barrier_reset(b), 0);
        RETURNS(forq_barrier_is_broken(b), 0);
    }
}

static void an_abort_breaks_it_until_a_reset(void) {
    fresh(3);
    pid_t first = sleeper(), second = sleeper();
    RETURNS(forq_barrier_abort(&shared->b), 0);
    IS(ended_with(first), 100 + EPIPE);
    IS(ended_with(second), 100 + EPIPE);
    RETURNS(forq_barrier_abort(&shared->b), 0);
    RETURNS(forq_barrier_wait(&shared->b, FORQ_FOREVER), -EPIPE);
    RETURNS(forq_barrier_reset(&shared->b), 0);
    RETURNS(forq_barrier_reset(&shared->b), 0);
    first = sleeper(), second = sleeper();
    RETURNS(forq_barrier_wait(&shared->b, FORQ_FOREVER), 2);
    IS(ended_with(first), 0);
    IS(ended_with(second), 1);
}

static void a_reset_sends_the_waiting_away_and_is_whole_at_once(void) {
    fresh(2);
    for (int i = 0; i < 20; i++) {
        pid_t old = sleeper();
        RETURNS(forq_barrier_reset(&shared->b), 0);
        RETURNS(forq_barrier_waiting(&shared->b), 0);
        pid_t new = in_child(come, NULL);
        int number = forq_barrier_wait(&shared->b, FORQ_FOREVER);
        CHECK(number == 0 || number == 1);
        IS(ended_with(new), 1 - number);
        IS(ended_with(old), 100 + EPIPE);
    }
}

static int go_round(void *unused) {
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        int number = forq_barrier_wait(&shared->b, round % 2 ? FORQ_FOREVER : INT64_MAX);
        CHECK(number >= 0 && number < PARTIES);
        CHECK(shared->numbers[round % 3][number]++ == 0);
        if (number == 0) {
            for (int i = 0; i < PARTIES; i++) shared->numbers[(round + 1) % 3][i] = 0;
        }
    }
    return 0;
}

static void it_serves_many_rounds(void) {
    fresh(PARTIES);
    pid_t pids[PARTIES];
    for (int i = 0; i < PARTIES; i++) pids[i] = in_child(go_round, NULL);
    for (int i = 0; i < PARTIES; i++) IS(ended_with(pids[i]), 0);
}

static void a_party_killed_while_it_waits_has_arrived(void) {
    fresh(3);
    for (int i = 0; i < 20; i++) {
        pid_t dead = sleeper(), living = sleeper();
        IS(killed(dead), -SIGKILL);
        RETURNS(forq_barrier_waiting(&shared->b), 2);
        RETURNS(forq_barrier_wait(&shared->b, FORQ_FOREVER), 2);
        IS(ended_with(living), 1);
    }
}

static int die_first(void *unused) {
    (void)unused;
    raise(SIGKILL);
    return come(NULL);
}

static void a_party_killed_before_it_arrives_is_missed_and_the_time_out_tells(void) {
    fresh(3);
    for (int i = 0; i < 3; i++) {
        pid_t endless = sleeper();
        IS(ended_with(in_child(die_first, NULL)), -SIGKILL);
        RETURNS(forq_barrier_waiting(&shared->b), 1);
        int64_t limit = 80 * MILLISECOND, start = now_ns();
        pid_t limited = in_child(come, &limit);
        IS(ended_with(limited), 100 + ETIMEDOUT);
        CHECK(now_ns() - start >= limit);
        IS(ended_with(endless), 100 + EPIPE);
        RETURNS(forq_barrier_wait(&shared->b, FORQ_FOREVER), -EPIPE);
        RETURNS(forq_barrier_reset(&shared->b), 0);
    }
}

static void killed_waiters_hold_up_no_reset_and_no_abort(void) {
    for (int i = 0; i < 20; i++) {
        fresh(4);
        pid_t dead = sleeper(), living = sleeper();
        IS(killed(dead), -SIGKILL);
        int64_t start = now_ns();
        if (i % 2 == 0) RETURNS(forq_barrier_reset(&shared->b), 0);
        else RETURNS(forq_barrier_abort(&shared->b), 0);
        IS(ended_with(living), 100 + EPIPE);
        note_wake(start);
        RETURNS(forq_barrier_waiting(&shared->b), 0);
        RETURNS(forq_barrier_is_broken(&shared->b), i % 2);
    }
}

static void *come_in_thread(void *number_out) {
    *(int *)number_out = forq_barrier_wait(&shared->b, FORQ_FOREVER);
    return NULL;
}

static void threads_meet_too(void) {
    fresh(3);
    pthread_t threads[2];
    int numbers[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, come_in_thread, &numbers[i]) == 0);
    int mine = forq_barrier_wait(&shared->b, FORQ_FOREVER);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(mine >= 0 && numbers[0] >= 0 && numbers[1] >= 0);
    CHECK((1 << mine | 1 << numbers[0] | 1 << numbers[1]) == 7);
}

int main(void) {
    begin();
    RUN(bad_arguments_are_refused_and_change_nothing);
    RUN(each_party_has_a_number);
    RUN(a_time_out_breaks_it_until_a_reset);
    RUN(an_abort_breaks_it_until_a_reset);
    RUN(a_reset_sends_the_waiting_away_and_is_whole_at_once);
    RUN(it_serves_many_rounds);
    RUN(a_party_killed_while_it_waits_has_arrived);
    RUN(a_party_killed_before_it_arrives_is_missed_and_the_time_out_tells);
    RUN(killed_waiters_hold_up_no_reset_and_no_abort);
    RUN(threads_meet_too);
    CHECK(fastest_wake < 240 * MILLISECOND);
    return finish();
}
