//! Structures of shareable fields.

/// Defines a structure whose fields are all [`Shareable`](crate::Shareable), and which therefore is too;
/// or declares existing types shareable, all of which must be [`bytemuck::Pod`].
///
/// ```
/// use forq::{Mutex, Shared};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// forq::shareable! {
///     /// What the workers count together.
///     pub struct Totals {
///         /// Lines seen.
///         pub lines: AtomicU64,
///         /// The longest line, and where it was.
///         pub longest: Mutex<[u64; 2]>,
///     }
/// }
///
/// let totals = Shared::new(Totals { lines: AtomicU64::new(0), longest: Mutex::new([0, 0]) })?;
/// totals.lines.fetch_add(1, Ordering::Relaxed);
/// *totals.longest.lock()? = [80, 1];
///
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Point { x: f32, y: f32 }
/// forq::shareable!(Point);
/// let corner = Shared::new(Mutex::new(Point { x: 1.0, y: 2.0 }))?;
/// # Ok::<(), forq::Error>(())
/// ```
#[macro_export]
macro_rules! shareable {
    ($($name:ty),+ $(,)?) => { $(
        const _: () = $crate::__assert_pod::<$name>();
        // SAFETY: plain data has no pointers, no invalid bytes, no interior mutability, nothing to drop.
        unsafe impl $crate::Shareable for $name {}
    )+ };
    ($(#[$meta:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_visibility:vis $field:ident : $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        #[repr(C)]
        $visibility struct $name {
            $($(#[$field_meta])* $field_visibility $field: $type,)*
        }

        // SAFETY: every field is `Shareable`: the calls below do not compile otherwise.
        unsafe impl $crate::Shareable for $name {
            fn place(&mut self) {
                $($crate::Shareable::place(&mut self.$field);)*
            }

            fn is_in_use(&self) -> bool {
                false $(|| $crate::Shareable::is_in_use(&self.$field))*
            }
        }
    };
}
