//! Libraries that panic over a user's file.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// How many calls of [`caught`] this thread is inside of.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Does some work in a library; its panic becomes the error `the LIBRARY library panicked over it: MESSAGE`. Nothing is printed,
/// unless the panic is another thread's. A stack that overflows cannot be caught: whoever hands input to recursion bounds its depth
/// first.
pub fn caught<T>(library: &str, work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if INSIDE.with(Cell::get) == 0 {
                before(info);
            }
        }));
    });
    INSIDE.with(|inside| inside.set(inside.get() + 1));
    let done = catch_unwind(AssertUnwindSafe(work));
    INSIDE.with(|inside| inside.set(inside.get() - 1));
    done.map_err(|panic| format!("the {library} library panicked over it: {}", crate::text::line(message(&*panic), 200)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    said.unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::caught;

    #[test]
    fn a_panic_is_an_error_that_names_the_library() {
        assert_eq!(caught("parquet", || 3), Ok(3));
        let error = caught("parquet", || [1, 2][std::hint::black_box(2)]).expect_err("out of bounds");
        assert!(error.starts_with("the parquet library panicked over it: index out of bounds"), "{error}");
        let error = caught("outer", || caught("inner", || panic!("no")).expect_err("caught within"));
        assert_eq!(error.as_deref(), Ok("the inner library panicked over it: no"));
    }
}
