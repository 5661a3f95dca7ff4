//! What victims do.

use forq::{Dict, List, Manager, Segment};

use super::stage::{OBJECT, OBJECT_SIZE, SMALLEST, Stage};

/// One operation under test.
pub(super) struct Operation {
    pub(super) name: &'static str,
    /// Bytes of the manager.
    pub(super) size: usize,
    pub(super) prepare: fn(&Stage),
    pub(super) act: fn(&Stage),
}

const SMALL: usize = SMALLEST;
/// Two shards.
const WIDER: usize = 1 << 18;

/// Keys `0..count`, with values of different sizes.
fn entries(stage: &Stage, count: u8) {
    for key in 0..count {
        stage.dict().set(&[key; 5], &vec![key; usize::from(key) * 7 % 90]).expect("there is room");
    }
}

fn items(stage: &Stage, count: u8) {
    for item in 0..count {
        stage.list().push(&vec![item; usize::from(item) * 5 % 60]).expect("there is room");
    }
}

fn nothing(_: &Stage) {}

fn some(stage: &Stage) {
    entries(stage, 6);
    items(stage, 6);
}

/// Free blocks of many sizes between used ones.
fn holes(stage: &Stage) {
    entries(stage, 30);
    items(stage, 30);
    for key in (0..30).step_by(3) {
        stage.dict().remove(&[key; 5]).expect("it is whole");
    }
    for index in (1..20).rev().step_by(4) {
        stage.list().remove(index).expect("it is whole");
    }
}

fn full(stage: &Stage) {
    entries(stage, 6);
    items(stage, 6);
    for size in [8192, 1024, 128, 16, 0] {
        while stage.list().push(&vec![1; size]).is_ok() {}
    }
}

/// The dict, with keys and values of these sizes.
fn typed<const K: usize, const V: usize>(stage: &Stage) -> Dict<'_, [u8; K], [u8; V]> {
    stage.manager.dict("dict").expect("it is there")
}

fn typed_list<const N: usize>(stage: &Stage) -> List<'_, [u8; N]> {
    stage.manager.list("list").expect("it is there")
}

macro_rules! operation {
    ($name:literal, $size:expr, $prepare:expr, |$stage:ident| $act:expr) => {
        Operation {
            name: $name,
            size: $size,
            prepare: $prepare,
            // What it returns is checked by what it leaves. It must not allocate: paths would differ.
            act: |$stage| {
                let _ = $act;
            },
        }
    };
}

