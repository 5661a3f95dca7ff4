//! What collections hold: how a value becomes bytes, and bytes a value.

use bytemuck::Pod;

use crate::error::{Error, Result};

/// What may be a key, a value or an item: plain data ([`bytemuck::Pod`]), and under `std` byte strings (`[u8]`), text
/// (`str`) and, with the feature `serde`, whatever serde can write and read (`Serde<T>`).
pub trait Stored: sealed::Sealed {
    /// What is got back.
    type Owned;

    /// Gives `use_bytes` the bytes that stand for it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it cannot be written; those of `use_bytes`.
    #[doc(hidden)]
    fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R>;

    /// What `fill` gives: asked for the size if the room is too small.
    ///
    /// # Errors
    /// [`Error::Protocol`] if those bytes stand for no such value; those of `fill`.
    #[doc(hidden)]
    fn from_bytes(fill: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Self::Owned>;

    /// As [`Stored::with_bytes`], of what was got back.
    #[doc(hidden)]
    fn with_owned<R>(owned: &Self::Owned, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R>;
}

mod sealed {
    pub trait Sealed {}
}

impl<T: Pod> sealed::Sealed for T {}
impl<T: Pod> Stored for T {
    type Owned = T;

    #[inline]
    fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        use_bytes(bytemuck::bytes_of(self))
    }

    #[inline]
    fn from_bytes(mut fill: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<T> {
        let mut value = T::zeroed();
        let size = fill(bytemuck::bytes_of_mut(&mut value))?;
        if size == size_of::<T>() { Ok(value) } else { Err(Error::Protocol) }
    }

    #[inline]
    fn with_owned<R>(owned: &T, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        owned.with_bytes(use_bytes)
    }
}

#[cfg(feature = "std")]
mod with_std {
    use std::string::String;
    use std::vec::Vec;

    use super::{Result, Stored, sealed};
    use crate::error::Error;

    /// Most are not longer.
    const SHORT: usize = 256;

    fn bytes(mut fill: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
        let mut short = [0; SHORT];
        let mut size = fill(&mut short)?;
        if let Some(bytes) = short.get(..size) {
            return Ok(bytes.to_vec());
        }
        loop {
            let mut bytes = std::vec![0; size];
            // It may have been replaced meanwhile.
            size = fill(&mut bytes)?;
            if size <= bytes.len() {
                bytes.truncate(size);
                return Ok(bytes);
            }
        }
    }

    impl sealed::Sealed for [u8] {}
    impl Stored for [u8] {
        type Owned = Vec<u8>;

        fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
            use_bytes(self)
        }

        fn from_bytes(fill: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
            bytes(fill)
        }

        fn with_owned<R>(owned: &Vec<u8>, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
            use_bytes(owned)
        }
    }

    impl sealed::Sealed for str {}
    impl Stored for str {
        type Owned = String;

        fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
            use_bytes(self.as_bytes())
        }

        fn from_bytes(fill: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<String> {
            String::from_utf8(bytes(fill)?).map_err(|_| Error::Protocol)
        }

        fn with_owned<R>(owned: &String, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
            use_bytes(owned.as_bytes())
        }
    }

    /// A value of any type that serde can write and read, kept as [postcard](https://postcard.jamesmunns.com/wire-format).
    ///
    /// As a key, two values are the same if they are written the same.
    ///
    /// ```
    /// use forq::{Manager, Serde};
    ///
    /// let manager = Manager::new(1 << 16)?;
    /// let people = manager.dict::<str, Serde<(String, Option<u8>)>>("people")?;
    /// people.set("ada", &Serde(("Ada".to_owned(), Some(36))))?;
    /// assert_eq!(people.get("ada")?.unwrap().0.1, Some(36));
    /// # Ok::<(), forq::Error>(())
    /// ```
    #[cfg(feature = "serde")]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Serde<T>(pub T);

    #[cfg(feature = "serde")]
    impl<T> sealed::Sealed for Serde<T> {}
    #[cfg(feature = "serde")]
    impl<T: serde::Serialize + serde::de::DeserializeOwned> Stored for Serde<T> {
        type Owned = Self;

        fn with_bytes<R>(&self, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
            let written = postcard::to_extend(&self.0, Vec::new()).map_err(|_| Error::InvalidArgument)?;
            use_bytes(&written)
        }

        fn from_bytes(fill: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Self> {
            postcard::from_bytes(&bytes(fill)?).map(Self).map_err(|_| Error::Protocol)
        }

        fn with_owned<R>(owned: &Self, use_bytes: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
            owned.with_bytes(use_bytes)
        }
    }
}

#[cfg(feature = "serde")]
pub use with_std::Serde;
