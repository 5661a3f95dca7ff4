//! Compiles each peer whose header is installed; the others are left out, and say so when they are asked for.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=ck.c");
    println!("cargo::rerun-if-changed=boost.cpp");
    println!("cargo::rerun-if-changed=containers.cpp");
    println!("cargo::rerun-if-changed=build.rs");
    if has("ck_ring.h") {
        cc::Build::new().file("ck.c").flag_if_supported("-Wno-unused-parameter").opt_level(2).compile("forq_peer_ck");
        println!("cargo::rustc-cfg=has_ck");
    }
    if has("boost/interprocess/ipc/message_queue.hpp") {
        let files = ["boost.cpp", "containers.cpp"];
        cc::Build::new().cpp(true).std("c++17").files(files).warnings(false).opt_level(2).compile("forq_peer_boost");
        println!("cargo::rustc-cfg=has_boost");
    }
}

fn has(header: &str) -> bool {
    ["/usr/include", "/usr/local/include"].iter().any(|root| Path::new(root).join(header).exists())
}
