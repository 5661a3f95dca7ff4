//! The mutex.

use forq::LockError;

use super::*;

#[test]
fn two_threads_count_exactly() {
    model_of_two(|| {
        let count = Arc::new(counter());
        let twice = |count: &Counter| {
            for _ in 0..2 {
                add(&count.lock().unwrap(), 1);
            }
        };
        let other = spawn(&count, twice);
        twice(&count);
        other.join().unwrap();
        assert_eq!(read(&count.lock().unwrap()), 4);
    });
}

#[test]
fn three_threads_count_exactly() {
    model(|| {
        let count = Arc::new(counter());
        let once = |count: &Counter| add(&count.lock().unwrap(), 1);
        let others = [spawn(&count, once), spawn(&count, once)];
        once(&count);
        join(others);
        assert_eq!(read(&count.lock().unwrap()), 3);
        assert_eq!(count.owner(), None);
    });
}

#[test]
fn who_only_tries_never_waits() {
    model_of_two(|| {
        let count = Arc::new(counter());
        let other = spawn(&count, |count| add(&count.lock().unwrap(), 1));
        let tried = match count.try_lock() {
            Ok(count) => {
                add(&count, 1);
                1
            }
            Err(LockError::WouldBlock) => 0,
            Err(error) => panic!("{error}"),
        };
        other.join().unwrap();
        assert_eq!(read(&count.lock().unwrap()), 1 + tried);
    });
}

#[test]
fn who_gives_up_takes_no_wake_up_along() {
    model(|| {
        let count = Arc::new(counter());
        let impatient = spawn(&count, |count| match count.lock_timeout(A_WHILE) {
            Ok(count) => {
                add(&count, 1);
                1
            }
            Err(LockError::TimedOut) => 0,
            Err(error) => panic!("{error}"),
        });
        let patient = spawn(&count, |count| add(&count.lock().unwrap(), 1));
        add(&count.lock().unwrap(), 1);
        patient.join().unwrap();
        let gained = impatient.join().unwrap();
        assert_eq!(read(&count.lock().unwrap()), 2 + gained);
    });
}
