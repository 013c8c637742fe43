//! Where units and attributes come from.

use splitway_document::{Cursor, Fields, Read};

choices! {
    /// Where a value comes from.
    pub enum Source {
        /// A request header.
        Header(String) = "header",
        /// A cookie, its value as sent (no decoding).
        Cookie(String) = "cookie",
        /// A query parameter, percent-decoded.
        Query(String) = "query",
        /// A claim of a JWT payload that the proxy has already verified and put
        /// into a header (base64url JSON, as Envoy's `forward_payload_header`).
        JwtClaim(JwtClaim) = "jwt_claim",
        /// The client's address, from `x-forwarded-for`.
        ClientAddress(ClientAddress) = "client_address",
    }
}

records! {
    /// A claim of a verified JWT payload header.
    pub struct JwtClaim {
        /// The header that holds the payload.
        pub header: String,
        /// The claim: a string or a whole number.
        pub claim: String,
    }
}

records! {
    /// The client's address.
    pub struct ClientAddress {
        /// Proxies in front of this one that append to `x-forwarded-for`. 0: the
        /// last entry (the peer, which this proxy appended); 1: the one before.
        pub trusted_hops: Option<u8>,
    }
}
