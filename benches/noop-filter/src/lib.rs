//! A filter that does nothing, as the public SDK makes one: what any wasm filter costs before it
//! does anything. `cargo xtask bench envoy` measures Splitway against it.
#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, reason = "the macro makes an entry point without any")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(NoOp));
}}

struct NoOp;

impl Context for NoOp {}

impl RootContext for NoOp {
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(NoOp))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for NoOp {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        Action::Continue
    }
}
