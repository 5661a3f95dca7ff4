//! Objects of a segment in which words were overwritten: errors, or objects that lie in it.
#![no_main]

use forq::Segment;
use libfuzzer_sys::fuzz_target;

const SIZE: usize = 1 << 14;

fuzz_target!(|input: (Vec<(u16, u64)>, Vec<(u8, u16)>)| {
    let (scribbles, objects) = input;
    let segment = Segment::anonymous(SIZE).expect("memory is to be had");
    for (name, size) in [("first", 8), ("second", 100), ("third", 1)] {
        segment.object_bytes(name.as_bytes(), size).expect("there is room");
    }
    let (first, _) = segment.object_bytes(b"first", 8).expect("it is there");
    // Its record is the first one, 64 bytes before it, at the start of the second page.
    // SAFETY: inside the segment.
    let start = unsafe { first.sub(4096 + 64) };
    for (at, value) in scribbles {
        let at = usize::from(at) % (4096 + SIZE) / 8 * 8;
        // Not the lock: one that says that a living process holds it is waited for, rightly.
        if !(64..192).contains(&at) {
            // SAFETY: inside the segment.
            unsafe { start.add(at).cast::<u64>().write(value) };
        }
    }
    for (name, size) in objects {
        let name = ["first", "second", "third"]
            .get(usize::from(name))
            .map_or(format!("{name}"), |name| (*name).to_owned());
        let size = usize::from(size);
        if let Ok((place, _)) = segment.object_bytes(name.as_bytes(), size) {
            assert!(place >= start && place.addr().get() + size <= start.addr().get() + 4096 + SIZE);
        }
    }
});
