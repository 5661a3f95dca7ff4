// Boost.Interprocess's containers in shared memory, under one interprocess_mutex, as the benchmark of the manager drives them.
#include <sys/mman.h>

#include <boost/functional/hash.hpp>
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/containers/vector.hpp>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/unordered_map.hpp>
#include <cstdint>
#include <functional>

namespace ipc = boost::interprocess;

struct Sixteen {
    uint64_t word[2];
    bool operator==(const Sixteen &other) const { return word[0] == other.word[0] && word[1] == other.word[1]; }
    bool operator<(const Sixteen &other) const {
        return word[0] < other.word[0] || (word[0] == other.word[0] && word[1] < other.word[1]);
    }
};

static std::size_t hash_value(const Sixteen &key) {
    std::size_t seed = 0;
    boost::hash_combine(seed, key.word[0]);
    boost::hash_combine(seed, key.word[1]);
    return seed;
}

using Buffer = ipc::managed_external_buffer;
template <class T> using Allocator = ipc::allocator<T, Buffer::segment_manager>;
using Pair = std::pair<const Sixteen, Sixteen>;
using Unordered = boost::unordered_map<Sixteen, Sixteen, boost::hash<Sixteen>, std::equal_to<Sixteen>, Allocator<Pair>>;
using Ordered = ipc::map<Sixteen, Sixteen, std::less<Sixteen>, Allocator<Pair>>;
using Vector = ipc::vector<Sixteen, Allocator<Sixteen>>;

struct Shared {
    Buffer buffer;
    ipc::interprocess_mutex *mutex;
    Unordered *unordered;
    Ordered *ordered;
    Vector *vector;
};

using Lock = ipc::scoped_lock<ipc::interprocess_mutex>;

template <class Map> static uint64_t get_all(Shared *s, Map *map, const Sixteen *keys, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        Lock lock(*s->mutex);
        auto found = map->find(keys[i]);
        if (found != map->end()) sum += found->second.word[0];
    }
    return sum;
}

template <class Map> static void set_all(Shared *s, Map *map, const Sixteen *keys, size_t count, uint64_t value) {
    for (size_t i = 0; i < count; i++) {
        Lock lock(*s->mutex);
        (*map)[keys[i]] = Sixteen{{value, i}};
    }
}

extern "C" {
void *peer_boost_containers_new(size_t size) {
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto *s = new Shared{Buffer(ipc::create_only, memory, size), nullptr, nullptr, nullptr, nullptr};
    auto *segment = s->buffer.get_segment_manager();
    s->mutex = s->buffer.construct<ipc::interprocess_mutex>("mutex")();
    s->unordered = s->buffer.construct<Unordered>("unordered")(8, boost::hash<Sixteen>(), std::equal_to<Sixteen>(), segment);
    s->ordered = s->buffer.construct<Ordered>("ordered")(std::less<Sixteen>(), segment);
    s->vector = s->buffer.construct<Vector>("vector")(segment);
    return s;
}
uint64_t peer_boost_unordered_get(Shared *s, const Sixteen *keys, size_t count) { return get_all(s, s->unordered, keys, count); }
void peer_boost_unordered_set(Shared *s, const Sixteen *keys, size_t count, uint64_t value) { set_all(s, s->unordered, keys, count, value); }
void peer_boost_unordered_clear(Shared *s) {
    Lock lock(*s->mutex);
    Unordered(8, boost::hash<Sixteen>(), std::equal_to<Sixteen>(), s->buffer.get_segment_manager()).swap(*s->unordered);
}
uint64_t peer_boost_ordered_get(Shared *s, const Sixteen *keys, size_t count) { return get_all(s, s->ordered, keys, count); }
void peer_boost_ordered_set(Shared *s, const Sixteen *keys, size_t count, uint64_t value) { set_all(s, s->ordered, keys, count, value); }
void peer_boost_ordered_clear(Shared *s) {
    Lock lock(*s->mutex);
    s->ordered->clear();
}
uint64_t peer_boost_vector_get(Shared *s, const uint32_t *indices, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        Lock lock(*s->mutex);
        sum += (*s->vector)[indices[i]].word[0];
    }
    return sum;
}
void peer_boost_vector_set(Shared *s, const uint32_t *indices, size_t count, uint64_t value) {
    for (size_t i = 0; i < count; i++) {
        Lock lock(*s->mutex);
        (*s->vector)[indices[i]] = Sixteen{{value, i}};
    }
}
void peer_boost_vector_fill(Shared *s, size_t count) {
    {
        Lock lock(*s->mutex);
        Vector(s->buffer.get_segment_manager()).swap(*s->vector);
    }
    for (size_t i = 0; i < count; i++) {
        Lock lock(*s->mutex);
        s->vector->push_back(Sixteen{{i, i}});
    }
}
}
