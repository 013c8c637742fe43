//! QA tokens.

use super::values::Secret;
use splitway_document::{Cursor, Fields, Read};

records! {
    /// Where QA tokens are looked for, and the keys that sign them. A request may carry several, for different
    /// experiments: under one name with a comma or `|` between, or under several. Upstreams do not get them.
    pub struct QaTokens {
        /// Request header that carries tokens.
        pub header: Option<String>,
        /// Cookie that carries tokens.
        pub cookie: Option<String>,
        /// Query parameter that carries tokens.
        pub query: Option<String>,
        /// One key, or two while they are being rotated.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 2)))]
        #[cfg_attr(feature = "schema", schemars(default))]
        pub keys: Vec<QaKey>,
    }
}

records! {
    /// A signing key of QA tokens.
    pub struct QaKey {
        /// Key id, named in each token.
        pub id: String,
        /// At least 32 random characters, or `{ env: NAME }`.
        pub secret: Secret,
    }
}
