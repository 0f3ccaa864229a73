//! Which parameters weight decay leaves alone. The rule changed once in open_clip's history, and the study's weights
//! were trained under the older one.

use serde::{Deserialize, Serialize};

/// A rule that splits the parameters in two groups, by name and number of dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum DecayRule {
    /// open_clip 0.1 to 0.2.0: names with `bn`, `ln`, `bias` or `logit_scale` do not decay. The shortcut batch norms of
    /// a ResNet (`downsample.1.weight`) carry none of these words, so they do.
    #[serde(rename = "v0.1")]
    V0_1,
    /// open_clip 0.2.1 (April 2022) to at least 3.3.0: neither do tensors of fewer than two dimensions.
    #[default]
    #[serde(rename = "v0.2.1")]
    V0_2_1,
    /// Every parameter decays, as in the study's fine-tuning.
    #[serde(rename = "all")]
    All,
}

impl DecayRule {
    /// Whether the parameter `name` of `num_dims` dimensions decays.
    pub fn decays(self, name: &str, num_dims: usize) -> bool {
        let named = ["bn", "ln", "bias", "logit_scale"].iter().any(|word| name.contains(word));
        match self {
            Self::V0_1 => !named,
            Self::V0_2_1 => num_dims >= 2 && !named,
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortcut_norm_is_where_the_versions_differ() {
        let shortcut = ("visual.layer1.0.downsample.1.weight", 1);
        assert!(DecayRule::V0_1.decays(shortcut.0, shortcut.1));
        assert!(!DecayRule::V0_2_1.decays(shortcut.0, shortcut.1));
        assert!(DecayRule::All.decays(shortcut.0, shortcut.1));
        for rule in [DecayRule::V0_1, DecayRule::V0_2_1] {
            for (name, num_dims) in [
                ("visual.layer1.0.bn1.weight", 1),
                ("transformer.resblocks.3.ln_1.weight", 1),
                ("visual.attnpool.c_proj.bias", 1),
                ("logit_scale", 0),
            ] {
                assert!(!rule.decays(name, num_dims), "{rule:?} {name}");
            }
            for (name, num_dims) in
                [("visual.conv1.weight", 4), ("text_projection", 2), ("token_embedding.weight", 2)]
            {
                assert!(rule.decays(name, num_dims), "{rule:?} {name}");
            }
        }
    }
}
