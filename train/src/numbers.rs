//! Numbers that a file format lacks, for serde's `with`: JSON has no NaN and no infinity, TOML's integers end at
//! 2⁶³ − 1. Each is written as text where the format has no number for it, and comes back as it was.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const MINUS_INFINITY: &str = "-Infinity";

/// An `f64` that is written as text where it is not finite. `null`, which earlier versions wrote, is read as NaN.
struct AnyFloat(f64);

impl Serialize for AnyFloat {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => to.serialize_f64(value),
            value if value.is_nan() => to.serialize_str(NAN),
            value if value > 0.0 => to.serialize_str(INFINITY),
            _ => to.serialize_str(MINUS_INFINITY),
        }
    }
}

impl<'de> Deserialize<'de> for AnyFloat {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = AnyFloat;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number, \"{NAN}\", \"{INFINITY}\" or \"{MINUS_INFINITY}\"")
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<AnyFloat, E> {
                Ok(AnyFloat(value))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<AnyFloat, E> {
                Ok(AnyFloat(value as f64))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<AnyFloat, E> {
                Ok(AnyFloat(value as f64))
            }
            fn visit_unit<E: Error>(self) -> Result<AnyFloat, E> {
                Ok(AnyFloat(f64::NAN))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<AnyFloat, E> {
                match text {
                    NAN => Ok(AnyFloat(f64::NAN)),
                    INFINITY => Ok(AnyFloat(f64::INFINITY)),
                    MINUS_INFINITY => Ok(AnyFloat(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(Any)
    }
}

/// One number, whatever it is.
pub mod float {
    use super::{AnyFloat, Deserialize, Deserializer, Serialize, Serializer};

    /// As text where it is not finite.
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        AnyFloat(*value).serialize(to)
    }

    /// What [`serialize`] wrote; `null` is NaN.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        AnyFloat::deserialize(from).map(|AnyFloat(value)| value)
    }
}

/// One number or none; `None` is to be left out with `skip_serializing_if`.
pub mod optional_float {
    use super::{AnyFloat, Serialize, Serializer};

    /// As text where it is not finite.
    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(AnyFloat).serialize(to)
    }
}

/// Numbers by name.
pub mod floats {
    use std::collections::BTreeMap;

    use super::{AnyFloat, Deserialize, Deserializer, Serializer};

    /// As text where they are not finite.
    pub fn serialize<S: Serializer>(values: &BTreeMap<String, f64>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(values.iter().map(|(name, value)| (name, AnyFloat(*value))))
    }

    /// What [`serialize`] wrote; `null` is NaN.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let values = BTreeMap::<String, AnyFloat>::deserialize(from)?;
        Ok(values.into_iter().map(|(name, AnyFloat(value))| (name, value)).collect())
    }
}

/// A whole number of 64 bits, such as a seed.
pub mod whole {
    use super::{Deserializer, Error, Serializer, Visitor, fmt};

    /// As text from 2⁶³ on.
    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(*value) {
            Ok(small) => to.serialize_i64(small),
            Err(_) => to.collect_str(value),
        }
    }

    /// A number or its digits as text.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 18446744073709551615, from 2⁶³ on in quotes")
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
                Ok(value)
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
                u64::try_from(value)
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(value), &self))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
                text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Numbers {
        #[serde(with = "float")]
        value: f64,
        #[serde(with = "floats")]
        metrics: std::collections::BTreeMap<String, f64>,
        #[serde(with = "whole")]
        seed: u64,
    }

    #[test]
    fn t03_numbers_that_are_not_finite_come_back_from_json_as_they_were() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.25, 5e-324, 1e300] {
            let numbers = Numbers { value, metrics: [("acc1".to_owned(), value)].into(), seed: 0 };
            let text = serde_json::to_string(&numbers).unwrap();
            let back: Numbers = serde_json::from_str(&text).unwrap();
            assert_eq!(back.value.to_bits(), value.to_bits(), "{text}");
            assert_eq!(back.metrics["acc1"].to_bits(), value.to_bits(), "{text}");
        }
        let old = r#"{"value": null, "metrics": {"acc1": null, "acc5": 1}, "seed": 3}"#;
        let old: Numbers = serde_json::from_str(old).unwrap();
        assert!(old.value.is_nan() && old.metrics["acc1"].is_nan() && old.metrics["acc5"] == 1.0);
        let wrong = serde_json::from_str::<Numbers>(r#"{"value": "none", "metrics": {}, "seed": 3}"#);
        assert!(wrong.unwrap_err().to_string().contains("\"NaN\""));
    }

    #[test]
    fn t11_every_seed_comes_back_from_toml_and_json() {
        for seed in [0, 7, u64::from(u32::MAX) + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
            let numbers = Numbers { value: 0.5, metrics: Default::default(), seed };
            let toml = toml::to_string(&numbers).unwrap();
            assert_eq!(toml::from_str::<Numbers>(&toml).unwrap().seed, seed, "{toml}");
            let json = serde_json::to_string(&numbers).unwrap();
            assert_eq!(serde_json::from_str::<Numbers>(&json).unwrap().seed, seed, "{json}");
        }
        for wrong in ["-1", "\"18446744073709551616\"", "\"many\"", "1.5"] {
            let text = format!("value = 0.5\nseed = {wrong}\n[metrics]\n");
            let message = toml::from_str::<Numbers>(&text).unwrap_err().to_string();
            assert!(message.contains("18446744073709551615"), "{message}");
        }
    }
}
