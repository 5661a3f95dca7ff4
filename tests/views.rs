//! What is seen of objects from a copy of their bytes: the truth of forq's, and something harmless of any others.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use forq::{Manager, ManagerView, MutexView, Pool, PoolView, Queue, QueueView, Segment, SegmentView};
use proptest::prelude::*;

/// The first shared mapping of this process that `read` makes something of.
fn find<T>(mut read: impl FnMut(&File, u64) -> Option<T>) -> Option<T> {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains("rw-s"))
        .find_map(|line| read(&memory, u64::from_str_radix(line.split('-').next()?, 16).ok()?))
}

fn queue_of(capacity: usize) -> Option<QueueView> {
    find(|memory, start| {
        let mut bytes = [0; QueueView::SIZE];
        memory.read_exact_at(&mut bytes, start).ok()?;
        QueueView::of(&bytes).filter(|view| view.capacity == capacity)
    })
}

fn pool_bytes() -> Option<Vec<u8>> {
    find(|memory, start| {
        let mut label = [0; PoolView::LABEL];
        memory.read_exact_at(&mut label, start).ok()?;
        let mut bytes = vec![0; PoolView::size(&label)?];
        memory.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    })
}

fn copy(segment: impl AsFd, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let file = File::from(segment.as_fd().try_clone_to_owned().unwrap());
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn from(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> bool + '_ {
    |offset, into| {
        let found = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)?.get(..into.len()));
        found.is_some_and(|found| {
            into.copy_from_slice(found);
            true
        })
    }
}

#[test]
fn a_queue_tells_what_it_tells_its_own_process() {
    let queue = Queue::<u64>::new(4321).unwrap();
    for round in 0..10_000u64 {
        if round % 3 == 2 {
            queue.try_get().unwrap();
        } else {
            queue.put(round).unwrap();
        }
    }
    let view = queue_of(4321).unwrap();
    assert_eq!((view.len, view.statistics, view.message_size), (queue.len(), queue.statistics(), 8));
    assert!(!view.is_closed && view.producers.holder == 0 && view.consumers.holder == 0);
    queue.close();
    assert!(queue_of(4321).unwrap().is_closed);
}

#[test]
fn a_pool_tells_of_each_worker() {
    // SAFETY: the tasks allocate nothing.
    let pool = unsafe { Pool::builder().workers(3).build_unchecked() }.unwrap();
    pool.map(|x| x + 1, &[1u64; 5000]).unwrap();
    let view = PoolView::of(&pool_bytes().unwrap()).unwrap();
    assert_eq!(view.workers.len(), 3);
    for (index, worker) in view.workers.iter().enumerate() {
        let told = pool.worker_statistics(index).unwrap();
        assert_eq!((worker.pid as i32, worker.items), (told.pid, told.items));
    }
    assert_eq!(view.workers.iter().map(|worker| worker.items).sum::<u64>(), 5000);
    assert!(!view.is_closed && view.waiting_jobs == 0);
    pool.close().unwrap();
    assert!(PoolView::of(&pool_bytes().unwrap()).unwrap().is_closed);
    let bytes = pool_bytes().unwrap();
    assert_eq!(PoolView::of(&bytes[..bytes.len() - 1]), None, "too few");
}

#[test]
fn a_manager_tells_the_lengths_of_its_collections() {
    let manager = Manager::new(1 << 20).unwrap();
    let numbers = manager.list::<u64>("numbers").unwrap();
    let words = manager.dict::<u64, u64>("words").unwrap();
    for number in 0..1000 {
        numbers.push(&number).unwrap();
        words.set(&(number % 700), &number).unwrap();
    }
    manager.dict::<u64, u64>("cleared").unwrap().set(&1, &1).unwrap();
    manager.dict::<u64, u64>("cleared").unwrap().clear().unwrap();
    for index in 0..200 {
        manager.list::<u64>(&format!("list {index:03}")).unwrap();
    }
    manager.new_list::<u64>().unwrap();
    let view = ManagerView::of(from(&copy(&manager, manager.__memory().1))).unwrap();
    assert_eq!(
        (view.used, view.capacity),
        (manager.used().unwrap() as u64, manager.capacity().unwrap() as u64)
    );
    assert_eq!((view.collections.len(), view.unnamed), (203, 1));
    let of = |name: &str| {
        let found = view.collections.iter().find(|it| it.name == name).unwrap();
        (found.is_dict, found.len)
    };
    assert_eq!([of("numbers"), of("words"), of("cleared")], [(false, 1000), (true, 700), (true, 0)]);
    assert_eq!(
        SegmentView::of(from(&copy(&manager, manager.__memory().1))),
        None,
        "it is no segment of objects"
    );
}

