//! Values of different types under names.

#[cfg(any(feature = "std", doc))]
use super::dict::Dict;
use super::raw_dict::RawDict;
use super::stored::Stored;
use crate::error::Result;

/// Values of different types by name, shared by all processes that have the manager: Python's `Manager().Namespace()`. It is a dict with text as
/// keys; what is said of [`Dict`] holds for it.
///
/// ```
/// use forq::Manager;
///
/// let manager = Manager::new(1 << 16)?;
/// let settings = manager.namespace("settings")?;
/// settings.set("retries", &3u32)?;
/// settings.set("host", "localhost")?;
/// assert_eq!(settings.get::<u32>("retries")?, Some(3));
/// assert_eq!(settings.get::<str>("host")?.as_deref(), Some("localhost"));
/// # Ok::<(), forq::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Namespace<'m> {
    raw: RawDict<'m>,
}

impl<'m> Namespace<'m> {
    pub(super) fn of(raw: RawDict<'m>) -> Self {
        Self { raw }
    }

    /// The same, seen as a dict whose values are of one type.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn as_dict<V: Stored + ?Sized>(&self) -> Dict<'m, str, V> {
        Dict::of(self.raw)
    }

    /// Gives a name a value.
    ///
    /// # Errors
    /// As [`Dict::set`].
    pub fn set<V: Stored + ?Sized>(&self, name: &str, value: &V) -> Result<()> {
        value.with_bytes(|value| self.raw.set(name.as_bytes(), value))
    }

    /// A copy of a name's value.
    ///
    /// # Errors
    /// [`Error::Protocol`](crate::Error::Protocol) if it is not of this type; else as [`Dict::get`].
    pub fn get<V: Stored + ?Sized>(&self, name: &str) -> Result<Option<V::Owned>> {
        let name = name.as_bytes();
        // SAFETY: the room is a slice.
        match V::from_bytes(|room| unsafe { self.raw.get(name, room.as_mut_ptr(), room.len()) }) {
            Err(crate::Error::NotFound) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Takes a name away; tells whether there was one.
    ///
    /// # Errors
    /// As [`Dict::remove`].
    pub fn remove(&self, name: &str) -> Result<bool> {
        self.raw.remove(name.as_bytes())
    }
}

impl core::fmt::Debug for Namespace<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Namespace").field("len", &self.raw.len()).finish_non_exhaustive()
    }
}
