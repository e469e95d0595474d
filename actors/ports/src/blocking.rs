//! Work that may wait for a disk or take long, away from the threads that serve.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// Runs `work` on a thread for such work; on a runtime of one thread it runs there, as a task.
///
/// # Panics
/// Outside a tokio runtime.
pub fn blocking<T, F>(work: F) -> JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => tokio::spawn(async move { work() }),
        _ => tokio::task::spawn_blocking(work),
    }
}

#[cfg(test)]
mod tests {
    use std::thread::current;

    use super::blocking;

    #[tokio::test]
    async fn one_thread_does_all() {
        let worked = blocking(|| current().id()).await.expect("it ends");
        assert_eq!(worked, current().id());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_thread_that_serves_is_kept_free() {
        let worked = blocking(|| current().id()).await.expect("it ends");
        assert_ne!(worked, current().id());
    }
}
