//! `splitway dev`: a local proxy around the compiled filter.

mod board;
mod config;
mod filter;
mod hosts;
mod output;
mod page;
mod proxy;
mod shadow;
mod state;
mod upstreams;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use clap::Args;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use splitway_engine::{Plan, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::filter_module;
use crate::input;
use crate::outcome::{Exit, Failure, Outcome};
use crate::plural::counted;
use crate::style::Style;
use board::{Board, Decided, Record};
use config::{Config, Watch};
use filter::{Filter, Running, lock};
use output::Output;
use upstreams::Upstreams;

/// How long requests that are on their way may take after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) const EXAMPLES: &str = "\
Examples:
  splitway dev --config splitway.yaml
  splitway dev --config splitway.yaml --upstream shop-v1=http://127.0.0.1:3000 --upstream shop-v2=http://127.0.0.1:3001
Then: curl -i -H 'x-user-id: user-1' http://127.0.0.1:8000/";

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The config, a file or a folder; `dev` reads it again when it changes
    #[arg(long, value_name = "FILE|DIR")]
    config: PathBuf,
    /// Server behind the proxy for a cluster of this name; may be repeated
    #[arg(long, value_name = "NAME=URL", value_parser = upstream)]
    upstream: Vec<(String, String)>,
    /// Upstream for requests that no variant routes [default: the first one]
    #[arg(long, value_name = "NAME", requires = "upstream")]
    default: Option<String>,
    /// Host name to answer for besides localhost and the own address; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: String,
    /// Compiled filter [default: $SPLITWAY_WASM, else the one that `cargo xtask build-wasm` built]
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Seed of request ids [default: a new one at each start]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    /// Show the filter's log, exposures included, on stderr
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Dev) -> Outcome {
    let upstreams = Upstreams::new(&args.upstream, args.default.as_deref()).map_err(Failure::Usage)?;
    let listen = listen_address(&args.listen).map_err(Failure::Usage)?;
    if let Some(name) = upstreams.leads_to(listen) {
        let why = format!(
            "--upstream {name} is the address that the proxy itself listens on, {listen}; requests would loop"
        );
        return Err(Failure::Usage(why));
    }
    if args.config.as_os_str() == "-" {
        return Err(Failure::Usage("--config needs a file that can be watched instead of stdin".to_owned()));
    }
    // Before it is read, so that no change goes unseen.
    let watch = Watch::new(&args.config);
    let config = config::read(&args.config).map_err(config::Refusal::into_failure)?;
    let wasm =
        filter_module::find(args.wasm.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
    let filter = Filter::load(&wasm, args.seed)
        .map_err(|error| Failure::Usage(format!("{}: {error}", wasm.display())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?;
        let (broken, closed) = mpsc::unbounded_channel();
        let app = App::start(args, filter, config, upstreams, broken).await?;
        app.serve(listener, watch, closed).await
    });
    // Connections that are still open must not keep the process.
    runtime.shutdown_background();
    result
}

/// `HOST:PORT`, `:PORT` or `PORT`.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(([127, 0, 0, 1], port).into());
    }
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| format!("--listen {text}: expected an address such as 127.0.0.1:8000, or a port"))
}

fn cannot_listen(listen: SocketAddr, error: &io::Error) -> Failure {
    Failure::Usage(match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{listen} is in use by another program; take another with --listen 127.0.0.1:8001, or a free \
             one with --listen 127.0.0.1:0"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("{listen}: {error}; ports below 1024 are reserved for the system; use a higher one")
        }
        _ => format!("cannot listen on {listen}: {error}"),
    })
}

/// Everything that requests share.
struct App {
    file: PathBuf,
    /// Host names that it answers for, besides loopback names.
    hosts: Vec<String>,
    filter: Filter,
    upstreams: Upstreams,
    pool: proxy::Pool,
    output: Output,
    running: Mutex<Arc<Running>>,
    board: Mutex<Board>,
    /// Told when there is no use in going on: nobody reads stdout any more.
    broken: mpsc::UnboundedSender<Failure>,
}

