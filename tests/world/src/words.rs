//! Small closed vocabularies as enums: one macro gives each its words, its list and its parser, so that the URL, the
//! command line, the captions and the tests can never disagree on a spelling.

/// A word that is none of the vocabulary's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {kind}; known: {known}")]
pub struct UnknownWord {
    /// What was asked for, in words.
    pub kind: &'static str,
    /// What was given.
    pub word: String,
    /// Every word that would have done, comma separated.
    pub known: String,
}

macro_rules! word_enum {
    ($(#[$meta:meta])* $name:ident, $kind:literal { $($variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`.")] $variant,)*
        }

        impl $name {
            /// Every value, in a fixed order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in URLs, on the command line and in class lists.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        $crate::words::word_traits!($name, $kind);
    };
}

macro_rules! word_traits {
    ($name:ident, $kind:literal) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(word: &str) -> std::result::Result<Self, $crate::words::UnknownWord> {
                Self::ALL.iter().copied().find(|v| v.as_str() == word).ok_or_else(|| {
                    $crate::words::UnknownWord {
                        kind: $kind,
                        word: word.to_owned(),
                        known: Self::ALL.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(", "),
                    }
                })
            }
        }
    };
}

pub(crate) use {word_enum, word_traits};
