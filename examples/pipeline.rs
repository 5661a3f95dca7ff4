//! A pipeline of three processes: the first makes numbers, the second squares them, the third adds them up.
//!
//!     cargo run --release --example pipeline
//!
//! Each sends its messages to the next one, and ends when what it receives ends: so would the death of a stage end those after it.

use forq::{Connection, Error, Process, Result, pipe_one_way};

const NUMBERS: u64 = 10_000;
/// Numbers in a message.
const BATCH: usize = 256;

fn main() -> Result<()> {
    let (squarer_in, maker_out) = pipe_one_way()?;
    let mut maker = Process::spawn(|| make(&maker_out))?;
    // Each end is dropped where it is not used, before the next fork copies it: else its stream would not end.
    drop(maker_out);

    let (adder_in, squarer_out) = pipe_one_way()?;
    let mut squarer = Process::spawn(|| square(&squarer_in, &squarer_out))?;
    drop((squarer_in, squarer_out));

    let (mut adder, result) = Process::spawn_piped(|result| result.send(&add(&adder_in)?.to_le_bytes()))?;
    drop(adder_in);

    let mut sum = [0; 8];
    result.recv(&mut sum)?;
    println!("the sum of the squares below {NUMBERS} is {}", u64::from_le_bytes(sum));
    for stage in [&mut maker, &mut squarer, &mut adder] {
        assert!(stage.join()?.success());
    }
    assert_eq!(u64::from_le_bytes(sum), (0..NUMBERS).map(|n| n * n).sum());
    Ok(())
}

fn make(next: &Connection) -> Result<()> {
    let numbers: Vec<u64> = (0..NUMBERS).collect();
    numbers.chunks(BATCH).try_for_each(|batch| next.send(bytemuck::cast_slice(batch)))
}

fn square(previous: &Connection, next: &Connection) -> Result<()> {
    let mut batch = [0u64; BATCH];
    while let Some(count) = receive(previous, &mut batch)? {
        batch[..count].iter_mut().for_each(|n| *n *= *n);
        next.send(bytemuck::cast_slice(&batch[..count]))?;
    }
    Ok(())
}

fn add(previous: &Connection) -> Result<u64> {
    let mut batch = [0u64; BATCH];
    let mut sum = 0;
    while let Some(count) = receive(previous, &mut batch)? {
        sum += batch[..count].iter().sum::<u64>();
    }
    Ok(sum)
}

/// How many numbers came; none at the end.
fn receive(from: &Connection, batch: &mut [u64]) -> Result<Option<usize>> {
    match from.recv(bytemuck::cast_slice_mut(batch)) {
        Ok(size) => Ok(Some(size / size_of::<u64>())),
        Err(Error::Disconnected) => Ok(None),
        Err(error) => Err(error),
    }
}
