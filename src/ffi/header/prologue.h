/* forq: processes, locks and worker pools in shared memory that survive the death of any participant.
 *
 *     #include <forq.h>
 *
 *     static int square(const void *input, void *output, const void *context) {
 *         (void)context;
 *         *(long *)output = *(const long *)input * *(const long *)input;
 *         return 0;
 *     }
 *
 *     int main(void) {
 *         long inputs[1000], outputs[1000];
 *         for (long i = 0; i < 1000; i++) inputs[i] = i;
 *         forq_pool *pool;
 *         if (forq_pool_new(NULL, &pool) != 0) return 1;
 *         forq_job job = { .fn = square, .inputs = inputs, .input_size = sizeof(long), .count = 1000,
 *                          .outputs = outputs, .output_size = sizeof(long) };
 *         int status = forq_pool_map(pool, &job, FORQ_FOREVER);
 *         forq_pool_free(pool);
 *         return status != 0;
 *     }
 *
 * The promise: a process may be killed at any instruction of any operation, and nobody hangs, nothing
 * committed is lost or doubled, and whoever comes next is told.
 *
 * Returns. Functions that return int give 0 or a count >= 0, else a negative errno (forq_strerror says
 * what it means); errno itself is left as it was. Outputs are written only on success.
 *     -EAGAIN      a call with timeout 0 would have to wait
 *     -EBUSY       somebody uses it: trylock of a held mutex, close of a running process
 *     -ETIMEDOUT   the time ran out
 *     -EOWNERDEAD  the holder died; the lock is held
 *     -EDEADLK     waiting would never end
 *     -EPERM       not by this thread or process, or not while another one does
 *     -EOVERFLOW   released too often
 *     -EPIPE       the other end is gone; the barrier is broken
 *     -ESHUTDOWN   closed
 *     -EMSGSIZE    does not fit; the message stays
 *     -EPROTO      no forq queue or segment of this layout; a descriptor is next, not a message, or the other way round (it stays)
 *     -ECHILD      a worker, task or child was lost
 *     -ESRCH       the process has ended
 *     -ERANGE      index past the end
 *     -ENOENT      no such name, key or item
 *     -EEXIST      it exists already, or is of another size or kind
 *     -EINVAL      an argument is not valid: NULL, misaligned, zero, overflowing, out of order
 *     -ENOSPC      no room left: in a segment, in /dev/shm; more waiters than can be counted
 *     -ENOMEM      memory, processes or descriptors are exhausted
 *     -ENOSYS      the kernel lacks what this needs (Linux 5.4 has it)
 *
 * Time. int64_t timeout_ns counts nanoseconds of the monotonic clock: FORQ_FOREVER (-1) waits for ever, 0
 * only tries (-EAGAIN), a positive one ends with -ETIMEDOUT and never early; other negatives are -EINVAL.
 * Signal handlers that run do not end a wait, unless the thread asked for it (forq_set_interruptible).
 *
 * Ownership. forq_mutex, forq_semaphore, forq_condvar, forq_event, forq_barrier and forq_backoff are used in place, and
 * forq_process and forq_connection are declared by the caller: all bytes zero is a free mutex, a semaphore without permits, a condition variable
 * without waiters, an event that is not set, a barrier that must be initialised first, a fresh back-off, no process, no connection. A
 * connection is this process's copy of an end: _close ends that, and the end is gone with the last copy. All other types are opaque: what makes
 * one is in its own words, _free ends this process's use of it, and _free(NULL) does nothing. No call uses the heap.
 *
 * Threads, forks, signals.
 *     object          threads of one process    processes                     child of a fork
 *     forq_mutex      yes                       yes, in MAP_SHARED memory     does not hold what its parent held
 *     forq_semaphore  yes                       yes, in MAP_SHARED memory     may use it
 *     forq_condvar    yes                       yes, in MAP_SHARED memory     does not wait where its parent waits
 *     forq_event      yes                       yes, in MAP_SHARED memory     may use it
 *     forq_barrier    yes                       yes, in MAP_SHARED memory     has not come where its parent has
 *     forq_array      yes                       yes, made before the fork     may use it, and frees its own use
 *     forq_value      yes                       yes, made before the fork     may use it, and frees its own use
 *     forq_segment    yes                       any program of the user        may use it, and frees its own use
 *     forq_manager    yes                       any program of the user        may use it, and frees its own use
 *     forq_list       yes                       as its manager                 as its manager
 *     forq_dict       yes                       as its manager                 as its manager
 *     forq_backoff    one thread each           no                            its own copy
 *     forq_process    one thread at a time      the one that spawned it       may ask and signal, not join (-EPERM)
 *     forq_queue      yes                       yes                       may use it, by its own copy of the handle
 *     forq_channel    one a side at a time      yes                       may use it, by its own copy of the handle
 *     forq_connection yes                       yes, each by its copy         has copies; not of the ends of forq_process_spawn_piped (see there)
 *     forq_pool       yes                       the one that made it          -EPERM, but for _free
 *     forq_result     yes                       the one that made the pool    -EPERM, but for _free
 *     forq_stream     yes                       the one that made the pool    -EPERM, but for _free
 * A child of vfork or of a raw clone calls nothing of forq. All users of an object share one PID namespace.
 * In a signal handler only forq_strerror, forq_semaphore_release, forq_event_set, forq_event_is_set and forq_process_signal
 * may be called. Nothing unwinds into C.
 */
#ifndef FORQ_H
#define FORQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORQ_ALIGNED(n) __attribute__((aligned(n)))

@VERSIONS@
/** No time limit. */
#define FORQ_FOREVER ((int64_t)-1)

/** The exit code of a process whose status somebody else collected, where the kernel no longer tells it. */
#define FORQ_EXIT_UNKNOWN INT32_MIN

#ifdef __cplusplus
extern "C" {
#endif
