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
 * what it means); errno itself is left as it was. Outputs are written only on success. A bare code in a function's words has the
 * meaning it has here.
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
 *     -EINTR       a signal handler ran, and this thread asked for it (forq_set_interruptible)
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
 * Threads, processes, forks, signal handlers: who may use an object.
 *     object           threads of one process  other processes             the child of a fork                           in a signal handler
 *     forq_mutex       yes                     in MAP_SHARED memory        does not hold what its parent held            no
 *     forq_semaphore   yes                     in MAP_SHARED memory        may use it                                    _release
 *     forq_condvar     yes                     in MAP_SHARED memory        does not wait where its parent waits          no
 *     forq_event       yes                     in MAP_SHARED memory        may use it                                    _set, _is_set
 *     forq_barrier     yes                     in MAP_SHARED memory        has not come where its parent has             no
 *     forq_backoff     one thread each         no                          its own copy                                  no
 *     forq_array       yes                     children forked later       may use it, and frees its own use             no
 *     forq_value       yes                     children forked later       may use it, and frees its own use             no
 *     forq_queue       yes                     children; any, by _attach   may use it, by its own copy of the handle     no
 *     forq_channel     one a side at a time    children forked later       may use it, by its own copy of the handle     no
 *     forq_connection  yes                     each by its copy            has copies; but see forq_process_spawn_piped  no
 *     forq_process     one thread at a time    the one that spawned it     may ask and signal, not join (-EPERM)         _signal
 *     forq_pool        yes                     the one that made it        -EPERM, but for _free                         no
 *     forq_result      yes                     the one that made the pool  -EPERM, but for _free                         no
 *     forq_stream      yes                     the one that made the pool  -EPERM, but for _free                         no
 *     forq_segment     yes                     any program of the user     may use it, and frees its own use             no
 *     forq_list        yes                     as its manager              as its manager                                no
 *     forq_dict        yes                     as its manager              as its manager                                no
 *     forq_manager     yes                     any program of the user     may use it, and frees its own use             no
 * In a signal handler forq_strerror may be called, too. A child of vfork or of a raw clone calls nothing of forq. All users of an object
 * share one PID namespace. Nothing unwinds into C.
 *
 * Deaths. What a process that is killed leaves behind is said once, with each object's type.
 *
 * Parameters that say no more in a function's own words:
 *     timeout_ns       nanoseconds to wait at most; see Time
 *     X_out            where the result goes: written only on success, not NULL unless that is said; the size of what does not fit is told too
 *     X_or_null        may be NULL
 *     X_size           the bytes of X
 *     X_capacity       the bytes of room at X_out
 *     size             the bytes of what the pointer before it points at, or of what is made
 *     capacity         the bytes of room at buffer_out; of a queue or channel that is made, its messages
 *     count            how many there are, at the pointers before it
 *     index            the place in the list or array, from 0
 *     name             a string that ends with a zero byte
 *     fd               an open descriptor, which stays the caller's
 *     fds              open descriptors, which stay the caller's
 *     sizes            the bytes of each item
 *     waiters          how many of those who wait
 *     fn               what is run; it returns, and does not leave by longjmp or an exception
 *     argument         given to fn as it is
 *     delta            what is added
 *     initial          what it is copied from
 *     options          copied; all reserved fields are zero
 *     key              the bytes of a key; with key_size 0 it may be NULL
 *     value            the bytes of a value; with size 0 it may be NULL
 *     item             the bytes of an item; with size 0 it may be NULL
 *     message          the bytes of a message; with size 0 it may be NULL
 *     input            the bytes of an input; with size 0 it may be NULL
 *     element          an element's bytes: as many as the array's elements have
 *     handle           from forq_list_handle or forq_dict_handle
 *     cursor           where it is, kept by the caller
 *     memory           where it is, in this process
 */
#ifndef FORQ_H
#define FORQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Where such an object may begin: malloc does not see to it, static, automatic and mapped memory does. */
#define FORQ_ALIGNED(n) __attribute__((aligned(n)))

@VERSIONS@
/** No time limit. */
#define FORQ_FOREVER INT64_C(-1)

/** The exit code of a process whose status somebody else collected, where the kernel no longer tells it. */
#define FORQ_EXIT_UNKNOWN INT32_MIN

#ifdef __cplusplus
extern "C" {
#endif
