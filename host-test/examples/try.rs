//! Runs any Proxy-Wasm module: `try [--extensions] FILE.wasm [CONFIGURATION]`
//! starts it, sends a GET and a POST, lets ten seconds pass, and prints what
//! happened. `--extensions` is for modules of hosts that extend the ABI, such
//! as Higress: unknown imports answer UNIMPLEMENTED, and a pause in headers
//! lets the body callbacks run.

use proxy_wasm_host::{
    EngineOptions, FilterModule, GrpcReply, Host, HostError, Request, Route, UpstreamResponse,
};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let extensions = arguments.next_if(|argument| argument == "--extensions").is_some();
    let Some(file) = arguments.next() else {
        return Err("usage: try [--extensions] FILE.wasm [CONFIGURATION]".into());
    };
    let configuration = arguments.next().unwrap_or_default();
    let started = Instant::now();
    let options = EngineOptions::new().extensions(extensions);
    let module = FilterModule::with_options(std::fs::read(&file)?, options)?;
    println!(
        "{file}: {:?}, {} imports, compiled in {:.1?}",
        module.abi_version(),
        module.imports().len(),
        started.elapsed()
    );
    if let Err(error) = run(&module, &configuration, extensions) {
        println!("  {error}");
    }
    Ok(())
}

fn run(module: &FilterModule, configuration: &str, extensions: bool) -> Result<(), HostError> {
    let started = Instant::now();
    let mut host = Host::builder(module)
        .root_id("try")
        .allow_on_headers_stop_iteration(extensions)
        .configuration(configuration)
        .default_route("upstream")
        .upstream("upstream", |request| UpstreamResponse::ok([b"got ", request.body.as_slice()].concat()))
        .upstream("httpbin", |_| UpstreamResponse::ok("\u{2}"))
        .grpc("grpcbin", |_| GrpcReply::ok(""))
        .route(Route::path("/direct").direct_response(200, "direct"))
        .start()?;
    println!("  started in {:.1?}", started.elapsed());
    let json = Request::post(
        "/v1/chat/completions",
        r#"{"model": "m", "messages": [{"role": "user", "content": "hello"}]}"#,
    )
    .header("content-type", "application/json");
    for request in [Request::get("/?q=1").header("cookie", "uid=1"), json] {
        let sent = request.headers().len();
        let exchange = host.send(request)?;
        let upstream = exchange.upstream_request().map_or(0, |request| request.headers.len());
        println!(
            "  {} {} ({sent} headers sent, {upstream} reached the upstream)",
            exchange.response.status, exchange.details
        );
        println!(
            "    {:?} {:?}",
            exchange.response.headers,
            String::from_utf8_lossy(&exchange.response.body)
        );
        if let Some(trap) = exchange.trap {
            println!("    {trap}");
        }
    }
    host.advance(Duration::from_secs(10));
    let made: Vec<String> = host
        .hostcall_counts()
        .iter()
        .map(|(hostcall, count)| format!("{} {count}", hostcall.name()))
        .collect();
    println!("  hostcalls: {}", made.join(", "));
    for line in host.logs() {
        println!("  {:?} {:?}: {}", line.vm, line.level, line.message.chars().take(200).collect::<String>());
    }
    for (name, value) in host.metrics() {
        println!("  metric {name} = {}", value.number());
    }
    Ok(())
}
