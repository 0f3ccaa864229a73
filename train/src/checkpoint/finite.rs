//! Whether tensors hold numbers. A checkpoint of NaN looks like any other and pushes out the good ones, so none is written
//! and none is handed on.

use std::fmt;

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// Tensors with a value that is infinite or NaN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFinite {
    /// The first of them.
    pub name: String,
    /// How many there are besides.
    pub more: usize,
}

impl NotFinite {
    /// Those among `named`, if any. Each tensor is looked at where it lies; the device is waited for once.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn among(named: &[(String, Tensor)]) -> Result<Option<Self>, TorchError> {
        let floats: Vec<_> = named.iter().filter(|(_, tensor)| tensor.is_floating_point()).collect();
        let flags: Vec<Tensor> = floats
            .iter()
            .map(|(_, tensor)| tensor.f_isfinite()?.f_all())
            .collect::<Result<_, tch::TchError>>()?;
        if flags.is_empty() {
            return Ok(None);
        }
        let flags = Vec::<i64>::try_from(&Tensor::f_stack(&flags, 0)?.f_to_kind(Kind::Int64)?)?;
        let mut names =
            floats.iter().zip(flags).filter(|(_, finite)| *finite == 0).map(|((name, _), _)| name);
        Ok(names.next().map(|name| Self { name: name.clone(), more: names.count() }))
    }
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, more } = self;
        f.write_str(name)?;
        match more {
            0 => f.write_str(" holds values that are not finite"),
            more => write!(f, " and {more} more tensors hold values that are not finite"),
        }
    }
}