pub(super) fn all() -> Vec<Operation> {
    vec![
        operation!("value: add", SMALL, nothing, |s| s.sum.add(5)),
        operation!("value: set, of 8 bytes", SMALL, nothing, |s| s.sum.set(&5)),
        operation!("value: set, of 40 bytes", SMALL, nothing, |s| s.wide.set(&[7; 5])),
        operation!("value: get", SMALL, nothing, |s| s.wide.get()),
        operation!("array: set, of 3 bytes", SMALL, nothing, |s| s.array.set(1, &[7; 3])),
        operation!("dict: get", SMALL, some, |s| typed::<5, 21>(s).get(&[3; 5])),
        operation!("dict: set, the first entry", SMALL, nothing, |s| s.dict().set(b"key", b"value")),
        operation!("dict: set, new", SMALL, some, |s| s.dict().set(b"key", b"value")),
        operation!("dict: set, new, in a hole", SMALL, holes, |s| s.dict().set(b"key", &[1; 70])),
        operation!("dict: set, new, the table grows", SMALL, |s| entries(s, 8), |s| s
            .dict()
            .set(b"key", b"value")),
        operation!("dict: set, new, a larger table grows", SMALL, |s| entries(s, 64), |s| s
            .dict()
            .set(b"key", b"value")),
        operation!("dict: set, of 8 bytes", SMALL, |s| s.dict().set(b"key", &[1; 8]).unwrap(), |s| s
            .dict()
            .set(b"key", &[2; 8])),
        operation!("dict: set, of 48 bytes", SMALL, |s| s.dict().set(b"key", &[1; 48]).unwrap(), |s| s
            .dict()
            .set(b"key", &[2; 48])),
        operation!("dict: set, of another size", SMALL, some, |s| s.dict().set(&[3; 5], &[9; 200])),
        operation!("dict: set, of another size, between holes", SMALL, holes, |s| s
            .dict()
            .set(&[4; 5], &[9; 33])),
        operation!("dict: set, of 1000 bytes", SMALL, |s| s.dict().set(b"key", &[1; 1000]).unwrap(), |s| s
            .dict()
            .set(b"key", &[2; 1000])),
        operation!("dict: set, full", SMALL, full, |s| s.dict().set(b"key", &[1; 300])),
        operation!(
            "dict: set, new, full but for itself",
            SMALL,
            |s| {
                entries(s, 8);
                full(s);
                s.list().remove(6).unwrap()
            },
            |s| s.dict().set(b"key", &[1; 100])
        ),
        operation!("dict: remove", SMALL, some, |s| s.dict().remove(&[3; 5])),
        operation!("dict: remove, after a hole", SMALL, holes, |s| s.dict().remove(&[4; 5])),
        operation!("dict: remove, before a hole", SMALL, holes, |s| s.dict().remove(&[5; 5])),
        operation!(
            "dict: remove, between holes",
            SMALL,
            |s| {
                holes(s);
                s.dict().remove(&[4; 5]).unwrap();
            },
            |s| s.dict().remove(&[5; 5])
        ),
        operation!("dict: remove, absent", SMALL, some, |s| s.dict().remove(b"absent")),
        operation!("dict: remove, full", SMALL, full, |s| s.dict().remove(&[3; 5])),
        operation!("dict: update", SMALL, some, |s| typed::<5, 21>(s)
            .update(&[3; 5], |value| value.map(|_| [8; 21]))),
        operation!("dict: update, new", SMALL, some, |s| typed::<3, 9>(s).update(b"key", |_| Some([1; 9]))),
        operation!("dict: update, to nothing", SMALL, some, |s| typed::<5, 21>(s).update(&[3; 5], |_| None)),
        operation!("dict: get_or_insert, new", SMALL, some, |s| typed::<3, 5>(s)
            .get_or_insert(b"key", b"value")),
        operation!("dict: len", WIDER, some, |s| s.dict().len()),
        operation!("dict: clear", WIDER, |s| entries(s, 12), |s| s.dict().clear()),
        operation!("dict: clear, beside holes", SMALL, holes, |s| s.dict().clear()),
        operation!("dict: clear, full", SMALL, full, |s| s.dict().clear()),
        operation!("list: get", SMALL, some, |s| typed_list::<15>(s).get(3)),
        operation!("list: push, the first item", SMALL, nothing, |s| s.list().push(b"item")),
        operation!("list: push", SMALL, |s| items(s, 6), |s| s.list().push(b"item")),
        operation!("list: push, the array grows", SMALL, |s| items(s, 8), |s| s.list().push(b"item")),
        operation!("list: push, full", SMALL, full, |s| s.list().push(&[1; 300])),
        operation!("list: set, of the same size", SMALL, some, |s| s.list().set(3, &[9; 15])),
        operation!("list: set, of another size", SMALL, holes, |s| s.list().set(3, &[9; 77])),
        operation!("list: insert at the start", SMALL, |s| items(s, 6), |s| s.list().insert(0, b"item")),
        operation!("list: insert in the middle", SMALL, |s| items(s, 6), |s| s.list().insert(3, b"item")),
        operation!("list: insert, the array grows", SMALL, |s| items(s, 8), |s| s.list().insert(4, b"item")),
        operation!("list: insert, full", SMALL, full, |s| s.list().insert(1, &[1; 300])),
        operation!("list: remove from the start", SMALL, some, |s| s.list().remove(0)),
        operation!("list: remove from the middle", SMALL, holes, |s| s.list().remove(3)),
        operation!("list: remove the last", SMALL, some, |s| s.list().remove(5)),
        operation!("list: pop", SMALL, some, |s| typed_list::<25>(s).pop()),
        operation!("list: pop, full", SMALL, full, |s| typed_list::<0>(s).pop()),
        operation!("list: extend", SMALL, some, |s| s.list().extend(&[b"a".as_slice(), b"bc", &[7; 100]])),
        operation!("list: extend, full", SMALL, full, |s| s.list().extend(&[
            b"a".as_slice(),
            &[7; 300],
            &[7; 3000]
        ])),
        operation!("list: clear", SMALL, holes, |s| s.list().clear()),
        operation!(
            "list: clear, full",
            SMALL,
            |s| {
                full(s);
                s.dict().clear().unwrap()
            },
            |s| s.list().clear()
        ),
        operation!("manager: a new dict", SMALL, some, |s| s.manager.dict::<[u8], [u8]>("other dict")),
        operation!("manager: a new list, between holes", SMALL, holes, |s| s
            .manager
            .list::<[u8]>("other list")),
        operation!("manager: a new dict, full", SMALL, full, |s| s.manager.dict::<[u8], [u8]>("other dict")),
        operation!("manager: a new dict without a name", SMALL, some, |s| s.manager.new_dict::<[u8], [u8]>()),
        operation!("manager: a dict that is there", SMALL, some, |s| s.manager.dict::<[u8], [u8]>("dict")),
        operation!("manager: a name of the other kind", SMALL, some, |s| s.manager.list::<[u8]>("dict")),
        operation!("manager: create by name", SMALL, |s| s.use_name(false), |s| Manager::create(
            &s.name, SMALLEST
        )),
        operation!("manager: create by a name that is taken", SMALL, |s| s.use_name(true), |s| {
            Manager::create(&s.name, SMALLEST)
        }),
        operation!("manager: open by name", SMALL, |s| s.use_name(true), |s| Manager::open(&s.name)),
        operation!("manager: unlink", SMALL, |s| s.use_name(true), |s| Segment::unlink(&s.name)),
        operation!("segment: a new object", SMALL, nothing, |s| s.segment.object_bytes(OBJECT, OBJECT_SIZE)),
        operation!("segment: an object that is there", SMALL, nothing, |s| s
            .segment
            .object_bytes(b"first", 8)),
    ]
}
