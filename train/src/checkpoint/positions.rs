//! Position embeddings of an image tower made for pictures of another size. As open_clip's `resize_pos_embed`: the class
//! token's row stays, the others are a square picture of the embedding's channels and are resized bicubically.

use std::fmt;

use tch::Tensor;

use crate::torch::TorchError;

/// The embedding of CLIP's ViT towers; ResNets have theirs elsewhere, and open_clip leaves those alone too.
pub(super) const NAME: &str = "visual.positional_embedding";
/// Rows before the grid: the class token.
const PREFIX: i64 = 1;

/// A change of patches along one side, such as from 7 to 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resized {
    /// In the file.
    pub from: i64,
    /// In the model.
    pub to: i64,
}

impl fmt::Display for Resized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "position embeddings resized from {from}×{from} to {to}×{to} patches")
    }
}

impl Resized {
    /// The change that makes `found` (rows × width) `wanted`; `None` where shapes are equal or differ otherwise.
    pub(super) fn between(found: &[i64], wanted: &[i64]) -> Option<Self> {
        match (found, wanted) {
            ([from, width], [to, same]) if width == same && from != to => {
                Some(Self { from: side(*from)?, to: side(*to)? })
            }
            _ => None,
        }
    }

    /// The embedding for the new grid, in f32.
    pub(super) fn apply(self, embedding: &Tensor) -> Result<Tensor, TorchError> {
        let Self { from, to } = self;
        let embedding = embedding.f_to_kind(tch::Kind::Float)?;
        let rows = from * from;
        let grid =
            embedding.f_narrow(0, PREFIX, rows)?.f_reshape([1, from, from, -1])?.f_permute([0, 3, 1, 2])?;
        // Antialiased, corners not aligned, as open_clip asks for it; scales follow from the sizes.
        let grid = grid.f_internal_upsample_bicubic2d_aa([to, to], false, None, None)?;
        let grid = grid.f_permute([0, 2, 3, 1])?.f_reshape([to * to, -1])?;
        Ok(Tensor::f_cat(&[&embedding.f_narrow(0, 0, PREFIX)?, &grid], 0)?)
    }
}

/// Side of the square grid that so many rows are, with the prefix.
fn side(rows: i64) -> Option<i64> {
    let patches = rows - PREFIX;
    let side = (patches.max(0) as f64).sqrt().round() as i64;
    (patches > 0 && side * side == patches).then_some(side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_square_grids_of_one_width_are_resized() {
        let resized = Some(Resized { from: 7, to: 12 });
        assert_eq!(Resized::between(&[50, 768], &[145, 768]), resized);
        for (found, wanted) in [
            ([50, 768], [50, 768]),
            ([50, 768], [145, 512]),
            ([49, 768], [145, 768]),
            ([50, 768], [144, 768]),
            ([1, 768], [145, 768]),
        ] {
            assert_eq!(Resized::between(&found, &wanted), None, "{found:?} {wanted:?}");
        }
        assert_eq!(Resized::between(&[50], &[145, 768]), None);
    }
}
