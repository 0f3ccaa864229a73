//! In what number format the forward pass computes. Weights and optimiser state are fp32 throughout; mixed precision
//! narrows matrix products and convolutions only.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use super::{OptimError, Scaler};
use crate::torch::autocast::Autocast;

/// Number format of the forward and backward pass, named as open_clip's `--precision`.
///
/// open_clip's `bf16` and `fp16`, which keep the weights themselves narrow, are left out: updates below one part in 256
/// of a weight are lost there, and the curve is no longer the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// Everything in fp32 (convolutions and products in TF32 on CUDA where the flags allow it).
    #[default]
    #[serde(rename = "fp32")]
    Fp32,
    /// Autocast to bf16: fp32's range, so no scaler.
    #[serde(rename = "amp_bf16", alias = "amp_bfloat16")]
    AmpBf16,
    /// Autocast to fp16 with a loss scaler; the study's setting.
    #[serde(rename = "amp", alias = "amp_fp16")]
    AmpFp16,
}

impl std::str::FromStr for Precision {
    type Err = String;

    /// The names that a config has.
    fn from_str(name: &str) -> Result<Self, String> {
        let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name);
        Self::deserialize(name).map_err(|_| "fp32, amp_bf16 and amp (or amp_fp16) are known".to_owned())
    }
}

impl Precision {
    /// The guard under which the forward pass runs; `None` for fp32.
    ///
    /// # Errors
    /// When the device has no autocast.
    pub fn autocast(self, device: Device) -> Result<Option<Autocast>, OptimError> {
        match self {
            Self::Fp32 => Ok(None),
            Self::AmpBf16 => Ok(Some(Autocast::begin(device, Kind::BFloat16)?)),
            Self::AmpFp16 => Ok(Some(Autocast::begin(device, Kind::Half)?)),
        }
    }

    /// The loss scaler this precision needs, if any.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn scaler(self, device: Device) -> Result<Option<Scaler>, OptimError> {
        match self {
            Self::Fp32 | Self::AmpBf16 => Ok(None),
            Self::AmpFp16 => Scaler::new(device).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn products_narrow_under_the_guard_and_only_there() {
        let a = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        {
            let _guard = Precision::AmpBf16.autocast(Device::Cpu).unwrap();
            assert_eq!(a.matmul(&a).kind(), Kind::BFloat16);
        }
        assert_eq!(a.matmul(&a).kind(), Kind::Float);
        assert!(Precision::Fp32.autocast(Device::Cpu).unwrap().is_none());
        assert!(Precision::AmpBf16.scaler(Device::Cpu).unwrap().is_none());
        assert!(Precision::AmpFp16.scaler(Device::Cpu).unwrap().is_some());
    }
}
