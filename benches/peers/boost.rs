//! Boost.Interprocess, compiled when the benchmark runs: `None`, with a word on what is missing, where it cannot be.

use std::ffi::{CString, c_void};
use std::path::Path;
use std::process::Command;

/// A key or a value.
pub(crate) type Sixteen = [u64; 2];

type Get = unsafe extern "C" fn(*mut c_void, *const Sixteen, usize) -> u64;
type Set = unsafe extern "C" fn(*mut c_void, *const Sixteen, usize, u64);
type Clear = unsafe extern "C" fn(*mut c_void);

/// Containers in shared memory of their own, under one mutex.
pub(crate) struct Boost {
    library: *mut c_void,
    shared: *mut c_void,
}

/// Which of its maps.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Unordered,
    Ordered,
}

impl Boost {
    pub(crate) fn new(size: usize) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/boost.cpp");
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libforq_bench_boost.so");
        let output = Command::new("g++")
            .args(["-O2", "-std=c++17", "-shared", "-fPIC", "-w", "-o"])
            .args([&made, &source])
            .arg("-pthread")
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                let is_missing = text.contains("boost/") && text.contains("No such file");
                let why = if is_missing { "its headers are missing: install libboost-dev" } else { &text };
                println!("Boost.Interprocess is not measured: {why}");
                return None;
            }
            Err(error) => {
                println!("Boost.Interprocess is not measured: g++: {error}");
                return None;
            }
        }
        let path = CString::new(made.to_str()?).ok()?;
        // SAFETY: our own library, made a moment ago; the function is the one of this name.
        unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null(), "the library cannot be loaded");
            let new: unsafe extern "C" fn(usize) -> *mut c_void = symbol(library, "boost_new");
            let shared = new(size);
            assert!(!shared.is_null(), "memory is to be had");
            Some(Self { library, shared })
        }
    }

    pub(crate) fn get(&self, kind: Kind, keys: &[Sixteen]) -> u64 {
        let name = ["boost_unordered_get", "boost_ordered_get"][kind as usize];
        // SAFETY: the function of this name has this type; so many keys.
        unsafe { symbol::<Get>(self.library, name)(self.shared, keys.as_ptr(), keys.len()) }
    }

    pub(crate) fn set(&self, kind: Kind, keys: &[Sixteen], value: u64) {
        let name = ["boost_unordered_set", "boost_ordered_set"][kind as usize];
        // SAFETY: as above.
        unsafe { symbol::<Set>(self.library, name)(self.shared, keys.as_ptr(), keys.len(), value) }
    }

    pub(crate) fn clear(&self, kind: Kind) {
        let name = ["boost_unordered_clear", "boost_ordered_clear"][kind as usize];
        // SAFETY: as above.
        unsafe { symbol::<Clear>(self.library, name)(self.shared) }
    }

    pub(crate) fn vector_fill(&self, count: usize) {
        type Fill = unsafe extern "C" fn(*mut c_void, usize);
        // SAFETY: as above.
        unsafe { symbol::<Fill>(self.library, "boost_vector_fill")(self.shared, count) }
    }

    pub(crate) fn vector_get(&self, indices: &[u32]) -> u64 {
        type GetAt = unsafe extern "C" fn(*mut c_void, *const u32, usize) -> u64;
        // SAFETY: as above; the indices are below the length.
        unsafe {
            symbol::<GetAt>(self.library, "boost_vector_get")(self.shared, indices.as_ptr(), indices.len())
        }
    }

    pub(crate) fn vector_set(&self, indices: &[u32], value: u64) {
        type SetAt = unsafe extern "C" fn(*mut c_void, *const u32, usize, u64);
        // SAFETY: as above.
        unsafe {
            let set = symbol::<SetAt>(self.library, "boost_vector_set");
            set(self.shared, indices.as_ptr(), indices.len(), value);
        }
    }
}

/// # Safety
/// The library must have a function of this name and type.
unsafe fn symbol<F: Copy>(library: *mut c_void, name: &str) -> F {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    let name = CString::new(name).expect("a name");
    // SAFETY: by contract; a function pointer is as large as an address.
    unsafe {
        let address = libc::dlsym(library, name.as_ptr());
        assert!(!address.is_null(), "no such function");
        std::mem::transmute_copy(&address)
    }
}