#[test]
fn a_segment_tells_its_objects() {
    let segment = Segment::anonymous(1 << 16).unwrap();
    let offsets = [("a", 1usize), ("longer", 64), ("c", 4000)].map(|(name, size)| {
        let (place, _) = segment.object_bytes(name.as_bytes(), size).unwrap();
        (name.to_owned(), size as u64, place.addr().get())
    });
    let view = SegmentView::of(from(&copy(&segment, (1 << 16) + 4096))).unwrap();
    let found: Vec<_> = view.objects.iter().map(|it| (it.name.clone(), it.size)).collect();
    assert_eq!(found, offsets.clone().map(|(name, size, _)| (name, size)));
    let start = offsets[0].2 as u64 - view.objects[0].offset;
    assert!(view.objects.iter().zip(&offsets).all(|(it, (.., at))| start + it.offset == *at as u64));
}

#[test]
fn a_directory_as_large_as_untouched_memory_is_not_read_to_its_end() {
    let manager = Manager::new(1 << 17).unwrap();
    manager.list::<u64>("numbers").unwrap();
    let mut good = copy(&manager, manager.__memory().1);
    // Its size, by its header; all but its beginning is zeroes.
    good[16..24].copy_from_slice(&(1u64 << 46).to_ne_bytes());
    let mut most = 0;
    // At one of these places are the table's beginning and size.
    for at in (64..8192).step_by(8) {
        let mut bytes = good[..8192].to_vec();
        bytes[at..at + 8].copy_from_slice(&(1u64 << 20).to_ne_bytes());
        bytes[at + 8..(at + 16).min(8192)].copy_from_slice(&40u64.to_ne_bytes()[..8.min(8192 - at - 8)]);
        let mut reads = 0;
        let _ = ManagerView::of(|offset, into| {
            reads += 1;
            assert!(reads < 1 << 24, "that takes for ever");
            into.fill(0);
            from(&bytes)(offset, into) || offset >= 8192
        });
        most = reads.max(most);
    }
    assert!(most > 1000, "none was the table: {most} reads");
}

/// A real one's bytes, with random ones over them.
fn scribbled(good: &[u8], writes: &[(prop::sample::Index, u64)]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for (index, value) in writes {
        let at = index.index(bytes.len() / 8) * 8;
        bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..1u64 << 17, Just(u64::MAX), (0..64u32).prop_map(|bit| 1 << bit)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_without_harm(writes in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..40)) {
        thread_local! {
            static GOOD: [Vec<u8>; 2] = {
                let manager = Manager::new(1 << 17).unwrap();
                for index in 0..30 {
                    manager.list::<u64>(&format!("{index}")).unwrap().push(&1).unwrap();
                    manager.dict::<u64, u64>(&format!("d{index}")).unwrap();
                }
                let segment = Segment::anonymous(1 << 15).unwrap();
                for index in 0..20 {
                    segment.object_bytes(format!("{index}").as_bytes(), 64 * index + 1).unwrap();
                }
                [copy(&manager, manager.__memory().1), copy(&segment, (1 << 15) + 4096)]
            };
        }
        GOOD.with(|[manager, segment]| {
            // The header says what it is; what is behind it may be anything.
            let mut bytes = scribbled(manager, &writes);
            bytes[..48].copy_from_slice(&manager[..48]);
            let view = ManagerView::of(from(&bytes));
            assert!(view.is_none_or(|view| view.collections.len() <= 10_000 && view.used <= view.capacity));
            let mut bytes = scribbled(segment, &writes);
            bytes[..48].copy_from_slice(&segment[..48]);
            let view = SegmentView::of(from(&bytes));
            assert!(view.is_none_or(|view| view.objects.iter().all(|it| it.offset + it.size <= view.size)));
        });
        let mut bytes = [0; QueueView::SIZE];
        let queue = Queue::<u64>::new(7777).unwrap();
        let good = find(|memory, start| {
            memory.read_exact_at(&mut bytes, start).ok()?;
            QueueView::of(&bytes).filter(|view| view.capacity == 7777).map(|_| bytes)
        }).unwrap();
        drop(queue);
        let seen = scribbled(&good, &writes);
        let view = QueueView::of(seen.first_chunk().unwrap());
        assert!(view.is_none_or(|view| view.len <= view.capacity));
        let seen = scribbled(&[0; MutexView::SIZE], &writes);
        let _ = MutexView::of_known(seen.first_chunk().unwrap());
        let mut seen = scribbled(&vec![0; 1 << 16], &writes);
        seen[..8].copy_from_slice(b"forqpool");
        seen[8..16].copy_from_slice(&1u64.to_ne_bytes());
        seen[16] = 3;
        let _ = PoolView::of(&seen);
    }
}
