//! A picture of the world before it is painted: what it shows, how large and in which format, all known from
//! (seed, source, index) in a microsecond, and its bytes on demand.

use crate::encode::Encoding;
use crate::error::Result;
use crate::raster::{Pixels, render};
use crate::scene::Scene;

/// A picture, planned but not yet painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What it shows.
    pub scene: Scene,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// File format.
    pub encoding: Encoding,
}

impl Picture {
    /// Paints it.
    pub fn pixels(&self) -> Pixels {
        render(&self.scene, self.width, self.height)
    }

    /// Paints and encodes it.
    ///
    /// # Errors
    /// [`crate::Error::Encode`], which no picture the world draws gives.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.encoding.encode(&self.pixels())
    }
}
