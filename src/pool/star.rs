//! Functions of several arguments: tuples of plain data.

use bytemuck::Pod;

use super::Pool;
use super::batch::Batch;
use crate::error::Result;

/// Tuples of plain data, of two to six.
///
/// # Safety
/// Any bytes must be a value, but for padding.
#[doc(hidden)]
pub unsafe trait Arguments: Copy + Send + Sync + 'static {}

macro_rules! arguments {
    ($($($name:ident)*;)*) => { $(
        // SAFETY: of each part any bytes are a value.
        unsafe impl<$($name: Pod + Send + Sync),*> Arguments for ($($name,)*) {}
    )* };
}
arguments! {
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

impl Pool {
    /// [`Pool::map`] for functions of several arguments: tuples of two to six plain values.
    ///
    /// ```
    /// # let pool = unsafe { forq::Pool::builder().workers(2).build_unchecked()? };
    /// let areas = pool.starmap(|(width, height)| width * f64::from(height), &[(0.5, 4u8), (2.5, 10)])?;
    /// assert_eq!(areas, [2.0, 25.0]);
    /// # Ok::<(), forq::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pool::map`].
    #[cfg(feature = "std")]
    pub fn starmap<A: Arguments, R: Pod, F>(&self, function: F, inputs: &[A]) -> Result<Vec<R>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
    {
        self.batch().starmap(function, inputs)
    }
}

impl Batch<'_> {
    /// [`Pool::starmap`] with these options.
    ///
    /// # Errors
    /// As [`Batch::map`].
    #[cfg(feature = "std")]
    pub fn starmap<A: Arguments, R: Pod, F>(self, function: F, inputs: &[A]) -> Result<Vec<R>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
    {
        let mut outputs = vec![R::zeroed(); inputs.len()];
        self.starmap_into(function, inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// [`Pool::starmap`] with these options, into a slice of the caller's.
    ///
    /// # Errors
    /// As [`Batch::map_into`].
    pub fn starmap_into<A: Arguments, R: Pod, F>(
        self,
        function: F,
        inputs: &[A],
        outputs: &mut [R],
    ) -> Result<()>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
    {
        self.run(self.plain_job(move |arguments: &A| function(*arguments), inputs), outputs)
    }
}
