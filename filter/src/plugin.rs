//! The filter's entry points, on the SDK's dispatcher.
#![allow(unsafe_code, reason = "the SDK's `main!` exports `_initialize`")]

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::config::Store;
use crate::exchange::Exchange;
use crate::hostcalls::Proxy;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    store: Store,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        self.store.load(&Proxy.configuration(size), &Proxy)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { exchange: self.store.active().map(Exchange::new) }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Without a config in force, a stream passes untouched.
struct Stream {
    exchange: Option<Exchange>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if let Some(exchange) = &mut self.exchange {
            exchange.on_request(&Proxy);
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if let Some(exchange) = &self.exchange {
            exchange.on_response(&Proxy);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let Some(exchange) = &self.exchange {
            exchange.on_log(&Proxy);
        }
    }
}
