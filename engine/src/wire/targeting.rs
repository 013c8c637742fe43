//! Who is eligible.

use super::values::Share;
use splitway_document::{Cursor, Fields, Read};

choices! {
    /// Which requests are eligible.
    pub enum Rule {
        /// Every one of these holds (of none: true).
        All(Vec<Rule>) = "all",
        /// At least one of these holds (of none: false).
        Any(Vec<Rule>) = "any",
        /// This does not hold.
        Not(Box<Rule>) = "not",
        /// The method.
        Method(Match) = "method",
        /// The path, without the query, in its normal form: `.` and `..` resolved, runs of slashes made one,
        /// escapes of letters, digits and `-._~` decoded, other escapes in upper case.
        Path(Match) = "path",
        /// The host, lower-case, without port, user information and a trailing dot.
        Host(Match) = "host",
        /// A request header; several of one name are joined with `, `.
        Header(NamedMatch) = "header",
        /// A cookie.
        Cookie(NamedMatch) = "cookie",
        /// A query parameter, percent-decoded.
        Query(NamedMatch) = "query",
        /// A value declared under `attributes`.
        Attribute(NamedMatch) = "attribute",
        /// The unit itself.
        Unit(Match) = "unit",
        /// The client's address.
        ClientAddress(AddressMatch) = "client_address",
        /// A share of units chosen by a salt of its own.
        Sample(Sample) = "sample",
    }
}

records! {
    /// One operator on a value. A missing value matches nothing but
    /// `exists: false`. Of a value above 4,096 bytes only `prefix` and `exists` take notice.
    pub struct Match {
        /// The same.
        pub equals: Option<String>,
        /// One of these.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub one_of: Vec<String>,
        /// Begins with this; for a path, at a segment boundary.
        pub prefix: Option<String>,
        /// Ends with this.
        pub suffix: Option<String>,
        /// Contains this.
        pub contains: Option<String>,
        /// Glob: `*` within a path segment, `**` across, `?` one character.
        pub glob: Option<String>,
        /// Regular expression (linear time, unanchored, at most 1 kB). All that look at one
        /// request see 4 kB of it together; beyond that, none matches.
        pub regex: Option<String>,
        /// Is there (`true`) or not (`false`).
        pub exists: Option<bool>,
        /// Is a number that compares so.
        pub number: Option<NumberRange>,
        /// Is a semantic version that compares so.
        pub version: Option<VersionRange>,
        /// Compare without regard to ASCII case.
        pub ignore_case: Option<bool>,
    }
}

records! {
    /// One operator on a named value. A missing value matches nothing but
    /// `exists: false`. Of a value above 4,096 bytes only `prefix` and `exists` take notice.
    pub struct NamedMatch {
        /// The name of the header, cookie, parameter or attribute.
        pub name: String,
        /// The same.
        pub equals: Option<String>,
        /// One of these.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub one_of: Vec<String>,
        /// Begins with this.
        pub prefix: Option<String>,
        /// Ends with this.
        pub suffix: Option<String>,
        /// Contains this.
        pub contains: Option<String>,
        /// Glob: `*` within a `/` segment, `**` across, `?` one character.
        pub glob: Option<String>,
        /// Regular expression (linear time, unanchored, at most 1 kB).
        pub regex: Option<String>,
        /// Is there (`true`) or not (`false`).
        pub exists: Option<bool>,
        /// Is a number that compares so.
        pub number: Option<NumberRange>,
        /// Is a semantic version that compares so.
        pub version: Option<VersionRange>,
        /// Compare without regard to ASCII case.
        pub ignore_case: Option<bool>,
    }
}

records! {
    /// Bounds on a number; all that are given must hold.
    pub struct NumberRange {
        /// Equal.
        pub eq: Option<f64>,
        /// Greater.
        pub gt: Option<f64>,
        /// Greater or equal.
        pub gte: Option<f64>,
        /// Less.
        pub lt: Option<f64>,
        /// Less or equal.
        pub lte: Option<f64>,
    }
}

records! {
    /// Bounds on a semantic version; all that are given must hold. A missing minor
    /// or patch number counts as 0; precedence is that of semver.org.
    pub struct VersionRange {
        /// Equal.
        pub eq: Option<String>,
        /// Later.
        pub gt: Option<String>,
        /// Later or equal.
        pub gte: Option<String>,
        /// Earlier.
        pub lt: Option<String>,
        /// Earlier or equal.
        pub lte: Option<String>,
    }
}

records! {
    /// An address in one of some ranges.
    pub struct AddressMatch {
        /// CIDR ranges, such as `10.0.0.0/8` or `2001:db8::/32`.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub one_of: Vec<String>,
        /// As in a `client_address` source. Default: 0.
        pub trusted_hops: Option<u8>,
    }
}

records! {
    /// A share of units.
    pub struct Sample {
        /// Its salt; the namespace is put in front.
        pub salt: String,
        /// The share.
        pub share: Share,
    }
}
