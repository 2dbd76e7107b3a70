//! Declares a block's set of optional abilities; names are the words of the
//! metadata API.

macro_rules! features {
    ($($name:ident = $bit:literal),+ $(,)?) => {
        /// A set of declared abilities.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Features(u8);

        impl Features {
            pub const NONE: Self = Self(0);
            $(pub const $name: Self = Self(1 << $bit);)+

            const NAMES: &[(Self, &'static str)] = &[$((Self::$name, stringify!($name))),+];

            pub const fn and(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The words of the metadata API.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMES.iter().filter(move |(f, _)| self.has(*f)).map(|(_, name)| *name)
            }
        }
    };
}

pub(crate) use features;
