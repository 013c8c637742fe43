//! Foreign functions.

use super::{CASE, Case};

pub(crate) const CASES: &[Case] = &[Case {
    name: "which foreign functions there are",
    script: "
        request_headers: foreign compress abc
        request_headers: foreign uncompress abc
        request_headers: foreign sign abc
        request_headers: foreign verify_signature abc
        request_headers: foreign expr_create abc
        request_headers: foreign expr_evaluate abc
        request_headers: foreign expr_delete abc
        request_headers: foreign declare_property abc
        request_headers: foreign set_envoy_filter_state abc
        request_headers: foreign clear_route_cache abc
        request_headers: foreign compress
        request_headers: foreign uncompress
        request_headers: foreign nope abc",
    log: "
        ?",
    ..CASE
}];
