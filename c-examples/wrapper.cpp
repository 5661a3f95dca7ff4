/* forq from C++: a guard, a process, a queue, a pool, by include/forq.hpp.
 *
 *     c++ -std=c++17 -O2 -I../include wrapper.cpp ../target/release/libforq.a -pthread -o wrapper && ./wrapper
 */
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <forq.hpp>
#include <stdexcept>

static int failures = 0;

static void expect(bool so, const char *what) {
    if (so) return;
    std::fprintf(stderr, "wrapper: not so: %s\n", what);
    failures++;
}

struct account {
    forq_mutex mutex;
    long balance;
};

static double root(const double &x) {
    if (x < 0) throw std::domain_error("negative");
    if (x > 1e6) std::abort();
    double guess = x;
    for (int i = 0; i < 60; i++) guess = guess > 0 ? (guess + x / guess) / 2 : 0;
    return guess;
}

int main() {
    /* A pool first: its workers are forked now. What throws has failed, what crashes costs one item. */
    forq::pool pool(2);
    expect(pool.apply<root>(49.0) == 7.0, "the root of 49 is 7");
    std::vector<forq_task_status> statuses;
    const std::vector<double> roots = pool.map<root>({4.0, -1.0, 1e9, 81.0}, &statuses);
    expect(roots[0] == 2.0 && roots[3] == 9.0, "the good ones are done");
    expect(statuses[1].kind == FORQ_TASK_FAILED, "an exception is told");
    expect(statuses[2].kind == FORQ_TASK_CRASHED && statuses[2].code == SIGABRT, "a crash is told");
    try {
        pool.map<root>({-1.0});
        expect(false, "map throws if an item failed");
    } catch (const std::system_error &error) {
        expect(error.code().value() == ECHILD, "it throws ECHILD");
    }

    /* A function that captures anything runs in a child; what both are to see is shared. */
    forq::shared<account> account;
    forq::queue<int> queue(8);
    forq::process adder([&] {
        long sum = 0;
        while (const std::optional<int> number = queue.take()) sum += *number;
        forq::guard hold(account->mutex);
        account->balance += sum;
        return 7;
    });
    for (int i = 1; i <= 100; i++) queue.put(i);
    queue.close();
    expect(adder.join() == 7, "the child's exit code");
    expect(account->balance == 5050, "the child's sum");

    /* A holder that dies is told of. */
    forq::process victim([&] {
        forq::guard hold(account->mutex);
        account->balance = -1;
        std::raise(SIGKILL);
        return 0;
    });
    expect(victim.join() == -SIGKILL, "it was killed");
    {
        forq::guard hold(account->mutex);
        expect(hold.owner_died(), "the death of a holder");
        account->balance = 5050;
        hold.mark_consistent();
    }
    expect(!forq::guard(account->mutex).owner_died(), "repaired");

    /* A child that throws ends with 1. One whose handle goes is gone. */
    expect(forq::process([]() -> int { throw std::runtime_error("no"); }).join() == 1, "an exception ends a child");
    int pid = 0;
    {
        forq::process sleeper([] {
            for (;;) forq::queue<int>(1).take();
            return 0;
        });
        pid = sleeper.pid();
        expect(sleeper.is_alive(), "it runs");
    }
    expect(::kill(pid, 0) != 0, "nobody is left");
    std::puts(failures == 0 ? "all as it should be" : "not as it should be");
    return failures != 0;
}
