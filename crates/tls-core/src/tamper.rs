//! A side that says something else than it means, for fuzzers: its messages are changed before they are hashed and
//! sealed, so that keys, signatures and Finished fit what the other side sees.
//!
//! There with the feature `dangerous-recorded-crypto` in builds with debug assertions, and even then nothing happens but
//! on a thread that is inside [`tampered`].

use std::borrow::Cow;

#[cfg(all(feature = "dangerous-recorded-crypto", debug_assertions))]
pub use armed::tampered;

#[cfg(all(feature = "dangerous-recorded-crypto", debug_assertions))]
pub(crate) use armed::instead_of;

/// What is sent instead of this message: the message.
#[cfg(not(all(feature = "dangerous-recorded-crypto", debug_assertions)))]
#[inline]
pub(crate) const fn instead_of(_: crate::error::Side, message: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(message)
}

#[cfg(all(feature = "dangerous-recorded-crypto", debug_assertions))]
mod armed {
    use std::cell::RefCell;

    use super::Cow;
    use crate::error::Side;

    type Tamperer = Box<dyn FnMut(Side, &[u8]) -> Option<Vec<u8>>>;

    thread_local! {
        static TAMPERER: RefCell<Option<Tamperer>> = const { RefCell::new(None) };
    }

    /// Takes the tamperer out when the closure is left, also by a panic.
    struct Inserted;

    impl Drop for Inserted {
        fn drop(&mut self) {
            TAMPERER.set(None);
        }
    }

    /// Runs this and shows `tamperer` every handshake message that is about to be sent on this thread, with its header,
    /// and who sends it. What it gives is sent instead: no message, or several.
    pub fn tampered<T>(
        tamperer: impl FnMut(Side, &[u8]) -> Option<Vec<u8>> + 'static,
        run: impl FnOnce() -> T,
    ) -> T {
        let _inserted = Inserted;
        TAMPERER.set(Some(Box::new(tamperer)));
        run()
    }

    /// What is sent instead of this message.
    pub(crate) fn instead_of(side: Side, message: &[u8]) -> Cow<'_, [u8]> {
        let other =
            TAMPERER.with_borrow_mut(|tamperer| tamperer.as_mut().and_then(|change| change(side, message)));
        other.map_or(Cow::Borrowed(message), Cow::Owned)
    }
}
