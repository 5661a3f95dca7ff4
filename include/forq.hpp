/* forq.hpp: forq.h for C++17, in the way of the standard library: what is made is ended by its destructor, and what goes wrong
 * is thrown as std::system_error with the errno that forq.h tells.
 *
 *     #include <forq.hpp>
 *
 *     static long square(const long &x) { return x * x; }
 *
 *     int main() {
 *         forq::pool pool;
 *         std::vector<long> squares = pool.map<square>(std::vector<long>{1, 2, 3});
 *         forq::shared<forq_mutex> mutex;
 *         forq::process child([&] { forq::guard hold(*mutex); return 0; });
 *         return child.join();
 *     }
 *
 * What crosses from process to process is trivially copyable. Nothing here is more than a call or two of forq.h, which says what waits,
 * who may use it, and what a death does. get() gives what forq.h wants, for the rest.
 */
#ifndef FORQ_HPP
#define FORQ_HPP

#include <forq.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace forq {

using nanoseconds = std::chrono::nanoseconds;

/** No time limit. A negative one has passed already, as the rest of a deadline may have. */
inline constexpr nanoseconds forever = nanoseconds::max();

/** A time limit as forq.h has it. */
inline std::int64_t limit(nanoseconds timeout) {
    return timeout == forever ? FORQ_FOREVER : timeout.count() < 0 ? 0 : timeout.count();
}

/** Throws what a negative status means; else gives it back. */
inline int check(int status) {
    if (status < 0) throw std::system_error(-status, std::generic_category(), forq_strerror(status));
    return status;
}

