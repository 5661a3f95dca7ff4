//! Boost.Interprocess's containers (package libboost-dev): two maps and a vector, under one mutex.

/// A key or a value.
pub type Sixteen = [u64; 2];

/// Which of its maps.
#[derive(Clone, Copy)]
pub enum Kind {
    /// By hash.
    Unordered,
    /// A tree.
    Ordered,
}

#[cfg(has_boost)]
mod c {
    use super::Sixteen;

    pub type Shared = *mut libc::c_void;

    unsafe extern "C" {
        pub fn peer_boost_containers_new(size: usize) -> Shared;
        pub fn peer_boost_unordered_get(shared: Shared, keys: *const Sixteen, count: usize) -> u64;
        pub fn peer_boost_unordered_set(shared: Shared, keys: *const Sixteen, count: usize, value: u64);
        pub fn peer_boost_unordered_clear(shared: Shared);
        pub fn peer_boost_ordered_get(shared: Shared, keys: *const Sixteen, count: usize) -> u64;
        pub fn peer_boost_ordered_set(shared: Shared, keys: *const Sixteen, count: usize, value: u64);
        pub fn peer_boost_ordered_clear(shared: Shared);
        pub fn peer_boost_vector_get(shared: Shared, indices: *const u32, count: usize) -> u64;
        pub fn peer_boost_vector_set(shared: Shared, indices: *const u32, count: usize, value: u64);
        pub fn peer_boost_vector_fill(shared: Shared, count: usize);
    }
}

/// Containers in shared memory of their own, which is never unmapped.
pub struct Boost(#[allow(dead_code, reason = "without the header")] *mut libc::c_void);

#[cfg(has_boost)]
impl Boost {
    /// With room for so many bytes.
    #[must_use]
    pub fn new(size: usize) -> Option<Self> {
        // SAFETY: only a number.
        let shared = unsafe { c::peer_boost_containers_new(size) };
        assert!(!shared.is_null(), "memory is to be had");
        Some(Self(shared))
    }

    /// The sum of the values' first words.
    #[must_use]
    pub fn get(&self, kind: Kind, keys: &[Sixteen]) -> u64 {
        let get = match kind {
            Kind::Unordered => c::peer_boost_unordered_get,
            Kind::Ordered => c::peer_boost_ordered_get,
        };
        // SAFETY: containers, and so many keys.
        unsafe { get(self.0, keys.as_ptr(), keys.len()) }
    }

    /// Sets each key's value to this, and its index.
    pub fn set(&self, kind: Kind, keys: &[Sixteen], value: u64) {
        let set = match kind {
            Kind::Unordered => c::peer_boost_unordered_set,
            Kind::Ordered => c::peer_boost_ordered_set,
        };
        // SAFETY: containers, and so many keys.
        unsafe { set(self.0, keys.as_ptr(), keys.len(), value) }
    }

    /// Makes a map empty.
    pub fn clear(&self, kind: Kind) {
        // SAFETY: containers.
        unsafe {
            match kind {
                Kind::Unordered => c::peer_boost_unordered_clear(self.0),
                Kind::Ordered => c::peer_boost_ordered_clear(self.0),
            }
        }
    }

    /// Makes the vector anew, by so many pushes.
    pub fn vector_fill(&self, count: usize) {
        // SAFETY: containers.
        unsafe { c::peer_boost_vector_fill(self.0, count) }
    }

    /// The sum of the items' first words; the indices must be below the vector's length.
    #[must_use]
    pub fn vector_get(&self, indices: &[u32]) -> u64 {
        // SAFETY: containers, and so many indices.
        unsafe { c::peer_boost_vector_get(self.0, indices.as_ptr(), indices.len()) }
    }

    /// Sets the items to this, and their turn; the indices must be below the vector's length.
    pub fn vector_set(&self, indices: &[u32], value: u64) {
        // SAFETY: containers, and so many indices.
        unsafe { c::peer_boost_vector_set(self.0, indices.as_ptr(), indices.len(), value) }
    }
}

#[cfg(not(has_boost))]
#[allow(clippy::must_use_candidate, reason = "there is none to use")]
impl Boost {
    /// Not here.
    pub fn new(_size: usize) -> Option<Self> {
        None
    }

    /// Not here.
    pub fn get(&self, _kind: Kind, _keys: &[Sixteen]) -> u64 {
        unreachable!()
    }

    /// Not here.
    pub fn set(&self, _kind: Kind, _keys: &[Sixteen], _value: u64) {
        unreachable!()
    }

    /// Not here.
    pub fn clear(&self, _kind: Kind) {
        unreachable!()
    }

    /// Not here.
    pub fn vector_fill(&self, _count: usize) {
        unreachable!()
    }

    /// Not here.
    pub fn vector_get(&self, _indices: &[u32]) -> u64 {
        unreachable!()
    }

    /// Not here.
    pub fn vector_set(&self, _indices: &[u32], _value: u64) {
        unreachable!()
    }
}
