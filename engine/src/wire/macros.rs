//! Types that are read from a document, and described by the JSON Schema.

/// Structs that are read from a mapping, field by field.
macro_rules! records {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $name {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn of(fields: &Fields<'_>) -> Self {
                Self { $($field: fields.read(stringify!($field)),)* }
            }
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                Self::of(&at.fields(Self::FIELDS))
            }
        }
    )*};
}

/// Enums that are read from a word. The first is the stand-in.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $word))] $variant,)*
        }

        impl $name {
            const FIRST: Self = {
                let [first, ..] = Self::ALL;
                *first
            };
            const ALL: &'static [Self; [$($word),*].len()] = &[$(Self::$variant),*];
            const WORDS: &'static [&'static str] = &[$($word),*];

            /// As it is written.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::FIRST
            }
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                let known = at.name(Self::WORDS).and_then(|index| Self::ALL.get(index));
                known.copied().unwrap_or(Self::FIRST)
            }
        }
    };
}

/// Enums that are read from `{ word: content }`. The first is the stand-in.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident($first_type:ty) = $first_word:literal,
        $($(#[$variant_meta:meta])* $variant:ident($type:ty) = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $(#[$first_meta])* #[cfg_attr(feature = "schema", schemars(rename = $first_word))] $first($first_type),
            $($(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $word))] $variant($type),)*
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                match at.choice(&[$first_word, $($word),*]) {
                    $(Some(($word, node)) => Self::$variant(at.inside($word, node)),)*
                    Some((word, node)) => Self::$first(at.inside(word, node)),
                    None => Self::$first(at.stand_in()),
                }
            }
        }
    };
}

/// Enums that are read from `{ tag: word, … }`. The first is the stand-in.
macro_rules! tagged {
    ($tag:literal => $(#[$meta:meta])* pub enum $name:ident {
        $(#[$first_meta:meta])* $first:ident($first_type:ident) = $first_word:literal,
        $($(#[$variant_meta:meta])* $variant:ident($type:ident) = $word:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(tag = $tag))]
        pub enum $name {
            $(#[$first_meta])* #[cfg_attr(feature = "schema", schemars(rename = $first_word))] $first($first_type),
            $($(#[$variant_meta])* #[cfg_attr(feature = "schema", schemars(rename = $word))] $variant($type),)*
        }

        impl Read for $name {
            fn read(at: &Cursor<'_>) -> Self {
                match at.tag($tag, &[$first_word, $($word),*]) {
                    $(Some($word) => Self::$variant($type::of(&at.tagged_fields($type::FIELDS, Some($tag)))),)*
                    Some(_) => Self::$first($first_type::of(&at.tagged_fields($first_type::FIELDS, Some($tag)))),
                    None => Self::$first(at.stand_in()),
                }
            }
        }
    };
}
