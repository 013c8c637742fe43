//! Foreign functions.

use super::{CASE, Case};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "foreign functions",
        script: "
            request_headers: foreign compress abc
            request_headers: foreign compress
            request_headers: foreign uncompress abc
            request_headers: foreign uncompress
            request_headers: inflate abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc
            request_headers: foreign declare_property abc
            request_headers: foreign set_envoy_filter_state abc
            request_headers: foreign clear_route_cache abc
            request_headers: foreign nope abc",
        log: "
            request_headers foreign compress abc = 0 x\\x9cKLJ\\x06\\x00\\x02M\\x01\\'
            request_headers foreign compress = 0 x\\x9c\\x03\\x00\\x00\\x00\\x00\\x01
            request_headers foreign uncompress abc = 3 (empty)
            request_headers foreign uncompress = 3 (empty)
            request_headers inflate abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc = smaller 0 abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc
            request_headers foreign declare_property abc = 2 (empty)
            request_headers foreign set_envoy_filter_state abc = 2 (empty)
            request_headers foreign clear_route_cache abc = 0 (empty)
            request_headers foreign nope abc = 1 -",
        ..CASE
    },
    Case {
        name: "filter state that Envoy's own filters see",
        script: "
            request_headers: envoystate key value
            request_headers: property filter_state/key
            request_headers: envoystate envoy.tcp_proxy.cluster value
            request_headers: property filter_state/envoy.tcp_proxy.cluster
            request_headers: property envoy.tcp_proxy.cluster",
        log: "
            request_headers envoystate key value = 1 (empty)
            request_headers property filter_state/key = 1 -
            request_headers envoystate envoy.tcp_proxy.cluster value = 0 (empty)
            request_headers property filter_state/envoy.tcp_proxy.cluster = 0 value
            request_headers property envoy.tcp_proxy.cluster = 1 -",
        ..CASE
    },
];
