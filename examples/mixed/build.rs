//! Compiles the producer.

fn main() {
    println!("cargo::rerun-if-changed=c/producer.c");
    println!("cargo::rerun-if-changed=c/mixed.h");
    println!("cargo::rerun-if-changed=../../include/forq.h");
    cc::Build::new()
        .file("c/producer.c")
        .include("../../include")
        .std("c11")
        .warnings_into_errors(true)
        .extra_warnings(true)
        .compile("mixed_producer");
}