/** A T in memory that every later fork shares. Its destructor runs nowhere: which process would be the last? */
template <typename T>
class shared {
    static_assert(std::is_trivially_destructible_v<T>, "no process knows that it is the last to use it");
    static_assert(alignof(T) <= 4096, "memory begins at a page");

public:
    template <typename... Arguments>
    explicit shared(Arguments &&...arguments) {
        void *memory = nullptr;
        check(forq_shared_alloc(sizeof(T), &memory));
        std::unique_ptr<void, unmap> held(memory);
        value_ = new (memory) T{std::forward<Arguments>(arguments)...};
        static_cast<void>(held.release());
    }
    shared(shared &&other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
    shared &operator=(shared &&other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    shared(const shared &) = delete;
    shared &operator=(const shared &) = delete;
    ~shared() { unmap()(value_); }

    T &operator*() const noexcept { return *value_; }
    T *operator->() const noexcept { return value_; }
    T *get() const noexcept { return value_; }

private:
    struct unmap {
        void operator()(void *memory) const noexcept { forq_shared_free(memory, sizeof(T)); }
    };
    T *value_ = nullptr;
};

/** Holds a mutex, and releases it at its end. */
class guard {
public:
    explicit guard(forq_mutex &mutex, nanoseconds timeout = forever) : mutex_(&mutex) {
        const int status = forq_mutex_timedlock(mutex_, limit(timeout));
        owner_died_ = status == -EOWNERDEAD;
        if (!owner_died_) check(status);
    }
    guard(const guard &) = delete;
    guard &operator=(const guard &) = delete;
    ~guard() { forq_mutex_unlock(mutex_); }

    /** A holder died: repair what the mutex guards, then say so. Else the next one is told again. */
    bool owner_died() const noexcept { return owner_died_; }
    void mark_consistent() {
        check(forq_mutex_consistent(mutex_));
        owner_died_ = false;
    }

private:
    forq_mutex *mutex_;
    bool owner_died_;
};

/** A child process. What neither joined nor ended when its handle goes is killed: nothing runs on unseen. */
class process {
public:
    /** Forks a child that runs the function, which may capture anything, and exits with what it returns; 1 if it throws. */
    template <typename Function, typename = std::enable_if_t<std::is_invocable_r_v<int, Function &>>>
    explicit process(Function function, const forq_process_options &options = {}) {
        check(forq_process_spawn(&handle_, &run<Function>, &function, &options));
    }
    process(process &&other) noexcept : handle_(std::exchange(other.handle_, forq_process{})) {}
    process &operator=(process &&other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    process(const process &) = delete;
    process &operator=(const process &) = delete;
    ~process() {
        if (forq_process_close(&handle_) != -EBUSY) return;
        forq_process_kill(&handle_);
        int ignored = 0;
        while (forq_process_join(&handle_, &ignored, FORQ_FOREVER) == -EINTR) {
        }
        forq_process_close(&handle_);
    }

    /** Its exit code, or -signal. */
    int join(nanoseconds timeout = forever) {
        int code = 0;
        check(forq_process_join(&handle_, &code, limit(timeout)));
        return code;
    }
    bool is_alive() { return check(forq_process_is_alive(&handle_)) != 0; }
    void kill() { check(forq_process_kill(&handle_)); }
    int pid() const { return check(forq_process_pid(&handle_)); }
    forq_process *get() noexcept { return &handle_; }

private:
    template <typename Function>
    static int run(void *function) noexcept {
        try {
            return (*static_cast<Function *>(function))();
        } catch (...) {
            return 1;
        }
    }
    forq_process handle_{};
};

/** A bounded queue of Ts between any processes that are forked later. */
template <typename T>
class queue {
    static_assert(std::is_trivially_copyable_v<T>, "only bytes cross from process to process");

public:
    explicit queue(std::size_t capacity) {
        forq_queue *made = nullptr;
        check(forq_queue_new(capacity, sizeof(T), &made));
        handle_.reset(made);
    }
    void put(const T &item, nanoseconds timeout = forever) {
        check(forq_queue_put(handle_.get(), &item, sizeof(T), limit(timeout)));
    }
    /** The next one; none when the queue is closed and empty. */
    std::optional<T> take(nanoseconds timeout = forever) {
        T item;
        std::size_t size = 0;
        const int status = forq_queue_get(handle_.get(), &item, sizeof(T), &size, limit(timeout));
        if (status == -ESHUTDOWN) return std::nullopt;
        check(status);
        // Put by other means, and not a T.
        if (size != sizeof(T)) check(-EPROTO);
        return item;
    }
    void task_done() { check(forq_queue_task_done(handle_.get())); }
    void join(nanoseconds timeout = forever) { check(forq_queue_join(handle_.get(), limit(timeout))); }
    void close() { check(forq_queue_close(handle_.get())); }
    std::size_t size() const { return static_cast<std::size_t>(check(forq_queue_len(handle_.get()))); }
    forq_queue *get() const noexcept { return handle_.get(); }

private:
    struct free {
        void operator()(forq_queue *q) const noexcept { forq_queue_free(q); }
    };
    std::unique_ptr<forq_queue, free> handle_;
};

/** Worker processes. Its functions are given as template arguments: the workers were forked before, and have them already. */
class pool {
    template <typename>
    struct signature;
    template <typename Output, typename Input>
    struct signature<Output (*)(const Input &)> {
        using input = Input;
        using output = Output;
    };

public:
    /** 0 workers: as many as there are CPUs. */
    explicit pool(std::uint32_t workers = 0) : pool(workers_only(workers)) {}
    explicit pool(const forq_pool_options &options) {
        forq_pool *made = nullptr;
        check(forq_pool_new(&options, &made));
        handle_.reset(made);
    }

    /** The function of one input. */
    template <auto function>
    auto apply(const typename signature<decltype(function)>::input &input, nanoseconds timeout = forever) {
        typename signature<decltype(function)>::output output{};
        if (check(forq_pool_apply(handle_.get(), &run<function>, &input, sizeof input, &output, sizeof output, limit(timeout))) > 0)
            check(-ECHILD);
        return output;
    }

    /** The function of each input. Without statuses it throws (ECHILD) if not every item is OK; with them it tells each one's end:
     * what threw is FAILED, what killed its worker CRASHED. */
    template <auto function>
    auto map(const std::vector<typename signature<decltype(function)>::input> &inputs,
             std::vector<forq_task_status> *statuses = nullptr, nanoseconds timeout = forever) {
        using input = typename signature<decltype(function)>::input;
        using output = typename signature<decltype(function)>::output;
        static_assert(!std::is_same_v<output, bool> && !std::is_same_v<input, bool>, "std::vector<bool> has no elements");
        std::vector<output> outputs(inputs.size());
        forq_job job{};
        job.fn = &run<function>;
        job.inputs = inputs.data();
        job.input_size = sizeof(input);
        job.count = inputs.size();
        job.outputs = outputs.data();
        job.output_size = sizeof(output);
        if (statuses != nullptr) {
            statuses->assign(inputs.size(), forq_task_status{FORQ_TASK_CANCELLED, 0});
            job.statuses = statuses->data();
        }
        const int status = forq_pool_map(handle_.get(), &job, limit(timeout));
        if (statuses == nullptr || status != -ECHILD) check(status);
        return outputs;
    }

    forq_pool_statistics statistics() const {
        forq_pool_statistics told{};
        check(forq_pool_stats(handle_.get(), &told));
        return told;
    }
    forq_pool *get() const noexcept { return handle_.get(); }

private:
    struct free {
        void operator()(forq_pool *p) const noexcept { forq_pool_free(p); }
    };
    static forq_pool_options workers_only(std::uint32_t workers) {
        forq_pool_options options{};
        options.workers = workers;
        return options;
    }
    template <auto function>
    static int run(const void *input, void *output, const void *) noexcept {
        using input_type = typename signature<decltype(function)>::input;
        using output_type = typename signature<decltype(function)>::output;
        static_assert(std::is_trivially_copyable_v<input_type> && std::is_trivially_copyable_v<output_type>, "only bytes cross");
        static_assert(alignof(input_type) <= 64 && alignof(output_type) <= 64, "the pool's memory is aligned to 64 bytes");
        try {
            *static_cast<output_type *>(output) = function(*static_cast<const input_type *>(input));
            return 0;
        } catch (...) {
            return 1;
        }
    }
    std::unique_ptr<forq_pool, free> handle_;
};

} // namespace forq

#endif /* FORQ_HPP */