impl App {
    async fn start(
        args: &Dev,
        filter: Filter,
        config: Config,
        upstreams: Upstreams,
        broken: mpsc::UnboundedSender<Failure>,
    ) -> Result<Arc<Self>, Failure> {
        let output = Output { json: args.json, verbose: args.verbose };
        let clusters = upstreams.clusters(&config.plan).await?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let running = filter
            .start(config, 0, &clusters, upstreams.default())
            .map_err(|error| Failure::Usage(format!("the filter does not start: {error}")))?;
        Ok(Arc::new(Self {
            file: args.config.clone(),
            hosts: args.host.clone(),
            filter,
            upstreams,
            pool: Client::builder(TokioExecutor::new()).build(connector),
            output,
            running: Mutex::new(Arc::new(running)),
            board: Mutex::new(Board::new(input::at(None))),
            broken,
        }))
    }

    /// The filter with the config in force.
    fn running(&self) -> Arc<Running> {
        Arc::clone(&lock(&self.running))
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }

    /// Serves until Ctrl-C.
    async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        watch: Watch,
        mut closed: mpsc::UnboundedReceiver<Failure>,
    ) -> Outcome {
        let address = listener.local_addr()?;
        // Before the first line: who reads it may stop the command at once.
        let mut stop = std::pin::pin!(stop_signal()?);
        self.greet(address)?;
        tokio::spawn(Arc::clone(&self).follow(watch));
        let mut server = Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new());
        server.http2().timer(TokioTimer::new());
        let graceful = GracefulShutdown::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, peer)) = accepted else {
                        // Too many open files, mostly; connections that end make room.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    };
                    // Small answers on kept connections must not wait for the client's next ACK.
                    let _ = stream.set_nodelay(true);
                    let app = Arc::clone(&self);
                    let own = stream.local_addr().map_or(peer.ip(), |own| own.ip());
                    let service =
                        service_fn(move |request| proxy::serve(Arc::clone(&app), peer.ip(), own, request));
                    let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
                    let connection = graceful.watch(connection);
                    // How a client ends its connection is its own business.
                    tokio::spawn(async move { drop(connection.await) });
                }
                Some(failure) = closed.recv() => return Err(failure),
                () = &mut stop => break,
            }
        }
        drop(listener);
        let again = stop_signal()?;
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(PATIENCE) => {}
            () = again => {}
        }
        let requests = usize::try_from(self.board().requests).unwrap_or(usize::MAX);
        self.output.remark(&format!("stopped, {} since the last reload", counted(requests, "request")))?;
        Ok(Exit::Fine)
    }

    fn greet(&self, address: SocketAddr) -> Result<(), Failure> {
        self.output.listening(&format!("http://{address}"))?;
        let running = self.running();
        let plan = &running.config.plan;
        let style = Style::stdout();
        let experiments = counted(plan.experiments().count(), "experiment");
        self.output.remark(&format!("page         http://{address}{}", page::ROOT))?;
        let version = plan.content_hash();
        self.output
            .remark(&format!("config       {}, version {version}, {experiments}", self.file.display()))?;
        for cluster in std::iter::once(self.upstreams.default().to_owned())
            .chain(self.upstreams.names().into_iter().filter(|name| name != self.upstreams.default()))
        {
            let authority = self.upstreams.authority(&cluster).unwrap_or_default();
            let role = if cluster == self.upstreams.default() { ", the default" } else { "" };
            let built_in = if self.upstreams.are_built_in() { " (built in, shows each request)" } else { "" };
            self.output.remark(&format!("cluster      {cluster} at http://{authority}{built_in}{role}"))?;
        }
        if let Some(example) = example(plan, address) {
            self.output.remark(&format!("try          {}", style.bold(&example)))?;
        }
        if !address.ip().is_loopback() {
            self.output
                .warn(&format!("everybody who can reach {address} sees the page and the requests on it"));
        }
        self.warn_about(&running.config);
        self.output.log(&running.take_logs());
        Ok(())
    }

    /// What works, but probably not as meant.
    fn warn_about(&self, config: &Config) {
        let warnings = config.warnings(Style::stderr());
        if !warnings.is_empty() {
            eprintln!("{}", warnings.trim_end());
        }
        if self.upstreams.are_built_in() {
            return;
        }
        for (_, experiment) in config.plan.experiments() {
            for variant in experiment.variants() {
                let missing = |cluster: &&str| self.upstreams.authority(cluster).is_none();
                if let Some(cluster) = variant.cluster().filter(missing) {
                    self.output.warn(&format!(
                        "{}={} routes to the cluster {cluster}, which no --upstream names: its requests go to \
                         {}. Add --upstream {cluster}=http://127.0.0.1:PORT",
                        experiment.id(),
                        variant.id(),
                        self.upstreams.default()
                    ));
                }
                if let Some(cluster) = variant.shadow().filter(missing) {
                    self.output.warn(&format!(
                        "{}={} copies its requests to the cluster {cluster}, which no --upstream names: no copy \
                         is sent. Add --upstream {cluster}=http://127.0.0.1:PORT",
                        experiment.id(),
                        variant.id()
                    ));
                }
            }
        }
    }

    /// Reloads whenever the file changes.
    async fn follow(self: Arc<Self>, mut watch: Watch) {
        loop {
            watch.changed().await;
            if let Err(failure) = self.reload().await {
                // The receiver is gone only when the process ends.
                let _ = self.broken.send(failure);
                return;
            }
        }
    }

    /// Reads the config again; one that is wrong changes nothing.
    async fn reload(&self) -> Result<(), Failure> {
        let now = input::at(None);
        let config = match config::read(&self.file) {
            Ok(config) => config,
            Err(refusal) => {
                let problems = refusal.text(Style::stderr());
                return self.refuse(now, &problems, refusal.text(Style::plain()));
            }
        };
        let before = self.running();
        let version = config.plan.content_hash().to_owned();
        if version == before.config.plan.content_hash() && self.board().refused.is_none() {
            return Ok(());
        }
        let clusters = match self.upstreams.clusters(&config.plan).await {
            Ok(clusters) => clusters,
            Err(error) => {
                let text = format!("cannot start a built-in upstream for it: {error}");
                return self.refuse(now, &text, text.clone());
            }
        };
        let generation = self.board().reloads.saturating_add(1);
        match self.filter.start(config, generation, &clusters, self.upstreams.default()) {
            Ok(running) => {
                let running = Arc::new(running);
                *lock(&self.running) = Arc::clone(&running);
                self.board().reloaded(now);
                let experiments = running.config.plan.experiments().count();
                self.output.reloaded(&now.to_string(), &version, experiments)?;
                self.warn_about(&running.config);
                self.output.log(&running.take_logs());
                Ok(())
            }
            // The engine took it and the filter did not: they are of different versions.
            Err(error) => {
                let text = format!("the filter refuses it (it may be of another version): {error}");
                self.refuse(now, &text, text.clone())
            }
        }
    }

    fn refuse(&self, now: Timestamp, problems: &str, plain: String) -> Result<(), Failure> {
        let kept = self.running().config.plan.content_hash().to_owned();
        self.output.refused(&now.to_string(), &kept, problems, &plain)?;
        self.board().refused(now, plain);
        Ok(())
    }

    /// Tells people and programs what became of a request.
    fn tell(&self, running: &Running, decided: &Decided, record: Record) {
        let is_current = std::ptr::eq(Arc::as_ptr(&self.running()), running);
        let disagrees = self.board().add(&running.config.plan, decided, &record, is_current);
        if disagrees {
            self.output
                .warn("the filter and this command decided differently; the .wasm may be of another version");
        }
        if let Err(error) = self.output.request(&record) {
            // The receiver is gone only when the process ends.
            let _ = self.broken.send(error.into());
        }
    }
}

/// A command that shows the split, with a unit that the config reads.
fn example(plan: &Plan, address: SocketAddr) -> Option<String> {
    use splitway_engine::Source;
    let source = plan.chains().next()?.first()?;
    Some(match source {
        Source::Header(name) => format!("curl -i -H '{name}: user-1' http://{address}/"),
        Source::Cookie(name) => format!("curl -i -b {name}=user-1 http://{address}/"),
        Source::Query(name) => format!("curl -i 'http://{address}/?{name}=user-1'"),
        // The filter mints one.
        Source::Minted(_) | Source::JwtClaim { .. } | Source::ClientAddress { .. } => {
            format!("curl -i http://{address}/")
        }
    })
}

/// Ends with Ctrl-C, or a service manager's TERM; both are caught from the call on.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ends with Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

fn upstream(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && !url.is_empty() && !name.contains(['/', ':']) => {
            Ok((name.to_owned(), url.to_owned()))
        }
        _ => Err("expected a cluster's name and its URL, such as shop-v1=http://127.0.0.1:3000".to_owned()),
    }
}
