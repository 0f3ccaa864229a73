//! Which part of a picture goes into the square, in picture pixels, then in samples of a shrunken plane.

use crate::error::PixelError;
use crate::geometry::Size;

/// A window in whole stored pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

/// What the square shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The window, cut out first and stretched to the square: torchvision's `resized_crop`.
    Crop(CropBox),
    /// Shorter side to the square's, then the centre: torchvision's `Resize` and `CenterCrop`.
    Centre,
    /// Shorter side to `resize` pixels, then the centre square: timm's evaluation, which takes 224 of 256.
    CentreOf {
        /// At least the square's side.
        resize: u32,
    },
}

/// A view of one picture: what is shown, and what the filter may look at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Region {
    /// Left, top, width, height of what the square shows.
    area: [f64; 4],
    /// Left, top, right, bottom of the pixels that may be used.
    bounds: [usize; 4],
}

/// A [`Region`] in samples of one plane: `area` counts from the corner of `bounds`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub bounds: (u32, u32, u32, u32),
    pub area: (f64, f64, f64, f64),
    exact: [f64; 4],
    limits: [f64; 4],
}

impl View {
    pub(super) fn region(self, width: u32, height: u32, side: u32) -> Result<Region, PixelError> {
        let whole = [0, 0, width as usize, height as usize];
        match self {
            Self::Crop(CropBox { left, top, width: across, height: down }) => {
                let right = left.checked_add(across).filter(|right| across > 0 && *right <= width);
                let bottom = top.checked_add(down).filter(|bottom| down > 0 && *bottom <= height);
                let (Some(right), Some(bottom)) = (right, bottom) else {
                    let message =
                        format!("window {across}x{down} at {left},{top} is not inside {width}x{height}");
                    return Err(PixelError::Encode(message));
                };
                Ok(Region {
                    area: [f64::from(left), f64::from(top), f64::from(across), f64::from(down)],
                    bounds: [left as usize, top as usize, right as usize, bottom as usize],
                })
            }
            Self::Centre => Self::CentreOf { resize: side }.region(width, height, side),
            Self::CentreOf { resize } if resize < side => {
                let message =
                    format!("a square of {side} pixels cannot be cut from a shorter side of {resize}");
                Err(PixelError::Encode(message))
            }
            Self::CentreOf { resize } => {
                let (short, long) = (width.min(height), width.max(height));
                let long_side = (u64::from(resize) * u64::from(long) / u64::from(short)) as f64;
                let short_side = f64::from(resize);
                let (across, down) =
                    if width <= height { (short_side, long_side) } else { (long_side, short_side) };
                let axis = |resized: f64, stored: u32| {
                    let scale = f64::from(stored) / resized;
                    // Python's `round`, as torchvision's `center_crop` has it.
                    let start = ((resized - f64::from(side)) / 2.0).round_ties_even();
                    (start * scale, f64::from(side) * scale)
                };
                let ((left, shown_across), (top, shown_down)) = (axis(across, width), axis(down, height));
                Ok(Region { area: [left, top, shown_across, shown_down], bounds: whole })
            }
        }
    }
}

impl Region {
    /// Width and height of what is shown, in pixels.
    pub fn size(&self) -> (f64, f64) {
        (self.area[2], self.area[3])
    }

    /// The region of a picture decoded at 1/`shrink` of its size.
    pub fn window(&self, shrink: usize) -> Window {
        let by = |value: f64| value / shrink as f64;
        Window::new(self.area.map(by), self.bounds.map(|edge| by(edge as f64)))
    }
}

impl Window {
    fn new(exact: [f64; 4], limits: [f64; 4]) -> Self {
        let [left, top] = [limits[0].floor(), limits[1].floor()];
        let [right, bottom] = [limits[2].ceil(), limits[3].ceil()];
        let (width, height) = ((right - left).max(1.0), (bottom - top).max(1.0));
        let [x, y, across, down] = exact;
        let (x, y) = ((x - left).max(0.0), (y - top).max(0.0));
        Self {
            bounds: (left as u32, top as u32, width as u32, height as u32),
            // Rounding must not carry the area over the edge, which the resizer refuses.
            area: (x, y, across.min(width - x), down.min(height - y)),
            exact,
            limits,
        }
    }

    /// The same window on a plane with one sample for `sub` pixels across and down, which lie centred on theirs (JFIF).
    pub fn of_plane(&self, (sub_x, sub_y): (usize, usize)) -> Self {
        let by = [sub_x as f64, sub_y as f64, sub_x as f64, sub_y as f64];
        let divide = |values: [f64; 4]| std::array::from_fn(|i| values[i] / by[i]);
        Self::new(divide(self.exact), divide(self.limits))
    }

    /// Cut to a picture of `size` samples.
    pub fn within(&self, size: Size) -> Self {
        let [left, top, right, bottom] = self.limits;
        let (width, height) = (size.width as f64, size.height as f64);
        Self::new(self.exact, [left, top, right.min(width), bottom.min(height)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_is_where_torchvision_puts_it() {
        // 500x375 to 224: 298x224, then columns 37..261 of those.
        let region = View::Centre.region(500, 375, 224).unwrap();
        let scale = 500.0 / 298.0;
        assert_eq!(region.area, [37.0 * scale, 0.0, 224.0 * scale, 375.0]);
        // 3.5 columns left over on each side round to the even 4, 4.5 to 4 as well.
        assert_eq!(View::Centre.region(107, 100, 100).unwrap().area[0], 4.0);
        assert_eq!(View::Centre.region(109, 100, 100).unwrap().area[0], 4.0);
    }

    #[test]
    fn the_centre_of_a_larger_picture_leaves_a_border_all_round() {
        // 500x375 to 256: 341x256; 58.5 columns left over round to the even 58, and 16 rows.
        let region = View::CentreOf { resize: 256 }.region(500, 375, 224).unwrap();
        let (across, down) = (500.0 / 341.0, 375.0 / 256.0);
        assert_eq!(region.area, [58.0 * across, 16.0 * down, 224.0 * across, 224.0 * down]);
        assert_eq!(region.bounds, [0, 0, 500, 375]);
        let refused = View::CentreOf { resize: 223 }.region(500, 375, 224);
        assert!(matches!(refused, Err(PixelError::Encode(_))));
    }

    #[test]
    fn a_window_outside_the_picture_is_refused() {
        let view = |left, width| View::Crop(CropBox { left, top: 0, width, height: 1 });
        assert!(view(0, 10).region(10, 1, 4).is_ok());
        for bad in [view(1, 10), view(0, 0), view(u32::MAX, 2)] {
            assert!(matches!(bad.region(10, 1, 4), Err(PixelError::Encode(_))), "{bad:?}");
        }
    }

    #[test]
    fn chroma_windows_keep_their_fraction() {
        let view = View::Crop(CropBox { left: 3, top: 2, width: 6, height: 5 });
        let region = view.region(20, 20, 4).unwrap();
        let window = region.window(1).of_plane((2, 2));
        assert_eq!(window.bounds, (1, 1, 4, 3));
        assert_eq!(window.area, (0.5, 0.0, 3.0, 2.5));
    }
}
