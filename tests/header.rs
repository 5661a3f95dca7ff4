//! `include/forq.h` is what `src/ffi` says. `FORQ_BLESS=1 cargo test --test header` writes it anew.

use std::fs;
use std::path::Path;

/// The files of `src/ffi`, in the header's order.
const NOUNS: [&str; 21] = [
    "library",
    "mutex",
    "semaphore",
    "condvar",
    "event",
    "barrier",
    "backoff",
    "array",
    "value",
    "queue",
    "channel",
    "pipe",
    "process",
    "pool",
    "pool_statistics",
    "result",
    "stream",
    "segment",
    "list",
    "dict",
    "manager",
];

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("include/forq.h");
    let made = make(root);
    if std::env::var_os("FORQ_BLESS").is_some() {
        fs::write(&path, &made).expect("the header can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "include/forq.h is out of date: FORQ_BLESS=1 cargo test --test header");
    every_exported_function_is_in(root, &made);
}

fn every_exported_function_is_in(root: &Path, header: &str) {
    let mut functions = 0;
    for entry in fs::read_dir(root.join("src/ffi")).expect("src/ffi is there") {
        let path = entry.expect("it can be listed").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(path).expect("it can be read");
        for line in
            source.lines().filter(|line| line.starts_with("pub ") && line.contains("extern \"C\" fn forq_"))
        {
            let name = line.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).expect("a name");
            assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
            functions += 1;
        }
    }
    assert!(functions > 30, "only {functions} functions found");
}

fn make(root: &Path) -> String {
    let prologue = fs::read_to_string(root.join("src/ffi/header/prologue.h")).expect("the prologue is there");
    let mut versions = String::new();
    for (name, value) in [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ] {
        versions +=
            &format!("/** The version that this header is of. */\n#define FORQ_VERSION_{name} {value}\n");
    }
    let mut header = prologue.replace("@VERSIONS@\n", &versions);
    let config = cbindgen::Config::from_root_or_default(root);
    for noun in NOUNS {
        let source = root.join(format!("src/ffi/{noun}.rs"));
        let bindings = cbindgen::Builder::new()
            .with_config(config.clone())
            .with_src(&source)
            .generate()
            .unwrap_or_else(|error| panic!("{noun}: {error}"));
        let mut text = Vec::new();
        bindings.write(&mut text);
        header += &heading(&source);
        header += &without_safety(&String::from_utf8(text).expect("cbindgen writes UTF-8"));
    }
    header + "\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* FORQ_H */\n"
}

/// What stands above a noun: the first words of its file.
fn heading(source: &Path) -> String {
    let text = fs::read_to_string(source).expect("the source is there");
    let first = text.lines().next().and_then(|line| line.strip_prefix("//! ")).expect("it says what it is");
    format!("\n/* ==== {} ==== */\n\n", first.trim_end_matches('.'))
}

/// Drops the paragraphs "# Safety", which speak to Rust: in C all pointers are the caller's business.
fn without_safety(text: &str) -> String {
    let mut kept = Vec::new();
    let mut skipping = false;
    for line in text.trim().lines() {
        if line.trim() == "* # Safety" {
            skipping = true;
            while kept.last().is_some_and(|last: &&str| last.trim() == "*") {
                kept.pop();
            }
        } else if line.trim() == "*/" {
            skipping = false;
        }
        if !skipping {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}
