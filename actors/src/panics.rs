//! Panics: where they happened is logged once, with whose they were, and never what data they tell.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::faults::InjectedFault;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// A panic that was caught: its place in the program, and its words where they are part of the program.
///
/// Formatted words are left out: they may quote a name or a number that somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panicked {
    place: String,
    said: &'static str,
}

impl Panicked {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map_or_else(|| UNKNOWN.to_owned(), ToString::to_string);
        Self { place, said: words(info.payload()) }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.said, self.place)
    }
}

const UNKNOWN: &str = "an unknown place";

fn words(payload: &(dyn Any + Send)) -> &'static str {
    if payload.is::<InjectedFault>() {
        return "a rehearsal asked for it";
    }
    payload.downcast_ref::<&'static str>().copied().unwrap_or("words with data, left out")
}

/// From now on every panic of this process is one line of its log. Who catches one and knows whose it is, logs it;
/// any other is logged where it happens.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let panicked = Panicked::of(info);
        if CATCHING.get() {
            CAUGHT.replace(Some(panicked));
            return;
        }
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name");
        let trace = std::backtrace::Backtrace::capture();
        match trace.status() {
            std::backtrace::BacktraceStatus::Captured => {
                tracing::error!(%panicked, thread, %trace, "a thread panicked");
            }
            _ => tracing::error!(%panicked, thread, "a thread panicked"),
        }
    }));
}

/// Runs `work`; a panic in it is given back, and it is the caller's to log.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = CATCHING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    done.map_err(|payload| {
        let unknown = || Panicked { place: UNKNOWN.to_owned(), said: words(&*payload) };
        CAUGHT.take().unwrap_or_else(unknown)
    })
}

/// The same for a future.
pub(crate) async fn contained_async<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(move |cx| match contained(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_its_place_and_no_data() {
        let name = "李娜";
        let before = std::panic::take_hook();
        log_panics();
        let constant = contained(|| panic!("out of order"));
        let formatted = contained(|| panic!("no seat for {name}"));
        let sliced = contained(|| name.get(..).map(|text| text[1..].len()));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let later = runtime.map(|runtime| {
            runtime.block_on(contained_async(async {
                tokio::task::yield_now().await;
                panic!("no seat for {name}")
            }))
        });
        let fine = contained(|| 7);
        std::panic::set_hook(before);

        let constant: Result<(), _> = constant;
        let said = constant.expect_err("it panicked").to_string();
        assert!(said.starts_with("out of order at ") && said.contains("panics.rs:"), "{said}");
        let formatted: Result<(), _> = formatted;
        let later: Result<(), _> = later.expect("a runtime");
        for panicked in [formatted.map(drop), sliced.map(drop), later] {
            let said = panicked.expect_err("it panicked").to_string();
            assert!(said.starts_with("words with data, left out at "), "{said}");
            assert!(!said.contains(name), "{said}");
        }
        assert_eq!(fine, Ok(7));
    }
}
